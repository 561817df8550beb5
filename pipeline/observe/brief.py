"""The six lines at the end of a run's output: dates, orders, what was left out, money, problems and files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.observe.counts import DateSummary, Totals, totals
from pipeline.observe.history import Summary
from pipeline.observe.problems import Problem
from pipeline.terminal import printable, whole

# how many dates are of the first kinds is always said, of the others where there are any
KINDS, SELDOM_KINDS = ("built", "skipped", "failed"), ("unchanged", "dropped")
SHOWN_PROBLEMS = 10
SHOWN_CURRENCIES = 10
FAILURE, WARNING = "red", "yellow"


class Files(NamedTuple):
    """Where a run's summary is, and the report, if the run writes one."""

    summary: str
    report: str | None = None


class Line(NamedTuple):
    """A line of the brief. A further line of the same label has none. `style` is its colour on a terminal."""

    label: str
    text: str
    style: str = ""


def brief(summary: Summary, found: Sequence[Problem], files: Files) -> list[Line]:
    """The lines at the end of the output. A path or a command is never broken, so that it can be copied."""
    dates = list(summary.dates.values())
    total = totals([*dates, summary.undated])
    orders = {
        "extracted": total.extracted,
        "kept": total.kept,
        "superseded here": total.superseded_here,
        "superseded elsewhere": total.superseded_elsewhere,
    }
    return [
        Line("dates", _dates(dates)),
        Line("orders", _listed(orders)),
        Line("left out", f"{_left_out(total)}, {_listed({'excluded': total.excluded})}"),
        Line("money", _money(dates)),
        *_problems(found),
        Line("files", "; ".join(whole(f"{name} {path}") for name, path in _named(files))),
    ]


def _dates(dates: Sequence[DateSummary]) -> str:
    kinds = Counter("dropped" if date.dropped and not date.error else date.outcome for date in dates)
    return _listed({kind: kinds[kind] for kind in (*KINDS, *SELDOM_KINDS) if kinds[kind] or kind in KINDS})


def _left_out(total: Totals) -> str:
    reasons = ", ".join(map(whole, total.named_reasons))
    return _listed({"discarded": total.discarded}) + (f" ({reasons})" if reasons else "")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(whole(f"{count:,} {what}") for what, count in counts.items())


def _money(dates: Sequence[DateSummary]) -> str:
    """The amounts of the orders that the dates keep, by currency. Manifests of earlier versions do not have them."""
    sums: Counter[str] = Counter()
    for date in dates:
        for currency, amount in (date.amounts or {}).items():
            sums[currency] += _ten_thousandths(amount)
    # no currency comes last
    ordered = sorted(sums, key=lambda currency: (not currency, currency))
    said = [whole(f"{printable(currency) or 'no currency'} {_decimal(sums[currency])}") for currency in ordered]
    if len(said) > SHOWN_CURRENCIES:
        said[SHOWN_CURRENCIES:] = [f"and {len(said) - SHOWN_CURRENCIES:,} more currencies"]
    unknown = sum(bool(date.kept) and not isinstance(date.amounts, dict) for date in dates)
    if not unknown:
        return ", ".join(said) or "none"
    gap = f"not known of {unknown:,} date(s) that an earlier version built"
    return f"{', '.join(said)}; {gap}" if said else gap


def _ten_thousandths(amount: str) -> int:
    return int(amount.replace(".", ""))


def _decimal(ten_thousandths: int) -> str:
    """The number with commas and two decimals, or more where these are not zero."""
    units, rest = divmod(abs(ten_thousandths), 10_000)
    sign = "-" if ten_thousandths < 0 else ""
    return f"{sign}{units:,}.{f'{rest:04}'.rstrip('0').ljust(2, '0')}"


def _problems(found: Sequence[Problem]) -> list[Line]:
    if not found:
        return [Line("problems", "none")]
    lines = [
        Line(
            "" if position else "problems",
            printable(problem.text) + (f": {whole(printable(problem.command))}" if problem.command else ""),
            FAILURE if problem.is_failure else WARNING,
        )
        for position, problem in enumerate(found[:SHOWN_PROBLEMS])
    ]
    more = len(found) - SHOWN_PROBLEMS
    return [*lines, Line("", f"and {more:,} more: see the summary", WARNING)] if more > 0 else lines


def _named(files: Files) -> list[tuple[str, str]]:
    return [(name, printable(path)) for name, path in files._asdict().items() if path is not None]
