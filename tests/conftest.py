"""Fixtures for all tests, quiet logs, the settings of hypothesis, and which tests a run leaves out."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from depth import IS_DEEP, by_depth, examples
from forks import Forker
from hypothesis import HealthCheck, settings
from lake import LakeUnderTest

pytest_plugins = ["tally"]

# a test has its own settings
for name in [name for name in os.environ if name.startswith("ORDERS_LAKE_")]:
    del os.environ[name]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

SAME_EXAMPLES = by_depth(few=True, all=True, night=False)
settings.register_profile(
    "ours", deadline=None, max_examples=examples(60), derandomize=SAME_EXAMPLES, suppress_health_check=SLOW
)
settings.load_profile("ours")

# these take longest, so they start first: a core that ends early has other files to take
LONGEST_FIRST = (
    "test_cluster",
    "test_cron",
    "test_image",
    "test_kill",
    "test_pages",
    "test_laws_stateful",
    "test_luigid",
)
LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, since tests wait: for a server, a lock, a minute of cron."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the deep tests, unless the run is deep; put the files that take longest first."""
    of_deep = {item: item.get_closest_marker("deep") for item in items}
    left_out = {} if IS_DEEP else {item: mark for item, mark in of_deep.items() if mark}
    config.stash[LEFT_OUT].update(mark.args[0] for mark in left_out.values())
    config.hook.pytest_deselected(items=list(left_out))
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    kept = [item for item in items if item not in left_out]
    items[:] = sorted(kept, key=lambda item: place.get(item.path.stem, len(place)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist reports what it left out to the process that prints the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each worker has collected all tests, so the report of one counts."""
    node.config.stash[LEFT_OUT] |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what `make test-all` would add."""
    left_out = config.stash[LEFT_OUT]
    if left_out:
        most = dict(left_out.most_common(7))
        kinds = most | {"others": left_out.total() - sum(most.values())}
        told = ", ".join(f"{what}: {count}" for what, count in kinds.items() if count)
        terminalreporter.write_line(f"make test-all searches longer and adds {left_out.total()} tests.\n{told}")


@pytest.fixture(autouse=True)
def quiet_logs():
    """Events reach pytest's own log capture, and luigi's chatter nobody."""
    events, luigi = logging.getLogger("pipeline"), logging.getLogger("luigi-interface")
    before = events.handlers[:], events.propagate, events.level, luigi.level
    events.handlers, events.propagate = [], True
    events.setLevel(logging.INFO)
    luigi.setLevel(logging.CRITICAL)
    yield
    events.handlers, events.propagate = before[:2]
    events.setLevel(before[2])
    luigi.setLevel(before[3])


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    """A process of which runs that die are forks."""
    with Forker(tmp_path_factory.mktemp("forker") / "log") as server:
        yield server


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    """A lake that is empty yet."""
    return LakeUnderTest(tmp_path)
