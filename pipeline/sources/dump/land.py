"""Lands the orders of a dump verbatim: one raw partition per date."""

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.dates import fold_dates
from pipeline.engine import Engine
from pipeline.errors import CorruptPartition, RunFailed, UnfitMap
from pipeline.events import emit
from pipeline.fields import texts_of
from pipeline.lake import (
    DUMP_SPOOLS,
    Judged,
    Outcome,
    Publication,
    RawCounts,
    RawManifest,
    Run,
    failure_file,
    note_failure,
    shown,
    why_open,
)
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import INVENTORY, Inventory, known_inventory
from pipeline.sources.dump.spool import (
    SpoolDamaged,
    all_records,
    part_bytes,
    peek,
    read_dump,
    stage_part,
)
from pipeline.sources.dump.undated import is_taken_in, take_in
from pipeline.sources.raw import confirm, digest_of, has_better, is_intact, keep, publication
from pipeline.sources.vanished import has_shrunk, landed_order_ids, order_ids, shrunk


def up_to_date_inventory(run: Run, dump: Dump, *, writes: bool = True) -> Inventory:
    """The inventory of the dump. An unchanged dump is not opened again, except by --force.

    Reading the dump publishes the undated partition and saves the inventory; `writes` False: writes nothing. If the map
    does not fit and no record has a date, a failure is noted. Raises UnreadableDump and SourceUnreadable.
    """
    if not writes:
        return peek(run, dump)
    inventory = known_inventory(run.lake, dump, run.intent)
    if inventory is None or not is_taken_in(run.lake, inventory):
        with run.lake.work.locked():
            inventory = _read(run, dump)
    if inventory.fault:
        _report_fault(run, dump, inventory)
    return inventory


def _report_fault(run: Run, dump: Dump, inventory: Inventory) -> None:
    """Report a map that does not fit the dump, in the two cases in which no later stage would.

    If no record has a date, nothing is normalized, so a failure is noted here. If all dates are normalized already, a
    warning is logged.
    """
    dates, landed = inventory.dates(), run.lake.raw(UNDATED)
    if dates:
        if all(run.lake.normalized(date) is not None for date in dates):
            emit("map_does_not_fit", level=logging.WARNING, dump=dump.path, reason=inventory.fault)
        return
    with run.lake.work.locked():
        if run.intent.accept_fields and landed is not None:
            run.lake.write_manifest(RAW_STAGE.manifest_at(UNDATED), replace(landed, accepts_fields=True))
        elif landed is None or not landed.accepts_fields:
            note_failure(run, RAW_STAGE, UNDATED, UnfitMap(f"{dump.path}: {inventory.fault}"))


def _read(run: Run, dump: Dump) -> Inventory:
    """The dump's inventory with a spool. Saves the inventory and merges the undated records.

    If the undated records cannot be merged, a failure is noted. It does not stop the dates.
    """
    spooled = read_dump(run, dump)
    if known_inventory(run.lake, dump, run.intent) != spooled or not is_taken_in(run.lake, spooled):
        try:
            spooled = _take_in(run, dump, spooled)
        except (CorruptPartition, OSError) as error:
            note_failure(run, RAW_STAGE, UNDATED, error)
        run.lake.files.write(INVENTORY, spooled.as_json())
        _judge_landed(run, dump, spooled)
    return spooled


def _judge_landed(run: Run, dump: Dump, inventory: Inventory) -> None:
    """Write the verdict on the map to the manifest of each date that is landed with the dump's records."""
    verdict = _verdict(dump, inventory)
    for date in inventory.dates():
        landed = run.lake.raw(date)
        if landed is not None and landed.id == inventory.part(date).id and landed.judged != verdict:
            run.lake.write_manifest(RAW_STAGE.manifest_at(date), replace(landed, judged=verdict))


def _verdict(dump: Dump, inventory: Inventory) -> Judged | None:
    return Judged(digest_of(dump.shape.fields), inventory.fault) if inventory.fault is not None else None


def _take_in(run: Run, dump: Dump, spooled: Inventory) -> Inventory:
    try:
        take_in(run, dump, spooled)
    except SpoolDamaged as error:
        spooled = _read_anew(run, dump, error)
        take_in(run, dump, spooled)
    return spooled


def _read_anew(run: Run, dump: Dump, error: SpoolDamaged) -> Inventory:
    """The inventory of a new spool. The spool that is there is damaged and is deleted."""
    emit("spool_damaged", level=logging.WARNING, reason=error, advice="none; the dump is read again")
    run.lake.work.remove(DUMP_SPOOLS)
    return read_dump(run, dump)


def land(run: Run, dump: Dump, todo: dict[str, str], outcome: Outcome) -> None:
    """Publish the raw partition of each date in `todo`, which maps a date to the reason. Call it under the lake's lock.

    Dates that fail are added to `outcome`. Raises UnreadableDump and SourceUnreadable.
    """
    inventory = known_inventory(run.lake, dump, run.intent) or _read(run, dump)
    unchanged = [date for date in todo if is_intact(run.lake, date, inventory.part(date).id)]
    answer = inventory.answers_as_of
    kept = [date for date in todo if date not in unchanged and has_better(run, date, answer)]
    changed = [date for date in todo if date not in {*unchanged, *kept}]
    _warn_of_older(kept, inventory)
    if changed:
        inventory = _read(run, dump)
        landing = _Landing(run, dump, {date: todo[date] for date in changed}, outcome)
        try:
            stay, publications = landing.staged(inventory)
        except SpoolDamaged as error:
            inventory = _read_anew(run, dump, error)
            stay, publications = landing.staged(inventory)
        kept += stay
        outcome.fail_all(run.lake.publish(publications))
    for date in unchanged:
        confirm(run, date, _answer(dump, inventory, date), todo[date])
    for date in kept:
        keep(run, date, todo[date])
    undated = run.lake.files.read(failure_file(RAW_STAGE, UNDATED, run.intent))
    if undated is not None and not run.intent.keep_going:
        outcome.fail(UNDATED, RunFailed(undated["error"]))
    landed = [date for date in todo if date not in outcome.failed]
    records = sum(inventory.part(date).count for date in landed)
    emit("extracted", dates=len(landed), unchanged=len(unchanged) + len(kept), records=records)


def _answer(dump: Dump, inventory: Inventory, date: str) -> RawManifest:
    """The manifest of a date by the dump's inventory."""
    part = inventory.part(date)
    return RawManifest(
        id=part.id,
        counts=RawCounts(part.count),
        made_from=dump.path,
        answers_as_of=inventory.answers_as_of,
        plain_by=part.plain_by,
        fields=texts_of(dump.shape.fields),
        judged=_verdict(dump, inventory),
    )


def _warn_of_older(dates: list[str], inventory: Inventory) -> None:
    if dates:
        emit(
            "older_dump",
            level=logging.WARNING,
            dates=fold_dates(dates),
            reason=f"the dump is of {shown(inventory.answers_as_of)}; the landed records are of a later time and stay",
            advice="to land these dates from this dump, add --force",
        )


@dataclass
class _Landing:
    """The dates of a dump whose raw partitions are replaced."""

    run: Run
    dump: Dump
    because: dict[str, str]
    outcome: Outcome

    def staged(self, inventory: Inventory) -> tuple[list[str], list[Publication[RawManifest]]]:
        """The dates that stay as they are, and the publications of the others. A date that fails is in neither.

        Raises SpoolDamaged.
        """
        stay = [] if self.run.intent.allow_shrink else self._refuse_shrunk(inventory)
        dates = [date for date in self.because if date not in {*stay, *self.outcome.failed}]
        return stay, [self._publication(date, inventory) for date in dates]

    def _publication(self, date: str, inventory: Inventory) -> Publication[RawManifest]:
        stage_part(self.run.lake, self.dump, date, inventory.part(date))
        return publication(self.run, date, _answer(self.dump, inventory, date), self.because[date])

    def _refuse_shrunk(self, inventory: Inventory) -> list[str]:
        """Fail each date if more than max_vanished_share of its landed order_ids are nowhere in the dump.

        Returns the open dates that stay as they are instead: the dump has no record of such a date, and its landed
        orders are not under other dates either. It may be the dump of another day.
        """
        known = set(self.run.lake.dates()).intersection(self.because)
        if not known:
            return []
        with self.run.open_engine() as engine:
            landed = {date: landed_order_ids(self.run.lake, engine, date) for date in sorted(known)}
            gone = self._gone(engine, inventory, landed)
        absent = [date for date in landed if _is_open_and_absent(self.run, date, inventory)]
        stay = [date for date in absent if date in gone or not landed[date]]
        _warn_of_absent(stay)
        for date, vanished in gone.items():
            if date not in stay:
                self.outcome.fail(date, shrunk(self.run, date, vanished, landed[date], self.dump.path))
        return stay

    def _gone(self, engine: Engine, inventory: Inventory, landed: dict[str, set[str]]) -> dict[str, set[str]]:
        """The landed order_ids that are nowhere in the dump, for each date that lacks too many."""
        gone, fields = {}, self.dump.shape.fields
        for date, before in landed.items():
            now = order_ids(engine, [part_bytes(self.run.lake, self.dump, date, inventory.part(date))], fields)
            if has_shrunk(before - now, before, self.run.intent):
                gone[date] = before - now
        for records in all_records(self.run.lake, self.dump, inventory) if gone else ():
            elsewhere = order_ids(engine, [records], fields)
            gone = {date: vanished - elsewhere for date, vanished in gone.items()}
        return {
            date: vanished for date, vanished in gone.items() if has_shrunk(vanished, landed[date], self.run.intent)
        }


def _is_open_and_absent(run: Run, date: str, inventory: Inventory) -> bool:
    """Whether the date is open and has landed records, but the dump has none."""
    landed = run.lake.raw(date)
    return (
        landed is not None
        and not run.intent.force
        and not inventory.part(date).count
        and run.lake.whole(landed)
        and landed.counts.extracted > 0
        and why_open(landed, date, run.intent.settle) is not None
    )


def _warn_of_absent(dates: list[str]) -> None:
    if dates:
        emit(
            "open_date_not_in_dump",
            level=logging.WARNING,
            dates=fold_dates(dates),
            reason="the dump holds no record of these open dates; their landed records stay, and the dates stay open",
            advice="if each dump holds single days, set [orders_api] settle_hours = 0",
        )
