"""Hostile answers of an API by the hundred: none hangs a run, fills the memory, or leaves a trace in the lake."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from depth import by_depth
from hostile import (
    AS_OF,
    CHUNKED,
    DRIPS,
    FLOODS,
    HEAD,
    LONG,
    ODD,
    PAGE,
    REFUSED,
    SINCE,
    UNTIL,
    WRONG,
    Answer,
    asked,
    dripped,
    flooded,
    packed,
    redirect,
    redirects,
    said,
    whole,
)
from lake import LakeUnderTest
from tally import Tally

SHARES = by_depth(few=1, all=1, prove=6, night=6)
# how many answers of each kind; tests/test_hostile_api.py has one of each
OF_A_KIND = by_depth(few=1, all=3, prove=1000, night=1000)
DRAWN = by_depth(few=1, all=3, prove=10, night=100)
GARBLED = by_depth(few=1, all=3, prove=15, night=200)
ENDLESS = {"dripped": DRIPS, "flooded": FLOODS}

# before the bytes that come without end, and these bytes
PLACES: dict[str, tuple[bytes, bytes]] = {
    "the status": (b"HTTP/1.1 200 ", b"a"),
    "the protocol": (b"", b"H"),
    "names of headers": (HEAD, b"X"),
    "headers": (HEAD, b"X: 1\r\n"),
    "a header": (HEAD + b"X: ", b"1"),
    "a header on several lines": (HEAD + b"X: 1\r\n", b" 1\r\n"),
    "a body": (HEAD + LONG + b"\r\n", b" "),
    "a body that began well": (HEAD + LONG + b"\r\n" + PAGE, b" "),
    "a string": (HEAD + LONG + b"\r\n" + PAGE[:-20], b"\\"),
    "a body of nulls": (HEAD + LONG + b"\r\n", b"\x00"),
    "brackets": (HEAD + LONG + b"\r\n", b"["),
    "the size of a chunk": (CHUNKED, b"0"),
    "what is behind the size of a chunk": (CHUNKED + b"5;", b"a"),
    "chunks": (CHUNKED, b"1\r\n \r\n"),
    "a refusal": (REFUSED + LONG + b"\r\n", b"n"),
    "headers of a refusal": (REFUSED, b"X: 1\r\n"),
    "headers of a redirect": (redirect()[:-2], b"X: 1\r\n"),
    "the body of a redirect": (redirect(LONG), b" "),
}
SIZES = (1, 100, 65_536)
ENCODINGS = ("gzip", "deflate", "gzip, gzip", "deflate, gzip")


def tried(kinds: Iterable[Any]) -> list[Any]:
    """The kinds that a run of this depth tries."""
    return list(kinds)[:OF_A_KIND]


def ends_without_orders(lake: LakeUnderTest, answer: Answer, tally: Tally) -> None:
    """The run fails in time and within its memory, and nothing is landed."""
    in_time = False
    try:
        with asked(lake, answer, error="$.error"):
            succeeded = lake.run(None, AS_OF, SINCE, UNTIL)
        in_time = True
    finally:
        tally("hostile answers", hung=int(not in_time), torn=int(lake.raw() != {}))
    assert not succeeded
    assert all(error.startswith("RunFailed: ") for error in lake.errors), lake.errors
    assert lake.raw() == {}


@pytest.mark.parametrize(("way", "part"), tried((way, part) for way, parts in ENDLESS.items() for part in parts))
def test_an_answer_without_an_end_lands_nothing(lake: LakeUnderTest, tally: Tally, way: str, part: str) -> None:
    ends_without_orders(lake, ENDLESS[way][part], tally)


@pytest.mark.parametrize("kind", tried(WRONG))
def test_an_answer_that_is_no_page_lands_nothing(lake: LakeUnderTest, tally: Tally, kind: str) -> None:
    answer, told = WRONG[kind]
    ends_without_orders(lake, said(answer), tally)
    assert told in lake.errors[0]


@pytest.mark.parametrize("kind", tried(ODD))
def test_an_odd_answer_that_has_the_order_lands_it(lake: LakeUnderTest, tally: Tally, kind: str) -> None:
    tally("hostile answers")
    with asked(lake, ODD[kind](), total="header: X-Total"):
        assert lake.run(None, AS_OF, SINCE, UNTIL), lake.errors
    assert [row[0] for row in lake.normalized("orders")[SINCE.date()]] == ["o_1"]


def drawn(chance: random.Random) -> tuple[str, Answer]:
    """An answer without an end: somewhere, in pieces of some size, behind some redirects, and a name for it."""
    place, hops = chance.choice(list(PLACES)), chance.choice((0, 0, 1, 5))
    before, piece = PLACES[place]
    piece *= chance.choice(SIZES)
    way = chance.choice(("dripped", "flooded", "cut", "packed"))
    if way == "packed":
        encoding = chance.choice(ENCODINGS)
        before, piece = packing(before, encoding), packed(piece * 100, encoding)
    last = {"dripped": dripped, "flooded": flooded}.get(way, lambda before, piece: said(before + piece))(before, piece)
    answers = iter([redirects(b"/orders")] * hops)

    def answer(over) -> Iterator[bytes]:
        return iter([hop]) if (hop := next(answers, None)) else last(over)

    return f"{way} {place}, {len(piece)} bytes at a time, behind {hops} redirects", answer


def packing(before: bytes, encoding: str) -> bytes:
    """The same bytes, with a header that says that the body is packed."""
    status, _, rest = before.partition(b"\r\n")
    return b"\r\n".join([status, b"Content-Encoding: " + encoding.encode(), rest])


@pytest.mark.parametrize("share", range(SHARES))
def test_an_answer_without_an_end_lands_nothing_wherever_it_has_none(
    tmp_path: Path, tally: Tally, seed: int, every: bool, share: int
) -> None:
    chance = random.Random(f"{seed} {share}")
    for number in range(100 if every else DRAWN):
        name, answer = drawn(chance)
        print(name)
        ends_without_orders(LakeUnderTest(tmp_path / str(number)), answer, tally)


def garbled(answer: bytes, chance: random.Random) -> bytes:
    """The answer with a few accidents: bytes changed, inserted, taken out, sent twice, or cut off."""
    text = bytearray(answer)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at, size = chance.randrange(len(text) + 1), chance.choice((1, 1, 4, 40))
        junk = chance.choice((chance.randbytes(size), b"\r\n", b"\x00", b'"', b"}", b"0", b"-", b"\xff" * size))
        piece = text[at : at + size]
        text[at : at + size] = chance.choice((junk, junk + piece, b"", piece * 2))
    return bytes(text)


ANSWERS = {
    "whole": whole(PAGE),
    "packed": whole(packed(PAGE, "gzip"), b"Content-Encoding: gzip\r\n"),
    "in chunks": CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE),
    "a refusal": whole(b'{"error": "no"}', status=REFUSED),
    "busy": whole(b"", b"Retry-After: 1\r\n", b"HTTP/1.1 429 Too Many Requests\r\n"),
    "with more pages": whole(PAGE[:-1] + b', "next_cursor": "2"}'),
}


@pytest.mark.parametrize("share", range(SHARES))
def test_a_garbled_answer_ends_a_run_and_a_good_one_leaves_no_trace_of_it(
    tmp_path: Path, tally: Tally, seed: int, every: bool, share: int
) -> None:
    chance = random.Random(f"garbled {seed} {share}")
    good = LakeUnderTest(tmp_path / "good")
    with asked(good, said(whole(PAGE))):
        assert good.run(None, AS_OF, SINCE, UNTIL)
    for number in range(200 if every else GARBLED):
        kind = chance.choice(list(ANSWERS))
        answer = garbled(ANSWERS[kind], chance)
        print(kind, answer)
        lake = LakeUnderTest(tmp_path / str(number))
        with asked(lake, said(answer), is_traced=False):
            lake.run(None, AS_OF, SINCE, UNTIL)
        assert all(error.startswith("RunFailed: ") for error in lake.errors), lake.errors
        with asked(lake, said(whole(PAGE)), is_traced=False):
            healed = lake.run(None, AS_OF.replace(hour=1), SINCE, UNTIL, force=True, allow_shrink=True)
        is_same = lake.files() == good.files()
        tally("hostile answers", lost=int(not is_same))
        assert healed, lake.errors
        assert is_same
