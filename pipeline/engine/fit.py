"""Whether a map fits records at all. One that fits none of many is bad input, which law 7 refuses."""

from collections import Counter
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.connection import Engine
from pipeline.engine.counting import REQUIRED
from pipeline.engine.lines import Lines, bind_lines, same_instant, split_lines
from pipeline.fields import AS_THE_CONTRACT, ITEM_FIELDS, FieldMap
from pipeline.likely import hint, place_of

# law 7: fewer records, or lines, are not judged
JUDGED_FROM = 20
FIRST_LINES = 100
# orders may be without lines, so these are not looked for for ever
ENOUGH_RECORDS = 10_000


class Fit:
    """Whether, by a map, any of some records is kept, has an amount, and has a line with a sku, qty or price.

    Records are looked at until one of each was found.
    """

    def __init__(self, fields: FieldMap | None) -> None:
        self._fields = fields
        self._records = self._lines = 0
        self._reasons: Counter[str] = Counter()
        self._found = {name for name in ("amount", "items") if fields is not None and fields.lacks(name)}
        self._sample = b""

    def look(self, engine: Engine, lines: Lines, answers_as_of: datetime, date: str | None = None) -> None:
        """Look at these records, a first part of them first; with the date, if they are landed under one.

        It binds the table `line`.
        """
        end = int(lines.ends[:FIRST_LINES][-1]) if lines.size else 0
        for part in (lines.buffer.slice(0, end), lines.buffer.slice(end)):
            if part.size and not self.is_certain:
                self._add(engine, split_lines(part), answers_as_of, date)

    @property
    def is_certain(self) -> bool:
        """Whether the map fits, whatever the records are that were not looked at."""
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
        """What the map does not find, what the records hold instead, and what to set; empty where it fits."""
        places = self._fields or AS_THE_CONTRACT
        accept = "--force reads orders that were corrected, --accept-fields says that it is meant for these dates"
        if self._records >= JUDGED_FROM and "kept" not in self._found:
            (reason, count), *_ = self._reasons.most_common(1)
            field = next((name for name, reasons in REQUIRED.items() if reason in reasons), "")
            where = f" ({field} at {places.texts[field]})" if field else ""
            said = f"all {self._records:,} records are discarded, {count:,} of them as {reason}{where}"
            return f"{said}{self._hint(field) if field else ''}; {accept}"
        if self._records >= JUDGED_FROM and "amount" not in self._found:
            said = f"amount: none of {self._records:,} records has one that can be read at {places.texts['amount']}"
            return f"{said}{self._hint('amount')}; [orders_fields] amount = none says that there is none, {accept}"
        if self._lines >= JUDGED_FROM and "items" not in self._found:
            at = ", ".join(f"{name} at {places.texts[place_of(name)]}" for name in ITEM_FIELDS)
            said = f"items: none of {self._lines:,} lines has one of {at}"
            return f"{said}{self._hint('sku')}; [orders_fields] items = none says that there are none, {accept}"
        return ""

    def _hint(self, field: str) -> str:
        return hint(field, self._sample, self._fields, "run again")
