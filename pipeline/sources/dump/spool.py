"""The spool of a dump: a file with the records of each date, which becomes the raw file of the date; an inventory."""

import hashlib
import json
import os
from collections.abc import Iterator

import msgspec

from pipeline.contract import raw_name
from pipeline.errors import StorageUnusable
from pipeline.events import emit
from pipeline.lake import DUMP_SPOOLS, Lake, Run, Spool, file_hash, is_id_of
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import Inventory, Part, known_inventory, read_inventory
from pipeline.sources.dump.splitting import split_by_date
from pipeline.sources.vanished import blocks

INVENTORY = "inventory.json"
# the inventories that this process has written, by path: their inode and mtime
_written: dict[str, tuple[int, int]] = {}


class SpoolDamaged(StorageUnusable):
    """The bytes of the spool differ from those that were written. A power cut may damage it, since it is not synced."""


def _spool(lake: Lake, dump: Dump) -> Spool:
    """The spool of a dump. Another dump, or other content at the same path, has another spool."""
    key = json.dumps(dump.key, sort_keys=True)
    return lake.work.spool(DUMP_SPOOLS, hashlib.sha256(key.encode()).hexdigest()[:16])


def read_dump(run: Run, dump: Dump) -> Inventory:
    """The dump's inventory with a spool. Reads the dump if a usable one is missing. Call it under the lake's lock."""
    spooled = _spooled(run.lake, dump)
    return (spooled.of_run(dump, run.intent) if spooled is not None else None) or split(run, dump)


def _spooled(lake: Lake, dump: Dump) -> Inventory | None:
    try:
        return msgspec.json.decode(_spool(lake, dump).read(INVENTORY), type=Inventory)
    except (OSError, ValueError):
        return None


def peek(run: Run, dump: Dump) -> Inventory:
    """The dump's inventory. Writes nothing."""
    known = known_inventory(run.lake, dump, run.intent)
    if known is not None:
        return known
    return split_by_date(dump, None, run, _was_believed(run, dump))


def split(run: Run, dump: Dump) -> Inventory:
    """Read the dump in one pass into a new spool. The records of a date keep the dump's order.

    Raises UnreadableDump and SourceUnreadable; then there is no new spool.
    """
    staged = Spool(run.lake.work.scratch("spool"))
    inventory = split_by_date(dump, staged, run, _was_believed(run, dump))
    staged.put(INVENTORY, json.dumps(inventory.as_json()))
    run.lake.work.remove(DUMP_SPOOLS)
    spool = _spool(run.lake, dump)
    staged.move_to(spool)
    _written[spool.path(INVENTORY)] = _version(spool)
    records = sum(part.count for part in inventory.parts.values())
    emit("dump_read", dump=dump.path, records=records, dates=len(inventory.dates()))
    return inventory


def _was_believed(run: Run, dump: Dump) -> bool:
    """Whether the mtime of this dump was believed at the last reading, or the dump was never read."""
    inventory = read_inventory(run.lake)
    return inventory is None or inventory.is_believed or inventory.dump != dump.key


def _version(spool: Spool) -> tuple[int, int]:
    stat = os.stat(spool.path(INVENTORY))
    return stat.st_ino, stat.st_mtime_ns


def stage_part(lake: Lake, dump: Dump, date: str, part: Part) -> None:
    """Make the file of a date in the spool the staged raw file of the date. Raises SpoolDamaged."""
    spool = _spool(lake, dump)
    if not part.count:
        lake.files.stage_bytes(raw_name(date), b"")
        return
    if not _is_untouched(spool, date):
        _compare(spool, date, part, _digest(spool, date))
    lake.files.stage_link(raw_name(date), spool.path(date))


def _is_untouched(spool: Spool, date: str) -> bool:
    """Whether this process has written the file and has not staged it before: nothing can have changed its bytes."""
    try:
        is_own = _written.get(spool.path(INVENTORY)) == _version(spool)
        return is_own and os.stat(spool.path(date)).st_nlink == 1
    except FileNotFoundError:
        return False


def part_bytes(lake: Lake, dump: Dump, date: str, part: Part) -> bytes:
    """One date's records, as the dump has them. Raises SpoolDamaged."""
    spool = _spool(lake, dump)
    try:
        data = spool.read(date) if part.count else b""
    except FileNotFoundError:
        data = b""
    _compare(spool, date, part, hashlib.sha256(data).hexdigest())
    return data


def all_records(lake: Lake, dump: Dump, inventory: Inventory) -> Iterator[bytes]:
    """The records of all dates and those without a date, in buffers of whole lines. Raises SpoolDamaged."""
    spool = _spool(lake, dump)
    for date, part in inventory.parts.items():
        _compare(spool, date, part, _digest(spool, date))
        with open(spool.path(date), "rb") as file:
            yield from blocks(file)


def _digest(spool: Spool, date: str) -> str:
    """The sha256 of the file of a date; empty if the file is missing."""
    try:
        return file_hash(spool.path(date))
    except FileNotFoundError:
        return ""


def _compare(spool: Spool, date: str, part: Part, digest: str) -> None:
    if not is_id_of(part.id, digest):
        name = spool.path(date)
        raise SpoolDamaged(f"{name}: its bytes differ from those that were written; check the disk and run again")
