"""The contract's table row by row, and every hostile line: the pipeline's normalizing equals the reference."""

import datetime as dt
from decimal import Decimal
from typing import Any

import feeds
import numpy as np
import pyarrow as pa
import pytest
import reference as ref
from depth import examples
from feeds import EXTRACTED_AT, NAMED, Raw, order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.contract import ITEMS, ORDERS, Table
from pipeline.engine.connection import Engine
from pipeline.engine.lines import same_instant, split_lines
from pipeline.engine.normalizing import Normalized, normalized

IN_MEMORY = {"memory_limit": "1GB", "threads": 0, "temp_directory": ""}
Partitions = dict[dt.date | None, list[bytes]]
JAN_15 = dt.date(2025, 1, 15)
EXAMPLES = examples(60)


@pytest.fixture(scope="module")
def engine():
    with Engine(**IN_MEMORY) as engine:
        yield engine


def build(engine: Engine, partitions: Partitions) -> Normalized:
    """What the pipeline makes of raw partitions; None is the undated one."""
    lines = [(date, line) for date, content in by_date(partitions) for line in content]
    data = split_lines(b"".join(line + b"\n" for _, line in lines))
    dates = pa.array([date for date, _ in lines], pa.date32())
    return normalized(engine, data, dates, same_instant(EXTRACTED_AT, len(lines)))


def by_date(partitions: Partitions) -> list[tuple[dt.date | None, list[bytes]]]:
    return sorted(partitions.items(), key=lambda part: part[0] or dt.date.min)


def rows(rows: pa.Table, table: Table = ORDERS) -> list[tuple]:
    """Rows as tuples in the table's types and columns."""
    typed = rows.select(table.schema.names).cast(table.schema)
    return list(zip(*(column.to_pylist() for column in typed.columns), strict=True))


def canonical(orders: list[tuple]) -> list[tuple]:
    return [(*row[:6], ref.canonical_text(row[6]), *row[7:]) for row in orders]


def counted(counts: dict[str, Any]) -> dict[str, Any]:
    """A date's counts in the reference's words, without zeros."""
    return {
        "extracted": counts.get("extracted", 0),
        "normalized": counts.get("normalized", 0),
        "superseded_here": counts.get("superseded_here", 0),
        "discarded": counts.get("discarded", {}),
        "nulled": nulled(counts),
    }


def nulled(counts: dict[str, Any]) -> dict[str, int]:
    """The values of a date that are not accepted, in the reference's words, without zeros."""
    kinds = ("absent", "unreadable")
    fields = {f"{name} {kind}": of.get(kind, 0) for name, of in counts["fields"].items() for kind in kinds}
    found = fields | {"items_dropped": counts.get("dropped_items", 0)}
    return {name: count for name, count in found.items() if count}


def assert_as_the_reference(engine: Engine, partitions: Partitions) -> None:
    """The same orders, items, counts and discards, typed and ordered alike."""
    partitions = {date: lines for date, lines in partitions.items() if lines}
    got = build(engine, partitions)
    want = {date: ref.normalize(lines, EXTRACTED_AT) for date, lines in by_date(partitions)}
    assert canonical(rows(got.orders)) == [order for part in want.values() for order in part.orders]
    assert rows(got.items, ITEMS) == [item for part in want.values() for item in part.items]
    assert {date: counted(counts) for date, counts in got.counts.items()} == {
        str(date): part.counts for date, part in want.items()
    }
    for date, part in want.items():
        discarded = [row for row in got.discarded.to_pylist() if row["date"] == date]
        assert [(row["reason"], row["record"]) for row in discarded] == [
            (reason, line + b"\n") for reason, line in part.discards
        ]


def reasons(result: Normalized) -> list[str]:
    return result.discarded["reason"].to_pylist()


def all_of(engine: Engine, lines: dict[str, bytes]) -> tuple[dict[str, tuple], dict[str, str]]:
    """Of many records, each named by its order_id: the kept orders, and the reason of each discarded line, by name."""
    landed = ref.land(list(lines.values()), EXTRACTED_AT)
    result = build(engine, landed)
    kept = {row[0]: row for row in rows(result.orders)}
    names = {line: name for name, line in lines.items()}
    records = [names[record[:-1]] for record in result.discarded["record"].to_pylist()]
    return kept, dict(zip(records, reasons(result), strict=True))


# Every row of the table


def test_an_order_id_is_a_text_that_is_not_blank_or_the_digits_of_an_integer(engine):
    days = {JAN_15 - dt.timedelta(days=n): text for n, text in enumerate(feeds.IDENTIFIERS)}
    result = build(engine, {day: [order(Raw(text), created_at=str(day))] for day, text in days.items()})
    kept = dict(zip(result.orders["date"].to_pylist(), result.orders["order_id"].to_pylist(), strict=True))
    discarded = dict(zip(result.discarded["date"].to_pylist(), reasons(result), strict=True))
    for day, text in days.items():
        expected = feeds.IDENTIFIERS[text]
        assert kept.get(day) == expected, text[:50]
        assert discarded.get(day) == ("missing_order_id" if expected is None else None), text[:50]


def test_a_user_id_and_a_sku_are_like_an_order_id_or_null_and_counted(engine):
    days = {JAN_15 - dt.timedelta(days=n): text for n, text in enumerate(feeds.IDENTIFIERS)}
    lines = {
        day: [order(created_at=str(day), user_id=Raw(text), items=[{"sku": Raw(text)}])] for day, text in days.items()
    }
    result = build(engine, lines)
    users = dict(zip(result.orders["date"].to_pylist(), result.orders["user_id"].to_pylist(), strict=True))
    skus = dict(zip(result.items["date"].to_pylist(), result.items["sku"].to_pylist(), strict=True))
    for day, text in days.items():
        expected, counts = feeds.IDENTIFIERS[text], result.counts[str(day)]
        assert (users[day], skus[day]) == (expected, expected), text[:50]
        kind = "accepted" if expected is not None else "absent" if text == "null" else "unreadable"
        for name in ("user_id", "sku"):
            taken = counts["fields"].get(name, {"accepted": 1})
            assert taken == {kind: 1} | ({"first": "o_1"} if kind == "unreadable" else {}), text[:50]


def test_created_at_is_one_grammar_and_its_utc_date_is_the_partition(engine):
    lines = {str(n): order(str(n), created_at=Raw(text)) for n, text in enumerate(feeds.TIMESTAMPS)}
    kept, discarded = all_of(engine, lines)
    for n, (text, expected) in enumerate(feeds.TIMESTAMPS.items()):
        if expected in ("missing", "invalid", "future"):
            assert discarded[str(n)] == f"{expected}_created_at", text[:50]
        else:
            at = dt.datetime.fromisoformat(expected)
            assert (kept[str(n)][4], kept[str(n)][7]) == (at, at.date()), text


def test_updated_at_is_a_timestamp_that_is_not_in_the_future_or_null(engine):
    kept, discarded = all_of(
        engine, {str(n): order(str(n), updated_at=Raw(text)) for n, text in enumerate(feeds.TIMESTAMPS)}
    )
    assert discarded == {}
    for n, (text, expected) in enumerate(feeds.TIMESTAMPS.items()):
        odd = expected in ("missing", "invalid", "future")
        assert kept[str(n)][5] == (None if odd else dt.datetime.fromisoformat(expected)), text[:50]


def test_an_amount_and_a_price_are_rounded_half_away_from_zero_or_null(engine):
    lines = {
        str(n): order(str(n), amount=Raw(text), items=[{"sku": "s", "qty": 1, "price": Raw(text)}])
        for n, text in enumerate(feeds.NUMBERS)
    }
    result = build(engine, {JAN_15: list(lines.values())})
    amounts = dict(zip(result.orders["order_id"].to_pylist(), result.orders["amount"].to_pylist(), strict=True))
    prices = dict(zip(result.items["order_id"].to_pylist(), result.items["price"].to_pylist(), strict=True))
    for n, (text, expected) in enumerate(feeds.NUMBERS.items()):
        value = None if expected is None else Decimal(expected)
        assert (amounts[str(n)], prices[str(n)]) == (value, value), text[:50]
    counts = result.counts["2025-01-15"]
    bad = sum(expected is None for expected in feeds.NUMBERS.values())
    taken = {"accepted": len(feeds.NUMBERS) - bad, "absent": 1, "unreadable": bad - 1}
    for name in ("amount", "price"):
        assert {kind: counts["fields"][name][kind] for kind in taken} == taken


@given(st.lists(st.from_regex(r"\A-?[0-9]{1,24}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?\Z"), min_size=1, max_size=40))
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_number_of_the_grammar_is_exactly_that_number(engine, texts):
    lines = [order(f"o_{n:02}", amount=text) for n, text in enumerate(texts)]
    got = build(engine, {JAN_15: lines}).orders["amount"].to_pylist()
    assert dict(zip(texts, got, strict=True)) == {text: ref.money(text) for text in texts}


def test_a_quantity_is_a_whole_number_up_to_a_billion_or_null(engine):
    lines = [order(f"o_{n:03}", items=[{"qty": Raw(text)}]) for n, text in enumerate(feeds.QUANTITIES)]
    result = build(engine, {JAN_15: lines})
    assert result.items["qty"].to_pylist() == list(feeds.QUANTITIES.values())
    qty = result.counts["2025-01-15"]["fields"]["qty"]
    assert qty["accepted"] == sum(qty is not None for qty in feeds.QUANTITIES.values())


def test_a_currency_is_a_text_or_null(engine):
    lines = [order(f"o_{n:03}", currency=Raw(text)) for n, text in enumerate(feeds.CURRENCIES)]
    assert build(engine, {JAN_15: lines}).orders["currency"].to_pylist() == list(feeds.CURRENCIES.values())


def test_metadata_is_kept_as_equal_minified_json(engine):
    lines = [order(f"o_{n:03}", metadata=Raw(text)) for n, text in enumerate(feeds.METADATAS)]
    texts = build(engine, {JAN_15: lines}).orders["metadata"].to_pylist()
    for (given_text, expected), text in zip(feeds.METADATAS.items(), texts, strict=True):
        assert ref.canonical_text(text) == ref.canonical_text(expected), given_text[:50]
        assert text is None or len(text) <= len(given_text)


def test_items_that_are_no_objects_are_dropped_and_counted(engine):
    days = {JAN_15 - dt.timedelta(days=n): text for n, text in enumerate(feeds.ITEMS)}
    result = build(engine, {day: [order(created_at=str(day), items=Raw(text))] for day, text in days.items()})
    numbers: dict[dt.date, list[int]] = {day: [] for day in days}
    for line in result.items.select(["date", "line_number"]).to_pylist():
        numbers[line["date"]].append(line["line_number"])
    for day, text in days.items():
        lines, dropped = feeds.ITEMS[text]
        assert numbers[day] == list(range(1, lines + 1)), text[:50]
        assert result.counts[str(day)].get("dropped_items", 0) == dropped, text[:50]


def test_a_record_that_is_no_json_object_is_quarantined_as_it_came(engine):
    result = build(engine, {None: list(feeds.MALFORMED.values())})
    assert result.orders.num_rows == 0
    assert dict(zip(feeds.MALFORMED, reasons(result), strict=True)) == dict.fromkeys(feeds.MALFORMED, "malformed_json")
    assert result.discarded["record"].to_pylist() == [line + b"\n" for line in feeds.MALFORMED.values()]
    assert result.discarded["position"].to_pylist() == list(range(len(feeds.MALFORMED)))


def test_odd_but_valid_json_is_an_order(engine):
    result = build(engine, {JAN_15: list(feeds.ODD_BUT_GOOD.values())})
    amounts = dict(zip(result.orders["order_id"].to_pylist(), result.orders["amount"].to_pylist(), strict=True))
    assert amounts == dict.fromkeys(feeds.ODD_BUT_GOOD, Decimal("30.0000"))


def test_of_several_reasons_a_record_has_the_first(engine):
    kept, discarded = all_of(engine, {name: line for name, (line, _) in feeds.DISCARDED.items()})
    assert kept == {}
    assert discarded == {name: reason for name, (_, reason) in feeds.DISCARDED.items()}


def test_an_order_outside_its_window_is_discarded(engine):
    result = build(engine, {JAN_15: [order("in"), order("out", created_at="2025-01-16")]})
    assert (result.orders["order_id"].to_pylist(), reasons(result)) == (["in"], ["outside_window"])


# All together


def test_every_hostile_line_is_judged_as_the_reference_judges_it(engine):
    assert_as_the_reference(engine, ref.land([line for _, line in NAMED], EXTRACTED_AT))


def test_every_hostile_line_is_judged_alike_when_its_order_is_sent_twice(engine):
    landed = ref.land([line for _, line in NAMED if len(line) < 10_000], EXTRACTED_AT)
    assert_as_the_reference(engine, {date: lines + lines[::-1] for date, lines in landed.items()})


@given(feeds.dumps())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_dump_is_normalized_as_the_reference_normalizes_it(engine, lines):
    assert_as_the_reference(engine, ref.land(lines, EXTRACTED_AT))


@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda line: line.replace(b"\n", b" ")), max_size=8))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_bytes_are_malformed_records_and_never_an_exception(engine, lines):
    assert_as_the_reference(engine, ref.land(lines, EXTRACTED_AT))


# Which of several versions of an order stays

VERSIONS = {
    "the later updated_at": [("a", None, "2025-01-15T12:00:00Z"), ("b", None, "2025-01-15T11:00:00Z")],
    "a created_at after the other's updated_at": [
        ("b", "T09:00:00Z", "2025-01-15T09:30:00Z"),
        ("a", "T10:00:00Z", None),
    ],
    "the later created_at of equal updated_at": [
        ("a", "T09:00:01Z", "2025-01-15T12:00:00Z"),
        ("b", "T09:00:00Z", "2025-01-15T12:00:00Z"),
    ],
    "the later position of equal times": [("b", None, None), ("a", None, None)],
    "a future updated_at counts as none": [("a", "T10:00:00Z", None), ("b", "T09:00:00Z", "2100-01-01")],
    "an unreadable updated_at counts as none": [("a", "T10:00:00Z", None), ("b", "T09:00:00Z", "infinity")],
}  # fmt: skip


@pytest.mark.parametrize("versions", VERSIONS.values(), ids=VERSIONS.keys())
def test_the_latest_version_of_an_order_stays(engine, versions):
    lines = [
        order("o_1", user_id=who, created_at="2025-01-15" + (at or "T08:00:00Z"), updated_at=updated)
        for who, at, updated in versions
    ]
    result = build(engine, {JAN_15: lines})
    assert result.orders["user_id"].to_pylist() == ["a"]
    assert result.counts["2025-01-15"]["superseded_here"] == 1
    assert_as_the_reference(engine, {JAN_15: lines})


def test_a_discarded_record_supersedes_nothing(engine):
    later = order("o_1", amount=99, updated_at="2025-01-15T12:00:00Z", created_at="2025-01-16")
    result = build(engine, {JAN_15: [order("o_1", amount=30), later]})
    assert result.orders["amount"].to_pylist() == [Decimal("30.0000")]
    assert result.counts["2025-01-15"]["discarded"] == {"outside_window": 1}
    assert "superseded_here" not in result.counts["2025-01-15"]


def test_orders_are_sorted_by_the_bytes_of_their_id(engine):
    ids = ["b", "B", "a", "é", "z", "😀", "\uffff", "10", "9", "a\x00", "a b", "~"]
    result = build(engine, {JAN_15: [order(order_id) for order_id in ids]})
    assert result.orders["order_id"].to_pylist() == sorted(ids, key=str.encode)
    assert np.array_equal(result.items["line_number"].to_numpy(), [1, 2] * len(ids))
