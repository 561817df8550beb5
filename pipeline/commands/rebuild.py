"""What follows when raw partitions have changed without a source: normalized, curated, views, checks and a summary."""

from pipeline.contract import CURATED_STAGES
from pipeline.lake import Run
from pipeline.observe.history import Options
from pipeline.stages.conclude import Ending, conclude
from pipeline.stages.curate import curate
from pipeline.stages.normalize import normalize
from pipeline.tasks.base import limits
from pipeline.tasks.dims import warehouse_path
from pipeline.tasks.source import open_source
from pipeline.tasks.start import seconds_since_start


def rebuild(command: str, dates: list[str], run: Run) -> None:
    """Make of each date's raw partition what is not made of it yet. Raises RunFailed, after the summary."""
    run, shape = run.keeping_going, open_source().shape
    normalize(run, dates, shape)
    for stage in CURATED_STAGES:
        curate(run, stage, dates)
    options = Options(command=command)
    conclude(run, Ending(dates, warehouse_path(), None, shape.fields, limits(), options, [], seconds_since_start))
