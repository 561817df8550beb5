"""A dump in every shape a shop may send, whole, cut and broken: the same partitions, or nothing and a clear error."""

import codecs
import datetime as dt
import gzip
import json
import os
import sys
from pathlib import Path

import feeds
import pytest
import reference as ref
import zstandard
from feeds import EXTRACTED_AT, order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UnreadableDump
from pipeline.sources import array_scan
from pipeline.sources import dump as dump_module
from pipeline.sources.dump import Dump

ROOT = Path(__file__).parents[1]
ORDERS = [order("o_1"), order("o_2", created_at="2025-01-16"), order("ö_3", metadata={"a": ["]", "\\", '"', {}, "[{,"]})]
SHAPES = {
    "NDJSON": lambda lines: b"".join(line + b"\n" for line in lines),
    "NDJSON without the last newline": b"\n".join,
    "NDJSON with blank lines": lambda lines: b"\n\n \t\n" + b"\n\n\n".join(lines) + b"\n\n",
    "array": lambda lines: b"[" + b",".join(lines) + b"]",
    "array, an element a line": lambda lines: b"[\n" + b",\n".join(lines) + b"\n]\n",
    "array with CRLF": lambda lines: b"\r\n[\r\n  " + b"\r\n,\r\n  ".join(lines) + b"\r\n]\r\n",
    "object": lambda lines: b'{"orders":[' + b",".join(lines) + b"]}",
    "object with more in it": lambda lines: (
        b'{"meta": {"orders": [1, "["], "n": "\\"orders\\": ["},\n "orders" : [\n' + b",".join(lines) + b'], "next": null}\n'
    ),
}


@pytest.fixture
def write(tmp_path):
    """Writes a dump; a fresh file each time."""

    def write(content: bytes) -> Dump:
        path = tmp_path / f"dump_{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return Dump.at(str(path))

    return write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dumps")


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


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", b"[]", b" [ \n ]\n", b'{"orders":[]}', b'{"orders": [ ] }\n'])
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
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
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
        with pytest.raises(UnreadableDump, match="cut off|not JSON"):
            records(write(content[:end]))


def test_an_ndjson_dump_that_is_cut_off_inside_a_line_is_refused(write):
    content = SHAPES["NDJSON"](ORDERS)
    refused = set()
    for end in range(len(content) + 1):
        try:
            records(write(content[:end]))
        except UnreadableDump as error:
            assert "its last line is not JSON" in str(error)
            assert "cut off" in str(error)
            refused.add(end)
    ends = {sum(len(line) + 1 for line in ORDERS[:n]) for n in range(len(ORDERS) + 1)}
    assert refused == set(range(len(content) + 1)) - ends - {end - 1 for end in ends}


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
