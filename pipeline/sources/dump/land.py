"""Orders of a dump, landed verbatim: one raw partition a date."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeline.contract import RAW_STAGE
from pipeline.dates import fold_dates
from pipeline.engine.connection import Engine, OpenEngine
from pipeline.events import emit
from pipeline.lake.files import Lake, Publication
from pipeline.lake.freshness import Intent, is_open, shown
from pipeline.lake.outcome import Outcome
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.spool import (
    INVENTORY,
    Inventory,
    Part,
    SpoolDamaged,
    copy_part,
    folder,
    part_bytes,
    read_dump,
    read_inventory,
    refuse_damaged,
    remove_spool,
)
from pipeline.sources.dump.undated import is_taken_in, take_in
from pipeline.sources.raw import (
    blocks,
    confirm,
    has_better,
    has_shrunk,
    is_intact,
    keep,
    landed_order_ids,
    order_ids,
    publication,
    raw_name,
    shrunk,
)

COPIERS = 2


def learn(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    """What the dump holds for each date. An unchanged dump is not opened again, except by --force.

    Reading it publishes the undated partition and the inventory. Raises UnreadableDump and SourceUnreadable.
    """
    inventory = read_inventory(lake)
    if inventory is not None and inventory.holds(dump, intent) and is_taken_in(lake, inventory):
        return inventory
    with lake.locked():
        return _read(lake, dump, intent, open_engine)


def _read(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine) -> Inventory:
    spooled = read_dump(lake, dump, intent, open_engine)
    if read_inventory(lake) != spooled.without_segments() or not is_taken_in(lake, spooled):
        try:
            take_in(lake, dump, spooled, intent, open_engine)
        except SpoolDamaged as error:
            spooled = _read_anew(lake, dump, intent, open_engine, error)
            take_in(lake, dump, spooled, intent, open_engine)
        lake.write(INVENTORY, spooled.without_segments().as_json())
    return spooled


def _read_anew(lake: Lake, dump: Dump, intent: Intent, open_engine: OpenEngine, error: SpoolDamaged) -> Inventory:
    """The inventory of a new spool, since the one that is there has other bytes than were written to it."""
    emit("spool_damaged", level=logging.WARNING, reason=error, advice="none; the dump is read again")
    remove_spool(lake)
    return read_dump(lake, dump, intent, open_engine)


def land(
    lake: Lake, dump: Dump, todo: dict[str, str], intent: Intent, open_engine: OpenEngine, outcome: Outcome
) -> None:
    """Publish the raw partition of each date, for the reasons in `todo`. Call it under the lake's lock.

    Dates that failed are in `outcome`. Raises UnreadableDump and SourceUnreadable.
    """
    inventory = read_inventory(lake)
    if inventory is None or not inventory.holds(dump, intent):
        inventory = _read(lake, dump, intent, open_engine)
    told = {"made_from": dump.path, "fields": None, "api": None, "answers_as_of": inventory.answers_as_of}
    unchanged = [date for date in todo if is_intact(lake, date, inventory.part(date).id)]
    answer = inventory.answers_as_of
    kept = [date for date in todo if date not in unchanged and has_better(lake, date, answer, intent)]
    changed = [date for date in todo if date not in {*unchanged, *kept}]
    _warn_of_older(kept, inventory)
    if changed:
        inventory = _read(lake, dump, intent, open_engine)
        landing = _Landing(lake, dump, {date: todo[date] for date in changed}, intent, open_engine, outcome)
        try:
            stay, publications = landing.staged(inventory, told)
        except SpoolDamaged as error:
            inventory = _read_anew(lake, dump, intent, open_engine, error)
            stay, publications = landing.staged(inventory, told)
        kept += stay
        outcome.fail_all(lake.publish(publications))
    for date in unchanged:
        confirm(lake, date, intent, because=todo[date], told=told)
    for date in kept:
        keep(lake, date, intent, because=todo[date])
    landed = [date for date in todo if date not in outcome.failed]
    records = sum(inventory.part(date).count for date in landed)
    emit("extracted", dates=len(landed), unchanged=len(unchanged) + len(kept), records=records)


def _warn_of_older(dates: list[str], inventory: Inventory) -> None:
    if dates:
        emit(
            "older_dump",
            level=logging.WARNING,
            dates=fold_dates(dates),
            reason=f"the dump is of {shown(inventory.answers_as_of)}, what is landed is of a later moment and stays",
            advice="--force lands these dates from it all the same",
        )


@dataclass
class _Landing:
    """The dates of a dump whose raw partitions are replaced."""

    lake: Lake
    dump: Dump
    because: dict[str, str]
    intent: Intent
    open_engine: OpenEngine
    outcome: Outcome

    def staged(self, inventory: Inventory, told: dict[str, Any]) -> tuple[list[str], list[Publication]]:
        """The dates that stay as they are, and what publishes the others but those that fail. Raises SpoolDamaged."""
        stay = [] if self.intent.allow_shrink else self._refuse_shrunk(inventory)
        dates = [date for date in self.because if date not in {*stay, *self.outcome.failed}]
        with ThreadPoolExecutor(COPIERS) as pool:
            return stay, list(pool.map(lambda date: self._publication(date, inventory.part(date), told), dates))

    def _publication(self, date: str, part: Part, told: dict[str, Any]) -> Publication:
        copy_part(self.lake, self.dump, part, self.lake.stage(raw_name(date)))
        told = told | {"plain_by": part.plain_by}
        because = self.because[date]
        return publication(self.lake, date, part.id, part.count, self.intent, because=because, told=told)

    def _refuse_shrunk(self, inventory: Inventory) -> list[str]:
        """Fail the dates of which more than max_vanished_share of the landed order_ids are nowhere in the dump.

        Returns the open dates of which the dump holds nothing at all, not even under other dates: it may be the dump
        of another day, so these stay as they are.
        """
        known = set(self.lake.dates()).intersection(self.because)
        if not known:
            return []
        with self.open_engine() as engine:
            landed = {date: landed_order_ids(self.lake, engine, date) for date in sorted(known)}
            gone = self._gone(engine, inventory, landed)
        if gone:
            refuse_damaged(self.lake, self.dump, inventory)
        silent = [date for date in landed if _may_be_of_another_day(self.lake, date, inventory, self.intent)]
        stay = [date for date in silent if date in gone or not landed[date]]
        _warn_of_silence(stay)
        for date, vanished in gone.items():
            if date not in stay:
                self.outcome.fail(date, shrunk(date, vanished, landed[date], self.dump.path, self.intent))
        return stay

    def _gone(self, engine: Engine, inventory: Inventory, landed: dict[str, set[str]]) -> dict[str, set[str]]:
        """The landed order_ids that are nowhere in the dump, of the dates of which too many are."""
        gone = {}
        for date, before in landed.items():
            now = order_ids(engine, [part_bytes(self.lake, self.dump, inventory.part(date))], None)
            if has_shrunk(before - now, before, self.intent):
                gone[date] = before - now
        with open(self.lake.path(f"{folder(self.dump)}/records"), "rb") as spool:
            for block in blocks(spool) if gone else ():
                elsewhere = order_ids(engine, [block], None)
                gone = {date: vanished - elsewhere for date, vanished in gone.items()}
        return {date: vanished for date, vanished in gone.items() if has_shrunk(vanished, landed[date], self.intent)}


def _may_be_of_another_day(lake: Lake, date: str, inventory: Inventory, intent: Intent) -> bool:
    """Whether the dump has no record of an open date of which some are landed."""
    landed = lake.manifest(RAW_STAGE, date) or {}
    return (
        not intent.force
        and not inventory.part(date).count
        and lake.whole(landed)
        and landed["counts"].get("extracted", 0) > 0
        and is_open(landed, date, intent.settle) is not None
    )


def _warn_of_silence(dates: list[str]) -> None:
    if dates:
        emit(
            "open_date_not_in_dump",
            level=logging.WARNING,
            dates=fold_dates(dates),
            reason="the dump holds no record of these open dates; what is landed of them stays, open",
            advice="where each dump holds single days, set [orders_api] settle_hours = 0",
        )
