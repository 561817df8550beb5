"""Curates a piece of several dates: reads their normalized files and stages the files to publish.

A piece can be pickled, and staging it takes no lock. So any process that reaches the lake's files can stage a piece
while another process holds the lock and publishes.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import UNSET

from pipeline.contract import (
    FACT_ORDER,
    FACT_ORDER_STAGE,
    ITEMS,
    ORDER_ITEMS,
    ORDER_ITEMS_STAGE,
    ORDERS,
    Stage,
    Table,
)
from pipeline.engine import Engine, amounts_by_date, by_date, fact_order
from pipeline.lake import (
    CuratedCounts,
    CuratedManifest,
    Files,
    NormalizedManifest,
    Publication,
    add_keys,
    corrupt,
    has_hash,
    parquet_of,
)
from pipeline.stages.staging import Staged, one_by_one

Made = list[Publication[CuratedManifest]]


@dataclass(frozen=True)
class Job:
    """Which tables to make of a normalized partition, and why. `as_of` is the run's stamp.

    `losers` are the orders that another date keeps: the version by order_id. `before` are those that fact_order left to
    another date when it was last made.
    """

    upstream: NormalizedManifest
    because: dict[Stage, str]
    as_of: str
    losers: dict[str, str]
    before: dict[str, str]


@dataclass(frozen=True)
class Piece:
    """Dates, each with its job."""

    files: Files
    dates: dict[str, Job]

    @property
    def size(self) -> int:
        """The bytes of the normalized files."""
        return sum(sum(job.upstream.files.values()) for job in self.dates.values())


@dataclass(frozen=True)
class Kept:
    """Which orders the curated tables of a date leave out, and why. The other orders are kept.

    `superseded` has those that another date keeps, with their version. `excluded` has those of the rest that the map
    excludes.
    """

    job: Job
    superseded: dict[str, str]
    excluded: frozenset[str]

    @classmethod
    def of(cls, files: Files, date: str, job: Job) -> "Kept":
        """What the date leaves out. If the normalized manifest counts no excluded order, no file is read.

        Files of logic version 2 and earlier have no column `excluded`, and their manifests count no excluded order.
        """
        if not job.upstream.counts.excluded_here:
            return cls(job, job.losers, frozenset())
        orders = pq.read_table(files.fetch(ORDERS.at(date)), columns=["order_id", "excluded"], partitioning=None)
        excluded = orders["order_id"].filter(orders["excluded"]).to_pylist()
        return cls(job, job.losers, frozenset(excluded).difference(job.losers))

    @property
    def is_complete(self) -> bool:
        """Whether no order is left out."""
        return not self.superseded and not self.excluded

    def only(self, rows: pa.Table) -> pa.Table:
        """The rows of the orders that are kept."""
        if self.is_complete:
            return rows
        left_out = pa.array([*self.superseded, *self.excluded], pa.string())
        return rows.filter(pc.invert(pc.is_in(rows["order_id"], value_set=left_out)))

    def counts(self, rows: int) -> CuratedCounts:
        """What both tables of the date count, and the rows of one."""
        return CuratedCounts(
            kept=self.job.upstream.counts.normalized - len(self.superseded) - len(self.excluded),
            superseded_elsewhere=len(self.superseded),
            excluded=len(self.excluded) or UNSET,
            rows=rows,
        )


class Rows(NamedTuple):
    """What a date's fact_order is made of: its orders, its rows, its order lines, and its amounts by currency."""

    order_ids: pa.ChunkedArray
    facts: pa.Table
    items: pa.Table
    amounts: dict[str, str]


def stage(engine: Engine, piece: Piece) -> Staged[Made]:
    """The publications of each date, whose files are in the staging folder; or why there are none."""
    return one_by_one(piece.dates, partial(_contents, engine, piece.files), partial(_write, piece.files))


def _contents(engine: Engine, files: Files, jobs: dict[str, Job]) -> dict[str, tuple[Kept, Rows | None]]:
    """What each date keeps, and the rows of fact_order; None if fact_order is not made."""
    for date, job in jobs.items():
        _refuse_other_bytes(files, date, job.upstream)
    kept = {date: Kept.of(files, date, job) for date, job in jobs.items()}
    of_facts = {date: of_date for date, of_date in kept.items() if FACT_ORDER_STAGE in of_date.job.because}
    rows = _rows(engine, files, of_facts)
    return {date: (of_date, rows.get(date)) for date, of_date in kept.items()}


def _refuse_other_bytes(files: Files, date: str, manifest: NormalizedManifest) -> None:
    """Compare the normalized files with the hashes in their manifest. Raises CorruptPartition.

    A changed value can leave a file readable, and it would be copied.
    """
    for table in (ORDERS, ITEMS):
        name = table.at(date)
        if not has_hash(files.fetch(name), manifest.hash_of(name)):
            raise corrupt(name, "its bytes are not those that were published")


def _rows(engine: Engine, files: Files, kept: dict[str, Kept]) -> dict[str, Rows]:
    """The rows by date. Raises CorruptPartition."""
    if not kept:
        return {}
    for table in (ORDERS, ITEMS):
        engine.register_files(table, [files.fetch(table.at(date)) for date in kept])
    headers, lines = engine.query("order_header"), engine.query("order_line")
    counts = {date: of_date.job.upstream.counts for date, of_date in kept.items()}
    _refuse_other_rows(ORDERS, headers, {date: count.normalized for date, count in counts.items()})
    _refuse_other_rows(ITEMS, lines, {date: count.lines for date, count in counts.items()})
    headers, lines = _only(headers, kept), _only(lines, kept)
    facts, items, amounts = by_date(fact_order(headers, lines)), by_date(lines), amounts_by_date(headers)
    orders, no_facts, no_items = by_date(headers), FACT_ORDER.schema.empty_table(), ORDER_ITEMS.schema.empty_table()
    return {
        date: Rows(
            orders.get(date, no_facts)["order_id"],
            facts.get(date, no_facts),
            items.get(date, no_items),
            amounts.get(date, {}),
        )
        for date in kept
    }


def _refuse_other_rows(table: Table, rows: pa.Table, published: dict[str, int]) -> None:
    """Compare each file with its manifest. Raises CorruptPartition if the manifest counts other rows of its date."""
    parts = by_date(rows)
    for date, count in published.items():
        found = parts[date].num_rows if date in parts else 0
        if found != count:
            raise corrupt(table.at(date), f"{found:,} row(s) of this date, while {count:,} were published")


def _only(rows: pa.Table, kept: dict[str, Kept]) -> pa.Table:
    """The rows of the orders that their date keeps, ordered by date."""
    if all(of_date.is_complete for of_date in kept.values()):
        return rows
    parts = by_date(rows)
    return pa.concat_tables([rows.slice(0, 0), *(kept[date].only(part) for date, part in parts.items())])


def _write(files: Files, date: str, content: tuple[Kept, Rows | None]) -> Made:
    """Stage the tables of a date, and return their publications."""
    kept, rows = content
    made = []
    if rows is not None:
        made.append(_write_facts(files, date, kept, rows))
    if ORDER_ITEMS_STAGE in kept.job.because:
        made.append(_write_items(files, date, kept, rows.items if rows is not None else None))
    return made


def _write_facts(files: Files, date: str, kept: Kept, rows: Rows) -> Publication[CuratedManifest]:
    """Stage fact_order of a date, and its key file."""
    counts = kept.counts(rows.facts.num_rows)
    counts.amounts, counts.resurfaced = rows.amounts, _resurfaced(files, date, kept)
    publication = _publication(date, kept, FACT_ORDER_STAGE, counts)
    publication.add(files, FACT_ORDER.at(date), parquet_of(FACT_ORDER, rows.facts))
    add_keys(publication, files, FACT_ORDER_STAGE, date, rows.order_ids)
    return publication


def _write_items(files: Files, date: str, kept: Kept, items: pa.Table | None) -> Publication[CuratedManifest]:
    """Stage order_items of a date.

    If no order is left out, the curated file has the bytes of the normalized one. The rows of that file are read
    first, here or for fact_order, so that an unreadable file is not copied.
    """
    source = ITEMS.at(date)
    if items is None:
        items = kept.only(pq.read_table(files.fetch(source), partitioning=None))
    publication = _publication(date, kept, ORDER_ITEMS_STAGE, kept.counts(items.num_rows))
    content = files.bytes_of(source) if kept.is_complete else parquet_of(ORDER_ITEMS, items)
    publication.add(files, ORDER_ITEMS.at(date), content)
    return publication


def _publication(date: str, kept: Kept, stage: Stage, counts: CuratedCounts) -> Publication[CuratedManifest]:
    manifest = CuratedManifest(
        id=kept.job.upstream.id,
        made_from=str(kept.job.upstream.id),
        as_of=kept.job.as_of,
        because=kept.job.because[stage],
        superseded=kept.superseded,
        counts=counts,
    )
    return Publication(stage.manifest_at(date), manifest)


def _resurfaced(files: Files, date: str, kept: Kept) -> int:
    """How many versions the date keeps again: a later version on another date had superseded them and has vanished."""
    back = kept.job.before.keys() - kept.superseded.keys() - kept.excluded
    if not back:
        return 0
    orders = pq.read_table(files.fetch(ORDERS.at(date)), partitioning=None)
    version = pc.coalesce(orders["updated_at"], orders["created_at"])
    now = {key: str(at) for key, at in zip(orders["order_id"].to_pylist(), version.to_pylist(), strict=True)}
    return sum(now.get(key) == kept.job.before[key] for key in back)
