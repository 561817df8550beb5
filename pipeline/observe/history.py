"""The summaries that the runs of a lake left, one as runs/<as_of>.json.

A file there that has another shape counts as absent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.contract import UNDATED
from pipeline.dates import is_date
from pipeline.lake import AS_OF_FORMAT, Lake, json_object, run_name
from pipeline.observe.checks import Breaches, LateArriving
from pipeline.observe.counts import Asked, Counts, DateSummary, Totals, UndatedSummary, totals
from pipeline.observe.health import Health


class Changed(msgspec.Struct):
    """What --changed-since found: its start, whether `auto` may go on from this run, and the dates; None: all."""

    since: str | None
    moves_on: bool
    dates: list[str] | None = None
    # what asking took: pages, requests, restarts, and retries by kind
    api: dict[str, int] | UnsetType = UNSET


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked for: RunAll's parameters, times as ISO text, or the name of another command."""

    command: str | UnsetType = UNSET
    since: str | UnsetType | None = UNSET
    until: str | UnsetType | None = UNSET
    force: bool | UnsetType = UNSET
    reprocess: bool | UnsetType = UNSET
    changed_since: str | UnsetType | None = UNSET
    changes: Changed | UnsetType | None = UNSET


class Summary(Options, frozen=True, kw_only=True):
    """What a run did. What has a default is not in the oldest summaries; what is UNSET is not written."""

    as_of: str
    seconds: float | None = None
    chosen_dates: str = ""
    newest_settled_date: str | None = None
    dates: dict[str, DateSummary]
    undated: UndatedSummary = UndatedSummary()
    api: Asked = Asked()
    currencies: list[str] = []
    settled_dates_that_differ: list[str] = []
    late_arriving: LateArriving = LateArriving()
    # the fields of what was built that are not as they should be
    health: list[Health] = []
    checks: dict[str, Breaches]
    # the error of each date that failed
    failed: dict[str, str]
    retries_exhausted: list[str] = []
    # as written; see errors
    listed_errors: list[str] | None = msgspec.field(name="errors", default=None)

    @property
    def began(self) -> datetime:
        """as_of, naive UTC. Raises ValueError."""
        return datetime.strptime(self.as_of, AS_OF_FORMAT)

    @property
    def errors(self) -> list[str]:
        """All that failed; of a summary that lists nothing, its failed dates and checks."""
        if self.listed_errors is not None:
            return self.listed_errors
        broken = [f"check {name}: {check.rows} row(s)" for name, check in self.checks.items() if check.rows]
        return [*dict.fromkeys(self.failed.values()), *broken]

    @property
    def state(self) -> str:
        return "failed" if self.errors else "ok"

    @property
    def outcomes(self) -> Counter[str]:
        """How many dates were built, unchanged, skipped, and failed."""
        return Counter(date.outcome for date in self.dates.values())

    @property
    def results(self) -> dict[str, int]:
        """How many dates were built, skipped, and failed; an unchanged date counts as built."""
        found = self.outcomes
        return {"built": found["built"] + found["unchanged"], "skipped": found["skipped"], "failed": found["failed"]}

    @property
    def built(self) -> Totals:
        """What the partitions hold that the run built, in all."""
        return totals(made(self.dates, self.undated).values())


def made(dates: Mapping[str, DateSummary], undated: UndatedSummary) -> dict[str, Counts]:
    """What the partitions hold that a run built.

    Of the undated partition, which keeps what earlier dumps had, those records that this run's dump has added.
    """
    counted: dict[str, Counts] = {date: found for date, found in dates.items() if found.built}
    if undated.built:
        added = undated.added or {}
        counted[UNDATED] = Counts(extracted=sum(added.values()), discarded=added)
    return counted


_DECODER = msgspec.json.Decoder(Summary)


def summary_name(as_of: datetime) -> str:
    """The name, in the lake, of the summary of a run."""
    return f"runs/{run_name(as_of)}.json"


def write_summary(lake: Lake, written: Summary) -> str:
    """Leave the summary of a run in the lake, and return its path. Call it under the lake's lock."""
    name = summary_name(written.began)
    lake.files.write(name, msgspec.to_builtins(written))
    return lake.files.fetch(name)


def summary(lake: Lake, name: str) -> Summary | None:
    """The summary of this name; None when it is absent."""
    return _if_named(name, lambda: lake.files.read_as(name, _read))


def runs(lake: Lake) -> Iterator[Summary]:
    """The summary of each run, the newest first; each is read when its turn comes, and not remembered.

    A WARNING names, once, a file that is no summary.
    """
    for name in reversed([name for name in lake.files.names("runs") if name.endswith(".json")]):
        found = _if_named(name, partial(_read_now, lake, name))
        if found is not None:
            yield found
        else:
            lake.files.name_foreign(name, "no summary of the run that it is named after; it counts as absent")


def last_success(lake: Lake) -> datetime | None:
    """When the newest run without an error began, naive UTC; None when there is none."""
    return next((run.began for run in runs(lake) if not run.errors), None)


def _read_now(lake: Lake, name: str) -> Summary:
    return _read(lake.files.bytes_of(name))


def _read(content: bytes) -> Summary:
    try:
        return _DECODER.decode(content)
    except ValueError:
        # the error of a path that is no UTF-8 may hold half a surrogate, which only a slower reader takes
        return msgspec.convert(json_object(content), Summary)


def _if_named(name: str, read: Callable[[], Summary | None]) -> Summary | None:
    """What is read, if it is a summary that belongs under this name."""
    try:
        found = read()
        belongs = found is not None and name == summary_name(found.began) and all(map(is_date, found.failed))
    # a JSON text may nest deeper than can be decoded
    except (OSError, ValueError, RecursionError):
        return None
    return found if belongs else None
