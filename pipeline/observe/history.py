"""The runs of a lake, by the summaries that they left in runs/<as_of>.json.

A file there that has another shape than a summary counts as absent.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from pipeline.lake import AS_OF_FORMAT, Lake, run_name
from pipeline.observe.counts import outcome


@dataclass(frozen=True)
class Run:
    """What a run did. `as_of` is its stamp, `dates` are all that it looked at, `differing` counts settled dates."""

    as_of: str
    seconds: float | None
    dates: frozenset[str]
    built: int
    skipped: int
    failed: frozenset[str]
    errors: list[str]
    differing: int

    @property
    def state(self) -> str:
        return "failed" if self.errors else "ok"


class _Date(msgspec.Struct):
    built: dict[str, str]
    error: str | None


class _Check(msgspec.Struct):
    rows: int


class _Summary(msgspec.Struct):
    """What is read of a summary. What has a default is not in the oldest ones."""

    as_of: str
    dates: dict[str, _Date]
    failed: dict[date, str]
    checks: dict[str, _Check]
    errors: list[str] | None = None
    seconds: float | None = None
    settled_dates_that_differ: list[str] = []


_DECODER = msgspec.json.Decoder(_Summary)


def summary_name(as_of: datetime) -> str:
    """The name, in the lake, of the summary of a run."""
    return f"runs/{run_name(as_of)}.json"


def summary(lake: Lake, name: str) -> dict[str, Any] | None:
    """A summary as it was written; None when it is absent."""
    try:
        content = lake.files.read(name)
        _refuse_misnamed(msgspec.convert(content, _Summary), name)
    except (ValueError, RecursionError):
        return None
    return content


def runs(lake: Lake) -> Iterator[Run]:
    """Each run that has a summary, the newest first; a summary is read when its turn comes."""
    summaries = (_summary(lake, name) for name in reversed(lake.files.names("runs")))
    return (_run(found) for found in summaries if found is not None)


def last_success(lake: Lake) -> datetime | None:
    """When the newest run without an error began, naive UTC; None when there is none."""
    return next((datetime.strptime(run.as_of, AS_OF_FORMAT) for run in runs(lake) if not run.errors), None)


def _summary(lake: Lake, name: str) -> _Summary | None:
    try:
        # not lake.read, which takes three times as long and remembers what it has read
        found = _DECODER.decode(lake.files.bytes_of(name))
        _refuse_misnamed(found, name)
    # a JSON text may nest deeper than can be decoded
    except (OSError, ValueError, RecursionError):
        return None
    return found


def _refuse_misnamed(found: _Summary, name: str) -> None:
    expected = summary_name(datetime.strptime(found.as_of, AS_OF_FORMAT))
    if name != expected:
        raise ValueError(f"{name}: it is as of {found.as_of}; expected the name {expected}")


def _run(found: _Summary) -> Run:
    became = Counter(outcome(each.built, each.error) for each in found.dates.values())
    broken = [f"check {name}: {check.rows} row(s)" for name, check in found.checks.items() if check.rows]
    return Run(
        as_of=found.as_of,
        seconds=found.seconds,
        dates=frozenset(found.dates),
        built=became["built"],
        skipped=became["skipped"] + became["unchanged"],
        failed=frozenset(map(str, found.failed)),
        errors=[*dict.fromkeys(found.failed.values()), *broken] if found.errors is None else found.errors,
        differing=len(found.settled_dates_that_differ),
    )
