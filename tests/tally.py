"""Counts what the trials of tests/prove/ have tried and found, and prints one table of it after the tests."""

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from depth import by_depth

KINDS = (
    *("points killed", "power cuts", "disk faults", "histories", "races", "rotten files", "records fuzzed"),
    "hostile answers",
)
FOUND = ("lost", "doubled", "torn", "hung")
STARTED = pytest.StashKey[float]()
Tally = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("prove", "the trials of tests/prove/")
    group.addoption("--all", action="store_true", dest="every", help="try every point, instead of a stride of them")
    group.addoption("--seed", type=int, help="the seed that chooses the points; without it, make prove draws one")


def pytest_configure(config: pytest.Config) -> None:
    """The seed is drawn before the workers of pytest-xdist start, so they get it too."""
    config.stash[STARTED] = time.monotonic()
    if config.option.seed is None:
        drawn = random.SystemRandom().randrange(1_000_000)
        config.option.seed = by_depth(few=1, all=1, prove=drawn, night=drawn)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What random.Random() of a trial begins with; the table names it."""
    return pytestconfig.option.seed


@pytest.fixture(scope="session")
def every(pytestconfig: pytest.Config) -> bool:
    """Whether each point is tried, however long it takes."""
    return pytestconfig.option.every or by_depth(few=False, all=False, prove=False, night=True)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """`tally(kind, tried=3, lost=1)` adds to the row of that kind. Call it before the assertion that may fail."""

    def add(kind: str, tried: int = 1, **found: int) -> None:
        assert kind in KINDS, kind
        assert set(found) <= set(FOUND), found
        request.node.user_properties.append(("tally", {"kind": kind, "tried": tried, **found}))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    # the report of a test's end has all that the test has told
    ends = [report for report in reports if getattr(report, "when", None) == "teardown"]
    told = [value for report in ends for name, value in report.user_properties if name == "tally"]
    if told:
        seconds = round(time.monotonic() - config.stash[STARTED])
        terminalreporter.write_line(f"{table(told)}\nseed {config.option.seed}, {seconds} seconds")


def table(told: list[dict]) -> str:
    """A row for each kind, in the order of KINDS; a kind that nothing was tried of has zeros."""
    columns = ("tried", *FOUND)
    sums: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for one in told:
        sums[one["kind"]].update({name: one.get(name, 0) for name in columns})
    rows = [(kind, *(f"{sums[kind][name]:,}" for name in columns)) for kind in KINDS]
    return "\n".join(f"{kind:16}" + "".join(f"{cell:>9}" for cell in cells) for kind, *cells in [("", *columns), *rows])
