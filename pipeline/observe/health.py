"""Field health: the shares of absent and unreadable values by field, compared with the limits of [health]."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from pipeline.contract import UNDATED, raw_name
from pipeline.currencies import ISO_4217, decimals_of
from pipeline.engine import ORDER_LEVEL, REQUIRED
from pipeline.fields import AS_THE_CONTRACT, HUNDREDTHS, ITEM_FIELDS, FieldMap, path_text
from pipeline.lake import FieldCounts, Lake
from pipeline.likely import hint, place_of
from pipeline.observe.counts import Counts, counts_of

# a line without any value of these fields has no meaning
WANTED = ("sku", "qty")
# the command that applies a corrected path. The path of created_at decides the date that a record lands under, so raw
# has to be landed again. For the other fields it is enough to rebuild from raw
THEN = {"created_at": "run again with --force"}
REBUILD = "run again with --reprocess"
HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The settings of [health]. A field above one of the shares is ill.

    `max_unreadable_share` is a share of the values that are not absent; for order_id and created_at, it is the share of
    discarded records. `max_absent_share` is for the amount. A field with fewer than `min_records` values, absent ones
    included, is not ill. But order_id and created_at are ill if none of their values is accepted.
    """

    max_unreadable_share: float
    max_absent_share: float
    min_records: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a field and a text about them. `is_ill`: the field is above a limit of [health]."""

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
    """FieldCounts by field, summed over some partitions. `first` is from the first partition that has one."""
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
    """FieldCounts of a partition by field. A field that the manifest does not list has only accepted values.

    If a manifest of an older version has no FieldCounts, the result is empty. The undated partition has none either:
    the counts of order_id and created_at come from its discard reasons, and the other fields are left out.
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
    """What is wrong with the fields of these partitions.

    A field is listed if it is ill, or if it has unreadable values. order_id and created_at are listed only if they are
    ill, because the table of the run counts their discarded records. Also listed: orders of 1970, a map that excludes
    all orders, and hundredths in a currency that has none.
    If a field is ill, one raw record is read, and the text names the fields of that record.
    """
    found = [*_of_1970(parts, fields), *_all_excluded(parts, limits), *_no_hundredths(parts, fields)]
    for field, counts in field_counts(parts.values()).items():
        is_ill = _is_ill(field, counts, limits, fields)
        if is_ill or (counts.unreadable and field not in REQUIRED):
            said = _hint(lake, parts, field, fields) if is_ill else ""
            found.append(Health.of(field, counts, _text(field, counts, fields) + said, is_ill=is_ill))
    return found


def health_of_lake(lake: Lake, limits: Limits, fields: FieldMap | None) -> list[Health]:
    """health() of all dates of the lake."""
    dates = (date for date in lake.partitions("normalized") if date != UNDATED)
    return health(lake, {date: counts_of(lake.normalized(date)) for date in dates}, limits, fields)


def _of_1970(parts: Mapping[str, Counts], fields: FieldMap | None) -> list[Health]:
    """Orders of 1970: if times in seconds are read as milliseconds, they all fall into January 1970."""
    if fields is None or fields["created_at"].form != "epoch_millis":
        return []
    early = sum(part.normalized or 0 for date, part in parts.items() if date < "1971")
    if not early:
        return []
    text = (
        f"created_at: {early:,} orders are of 1970; if the times are in seconds, "
        f"{_setting('created_at', fields, 'epoch_seconds')}, then {THEN['created_at']}"
    )
    return [Health.of("created_at", FieldCounts(accepted=early), text, is_ill=True)]


def _all_excluded(parts: Mapping[str, Counts], limits: Limits) -> list[Health]:
    """A note if the map excludes all orders. `is_ill` is false, because that may be intended."""
    orders = sum(part.normalized or 0 for part in parts.values())
    excluded = sum(part.excluded_here or 0 for part in parts.values())
    if orders < limits.min_records or excluded < orders:
        return []
    text = f"exclude: all {orders:,} orders are excluded, so the curated tables have none of them"
    return [Health.of("exclude", FieldCounts(), text, is_ill=False)]


def _no_hundredths(parts: Mapping[str, Counts], fields: FieldMap | None) -> list[Health]:
    """Amounts read as hundredths in a currency whose minor unit is not a hundredth."""
    if fields is None or fields["amount"].form != HUNDREDTHS:
        return []
    codes = {code for part in parts.values() for code in part.currencies or []}
    wrong = sorted(code for code in codes if decimals_of(code, ISO_4217) not in (None, 2))
    if not wrong:
        return []
    text = (
        f"amount: {HUNDREDTHS}, but {', '.join(wrong)} has no hundredths; "
        f"{_setting('amount', fields, 'minor_units')}, then {REBUILD}"
    )
    counts = field_counts(parts.values()).get("amount", FieldCounts())
    return [Health.of("amount", counts, text, is_ill=True)]


def _setting(field: str, fields: FieldMap, form: str) -> str:
    """The setting that reads the field at its path in another form."""
    return f"set [orders_fields] {field} = {path_text(fields[field].path)} {form}"


def _is_ill(field: str, counts: FieldCounts, limits: Limits, fields: FieldMap | None) -> bool:
    """Whether the field is above a limit of [health], or has values of which none is accepted.

    A field without an accepted value is ill only if it is order_id, created_at, sku or qty, or if luigi.cfg sets its
    path.
    """
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
    """The counts as text, such as `amount: 200 of 200 orders have none at $.amount`."""
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
            return hint(field, _sample(lake, date), fields, THEN.get(field, REBUILD))
    return ""


def _sample(lake: Lake, date: str) -> bytes:
    """The first record of a raw partition, or the last record of the undated partition; empty if none can be read."""
    name = raw_name(date)
    try:
        with open(lake.files.fetch(name), "rb") as file:
            if date == UNDATED:
                file.seek(max(0, (lake.files.size(name) or 0) - HEAD_BYTES))
                return (file.read().splitlines() or [b""])[-1]
            return file.readline(HEAD_BYTES)
    except OSError:
        return b""
