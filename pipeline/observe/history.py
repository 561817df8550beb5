"""The summaries of the runs of a lake: one file runs/<as_of>.json per run.

A file of another shape counts as absent.
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
    """The result of --changed-since. `moves_on`: the next `auto` starts at this run. `dates` is None for all dates."""

    since: str | None
    moves_on: bool
    dates: list[str] | None = None
    # pages, requests, restarts and retries by kind
    api: dict[str, int] | UnsetType = UNSET


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do: RunAll's parameters (times as ISO text), or the name of another command."""

    command: str | UnsetType = UNSET
    since: str | UnsetType | None = UNSET
    until: str | UnsetType | None = UNSET
    force: bool | UnsetType = UNSET
    reprocess: bool | UnsetType = UNSET
    changed_since: str | UnsetType | None = UNSET
    changes: Changed | UnsetType | None = UNSET


class Summary(Options, frozen=True, kw_only=True):
    """The content of a summary. Fields with a default are absent in the oldest summaries. UNSET is not written."""

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
    # the fields that health() found in the partitions that the run built
    health: list[Health] = []
    checks: dict[str, Breaches]
    # the error of each date that failed
    failed: dict[str, str]
    retries_exhausted: list[str] = []
    # the key `errors` of the file; None in the oldest summaries
    listed_errors: list[str] | None = msgspec.field(name="errors", default=None)

    @property
    def began(self) -> datetime:
        """as_of as naive UTC. Raises ValueError."""
        return datetime.strptime(self.as_of, AS_OF_FORMAT)

    @property
    def errors(self) -> list[str]:
        """All errors of the run. If the summary has no `errors`, they are its failed dates and checks."""
        if self.listed_errors is not None:
            return self.listed_errors
        broken = [f"check {name}: {check.rows} row(s)" for name, check in self.checks.items() if check.rows]
        return [*dict.fromkeys(self.failed.values()), *broken]

    @property
    def state(self) -> str:
        return "failed" if self.errors else "ok"

    @property
    def outcomes(self) -> Counter[str]:
        """How many dates were built, unchanged, skipped and failed."""
        return Counter(date.outcome for date in self.dates.values())

    @property
    def results(self) -> dict[str, int]:
        """How many dates were built, skipped and failed; an unchanged date counts as built."""
        found = self.outcomes
        return {"built": found["built"] + found["unchanged"], "skipped": found["skipped"], "failed": found["failed"]}

    @property
    def built(self) -> Totals:
        """The totals of the partitions that the run built."""
        return totals(made(self.dates, self.undated).values())


def made(dates: Mapping[str, DateSummary], undated: UndatedSummary) -> dict[str, Counts]:
    """The counts of the partitions that a run built.

    The undated partition keeps records of earlier dumps; only the records that this run's dump added are counted.
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
    """Write the summary of a run to the lake, and return its path. Call it under the lake's lock."""
    name = summary_name(written.began)
    lake.files.write(name, msgspec.to_builtins(written))
    return lake.files.fetch(name)


def summary(lake: Lake, name: str) -> Summary | None:
    """The summary of this name; None if it is absent or of another shape."""
    return _if_named(name, lambda: lake.files.read_as(name, _read))


def runs(lake: Lake) -> Iterator[Summary]:
    """The summary of each run, the newest first. Each is read when the iterator reaches it, and is not cached.

    One WARNING names a file that is not a summary.
    """
    for name in reversed([name for name in lake.files.names("runs") if name.endswith(".json")]):
        found = _if_named(name, partial(_read_now, lake, name))
        if found is not None:
            yield found
        else:
            lake.files.name_foreign(name, "no summary of the run that it is named after; it counts as absent")


def last_success(lake: Lake) -> datetime | None:
    """The as_of of the newest run without an error, as naive UTC; None if there is none."""
    return next((run.began for run in runs(lake) if not run.errors), None)


def _read_now(lake: Lake, name: str) -> Summary:
    return _read(lake.files.bytes_of(name))


def _read(content: bytes) -> Summary:
    try:
        return _DECODER.decode(content)
    except ValueError:
        # an error text with a path that is not UTF-8 may hold half a surrogate pair, which only json_object accepts
        return msgspec.convert(json_object(content), Summary)


def _if_named(name: str, read: Callable[[], Summary | None]) -> Summary | None:
    """The summary that `read` returns, if its as_of matches the file's name; otherwise None."""
    try:
        found = read()
        belongs = found is not None and name == summary_name(found.began) and all(map(is_date, found.failed))
    # a JSON text may nest deeper than the decoder can recurse
    except (OSError, ValueError, RecursionError):
        return None
    return found if belongs else None
