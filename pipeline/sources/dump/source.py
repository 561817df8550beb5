"""A JSON dump as a source of orders."""

import os
from collections.abc import Iterator
from datetime import datetime

from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.dates import Range
from pipeline.lake import Lake, Outcome, Run, differs, why_incomplete
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Diagnosis
from pipeline.sources.base import Changes
from pipeline.sources.dump.file import Dump, resolved
from pipeline.sources.dump.inventory import Inventory, read_inventory
from pipeline.sources.dump.land import land, up_to_date_inventory
from pipeline.sources.raw import Shape


class DumpSource:
    """The dump at the path of a shape. Each call uses the file in its present state."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._inventory: Inventory | None = None

    @property
    def origin(self) -> str:
        return resolved(self.shape.url)

    @property
    def bytes_to_lay_out(self) -> int:
        return os.path.getsize(self.shape.url) if os.path.isfile(self.shape.url) else 0

    def dates(self, run: Run, asked: Range, *, writes: bool = True) -> list[str]:
        self._inventory = up_to_date_inventory(run, Dump.at(self.shape), writes=writes)
        return self._inventory.dates()

    def land(self, run: Run, dates: list[str]) -> None:
        outcome = Outcome(RAW_STAGE)
        with run.lake.work.locked():
            todo = {date: reason for date in dates if (reason := why_incomplete(run.lake, RAW_STAGE, date, run.intent))}
            if todo:
                land(run, Dump.at(self.shape), todo, outcome)
            outcome.close(run.lake, run.intent)

    def changed(self, run: Run, since: datetime, asked: Range) -> Changes:
        """The dates whose records differ from the landed ones, and those never landed. `since` does not matter."""
        inventory = up_to_date_inventory(run, Dump.at(self.shape))
        new = [date for date in inventory.dates() if run.lake.raw(date) is None]
        return Changes({*_differing(run.lake, inventory, run.lake.dates()), *new})

    def differing(self, lake: Lake, dates: list[str]) -> list[str]:
        """The dates whose landed records differ from the saved inventory. Empty without an inventory."""
        inventory = self._inventory or read_inventory(lake)
        return _differing(lake, inventory, dates) if inventory is not None else []

    def extent(self, lake: Lake) -> str | None:
        inventory = self._inventory or read_inventory(lake)
        if inventory is None:
            return None
        dates, undated = inventory.dates(), inventory.part(UNDATED).count
        if dates:
            return dates[0] if len(dates) == 1 else f"{dates[0]}..{dates[-1]}"
        without = f" and {undated:,} record(s) without one: see `python -m pipeline quarantine`" if undated else ""
        return f"no record with a usable date{without}"

    def probe(self, run: Run) -> list[Diagnosis]:
        dump = Dump.at(self.shape)
        try:
            with open(dump.path, "rb") as file:
                file.read(1)
        except OSError as error:
            mend = "mend: give this user the right to read the file, or correct [orders_api] url"
            return [Diagnosis(ERROR, "source", f"{dump.path}: {error.strerror}", mend)]
        if not dump.size:
            return [Diagnosis(WARNING, "source", f"{dump.path}: an empty file", "mend: check what writes the dump")]
        return [Diagnosis(OK, "source", f"{dump.path}: {dump.size:,} bytes")]

    def all_records(self) -> Iterator[bytes]:
        return (buffer for buffer, _ in Dump.at(self.shape).records())


def _differing(lake: Lake, inventory: Inventory, dates: list[str]) -> list[str]:
    return [date for date in dates if differs(lake, date, inventory.part(date).id)]
