"""A bare loop over the pages of an API, with requests and orjson: the pipeline's windows and threads, nothing saved."""

import argparse
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import orjson
import requests

_local = threading.local()


def read_window(url: str, day: date, limit: int) -> int:
    """The number of orders in the window of a day."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    params = {"created_from": f"{day}T00:00:00Z", "created_until": f"{day + timedelta(days=1)}T00:00:00Z"}
    found, cursor = 0, None
    while True:
        asked = params | {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        page = orjson.loads(_local.session.get(url, params=asked, timeout=60).content)
        found += len(page["orders"])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--start", type=date.fromisoformat, required=True)
    parser.add_argument("--dates", type=int, required=True)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--parallel", type=int, default=4)
    options = parser.parse_args()
    days = [options.start + timedelta(days=number) for number in range(options.dates)]
    with ThreadPoolExecutor(options.parallel) as pool:
        print(sum(pool.map(lambda day: read_window(options.url, day, options.limit), days)))


if __name__ == "__main__":
    main()
