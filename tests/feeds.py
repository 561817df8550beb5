"""Good and hostile orders of a shop: tables of field values, hand-written lines, and hypothesis strategies.

The tables map the JSON text of a field's value to the value by the contract (see the comment above each table). They
are test data for the pipeline and a check of the reference. All records are judged as extracted at `EXTRACTED_AT`.
"""

import datetime as dt
import json
from typing import Any

from hypothesis import strategies as st

EXTRACTED_AT = dt.datetime(2025, 1, 20, 12)
MEGABYTE = "x" * 1_000_000
DEEP = 100_000

SQL = "'; DROP TABLE orders; --"
PATH = "../../../../etc/passwd"
NASTY_TEXT = [
    SQL, PATH, '"', "\\", "'", "a,b", "a\tb", "a\nb", "a\r\nb", "\x00", "a\x00b", "\x1b[31m", "\x7f", "%s %d {0} {x}",
    "😀", "e\u0301", "é", "\u00a0", "\u2028", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "ſ", "İ", "ß", "Ω", "ﬀ",
    "日本", "NULL", "null", "None", "NaN", "true", "0", "-0", "1e5", "=1+1", "..", ".", "/", "C:\\x", "date=2025-01-01",
    "__HIVE_DEFAULT_PARTITION__", "*", "?", "[a]", "$1", "$HOME", "`id`", "a b", " a", "a ", "A", "a", "aa", "{}", "[]",
]  # fmt: skip


class Raw(str):
    """JSON text that `dump` puts as it is: a number with its own text, NaN, something broken."""


def dump(value: Any, comma: str = ",", colon: str = ":", *, ascii_only: bool = True) -> str:
    """The JSON text of a value that may hold `Raw`."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        names = [json.dumps(name, ensure_ascii=ascii_only) for name in value]
        values = [dump(part, comma, colon, ascii_only=ascii_only) for part in value.values()]
        return "{" + comma.join(name + colon + part for name, part in zip(names, values, strict=True)) + "}"
    if isinstance(value, list):
        return "[" + comma.join(dump(part, comma, colon, ascii_only=ascii_only) for part in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def order(order_id: Any = "o_1", **fields: Any) -> bytes:
    """The line of a good order with some fields replaced or added; a field given as `...` is left out."""
    record = {
        "order_id": order_id,
        "user_id": "u_1",
        "amount": 30,
        "currency": "EUR",
        "created_at": "2025-01-15T10:00:00Z",
        "items": [{"sku": "s_1", "qty": 1, "price": 10}, {"sku": "s_2", "qty": 2, "price": 10}],
    } | fields
    return dump({name: value for name, value in record.items() if value is not ...}).encode()


# ---- field tables: JSON text -> what the contract makes of it -----------------------------------------------------

# order_id, user_id, sku: the text, or None
IDENTIFIERS: dict[str, str | None] = {
    '"o_plain"': "o_plain",
    "12": "12",
    '"12"': "12",
    "0": "0",
    "-0": "-0",
    "-7": "-7",
    '"007"': "007",
    "9007199254740993": "9007199254740993",  # 2^53 + 1
    "9223372036854775808": "9223372036854775808",  # 2^63
    "18446744073709551616": "18446744073709551616",  # 2^64
    "340282366920938463463374607431768211456": "340282366920938463463374607431768211456",  # 2^128
    "1" * 5000: "1" * 5000,
    '"1.0"': "1.0",
    '" padded "': " padded ",
    '"\\u00a0"': "\u00a0",  # no blank of ours
    '"\\u2003"': "\u2003",
    '"\\u0085"': "\u0085",
    '"\\u001f"': "\x1f",  # white space to Python's strip(), not to us
    '"\\u0000"': "\x00",
    '"a\\u0000b"': "a\x00b",
    '"\\ud83d\\ude00"': "😀",
    '"😀"': "😀",
    '"\\uD83D\\uDE00"': "😀",
    '"\\/"': "/",
    '"\\u006f_escaped"': "o_escaped",
    '"' + "i" * 1_000_000 + '"': "i" * 1_000_000,
    '"null"': "null",
    '""': None,
    '" "': None,
    '"\\t\\n\\r\\f\\u000b "': None,
    '"\\u0020\\u0009"': None,
    "null": None,
    "true": None,
    "false": None,
    "1.0": None,
    "1.5": None,
    "1e2": None,
    "1E2": None,
    "-0.0": None,
    "1e400": None,
    "[]": None,
    '["o_1"]': None,
    "{}": None,
    '{"id":"o_1"}': None,
} | {json.dumps(text): text for text in NASTY_TEXT}

# amount, price: the text of the DECIMAL(18,4), or None
NUMBERS: dict[str, str | None] = {
    "0": "0.0000",
    "-0": "0.0000",
    "-0.0": "0.0000",
    '"-0"': "0.0000",
    "10": "10.0000",
    "-10.5": "-10.5000",
    '"10.50"': "10.5000",
    "0.00005": "0.0001",
    "-0.00005": "-0.0001",
    "0.00004999999999999999999999999999": "0.0000",
    "-0.00004999999999999999999999999999": "0.0000",
    "0.000050000000000000000000000000001": "0.0001",
    "1.00005": "1.0001",  # a double is below the half here
    "1.00015": "1.0002",
    "2.00025": "2.0003",  # away from zero, not to even
    "-2.00025": "-2.0003",
    '"2.00025"': "2.0003",
    "1.005": "1.0050",
    "0.1": "0.1000",
    "1e3": "1000.0000",
    "1E3": "1000.0000",
    "1e+3": "1000.0000",
    '"1e+03"': "1000.0000",
    "1.5e-3": "0.0015",
    "5e-5": "0.0001",
    "49e-6": "0.0000",
    '"1e-99"': "0.0000",
    "0e99": "0.0000",
    '"0e99"': "0.0000",
    "12345678901234.5678": "12345678901234.5678",  # 18 digits
    '"12345678901234.5678"': "12345678901234.5678",
    "99999999999999.9999": "99999999999999.9999",
    "-99999999999999.9999": "-99999999999999.9999",
    "99999999999999.99994": "99999999999999.9999",
    "90071992547409.9301": "90071992547409.9301",
    "999999999999999999e-4": "99999999999999.9999",
    "0.0000000000000000000000000000001e30": "0.1000",
    '"007"': "7.0000",
    '"-007.10"': "-7.1000",
    '"0000000000000000000000000000000000000000001"': "1.0000",
    "0." + "3" * 5000: "0.3333",
    '"\\u0031\\u0032"': "12.0000",  # the string is 12
    "99999999999999.99995": None,  # rounds to 10^14
    "-99999999999999.99995": None,
    "100000000000000": None,
    "-100000000000000": None,
    "1e14": None,
    '"1e14"': None,
    "1e99": None,
    "1e100": None,
    "0e100": None,  # three digits of exponent
    "1e001": None,
    "1e400": None,
    "-1e400": None,
    '"1e400"': None,
    "1e-400": None,
    "9" * 5000: None,
    '"' + "9" * 1_000_000 + '"': None,
    '"+1"': None,
    '"1."': None,
    '".5"': None,
    '"-.5"': None,
    '"1_000"': None,
    '"1,000"': None,
    '"1 000"': None,
    '"1,5"': None,
    '" 1"': None,
    '"1 "': None,
    '"1\\n"': None,
    '"1\\u0000"': None,
    '"--1"': None,
    '"- 1"': None,
    '"\\u22121"': None,  # a minus sign that is none
    '"0x10"': None,
    '"0b1"': None,
    '"0o7"': None,
    '"1e"': None,
    '"1e+"': None,
    '"e5"': None,
    '"1e5.0"': None,
    '"1d5"': None,
    '"1f"': None,
    '"NaN"': None,
    '"nan"': None,
    '"Infinity"': None,
    '"-inf"': None,
    '"\\u0661"': None,  # Arabic-Indic 1
    '"\\uff11"': None,  # full-width 1
    '"\\u00b2"': None,
    '"10 EUR"': None,
    '"$10"': None,
    '"1/3"': None,
    '"true"': None,
    '""': None,
    '" "': None,
    "null": None,
    "true": None,
    "false": None,
    "[]": None,
    "[1]": None,
    "{}": None,
    '{"value":1}': None,
    json.dumps(SQL): None,
    json.dumps(PATH): None,
}

# qty: the whole number, or None
QUANTITIES: dict[str, int | None] = {
    "1": 1,
    "0": 0,
    "-0": 0,
    "-3": -3,
    '"4"': 4,
    '"-4"': -4,
    "2.0": 2,
    "2.000": 2,
    '"2.0"': 2,
    "-0.0": 0,
    '"007"': 7,
    "1000000000": 10**9,
    "-1000000000": -(10**9),
    "1000000000.0000000000000000000000000000000000000000": 10**9,
    '"' + "0" * 5000 + '5"': 5,
    "2.7": None,
    '"2.7"': None,
    "2.5": None,
    "0.0000000000000000000000000000000000000001": None,
    "1000000001": None,
    "-1000000001": None,
    "1000000000.1": None,
    "1e3": None,
    "1e0": None,
    '"1e3"': None,
    "2147483648": None,
    "9223372036854775808": None,
    "9" * 5000: None,
    "1e400": None,
    '"2."': None,
    '".0"': None,
    '"+1"': None,
    '" 1"': None,
    '"1 "': None,
    '"1_0"': None,
    '"0x10"': None,
    '"two"': None,
    '"\\u0662"': None,
    '""': None,
    "null": None,
    "true": None,
    "false": None,
    "[]": None,
    "[2]": None,
    "{}": None,
    json.dumps(SQL): None,
}

# created_at, updated_at: the UTC instant, "future", "invalid", or "missing"
TIMESTAMPS: dict[str, str] = {
    '"2025-01-15T10:00:00Z"': "2025-01-15T10:00:00",
    '"2025-01-15 10:00:00Z"': "2025-01-15T10:00:00",
    '"2025-01-15T10:00:00"': "2025-01-15T10:00:00",
    '"2025-01-15 10:00:00"': "2025-01-15T10:00:00",
    '"2025-01-15T10:00"': "2025-01-15T10:00:00",
    '"2025-01-15T10:00Z"': "2025-01-15T10:00:00",
    '"2025-01-15 10:00+0100"': "2025-01-15T09:00:00",
    '"2025-01-15"': "2025-01-15T00:00:00",
    '"2024-02-29"': "2024-02-29T00:00:00",
    '"2000-02-29T00:00:00Z"': "2000-02-29T00:00:00",
    '"2025-01-15T23:30:00-05:00"': "2025-01-16T04:30:00",  # another UTC date
    '"2025-01-15T23:30:00-0500"': "2025-01-16T04:30:00",
    '"2025-01-15T00:30:00+05:30"': "2025-01-14T19:00:00",
    '"2025-01-01T00:00:00+00:01"': "2024-12-31T23:59:00",
    '"2025-01-15T10:00:00-00:00"': "2025-01-15T10:00:00",
    '"2025-01-15T10:00:00-00:30"': "2025-01-15T10:30:00",
    '"2025-01-15T10:00:00+23:59"': "2025-01-14T10:01:00",
    '"2025-01-15T10:00:00-23:59"': "2025-01-16T09:59:00",
    '"2025-01-15T10:00:00.1Z"': "2025-01-15T10:00:00.100000",
    '"2025-01-15T10:00:00.123456Z"': "2025-01-15T10:00:00.123456",
    '"2025-01-15T10:00:00.123456789Z"': "2025-01-15T10:00:00.123456",
    '"2025-01-15T23:59:59.9999999Z"': "2025-01-15T23:59:59.999999",  # truncated: the date stays
    '"2025-01-15T23:59:59.999999999"': "2025-01-15T23:59:59.999999",
    '"2025-01-15T10:00:00.000000001Z"': "2025-01-15T10:00:00",
    '"2025-01-15T10:00:00.5+01:00"': "2025-01-15T09:00:00.500000",
    '"2025\\u002d01-15"': "2025-01-15T00:00:00",  # an escape is the character
    '"1970-01-01"': "1970-01-01T00:00:00",
    '"1970-01-01T00:00:00Z"': "1970-01-01T00:00:00",
    '"1969-12-31T23:30:00-01:00"': "1970-01-01T00:30:00",
    '"1969-12-31T00:01:00-23:59"': "1970-01-01T00:00:00",
    '"2025-01-21T12:00:00Z"': "2025-01-21T12:00:00",  # the limit itself
    '"2025-01-21T12:00:00.000000999Z"': "2025-01-21T12:00:00",
    '"2025-01-21T13:00:00+01:00"': "2025-01-21T12:00:00",
    '"2025-01-21T12:00:00.000001Z"': "future",
    '"2025-01-21T12:01+00:00"': "future",
    '"2025-01-21T12:00:00-00:01"': "future",
    '"2025-01-22"': "future",
    '"2199-12-31"': "future",
    '"2199-12-31T23:59:59.999999999Z"': "future",
    '"2200-01-01T00:30:00+01:00"': "future",  # 2199 in UTC
    '"2200-01-01"': "invalid",
    '"2199-12-31T23:30:00-01:00"': "invalid",
    '"1969-12-31"': "invalid",
    '"1969-12-31T23:59:59.999999999Z"': "invalid",
    '"1970-01-01T00:00:00+00:01"': "invalid",
    '"1970-01-01T00:59:59+01:00"': "invalid",
    '"0000-01-01"': "invalid",
    '"0001-01-01T00:00:00+23:59"': "invalid",
    '"9999-12-31T23:59:59-23:59"': "invalid",
    '"12025-01-15"': "invalid",
    '"2025-02-30"': "invalid",
    '"2025-02-29"': "invalid",
    '"1900-02-29"': "invalid",
    '"2025-04-31T10:00:00Z"': "invalid",
    '"2025-13-01"': "invalid",
    '"2025-00-10"': "invalid",
    '"2025-01-00"': "invalid",
    '"2025-01-32"': "invalid",
    '"2025-01-15T24:00:00Z"': "invalid",
    '"2025-01-15T24:00"': "invalid",
    '"2025-01-15T25:00:00Z"': "invalid",
    '"2025-01-15T10:60:00Z"': "invalid",
    '"2025-01-15T23:59:60Z"': "invalid",  # no leap seconds
    '"2025-01-15T10:00:61Z"': "invalid",
    '"2025-01-15T10:00:00+24:00"': "invalid",
    '"2025-01-15T10:00:00-24:00"': "invalid",
    '"2025-01-15T10:00:00+05:60"': "invalid",
    '"2025-01-15T10:00:00+99:99"': "invalid",
    '"2025-01-15T10:00:00+05"': "invalid",
    '"2025-01-15T10:00:00+5:30"': "invalid",
    '"2025-01-15T10:00:00+053"': "invalid",
    '"2025-01-15T10:00:00+05:3"': "invalid",
    '"2025-01-15T10:00:00+05:30:00"': "invalid",
    '"2025-01-15T10:00:00\\u221205:00"': "invalid",
    '"2025-01-15T10:00:00 +05:00"': "invalid",
    '"2025-01-15T10:00:00 Z"': "invalid",
    '"2025-01-15T10:00:00ZZ"': "invalid",
    '"2025-01-15T10:00:00Z+00:00"': "invalid",
    '"2025-01-15t10:00:00Z"': "invalid",
    '"2025-01-15T10:00:00z"': "invalid",
    '"2025-01-15  10:00:00"': "invalid",
    '"2025-01-15T10:00:00.Z"': "invalid",
    '"2025-01-15T10:00:00.1234567890Z"': "invalid",
    '"2025-01-15T10:00:00,5Z"': "invalid",
    '"2025-01-15T10:00.5Z"': "invalid",
    '"2025-01-15T10"': "invalid",
    '"2025-01-15T10Z"': "invalid",
    '"2025-01-15T"': "invalid",
    '"2025-01-15Z"': "invalid",
    '"2025-01-15+01:00"': "invalid",
    '"2025-01-15T1:00:00Z"': "invalid",
    '"2025-1-5"': "invalid",
    '"25-01-15"': "invalid",
    '"2025/01/15"': "invalid",
    '"15.01.2025"': "invalid",
    '"01/15/2025"': "invalid",
    '"20250115"': "invalid",
    '"20250115T100000Z"': "invalid",
    '"2025-W03-3"': "invalid",
    '"2025-015"': "invalid",
    '"2025-01"': "invalid",
    '"2025"': "invalid",
    '"Wed, 15 Jan 2025 10:00:00 GMT"': "invalid",
    '"2025-01-15T10:00:00 Europe/Berlin"': "invalid",
    '"2025-01-15T10:00:00UTC"': "invalid",
    '"2025-01-15 10:00:00 UTC"': "invalid",
    '"2025-01-15T10:00:00[UTC]"': "invalid",
    '"2025-01-15 (BC)"': "invalid",
    '"0044-03-15 BC"': "invalid",
    '"-2025-01-15"': "invalid",
    '"+2025-01-15"': "invalid",
    '"infinity"': "invalid",
    '"-infinity"': "invalid",
    '"epoch"': "invalid",
    '"now"': "invalid",
    '"today"': "invalid",
    '"NaT"': "invalid",
    '"null"': "invalid",
    '" 2025-01-15"': "invalid",
    '"2025-01-15 "': "invalid",
    '"2025-01-15\\n"': "invalid",
    '"2025-01-15\\u0000"': "invalid",
    '"\\u0662\\u0660\\u0662\\u0665-01-15"': "invalid",
    '"\\uff12025-01-15"': "invalid",
    '"2025\\u201301\\u201315"': "invalid",
    '"1736935200"': "invalid",
    '"\\u00a0"': "invalid",
    "1736935200": "invalid",
    "1736935200.5": "invalid",
    "20250115": "invalid",
    "0": "invalid",
    "1e400": "invalid",
    "true": "invalid",
    "false": "invalid",
    "[]": "invalid",
    "{}": "invalid",
    '["2025-01-15T10:00:00Z"]': "invalid",
    '{"$date":"2025-01-15T10:00:00Z"}': "invalid",
    json.dumps("2025-01-15" + SQL): "invalid",
    json.dumps("../2025-01-15"): "invalid",
    json.dumps(MEGABYTE): "invalid",
    "null": "missing",
    '""': "missing",
    '" "': "missing",
    '"\\t\\n\\r\\f\\u000b "': "missing",
}

# currency: the text, three letters of ASCII in upper case, or None
CURRENCIES: dict[str, str | None] = {
    '"EUR"': "EUR",
    '"eur"': "EUR",
    '"\\u0065uR"': "EUR",
    '"euro"': "euro",
    '"ſek"': "ſek",
    '""': "",
    '" "': " ",
    '"\\ud83d\\udcb6"': "💶",
    json.dumps(SQL): SQL,
    json.dumps(PATH): PATH,
    json.dumps(MEGABYTE): MEGABYTE,
    "null": None,
    "978": None,
    "true": None,
    "[]": None,
    '["EUR"]': None,
    '{"code":"EUR"}': None,
}

# metadata: an equal JSON text, or None
METADATAS: dict[str, str | None] = {
    "null": None,
    '"null"': '"null"',
    '""': '""',
    "true": "true",
    "false": "false",
    "0": "0",
    "-0.0": "0",
    "1.10": "1.1",
    "1e400": "1E+400",
    "-1e-400": "-0.1e-399",
    "1E5": "100000",
    "12345678901234567890.12345678901234567890": "12345678901234567890.1234567890123456789",
    "9007199254740993": "9007199254740993",
    "18446744073709551616": "18446744073709551616",
    "1" * 5000: "1" * 5000,
    "[]": "[]",
    "{}": "{}",
    "[ ]": "[]",
    '{ "a" : [ 1 , { } , null ] }': '{"a":[1,{},null]}',
    '{"b":1,"a":2}': '{"a":2,"b":1}',
    '{"a":1,"a":2}': '{"a":1}',
    '{"a":{"x":1,"x":[2]},"a":{"y":3}}': '{"a":{"x":1}}',
    '{"a":1,"\\u0061":2}': '{"a":1}',
    '{"a":null,"a":2}': '{"a":null}',
    '{"":1," ":2}': '{"":1," ":2}',
    '{"\\u0000":"\\u0000"}': '{"\\u0000":"\\u0000"}',
    '"\\ud83d\\ude00 \\/ \\u00e9 \\" \\\\ \\b\\f\\n\\r\\t"': '"😀 / é \\" \\\\ \\b\\f\\n\\r\\t"',
    '"\\u2028\\u2029\\u007f"': '"\u2028\u2029\x7f"',
    '{"order_id":"inner","items":[{"sku":"x"}]}': '{"items":[{"sku":"x"}],"order_id":"inner"}',
    json.dumps(SQL): json.dumps(SQL),
    json.dumps({PATH: SQL, "$.a": 1, "a.b": 2, "#": 3}): json.dumps({PATH: SQL, "$.a": 1, "a.b": 2, "#": 3}),
    json.dumps([MEGABYTE]): json.dumps([MEGABYTE]),
    "[" * 1000 + "]" * 1000: "[" * 1000 + "]" * 1000,
    "[" * DEEP + "]" * DEEP: "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP: '{"a":' * DEEP + "1" + "}" * DEEP,
}  # fmt: skip

# items: how many lines, and how many elements were dropped
ITEMS: dict[str, tuple[int, int]] = {
    "[]": (0, 0),
    "null": (0, 0),
    "{}": (0, 0),
    '{"sku":"s","qty":1}': (0, 0),
    '"[{}]"': (0, 0),
    '""': (0, 0),
    "1": (0, 0),
    "true": (0, 0),
    "[{}]": (1, 0),
    "[{},{},{}]": (3, 0),
    '[{"sku":"s","qty":1,"price":2}]': (1, 0),
    '[{"sku":"s","qty":1},{"sku":"s","qty":2}]': (2, 0),
    '[null,{"sku":"s"},1,"x",[],[{"sku":"in"}],true]': (1, 6),
    "[null]": (0, 1),
    '[[{"sku":"s"}]]': (0, 1),
    '["{}"]': (0, 1),
    '[{"sku":"s","sku":"t","qty":1,"qty":2}]': (1, 0),
    '[{"\\u0073ku":"s","q\\u0074y":1}]': (1, 0),
    '[{"SKU":"s","Qty":1,"PRICE":2}]': (1, 0),
    '[{"sku":{"a":1},"qty":[1],"price":{"b":2}}]': (1, 0),
    '[{"line_number":9,"order_id":"other","date":"2020-01-01"}]': (1, 0),
    '[{"qty":1,"price":1},{"qty":1,"price":null}]': (2, 0),
    '[{"qty":0,"price":1},{"qty":1,"price":0}]': (2, 0),
    '[{"qty":-1,"price":3},{"qty":1,"price":1}]': (2, 0),
    '[{"qty":-1,"price":3},{"qty":1,"price":5}]': (2, 0),
    '[{"qty":1000000000,"price":99999999999999.9999},{"qty":-1000000000,"price":99999999999999.9998}]': (2, 0),
    '[{"qty":1000000000,"price":99999999999999.9999},{"qty":1,"price":0.0001}]': (2, 0),
    json.dumps([{"sku": SQL, "qty": SQL, "price": SQL}, {"sku": PATH, "qty": PATH, "price": PATH}]): (2, 0),
    json.dumps([{"sku": MEGABYTE, "qty": 1, "price": 1}]): (1, 0),
    json.dumps([{"sku": f"s_{n}", "qty": 1, "price": "0.01"} for n in range(2000)]): (2000, 0),
    "[" * DEEP + "]" * DEEP: (0, 1),
    '[{"sku":' + "[" * DEEP + "]" * DEEP + "}]": (1, 0),
}  # fmt: skip

# Lines that are no JSON object, by name.
MALFORMED: dict[str, bytes] = {
    "word": b"hello",
    "open brace": b"{",
    "close brace": b"}",
    "array": b"[]",
    "array of an order": b"[" + order() + b"]",
    "string": b'"o_1"',
    "number": b"12",
    "true": b"true",
    "null": b"null",
    "NaN": b"NaN",
    "order as a string": json.dumps(order().decode()).encode(),
    "cut in the middle": order()[:60],
    "cut before the last brace": order()[:-1],
    "brace too many": order() + b"}",
    "two orders": order() + order(),
    "two orders and a comma": order() + b"," + order(),
    "comma after it": order() + b",",
    "semicolon after it": order() + b";",
    "comment after it": order() + b" // x",
    "comment in it": b"{/* x */" + order()[1:],
    "hash comment": b"# " + order(),
    "text before it": b"x" + order(),
    "NUL after it": order() + b"\x00",
    "NUL before it": b"\x00" + order(),
    "byte order mark": b"\xef\xbb\xbf" + order(),
    "form feed after it": order() + b"\f",
    "vertical tab before it": b"\v" + order(),
    "no-break space after it": order() + b"\xc2\xa0",
    "UTF-16": order().decode().encode("utf-16"),
    "trailing comma": order()[:-1] + b",}",
    "trailing comma in items": order(items=Raw("[{},]")),
    "trailing comma in an item": order(items=Raw('[{"sku":"s",}]')),
    "leading comma": b"{," + order()[1:],
    "two commas": order()[:-1] + b',,"x":1}',
    "no comma": order()[:-1] + b'"x":1}',
    "no colon": order()[:-1] + b',"x"1}',
    "two colons": order()[:-1] + b',"x"::1}',
    "no value": order()[:-1] + b',"x":}',
    "key alone": order()[:-1] + b',"x"}',
    "bare key": order()[:-1] + b",x:1}",
    "number as key": order()[:-1] + b",1:1}",
    "null as key": order()[:-1] + b",null:1}",
    "single quotes": order().replace(b'"', b"'"),
    "equals sign": order()[:-1] + b',"x"=1}',
    "brackets crossed": order(items=Raw("[{]}")),
    "array closed by a brace": order(items=Raw("[}")),
    "amount NaN": order(amount=Raw("NaN")),
    "amount Infinity": order(amount=Raw("Infinity")),
    "amount -Infinity": order(amount=Raw("-Infinity")),
    "amount nan": order(amount=Raw("nan")),
    "metadata holds NaN": order(metadata=Raw('{"a":[NaN]}')),
    "price is NaN": order(items=Raw('[{"price":NaN}]')),
    "unknown field is Infinity": order(x=Raw("Infinity")),
    "amount 007": order(amount=Raw("007")),
    "amount -01": order(amount=Raw("-01")),
    "amount 00": order(amount=Raw("00")),
    "amount +1": order(amount=Raw("+1")),
    "amount .5": order(amount=Raw(".5")),
    "amount 1.": order(amount=Raw("1.")),
    "amount 1.e5": order(amount=Raw("1.e5")),
    "amount 1e": order(amount=Raw("1e")),
    "amount 1e+": order(amount=Raw("1e+")),
    "amount -": order(amount=Raw("-")),
    "amount --1": order(amount=Raw("--1")),
    "amount 0x10": order(amount=Raw("0x10")),
    "amount 1_000": order(amount=Raw("1_000")),
    "amount 1,000": order(amount=Raw("1,000")),
    "amount 1 000": order(amount=Raw("1 000")),
    "amount 1L": order(amount=Raw("1L")),
    "amount in Arabic digits": order(amount=Raw("\u0661")),
    "True": order(x=Raw("True")),
    "TRUE": order(x=Raw("TRUE")),
    "None": order(x=Raw("None")),
    "undefined": order(x=Raw("undefined")),
    "nul": order(x=Raw("nul")),
    "nulll": order(x=Raw("nulll")),
    "truefalse": order(x=Raw("truefalse")),
    "raw tab in a string": order(x=Raw('"a\tb"')),
    "raw NUL in a string": order(x=Raw('"a\x00b"')),
    "raw escape in a string": order(x=Raw('"\x1b"')),
    "raw carriage return in a string": order(x=Raw('"a\rb"')),
    "string left open": order(x=Raw('"abc')),
    "unknown escape": order(x=Raw('"\\x41"')),
    "escaped quote mark": order(x=Raw('"\\\'"')),
    "escape a": order(x=Raw('"\\a"')),
    "escape 0": order(x=Raw('"\\0"')),
    "upper-case escape": order(x=Raw('"\\U0041"')),
    "short escape": order(x=Raw('"\\u12"')),
    "escape of no hex": order(x=Raw('"\\u12g4"')),
    "escape of blanks": order(x=Raw('"\\u 123"')),
    "escape with braces": order(x=Raw('"\\u{1F600}"')),
    "escape at the end": order(x=Raw('"\\"')),
    "lone high surrogate as order_id": order(Raw('"\\ud800"')),
    "lone low surrogate as user_id": order(user_id=Raw('"\\udc00"')),
    "lone surrogate in a sku": order(items=Raw('[{"sku":"a\\ud83d"}]')),
    "lone surrogate in metadata": order(metadata=Raw('{"a":["\\ud83d x"]}')),
    "lone surrogate in a key of metadata": order(metadata=Raw('{"\\udfff":1}')),
    "lone surrogate in an unknown field": order(x=Raw('"\\uDBFF"')),
    "lone surrogate in an unknown key": order()[:-1] + b',"\\ud800":1}',
    "lone surrogate in a second created_at": order()[:-1] + b',"created_at":"\\ud800"}',
    "surrogates in the wrong order": order(x=Raw('"\\ude00\\ud83d"')),
    "two high surrogates": order(x=Raw('"\\ud83d\\ud83d\\ude00"')),
    "high surrogate and a letter": order(x=Raw('"\\ud83d\\u0041"')),
    "high surrogate and a raw character": order()[:-1] + b',"x":"\\ud83d\xf0\x9f\x98\x80"}',
    "surrogate in UTF-8": order()[:-1] + b',"x":"\xed\xa0\x80"}',
    "surrogate pair in UTF-8": order()[:-1] + b',"x":"\xed\xa0\xbd\xed\xb8\x80"}',
    "stray continuation byte": order()[:-1] + b',"x":"\x80"}',
    "byte ff": order()[:-1] + b',"x":"\xff"}',
    "Latin-1": order()[:-1] + b',"x":"caf\xe9"}',
    "overlong slash": order()[:-1] + b',"x":"\xc0\xaf"}',
    "overlong NUL": order()[:-1] + b',"x":"\xc0\x80"}',
    "beyond Unicode": order()[:-1] + b',"x":"\xf4\x90\x80\x80"}',
    "cut character": order()[:-1] + b',"x":"\xf0\x9f\x98"}',
    "bad byte in a key": order()[:-1] + b',"\xff":1}',
    "arrays left open": order(metadata=Raw("[" * DEEP)),
    "arrays closed too often": order(metadata=Raw("[" * 10 + "]" * 11)),
    "only brackets": b"[" * DEEP,
    "only braces": b'{"a":' * DEEP,
    "a megabyte of x": MEGABYTE.encode(),
    "a megabyte left open": order()[:-1] + b',"x":"' + MEGABYTE.encode(),
    "SQL": SQL.encode(),
    "path": PATH.encode(),
    "CSV": b"o_1,u_1,10,EUR,2025-01-15",
    "XML": b"<order id='o_1'/>",
    "JSON text sequence": b"\x1e" + order(),
    "record separator after it": order() + b"\x1e",
    "line separator after it": order() + b"\xe2\x80\xa8",
}

# Lines that are orders of 2025-01-15, amount 30, although they look odd, by name (which is the order_id).
ODD_BUT_GOOD: dict[str, bytes] = {
    "blanks around": b" \t" + order("blanks around") + b" \t\r",
    "carriage returns between": order("carriage returns between").replace(b",", b",\r"),
    "duplicate order_id": order("duplicate order_id")[:-1] + b',"order_id":"second"}',
    "duplicate amount": order("duplicate amount")[:-1] + b',"amount":99}',
    "duplicate created_at": order("duplicate created_at")[:-1] + b',"created_at":"2024-01-01"}',
    "duplicate null": order("duplicate null")[:-1] + b',"created_at":null,"amount":null}',
    "duplicate by escape": order("duplicate by escape")[:-1] + b',"\\u0061mount":99}',
    "escaped first": b'{"\\u0061mount":30,' + order("escaped first", amount=99)[1:],
    "escaped key": order("escaped key").replace(b'"order_id"', b'"\\u006frder\\u005fid"'),
    "other case of keys": order("other case of keys")[:-1] + b',"AMOUNT":1,"Order_Id":"x"}',
    "padded key": order("padded key")[:-1] + b',"amount ":1," order_id":"x"}',
    "empty key": order("empty key")[:-1] + b',"":1}',
    "keys with NUL": order("keys with NUL")[:-1] + b',"amount\\u0000":1}',
    "unknown fields": order("unknown fields", date="1999-01-01", line_number=7, reason="x", raw="y", filename="z"),
    "keys like paths": order("keys like paths")[:-1] + b',"$.amount":1,"amount.x":2,"/amount":3}',
    "SQL in unknown field": order("SQL in unknown field", x=SQL, y=PATH),
    "deep unknown field": order("deep unknown field", x=Raw("[" * DEEP + "]" * DEEP)),
    "megabyte unknown field": order("megabyte unknown field", x=MEGABYTE),
    "megabyte key": order("megabyte key", **{MEGABYTE: 1}),
    "ten thousand fields": order("ten thousand fields", **{f"f{n}": n for n in range(10_000)}),
    "number beyond doubles": order("number beyond doubles", x=Raw("1e400"), y=Raw("-1e-400"), z=Raw("9" * 5000)),
    "DEL and C1 raw": order("DEL and C1 raw")[:-1] + b',"x":"\x7f\xc2\x85"}',
    "line separators raw": order("line separators raw")[:-1] + b',"x":"\xe2\x80\xa8\xe2\x80\xa9"}',
    "noncharacters raw": order("noncharacters raw")[:-1] + b',"x":"\xef\xbf\xbf\xef\xbf\xbe"}',
    "byte order mark in a string": order("byte order mark in a string")[:-1] + b',"x":"\xef\xbb\xbf"}',
    "nested record": order("nested record", order={"order_id": "inner", "amount": 1}),
    "order_id last": order(...)[:-1] + b',"order_id":"order_id last"}',
}  # fmt: skip

# Lines that break more than one rule, or whose first duplicate does, with the reason that wins.
DISCARDED: dict[str, tuple[bytes, str]] = {
    "empty object": (b"{}", "missing_order_id"),
    "blanks in an empty object": (b" { \t } ", "missing_order_id"),
    "no order_id": (order(...), "missing_order_id"),
    "no created_at": (order("no created_at", created_at=...), "missing_created_at"),
    "neither id nor created_at": (order(..., created_at=...), "missing_order_id"),
    "no id, bad created_at": (order(None, created_at="infinity"), "missing_order_id"),
    "no id, future": (order("", created_at="2100-01-01"), "missing_order_id"),
    "no id, malformed": (order(None)[:-1], "malformed_json"),
    "null id first": (b'{"order_id":null,' + order("null id first")[1:], "missing_order_id"),
    "escaped null id first": (b'{"order\\u005fid":null,' + order("escaped null id")[1:], "missing_order_id"),
    "null created_at first": (b'{"created_at":null,' + order("null created_at first")[1:], "missing_created_at"),
    "bad created_at first": (b'{"created_at":"epoch",' + order("bad created_at first")[1:], "invalid_created_at"),
    "future first": (b'{"created_at":"2099-01-01",' + order("future first")[1:], "future_created_at"),
    "keys of another case": (b'{"ORDER_ID":"o","CREATED_AT":"2025-01-15"}', "missing_order_id"),
    "created_at of another case": (order("case", created_at=..., Created_At="2025-01-15"), "missing_created_at"),
    "order_id with NUL in its key": (order(..., **{"order_id\x00": "x"}), "missing_order_id"),
}


def _named_lines() -> list[tuple[str, bytes]]:
    tables = {"user_id": IDENTIFIERS, "amount": NUMBERS, "currency": CURRENCIES, "metadata": METADATAS, "items": ITEMS,
              "created_at": TIMESTAMPS, "updated_at": TIMESTAMPS}  # fmt: skip
    named = [(f"order_id {n}", order(Raw(text))) for n, text in enumerate(IDENTIFIERS)]
    for field, table in tables.items():
        named += [(f"{field} {n}", order(f"{field} {n}", **{field: Raw(text)})) for n, text in enumerate(table)]
    for field, table in {"sku": IDENTIFIERS, "qty": QUANTITIES, "price": NUMBERS}.items():
        good = {"sku": "s_1", "qty": 1, "price": 10}
        for n, text in enumerate(table):
            named.append((f"{field} {n}", order(f"{field} {n}", items=[good | {field: Raw(text)}, good])))
    for field in ("user_id", "amount", "currency", "metadata", "items", "updated_at"):
        named.append((f"no {field}", order(f"no {field}", **{field: ...})))
    named += [(f"malformed: {name}", line) for name, line in MALFORMED.items()]
    named += [(f"odd but good: {name}", line) for name, line in ODD_BUT_GOOD.items()]
    return named + [(f"discarded: {name}", line) for name, (line, _) in DISCARDED.items()]


NAMED: list[tuple[str, bytes]] = _named_lines()  # names are unique
HOSTILE: list[bytes] = [line for _, line in NAMED]  # no line has a newline; none is blank

# ---- hypothesis ---------------------------------------------------------------------------------------------------

_TIMES = ["00:00:00Z", "09:30:00+02:00", "23:59:59.5Z"]
_GOOD_TIMES = [f"2025-01-{day}T{time}" for day in (14, 15, 16) for time in _TIMES]
_SHORT = 2000  # hypothesis repeats and prints what it draws: the megabytes stay in HOSTILE


def _odd(table: dict[str, Any]) -> st.SearchStrategy[Raw]:
    return st.sampled_from([Raw(text) for text in table if len(text) < _SHORT])


def _mostly(good: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
    """Good values three times in four."""
    return st.integers(0, 3).flatmap(lambda draw: odd if draw == 3 else good)


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value, numbers by text."""
    words = st.sampled_from(NASTY_TEXT) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z").map(Raw)
    leaves = st.none() | st.booleans() | numbers | words
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4))


def money_texts() -> st.SearchStrategy[Raw | str]:
    """Numbers of the grammar, from tiny to 10^14, as JSON numbers and strings."""
    number = st.decimals(-(10**14), 10**14, places=6).map("{:f}".format)
    small = st.integers(-500, 5000).map(lambda cents: f"{cents / 100:.2f}")
    return (small | number).flatmap(lambda text: st.sampled_from([Raw(text), text]))


def items() -> st.SearchStrategy[Any]:
    """Arrays of lines with a field or two odd; sometimes something else."""
    line = st.fixed_dictionaries(
        {
            "sku": _mostly(st.sampled_from(["s_1", "s_2", "s_3"]), _odd(IDENTIFIERS)),
            "qty": _mostly(st.integers(-2, 5), _odd(QUANTITIES)),
        },
        optional={"price": _mostly(money_texts(), _odd(NUMBERS))},
    )
    element = st.integers(0, 7).flatmap(lambda draw: line if draw else json_values())
    return _mostly(st.lists(element, max_size=5), _odd(ITEMS))


def records(
    order_ids: st.SearchStrategy | None = None, created_at: st.SearchStrategy | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Order dicts, to be written by `dump` (values may be `Raw`); the two keys of the lake can be given."""
    return st.fixed_dictionaries(
        {
            "order_id": _mostly(st.sampled_from([f"o_{n}" for n in range(8)]), _odd(IDENTIFIERS))
            if order_ids is None
            else order_ids,
            "created_at": _mostly(st.sampled_from(_GOOD_TIMES), _odd(TIMESTAMPS)) if created_at is None else created_at,
        },
        optional={
            "user_id": _mostly(st.sampled_from(["u_1", "u_2"]), _odd(IDENTIFIERS)),
            "amount": _mostly(money_texts(), _odd(NUMBERS)),
            "currency": _mostly(st.sampled_from(["EUR", "USD"]), _odd(CURRENCIES)),
            "updated_at": _mostly(st.sampled_from(_GOOD_TIMES), _odd(TIMESTAMPS)),
            "items": items(),
            "metadata": _mostly(json_values(), _odd(METADATAS)),
        },
    )


def _safe(line: bytes) -> bytes:
    """A line stays one line, and is not blank."""
    line = line.replace(b"\n", b" ")
    return line if line.strip(b" \t\r\f\v") else b"{" + line


@st.composite
def _mutated(draw: st.DrawFn, line: bytes) -> bytes:
    """One raw-text accident."""
    at = draw(st.integers(0, len(line)))
    junk = draw(st.sampled_from([b",", b"}", b"]", b"NaN", b"\\ud800", b"\xff", b"\x00", b"\\", b'"', b"0", b" "]))
    again = b'"order_id":"o_9","amount":1,"created_at":"2025-01-15","items":[],"user_id":null'
    accidents = [
        line[:at],
        line[at:],
        line[:at] + junk + line[at:],
        line[:at] + junk + line[at + 1 :],
        line[:-1] + b"," + again + b"}",
        b"{" + again + b"," + line[1:],
        line.replace(b"order_id", b"order\\u005fid", 1),
        line[:-1] + b",}",
        b"[" + line + b"]",
        b"\xef\xbb\xbf" + line,
        line + line,
    ]
    return draw(st.sampled_from(accidents))


@st.composite
def lines(draw: st.DrawFn, of: st.SearchStrategy[dict[str, Any]] | None = None) -> bytes:
    """Raw lines without a newline, never blank: records in any white space, one in five with an accident."""
    comma = draw(st.sampled_from([",", ", ", " ,\t", ",\r"]))
    colon = draw(st.sampled_from([":", ": ", " : "]))
    ascii_only = draw(st.booleans())
    around = draw(st.sampled_from(["{}", "{}", " {}", "{}\r", "\t{} "]))
    line = (
        around.format("\0")
        .replace("\0", dump(draw(records() if of is None else of), comma, colon, ascii_only=ascii_only))
        .encode()
    )
    return _safe(draw(_mutated(line)) if draw(st.integers(0, 4)) == 4 else line)


def dumps(max_size: int = 12) -> st.SearchStrategy[list[bytes]]:
    """Small dumps in which orders meet: few ids, three dates, some lines twice."""
    return st.lists(lines(), max_size=max_size)
