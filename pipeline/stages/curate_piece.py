"""What curating does to a piece of dates: it reads their normalized files and stages what is published of them.

A piece can be pickled, and staging it takes no lock: any process that reaches the lake's files can, while another one
holds the lock and publishes.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.contract import FACT_ORDER, FACT_ORDER_STAGE, ITEMS, ORDER_ITEMS, ORDER_ITEMS_STAGE, ORDERS, Stage, Table
from pipeline.engine import Engine, by_date, fact_order
from pipeline.lake import CuratedCounts, CuratedManifest, Files, NormalizedManifest, Publication, corrupt, write_table
from pipeline.stages.staging import one_by_one

Made = list[Publication[CuratedManifest]]


@dataclass(frozen=True)
class Job:
    """Which tables to make of a normalized partition, and why. `as_of` is the run's stamp.

    `losers` has the order_id and version of the orders that another date keeps, `before` the versions, by order_id,
    that fact_order left to another date when it was last made.
    """

    upstream: NormalizedManifest
    because: dict[Stage, str]
    as_of: str
    losers: pa.Table | None
    before: dict[str, str]


@dataclass(frozen=True)
class Piece:
    """Jobs by date."""

    files: Files
    jobs: dict[str, Job]


def stage(engine: Engine, piece: Piece, writers: ThreadPoolExecutor) -> dict[str, Future[Made]]:
    """What publishes the tables of each date, as their files are written where they can be published from."""
    files = piece.files

    def together(jobs: dict[str, Job]) -> dict[str, Future[Made]]:
        of_facts = {date: job for date, job in jobs.items() if FACT_ORDER_STAGE in job.because}
        facts, items = _rows(engine, files, of_facts)
        return {
            date: writers.submit(_write, files, date, job, (facts.get(date), items.get(date)))
            for date, job in jobs.items()
        }

    return one_by_one(piece.jobs, together)


def _rows(engine: Engine, files: Files, jobs: dict[str, Job]) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """The rows of fact_order, and the order lines that they are made from, by date."""
    if not jobs:
        return {}, {}
    for table in (ORDERS, ITEMS):
        engine.register_files(table, [files.fetch(table.at(date)) for date in jobs])
    headers, lines = engine.query("order_header"), engine.query("order_line")
    _refuse_other_rows(ORDERS, headers, {date: job.upstream.counts.normalized for date, job in jobs.items()})
    _refuse_other_rows(ITEMS, lines, {date: job.upstream.counts.lines for date, job in jobs.items()})
    kept = _kept(lines, jobs)
    return by_date(fact_order(_kept(headers, jobs), kept)), by_date(kept)


def _refuse_other_rows(table: Table, rows: pa.Table, published: dict[str, int]) -> None:
    """Raises CorruptPartition where a date's folder has other rows than its manifest counts, such as another date's."""
    parts = by_date(rows)
    for date, count in published.items():
        found = parts[date].num_rows if date in parts else 0
        if found != count:
            raise corrupt(table.at(date), f"{found:,} row(s) of this date, while {count:,} were published")


def _kept(rows: pa.Table, jobs: dict[str, Job]) -> pa.Table:
    """The rows, ordered by date, without the orders that their date loses."""
    if all(job.losers is None for job in jobs.values()):
        return rows
    parts = by_date(rows)
    return pa.concat_tables([rows.slice(0, 0), *(_kept_of_date(jobs[date], part) for date, part in parts.items())])


def _kept_of_date(job: Job, rows: pa.Table) -> pa.Table:
    if job.losers is None:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows["order_id"], value_set=job.losers["order_id"].combine_chunks())))


def _write(files: Files, date: str, job: Job, rows: tuple[pa.Table | None, pa.Table | None]) -> Made:
    facts, items = rows
    made = []
    if FACT_ORDER_STAGE in job.because:
        facts = facts if facts is not None else FACT_ORDER.schema.empty_table()
        write_table(FACT_ORDER, facts, files.stage(FACT_ORDER.at(date)))
        made.append(_publication(files, date, job, FACT_ORDER_STAGE, facts.num_rows))
    if ORDER_ITEMS_STAGE in job.because:
        made.append(_publication(files, date, job, ORDER_ITEMS_STAGE, _write_items(files, date, job, items)))
    return made


def _write_items(files: Files, date: str, job: Job, items: pa.Table | None) -> int:
    """Without orders to leave out, the normalized items are the curated ones to the byte, so they are copied.

    The items are read here, unless they have been for fact_order: a file that cannot be read is not copied. The number
    of lines.
    """
    source = files.fetch(ITEMS.at(date))
    if items is None:
        items = _kept_of_date(job, pq.read_table(source, partitioning=None))
    if job.losers is None:
        files.stage_copy(ORDER_ITEMS.at(date), source)
        return job.upstream.counts.lines
    write_table(ORDER_ITEMS, items, files.stage(ORDER_ITEMS.at(date)))
    return int(items.num_rows)


def _publication(files: Files, date: str, job: Job, stage: Stage, rows: int) -> Publication[CuratedManifest]:
    losers = job.losers.to_pylist() if job.losers is not None else []
    gone = {row["order_id"]: str(row["version"]) for row in losers}
    manifest = CuratedManifest(
        id=job.upstream.id,
        made_from=str(job.upstream.id),
        as_of=job.as_of,
        because=job.because[stage],
        superseded=gone,
        counts=CuratedCounts(
            kept=job.upstream.counts.normalized - len(gone),
            superseded_elsewhere=len(gone),
            resurfaced=_resurfaced(files, date, job, gone) if stage == FACT_ORDER_STAGE else 0,
            rows=rows,
        ),
    )
    return Publication(stage.manifest_at(date), manifest, {name: files.stage(name) for name in stage.files_at(date)})


def _resurfaced(files: Files, date: str, job: Job, gone: dict[str, str]) -> int:
    """How many versions the date did not keep before and keeps now: what had won over them has vanished."""
    if not job.before.keys() - gone.keys():
        return 0
    orders = pq.read_table(files.fetch(ORDERS.at(date)), partitioning=None)
    version = pc.coalesce(orders["updated_at"], orders["created_at"])
    now = {key: str(at) for key, at in zip(orders["order_id"].to_pylist(), version.to_pylist(), strict=True)}
    return sum(now.get(key) == at for key, at in job.before.items() if key not in gone)
