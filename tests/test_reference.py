"""Hand-made examples that test the reference itself."""

import datetime as dt
import json
from decimal import Decimal

import feeds
import pytest
import reference as ref
from depth import deep, examples
from feeds import Raw, order
from hypothesis import given, settings
from hypothesis import strategies as st

AS_OF = feeds.EXTRACTED_AT
JAN_15, JAN_16 = dt.date(2025, 1, 15), dt.date(2025, 1, 16)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def verdict(line: bytes) -> str:
    judged = ref.judge(line, AS_OF)
    return judged.reason if isinstance(judged, ref.Discard) else "kept"


# characters; a text with more takes seconds
LONG = 1_000


def short(table: dict) -> list:
    return [
        pytest.param(text, expected, id=ascii(text[:40]), marks=[deep("long texts")] if len(text) > LONG else [])
        for text, expected in table.items()
    ]


def nulled(judged: ref.Order) -> dict[str, int]:
    """What is not accepted of an order, but for the updated_at that it need not have."""
    return {what: count for what, count in judged.nulled.items() if what != "updated_at absent"}


# Fields: the tables of feeds.py are hand-written too


@pytest.mark.parametrize(("text", "expected"), short(feeds.IDENTIFIERS))
def test_an_id_is_a_string_that_is_not_blank_or_the_digits_of_an_integer(text, expected):
    line = order(Raw(text), user_id=Raw(text), items=[{"sku": Raw(text), "qty": 1, "price": 1}])
    if expected is None:
        assert verdict(line) == "missing_order_id"
        judged = ref.judge(order(user_id=Raw(text), items=[{"sku": Raw(text), "qty": 1, "price": 1}]), AS_OF)
        assert (judged.user_id, judged.items[0][0]) == (None, None)
        kind = "absent" if text == "null" else "unreadable"
        assert nulled(judged) == {f"user_id {kind}": 1, f"sku {kind}": 1}
    else:
        judged = ref.judge(line, AS_OF)
        assert (judged.order_id, judged.user_id, judged.items[0][0]) == (expected,) * 3
        assert not nulled(judged)


@pytest.mark.parametrize(("text", "expected"), short(feeds.NUMBERS))
def test_money_is_rounded_half_away_from_zero_or_null(text, expected):
    judged = ref.judge(order(amount=Raw(text), items=[{"sku": "s", "qty": 1, "price": Raw(text)}]), AS_OF)
    assert str(judged.amount) == str(judged.items[0][2]) == str(expected)
    kind = "absent" if text == "null" else "unreadable"
    assert nulled(judged) == ({} if expected else {f"amount {kind}": 1, f"price {kind}": 1})


@pytest.mark.parametrize(("text", "expected"), short(feeds.QUANTITIES))
def test_a_quantity_is_a_whole_number_up_to_a_billion_or_null(text, expected):
    judged = ref.judge(order(items=[{"sku": "s", "qty": Raw(text), "price": 1}]), AS_OF)
    assert judged.items == [("s", expected, Decimal("1.0000"))]
    kind = "absent" if text == "null" else "unreadable"
    assert nulled(judged) == ({f"qty {kind}": 1} if expected is None else {})


@pytest.mark.parametrize(("text", "expected"), short(feeds.TIMESTAMPS))
def test_a_timestamp_is_an_instant_of_1970_to_2199_in_one_grammar(text, expected):
    created, updated = order(created_at=Raw(text)), ref.judge(order(updated_at=Raw(text)), AS_OF)
    if expected in ("missing", "invalid", "future"):
        assert verdict(created) == f"{expected}_created_at"
        assert updated.updated_at is None
        assert updated.nulled == {f"updated_at {'absent' if text == 'null' else 'unreadable'}": 1}
        assert list(ref.land([created], AS_OF)) == [None]
    else:
        assert ref.judge(created, AS_OF).created_at == updated.updated_at == at(expected)
        assert list(ref.land([created], AS_OF)) == [at(expected).date()]


@pytest.mark.parametrize(("text", "expected"), short(feeds.CURRENCIES))
def test_a_currency_is_any_string(text, expected):
    judged = ref.judge(order(currency=Raw(text)), AS_OF)
    kind = "absent" if text == "null" else "unreadable"
    assert (judged.currency, nulled(judged)) == (expected, {f"currency {kind}": 1} if expected is None else {})


@pytest.mark.parametrize(("text", "expected"), short(feeds.METADATAS))
def test_metadata_is_kept_as_equal_json(text, expected):
    judged = ref.judge(order(metadata=Raw(text)), AS_OF)
    assert judged.metadata == ref.canonical_text(expected)


def test_metadata_of_other_value_is_not_equal():
    texts = ["1", '"1"', "true", "10", "-1", "1.01", "[1]", "[]", "{}", "[[]]", '{"a":1}', '{"A":1}', "[1,2]", "[2,1]"]
    assert len({ref.canonical_text(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(("text", "expected"), short(feeds.ITEMS))
def test_items_that_are_no_objects_are_dropped_and_counted(text, expected):
    judged = ref.judge(order(items=Raw(text)), AS_OF)
    assert (len(judged.items), judged.nulled["items_dropped"]) == expected


# Records


@pytest.mark.parametrize("name", feeds.MALFORMED)
def test_a_line_that_is_no_json_object_is_malformed(name):
    assert verdict(feeds.MALFORMED[name]) == "malformed_json"


@pytest.mark.parametrize("name", feeds.ODD_BUT_GOOD)
def test_an_odd_line_that_is_json_is_an_order(name):
    judged = ref.judge(feeds.ODD_BUT_GOOD[name], AS_OF)
    assert (judged.order_id, judged.date, judged.amount) == (name, JAN_15, Decimal("30.0000"))


@pytest.mark.parametrize("name", feeds.DISCARDED)
def test_of_several_reasons_the_first_in_the_table_is_given(name):
    line, reason = feeds.DISCARDED[name]
    assert verdict(line) == reason


def test_the_hostile_lines_are_many_and_each_is_one_line():
    assert len(feeds.HOSTILE) > 1000
    assert len(dict(feeds.NAMED)) == len(feeds.NAMED)
    assert not any(b"\n" in line or not line.strip(b" \t\r\f\v") for line in feeds.HOSTILE)


def test_of_duplicate_keys_the_first_counts_at_every_depth():
    record = ref.parse(b'{"a":{"x":1,"x":2},"a":3,"b":[{"y":null,"\\u0079":4}]}')
    assert record == {"a": {"x": ref.Number("1")}, "b": [{"y": None}]}


def plain(value):
    """A value of the reference's reader as the standard library would give it, numbers as their text."""
    if isinstance(value, ref.Number):
        return ("number", value.text)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def by_the_standard_library(line: bytes):
    def number(text):
        return ("number", text)

    def first_of_each_key(pairs):
        return dict(reversed(pairs))

    def refuse(text):
        raise ValueError(text)

    text = line.decode("utf-8")
    hooks = {"parse_int": number, "parse_float": number, "parse_constant": refuse}
    value = json.loads(text, object_pairs_hook=first_of_each_key, **hooks)
    names_and_strings = json.loads(text, object_pairs_hook=lambda pairs: pairs, **hooks)  # duplicates included
    str(json.dumps(names_and_strings, ensure_ascii=False)).encode("utf-8")  # refuses lone surrogates
    return value


def agrees_with_the_standard_library(line: bytes) -> bool:
    try:
        expected = by_the_standard_library(line)
    except ValueError:
        return isinstance(ref.parse(line), ref.Malformed)
    got = ref.parse(line)
    return plain(got) == expected if isinstance(expected, dict) else isinstance(got, ref.Malformed)


def test_the_reader_agrees_with_the_standard_library_on_the_hostile_lines():
    shallow = [(name, line) for name, line in feeds.NAMED if line.count(b"[") + line.count(b"{") < 900]
    assert len(shallow) > 1000
    assert [name for name, line in shallow if not agrees_with_the_standard_library(line)] == []


@given(feeds.lines())
@settings(max_examples=examples(300), deadline=None)
def test_the_reader_agrees_with_the_standard_library_on_drawn_lines(line):
    assert agrees_with_the_standard_library(line)


# Landing and normalizing


def test_a_record_without_id_lies_in_its_date_and_blank_lines_are_no_records():
    no_id, late = order(...), order(created_at="2025-01-22")
    partitions = ref.land([b"", b" \t\r", no_id, b"x", late, order()], AS_OF)
    assert partitions == {JAN_15: [no_id, order()], None: [b"x", late]}
    assert ref.normalize(partitions[None], AS_OF).discards == [("malformed_json", b"x"), ("future_created_at", late)]


def test_the_rows_of_a_date_have_the_columns_of_the_contract():
    line = order(
        "o_1",
        user_id=7,
        amount="5.5",
        updated_at="2025-01-15T12:00:00+01:00",
        metadata=Raw('{"b":1,"a":[]}'),
        status="paid",
    )
    normalized = ref.normalize([line], AS_OF)
    created_at, updated_at = at("2025-01-15T10:00"), at("2025-01-15T11:00")
    assert normalized.orders == [
        ("o_1", "7", Decimal("5.5"), "EUR", created_at, updated_at, '{"a":[],"b":1e0}', JAN_15, "paid", False),
    ]
    assert normalized.items == [
        ("o_1", 1, "s_1", 1, Decimal(10), JAN_15),
        ("o_1", 2, "s_2", 2, Decimal(10), JAN_15),
    ]
    curated = ref.curate({JAN_15: normalized})[JAN_15]
    assert curated.fact_order == [
        ("o_1", "7", "s_1", Decimal("1.8333"), 1, Decimal(10), created_at, JAN_15),
        ("o_1", "7", "s_2", Decimal("3.6667"), 2, Decimal(10), created_at, JAN_15),
    ]
    assert curated.order_items == normalized.items


def test_an_order_without_lines_is_one_row_with_the_whole_amount():
    curated = ref.curate({JAN_15: ref.normalize([order("o_1", items=[])], AS_OF)})[JAN_15]
    assert curated.fact_order == [
        ("o_1", "u_1", None, Decimal(30), None, None, at("2025-01-15T10:00"), JAN_15)]  # fmt: skip
    assert curated.order_items == []


@pytest.mark.parametrize(
    ("earlier", "later", "winner"),
    [
        ({}, {}, "second"),  # a tie goes to the later position
        ({"updated_at": "2025-01-15T11:00"}, {}, "first"),
        ({"updated_at": "2025-01-15T10:00"}, {}, "second"),  # updated_at else created_at: a tie again
        ({"created_at": "2025-01-15T10:01"}, {}, "first"),
        ({"created_at": "2025-01-15T09:00", "updated_at": "2025-01-15T12:00"},
         {"created_at": "2025-01-15T08:00", "updated_at": "2025-01-15T12:00"}, "first"),  # then created_at
        ({"updated_at": "infinity"}, {}, "second"),
        ({"updated_at": "2025-01-15T10:00:00.0000019Z"}, {"updated_at": "2025-01-15T10:00:00.000001Z"}, "second"),
    ],
)  # fmt: skip
def test_the_latest_version_of_an_order_wins_inside_its_date(earlier, later, winner):
    normalized = ref.normalize([order(user_id="first", **earlier), order(user_id="second", **later)], AS_OF)
    assert [row[1] for row in normalized.orders] == [winner]
    assert normalized.counts["superseded_here"] == 1


def test_a_discarded_record_supersedes_nothing_and_the_sums_of_a_date_add_up():
    lines = [
        order("12", amount="x"),
        order(12, updated_at="2025-01-15T23:00"),  # the same id
        order(...),
        order("a", items=Raw('[{"sku":1.5,"qty":2.7,"price":"-"},3,{}]'), user_id=True, updated_at="?"),
        order("a", created_at="2025-01-15T09:00", amount=None),  # older, so not counted
    ]
    counts = ref.normalize(lines, AS_OF).counts
    once = (
        "order_id absent",
        "user_id unreadable",
        "updated_at unreadable",
        "sku absent",
        "sku unreadable",
        "qty absent",
        "qty unreadable",
        "price absent",
        "price unreadable",
        "items_dropped",
    )
    assert counts == {
        "extracted": 5,
        "normalized": 2,
        "superseded_here": 2,
        "discarded": {"missing_order_id": 1},
        "nulled": dict.fromkeys(once, 1),
    }


def test_rows_are_ordered_by_the_bytes_of_the_order_id():
    ids = ["😀", "\uffff", "é", "b", "a", "a ", "B", "10", "9"]
    rows = ref.normalize([order(order_id) for order_id in ids], AS_OF).orders
    assert [row[0] for row in rows] == ["10", "9", "B", "a", "a ", "b", "é", "\uffff", "😀"]


# Allocation


@pytest.mark.parametrize(
    ("amount", "lines", "shares"),
    [
        # a third of 10 is 3.3333, two thirds 6.6667: the middle line gets the ten-thousandth
        ("10", [(1, "1"), (1, "1"), (1, "1")], ["3.3333", "3.3334", "3.3333"]),
        ("-10", [(1, "1"), (1, "1"), (1, "1")], ["-3.3333", "-3.3334", "-3.3333"]),
        # 0.5 ten-thousandths is half: up to 1, also below zero: -0.5 to 0
        ("0.0001", [(1, "1"), (1, "1")], ["0.0001", "0.0000"]),
        ("-0.0001", [(1, "1"), (1, "1")], ["0.0000", "-0.0001"]),
        # weights 20 and 10 of 30
        ("30", [(2, "10"), (1, "10")], ["20", "10"]),
        ("7", [(3, "0.01"), (1, "0.04")], ["3", "4"]),
        # a single weight may be negative: -1 and 3 of 2
        ("10", [(-1, "1"), (1, "3")], ["-5", "15"]),
        # running weights 4 and 3 of 2... then 2
        ("10", [(2, "2"), (-1, "1"), (-1, "1")], ["20", "-5", "-5"]),
        # no sum above zero, or a qty or price unknown: even
        ("9", [(0, "1"), (1, "0"), (5, "0")], ["3", "3", "3"]),
        ("9", [(-1, "1"), (1, "1"), (0, "8")], ["3", "3", "3"]),
        ("9", [(-2, "1"), (1, "1"), (0, "8")], ["3", "3", "3"]),
        ("9", [(None, "1"), (1, "1")], ["4.5", "4.5"]),
        ("9", [(8, "1"), (1, None)], ["4.5", "4.5"]),
        ("9", [(None, None)], ["9"]),
        ("0", [(1, "1"), (1, "2")], ["0", "0"]),
        ("99999999999999.9999", [(1, "1")], ["99999999999999.9999"]),
        # in ten-thousandths W is 1 and C1 is 1e27, so that A1 is 1e32: too big, so even
        (
            "10",
            [(10**9, "99999999999999"), (-(10**9), "99999999999999"), (1, "0.0001")],
            ["3.3333", "3.3334", "3.3333"],
        ),
    ],
)
def test_an_amount_is_allocated_by_value_of_line(amount, lines, shares):
    typed = [(qty, None if price is None else Decimal(price)) for qty, price in lines]
    got = ref.allocate(Decimal(amount), typed)
    assert got == decimals(*shares)
    assert sum(got) == Decimal(amount)


def test_a_null_amount_has_null_shares():
    assert ref.allocate(None, [(1, Decimal(1)), (None, None)]) == [None, None]


@given(
    st.decimals(-(10**14) + 1, 10**14 - 1, places=4),
    st.lists(st.tuples(st.none() | st.integers(-(10**9), 10**9), st.none() | st.decimals(-9999, 9999, places=4)),
             min_size=1, max_size=6),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_shares_always_sum_to_the_amount_and_fit_the_column(amount, lines):
    shares = ref.allocate(amount, lines)
    assert sum(shares) == amount
    assert all(abs(share) < 10**14 for share in shares)


# Law 2 and the lake


def test_an_order_that_moves_to_another_date_leaves_the_old_one():
    lake = ref.Lake()
    assert lake.run([order("o_1"), order("o_2")], at("2025-01-15T23:00")) == set()
    lake.run([order("o_1", created_at="2025-01-16T01:00"), order("o_2")], at("2025-01-16T10:00"))
    assert [(row[0], row[-1]) for row in lake.order_items()] == [("o_2", JAN_15)] * 2 + [("o_1", JAN_16)] * 2


def test_an_order_moves_back_when_its_earlier_date_has_the_greater_updated_at():
    normalized = {
        JAN_15: ref.normalize([order("o_1", updated_at="2025-01-17T00:00")], AS_OF),
        JAN_16: ref.normalize([order("o_1", created_at="2025-01-16T10:00")], AS_OF),
    }
    curated = ref.curate(normalized)
    assert [(c.kept, c.superseded_elsewhere, len(c.order_items)) for c in curated.values()] == [(1, 0, 2), (0, 1, 0)]


def test_a_settled_date_is_skipped_and_force_extracts_it_again():
    lake = ref.Lake()
    lake.run([order(amount=1)], at("2025-01-16T06:00"))  # settled exactly now
    lake.run([order(amount=2)], at("2025-01-17T00:00"))
    assert [row[3] for row in lake.fact_order()] == decimals("0.3333", "0.6667")
    lake.run([order(amount=3)], at("2025-01-17T00:00"), force=True)
    assert [row[3] for row in lake.fact_order()] == decimals("1", "2")


def test_an_open_date_is_extracted_again():
    lake = ref.Lake()
    lake.run([order(amount=3)], at("2025-01-16T05:59:59.999999"))
    lake.run([order(amount=6)], at("2025-01-20"))
    assert [row[3] for row in lake.fact_order()] == decimals("2", "4")


@pytest.mark.parametrize(
    ("since", "until", "dates"),
    [
        (None, None, {14, 15}),  # until is as_of, at noon of the 15th
        ("2025-01-14T23:59:59", "2025-01-15T00:00:01", {14, 15}),
        ("2025-01-15T00:00:00", None, {15}),
        ("2025-01-14T12:00:00", "2025-01-15T00:00:00", {14}),
        ("2025-01-14T12:00:00", "2025-01-20T00:00:00", {14, 15, 16}),
        ("2025-01-15T06:00:00", "2025-01-15T06:00:00", set()),
    ],
)
def test_since_and_until_choose_whole_dates(since, until, dates):
    lake = ref.Lake()
    lines = [order(f"o_{day}", created_at=f"2025-01-{day}") for day in (14, 15, 16)]
    lake.run(lines, at("2025-01-15T12:00"), *(text and at(text) for text in (since, until)))
    assert {date.day for date in lake.raw} == {date.day for date in lake.curated} == dates


def test_a_date_that_lost_more_than_a_fifth_of_its_orders_fails_and_keeps_what_it_had():
    lake, ids = ref.Lake(), [f"o_{n}" for n in range(5)]
    lake.run([order(order_id) for order_id in ids], at("2025-01-15T12:00"))
    before = lake.fact_order()
    assert lake.run([order(order_id) for order_id in ids[2:]], at("2025-01-15T13:00")) == {JAN_15}
    assert lake.fact_order() == before
    assert lake.run([order(order_id) for order_id in ids[1:]], at("2025-01-15T14:00")) == set()  # a fifth is not more
    moved = [order(order_id, created_at="2025-01-14") for order_id in ids[1:]]
    assert lake.run(moved, at("2025-01-15T15:00")) == set()  # moved is not gone
    assert lake.run([], at("2025-01-15T16:00"), force=True) == {dt.date(2025, 1, 14)}
    assert lake.run([], at("2025-01-15T17:00"), force=True, allow_shrink=True) == set()
    assert lake.fact_order() == []


def test_reprocess_reads_the_landed_lines_and_fails_for_a_date_that_is_not_landed():
    lake = ref.Lake()
    lake.run([order(amount=3)], at("2025-01-15T12:00"))
    later = [order(amount=6), order("o_2", created_at="2025-01-16")]
    assert lake.run(later, at("2025-01-17"), reprocess=True) == {JAN_16}
    assert [row[3] for row in lake.fact_order()] == decimals("1", "2")
    assert lake.run_date(JAN_16, [], at("2025-01-17"), reprocess=True) == {JAN_16}


def test_a_per_date_task_lands_its_date_alone_even_an_empty_one():
    lake = ref.Lake()
    lines = [order("o_1"), order("o_2", created_at="2025-01-16")]
    assert lake.run_date(JAN_16, lines, AS_OF) == set()
    assert lake.run_date(dt.date(2025, 1, 17), lines, AS_OF) == set()
    assert {date.day: curated.kept for date, curated in lake.curated.items()} == {16: 1, 17: 0}
    lake.run_date(JAN_15, lines, AS_OF, through="normalized")
    assert JAN_15 in lake.normalized
    assert JAN_15 not in lake.curated


def test_an_update_that_was_in_the_future_counts_once_it_is_not_though_the_lines_are_equal():
    lake, future_update = ref.Lake(), order(updated_at="2025-01-17T00:00:00Z")
    lake.run([future_update], at("2025-01-15T12:00"))
    lake.run([future_update], at("2025-01-16T12:00"))
    assert lake.normalized[JAN_15].orders[0][5] == at("2025-01-17")


@given(feeds.dumps(), feeds.dumps())
@settings(max_examples=examples(60), deadline=None)
def test_an_order_is_in_one_curated_date_and_no_record_is_lost(first, second):
    lake = ref.Lake()
    lake.run(first, AS_OF - dt.timedelta(hours=1))
    lake.run(second, AS_OF, force=True, allow_shrink=True)
    places = {(row[0], row[-1]) for row in lake.fact_order()}
    assert len(places) == len({order_id for order_id, _ in places})
    landed = sum(len(lake.raw[date].lines) for date in lake.raw if date < AS_OF.date())
    assert landed + len(lake.undated) <= len(first) + len(second)
    for date, built in lake.normalized.items():
        counts, curated = built.counts, lake.curated[date]
        discarded = sum(counts["discarded"].values())
        assert counts["extracted"] == counts["normalized"] + counts["superseded_here"] + discarded
        assert counts["normalized"] == curated.kept + curated.superseded_elsewhere + curated.excluded
