"""The server: the orders of the chosen style, /_stats and /_reset."""

import asyncio
import socket
import zlib
from collections import Counter
from dataclasses import dataclass, replace

from aiohttp import web

from mock_shop.faults import ANSWERED, Faults, broken, spoiled
from mock_shop.feed import Feed, UnreadableFeed
from mock_shop.styles import Answer, Asked, BadRequest, Plain
from mock_shop.vendors import VENDORS

COMPRESSED_ABOVE_BYTES = 1024
GZIP = 16 + zlib.MAX_WBITS
SPOILED = (*ANSWERED, "error_envelope", "html", "invalid_json")


@dataclass(frozen=True)
class Settings:
    """The options of the command line, and the secret itself."""

    port: int
    address: str
    data: str
    latency_ms: float
    fault_rate: float
    seed: int
    style: str
    shape: str
    pagination: str
    stall_seconds: float
    secret: str | None


class MockShop:
    """Answers requests. Counts requests, pages and faults since the last reset."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.style = Plain(settings.pagination) if settings.style == "plain" else VENDORS[settings.style]()
        self._feed = Feed(settings.data, self.style.shape(is_own=settings.shape == "own"))
        self._reset()

    def _reset(self) -> None:
        self._requests = 0
        self._pages: Counter[str] = Counter()
        self._faults = Faults(self._settings.seed, self._settings.fault_rate, self.style)

    async def stats(self, _: web.Request) -> web.Response:
        """The number of requests, of good answers per page, and of faults per kind."""
        counts = {"requests": self._requests, "pages": self._pages, "faults": self._faults.counts}
        return web.json_response(counts)

    async def reset(self, _: web.Request) -> web.Response:
        """Set the counts to zero and draw the faults from the start again."""
        self._reset()
        return web.Response()

    async def orders(self, request: web.Request) -> web.StreamResponse:
        """One page, or a fault."""
        self._requests += 1
        await asyncio.sleep(self._settings.latency_ms / 1000)
        refused = self._refused(request)
        if refused is not None:
            return _sent(refused)
        try:
            asked = self.style.asked(self._feed, dict(request.query))
        except BadRequest as error:
            return _sent(self.style.error(400, str(error)))
        except UnreadableFeed as error:
            return _sent(self.style.error(500, str(error)))
        key = f"{request.path}?{sorted(request.query.items())}"
        kind = self._faults.draw(key, asked.window, asked.start)
        answer = self.style.page(self._seen(asked, kind), str(request.url))
        if kind is None:
            self._pages[f"{asked.window}|{asked.start}"] += 1
        variant = self._faults.variant(key)
        if kind in SPOILED:
            answer = spoiled(kind, answer, self.style, variant)
        elif kind not in (None, "moved", "duplicate_page"):
            return await broken(str(kind), request, answer.body, self._settings.stall_seconds, variant)
        return _sent(answer, compressed="gzip" in request.headers.get("Accept-Encoding", ""))

    def _seen(self, asked: Asked, kind: str | None) -> Asked:
        """The request, changed by the faults `moved` (the window lacks its first order) and `duplicate_page`."""
        if asked.window in self._faults.moved:
            asked = replace(asked, entries=asked.entries[1:])
        if kind == "duplicate_page":
            asked = replace(asked, start=max(asked.start - asked.limit, 0))
        return asked

    def _refused(self, request: web.Request) -> Answer | None:
        """Status 401 for wrong credentials. The body repeats them, as some careless APIs do."""
        if self._settings.secret is None:
            return None
        name, expected = self.style.credentials(self._settings.secret)
        given = request.headers.get(name, "")
        return None if given == expected else self.style.error(401, f"these credentials are not valid: {given}")


def _sent(answer: Answer, *, compressed: bool = False) -> web.Response:
    headers = {"Content-Type": "application/json"} | answer.headers
    body = answer.body
    if compressed and len(body) > COMPRESSED_ABOVE_BYTES:
        # level 1, because aiohttp's own compression takes longer than everything else about a page
        packing = zlib.compressobj(1, wbits=GZIP)
        body, headers["Content-Encoding"] = packing.compress(body) + packing.flush(), "gzip"
    return web.Response(body=body, status=answer.status, headers=headers)


def serve(settings: Settings) -> None:
    """Answer until the process gets a signal to end. Raises OSError if the port is in use."""
    shop = MockShop(settings)
    app = web.Application()
    app.router.add_get(shop.style.path, shop.orders)
    app.router.add_get("/_stats", shop.stats)
    app.router.add_post("/_reset", shop.reset)
    listener = socket.create_server((settings.address, settings.port), backlog=128)

    async def print_url(_: web.Application) -> None:
        """The server handles signals from here on, so a program that reads this line may end the server at once."""
        print(f"mock-shop: http://{settings.address}:{listener.getsockname()[1]}{shop.style.path}", flush=True)

    app.on_startup.append(print_url)
    web.run_app(app, sock=listener, print=None, access_log=None, handler_cancellation=True)
