"""An API that does its worst: endless bodies, bytes that drip. Each answer is under a limit of time and memory."""

import datetime as dt
import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from api import QUICK, Reply, Scripted, scripted
from depth import some
from lake import LakeUnderTest

SINCE, UNTIL, AS_OF = dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16), dt.datetime(2025, 2, 1)
BUDGET_SECONDS = 1.5
# the run itself, on a busy machine; without a limit these answers last for minutes
ENDED_SECONDS = BUDGET_SECONDS + 20
DRIP_SECONDS = 0.05
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PAGE = json.dumps({"orders": [{"order_id": "o_1", "created_at": "2025-01-15T10:00:00Z"}]}).encode()

# writes an answer, piece by piece; the event says that the test is over
Answer = Callable[[threading.Event], Iterator[bytes]]


def dripped(before: bytes, drop: bytes) -> Answer:
    """These bytes, then a drop again and again, each in time for read_timeout_seconds."""

    def answer(over: threading.Event) -> Iterator[bytes]:
        yield before
        while not over.wait(DRIP_SECONDS):
            yield drop

    return answer


def flooded(before: bytes, piece: bytes) -> Answer:
    """These bytes, then a piece again and again, as fast as they are taken."""

    def answer(over: threading.Event) -> Iterator[bytes]:
        yield before
        while not over.is_set():
            yield piece

    return answer


@contextmanager
def hostile(answer: Answer) -> Iterator[str]:
    """The URL of a server that answers each connection so."""
    over, server = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        # the client has closed it
        with connection, suppress(OSError):
            connection.recv(65_536)
            for piece in answer(over):
                connection.sendall(piece)

    def accept() -> None:
        # the test has closed the server
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/orders"
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def redirect(head: bytes = b"") -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: /orders\r\n" + head + b"\r\n"


ENDLESS = {
    "a body": dripped(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "headers": dripped(HEAD, b"X-More: 1\r\n"),
    "one header": dripped(HEAD + b"X-More: ", b"1"),
    "the size of a chunk": dripped(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunks": dripped(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a refusal": dripped(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\n", b"n"),
    "the head of a redirect": dripped(redirect()[:-2], b"X-More: 1\r\n"),
}


@pytest.mark.parametrize("part", some(ENDLESS, ["headers", "the size of a chunk"], "hostile answers"))
def test_a_page_that_drips_fails_its_date_within_the_budget_of_a_page(lake: LakeUnderTest, part: str) -> None:
    with hostile(ENDLESS[part]) as url:
        began = time.monotonic()
        lake.settings["orders_api"] |= QUICK | {"url": url, "attempts": 3, "page_budget_seconds": BUDGET_SECONDS}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    assert time.monotonic() - began < ENDED_SECONDS
    assert lake.raw() == {}


BOMB = gzip.compress(b" " * (64 << 20))
FLOODS = {
    "the body of a redirect": flooded(redirect(b"Content-Length: 100000000000\r\n"), b" " * 65_536),
    "a packed body of a redirect": flooded(
        redirect(b"Content-Encoding: gzip\r\nContent-Length: 100000000000\r\n"), BOMB
    ),
    "a body": flooded(HEAD + b"Content-Length: 100000000000\r\n\r\n", b" " * 65_536),
    "a packed body": flooded(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 100000000000\r\n\r\n", BOMB),
    "the size of a chunk": flooded(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65_536),
    "a refusal": flooded(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000000000\r\n\r\n", b"n" * 65_536),
    "headers": flooded(HEAD, b"X-More: 1\r\n" * 1_000),
}


@pytest.mark.parametrize("part", some(FLOODS, ["a packed body of a redirect", "a packed body"], "hostile answers"))
def test_an_endless_answer_is_not_kept_in_memory(lake: LakeUnderTest, part: str) -> None:
    limits = {"attempts": 2, "page_budget_seconds": BUDGET_SECONDS, "max_page_bytes": 1 << 20}
    with hostile(FLOODS[part]) as url:
        lake.settings["orders_api"] |= QUICK | {"url": url} | limits
        tracemalloc.start()
        try:
            assert not lake.run(None, AS_OF, SINCE, UNTIL)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 64 << 20
    assert lake.raw() == {}


def test_full_pages_of_ever_new_orders_end_at_the_limit_of_a_window(lake: LakeUnderTest) -> None:
    def reply(api: Scripted, params: dict[str, str]) -> Reply:
        number = len(api.requests)
        orders = [{"order_id": f"o_{number}_{n}", "created_at": "2025-01-15T10:00:00Z"} for n in range(50)]
        return 200, {}, json.dumps({"orders": orders, "next_cursor": str(number)}).encode()

    with scripted(reply) as api:
        lake.settings["orders_api"] |= QUICK | {"url": api.url, "max_window_bytes": 100_000}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
        assert len(api.requests) < 50
    assert "more than 100,000 bytes" in str(lake.errors)
    assert "max_window_bytes" in str(lake.errors)
    assert lake.raw() == {}


def test_what_an_api_says_does_not_control_the_terminal(
    lake: LakeUnderTest, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    says = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\n\x1b]0;owned\x07\xc2\x9b31m"
    with hostile(lambda _: iter([says])) as url:
        lake.settings["orders_api"] |= QUICK | {"url": url}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    captured = capfd.readouterr()
    assert "owned" in captured.out
    assert not {"\x1b", "\x07", "\x9b"} & set(captured.out + captured.err + caplog.text)


def test_a_loop_of_redirects_ends_after_five_hops(lake: LakeUnderTest) -> None:
    answered = []

    def answer(_: threading.Event) -> Iterator[bytes]:
        answered.append(1)
        yield redirect(b"Content-Length: 0\r\nConnection: close\r\n")

    with hostile(answer) as url:
        lake.settings["orders_api"] |= QUICK | {"url": url}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
    assert len(answered) == 6
    assert "more than 5 redirects" in str(lake.errors)


def test_a_page_behind_redirects_is_landed(lake: LakeUnderTest) -> None:
    answers = iter([redirect(b"Content-Length: 0\r\nConnection: close\r\n")] * 5 + [HEAD + b"\r\n" + PAGE])

    with hostile(lambda _: iter([next(answers)])) as url:
        lake.settings["orders_api"] |= QUICK | {"url": url}
        assert lake.run(None, AS_OF, SINCE, UNTIL)
    assert [row[0] for row in lake.normalized("orders")[SINCE.date()]] == ["o_1"]
