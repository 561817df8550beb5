"""The mock API as a process of its own, and a lake that asks it."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import DEADLINE_SECONDS, REPOSITORY

# patient, but never for long: what users leave at seconds
QUICK = {
    "attempts": 20,
    "backoff_seconds": 0.005,
    "max_backoff_seconds": 0.05,
    "read_timeout_seconds": 1.5,
    "max_requests_per_second": 10_000,
}


class MockApi:
    """A running mock API: its URL, and what it counts."""

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
    """`python -m pipeline mock-api` on a port of its own, ready to answer."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "pipeline", "mock-api", "--port", "0", "--data", str(data), *words]
    server = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("mock-api: "), line
        yield MockApi(line.removeprefix("mock-api: ").strip())
    finally:
        server.terminate()
        server.wait(DEADLINE_SECONDS)
        server.stdout.close()
