"""FetchOrders: lands the source's records verbatim, one raw partition a date."""

from pipeline.contract import RAW_STAGE
from pipeline.errors import NotLanded
from pipeline.lake import Outcome, Run, why_incomplete
from pipeline.sources.base import Source
from pipeline.stages.drop import keep_dropped


def land(run: Run, source: Source, dates: list[str]) -> None:
    """Publish the raw partition of each date that is not complete. A date that fails does not stop the others.

    Raises RunFailed naming the dates that failed, unless the intent is to keep going.
    """
    keep_dropped(run, dates)
    todo = {date: reason for date in dates if (reason := why_incomplete(run.lake, RAW_STAGE, date, run.intent))}
    if todo and run.intent.reprocess:
        _refuse_reprocess(run, todo)
    elif todo:
        source.land(run, dates)


def _refuse_reprocess(run: Run, todo: dict[str, str]) -> None:
    outcome = Outcome(RAW_STAGE)
    for date, reason in todo.items():
        found = f"--reprocess: raw date={date}: {reason}; expected a landed date"
        mend = f"run `luigi --module pipeline FetchOrders --date {date} --local-scheduler`, then run again"
        outcome.fail(date, NotLanded(f"{found}; {mend}"))
    with run.lake.work.locked():
        outcome.close(run.lake, run.intent)
