"""A mock shop in this process: its orders change, or it fails, between two requests, and it knows which states it had.

The orders are those of a file. A *state* of the shop is its lines at one time. Each answer is of one state.
"""

import asyncio
import datetime as dt
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from mock_shop.server import MockShop, Settings


@dataclass
class Pass:
    """A reading of one window: the numbers of the states that its first and its newest page were of."""

    first: int
    newest: int


class ChangingShop(MockShop):
    """Serves the lines of `states[-1]`."""

    def __init__(self, feed: Path, pagination: str) -> None:
        self.feed, self.url = feed, ""
        self.states: list[list[bytes]] = []
        self.passes: dict[str, Pass] = {}
        # the number of good answers until something happens, and what
        self.answers_left = 0
        self.happens: Callable[[], None] | None = None
        self.is_down = False
        # the order_ids of the newest page
        self.page: list[str] = []
        self.offer([])
        super().__init__(Settings(0, "127.0.0.1", str(feed), 0, 0, 0, "plain", "contract", pagination, 0, None))

    def offer(self, lines: list[bytes]) -> None:
        """From now on these are the shop's orders."""
        self.states.append(lines)
        new = self.feed.with_suffix(".new")
        new.write_bytes(b"".join(line + b"\n" for line in lines))
        os.replace(new, self.feed)

    def after(self, answers: int, happens: Callable[[], None]) -> None:
        """Let something happen after so many good answers; before the next one, if they come at all."""
        self.answers_left, self.happens = answers, happens

    async def orders(self, request: web.Request) -> web.StreamResponse:
        if self.happens is not None and not self.answers_left:
            happens, self.happens = self.happens, None
            happens()
        self.answers_left -= 1
        if self.is_down:
            return web.json_response({"error": "closed"}, status=403)
        asked = self.style.asked(self._feed, dict(request.query))
        now = len(self.states) - 1
        self.page = [entry.order_id for entry in asked.entries[asked.start : asked.start + asked.limit]]
        before = self.passes.get(asked.window)
        self.passes[asked.window] = Pass(now if before is None or not asked.start else before.first, now)
        return await super().orders(request)

    def states_read(self, date: dt.date) -> list[list[bytes]]:
        """The states of the shop while the window of a date was read, in the newest pass."""
        found = self.passes[f"{date}T00:00:00Z..{date + dt.timedelta(days=1)}T00:00:00Z"]
        return self.states[found.first : found.newest + 1]


@contextmanager
def served(shop: ChangingShop) -> Iterator[ChangingShop]:
    """The shop, answering at its `url`."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get(shop.style.path, shop.orders)
    runner = web.AppRunner(app, access_log=None)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        sockets: Any = site._server.sockets
        return sockets[0].getsockname()[1]

    port = loop.run_until_complete(start())
    shop.url = f"http://127.0.0.1:{port}{shop.style.path}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield shop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()
