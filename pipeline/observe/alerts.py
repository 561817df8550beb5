"""Decides whether a run needs a message to people, and writes that one message."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import UnsetType

from pipeline.dates import days_between, fold_dates
from pipeline.observe.counts import DateSummary
from pipeline.observe.history import Summary
from pipeline.observe.problems import PROGRAM, again

SHOWN_ERRORS = 10
# a date counts as newly settled for so long
NEWLY = timedelta(days=1)


@dataclass(frozen=True)
class Rules:
    """The limits above which a run without an error needs a message. A date is settled `settle` after its end."""

    no_data_after: timedelta
    max_discard_share: float
    min_discarded: int
    settle: timedelta


class Message(NamedTuple):
    """The one message of a run."""

    title: str
    body: str


class Finding(NamedTuple):
    """What one rule found: a few words for the title, and the full text."""

    title: str
    text: str


def alert(summary: Summary, path: str, rules: Rules) -> Message | None:
    """The message about a run, whose summary is at `path`; None if nothing is wrong."""
    found = [*_exhausted(summary), *_failed(summary), *_silent(summary, rules), *_discarding(summary, rules)]
    found += _ill(summary)
    if not found:
        return None
    body = "\n\n".join(finding.text for finding in found)
    title = f"orders lake: {', '.join(finding.title for finding in found)}"
    return Message(title, f"{body}\n\nRun as of {summary.as_of}; summary: {path}")


def alert_of_failure(task: str, error: str, as_of: str) -> Message:
    """The message about a task that failed and that no summary reports."""
    return Message(f"orders lake: {task} failed", f"{error}\n\nRun as of {as_of}; fix the cause and run again.")


def _exhausted(summary: Summary) -> list[Finding]:
    dates = summary.retries_exhausted
    if not dates:
        return []
    title = f"the API gave no answer for {len(dates)} date(s)"
    errors = sorted({summary.failed[date] for date in dates})
    text = f"Retries exhausted for {fold_dates(dates)}:\n{_listed(errors)}\nRun again: {again(summary, dates)}"
    return [Finding(title, text)]


def _failed(summary: Summary) -> list[Finding]:
    named = {summary.failed[date] for date in summary.retries_exhausted}
    errors = [error for error in summary.errors if not any(text in error for text in named)]
    if not errors:
        return []
    dates = sorted(set(summary.failed) - set(summary.retries_exhausted))
    title = f"{len(dates)} date(s) failed" if dates else f"{len(errors)} error(s)"
    return [Finding(title, f"Failed:\n{_listed(errors)}\nRun again: {again(summary, dates)}")]


def _listed(errors: list[str]) -> str:
    more = [f"- and {len(errors) - SHOWN_ERRORS} more"] if len(errors) > SHOWN_ERRORS else []
    return "\n".join([*(f"- {error}" for error in errors[:SHOWN_ERRORS]), *more])


def _silent(summary: Summary, rules: Rules) -> list[Finding]:
    """Open or newly settled dates without an order. None for --reprocess and --changed-since: they skip dates."""
    if summary.reprocess or summary.changed_since:
        return []
    as_of, since, until = summary.began, _instant(summary.since), _instant(summary.until)
    first = as_of - NEWLY - rules.settle - timedelta(days=1)
    dates = days_between(max(first, since or first), min(as_of - rules.no_data_after, until or as_of))
    begun = [date for date in dates if datetime.fromisoformat(date) > first and date not in summary.failed]
    empty = [date for date in begun if _is_silent(summary.dates.get(date))]
    if not empty:
        return []
    hours = rules.no_data_after / timedelta(hours=1)
    text = (
        f"No orders of {fold_dates(empty)}, which began more than {hours:g} h before the run "
        f"([alerts] no_data_after_hours). Look for the cause: {PROGRAM} doctor"
    )
    return [Finding(f"no orders of {fold_dates(empty)}", text)]


def _is_silent(date: DateSummary | None) -> bool:
    """Whether the date has no orders and is not dropped on purpose."""
    return date is None or not (date.extracted or date.dropped)


def _discarding(summary: Summary, rules: Rules) -> list[Finding]:
    built = summary.built
    if built.discarded < rules.min_discarded or built.discarded <= rules.max_discard_share * built.extracted:
        return []
    share = f"{built.discarded:,} of {built.extracted:,} records discarded"
    text = (
        f"{share} ({', '.join(built.named_reasons)}), more than a share of {rules.max_discard_share:g} "
        f"([alerts] max_discard_share). Look at them: {PROGRAM} quarantine"
    )
    return [Finding(share, text)]


def _ill(summary: Summary) -> list[Finding]:
    """The fields with more absent or unreadable values than [health] allows."""
    texts = [f"- {found.text}" for found in summary.health if found.is_ill]
    names = ", ".join(found.field for found in summary.health if found.is_ill)
    text = "\n".join(["More absent or unreadable values than [health] allows:", *texts])
    return [Finding(f"{names} not as expected", text)] if texts else []


def _instant(text: str | UnsetType | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
