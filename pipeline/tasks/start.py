"""The start of a run in this process: its time, its log and its memory pool. Importing the package starts nothing."""

from datetime import UTC, datetime
from functools import cache

from pipeline.engine import use_system_memory
from pipeline.events import configure_logging


def now() -> datetime:
    """This host's clock, in naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


@cache
def started_at() -> datetime:
    """When the run started, naive UTC. The first call starts it; a forked process keeps the time of its parent."""
    moment = now()
    configure_logging()
    use_system_memory()
    return moment


def seconds_since_start() -> float:
    return (now() - started_at()).total_seconds()
