"""An iterator that makes the next item in a thread while the caller uses the current one."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """The items in their order. An error in making an item is raised when the caller asks for that item."""
    source = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = maker.submit(next, source, end)
            yield item  # type: ignore[misc]
