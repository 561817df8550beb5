"""A dump split by date, once, into one file from which any number of dates is published, and its inventory."""

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
from pipeline.sources.dump.splitting import laid_out

RECORDS, INVENTORY = "records", "inventory.json"


class SpoolDamaged(StorageUnusable):
    """The spool has other bytes than were written: it is not synced, so a power cut may cut it."""


def _spool(lake: Lake, dump: Dump) -> Spool:
    """The spool of a dump; another dump, or the same path with other content, has another."""
    key = json.dumps(dump.key, sort_keys=True)
    return lake.work.spool(DUMP_SPOOLS, hashlib.sha256(key.encode()).hexdigest()[:16])


def open_records(lake: Lake, dump: Dump) -> BinaryIO:
    """The records of all dates, which a Part reads from. Raises OSError."""
    return open(_spool(lake, dump).path(RECORDS), "rb")


def read_dump(run: Run, dump: Dump) -> Inventory:
    """The dump's inventory with its spool at hand; reads the dump unless both are. Call it under the lake's lock."""
    spooled = _spooled(run.lake, dump)
    return (spooled.of_run(dump, run.intent) if spooled is not None else None) or split(run, dump)


def _spooled(lake: Lake, dump: Dump) -> Inventory | None:
    try:
        return msgspec.json.decode(_spool(lake, dump).read(INVENTORY), type=Inventory)
    except (OSError, ValueError):
        return None


def peek(run: Run, dump: Dump) -> Inventory:
    """What the dump holds, without writing anything."""
    known = known_inventory(run.lake, dump, run.intent)
    if known is not None:
        return known
    return laid_out(dump, os.devnull, run, _was_believed(run, dump))


def split(run: Run, dump: Dump) -> Inventory:
    """Lay the dump out by date in its spool, in one pass; a date's records keep the dump's order.

    Raises UnreadableDump; then nothing is left of the spool.
    """
    staged = Spool(run.lake.work.scratch("spool"))
    staged.begin()
    inventory = laid_out(dump, staged.path(RECORDS), run, _was_believed(run, dump))
    staged.put(INVENTORY, json.dumps(inventory.as_json()))
    run.lake.work.remove(DUMP_SPOOLS)
    staged.move_to(_spool(run.lake, dump))
    records = sum(part.count for part in inventory.parts.values())
    emit("dump_read", dump=dump.path, records=records, dates=len(inventory.dates()))
    return inventory


def _was_believed(run: Run, dump: Dump) -> bool:
    """Whether this dump's mtime was believed, or the dump was never read."""
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
        raise SpoolDamaged(f"{name}: other bytes than were written to it; expected a disk that keeps what is written")
