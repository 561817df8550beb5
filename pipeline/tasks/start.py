"""The start of a run in this process: its moment, its log and its memory. Importing the package does none of it."""

from datetime import UTC, datetime
from functools import cache

from pipeline.engine import use_system_memory
from pipeline.events import configure_logging


def now() -> datetime:
    """This host's clock, in naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


@cache
def started_at() -> datetime:
    """When a run started in this process, or in the one that forked it; the first call is that moment."""
    moment = now()
    configure_logging()
    use_system_memory()
    return moment


def seconds_since_start() -> float:
    """How long the run has taken so far."""
    return (now() - started_at()).total_seconds()
