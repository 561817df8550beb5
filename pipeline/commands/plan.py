"""python -m pipeline plan: prints what a run would do for each date, and why. It writes nothing."""

import argparse

from pipeline.commands.options import RANGE, add_parameters, run_all
from pipeline.contract import FACT_ORDER_STAGE, NORMALIZED_STAGE, ORDER_ITEMS_STAGE, RAW_STAGE
from pipeline.lake import why_dropped, why_incomplete
from pipeline.stages.notes import of_source
from pipeline.tasks.base import open_lake
from pipeline.tasks.run_all import RunAll
from pipeline.tasks.source import dates_of, open_source

VERBS = {RAW_STAGE: "fetch", NORMALIZED_STAGE: "normalize", FACT_ORDER_STAGE: "write", ORDER_ITEMS_STAGE: "write"}

SUMMARY = "show what run would build or skip, and why; write nothing"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_parameters(command, *RANGE)
    command.add_argument("--all", action="store_true", help="also list the dates that are skipped")
    command.set_defaults(handler=print_plan)


def print_plan(options: argparse.Namespace, settings: list[str]) -> None:
    """Print the plan. Raises BadSetting, and the errors of the source."""
    with run_all(options, settings) as task:
        print(*plan(task, everything=options.all), sep="\n")


def plan(task: RunAll, *, everything: bool) -> list[str]:
    """One line per date to build (with `everything`: per date), one line with the counts, and the notes."""
    lake, intent, source = open_lake(), task.intent, open_source()
    dates = dates_of(task, source, writes=False)
    differing = set() if task.reprocess else set(source.differing(lake, dates))
    lines, skipped = [], 0
    for date in dates:
        why = {stage: reason for stage in VERBS if (reason := why_incomplete(lake, stage, date, intent))}
        skipped += not why
        tombstone = why_dropped(lake, date)
        if why:
            first, reason = next(iter(why.items()))
            lines.append(f"{date}  {VERBS[first]:<9}  {reason}" + (f"; dropped: {tombstone}" if tombstone else ""))
        elif tombstone:
            lines.append(f"{date}  dropped    {tombstone}")
        elif date in differing:
            lines.append(f"{date}  skip       settled, complete; the source differs: --force extracts it again")
        elif everything:
            lines.append(f"{date}  skip       settled, complete")
    built = len(dates) - skipped
    notes = of_source(task.this_run, None if task.reprocess else source, dates, is_empty=not dates)
    return [*lines, f"{built} date(s) to build, {skipped} to skip", *notes]
