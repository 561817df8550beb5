"""Faults drawn from the seed, the request and its number of repetitions: the same requests meet the same faults."""

import asyncio
import hashlib
import socket
import struct
from collections import Counter
from email.utils import formatdate

from aiohttp import web

from mock_shop.styles import Answer, Plain

# the most faults in a row for one request, so a client that retries often enough gets every page
MOST_IN_A_ROW = 6
# values of Retry-After: seconds, a date, a value that RFC 9110 does not allow, and no header
RETRY_AFTER = ("0.05", "0.2", "date", "0", "-1", "")
ANSWERED = {"429": 429, "500": 500, "503": 503}
KINDS = (
    *ANSWERED,
    "refused",
    "reset",
    "stall",
    "cut_body",
    "invalid_json",
    "html",
    "error_envelope",
    "duplicate_page",
    "moved",
)


class Faults:
    """Chooses the fault of each request and counts faults by kind. A window in `moved` lacks its first order."""

    def __init__(self, seed: int, rate: float, style: Plain) -> None:
        self._seed, self._rate, self._style = seed, rate, style
        self._times: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._moved_once: set[str] = set()
        self.moved: set[str] = set()
        self.counts: Counter[str] = Counter()

    def draw(self, request: str, window: str, start: int) -> str | None:
        """The kind of fault that the request meets this time. None for a good answer."""
        self._times[request] += 1
        if start == 0:
            self.moved.discard(window)
        digest = self._digest(request)
        unlucky = int.from_bytes(digest[:4]) / (1 << 32) < self._rate
        if not unlucky or self._in_a_row[request] >= MOST_IN_A_ROW:
            self._in_a_row[request] = 0
            return None
        possible = [kind for kind in KINDS if self._is_possible(kind, window, start)]
        kind = possible[int.from_bytes(digest[4:8]) % len(possible)]
        self._in_a_row[request] += 1
        self.counts[kind] += 1
        if kind == "moved":
            self._moved_once.add(window)
            self.moved.add(window)
        return kind

    def variant(self, request: str) -> int:
        """A number that chooses the form of the request's fault. It is drawn like the fault."""
        return int.from_bytes(self._digest(request)[8:12])

    def _digest(self, request: str) -> bytes:
        return hashlib.sha256(f"{self._seed} {request} {self._times[request]}".encode()).digest()

    def _is_possible(self, kind: str, window: str, start: int) -> bool:
        if kind == "duplicate_page":
            return start > 0
        if kind == "moved":
            return start > 0 and self._style.counts_total and window not in self._moved_once
        return True


def spoiled(kind: str, answer: Answer, style: Plain, variant: int) -> Answer:
    """The faulty answer that is sent instead of `answer`, for a fault that is a complete response."""
    if kind in ANSWERED:
        failed = style.error(ANSWERED[kind], "try again later")
        wait = style.retry_after(RETRY_AFTER[variant % len(RETRY_AFTER)]) if kind == "429" else ""
        wait = formatdate(usegmt=True) if wait == "date" else wait
        failed.headers = {"Retry-After": wait} if wait else {}
        return failed
    if kind == "error_envelope":
        return Answer(style.error(200, "something went wrong").body)
    if kind == "html":
        return Answer(b"<html><body>We will be back soon.</body></html>", {"Content-Type": "text/html"})
    return Answer(answer.body[: len(answer.body) // 2], answer.headers)


async def broken(
    kind: str, request: web.Request, body: bytes, stall_seconds: float, variant: int
) -> web.StreamResponse:
    """Answers with a fault that is not a complete response, or that comes late."""
    if kind == "refused":
        return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{_closed_port()}/"})
    if kind == "stall":
        await asyncio.sleep(stall_seconds)
        return web.Response(status=503)
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    if kind == "reset":
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return web.Response()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if variant % 2:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(body) + 1
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    transport.close()
    return response


def _closed_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
