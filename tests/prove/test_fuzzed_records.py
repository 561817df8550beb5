"""Records by the thousand, any type in any field, bytes changed: a whole run judges each as the reference does."""

import random
from pathlib import Path

import pytest
import reference as ref
from depth import by_depth
from feeds import (
    CURRENCIES,
    EXTRACTED_AT,
    IDENTIFIERS,
    ITEMS,
    METADATAS,
    NASTY_TEXT,
    NUMBERS,
    QUANTITIES,
    TIMESTAMPS,
    Raw,
    dump,
    order,
)
from lake import UNDATED, LakeUnderTest
from tally import Tally

SHARES = by_depth(few=1, all=1, prove=4, night=4)
RECORDS = by_depth(few=500, all=2_000, prove=5_000, night=5_000)
LONGEST = 2_000
TABLES = {
    "order_id": IDENTIFIERS,
    "user_id": IDENTIFIERS,
    "sku": IDENTIFIERS,
    "amount": NUMBERS,
    "price": NUMBERS,
    "qty": QUANTITIES,
    "currency": CURRENCIES,
    "created_at": TIMESTAMPS,
    "updated_at": TIMESTAMPS,
    "items": ITEMS,
    "metadata": METADATAS,
    "status": CURRENCIES,
}
ODD = {name: [text for text in table if len(text) < LONGEST] for name, table in TABLES.items()}
# a value of each type, and some that are not JSON
TYPES = (
    *("null", "true", "false", "0", "-0", "1.5", "1e400", "-1E-400", "9" * 400, "0." + "3" * 400, '""', '" "', '"x"'),
    *(
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "[{}]",
        '{"a":{"a":[1,{}]}}',
        '{"":0}',
        "[" * 200 + "]" * 200,
        '"\\ud800"',
        '"\\u0000"',
    ),
    *("NaN", "-Infinity", "01", "+1", "1.", ".5", "0x10", "1_000", "'x'", "undefined", "[1,]", '{"a"}', ""),
)
TIMES = ("2025-01-14T23:59:59.999999Z", "2025-01-15T10:00:00Z", "2025-01-16T00:30:00+01:00", "2025-01-16")


def value(name: str, chance: random.Random) -> Raw | str:
    """A value of the field: from its table, of any type, or a nasty text."""
    kind = chance.randrange(4)
    if kind < 2:
        return Raw(chance.choice(ODD[name]))
    return Raw(chance.choice(TYPES)) if kind == 2 else chance.choice(NASTY_TEXT)


def record(number: int, chance: random.Random) -> bytes:
    """An order, often of an order_id that others have too, in which some fields are odd."""
    fields: dict = {"created_at": chance.choice(TIMES), "amount": chance.choice((30, "12.50", -1))}
    names = chance.sample(sorted(ODD), chance.choice((0, 1, 1, 2, 4)))
    of_item = {name: value(name, chance) for name in names if name in ("sku", "qty", "price")}
    item = {"sku": "s_1", "qty": 1, "price": 10}
    if of_item:
        fields["items"] = [item, item | of_item]
    fields |= {name: value(name, chance) for name in names if name not in of_item}
    text = order(**({"order_id": f"o_{number % (RECORDS // 2)}"} | fields))
    if chance.random() < 0.2:
        twice = dump({chance.choice(list(ODD)): value("order_id", chance)}).encode()
        text = text[:-1] + b"," + twice[1:] if chance.random() < 0.5 else twice[:-1] + b"," + text[1:]
    return garbled(text, chance) if chance.random() < 0.3 else text


def garbled(text: bytes, chance: random.Random) -> bytes:
    """The text with a few bytes changed, inserted, taken out or sent twice."""
    found = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at, size = chance.randrange(len(found) + 1), chance.choice((1, 1, 2, 30))
        piece = found[at : at + size]
        junk = chance.choice(
            (chance.randbytes(size), b'"', b"\\", b"{", b"}", b",", b"\xff", b"\x00", b"\r", b"\xed\xa0\x80")
        )
        found[at : at + size] = chance.choice((junk, junk + piece, b"", piece * 2, bytes(byte ^ 32 for byte in piece)))
    return bytes(found)


def lines(chance: random.Random) -> list[bytes]:
    """A dump: good orders first, so that it is NDJSON and its map fits."""
    good = [order(f"good_{number}") for number in range(50)]
    drawn = [record(number, chance).replace(b"\n", b" ") for number in range(RECORDS)]
    return good + [line for line in drawn if line.strip()]


def differences(lake: LakeUnderTest, expected: ref.Lake) -> list[str]:
    """What the lake holds otherwise than the reference."""
    found = []
    orders, items = lake.normalized("orders"), lake.normalized("items")
    for date, part in expected.normalized.items():
        canonical = [(*row[:6], ref.canonical_text(row[6]), *row[7:]) for row in orders[date]]
        pairs = zip(canonical, part.orders, strict=False)
        found += [f"orders of {date}: {got}, not {wanted}" for got, wanted in pairs if got != wanted]
        quarantined = lake.quarantine([date]).get(str(date), [])
        found += [f"number of orders of {date}"] * (len(canonical) != len(part.orders))
        found += [f"items of {date}"] * (items[date] != part.items)
        found += [f"discards of {date}"] * (quarantined != part.discards)
        for table in ("fact_order", "order_items"):
            found += [f"{table} of {date}"] * (lake.curated(table)[date] != getattr(expected.curated[date], table))
    undated = [(ref.judge(record.line, record.came).reason, record.line) for record in expected.undated]
    return found + ["undated records"] * (lake.quarantine([]).get(UNDATED, []) != undated)


@pytest.mark.parametrize("share", range(SHARES))
def test_a_run_over_fuzzed_records_makes_the_lake_of_the_reference(
    tmp_path: Path, tally: Tally, seed: int, every: bool, share: int
) -> None:
    for number in range(10 if every else 1):
        dumped = lines(random.Random(f"{seed} {share} {number}"))
        lake, expected = LakeUnderTest(tmp_path / str(number)), ref.Lake()
        assert lake.run(dumped, EXTRACTED_AT), lake.errors
        assert expected.run(dumped, EXTRACTED_AT) == set()
        found = differences(lake, expected)
        tally("records fuzzed", len(dumped), lost=len(found))
        assert found == []
        assert lake.litter() == []
