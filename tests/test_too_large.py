"""A record that is too large is discarded: a short line stands in for it, and the other orders are published."""

import datetime as dt
import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api import QUICK, scripted
from depth import deep
from feeds import EXTRACTED_AT, order
from hypothesis import given
from hypothesis import strategies as st
from lake import DAY, UNDATED, LakeUnderTest
from processes import DEADLINE_SECONDS, REPOSITORY

from pipeline import normalize_orders
from pipeline.engine import too_large
from pipeline.errors import UnreadableDump
from pipeline.sources import record_lines
from pipeline.sources.dump import file as dump_module
from pipeline.sources.dump.file import Dump
from pipeline.sources.raw import Shape
from pipeline.sources.record_lines import RecordLines

LIMIT = 400
LARGE = order("o_2", metadata={"note": "[é" * LIMIT})
SHAPES = {
    "NDJSON": lambda lines: b"".join(line + b"\n" for line in lines),
    "NDJSON without the last newline": b"\n".join,
    "array": lambda lines: b"[" + b",\n  ".join(lines) + b"]",
    "object": lambda lines: b'{"orders": [' + b",".join(lines) + b"]}",
}


@pytest.fixture
def a_limit_of_400_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (too_large, record_lines):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", LIMIT)


def stand_in(record: bytes) -> bytes:
    """The line that stands in raw for a record that is too large."""
    head = record[:1000].decode(errors="replace")
    told = {"bytes": len(record), "sha256": hashlib.sha256(record).hexdigest(), "head": head}
    return json.dumps({"$too_large": told}).encode()


@pytest.mark.usefixtures("a_limit_of_400_bytes")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_record_of_a_dump_that_is_too_large_is_discarded_and_the_other_orders_are_published(
    lake: LakeUnderTest, shape
) -> None:
    other_date = order("o_3", created_at="2025-01-16")
    lake.dump.write_bytes(shape([order("o_1"), LARGE, other_date]))
    assert lake.run(None, EXTRACTED_AT, until=EXTRACTED_AT + 2 * DAY), lake.errors
    assert lake.raw() == {"2025-01-15": [order("o_1")], "2025-01-16": [other_date], UNDATED: [stand_in(LARGE)]}
    assert lake.quarantine() == {UNDATED: [("too_large", stand_in(LARGE))]}
    (summary,) = [json.loads(path.read_text()) for path in lake.root.glob("runs/*.json")]
    assert summary["undated"]["discarded"] == {"too_large": 1}


@pytest.mark.usefixtures("a_limit_of_400_bytes")
@pytest.mark.parametrize("half", ["", "\\ud800"], ids=["text", "half of a surrogate pair"])
def test_a_record_of_an_api_that_is_too_large_is_discarded_on_the_date_that_was_asked_for(
    lake: LakeUnderTest, half: str
) -> None:
    strange = b'{"order_id":"o_3","created_at":"2025-01-15","metadata":"%s"}' % half.encode()
    body = b'{"orders": [' + b", ".join((order("o_1"), LARGE, strange)) + b"]}"
    with scripted(lambda *_: (200, {}, body)) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url}
        assert lake.run(None, EXTRACTED_AT, dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16)), lake.errors
    assert lake.raw()["2025-01-15"] == [order("o_1"), stand_in(LARGE), strange]
    assert ("too_large", stand_in(LARGE)) in lake.quarantine()["2025-01-15"]


@pytest.mark.parametrize("fields", [{}, {"amount": "$.total"}], ids=["as the contract", "mapped"])
def test_a_line_like_a_stand_in_is_too_large_whatever_else_it_holds(lake: LakeUnderTest, fields: dict) -> None:
    line = b'{"$too_large": {"bytes": 1e9}, ' + order("o_2")[1:]
    lake.settings["orders_fields"] = fields
    feed = [order("o_1", total=1), line]
    assert lake.run(feed, EXTRACTED_AT, until=EXTRACTED_AT + 2 * DAY), lake.errors
    assert lake.quarantine() == {"2025-01-15": [("too_large", line)]}


@pytest.mark.usefixtures("a_limit_of_400_bytes")
@given(st.lists(st.integers(0, 3 * LIMIT), max_size=9), st.integers(1, 4 * LIMIT))
def test_the_lines_are_the_same_wherever_the_pieces_end(sizes: list[int], piece: int) -> None:
    records = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    text, lines = b"".join(record + b"\n" for record in records), RecordLines()
    found = b"".join(lines.feed(text[start : start + piece]) for start in range(0, len(text), piece))
    assert found.split(b"\n")[:-1] == [record if len(record) <= LIMIT else stand_in(record) for record in records]


@pytest.mark.usefixtures("a_limit_of_400_bytes")
def test_a_dump_that_is_cut_off_inside_a_record_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_module, "READ_BYTES", 64)
    path = tmp_path / "dump.json"
    for end in range(len(LARGE) - 40, len(LARGE)):
        path.write_bytes(order("o_1") + b"\n" + LARGE[:end])
        with pytest.raises(UnreadableDump, match=r"its last line is a record that is not closed .* cut off"):
            list(Dump.at(Shape(str(path))).records())
    path.write_bytes(order("o_1") + b"\n" + LARGE)
    assert b"".join(buffer for buffer, _ in Dump.at(Shape(str(path))).records()).endswith(stand_in(LARGE) + b"\n")


def test_the_limit_is_16_mib_and_a_record_of_just_so_many_bytes_is_kept() -> None:
    empty = json.dumps({"order_id": "o_1", "created_at": "2025-01-15", "metadata": ""})
    largest, larger = (
        {"order_id": "o_1", "created_at": "2025-01-15", "metadata": "x" * ((16 << 20) - len(empty) + more)}
        for more in (0, 1)
    )
    orders, _ = normalize_orders([largest])
    assert len(orders) == 1
    orders, _ = normalize_orders([larger])
    assert orders.empty


@pytest.mark.usefixtures("a_limit_of_400_bytes")
def test_the_head_of_a_record_that_was_too_large_is_erased_with_its_user(lake: LakeUnderTest) -> None:
    theirs, other = (order("o_2", user_id=user, metadata="x" * LIMIT) for user in ("ü_2", "u_1"))
    assert lake.run([order("o_1"), theirs, other], EXTRACTED_AT), lake.errors
    lake.erase("ü_2", EXTRACTED_AT + dt.timedelta(hours=1))
    assert lake.raw()[UNDATED] == [stand_in(other)]
    assert lake.quarantine() == {UNDATED: [("too_large", stand_in(other))]}


# A dump of hostile records, in a process that may reserve 6 GiB of addresses

GIB, MIB = 1 << 30, 1 << 20


def raw_order(order_id: str, more: bytes) -> list[bytes]:
    """An order in pieces, with more members behind its own."""
    return [order(order_id)[:-1], b"," + more + b"}"]


def hostile(kind: str) -> Iterator[list[bytes]]:
    """The records of a hostile dump, each in pieces."""
    yield [order("o_1")]
    if kind == "one of 250 MB":
        yield [order("o_2")[:-1], b',"metadata":"', *[b"a" * MIB] * 250, b'"}']
    elif kind == "a long order_id beside many lines":
        yield [order("x" * MIB)]
        yield [order("o_2", items=[{"sku": f"s_{line % 9}", "qty": 1, "price": "1.00"} for line in range(100_000)])]
    elif kind == "a long sku beside many orders without lines":
        yield [order("o_2", items=[{"sku": "s" * MIB, "qty": 1, "price": "1.00"}])]
        yield from ([order(f"n_{number}", items=[])] for number in range(100_000))
    elif kind == "a string without an end at the start":
        yield raw_order("o_2", b'"metadata":"' + b"\\u00e9" * (4 * MIB))
    elif kind == "no Unicode":
        yield raw_order("o_2", b'"metadata":"' + b"\xff" * (15 * MIB) + b'"')
    elif kind == "deep":
        yield raw_order("o_2", b'"metadata":' + b"[" * (4 * MIB) + b"]" * (4 * MIB))
    yield [order("o_3", created_at="2025-01-16")]


HOSTILE = (
    *("one of 250 MB", "a long order_id beside many lines", "a long sku beside many orders without lines"),
    *("a string without an end at the start", "no Unicode", "deep"),
)


@deep("hostile dumps")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_dump_of_hostile_records_is_built_within_6_gib_of_addresses(lake: LakeUnderTest, kind: str) -> None:
    with open(lake.dump, "wb") as dump:
        for record in hostile(kind):
            dump.writelines([*record, b"\n"])
    command = [sys.executable, "-m", "pipeline", "run", *lake.options()]
    ended = subprocess.run(
        command,
        cwd=REPOSITORY,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * GIB, 6 * GIB)),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    built = {order_id for rows in lake.curated("fact_order").values() for order_id, *_ in rows}
    assert {"o_1", "o_3"} <= built


def test_orders_for_which_duckdb_has_too_little_memory_fail_their_date_and_name_the_setting(
    lake: LakeUnderTest,
) -> None:
    lines = order("o_2").replace(b'"items":[', b'"items":[' + b"{}," * 400_000)
    lake.settings["engine"] |= {"memory_limit": "48MB"}
    assert not lake.run([order("o_1"), lines, order("o_3", created_at="2025-01-16")], EXTRACTED_AT)
    assert list(map(str, lake.curated("fact_order"))) == ["2025-01-16"]
    (error,) = lake.errors
    assert "normalized date=2025-01-15: Out of Memory Error: " in error
    assert "set a greater [engine] memory_limit" in error
    assert "\n" not in error
