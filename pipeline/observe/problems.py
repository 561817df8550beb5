"""The problems of a run: what somebody has to look at, each with the command that comes next."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from pipeline.dates import fold_dates
from pipeline.engine import REQUIRED
from pipeline.observe.health import Health
from pipeline.observe.history import Summary

PROGRAM = "python -m pipeline"
SHOWN_DATES = 10
RUN_AGAIN = "run again"
# the errors of dates that fail alike differ in dates and counts
NUMBER = re.compile(r"[\d,]+")


class Problem(NamedTuple):
    """What is wrong, and the command that comes next, if there is one. `is_failure`: something was not published."""

    text: str
    command: str = ""
    is_failure: bool = False


def problems(summary: Summary, notes: Sequence[str]) -> list[Problem]:
    """The failures first. `notes` say what is unusual about the source."""
    ill = [_of_field(summary, found) for found in summary.health]
    return [*_failures(summary), *map(Problem, notes), *ill, *_differing(summary)]


def again(summary: Summary, dates: Sequence[str], *, force: bool = False) -> str:
    """The command that runs these dates again as the run did; without dates, all that the run was asked for."""
    since, until = (dates[0], _day_after(dates[-1])) if dates else (summary.since, None)
    flags = {"--force": summary.force or force, "--reprocess": summary.reprocess}
    said = {"--since": since, "--until": until, **flags, "--changed-since": summary.changed_since}
    words = [option if value is True else f"{option} {value}" for option, value in said.items() if value]
    return " ".join([PROGRAM, *words])


def _failures(summary: Summary) -> list[Problem]:
    """One problem for all dates that failed alike. Then one for each failure that is not of a date."""
    alike: dict[str, dict[str, str]] = {}
    for day, error in sorted(summary.failed.items()):
        alike.setdefault(NUMBER.sub("", error), {})[day] = error
    of_dates = [_failure(_of_dates(failed), again(summary, list(failed))) for failed in alike.values()]
    others = [error for error in summary.errors if not any(text in error for text in summary.failed.values())]
    # an error that names a command needs no other one
    named = [
        Problem(error, is_failure=True) if PROGRAM in error else _failure(error, again(summary, [])) for error in others
    ]
    return [*of_dates, *named]


def _failure(text: str, command: str) -> Problem:
    return Problem(text if text.endswith(RUN_AGAIN) else f"{text}; {RUN_AGAIN}", command, is_failure=True)


def _of_dates(failed: Mapping[str, str]) -> str:
    """One text for dates that failed alike. Their errors may differ in numbers; then the text has the first error."""
    error = next(iter(failed.values()))
    dates = fold_dates(failed)
    if len(set(failed.values())) > 1:
        return f"{dates} failed, the first of them with: {error}"
    return error if f"date={dates}" in error else f"{dates} failed: {error}"


def _of_field(summary: Summary, found: Health) -> Problem:
    """The problem of an ill field. It names the command that shows the discarded records.

    An unreadable value is null in the tables and its record is not in quarantine. So the problem names an order.
    """
    reasons = [reason for reason in summary.built.reasons if reason in REQUIRED.get(found.field, {})]
    if reasons:
        return Problem(f"{found.text}; the records", f"{PROGRAM} quarantine --reason {','.join(reasons)}")
    for day, counted in summary.dates.items():
        of_field = (counted.fields or {}).get(found.field)
        if counted.built and of_field is not None and of_field.first:
            return Problem(f"{found.text}; the first is in order {of_field.first} of {day}")
    return Problem(found.text)


def _differing(summary: Summary) -> list[Problem]:
    dates = summary.settled_dates_that_differ
    if not dates:
        return []
    named = fold_dates(dates).split(",")
    more = ", …" if len(named) > SHOWN_DATES else ""
    text = (
        f"{len(dates):,} settled date(s) differ in the source and were skipped: {', '.join(named[:SHOWN_DATES])}{more}"
    )
    return [Problem(f"{text}; extract them again", again(summary, dates, force=True))]


def _day_after(day: str) -> str:
    return str(date.fromisoformat(day) + timedelta(days=1))
