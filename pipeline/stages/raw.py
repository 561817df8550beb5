"""FetchOrders: orders landed verbatim, one raw partition a date, whatever their source."""

from collections.abc import Callable

from pipeline.contract import RAW_STAGE
from pipeline.engine.connection import OpenEngine
from pipeline.errors import NotLanded
from pipeline.lake.files import Lake
from pipeline.lake.freshness import Intent, missing
from pipeline.lake.outcome import Outcome
from pipeline.sources.dump import land as dumps
from pipeline.sources.dump.file import Dump
from pipeline.sources.rest.extract import extract
from pipeline.sources.rest.shop import Shop
from pipeline.stages.drop import keep_dropped


def land(
    lake: Lake, find_source: Callable[[], Dump | Shop], dates: list[str], intent: Intent, open_engine: OpenEngine
) -> None:
    """Publish the raw partition of each date that is not complete. One bad date does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    keep_dropped(lake, dates, intent)
    if not any(missing(lake, RAW_STAGE, date, intent) for date in dates):
        return
    source = None if intent.reprocess else find_source()
    if isinstance(source, Shop):
        return extract(lake, source, dates, intent, open_engine)
    outcome = Outcome(RAW_STAGE)
    with lake.locked():
        todo = {date: reason for date in dates if (reason := missing(lake, RAW_STAGE, date, intent))}
        if source is None:
            _refuse_reprocess(outcome, todo)
        elif todo:
            dumps.land(lake, Dump.at(source.path), todo, intent, open_engine, outcome)
        outcome.close(lake, intent)


def _refuse_reprocess(outcome: Outcome, todo: dict[str, str]) -> None:
    for date, reason in todo.items():
        outcome.fail(date, NotLanded(f"--reprocess: raw date={date}: {reason}; land it first, without it"))
