"""Landed orders that are gone from the source, and the limit on their share of a date."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO

from pipeline.contract import FACT_ORDER, ORDERS, Table, raw_name
from pipeline.engine import Engine, EngineError, bind_lines, split_lines
from pipeline.errors import ShrunkDate
from pipeline.fields import FieldMap
from pipeline.lake import Intent, Lake, Run
from pipeline.sources.raw import fields_of

SCAN_BYTES = 64 << 20


def landed_order_ids(lake: Lake, engine: Engine, date: str) -> set[str]:
    """The landed order_ids of a date, from its raw file.

    If the raw file is lost or cut, also those from the date's normalized and curated files.
    """
    manifest, name = lake.landed(date), raw_name(date)
    found: set[str] = set()
    if lake.files.has(name):
        with open(lake.files.fetch(name), "rb") as file:
            found = order_ids(engine, blocks(file), fields_of(manifest))
        if manifest.id is None or manifest.files.get(name) == lake.files.size(name):
            return found
    return found.union(*(made_order_ids(lake, engine, table, date) for table in (ORDERS, FACT_ORDER)))


def made_order_ids(lake: Lake, engine: Engine, table: Table, date: str) -> list[str]:
    """The order_ids of a date's Parquet file. Empty if the file is missing or cannot be read."""
    found: list[str] = []
    with suppress(EngineError):
        engine.register_files(table, lake.paths(table, [date]), "published")
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


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The content of a file in buffers of whole lines."""
    file.seek(0)
    while block := file.read(SCAN_BYTES):
        yield block + file.readline()


def has_shrunk(vanished: set[str], landed: set[str], intent: Intent) -> bool:
    """Whether more than max_vanished_share of the landed orders are gone."""
    return len(vanished) > intent.max_vanished_share * len(landed)


def shrunk(run: Run, date: str, vanished: set[str], landed: set[str], source: str) -> ShrunkDate:
    mend = "if they are meant to be gone, add --allow-shrink"
    if run.lake.landed(date).erasing is not None:
        mend = "an `erase` was interrupted on this date; run the same command again"
    return ShrunkDate(
        f"raw date={date}: {len(vanished)} of its {len(landed)} landed order_ids are gone from "
        f"{source}; expected at most a share of {run.intent.max_vanished_share:g} "
        f"([orders_api] max_vanished_share); {mend}"
    )
