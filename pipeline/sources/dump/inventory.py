"""The inventory of a dump: what a reading of the dump found for each date."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from pipeline.contract import UNDATED
from pipeline.lake import AS_OF_FORMAT, EMPTY_ID, Intent, Lake
from pipeline.sources.dump.file import Dump

INVENTORY = "raw/_inventory.json"


@dataclass
class Part:
    """One date of a dump: the number of its records, and the id of their bytes.

    `plain_by` is the logic version that found no record that DuckDB would misread; None if it found one.
    """

    count: int = 0
    id: str = EMPTY_ID
    plain_by: int | None = None


@dataclass
class Inventory:
    """What a dump holds for each date. `as_of` is the stamp of the run that read the dump.

    The dump speaks for the moment `answers_as_of`: a timestamp that is more than a day later is in the future.
    `is_believed` says whether the dump's mtime counts as the time when the dump was written.
    """

    dump: dict[str, Any]
    as_of: str
    answers_as_of: str
    is_believed: bool
    # whether a created_at or updated_at is in the future
    has_future: bool
    parts: dict[str, Part]
    # what the map does not find in the dump. Empty if the map fits. None in the inventory of an earlier version, which
    # did not look
    fault: str | None = None

    def of_run(self, dump: Dump, intent: Intent) -> "Inventory | None":
        """The inventory that reading the dump in this run would give. None if the dump has to be read.

        If no timestamp is in the future at one moment, none is at a later moment.
        """
        answer = (moment_of_dump(dump, intent) if self.is_believed else intent.as_of).strftime(AS_OF_FORMAT)
        is_same = self.answers_as_of == answer or (not self.has_future and self.answers_as_of < answer)
        if self.dump != dump.key or not is_same or (intent.force and self.as_of < intent.stamp):
            return None
        return replace(self, answers_as_of=answer)

    def part(self, date: str) -> Part:
        """The part of a date. It is empty if the dump has no record of the date."""
        return self.parts.get(date, Part())

    def as_json(self) -> dict[str, Any]:
        """The fields for a JSON file."""
        return vars(self) | {"parts": {date: vars(part) for date, part in self.parts.items()}}

    def dates(self) -> list[str]:
        return sorted(date for date in self.parts if date != UNDATED)


def moment_of_dump(dump: Dump, intent: Intent) -> datetime:
    """The moment that a dump speaks for, naive UTC: when it was written, but no later than the run's as_of."""
    return min(intent.as_of, dump.written_at)


def known_inventory(lake: Lake, dump: Dump, intent: Intent) -> Inventory | None:
    """The saved inventory, if reading the dump in this run would give the same. Otherwise None."""
    inventory = read_inventory(lake)
    return inventory.of_run(dump, intent) if inventory is not None else None


def read_inventory(lake: Lake) -> Inventory | None:
    """The saved inventory. None if there is none, or if it cannot be read."""
    try:
        return msgspec.convert(lake.files.read(INVENTORY), Inventory | None)
    except msgspec.ValidationError:
        return None
