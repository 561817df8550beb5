"""A server that answers with bytes as they are, and the worst answers that an API can give."""

import datetime as dt
import gzip
import json
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from api import QUICK
from lake import LakeUnderTest

SINCE, UNTIL, AS_OF = dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16), dt.datetime(2025, 2, 1)
BUDGET_SECONDS = 1.5
# the run itself, on a busy machine; without a limit these answers last for minutes
ENDED_SECONDS = BUDGET_SECONDS + 20
# a run that succeeds takes half of it
MEMORY_BYTES = 128 << 20
DRIP_SECONDS = 0.05
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PAGE = json.dumps({"orders": [{"order_id": "o_1", "created_at": "2025-01-15T10:00:00Z"}]}).encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# more than any answer has
LONG = b"Content-Length: 100000000000\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\n"

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


def said(*answers: bytes) -> Answer:
    """One whole answer after the other, each on a connection of its own; then the last again and again."""
    rest = list(answers)
    return lambda _: iter([rest.pop(0) if len(rest) > 1 else rest[0]])


def whole(body: bytes, head: bytes = b"", status: bytes = HEAD) -> bytes:
    """An answer with this body and with more headers."""
    return status + head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def redirect(head: bytes = b"", to: bytes = b"/orders") -> bytes:
    """The head of a redirect."""
    return b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\n" + head + b"\r\n"


def redirects(to: bytes) -> bytes:
    return redirect(b"Content-Length: 0\r\nConnection: close\r\n", to)


def packed(body: bytes, encoding: str) -> bytes:
    """The body as a Content-Encoding has it."""
    for one in encoding.split(", "):
        body = gzip.compress(body, 1) if one == "gzip" else zlib.compress(body, 1)
    return body


def bomb(encoding: str, status: bytes = HEAD) -> bytes:
    """The head and the start of a packed body. One piece of it inflates to 64 MiB."""
    return status + b"Content-Encoding: " + encoding.encode() + b"\r\n" + LONG + b"\r\n"


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


@contextmanager
def asked(lake: LakeUnderTest, answer: Answer, *, is_traced: bool = True, **settings: object) -> Iterator[None]:
    """The lake asks an API that answers so. Fails if that takes long, or much memory, which is traced slowly."""
    limits = {"attempts": 2, "page_budget_seconds": BUDGET_SECONDS, "max_page_bytes": 4 << 20}
    with hostile(answer) as url:
        lake.settings["orders_api"] |= QUICK | limits | settings | {"url": url}
        began = time.monotonic()
        if is_traced:
            tracemalloc.start()
        try:
            yield
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < MEMORY_BYTES, f"{peak:,} bytes"
    assert time.monotonic() - began < ENDED_SECONDS


DRIPS = {
    "the status": dripped(b"HTTP/1.1 200 ", b"a"),
    "other statuses before it": dripped(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": dripped(HEAD, b"X-More: 1\r\n"),
    "one header": dripped(HEAD + b"X-More: ", b"1"),
    "a body": dripped(HEAD + LONG + b"\r\n", b" "),
    "a packed body": dripped(bomb("gzip"), b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    "the size of a chunk": dripped(CHUNKED, b"0"),
    "what is behind the size of a chunk": dripped(CHUNKED + b"5;", b"a"),
    "chunks": dripped(CHUNKED, b"1\r\n \r\n"),
    "a refusal": dripped(REFUSED + LONG + b"\r\n", b"n"),
    "the headers of a refusal": dripped(REFUSED, b"X-More: 1\r\n"),
    "an overloaded server": dripped(b"HTTP/1.1 503 Busy\r\n" + LONG + b"\r\n", b"n"),
    "the head of a redirect": dripped(redirect()[:-2], b"X-More: 1\r\n"),
    "the target of a redirect": dripped(b"HTTP/1.1 302 Found\r\nLocation: /", b"a"),
}

BOMB = gzip.compress(b" " * (64 << 20), 1)
FLOODS = {
    "other statuses before the answer": flooded(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "headers": flooded(HEAD, b"X-More: 1\r\n" * 1_000),
    "one header": flooded(HEAD + b"X-More: ", b"1" * 65_536),
    "a body": flooded(HEAD + LONG + b"\r\n", b" " * 65_536),
    "a body without a length": flooded(HEAD + b"\r\n", b" " * 65_536),
    "a packed body": flooded(bomb("gzip"), BOMB),
    "a body packed otherwise": flooded(bomb("deflate"), packed(b" " * (64 << 20), "deflate")),
    "a body packed twice": flooded(bomb("gzip, gzip"), packed(b" " * (64 << 20), "gzip, gzip")),
    "a body packed thirty times": flooded(bomb("gzip, " * 29 + "gzip"), BOMB),
    "the size of a chunk": flooded(CHUNKED, b"0" * 65_536),
    "chunks": flooded(CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"),
    "a refusal": flooded(REFUSED + LONG + b"\r\n", b"n" * 65_536),
    "a packed refusal": flooded(bomb("gzip", REFUSED), BOMB),
    "the body of a redirect": flooded(redirect(LONG), b" " * 65_536),
    "a packed body of a redirect": flooded(redirect(b"Content-Encoding: gzip\r\n" + LONG), BOMB),
    "the headers of a redirect": flooded(redirect()[:-2], b"X-More: 1\r\n" * 1_000),
}

# whole answers that are no page, each with a word of the error
WRONG = {
    "HTML that calls itself JSON": (whole(b"<html>sign in</html>"), "HTML"),
    "200 with an error": (whole(b'{"error": "no such shop"}'), "JSON without an array"),
    "200 with an error and orders": (whole(b'{"error": {"code": 7}, ' + PAGE[1:]), "an error in the body"),
    "nothing": (whole(b""), "no valid JSON"),
    "null": (whole(b"null"), "no valid JSON"),
    "orders that are an object": (whole(b'{"orders": {"order_id": "o_1"}}'), "JSON without an array"),
    "UTF-16": (whole(PAGE.decode().encode("utf-16")), "no valid JSON"),
    "brackets": (whole(b'{"orders": [' + b"[" * 100_000), "no valid JSON"),
    "a packed body that is none": (whole(PAGE, b"Content-Encoding: gzip\r\n"), "cut off"),
    "a body that is shorter than its length": (HEAD + b"Content-Length: 999\r\n\r\n" + PAGE, "cut off"),
    "a chunk of a negative size": (CHUNKED + b"-5\r\n" + PAGE, "ValueError"),
    "a part of a page": (whole(PAGE, status=b"HTTP/1.1 206 Partial Content\r\n"), "status 206"),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "status 101"),
    "a redirect to nowhere": (whole(PAGE, status=b"HTTP/1.1 302 Found\r\n"), "status 302"),
    "a redirect to a file": (redirects(b"file:///etc/passwd"), "InvalidSchema"),
    "a redirect to FTP": (redirects(b"ftp://127.0.0.1/orders"), "InvalidSchema"),
    "a redirect to data": (redirects(b"data:application/json,[]"), "InvalidSchema"),
    "a redirect to no URL": (redirects(b"http://["), "ValueError"),
    "a redirect that is not text": (redirects(b"/\xff\xfe"), "UnicodeDecodeError"),
    "a redirect to no port": (redirects(b"http://127.0.0.1:99999/"), "InvalidURL"),
    "101 headers": (whole(PAGE, b"X-More: 1\r\n" * 101), "no connection"),
    "a header of 65,537 bytes": (whole(PAGE, b"X-More: " + b"1" * 65_529 + b"\r\n"), "no connection"),
    "no HTTP": (b"220 mail.example ESMTP\r\n" * 10, "no connection"),
    "a cursor of a megabyte": (
        whole(PAGE[:-1] + b', "next_cursor": "' + b"c" * (1 << 20) + b'"}'),
        "65,536",
    ),
    "a cursor that comes again": (whole(PAGE[:-1] + b', "next_cursor": "again"}'), "again"),
}

# odd answers that have the order
ODD: dict[str, Callable[[], Answer]] = {
    "a content type of HTML": lambda: said(whole(PAGE, status=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")),
    "another charset": lambda: said(
        whole(PAGE, status=b"HTTP/1.1 200 OK\r\nContent-Type: text/json; charset=utf-16\r\n")
    ),
    "no content type and no length": lambda: said(b"HTTP/1.1 200 OK\r\n\r\n" + PAGE),
    "90 headers of 60 KB": lambda: said(whole(PAGE, (b"X-More: " + b"1" * 60_000 + b"\r\n") * 90)),
    "headers that are none": lambda: said(whole(PAGE, b"nonsense\r\n\x00\xff\r\n")),
    "a total of 5,000 digits": lambda: said(whole(PAGE, b"X-Total: " + b"9" * 5_000 + b"\r\n")),
    "a body packed twice": lambda: said(whole(packed(PAGE, "gzip, deflate"), b"Content-Encoding: gzip, deflate\r\n")),
    "a size of a chunk with more behind it": lambda: said(CHUNKED + b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE)),
    "a status before it": lambda: said(b"HTTP/1.1 100 Continue\r\nX-More: 1\r\n\r\n" + whole(PAGE)),
    "five redirects": lambda: said(*[redirects(b"/orders")] * 5, whole(PAGE)),
    "trailers without an end": lambda: flooded(CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(PAGE), PAGE), b"X: 1\r\n" * 1_000),
}
