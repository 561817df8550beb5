"""Judges whether a map of fields fits the records. Law 7 refuses a map that fits none of many records."""

from collections import Counter
from contextlib import suppress
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.connection import Engine, OutOfMemory
from pipeline.engine.counting import REQUIRED
from pipeline.engine.lines import Lines, bind_lines, same_instant, split_lines
from pipeline.fields import AS_THE_CONTRACT, ITEM_FIELDS, FieldMap
from pipeline.likely import hint, place_of

# law 7: a map is judged by at least so many records or lines
JUDGED_FROM = 20
FIRST_LINES = 100
# all orders may be without lines, so the search for lines ends after so many records
ENOUGH_RECORDS = 10_000


class Fit:
    """Looks for a record that is kept, a record with an amount, and a line with a sku, qty or price.

    It looks at records until it has found all three. `fields` is the map; None: the records have the contract's names.
    """

    def __init__(self, fields: FieldMap | None) -> None:
        self._fields = fields
        self._records = self._lines = 0
        self._reasons: Counter[str] = Counter()
        self._found = {name for name in ("amount", "items") if fields is not None and fields.lacks(name)}
        self._sample = b""

    def look(self, engine: Engine, lines: Lines, answers_as_of: datetime, date: str | None = None) -> None:
        """Look at these records: the first FIRST_LINES, then the rest if they are needed. Binds the table `line`.

        `date` is the date that the records are landed under; None for records that are not landed yet. Records for
        which DuckDB has too little memory are left out: normalizing their date says so.
        """
        end = int(lines.ends[:FIRST_LINES][-1]) if lines.size else 0
        for part in (lines.buffer.slice(0, end), lines.buffer.slice(end)):
            if part.size and not self.is_certain:
                with suppress(OutOfMemory):
                    self._add(engine, split_lines(part), answers_as_of, date)

    @property
    def is_certain(self) -> bool:
        """Whether the map is known to fit, so no other records have to be looked at."""
        has_lines = "items" in self._found or (not self._lines and self._records >= ENOUGH_RECORDS)
        return {"kept", "amount"} <= self._found and has_lines

    def _add(self, engine: Engine, lines: Lines, answers_as_of: datetime, date: str | None) -> None:
        at = same_instant(answers_as_of, lines.size)
        dates = None if date is None else pa.repeat(pa.scalar(date).cast(pa.date32()), lines.size)
        bind_lines(engine, lines, dates=dates, answers_as_of=at, fields=self._fields)
        record = engine.query("record")
        self._sample = self._sample or lines.array()[0].as_py()
        self._records += record.num_rows
        self._reasons.update(record["reason"].drop_null().to_pylist())
        items = pa.concat_arrays(record["items"].chunks or [pa.nulls(0, record["items"].type)]).flatten()
        self._lines += len(items)
        columns = {"kept": [record["order_id"].filter(pc.is_null(record["reason"]))], "amount": [record["amount"]]}
        columns["items"] = [items.field(name) for name in ITEM_FIELDS]
        self._found |= {name for name, held in columns.items() if any(len(part) > part.null_count for part in held)}

    @property
    def fault(self) -> str:
        """What the map does not find, which fields the records have instead, and what to set; empty if the map fits."""
        places = self._fields or AS_THE_CONTRACT
        accept = "if the shop has corrected its orders, add --force; if the map is right, add --accept-fields"
        if self._records >= JUDGED_FROM and "kept" not in self._found:
            (reason, count), *_ = self._reasons.most_common(1)
            field = next((name for name, reasons in REQUIRED.items() if reason in reasons), "")
            where = f" ({field} at {places.texts[field]})" if field else ""
            said = f"all {self._records:,} records are discarded, {count:,} of them as {reason}{where}"
            return f"{said}{self._hint(field) if field else ''}; {accept}"
        if self._records >= JUDGED_FROM and "amount" not in self._found:
            said = f"amount: none of {self._records:,} records has a readable value at {places.texts['amount']}"
            return f"{said}{self._hint('amount')}; if there is no amount, write [orders_fields] amount = none; {accept}"
        if self._lines >= JUDGED_FROM and "items" not in self._found:
            at = ", ".join(f"{name} at {places.texts[place_of(name)]}" for name in ITEM_FIELDS)
            said = f"items: none of {self._lines:,} lines has a readable value of {at}"
            return f"{said}{self._hint('sku')}; if there are no items, write [orders_fields] items = none; {accept}"
        return ""

    def _hint(self, field: str) -> str:
        return hint(field, self._sample, self._fields, "run again")
