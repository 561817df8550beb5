"""How deep the tests search: one of LEVELS, which TESTS names in the environment.

`make test` runs with `few`, `make test-all` with `all`, `make prove` with `prove`; `night` takes hours.
"""

import os
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import pytest

LEVELS = ("few", "all", "prove", "night")
LEVEL = os.environ.get("TESTS", LEVELS[0])
if LEVEL not in LEVELS:
    raise pytest.UsageError(f"TESTS={LEVEL}: no such depth; expected {', '.join(LEVELS)}")
IS_DEEP = LEVEL != "few"

T = TypeVar("T")


def by_depth(*, few: T, all: T, night: T, prove: T | None = None) -> T:
    """How long to search, or at how many moments: the value of this run's depth. Without `prove` it is that of all."""
    return {"few": few, "all": all, "prove": all if prove is None else prove, "night": night}[LEVEL]


def examples(count: int) -> int:
    """How many examples hypothesis tries, of which make test-all tries `count`."""
    return by_depth(few=max(1, count // 5), all=count, night=25 * count)


def deep(what: str) -> pytest.MarkDecorator:
    """The mark of a test, or of a parameter, that only a deep run runs. `what` names the kind, in the plural."""
    return pytest.mark.deep(what)


def some(values: Iterable[Any], kept: Collection[Any], what: str) -> list[Any]:
    """Parameters: all the values, of which every run takes those in `kept` and only a deep run the others."""
    values = list(values)
    assert all(value in values for value in kept), kept
    return [value if value in kept else pytest.param(value, marks=deep(what)) for value in values]
