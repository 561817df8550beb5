"""A dump of every shape gives the same partitions; a cut or broken dump gives a clear error and publishes nothing."""

import codecs
import datetime as dt
import gzip
import json
import os
import subprocess
import sys

import feeds
import pytest
import reference as ref
import zstandard
from depth import deep, examples, some
from feeds import EXTRACTED_AT, order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake import DAY, UNDATED, LakeUnderTest

from pipeline import FetchOrders
from pipeline.contract import LOGIC_VERSION
from pipeline.engine.exact_json import NotJson, NotText, rewrite
from pipeline.errors import UnreadableDump
from pipeline.sources import array_scan
from pipeline.sources.dump import file as dump_module
from pipeline.sources.dump import spool
from pipeline.sources.dump.file import Dump
from pipeline.sources.raw import Shape

ORDERS = [
    order("o_1"),
    order("o_2", created_at="2025-01-16"),
    order("ö_3", metadata={"a": ["]", "\\", '"', {}, "[{,"]}),
]
SHAPES = {
    "NDJSON": lambda lines: b"".join(line + b"\n" for line in lines),
    "NDJSON without the last newline": b"\n".join,
    "NDJSON with blank lines": lambda lines: b"\n\n \t\n" + b"\n\n\n".join(lines) + b"\n\n",
    "array": lambda lines: b"[" + b",".join(lines) + b"]",
    "array, an element a line": lambda lines: b"[\n" + b",\n".join(lines) + b"\n]\n",
    "array with CRLF": lambda lines: b"\r\n[\r\n  " + b"\r\n,\r\n  ".join(lines) + b"\r\n]\r\n",
    "object": lambda lines: b'{"orders":[' + b",".join(lines) + b"]}",
    "object with more in it": lambda lines: (
        b'{"meta": {"orders": [1, "["], "n": "\\"orders\\": ["},\n "orders" : [\n'
        + b",".join(lines)
        + b'], "next": null}\n'
    ),
}


@pytest.fixture
def write(tmp_path):
    """Writes a dump; a fresh file each time."""

    def write(content: bytes) -> Dump:
        path = tmp_path / f"dump_{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return Dump.at(Shape(str(path)))

    return write


def records(dump: Dump) -> list[bytes]:
    """The dump's records that are not blank, without the white space around them."""
    lines = b"".join(buffer for buffer, _ in dump.records()).split(b"\n")
    return [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.ZstdCompressor().compress], ids=["", "gz", "zst"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["", "BOM"])
def test_a_dump_of_any_shape_has_the_same_records(write, shape, packed, mark):
    assert records(write(packed(mark + shape(ORDERS)))) == ORDERS


def test_an_ndjson_dump_may_end_its_lines_like_windows(write):
    assert records(write(b"".join(line + b"\r\n" for line in ORDERS))) == ORDERS


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gz", "zst"])
def test_a_dump_of_several_compressed_pieces_is_read_to_its_end(write, packed):
    assert records(write(b"".join(packed(line + b"\n") for line in ORDERS))) == ORDERS


@pytest.mark.parametrize(
    "content", [b"", b"\n", b" \r\n\n", b"[]", b" [ \n ]\n", b'{"orders":[]}', b'{"orders": [ ] }\n']
)
def test_a_dump_without_orders_is_empty(write, content):
    assert records(write(content)) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_borders_of_what_is_read_at_once_change_no_record(write, monkeypatch, shape):
    content = shape(ORDERS)
    for size in (1, 2, 3, 5, 7, 64, 101, len(content) - 1):
        first = 100 if content.startswith(b"{") and "orders" in str(content[:60]) else 3
        monkeypatch.setattr(dump_module, "READ_BYTES", max(size, first))
        monkeypatch.setattr(array_scan, "STEP_BYTES", size)
        assert records(write(content)) == ORDERS, size


VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(['"', "\\", '\\"', "]", "[", "{", ",", "a b", "\\\\", "é\n"]),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(['"', "\\", "a", "}"]), part, max_size=2),
)


@given(st.lists(VALUES, max_size=6), st.integers(1, 40), st.sampled_from([",", " , ", ",\r\n"]), st.booleans())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
def test_an_array_is_cut_into_its_elements_wherever_the_buffers_end(monkeypatch, values, size, comma, ascii_only):
    monkeypatch.setattr(array_scan, "STEP_BYTES", size)
    text = json.dumps(values, ensure_ascii=ascii_only, separators=(comma, ": ")).encode()
    scan, lines = array_scan.ArrayScan(), b""
    for start in range(0, len(text), size):
        lines += scan.feed(text[start : start + size])
    assert scan.closed
    assert scan.rest == b"]"
    assert [json.loads(line) for line in lines.splitlines()] == values


# Cut off


@pytest.mark.parametrize("name", ["array", "array, an element a line", "object"])
def test_an_array_that_is_cut_off_anywhere_is_refused(write, name):
    content = SHAPES[name](ORDERS).rstrip()
    for end in range(1, len(content)):
        with pytest.raises(UnreadableDump, match=r"cut off|not JSON"):
            records(write(content[:end]))


def test_an_ndjson_dump_that_is_cut_off_inside_a_line_is_refused(write):
    content = SHAPES["NDJSON"](ORDERS)
    ends = {sum(len(line) + 1 for line in ORDERS[:n]) for n in range(len(ORDERS) + 1)}
    for end in range(len(content) + 1):
        if {end, end + 1} & ends:
            assert records(write(content[:end])) == ORDERS[: content[: end + 1].count(b"\n")]
        else:
            with pytest.raises(UnreadableDump, match=r"its last line is not JSON .* cut off"):
                records(write(content[:end]))


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gz", "zst"])
def test_a_compressed_dump_that_is_cut_off_is_refused(write, packed):
    content = packed(SHAPES["NDJSON"]([order(f"o_{n}") for n in range(500)]))
    for end in [5, 9, 20, len(content) // 2, len(content) - 9, len(content) - 4, len(content) - 1]:
        with pytest.raises(UnreadableDump, match="nothing was published"):
            records(write(content[:end]))


def test_a_compressed_dump_with_a_flipped_bit_is_refused(write):
    content = bytearray(gzip.compress(SHAPES["NDJSON"]([order(f"o_{n}") for n in range(500)])))
    content[len(content) // 2] ^= 4
    with pytest.raises(UnreadableDump, match="nothing was published"):
        records(write(bytes(content)))


SYNTAX_ERRORS = {
    "comma at the end": b"[%s,]",
    "comma at the start": b"[,%s]",
    "two commas": b"[%s,,%s]",
    "no comma": b"[%s %s]",
    "no comma between numbers": b"[1 2,%s]",
    "a word with a gap": b"[nu ll,%s]",
    "NaN": b"[%s,NaN]",
    "comment": b"[%s /* x */]",
    "single quotes": b"[%s,{'a':1}]",
    "brackets crossed": b'[%s,{"a":[}]]',
    "a brace too many": b"[%s}]",
    "closed by a brace": b"[%s}",
    "closed twice": b"[%s]]",
    "text after it": b"[%s] x",
    "a second array": b"[%s][%s]",
    "records after it": b"[%s]\n%s\n",
    "a line break inside a text": b'[{"order_id":"a\nb","created_at":"2025-01-15"},%s]',
    "a tab inside a text": b'[{"order_id":"a\tb","created_at":"2025-01-15"},%s]',
    "comma at the end of the object": b'{"orders":[%s],}',
    "object left open": b'{"orders":[%s]',
    "text before the orders": b'{"a":1 "orders":[%s]}',
    "two objects": b'{"orders":[%s]}{"orders":[%s]}',
}


@pytest.mark.parametrize("template", SYNTAX_ERRORS.values(), ids=SYNTAX_ERRORS.keys())
def test_a_syntax_error_anywhere_in_an_array_publishes_nothing_and_names_the_dump(lake, template):
    assert not offered(lake, template.replace(b"%s", order()))
    (error,) = lake.errors
    assert error.startswith(f"UnreadableDump: {lake.dump}: ")
    assert "nothing was published" in error
    assert "expected" in error
    assert orders_files(lake) == {}


# Through the whole pipeline


def offered(lake: LakeUnderTest, content: bytes, as_of: dt.datetime = EXTRACTED_AT, **intent: bool) -> bool:
    """Whether a run over a dump of these bytes succeeds."""
    lake.dump.write_bytes(content)
    return lake.run(None, as_of, until=as_of + 2 * DAY, **intent)


def orders_files(lake: LakeUnderTest) -> dict[str, bytes]:
    return {name: content for name, content in lake.files().items() if "/date=" in name}


def test_a_refused_dump_leaves_what_was_published_as_it_was(lake):
    assert offered(lake, SHAPES["array"]([*ORDERS, b"7"]))
    before, manifests = lake.files(), lake.manifests()
    later = EXTRACTED_AT + dt.timedelta(hours=1)
    assert not offered(lake, SHAPES["array"]([order("o_9"), b"8"])[:-1], later, force=True)
    assert "cut off" in lake.errors[0]
    assert (lake.files(), lake.manifests()) == (before, manifests)
    assert lake.litter() == []


@deep("hostile dumps")
def test_every_hostile_line_of_an_ndjson_dump_is_landed_and_normalized_inside_the_lake(lake, tmp_path):
    lock = lake.warehouse.with_name("warehouse.db.lock")
    beside = {"lake", *(path.name for path in (lake.dump, lake.warehouse, lock, lake.users_csv, lake.products_csv))}
    assert offered(lake, SHAPES["NDJSON"](feeds.HOSTILE)), lake.errors
    landed = ref.land(feeds.HOSTILE, EXTRACTED_AT)
    assert lake.raw() == {str(date or UNDATED): lines for date, lines in landed.items()}
    normalized = {date: ref.normalize(lines, EXTRACTED_AT) for date, lines in landed.items() if date}
    assert lake.normalized("items") == {date: part.items for date, part in normalized.items()}
    curated = ref.curate(normalized)
    assert lake.curated("fact_order") == {date: part.fact_order for date, part in curated.items()}
    assert {path.name for path in tmp_path.iterdir()} == beside
    assert lake.litter() == []


ZSTD = zstandard.ZstdCompressor().compress


@deep("hostile dumps")
@pytest.mark.parametrize(
    "shape", some(["array", "array with CRLF", "object with more in it"], ["array"], "hostile dumps")
)
@pytest.mark.parametrize("packed", some([bytes, ZSTD], [bytes], "hostile dumps"), ids=["", "zst"])
def test_hostile_records_make_the_same_partitions_as_elements_of_an_array(tmp_path, shape, packed):
    lines = [line for line in feeds.HOSTILE if len(line) < 20_000 and is_json(line)]
    plain, other = LakeUnderTest(tmp_path / "a"), LakeUnderTest(tmp_path / "b")
    assert offered(plain, SHAPES["NDJSON"](lines)), plain.errors
    assert offered(other, packed(SHAPES[shape](lines))), other.errors
    assert other.normalized("orders") == plain.normalized("orders")
    assert other.curated("fact_order") == plain.curated("fact_order")
    assert reasons(other) == reasons(plain)


def test_only_dates_without_a_record_to_be_read_exactly_are_noted_as_plain_by_this_logic(lake):
    exact = order("o_2", created_at="2025-01-16", amount=feeds.Raw("12345678901234.5678"))
    assert offered(lake, SHAPES["NDJSON"]([order("o_1"), exact, order("o_3", created_at="2025-01-16")]))
    noted = {date: lake.manifest("raw", date).get("plain_by") for date in ("2025-01-15", "2025-01-16")}
    assert noted == {"2025-01-15": LOGIC_VERSION, "2025-01-16": None}
    amounts = {row[0]: str(row[2]) for rows in lake.normalized("orders").values() for row in rows}
    assert amounts == {"o_1": "30.0000", "o_2": "12345678901234.5678", "o_3": "30.0000"}


def reasons(lake: LakeUnderTest) -> dict[str, list[str]]:
    return {date: [reason for reason, _ in rows] for date, rows in lake.quarantine().items()}


def is_json(line: bytes) -> bool:
    try:
        rewrite(line)
    except NotText:
        return True
    except NotJson:
        return False
    return True


LANDING = """
import resource, sys
import luigi
import pipeline
sections = {"storage": {"root": sys.argv[2], "fsync": "false"}, "orders_api": {"url": sys.argv[1]}}
for section, options in sections.items():
    for key, value in options.items():
        luigi.configuration.get_config().set(section, key, value)
assert luigi.build([pipeline.FetchOrders(date=["2025-01-15", "2025-01-16"])], local_scheduler=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@deep("tests of memory")
def test_memory_does_not_grow_with_an_ndjson_dump(tmp_path):
    block = b"".join(order(f"o_{n:06}", created_at=f"2025-01-{15 + n % 2}") + b"\n" for n in range(5000))
    peak_kib = {}
    # both have more buffers than are in memory at a time
    for megabytes in (96, 288):
        with open(tmp_path / "dump.json", "wb") as file:
            for _ in range(megabytes * 1_000_000 // len(block)):
                file.write(block)
        command = [sys.executable, "-c", LANDING, tmp_path / "dump.json", tmp_path / f"lake_{megabytes}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        peak_kib[megabytes] = int(ran.stdout)
    assert peak_kib[288] < peak_kib[96] + 60_000


# The spool of a dump is not synced: a power cut may cut it, or leave zeros in it


@pytest.fixture
def other_process(monkeypatch):
    """From its call on, the spool is that of another process: this one does not know that it has written it."""
    return lambda: monkeypatch.setattr(spool, "_written", {})


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_a_spool_that_lost_records_is_made_anew_before_a_date_is_landed_from_it(lake, caplog, damage, other_process):
    feed = [order(f"o_{n}", created_at=f"2025-01-{15 + n % 2}T10:00:00Z") for n in range(20)]
    assert lake.run_date(FetchOrders, dt.date(2025, 1, 15), feed, dt.datetime(2025, 2, 1))
    (records,) = lake.root.glob(".spool/*/2025-01-16")
    whole = records.read_bytes()
    other_process()
    records.write_bytes(whole[: len(whole) // 3] + (b"" if damage == "cut" else bytes(len(whole) - len(whole) // 3)))
    assert lake.run_date(FetchOrders, dt.date(2025, 1, 16), None, dt.datetime(2025, 2, 1)), lake.errors
    assert lake.raw()["2025-01-16"] == feed[1::2]
    assert len([message for message in caplog.messages if "event=spool_damaged" in message]) == 1
    assert len([message for message in caplog.messages if "event=dump_read" in message]) == 2


def test_a_date_does_not_fail_as_shrunk_because_the_spool_lost_its_orders(lake, other_process):
    feed = [order(f"o_{n}", created_at=f"2025-01-{15 + n % 2}T10:00:00Z") for n in range(20)]
    later = dt.datetime(2025, 2, 1, 1)
    assert lake.run(feed, dt.datetime(2025, 2, 1))
    assert lake.run_date(FetchOrders, dt.date(2025, 1, 16), [*feed, order("o_20")], later, force=True)
    other_process()
    for records in lake.root.glob(".spool/*/2025-*"):
        size = records.stat().st_size
        records.unlink()  # it may be the raw file, too
        records.write_bytes(bytes(size))
    assert lake.run_date(FetchOrders, dt.date(2025, 1, 15), None, later, force=True), lake.errors
    assert len(lake.raw()["2025-01-15"]) == 11


@pytest.mark.parametrize("content", [b"[%s]", b"%s\n", b'{"orders":[%s]}'], ids=["array", "NDJSON", "another place"])
def test_a_place_of_the_records_that_the_dump_does_not_have_is_refused(lake: LakeUnderTest, content: bytes) -> None:
    lake.settings["orders_api"]["records"] = "$.data"
    lake.dump.write_bytes(content % order("o_1"))
    assert not lake.run(None, EXTRACTED_AT)
    assert "nothing at [orders_api] records = $.data" in lake.errors[0]
    lake.dump.write_bytes(b'{"data":[%s]}' % order("o_1"))
    assert lake.run(None, EXTRACTED_AT), lake.errors
    assert list(lake.raw()) == ["2025-01-15"]


def test_a_raw_file_is_the_file_of_its_date_in_the_spool_and_is_copied_where_there_are_no_hard_links(lake, monkeypatch):
    feed = [order("o_1"), order("o_2", created_at="2025-01-16")]
    assert lake.run_date(FetchOrders, dt.date(2025, 1, 15), feed, EXTRACTED_AT)
    raw, (spooled,) = lake.root / "raw/date=2025-01-15/orders_raw.json", lake.root.glob(".spool/*/2025-01-15")
    assert raw.samefile(spooled)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert lake.run_date(FetchOrders, dt.date(2025, 1, 16), None, EXTRACTED_AT)
    assert lake.raw() == {"2025-01-15": feed[:1], "2025-01-16": feed[1:]}
