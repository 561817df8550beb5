"""Starts the mock shop as a process, and servers in this process that answer as a test says."""

import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from processes import DEADLINE_SECONDS
from warm import running

# status, headers and body
Reply = tuple[int, dict[str, str], bytes]

# patient, but never for long: what users leave at seconds
QUICK = {
    "attempts": 20,
    "backoff_seconds": 0.005,
    "max_backoff_seconds": 0.05,
    "read_timeout_seconds": 1.5,
    "max_requests_per_second": 10_000,
}


class MockApi:
    """A running mock shop: its URL, and what it counts."""

    def __init__(self, url: str) -> None:
        self.url, self._root = url, re.sub(r"(:\d+)/.*", r"\1", url)

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._root}/_stats", timeout=DEADLINE_SECONDS) as answer:
            return json.load(answer)

    def reset(self) -> None:
        request = urllib.request.Request(f"{self._root}/_reset", method="POST")
        urllib.request.urlopen(request, timeout=DEADLINE_SECONDS).close()


@contextmanager
def mock_api(data: Path, **options: Any) -> Iterator[MockApi]:
    """The mock shop on a port of its own, ready to answer."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with running("mock_shop", "--port", "0", "--data", str(data), *words) as output:
        line = output.readline()
        assert line.startswith("mock-shop: "), line
        yield MockApi(line.removeprefix("mock-shop: ").strip())


class Scripted:
    """A server that answers as `reply` says; it notes each request's path, parameters and headers, and its body."""

    def __init__(self, reply: Callable[["Scripted", dict[str, str]], Reply]) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.bodies: list[bytes] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                params = {name: values[0] for name, values in parse_qs(parts.query).items()}
                scripted.requests.append((parts.path, params, dict(self.headers)))
                scripted.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                status, headers, body = reply(scripted, params)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/orders"


@contextmanager
def scripted(reply: Callable[[Scripted, dict[str, str]], Reply]) -> Iterator[Scripted]:
    api = Scripted(reply)
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        api.server.shutdown()
        thread.join()
        api.server.server_close()
