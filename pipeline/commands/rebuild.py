"""What follows when raw partitions have changed without a source: normalized, curated, views, checks and a summary."""

from dataclasses import replace

from pipeline.contract import CURATED_STAGES
from pipeline.lake.freshness import Intent
from pipeline.observe.history import summary_name
from pipeline.stages.conclude import conclude
from pipeline.stages.curate import curate
from pipeline.stages.normalize import normalize
from pipeline.tasks.base import open_engine, open_lake
from pipeline.tasks.dims import warehouse_path
from pipeline.tasks.source import shape
from pipeline.tasks.start import seconds_since_start


def rebuild(command: str, dates: list[str], intent: Intent) -> None:
    """Make of each date's raw partition what is not made of it yet. Raises RunFailed, after the summary."""
    lake, going_on = open_lake(), replace(intent, keep_going=True)
    normalize(lake, dates, going_on, shape(), open_engine)
    for stage in CURATED_STAGES:
        curate(lake, stage, dates, going_on, open_engine)
    conclude(
        lake,
        dates,
        going_on,
        name=summary_name(intent.as_of),
        warehouse=warehouse_path(),
        from_dump=False,
        options={"command": command},
        errors=[],
        open_engine=open_engine,
        elapsed=seconds_since_start,
    )
