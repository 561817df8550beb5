"""The texts and tables of the page, as plain values for its template."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any

from pipeline.dates import fold_dates
from pipeline.observe.counts import totals
from pipeline.observe.history import Summary
from pipeline.observe.problems import PROGRAM
from pipeline.report.content import FIELDS, NO_CURRENCY, SHOWN_CURRENCIES, Content, added, late_orders, results_of
from pipeline.report.figures import Rows
from pipeline.report.partitions import Partition

NONE = "–"
SHOWN_RUNS, NAMED_CURRENCIES = 12, 20
# how many errors of the newest run are shown, and how many characters of each
SHOWN_ERRORS, SHOWN_CHARACTERS = 20, 600

Cells = list[list[str]]
# pairs of a CSS variable and its label
Legend = list[tuple[str, str]]


def values(content: Content) -> dict[str, Any]:
    """The values of the template by name."""
    names = [_currency(currency) for currency in content.shown_currencies]
    currency_rows = _currency_rows(content)
    return {
        "as_of": f"{content.as_of:%Y-%m-%d %H:%M}",
        "is_empty": not content.partitions,
        **_headline(content),
        "attention": _attention(content),
        "currencies": list(enumerate(names)),
        "currency_legend": _currency_legend(names, len(content.currencies)),
        "currency_rows": currency_rows[:NAMED_CURRENCIES],
        "more_currencies": max(0, len(currency_rows) - NAMED_CURRENCIES),
        "month_rows": _month_rows(content),
        "reason_legend": _series(content.reasons),
        "reason_rows": _reason_rows(content),
        "field_legend": _series(FIELDS),
        "field_rows": _field_rows(content),
        "sales_dates": _counted(len(content.figures.sales_dates), "date"),
        "runs": _counted(len(content.runs), "run"),
        "run_rows": _run_rows(content.runs),
    }


def _headline(content: Content) -> dict[str, Any]:
    newest = content.partitions[-1] if content.partitions else None
    total = content.totals
    until = content.settled_until
    return {
        "last_run": content.runs[-1].state if content.runs else None,
        "last_run_note": _last_run(content.runs),
        "freshness_note": f"since {until:%Y-%m-%d %H:%M}, the end of the newest settled date"
        if until
        else "no date is settled yet",
        "newest_date": newest.date if newest else NONE,
        "newest_date_note": _newest(newest),
        "orders": _number(total.kept),
        "orders_note": f"on {_counted(len(content.partitions), 'date')}",
        "discarded": _number(total.discarded),
        "discarded_note": f"{_share(total.discarded, total.extracted)} of {_number(total.extracted)} records",
    }


def _last_run(runs: list[Summary]) -> str:
    if not runs:
        return "no run has written a summary"
    took = f", took {_duration(runs[-1].seconds)}" if runs[-1].seconds is not None else ""
    return f"{_minute(runs[-1].as_of)}{took}"


def _newest(part: Partition | None) -> str:
    if part is None:
        return "the lake is empty"
    return f"{_counted(part.counts.kept or 0, 'order')}, {'settled' if part.settled else 'still open'}"


def _attention(content: Content) -> list[tuple[str, str]]:
    """What needs attention, the worst first: pairs of a text and the command that helps, which may be empty."""
    newest = content.runs[-1:]
    items = [(f"The last run failed: {_short(error)}", "") for run in newest for error in run.errors[:SHOWN_ERRORS]]
    for label, dates in (("Failed in their last run", sorted(content.failed)), ("Incomplete", content.incomplete)):
        if dates:
            items.append((f"{label}: {fold_dates(dates)}", f"{PROGRAM} --since {dates[0]}"))
    for run in newest:
        if run.settled_dates_that_differ:
            differing = len(run.settled_dates_that_differ)
            skipped = f"{_counted(differing, 'settled date')} skipped, although the source has other records for them"
            items.append((skipped, f"{PROGRAM} plan"))
        items += [(_short(found.text), "") for found in run.health if found.is_ill]
    if content.absent:
        items.append((f"Dates without a partition: {fold_dates(content.absent)}", ""))
    return items


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _series(names: Iterable[str]) -> Legend:
    return [(f"--series-{number}", name) for number, name in enumerate(names)]


def _currency_legend(names: list[str], currencies: int) -> Legend:
    rest = [(f"--series-{SHOWN_CURRENCIES}", "other currencies")] if currencies > SHOWN_CURRENCIES else []
    return [*_series(names), *rest]


def _currency(currency: str | None) -> str:
    text = NO_CURRENCY if currency is None else currency
    return text if len(text) <= 24 else f"{text[:24]}…"


def _reason_rows(content: Content) -> Cells:
    undated = content.undated.discarded or {}
    return [[reason, _number(count), _number(undated.get(reason, 0))] for reason, count in content.reasons.items()]


def _field_rows(content: Content) -> Cells:
    return [
        [field, _number(found.accepted), _number(found.absent), _number(found.unreadable)]
        for field, found in content.fields.items()
    ]


def _currency_rows(content: Content) -> Cells:
    return [[_currency(name), _number(orders), _money(amount)] for name, (orders, amount) in content.currencies.items()]


def _month_rows(content: Content) -> Cells:
    """One row per month and currency, the newest month first.

    The counts of discarded, moved and late orders have no currency. They are in the first row of the month.
    """
    months = [(month, list(parts)) for month, parts in groupby(content.partitions, key=lambda part: part.date[:7])]
    return [row for month, parts in reversed(months) for row in _month(content, month, parts)]


def _month(content: Content, month: str, parts: list[Partition]) -> Cells:
    found = [content.figures.by_date.get(part.date) or [] for part in parts]
    counted = totals(part.counts for part in parts)
    amounts = [
        [_currency(currency), *_total([row for day in found for row in day if row["currency"] == currency])]
        for currency in content.shown_currencies
    ]
    present = [total for total in amounts if total[1] != "0"] or [["", "0", NONE]]
    of_month = [counted.discarded, counted.superseded_elsewhere, sum(map(late_orders, found))]
    return [[month, *present[0], *map(_number, of_month)], *(["", *total, "", "", ""] for total in present[1:])]


def _total(rows: Rows) -> tuple[str, str]:
    amount: Decimal | None = None
    for row in rows:
        amount = added(amount, row["amount"])
    return _number(sum(row["orders"] for row in rows)), _money(amount)


def _run_rows(runs: list[Summary]) -> Cells:
    """The SHOWN_RUNS newest runs, the newest first."""
    return [
        [_minute(run.as_of), run.state, _duration(run.seconds), *map(_number, results_of(run))]
        for run in runs[: -SHOWN_RUNS - 1 : -1]
    ]


def _number(value: int) -> str:
    return f"{value:,}"


def _counted(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def _money(value: Decimal | None) -> str:
    return NONE if value is None else f"{value:,.2f}"


def _minute(stamp: str) -> str:
    """A run's stamp to the minute."""
    return stamp[:16].replace("T", " ")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"
