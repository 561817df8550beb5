"""FetchOrders: orders landed verbatim, one raw partition a date; here those of a dump."""

from collections.abc import Callable
from typing import Any

from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.errors import NotLanded
from pipeline.events import emit
from pipeline.freshness import Intent, missing
from pipeline.sources.dump import Dump
from pipeline.sources.shop import Shop
from pipeline.stages.drop import keep_dropped
from pipeline.stages.extract import extract
from pipeline.stages.normalize import discards_of_file
from pipeline.stages.outcome import Outcome
from pipeline.stages.raw import (
    blocks,
    confirm,
    has_shrunk,
    is_intact,
    is_landed,
    landed_order_ids,
    order_ids,
    publication,
    raw_name,
    shrunk,
)
from pipeline.stages.spool import (
    INVENTORY,
    Inventory,
    OpenEngine,
    Part,
    copy_part,
    folder,
    read_dump,
    read_inventory,
)
from pipeline.storage import Lake, Publication, partition


def learn(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """What the dump holds for each date. An unchanged dump is not opened again, except by --force.

    Reading it publishes the undated partition and the inventory. Raises UnreadableDump and SourceUnreadable.
    """
    inventory = read_inventory(lake)
    if inventory is not None and inventory.holds(dump, intent) and _undated_is_landed(lake, inventory, intent):
        return inventory
    with lake.locked():
        return _read(lake, dump, intent, open_engine)


def _read(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    spooled = read_dump(lake, dump, intent, open_engine)
    if not _undated_is_landed(lake, spooled, intent):
        _publish_undated(lake, dump, spooled.parts.get(UNDATED, Part()), intent, open_engine)
    if read_inventory(lake) != spooled.without_segments():
        lake.write(INVENTORY, spooled.without_segments().as_json())
    return spooled


def _undated_is_landed(lake: Lake, inventory: Inventory, intent: Intent) -> bool:
    """Also when records have been erased since: only --force, or other records in the dump, bring those back."""
    part, landed = inventory.parts.get(UNDATED, Part()), lake.manifest(RAW_STAGE, UNDATED)
    if landed is None:
        return not part.count
    is_erased = lake.whole(landed) and landed.get("erased_from") == part.id and not intent.force
    return is_erased or is_landed(lake, UNDATED, part.id)


def _publish_undated(lake: Lake, dump: Dump, part: Part, intent: Intent, open_engine: OpenEngine) -> None:
    """Replace the undated partition by what the dump holds now; its records are discarded here and now."""
    undated = _publication(lake, dump, UNDATED, part, intent, because="dump read")
    raw = undated.staged[raw_name(UNDATED)]
    assert raw is not None
    name = partition("quarantine", UNDATED, "orders.parquet")
    with open_engine() as engine:
        reasons = discards_of_file(engine, raw, intent.as_of, lake.stage(name))
    undated.staged[name] = lake.stage(name) if reasons else None
    undated.body["counts"]["discarded"] = reasons
    lake.publish([undated])
    emit("discarded", date=UNDATED, **reasons)


def land(
    lake: Lake, find_source: Callable[[], Dump | Shop], dates: list[str], intent: Intent, open_engine: OpenEngine
) -> None:
    """Publish the raw partition of each date that is not complete. One bad date does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    keep_dropped(lake, dates, intent)
    if not any(missing(lake, RAW_STAGE, date, intent) for date in dates):
        return
    source = None if intent.reprocess else find_source()
    if isinstance(source, Shop):
        return extract(lake, source, dates, intent, open_engine)
    outcome = Outcome(RAW_STAGE)
    with lake.locked():
        todo = {date: reason for date in dates if (reason := missing(lake, RAW_STAGE, date, intent))}
        if source is None:
            _refuse_reprocess(outcome, todo)
        elif todo:
            _land(lake, Dump.at(source.path), todo, intent, open_engine, outcome)
        outcome.close(lake, intent)


def _refuse_reprocess(outcome: Outcome, todo: dict[str, str]) -> None:
    for date, reason in todo.items():
        outcome.fail(date, NotLanded(f"--reprocess: raw date={date}: {reason}; land it first, without it"))


def _land(
    lake: Lake, dump: Dump, todo: dict[str, str], intent: Intent, open_engine: OpenEngine, outcome: Outcome
) -> None:
    inventory = read_inventory(lake)
    if inventory is None or not inventory.holds(dump, intent):
        inventory = _read(lake, dump, intent, open_engine)
    changed = [date for date in todo if not is_intact(lake, date, inventory.parts.get(date, Part()).id)]
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
        confirm(lake, date, intent, because=todo[date], told=_told(dump))
    landed = [date for date in todo if date not in outcome.failed]
    records = sum(inventory.parts.get(date, Part()).count for date in landed)
    emit("extracted", dates=len(landed), unchanged=len(unchanged), records=records)


def _publication(lake: Lake, dump: Dump, date: str, part: Part, intent: Intent, *, because: str) -> Publication:
    copy_part(lake, dump, part, lake.stage(raw_name(date)))
    told = _told(dump) | {"plain_by": part.plain_by}
    return publication(lake, date, part.id, part.count, intent, because=because, told=told)


def _told(dump: Dump) -> dict[str, Any]:
    return {"made_from": dump.path, "fields": None, "api": None}


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
    if not any(lake.has(raw_name(date)) for date in dates):
        return
    with open_engine() as engine, open(lake.path(f"{folder(dump)}/records"), "rb") as spool:
        landed = {date: landed_order_ids(lake, engine, date) for date in dates}
        gone = {}
        for date, before in landed.items():
            now = order_ids(engine, [b"".join(inventory.parts.get(date, Part()).read(spool))], None)
            if has_shrunk(before - now, before, intent):
                gone[date] = before - now
        for block in blocks(spool) if gone else ():
            elsewhere = order_ids(engine, [block], None)
            gone = {date: vanished - elsewhere for date, vanished in gone.items()}
    for date, vanished in gone.items():
        if has_shrunk(vanished, landed[date], intent):
            outcome.fail(date, shrunk(date, vanished, landed[date], dump.path, intent))
