"""The content of the page: the figures of the lake, and the rows of each chart as columns."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from pipeline.dates import DAY, parse_dates
from pipeline.engine import ORDER_LEVEL
from pipeline.fields import ITEM_FIELDS
from pipeline.lake import FieldCounts
from pipeline.observe.counts import Totals, UndatedSummary, totals
from pipeline.observe.health import field_counts
from pipeline.observe.history import Summary
from pipeline.report.figures import Figures, Rows
from pipeline.report.partitions import Partition

# how many currencies, those with the most orders, have a colour and a chart of their own
SHOWN_CURRENCIES = 6
NO_CURRENCY, UNKNOWN = "no currency", "unknown"
# the fields with a colour of their own; an absent value of an OPTIONAL field is normal and not counted
FIELDS = (*ORDER_LEVEL, *ITEM_FIELDS)
OPTIONAL = ("updated_at", "price")
REASONS = (
    "malformed_json",
    "too_large",
    "missing_order_id",
    "missing_created_at",
    "invalid_created_at",
    "future_created_at",
    "outside_window",
)


@dataclass(frozen=True)
class Content:
    """A lake and its newest runs, oldest first."""

    as_of: datetime
    partitions: list[Partition]
    undated: UndatedSummary
    figures: Figures
    runs: list[Summary]

    @cached_property
    def failed(self) -> set[str]:
        """Dates that failed in the last run that included them."""
        failed: set[str] = set()
        for run in self.runs:
            failed = failed.difference(run.dates).union(run.failed)
        return failed

    @cached_property
    def incomplete(self) -> list[str]:
        """Dates whose files are not whole or cannot be read. Failed dates are not included."""
        dates = {part.date for part in self.partitions if part.id is None}
        dates |= {date for date, rows in self.figures.by_date.items() if rows is None}
        return sorted(dates - self.failed)

    @cached_property
    def absent(self) -> list[str]:
        """Dates without a partition, between the first and the last date of the lake."""
        known = {part.date for part in self.partitions} | self.failed
        return sorted(set(parse_dates(f"{min(known)}..{max(known)}")) - known) if known else []

    @property
    def settled_until(self) -> datetime | None:
        """The end of the newest date that is whole and settled, naive UTC. None if there is no such date."""
        dates = [part.date for part in self.partitions if part.settled]
        return datetime.fromisoformat(dates[-1]) + DAY if dates else None

    @cached_property
    def reasons(self) -> dict[str, int]:
        """Discarded records by reason, undated ones included, in the order in which reasons are tested."""
        total = self.totals.reasons
        return {reason: total[reason] for reason in dict.fromkeys((*REASONS, *total)) if total.get(reason)}

    @cached_property
    def fields(self) -> dict[str, FieldCounts]:
        """How many values were accepted, absent and unreadable, by field, over all dates."""
        return field_counts(part.counts for part in self.partitions)

    @cached_property
    def totals(self) -> Totals:
        """The counts over all partitions, including the undated records."""
        return totals([self.undated, *(part.counts for part in self.partitions)])

    @cached_property
    def currencies(self) -> dict[str | None, tuple[int, Decimal | None]]:
        """Orders and amount by currency, the most orders first. Orders without a currency (None) come last."""
        found: dict[str | None, tuple[int, Decimal | None]] = {}
        for row in self._rows():
            orders, amount = found.get(row["currency"], (0, None))
            found[row["currency"]] = (orders + row["orders"], added(amount, row["amount"]))
        return dict(sorted(found.items(), key=lambda item: (item[0] is None, -item[1][0], item[0] or "")))

    def _rows(self) -> Iterable[dict[str, Any]]:
        return (row for rows in self.figures.by_date.values() for row in rows or [])

    @property
    def shown_currencies(self) -> list[str | None]:
        return list(self.currencies)[:SHOWN_CURRENCIES]


def added(amount: Decimal | None, text: str | None) -> Decimal | None:
    """The sum of an amount and a second amount, which is text. None means no amount."""
    return amount if text is None else (amount or Decimal()) + Decimal(text)


def columns(names: list[str], rows: list[list[Any]]) -> dict[str, list[Any]]:
    """The rows as one list of values for each name. So the JSON does not repeat the names in each row."""
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


def chart_data(content: Content) -> dict[str, Any]:
    """The data of the page's script: the rows of each chart as columns, and the currencies that have a chart.

    `settled_until` is in milliseconds since 1970, UTC.
    """
    shown = content.shown_currencies
    return {
        "settled_until": _milliseconds(content.settled_until),
        "currencies": [currency or NO_CURRENCY for currency in shown],
        "rows": {
            "calendar": _calendar(content),
            "orders": _orders(content, shown),
            "discards": _discards(content),
            "fields": _unaccepted(content),
            "moved": _moved(content),
            "late": _late(content),
            "sales": _sales(content.figures.sales, shown),
            "runs": _runs(content.runs),
        },
    }


def _milliseconds(instant: datetime | None) -> int | None:
    return None if instant is None else int((instant - datetime(1970, 1, 1)).total_seconds() * 1000)


def _calendar(content: Content) -> dict[str, list[Any]]:
    newest = content.runs[-1].as_of if content.runs else "?"
    oldest = content.runs[0].as_of if content.runs else "?"
    failed, incomplete = content.failed, set(content.incomplete)
    rows = []
    for part in content.partitions:
        state = "earlier" if part.built_at >= oldest else "skipped"
        state = "built" if part.built_at == newest else state
        state = "incomplete" if part.date in incomplete else "failed" if part.date in failed else state
        total = totals([part.counts])
        rows.append([part.date, state, part.built_at[:16], part.because, total.kept, total.discarded])
    known = {part.date for part in content.partitions}
    rows += [[date, "failed", "", "", 0, 0] for date in failed if date not in known]
    rows += [[date, "absent", "", "", 0, 0] for date in content.absent]
    return columns(["date", "state", "built_at", "because", "kept", "discarded"], sorted(rows))


def _orders(content: Content, shown: list[str | None]) -> dict[str, list[Any]]:
    """One row per date and currency. The currencies without a chart share one row, which has no amount."""
    rows = []
    for date, found in content.figures.by_date.items():
        rest = 0
        for row in found or []:
            if row["currency"] in shown:
                rows.append([date, shown.index(row["currency"]), row["orders"], _float(row["amount"])])
            else:
                rest += row["orders"]
        rows += [[date, SHOWN_CURRENCIES, rest, None]] if rest else []
    return columns(["date", "series", "orders", "amount"], rows)


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)


def _discards(content: Content) -> dict[str, list[Any]]:
    names = list(content.reasons)
    rows = [
        [part.date, names.index(reason), reason, count]
        for part in content.partitions
        for reason, count in (part.counts.discarded or {}).items()
    ]
    return columns(["date", "series", "reason", "records"], rows)


def _unaccepted(content: Content) -> dict[str, list[Any]]:
    """One row per date and field: the number of unreadable values, and of absent ones if the field is not optional."""
    rows = []
    for part in content.partitions:
        for field, found in (part.counts.fields or {}).items():
            count = found.unreadable + (found.absent if field not in OPTIONAL else 0)
            if field in FIELDS and count:
                rows.append([part.date, FIELDS.index(field), field, count])
    return columns(["date", "series", "field", "records"], rows)


def _moved(content: Content) -> dict[str, list[Any]]:
    return _counts("moved", 2, {part.date: part.counts.superseded_elsewhere or 0 for part in content.partitions})


def _late(content: Content) -> dict[str, list[Any]]:
    return _counts("late", 4, {date: late_orders(rows) for date, rows in content.figures.by_date.items()})


def _counts(kind: str, series: int, counts: dict[str, int]) -> dict[str, list[Any]]:
    rows = [[date, series, kind, count] for date, count in counts.items() if count]
    return columns(["date", "series", "kind", "records"], rows)


def late_orders(rows: Rows | None) -> int:
    """How many orders were updated after the end of their date."""
    return sum(row["late"] for row in rows or [])


def _sales(sales: Rows, shown: list[str | None]) -> dict[str, list[Any]]:
    """One row per facet, shown currency and name. The last row of a facet may sum up several names."""
    rows = []
    for row in sales:
        if row["currency"] in shown:
            name = row["name"] or UNKNOWN if row["names"] == 1 else f"{row['names']:,} others"
            figures = [row["orders"], _float(row["qty"]), _float(row["amount"])]
            rows.append([row["facet"], shown.index(row["currency"]), row["rank"], name, row["names"] > 1, *figures])
    return columns(["facet", "series", "rank", "name", "rest", "orders", "qty", "amount"], rows)


def _runs(runs: list[Summary]) -> dict[str, list[Any]]:
    rows = [[run.as_of, run.state, run.seconds, *results_of(run)] for run in runs]
    return columns(["as_of", "state", "seconds", "built", "skipped", "failed"], rows)


def results_of(run: Summary) -> tuple[int, int, int]:
    """How many dates the run built, left unchanged, and failed to build."""
    found = run.outcomes
    return found["built"], found["skipped"] + found["unchanged"], found["failed"]
