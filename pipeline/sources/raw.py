"""Raw partitions, whatever they come from: what is landed, how it is published, and which orders are gone."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.contract import FACT_ORDER, FUTURE_TOLERANCE, ORDERS, RAW_STAGE, Table
from pipeline.engine.connection import Engine, EngineError
from pipeline.engine.lines import Lines, bind_lines, split_lines
from pipeline.errors import ShrunkDate
from pipeline.fields import FieldMap
from pipeline.lake.files import Lake, Manifest, Publication, partition
from pipeline.lake.freshness import answers_as_of
from pipeline.lake.manifests import is_raw
from pipeline.lake.run import Intent, Run

RAW_FILE = RAW_STAGE.files[0]
SCAN_BYTES = 64 << 20


def raw_name(date: str) -> str:
    """The raw file of a date, in the lake."""
    return partition("raw", date, RAW_FILE)


def is_landed(lake: Lake, date: str, raw_id: str) -> bool:
    """Whether the date is landed, whole, with the content of this id."""
    current = lake.manifest(RAW_STAGE, date)
    return current is not None and lake.whole(current) and current["id"] == raw_id


def is_intact(lake: Lake, date: str, raw_id: str) -> bool:
    """Landed, and with the very bytes: who asks the source again wants damage mended, too."""
    return is_landed(lake, date, raw_id) and is_raw(raw_id, Path(lake.path(raw_name(date))).read_bytes())


def confirm(run: Run, date: str, *, because: str, extra: Manifest) -> None:
    """The source still says what is landed: only the manifest learns that it was asked again.

    The landed records speak for the later one of both answers, since both are the same.
    """
    landed = run.lake.manifest(RAW_STAGE, date) or {}
    _note_asked(run, date, because, extra | {"answers_as_of": max(answers_as_of(landed), extra["answers_as_of"])})


def has_better(run: Run, date: str, answer: str) -> bool:
    """Whether what is landed of a date speaks for a later moment than `answer`: only --force replaces that."""
    landed = run.lake.manifest(RAW_STAGE, date)
    return not run.intent.force and run.lake.whole(landed) and answers_as_of(landed or {}) > answer


def keep(run: Run, date: str, *, because: str) -> None:
    """The source has no better answer than what is landed: only the manifest learns that it was asked again."""
    landed = run.lake.manifest(RAW_STAGE, date) or {}
    _note_asked(run, date, because, {"answers_as_of": answers_as_of(landed)})


def _note_asked(run: Run, date: str, because: str, extra: Manifest) -> None:
    landed = run.lake.manifest(RAW_STAGE, date) or {}
    known = {name: value for name, value in landed.items() if name != "extracted_at"}
    asked = {"asked_at": run.intent.stamp, "as_of": run.intent.stamp, "because": because}
    run.lake.write(partition("raw", date, RAW_STAGE.manifest), known | asked | extra)


def publication(run: Run, date: str, raw_id: str, records: int, *, because: str, extra: Manifest) -> Publication:
    """What publishes the raw file that is staged under its name; `extra` is what the source's kind adds.

    `answers_as_of` is part of it.
    """
    return Publication(
        partition("raw", date, RAW_STAGE.manifest),
        {
            "id": raw_id,
            "as_of": run.intent.stamp,
            "asked_at": run.intent.stamp,
            "because": because,
            "counts": {"extracted": records},
        }
        | extra,
        {raw_name(date): run.lake.stage(raw_name(date))},
    )


def landed_order_ids(lake: Lake, engine: Engine, date: str) -> set[str]:
    """The order_ids that are landed of a date.

    Those of its raw file; if that is lost or cut, also those of what was made of it, normalized or curated.
    """
    manifest, path = lake.manifest(RAW_STAGE, date) or {}, Path(lake.path(raw_name(date)))
    found: set[str] = set()
    if path.is_file():
        with open(path, "rb") as file:
            found = order_ids(engine, blocks(file), fields_of(manifest))
        size = path.stat().st_size
        if manifest.get("id") is None or manifest["files"].get(raw_name(date)) == size:
            return found
    return found.union(*(made_order_ids(lake, engine, table, date) for table in (ORDERS, FACT_ORDER)))


def made_order_ids(lake: Lake, engine: Engine, table: Table, date: str) -> list[str]:
    """The order_ids of a date's Parquet file; none when it is not there or cannot be read."""
    found: list[str] = []
    with suppress(EngineError):
        engine.register_files(table, lake.table_paths(table, [date]), "published")
        found = engine.query("held_order_id")["order_id"].to_pylist()
    return found


def order_ids(engine: Engine, pieces: Iterable[bytes], fields: FieldMap | None) -> set[str]:
    """The order_ids in buffers of whole lines."""
    found: set[str] = set()
    for data in pieces:
        lines = split_lines(data)
        bind_lines(engine, lines, fields=fields)
        found.update(engine.query("order_ids")["order_id"].to_pylist())
    return found


def future_updates(engine: Engine, lines: Lines, at: datetime, fields: FieldMap | None) -> int:
    """How many updated_at of the lines are in the future at a moment: more of them come due as time goes by.

    Most often none is, and DuckDB reads all: then no line needs a second look.
    """
    doubts = any(_counted(engine, lines, at, fields, known_plain=True).values())
    return _counted(engine, lines, at, fields, known_plain=False)["future_updates"] if doubts else 0


def _counted(
    engine: Engine, lines: Lines, at: datetime, fields: FieldMap | None, *, known_plain: bool
) -> dict[str, int]:
    bind_lines(engine, lines, fields=fields, known_plain=known_plain)
    counted: dict[str, int] = engine.query("future_updates", {"limit": at + FUTURE_TOLERANCE}).to_pylist()[0]
    return counted


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """A file of lines in buffers of whole ones."""
    file.seek(0)
    while block := file.read(SCAN_BYTES):
        yield block + file.readline()


@dataclass(frozen=True)
class Shape:
    """How luigi.cfg says that the records of a source are shaped: None, as the contract has them."""

    url: str
    fields: FieldMap | None


def fields_of(manifest: Manifest, shape: Shape | None = None) -> FieldMap | None:
    """The map by which a raw partition is read.

    It is the one of luigi.cfg where that names the shop which the partition came from, so that a corrected map works
    with --reprocess; else the one it was landed with.
    """
    if shape is not None and manifest.get("made_from") == shape.url:
        return shape.fields
    return FieldMap(manifest["fields"]) if manifest.get("fields") else None


def has_shrunk(vanished: set[str], landed: set[str], intent: Intent) -> bool:
    """Whether more of the landed orders are gone than may be."""
    return len(vanished) > intent.max_vanished_share * len(landed)


def shrunk(date: str, vanished: set[str], landed: set[str], source: str, intent: Intent) -> ShrunkDate:
    return ShrunkDate(
        f"raw date={date}: {len(vanished)} of its {len(landed)} landed order_ids are gone from "
        f"{source}; expected at most a share of {intent.max_vanished_share:g} "
        "([orders_api] max_vanished_share); if they are meant to be gone, add --allow-shrink"
    )
