"""FetchOrders: orders landed verbatim, one raw partition a date, whatever their source."""

from collections.abc import Callable

from pipeline.contract import RAW_STAGE
from pipeline.errors import NotLanded
from pipeline.lake.freshness import missing
from pipeline.lake.outcome import Outcome
from pipeline.lake.run import Run
from pipeline.sources.dump import land as dumps
from pipeline.sources.dump.file import Dump
from pipeline.sources.rest.extract import extract
from pipeline.sources.rest.shop import Shop
from pipeline.stages.drop import keep_dropped


def land(run: Run, find_source: Callable[[], Dump | Shop], dates: list[str]) -> None:
    """Publish the raw partition of each date that is not complete. One bad date does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    keep_dropped(run, dates)
    if not any(missing(run.lake, RAW_STAGE, date, run.intent) for date in dates):
        return
    source = None if run.intent.reprocess else find_source()
    if isinstance(source, Shop):
        return extract(run, source, dates)
    outcome = Outcome(RAW_STAGE)
    with run.lake.locked():
        todo = {date: reason for date in dates if (reason := missing(run.lake, RAW_STAGE, date, run.intent))}
        if source is None:
            _refuse_reprocess(outcome, todo)
        elif todo:
            dumps.land(run, Dump.at(source.path), todo, outcome)
        outcome.close(run.lake, run.intent)


def _refuse_reprocess(outcome: Outcome, todo: dict[str, str]) -> None:
    for date, reason in todo.items():
        outcome.fail(date, NotLanded(f"--reprocess: raw date={date}: {reason}; land it first, without it"))
