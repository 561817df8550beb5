"""The parts of the page that are text and tables. All text from data or settings is escaped here."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from html import escape
from itertools import groupby
from typing import Any

from pipeline.dates import fold_dates
from pipeline.observe.report.content import (
    NO_CURRENCY,
    SHOWN_CURRENCIES,
    Content,
    added,
    late_orders,
    state,
)
from pipeline.observe.report.figures import Rows
from pipeline.observe.report.partitions import Partition
from pipeline.observe.report.runs import Run

NONE = "–"
SHOWN_RUNS, NAMED_CURRENCIES = 12, 20
STATES = {
    "built": "built by the newest run",
    "earlier": "built by an earlier run shown here",
    "skipped": "complete, skipped",
    "failed": "failed",
    "incomplete": "incomplete",
    "absent": "no partition",
}


def headline(content: Content) -> str:
    """The figures at the top."""
    newest = content.partitions[-1] if content.partitions else None
    extracted = content.total("extracted") + int(content.undated.get("extracted", 0))
    discarded = sum(content.reasons.values())
    until = content.settled_until
    since = f"since {until:%Y-%m-%d %H:%M}" if until else "no date is settled yet"
    figures = [
        ("Last run", *_last_run(content.runs)),
        (
            "Freshness",
            f'<span id="freshness">{NONE}</span>',
            since,
        ),
        ("Newest date", newest.date if newest else NONE, _newest(newest)),
        ("Orders", number(content.total("kept")), f"on {counted(len(content.partitions), 'date')}"),
        ("Discarded", number(discarded), f"{_share(discarded, extracted)} of {number(extracted)} records"),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>" for name, value, note in figures)


def _last_run(runs: list[Run]) -> tuple[str, str]:
    if not runs:
        return NONE, "no run has left a summary"
    run = runs[-1]
    took = f", took {duration(run['seconds'])}" if run["seconds"] is not None else ""
    return _badge(state(run)), f"{minute(run['as_of'])}{took}"


def _newest(part: Partition | None) -> str:
    if part is None:
        return "the lake is empty"
    return f"{counted(part.count('kept'), 'order')}, {'settled' if part.settled else 'still open'}"


def _badge(text: str) -> str:
    return f'<span class="badge {text}">{text}</span>'


def attention(content: Content) -> str:
    """What somebody has to look at, the worst first, each with what to do."""
    newest = content.runs[-1:]
    items = [(f"The last run failed: {error}", "") for run in newest for error in run["errors"]]
    for told, dates in (("Failed when last run", sorted(content.failed)), ("Incomplete", content.incomplete)):
        if dates:
            items.append((f"{told}: {fold_dates(dates)}", f"python -m pipeline --since {dates[0]}"))
    for run in newest:
        if run["differing"]:
            told = f"{counted(run['differing'], 'settled date')} skipped that the source has differently now"
            items.append((told, "python -m pipeline plan"))
    if content.absent:
        items.append((f"No partition between the first and the last date: {fold_dates(content.absent)}", ""))
    if not items:
        return "<p>Nothing needs attention.</p>"
    return "<ul>" + "".join(f"<li>{escape(told)}{_code(command)}</li>" for told, command in items) + "</ul>"


def _code(command: str) -> str:
    return f"<code>{escape(command)}</code>" if command else ""


def legend(names: Iterable[tuple[str, str]]) -> str:
    """What the colours of a chart stand for: CSS variables and texts."""
    keys = (f'<li><i style="background:var({colour})"></i>{escape(text)}</li>' for colour, text in names)
    return f'<ul class="legend">{"".join(keys)}</ul>'


def state_legend() -> str:
    return legend((f"--state-{name}", text) for name, text in STATES.items())


def currency_legend(content: Content) -> str:
    names = [_currency(currency) for currency in content.shown_currencies]
    rest = [(f"--series-{SHOWN_CURRENCIES}", "other currencies")] if len(content.currencies) > SHOWN_CURRENCIES else []
    return legend([*((f"--series-{number}", name) for number, name in enumerate(names)), *rest])


def reason_legend(content: Content) -> str:
    return legend((f"--series-{number}", reason) for number, reason in enumerate(content.reasons))


def currency_choice(content: Content) -> str:
    names = [_currency(currency) for currency in content.shown_currencies]
    return choice("currency", "Currency", [(str(number), name) for number, name in enumerate(names)], "0")


def choice(name: str, legend: str, options: list[tuple[str, str]], chosen: str) -> str:
    """Radio buttons that look like one control."""
    buttons = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"{" checked" * (value == chosen)}>'
        f"<span>{escape(text)}</span></label>"
        for value, text in options
    )
    return f'<fieldset class="choice" id="{name}"><legend>{legend}</legend>{buttons}</fieldset>'


def _currency(currency: str | None) -> str:
    text = NO_CURRENCY if currency is None else currency
    return text if len(text) <= 24 else f"{text[:24]}…"


def reason_table(content: Content) -> str:
    if not content.reasons:
        return "<p>No record was discarded.</p>"
    undated = content.undated.get("discarded", {})
    rows = [
        [escape(reason), number(count), number(undated.get(reason, 0))] for reason, count in content.reasons.items()
    ]
    return table("Discarded records", ["reason", "records", "of these undated"], rows)


def currency_table(content: Content) -> str:
    rows = [
        [escape(_currency(name)), number(orders), money(amount)]
        for name, (orders, amount) in content.currencies.items()
    ]
    more = len(rows) - 20
    return table("Totals by currency", ["currency", "orders", "amount"], rows[:20]) + (
        f"<p>and {number(more)} more currencies</p>" if more > 0 else ""
    )


def month_table(content: Content) -> str:
    """A row a month and currency, the newest month first; what has no currency stands in the month's first row."""
    months = [(month, list(parts)) for month, parts in groupby(content.partitions, key=lambda part: part.date[:7])]
    rows = [row for month, parts in reversed(months) for row in _month(content, month, parts)]
    heads = ["month", "currency", "orders", "amount", "discarded", "moved", "late"]
    return table("By month", heads, rows, texts=2)


def _month(content: Content, month: str, parts: list[Partition]) -> list[list[str]]:
    found = [content.figures.by_date.get(part.date) or [] for part in parts]
    discarded = sum(part.discarded for part in parts)
    moved = sum(part.count("superseded_elsewhere") for part in parts)
    totals = [
        [escape(_currency(currency)), *_total([row for day in found for row in day if row["currency"] == currency])]
        for currency in content.shown_currencies
    ]
    present = [total for total in totals if total[1] != "0"] or [["", "0", NONE]]
    of_month = [number(discarded), number(moved), number(sum(map(late_orders, found)))]
    return [[month, *present[0], *of_month], *(["", *total, "", "", ""] for total in present[1:])]


def _total(rows: Rows) -> tuple[str, str]:
    amount: Decimal | None = None
    for row in rows:
        amount = added(amount, row["amount"])
    return number(sum(row["orders"] for row in rows)), money(amount)


def run_table(runs: list[Run]) -> str:
    rows = [
        [
            minute(run["as_of"]),
            _badge(state(run)),
            duration(run["seconds"]),
            number(run["built"]),
            number(run["skipped"]),
            number(len(run["failed"])),
        ]
        for run in reversed(runs[-SHOWN_RUNS:])
    ]
    return table("The newest runs", ["as of", "state", "took", "built", "skipped", "failed"], rows, texts=2)


def table(caption: str, heads: list[str], rows: list[list[str]], *, texts: int = 1) -> str:
    """A table of HTML cells; the first `texts` columns are text, the others numbers."""
    classes = ["" if place < texts else ' class="number"' for place in range(len(heads))]
    head = "".join(f'<th scope="col"{kind}>{name}</th>' for name, kind in zip(heads, classes, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def number(value: int) -> str:
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def money(value: Decimal | None) -> str:
    return NONE if value is None else f"{value:,.2f}"


def minute(stamp: str) -> str:
    """A run's stamp to the minute."""
    return escape(stamp[:16].replace("T", " "))


def duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"


def written_at(as_of: datetime) -> str:
    return f"{as_of:%Y-%m-%d %H:%M}; times are UTC"
