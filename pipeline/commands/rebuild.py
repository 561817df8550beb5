"""Rebuilds the later stages after a command has changed raw partitions; then views, checks and the summary."""

from dataclasses import replace

from pipeline.contract import CURATED_STAGES
from pipeline.lake import Run
from pipeline.observe.history import Options
from pipeline.stages.conclude import conclude
from pipeline.stages.curate import curate
from pipeline.stages.normalize import normalize
from pipeline.tasks.ending import ending
from pipeline.tasks.source import open_source


def rebuild(command: str, dates: list[str], run: Run) -> None:
    """Build the stages of the dates that are out of date with raw. Raises RunFailed after the summary is written."""
    # few dates, and the cluster may not be there
    run, source = replace(run.keeping_going, cluster=None), open_source()
    normalize(run, dates, source.shape)
    for stage in CURATED_STAGES:
        curate(run, stage, dates)
    conclude(run, ending(dates, Options(command=command), source, [], asked=False))
