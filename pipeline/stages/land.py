"""FetchOrders: a dump's orders landed verbatim, one raw partition a date."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.contract import UTC_MICROSECONDS as INSTANT
from pipeline.engine import Engine
from pipeline.errors import NotLanded, ShrunkDate
from pipeline.events import emit
from pipeline.freshness import Intent, missing
from pipeline.records import bind_lines, split_lines
from pipeline.sources.dump import Dump
from pipeline.stages.normalize import discards_of_file
from pipeline.stages.outcome import Outcome
from pipeline.stages.spool import (
    INVENTORY,
    Inventory,
    OpenEngine,
    Part,
    copy_part,
    folder,
    is_raw,
    read_dump,
    read_inventory,
)
from pipeline.storage import Lake, Publication, partition

RAW_FILE = RAW_STAGE.files[0]
SCAN_BYTES = 64 << 20


def learn(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """What the dump holds for each date. An unchanged dump is not opened again, except by --force.

    Reading it publishes the undated partition and the inventory. Raises UnreadableDump and SourceUnreadable.
    """
    inventory = read_inventory(lake)
    if inventory is not None and inventory.holds(dump, intent) and _undated_is_landed(lake, inventory):
        return inventory
    with lake.locked():
        return _read(lake, dump, intent, open_engine)


def _read(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    spooled = read_dump(lake, dump, intent, open_engine)
    if not _undated_is_landed(lake, spooled):
        _publish_undated(lake, dump, spooled.parts.get(UNDATED, Part()), intent, open_engine)
    if read_inventory(lake) != spooled.without_segments():
        lake.write(INVENTORY, spooled.without_segments().as_json())
    return spooled


def _undated_is_landed(lake: Lake, inventory: Inventory) -> bool:
    part = inventory.parts.get(UNDATED, Part())
    nothing_to_land = not part.count and lake.manifest(RAW_STAGE, UNDATED) is None
    return nothing_to_land or _is_landed(lake, UNDATED, part)


def _publish_undated(lake: Lake, dump: Dump, part: Part, intent: Intent, open_engine: OpenEngine) -> None:
    """Replace the undated partition by what the dump holds now; its records are discarded here and now."""
    publication = _publication(lake, dump, UNDATED, part, intent, because="dump read")
    raw = publication.staged[partition("raw", UNDATED, RAW_FILE)]
    assert raw is not None
    name = partition("quarantine", UNDATED, "orders.parquet")
    with open_engine() as engine:
        reasons = discards_of_file(engine, raw, intent.as_of, lake.stage(name))
    publication.staged[name] = lake.stage(name) if reasons else None
    publication.body["counts"]["discarded"] = reasons
    lake.publish([publication])
    emit("discarded", date=UNDATED, **reasons)


def land(lake: Lake, find_dump: Callable[[], Dump], dates: list[str], intent: Intent, open_engine: OpenEngine) -> None:
    """Publish the raw partition of each date that is not complete. One bad date does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    outcome = Outcome(RAW_STAGE)
    if not any(missing(lake, RAW_STAGE, date, intent) for date in dates):
        return
    with lake.locked():
        todo = {date: reason for date in dates if (reason := missing(lake, RAW_STAGE, date, intent))}
        if intent.reprocess:
            for date, reason in todo.items():
                outcome.fail(date, NotLanded(f"--reprocess: raw date={date}: {reason}; land it first, without it"))
        elif todo:
            _land(lake, find_dump(), todo, intent, open_engine, outcome)
        outcome.close(lake, intent)


def _land(
    lake: Lake, dump: Dump, todo: dict[str, str], intent: Intent, open_engine: OpenEngine, outcome: Outcome
) -> None:
    inventory = read_inventory(lake)
    if inventory is None or not inventory.holds(dump, intent):
        inventory = _read(lake, dump, intent, open_engine)
    changed = [date for date in todo if not _is_intact(lake, date, inventory.parts.get(date, Part()))]
    if changed:
        inventory = _read(lake, dump, intent, open_engine)
        if not intent.allow_shrink:
            _refuse_shrunk(lake, dump, inventory, changed, intent, open_engine, outcome)
    publications = [
        _publication(lake, dump, date, inventory.parts.get(date, Part()), intent, because=todo[date])
        for date in changed
        if date not in outcome.failed
    ]
    outcome.fail_all(lake.publish(publications))
    unchanged = [date for date in todo if date not in changed]
    for date in unchanged:
        _confirm(lake, date, intent, because=todo[date])
    landed = [date for date in todo if date not in outcome.failed]
    records = sum(inventory.parts.get(date, Part()).count for date in landed)
    emit("extracted", dates=len(landed), unchanged=len(unchanged), records=records)


def _confirm(lake: Lake, date: str, intent: Intent, *, because: str) -> None:
    """The source still says what is landed: only the manifest learns that it was asked again."""
    name = partition("raw", date, RAW_STAGE.manifest)
    said = {"extracted_at": intent.stamp, "as_of": intent.stamp, "because": because}
    lake.write(name, (lake.read(name) or {}) | said)


def _is_landed(lake: Lake, date: str, part: Part) -> bool:
    current = lake.manifest(RAW_STAGE, date)
    return current is not None and lake.whole(current) and current["id"] == part.id


def _is_intact(lake: Lake, date: str, part: Part) -> bool:
    """Landed, and with the very bytes: who asks the source again wants damage mended, too."""
    return _is_landed(lake, date, part) and is_raw(
        part.id, Path(lake.path(partition("raw", date, RAW_FILE))).read_bytes()
    )


def _publication(lake: Lake, dump: Dump, date: str, part: Part, intent: Intent, *, because: str) -> Publication:
    name = partition("raw", date, RAW_FILE)
    copy_part(lake, dump, part, lake.stage(name))
    return Publication(
        partition("raw", date, RAW_STAGE.manifest),
        {
            "id": part.id,
            "made_from": dump.path,
            "as_of": intent.stamp,
            "extracted_at": intent.stamp,
            "because": because,
            "plain_by": part.plain_by,
            "counts": {"extracted": part.count},
        },
        {name: lake.stage(name)},
    )


def _refuse_shrunk(
    lake: Lake,
    dump: Dump,
    inventory: Inventory,
    dates: list[str],
    intent: Intent,
    open_engine: OpenEngine,
    outcome: Outcome,
) -> None:
    """Fail the dates of which more than max_vanished_share of the landed order_ids are nowhere in the dump."""
    files = {date: Path(lake.path(partition("raw", date, RAW_FILE))) for date in dates}
    files = {date: file for date, file in files.items() if file.is_file()}
    if not files:
        return
    with open_engine() as engine, open(lake.path(f"{folder(dump)}/records"), "rb") as spool:
        landed = {date: _order_ids(engine, file.read_bytes()) for date, file in files.items()}
        gone = {}
        for date, before in landed.items():
            vanished = before - _order_ids(engine, b"".join(inventory.parts.get(date, Part()).read(spool)))
            if len(vanished) > intent.max_vanished_share * len(before):
                gone[date] = vanished
        for block in _blocks(spool) if gone else ():
            elsewhere = _order_ids(engine, block)
            gone = {date: vanished - elsewhere for date, vanished in gone.items()}
    for date, vanished in gone.items():
        if len(vanished) > intent.max_vanished_share * len(landed[date]):
            outcome.fail(
                date,
                ShrunkDate(
                    f"raw date={date}: {len(vanished)} of its {len(landed[date])} landed order_ids are gone from "
                    f"{dump.path}; expected at most a share of {intent.max_vanished_share:g} "
                    "([orders_api] max_vanished_share); if they are meant to be gone, add --allow-shrink"
                ),
            )


def _blocks(spool: BinaryIO) -> Iterator[bytes]:
    """The whole spool in buffers of whole lines."""
    spool.seek(0)
    while block := spool.read(SCAN_BYTES):
        yield block + spool.readline()


def _order_ids(engine: Engine, data: bytes) -> set[str]:
    lines = split_lines(data)
    bind_lines(engine, lines, dates=pa.nulls(lines.size, pa.date32()), extracted_at=pa.nulls(lines.size, INSTANT))
    return set(engine.query("order_ids")["order_id"].to_pylist())
