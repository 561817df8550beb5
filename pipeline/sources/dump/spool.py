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

INVENTORY = "inventory.json"
SCAN_BYTES = 64 << 20
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
    """Make the file of a date in the spool the staged raw file of the date. Raises SpoolDamaged.

    If this process has written the file, and has not staged it before, its bytes are not compared: nothing can have
    changed them.
    """
    spool = _spool(lake, dump)
    path = spool.path(date)
    if not part.count:
        lake.files.stage_bytes(raw_name(date), b"")
        return
    try:
        is_new = _written.get(spool.path(INVENTORY)) == _version(spool) and os.stat(path).st_nlink == 1
        digest = None if is_new else file_hash(path)
    except FileNotFoundError:
        digest = ""
    if digest is not None and not is_id_of(part.id, digest):
        raise _damaged(path)
    lake.files.stage_link(raw_name(date), path)


def part_bytes(lake: Lake, dump: Dump, date: str, part: Part) -> bytes:
    """One date's records, as the dump has them. Raises SpoolDamaged."""
    spool = _spool(lake, dump)
    try:
        data = spool.read(date) if part.count else b""
    except FileNotFoundError:
        data = b""
    if not is_id_of(part.id, hashlib.sha256(data).hexdigest()):
        raise _damaged(spool.path(date))
    return data


def all_records(lake: Lake, dump: Dump, inventory: Inventory) -> Iterator[bytes]:
    """The records of all dates and those without a date, in buffers of whole lines. Raises SpoolDamaged."""
    held: list[bytes] = []
    for date, part in inventory.parts.items():
        held.append(part_bytes(lake, dump, date, part))
        if sum(map(len, held)) >= SCAN_BYTES:
            yield b"".join(held)
            held = []
    yield b"".join(held)


def _damaged(path: str) -> SpoolDamaged:
    return SpoolDamaged(f"{path}: its bytes differ from those that were written; check the disk and run again")
