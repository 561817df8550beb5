"""The exact JSON reader agrees with Python's own reader, and keeps the text of numbers."""

import json
from decimal import Decimal
from typing import Any

import feeds
import pytest
import reference as ref
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.exact_json import ExactRecord, NotJson, NotText, rewrite

EMPTY = dict.fromkeys(("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "status"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXTS, part, max_size=4))
BLANKS = st.text(" \t\r\n", max_size=3)
RECORDS = st.dictionaries(st.sampled_from([*EMPTY, "metadata", "other", ""]), VALUES)


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def python_reads(text: bytes) -> Any:
    """What Python makes of strict JSON; ValueError when it is none."""
    return json.loads(text.decode(), parse_constant=refuse)


def verdict(text: bytes) -> str:
    try:
        return "record" if isinstance(rewrite(text), ExactRecord) else "no object"
    except NotText:
        return "not text"
    except NotJson:
        return "not JSON"


def rewritten(text: str) -> ExactRecord:
    record = rewrite(text.encode())
    assert record is not None
    return record


@given(RECORDS, BLANKS, st.booleans())
@settings(max_examples=examples(120), deadline=None)
def test_metadata_is_the_same_value_in_minified_text(record, blanks, ascii_only):
    text = json.dumps(record, ensure_ascii=ascii_only, separators=(f"{blanks},{blanks}", f"{blanks}:{blanks}"))
    exact = rewritten(f"{blanks}{text}{blanks}")
    if record.get("metadata") is None:
        assert exact.metadata is None
    else:
        assert json.loads(exact.metadata) == record["metadata"]
        assert exact.metadata == json.dumps(record["metadata"], ensure_ascii=ascii_only, separators=(",", ":"))


@given(RECORDS)
@settings(max_examples=examples(120), deadline=None)
def test_texts_and_words_stay_numbers_become_their_own_text_and_anything_else_is_no_value(record):
    line = json.loads(rewritten(json.dumps(record)).line)
    assert line.keys() == EMPTY.keys() | {"items"}
    for name in EMPTY:
        value = record.get(name)
        if value is None or isinstance(value, (str, bool)):
            assert line[name] == value
        elif name == "amount" and isinstance(value, (int, float)):
            assert Decimal(line[name]) == Decimal(json.dumps(value))
        elif name in ("order_id", "user_id") and isinstance(value, int):
            assert line[name] == str(value)
        else:
            assert line[name] is False


@given(st.lists(VALUES, max_size=6))
@settings(max_examples=examples(100), deadline=None)
def test_items_hold_objects_only_and_the_others_are_counted(elements):
    exact = rewritten(json.dumps({"items": elements}))
    assert len(json.loads(exact.line)["items"]) == sum(isinstance(element, dict) for element in elements)
    assert exact.dropped_items == sum(not isinstance(element, dict) for element in elements)


@given(VALUES, st.data())
@settings(max_examples=examples(150), deadline=None)
def test_what_is_json_is_what_python_takes_for_json(value, data):
    text = json.dumps(value, ensure_ascii=False).encode()
    at = data.draw(st.integers(0, len(text)))
    junk = data.draw(
        st.sampled_from([b"", b",", b"}", b"]", b":", b'"', b"\\", b"0", b"-", b"e", b"nul", b"NaN", b"\x00"])
    )
    text = text[:at] + junk + text[at + data.draw(st.integers(0, 2)) :]
    try:
        expected = "record" if isinstance(python_reads(text), dict) else "no object"
    except UnicodeDecodeError:
        return
    except ValueError:
        expected = "not JSON"
    assert verdict(text) == expected


@pytest.mark.parametrize("name", feeds.MALFORMED)
def test_a_line_that_is_no_json_object_is_never_a_record(name):
    assert verdict(feeds.MALFORMED[name]) != "record"


def test_a_hostile_line_is_a_record_exactly_when_the_reference_reads_one():
    for name, line in feeds.NAMED:
        if len(line) < 10_000:  # the long ones are read in test_contract
            assert (verdict(line) == "record") == isinstance(ref.parse(line), dict), name


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ('{"amount": 1.00005}', "1.00005"),
        ('{"amount": 90071992547409.9301}', "90071992547409.9301"),
        ('{"amount": 1e400}', "1e400"),
        ('{"amount": -0.0}', "-0.0"),
        ('{"amount": 1, "amount": 2}', "1"),
        ('{"\\u0061mount": 1, "amount": 2}', "1"),
        ('{"amount": null, "amount": 2}', None),
        ('{"amount": [1]}', False),
    ],
)
def test_the_first_amount_counts_and_keeps_its_digits(text, amount):
    assert json.loads(rewritten(text).line)["amount"] == amount


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":"\\ud800"}', "not text"),
        (b'{"\\udc00":1}', "not text"),
        (b'{"a":"\xff"}', "not text"),
        (b'{"a":"\xed\xa0\x80"}', "not text"),
        (b'{"a":"\\ud83d\\ude00"}', "record"),
        (b'{"a":"\xff"', "not JSON"),
        (b'{"a":"\\ud800",}', "not JSON"),
        (b'"\\ud800"', "not text"),
        (b"", "not JSON"),
        (b" \t ", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_json_that_is_no_text_is_told_from_what_is_no_json(text, expected):
    assert verdict(text) == expected


def test_a_record_as_deep_or_long_as_the_sender_likes_is_read():
    deep = "[" * feeds.DEEP + "]" * feeds.DEEP
    assert rewritten('{"metadata":' + deep + "}").metadata == deep
    assert json.loads(rewritten(json.dumps({"currency": feeds.MEGABYTE})).line)["currency"] == feeds.MEGABYTE
    escapes = '"' + "\\u0041" * 100_000 + '"'
    assert json.loads(rewritten('{"currency":' + escapes + "}").line)["currency"] == "A" * 100_000


def test_an_error_says_from_which_character_on_it_is_no_json():
    with pytest.raises(NotJson, match="not JSON from character 12 on"):
        rewrite(b'{"amount": 1 "')
    with pytest.raises(NotJson, match="character 0"):
        rewrite(b"NaN")
