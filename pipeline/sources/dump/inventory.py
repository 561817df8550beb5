"""What a dump holds for each date, as one reading of it found."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO

import msgspec

from pipeline.contract import UNDATED
from pipeline.lake import AS_OF_FORMAT, EMPTY_ID, Intent, Lake
from pipeline.sources.dump.file import Dump

INVENTORY = "raw/_inventory.json"


@dataclass
class Part:
    """One date of a dump: how many records, the id of their bytes, and where they lie in the spool.

    `plain_by` is the logic version that found no record among them which has to be read exactly.
    """

    count: int = 0
    id: str = EMPTY_ID
    segments: list[tuple[int, int]] = field(default_factory=list)
    plain_by: int | None = None

    def read(self, spool: BinaryIO) -> Iterator[bytes]:
        """The date's records, in the dump's order, in pieces."""
        for offset, length in self.segments:
            spool.seek(offset)
            yield spool.read(length)


@dataclass
class Inventory:
    """What a dump holds for each date, as read by the run of `as_of`.

    Records are judged by `answers_as_of`, the moment that the dump speaks for: what is later than a day after it is in
    the future. `is_believed` says whether the dump's mtime counts for that.
    """

    dump: dict[str, Any]
    as_of: str
    answers_as_of: str
    is_believed: bool
    # whether a created_at or updated_at is in the future
    has_future: bool
    parts: dict[str, Part]
    # what the map does not find in the dump, empty if it fits; None where older versions have not asked
    fault: str | None = None

    def of_run(self, dump: Dump, intent: Intent) -> "Inventory | None":
        """What reading the dump in this run would tell; None when it has to be read for that.

        If nothing in the dump is in the future of one moment, nothing is in that of a later one.
        """
        answer = (spoken_for(dump, intent) if self.is_believed else intent.as_of).strftime(AS_OF_FORMAT)
        is_same = self.answers_as_of == answer or (not self.has_future and self.answers_as_of < answer)
        if self.dump != dump.key or not is_same or (intent.force and self.as_of < intent.stamp):
            return None
        return replace(self, answers_as_of=answer)

    def part(self, date: str) -> Part:
        """What the dump holds of a date; nothing, if it has no record of it."""
        return self.parts.get(date, Part())

    def as_json(self) -> dict[str, Any]:
        """The fields for a JSON file. Not dataclasses.asdict, which copies each of many segments."""
        return vars(self) | {"parts": {date: vars(part) for date, part in self.parts.items()}}

    def without_segments(self) -> "Inventory":
        """What can be said without the spool: kept beside raw, so that an unchanged dump is not opened again."""
        return replace(self, parts={date: replace(part, segments=[]) for date, part in self.parts.items()})

    def dates(self) -> list[str]:
        return sorted(date for date in self.parts if date != UNDATED)


def spoken_for(dump: Dump, intent: Intent) -> datetime:
    """The moment that a dump speaks for: when it was written, and no later than the run that reads it. Naive UTC."""
    return min(intent.as_of, dump.written_at)


def known_inventory(lake: Lake, dump: Dump, intent: Intent) -> Inventory | None:
    """What was read of this very dump before, if that is what reading it in this run would tell."""
    inventory = read_inventory(lake)
    return inventory.of_run(dump, intent) if inventory is not None else None


def read_inventory(lake: Lake) -> Inventory | None:
    """The inventory last written, or None."""
    try:
        return msgspec.convert(lake.files.read(INVENTORY), Inventory | None)
    except msgspec.ValidationError:
        return None
