"""The spool of a dump: a file with its records by date, from which dates are published, and its inventory."""

import hashlib
import json
import os
from typing import BinaryIO

import msgspec

from pipeline.errors import StorageUnusable
from pipeline.events import emit
from pipeline.lake import DUMP_SPOOLS, Lake, Run, Spool, is_id_of
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import Inventory, Part, known_inventory, read_inventory
from pipeline.sources.dump.splitting import split_by_date

RECORDS, INVENTORY = "records", "inventory.json"


class SpoolDamaged(StorageUnusable):
    """The bytes of the spool differ from those that were written. A power cut may damage it, since it is not synced."""


def _spool(lake: Lake, dump: Dump) -> Spool:
    """The spool of a dump. Another dump, or other content at the same path, has another spool."""
    key = json.dumps(dump.key, sort_keys=True)
    return lake.work.spool(DUMP_SPOOLS, hashlib.sha256(key.encode()).hexdigest()[:16])


def open_records(lake: Lake, dump: Dump) -> BinaryIO:
    """The file with the records of all dates, for Part.read. Raises OSError."""
    return open(_spool(lake, dump).path(RECORDS), "rb")


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
    return split_by_date(dump, os.devnull, run, _was_believed(run, dump))


def split(run: Run, dump: Dump) -> Inventory:
    """Read the dump in one pass into a new spool. The records of a date keep the dump's order.

    Raises UnreadableDump and SourceUnreadable; then there is no new spool.
    """
    staged = Spool(run.lake.work.scratch("spool"))
    staged.begin()
    inventory = split_by_date(dump, staged.path(RECORDS), run, _was_believed(run, dump))
    staged.put(INVENTORY, json.dumps(inventory.as_json()))
    run.lake.work.remove(DUMP_SPOOLS)
    staged.move_to(_spool(run.lake, dump))
    records = sum(part.count for part in inventory.parts.values())
    emit("dump_read", dump=dump.path, records=records, dates=len(inventory.dates()))
    return inventory


def _was_believed(run: Run, dump: Dump) -> bool:
    """Whether the mtime of this dump was believed at the last reading, or the dump was never read."""
    inventory = read_inventory(run.lake)
    return inventory is None or inventory.is_believed or inventory.dump != dump.key


def copy_part(lake: Lake, dump: Dump, part: Part, target: str) -> None:
    """Write one date's records to a file, as the dump has them. Raises SpoolDamaged."""
    digest = hashlib.sha256()
    with open_records(lake, dump) as spool, open(target, "wb") as file:
        for piece in part.read(spool):
            digest.update(piece)
            file.write(piece)
    _compare(lake, dump, part, digest.hexdigest())


def part_bytes(lake: Lake, dump: Dump, part: Part) -> bytes:
    """One date's records, as the dump has them. Raises SpoolDamaged."""
    with open_records(lake, dump) as spool:
        data = b"".join(part.read(spool))
    _compare(lake, dump, part, hashlib.sha256(data).hexdigest())
    return data


def refuse_damaged(lake: Lake, dump: Dump, inventory: Inventory) -> None:
    """Raises SpoolDamaged unless every record is in the spool as it was written."""
    for part in inventory.parts.values():
        part_bytes(lake, dump, part)


def _compare(lake: Lake, dump: Dump, part: Part, digest: str) -> None:
    if not is_id_of(part.id, digest):
        name = _spool(lake, dump).path(RECORDS)
        raise SpoolDamaged(f"{name}: its bytes differ from those that were written; check the disk and run again")
