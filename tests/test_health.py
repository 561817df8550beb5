"""Field health and law 7: a run on a shop's data with a wrong map never ends without an error."""

import datetime as dt
import json
import logging
from typing import Any

import pytest
from depth import deep, some
from lake import LakeUnderTest

AS_OF = dt.datetime(2025, 2, 1)
HOUR = dt.timedelta(hours=1)
START = dt.datetime(2025, 1, 1, 10)


def shop_order(number: int, **fields: Any) -> dict[str, Any]:
    """An order as a shop has it whose names are its own; ten of them are of one date."""
    record = {
        "id": f"o_{number}",
        "customer": {"id": "u_1"},
        "sum": {"value": "30.00", "comma": "30,00"},
        "curr": "EUR",
        "placed": (START + dt.timedelta(days=number // 10)).isoformat(),
        "seconds": int((START + dt.timedelta(days=number // 10)).replace(tzinfo=dt.UTC).timestamp()),
        "touched": "2025-01-20T10:00:00Z",
        "basket": [{"article": "s_1", "pieces": 1, "each": "30.00"}],
    }
    return record | fields


RIGHT = {
    "order_id": "$.id",
    "user_id": "$.customer.id",
    "amount": "$.sum.value",
    "currency": "$.curr",
    "created_at": "$.placed",
    "updated_at": "$.touched",
    "items": "$.basket",
    "items.sku": "$.article",
    "items.qty": "$.pieces",
    "items.price": "$.each",
}
# what of the map is wrong, and the field that has to be named; a misspelt path finds nothing
WRONG = {
    "order_id misspelt": ({"order_id": "$.idd"}, "order_id"),
    "user_id misspelt": ({"user_id": "$.customer.idd"}, "user_id"),
    "amount misspelt": ({"amount": "$.sum.valeu"}, "amount"),
    "currency misspelt": ({"currency": "$.cur"}, "currency"),
    "created_at misspelt": ({"created_at": "$.plaecd"}, "created_at"),
    "updated_at misspelt": ({"updated_at": "$.tuoched"}, "updated_at"),
    "items misspelt": ({"items": "$.baskte"}, "items"),
    "sku misspelt": ({"items.sku": "$.artcile"}, "sku"),
    "qty misspelt": ({"items.qty": "$.peices"}, "qty"),
    "price misspelt": ({"items.price": "$.eahc"}, "price"),
    "all of a line misspelt": ({"items.sku": "$.a", "items.qty": "$.b", "items.price": "$.c"}, "items"),
    "an amount that is an object": ({"amount": "$.sum"}, "amount"),
    "a decimal comma": ({"amount": "$.sum.comma"}, "amount"),
    "a form that decimals do not have": ({"amount": "$.sum.value hundredths"}, "amount"),
    "seconds read as a text": ({"created_at": "$.seconds"}, "created_at"),
    "seconds read as milliseconds": ({"created_at": "$.seconds epoch_millis"}, "created_at"),
    "a text read as seconds": ({"created_at": "$.placed epoch_seconds"}, "created_at"),
}
REFUSED = {"order_id misspelt", "amount misspelt", "created_at misspelt", "all of a line misspelt"}
REFUSED |= {"an amount that is an object", "a decimal comma", "a form that decimals do not have"}
REFUSED |= {"seconds read as a text", "a text read as seconds"}


def lines(count: int, **fields: Any) -> list[bytes]:
    return [json.dumps(shop_order(number, **fields)).encode() for number in range(count)]


def mapped(lake: LakeUnderTest, **wrong: str) -> None:
    lake.settings["orders_fields"] = RIGHT | wrong


def warned(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The fields that a WARNING names."""
    events = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return {text.split("field=")[1].split()[0] for text in events if "event=field_health" in text}


def test_a_map_that_is_right_warns_of_nothing(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    mapped(lake)
    assert lake.run(lines(30), AS_OF), lake.errors
    assert warned(caplog) == set()
    summary = lake.summary(AS_OF)
    assert "health" not in summary or summary["health"] == []
    assert summary["dates"]["2025-01-02"]["fields"] == {}


TYPICAL = ["order_id misspelt", "currency misspelt", "all of a line misspelt", "a decimal comma"]
TYPICAL += ["seconds read as milliseconds", "a text read as seconds"]


@pytest.mark.parametrize("name", some(WRONG, TYPICAL, "maps that are wrong"))
def test_a_map_that_is_wrong_fails_the_run_or_warns_of_the_field(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    wrong, field = WRONG[name]
    mapped(lake, **wrong)
    # 30 records on 3 dates, so that no date has as many as are judged
    is_green = lake.run(lines(30), AS_OF)
    if name in REFUSED:
        assert not is_green
        assert any(field in error for error in lake.errors)
        assert lake.curated("fact_order", []) == {}
    else:
        assert is_green, lake.errors
        assert field in warned(caplog)


def test_hundredths_of_a_currency_that_has_none_are_told(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    mapped(lake, amount="$.yen hundredths")
    assert lake.run(lines(30, yen=500, curr="jpy"), AS_OF), lake.errors
    assert warned(caplog) == {"amount"}
    (found,) = lake.summary(AS_OF)["health"]
    assert "JPY has no hundredths; set [orders_fields] amount = $.yen minor_units, then run again with" in found["text"]
    mapped(lake, amount="$.yen minor_units")
    assert lake.run(None, AS_OF + HOUR, reprocess=True), lake.errors
    assert {row[3] for rows in lake.curated("fact_order").values() for row in rows} == {500}


@deep("maps that are wrong")
def test_the_setting_that_reads_times_of_1970_in_seconds_is_named(lake: LakeUnderTest) -> None:
    mapped(lake, created_at="$.seconds epoch_millis")
    assert lake.run(lines(30), AS_OF), lake.errors
    (found,) = lake.summary(AS_OF)["health"]
    setting = "set [orders_fields] created_at = $.seconds epoch_seconds, then run again with --force"
    assert found["text"].endswith(setting)
    mapped(lake, created_at="$.seconds epoch_seconds")
    assert lake.run(None, AS_OF + HOUR, force=True), lake.errors
    assert {str(date) for date, rows in lake.curated("fact_order").items() if rows} == {
        "2025-01-01",
        "2025-01-02",
        "2025-01-03",
    }


def test_a_refused_dump_is_landed_and_is_built_once_the_map_is_right(lake: LakeUnderTest) -> None:
    mapped(lake, amount="$.amount")
    assert not lake.run(lines(30), AS_OF)
    assert {date: len(records) for date, records in lake.raw().items()} == {
        "2025-01-01": 10,
        "2025-01-02": 10,
        "2025-01-03": 10,
    }
    (error,) = lake.errors
    assert "date=2025-01-01..2025-01-03: amount: none of 30 records has a readable value at $.amount" in error
    assert "fields of such a record: id, customer, sum, curr, placed" in error
    assert "if there is no amount, write [orders_fields] amount = none" in error
    mapped(lake)
    assert lake.run(None, AS_OF + HOUR), lake.errors
    assert sum(len(rows) for rows in lake.curated("fact_order").values()) == 30


def test_the_setting_that_may_be_meant_is_named_where_one_name_fits(lake: LakeUnderTest) -> None:
    mapped(lake, amount="$.amount")
    assert not lake.run(lines(30), AS_OF)
    assert "set [orders_fields] amount = $.sum.value, then run again" in lake.errors[0]
    assert not lake.run(lines(30, grand_total="30.00"), AS_OF + HOUR, force=True)
    assert "set [orders_fields] amount" not in lake.errors[0]


def test_none_says_that_a_shop_has_no_amounts_and_no_lines_for_good(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    mapped(lake, amount="none", items="none")
    assert lake.run(lines(30), AS_OF), lake.errors
    assert warned(caplog) == set()
    rows = [row for rows in lake.curated("fact_order").values() for row in rows]
    assert {(row[2], row[3]) for row in rows} == {(None, None)}


@deep("maps that are wrong")
def test_accept_fields_is_remembered_for_the_dates_that_it_was_given_for(lake: LakeUnderTest) -> None:
    mapped(lake, amount="$.amount")
    assert not lake.run(lines(30), AS_OF)
    until = dt.datetime(2025, 1, 3)
    assert lake.run(None, AS_OF + HOUR, until=until, accept_fields=True), lake.errors
    assert lake.run(None, AS_OF + 2 * HOUR, until=until, reprocess=True), lake.errors
    assert not lake.run(None, AS_OF + 3 * HOUR)
    assert "date=2025-01-03: amount" in lake.errors[0]


def test_fewer_than_twenty_records_are_published_with_a_warning_if_all_are_discarded(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    mapped(lake, created_at="$.plaecd")
    assert lake.run(lines(19), AS_OF), lake.errors
    assert warned(caplog) == {"created_at"}
    mapped(lake, created_at="$.plaecd", amount="$.sum")
    assert not lake.run(lines(20), AS_OF + HOUR)


def test_a_date_that_lacks_amounts_is_built_where_other_dates_of_the_dump_have_them(lake: LakeUnderTest) -> None:
    mapped(lake)
    free = lines(30, sum={}, placed="2025-01-09T10:00:00")
    assert lake.run([*lines(5), *free], AS_OF), lake.errors


@deep("maps that are wrong")
def test_dates_that_are_read_by_a_new_map_are_judged_by_it(lake: LakeUnderTest) -> None:
    mapped(lake)
    assert lake.run(lines(30), AS_OF), lake.errors
    before = lake.curated("fact_order")
    mapped(lake, amount="$.amount")
    assert not lake.run(None, AS_OF + HOUR, reprocess=True)
    assert "amount: none of 30 records" in lake.errors[0]
    assert lake.curated("fact_order") == before


@deep("maps that are wrong")
def test_excluded_orders_count_in_no_field(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    mapped(lake, exclude="$.test")
    free = lines(40, test=True, sum={})
    assert lake.run([*lines(10), *(line.replace(b"o_", b"t_") for line in free)], AS_OF), lake.errors
    assert warned(caplog) == set()
    assert lake.summary(AS_OF)["dates"]["2025-01-01"]["excluded"] == 10
    assert {row[0][0] for rows in lake.curated("fact_order").values() for row in rows} == {"o"}


def test_the_first_value_that_cannot_be_read_is_named_by_its_order(lake: LakeUnderTest) -> None:
    mapped(lake)
    assert lake.run([*lines(2), *lines(1, id="o_9", sum={"value": "much"})], AS_OF), lake.errors
    found = lake.summary(AS_OF)
    amount = {"accepted": 2, "unreadable": 1, "first": "o_9"}
    assert found["dates"]["2025-01-01"]["fields"]["amount"] == amount
    assert [(each["field"], each["is_ill"]) for each in found["health"]] == [("amount", False)]


def test_a_second_run_over_hundredths_has_nothing_to_say(lake: LakeUnderTest) -> None:
    mapped(lake, amount="$.cents hundredths")
    assert lake.run(lines(30, cents=3000), AS_OF), lake.errors
    assert lake.run(None, AS_OF + HOUR), lake.errors


@deep("maps that are wrong")
def test_a_dump_that_fits_with_more_records_is_the_verdict_on_those_that_are_landed(lake: LakeUnderTest) -> None:
    mapped(lake)
    free, paid = lines(25, sum={}), lines(5, placed="2025-01-20T10:00:00")
    assert not lake.run(free, AS_OF)
    assert lake.run([*free, *(line.replace(b"o_", b"p_") for line in paid)], AS_OF + HOUR), lake.errors


@deep("maps that are wrong")
def test_accept_fields_lasts_for_a_date_that_is_extracted_again(lake: LakeUnderTest) -> None:
    mapped(lake, amount="$.amount")
    soon = dt.datetime(2025, 1, 1, 12)
    assert lake.run(lines(25, placed="2025-01-01T10:00:00"), soon, accept_fields=True), lake.errors
    assert lake.run(lines(26, placed="2025-01-01T10:00:00"), soon + HOUR), lake.errors


def test_accept_fields_lasts_for_records_without_a_date(lake: LakeUnderTest) -> None:
    mapped(lake, created_at="$.plaecd")
    assert not lake.run(lines(25), AS_OF)
    assert lake.run(None, AS_OF + HOUR, accept_fields=True), lake.errors
    assert lake.run(None, AS_OF + 2 * HOUR), lake.errors


@deep("maps that are wrong")
def test_a_map_that_stops_to_fit_what_is_built_is_told(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    mapped(lake)
    assert lake.run(lines(30), AS_OF), lake.errors
    mapped(lake, amount="$.amuont")
    assert lake.run(None, AS_OF + HOUR), lake.errors
    assert any("event=map_does_not_fit" in record.getMessage() for record in caplog.records)


@deep("maps that are wrong")
def test_a_proposal_can_be_set_as_it_is_said(lake: LakeUnderTest) -> None:
    mapped(lake, amount="$.amount")
    assert not lake.run(lines(30, **{"sum": 1, "Order Total": "3"}), AS_OF)
    assert 'set [orders_fields] amount = $."Order Total", then run again' in lake.errors[0]
    mapped(lake, amount='$."Order Total"')
    assert lake.run(None, AS_OF + HOUR), lake.errors
