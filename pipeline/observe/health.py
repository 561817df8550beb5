"""Field health: how the values of each field were taken in some partitions, and what of it is not normal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from pipeline.contract import UNDATED, raw_name
from pipeline.currencies import ISO_4217, decimals_of
from pipeline.engine import ORDER_LEVEL, REQUIRED
from pipeline.fields import AS_THE_CONTRACT, HUNDREDTHS, ITEM_FIELDS, FieldMap
from pipeline.lake import FieldCounts, Lake
from pipeline.likely import hint, place_of
from pipeline.observe.counts import Counts, counts_of

# without a value of these a line says nothing
WANTED = ("sku", "qty")
# what applies a corrected place: created_at decides where a record lands
AGAIN = {"created_at": "run again, with --force where dates are landed"}
HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """[health]: shares above which, of at least `min_records` values, a field has to be told."""

    max_unreadable_share: float
    max_absent_share: float
    min_records: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of a field were taken, and what is to be said of it; `is_ill`: it is to be told to people."""

    field: str
    accepted: int
    absent: int
    unreadable: int
    is_ill: bool
    text: str

    @classmethod
    def of(cls, field: str, counts: FieldCounts, text: str, *, is_ill: bool) -> "Health":
        return cls(
            field=field,
            accepted=counts.accepted,
            absent=counts.absent,
            unreadable=counts.unreadable,
            is_ill=is_ill,
            text=text,
        )


def field_counts(counted: Iterable[Counts]) -> dict[str, FieldCounts]:
    """The sums of some partitions' values by field; `first` is that of the first partition that has one."""
    sums: dict[str, FieldCounts] = {}
    for part in counted:
        for field, found in _fields(part).items():
            of_field = sums.setdefault(field, FieldCounts())
            of_field.accepted += found.accepted
            of_field.absent += found.absent
            of_field.unreadable += found.unreadable
            of_field.first = of_field.first or found.first
    return sums


def _fields(part: Counts) -> Mapping[str, FieldCounts]:
    """The counts of a partition; what is not listed is all accepted. The undated one counts reasons only.

    Manifests of before do not say how values were taken.
    """
    if part.fields is not UNSET:
        records, orders = part.normalized or 0, (part.normalized or 0) - (part.excluded_here or 0)
        accepted = dict.fromkeys(REQUIRED, records + (part.superseded_here or 0))
        accepted |= dict.fromkeys((*ORDER_LEVEL, "items"), orders)
        accepted |= dict.fromkeys(ITEM_FIELDS, (part.lines or 0) - (part.excluded_lines or 0))
        return {field: FieldCounts(accepted=count) for field, count in accepted.items()} | part.fields
    if part.normalized:
        return {}
    found: dict[str, FieldCounts] = {}
    for field, kinds in REQUIRED.items():
        for reason, count in (part.discarded or {}).items():
            if reason in kinds:
                of_field = found.setdefault(field, FieldCounts())
                setattr(of_field, kinds[reason], getattr(of_field, kinds[reason]) + count)
    return found


def health(lake: Lake, parts: Mapping[str, Counts], limits: Limits, fields: FieldMap | None) -> list[Health]:
    """Each field of these partitions that is not as it should be.

    To say what the records hold instead, one of a partition that lacks the field is read.
    """
    found = [*_of_1970(parts, fields), *_all_excluded(parts, limits), *_no_hundredths(parts, fields)]
    for field, counts in field_counts(parts.values()).items():
        is_ill = _is_ill(field, counts, limits, fields)
        # the table tells of records that are discarded
        if is_ill or (counts.unreadable and field not in REQUIRED):
            said = _hint(lake, parts, field, fields) if is_ill else ""
            found.append(Health.of(field, counts, _text(field, counts, fields) + said, is_ill=is_ill))
    return found


def health_of_lake(lake: Lake, limits: Limits, fields: FieldMap | None) -> list[Health]:
    """The same of all dates."""
    dates = (date for date in lake.partitions("normalized") if date != UNDATED)
    return health(lake, {date: counts_of(lake.normalized(date)) for date in dates}, limits, fields)


def _of_1970(parts: Mapping[str, Counts], fields: FieldMap | None) -> list[Health]:
    """Orders of the year in which seconds are that are read as milliseconds."""
    if fields is None or fields["created_at"].form != "epoch_millis":
        return []
    early = sum(part.normalized or 0 for date, part in parts.items() if date < "1971")
    text = f"created_at: {early:,} orders are of 1970, as all are whose seconds are read as epoch_millis"
    return [Health.of("created_at", FieldCounts(accepted=early), text, is_ill=True)] if early else []


def _all_excluded(parts: Mapping[str, Counts], limits: Limits) -> list[Health]:
    """A condition that names all orders may be meant, and is said."""
    orders = sum(part.normalized or 0 for part in parts.values())
    excluded = sum(part.excluded_here or 0 for part in parts.values())
    if orders < limits.min_records or excluded < orders:
        return []
    text = f"exclude: all of {orders:,} orders are excluded, so the curated tables have none of them"
    return [Health.of("exclude", FieldCounts(), text, is_ill=False)]


def _no_hundredths(parts: Mapping[str, Counts], fields: FieldMap | None) -> list[Health]:
    """Money read as hundredths in currencies whose minor unit is none."""
    if fields is None or fields["amount"].form != HUNDREDTHS:
        return []
    codes = {code for part in parts.values() for code in part.currencies or []}
    wrong = sorted(code for code in codes if decimals_of(code, ISO_4217) not in (None, 2))
    if not wrong:
        return []
    place = fields.texts["amount"].replace(HUNDREDTHS, "minor_units")
    text = f"amount: {HUNDREDTHS} of {', '.join(wrong)}, which has no hundredths; set [orders_fields] amount = {place}"
    counts = field_counts(parts.values()).get("amount", FieldCounts())
    return [Health.of("amount", counts, f"{text}, then --reprocess", is_ill=True)]


def _is_ill(field: str, counts: FieldCounts, limits: Limits, fields: FieldMap | None) -> bool:
    """Whether the values are worse than [health] allows, or none is accepted where luigi.cfg says that they are."""
    places = fields or AS_THE_CONTRACT
    total = counts.accepted + counts.absent + counts.unreadable
    if field in REQUIRED:
        if not counts.accepted:
            return total > 0
        refused = counts.absent + counts.unreadable
        return total >= limits.min_records and refused > limits.max_unreadable_share * total
    if places.lacks(place_of(field)) or total < limits.min_records:
        return False
    if counts.unreadable > limits.max_unreadable_share * (counts.accepted + counts.unreadable):
        return True
    if field == "amount" and counts.absent > limits.max_absent_share * total:
        return True
    return not counts.accepted and (field in WANTED or place_of(field) in places.own)


def _text(field: str, counts: FieldCounts, fields: FieldMap | None) -> str:
    """`amount: 200 of 200 orders have none`, and how many have one that cannot be read."""
    total = counts.accepted + counts.absent + counts.unreadable
    what = "lines" if field in ITEM_FIELDS else "records" if field in REQUIRED else "orders"
    at = f" at {fields.texts[place_of(field)]}" if fields is not None else ""
    refused = "one that is not accepted" if field in REQUIRED else "one that cannot be read"
    said = [
        f"{count:,} of {total:,} {what} {'has' if count == 1 else 'have'} {how}{at}"
        for count, how in ((counts.absent, "none"), (counts.unreadable, refused))
        if count
    ]
    return f"{field}: {', '.join(said)}"


def _hint(lake: Lake, parts: Mapping[str, Counts], field: str, fields: FieldMap | None) -> str:
    for date, part in parts.items():
        counts = _fields(part).get(field)
        if counts is not None and counts.absent + counts.unreadable:
            return hint(field, _sample(lake, date), fields, AGAIN.get(field, "--reprocess"))
    return ""


def _sample(lake: Lake, date: str) -> bytes:
    """A record of a raw partition, the last one of those that are undated; empty when there is none to read."""
    name = raw_name(date)
    try:
        with open(lake.files.fetch(name), "rb") as file:
            if date == UNDATED:
                file.seek(max(0, (lake.files.size(name) or 0) - HEAD_BYTES))
                return (file.read().splitlines() or [b""])[-1]
            return file.readline(HEAD_BYTES)
    except OSError:
        return b""
