"""Fixtures for all tests, quiet logs, and the settings of hypothesis."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from lake import LakeUnderTest

# a test has its own settings
for name in [name for name in os.environ if name.startswith("ORDERS_LAKE_")]:
    del os.environ[name]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# ci: modest, and the same examples in every run; thorough: HYPOTHESIS_PROFILE=thorough, for a night or a coffee
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("thorough", deadline=None, max_examples=1500, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


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


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    """A lake that is empty yet."""
    return LakeUnderTest(tmp_path)
