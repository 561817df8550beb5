"""The end of RunAll: the data checks, the views, the summary, and one error that names all failures."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.dates import fold_dates
from pipeline.errors import CorruptPartition, PipelineError, RunFailed
from pipeline.events import emit
from pipeline.fields import FieldMap
from pipeline.lake import DUMP_SPOOLS, Lake, Run, by_text, error_text, failure_file, newest_settled, settled
from pipeline.observe.counts import PartitionCounts, failed_dates, partition_counts, touched, undated
from pipeline.observe.health import Limits, health
from pipeline.observe.history import Options, Summary, made, write_summary
from pipeline.observe.output import Wanted, show
from pipeline.observe.summary import summarize
from pipeline.sources.base import Source
from pipeline.stages.check import checked, disown_unreadable_partitions
from pipeline.stages.notes import of_source
from pipeline.warehouse.views import refresh_views


@dataclass(frozen=True)
class Ending:
    """What conclude() needs of a run: its dates, its options for the summary, and its errors so far.

    `source` is None if the run asked no source. `fields` is the map of the configured source. `elapsed` returns the
    seconds since the start of the run. `shown` says what is printed.
    """

    dates: list[str]
    warehouse: str
    source: Source | None
    fields: FieldMap | None
    limits: Limits
    options: Options
    errors: list[PipelineError]
    elapsed: Callable[[], float]
    shown: Wanted


def conclude(run: Run, ending: Ending) -> None:
    """Check the built dates, refresh the views, write the run's summary and print it. The summary is written last.

    Raises RunFailed, which names the errors of `ending` and all errors found here.
    """
    with run.lake.work.locked():
        built = touched(run.lake, run.intent)
        checks, unknown, breached = checked(run, built)
        dates = sorted({*ending.dates, *failed_dates(run.lake, run.intent)})
        partitions = [partition_counts(run.lake, date, run.intent) for date in dates]
        failed = {part.date: RunFailed(part.summary.error) for part in partitions if part.summary.error}
        errors = [*ending.errors, *_refreshed(run.lake, ending.warehouse), *by_text(failed), *_undated(run), *breached]
        differing, without_date = _differing(run, partitions, ending.source), undated(run.lake, run.intent)
        parts = made({part.date: part.summary for part in partitions}, without_date)
        summary = summarize(
            partitions,
            ending.options,
            as_of=run.intent.stamp,
            seconds=round(ending.elapsed(), 3),
            chosen_dates=fold_dates(ending.dates),
            newest_settled_date=newest_settled(run.lake, run.intent),
            undated=without_date,
            health=health(run.lake, parts, ending.limits, ending.fields),
            settled_dates_that_differ=differing,
            late_arriving=unknown,
            checks=checks,
            listed_errors=[str(error) for error in errors],
        )
        run.lake.work.remove(DUMP_SPOOLS)
        if not errors:
            # after an error the windows stay, so that the next run continues them
            run.lake.work.remove_idle_windows()
        path = write_summary(run.lake, summary)
    unusual = of_source(run, ending.source, dates, is_empty=_is_empty(ending, partitions))
    show(summary, path, unusual, ending.shown)
    _log(summary)
    level = logging.ERROR if errors else logging.INFO
    emit("run_end", level=level, as_of=run.intent.stamp, built=len(built), failed=len(errors), summary=path)
    if errors:
        raise RunFailed(f"{error_text(errors)}; summary: {path}")


def _is_empty(ending: Ending, partitions: list[PartitionCounts]) -> bool:
    """Whether no date of the run has a record. Always false with --changed-since, where no change is a usual result."""
    found = (part.summary for part in partitions)
    return ending.options.changed_since is None and not any(
        date.extracted or date.error or date.dropped for date in found
    )


def _undated(run: Run) -> list[PipelineError]:
    """The error of the undated records in this run, in a list; empty if there is none."""
    failed = run.lake.files.read(failure_file(RAW_STAGE, UNDATED, run.intent))
    return [RunFailed(failed["error"])] if failed else []


def _refreshed(lake: Lake, warehouse: str) -> list[PipelineError]:
    """Refresh the views of the warehouse. Returns the errors if that fails; damaged partitions are disowned."""
    try:
        refresh_views(lake, warehouse)
    except CorruptPartition as error:
        damaged: list[PipelineError] = [error for _, error in disown_unreadable_partitions(lake)]
        return damaged or [error]
    except PipelineError as error:
        return [error]
    return []


def _log(summary: Summary) -> None:
    skipped = [date for date in summary.dates.values() if date.skipped and not date.dropped]
    if skipped:
        emit("skipped", dates=len(skipped), reason="settled, complete")
    for found in summary.health:
        if found.is_ill:
            figures = {"accepted": found.accepted, "absent": found.absent, "unreadable": found.unreadable}
            emit("field_health", level=logging.WARNING, field=found.field, **figures)
    if summary.settled_dates_that_differ:
        dates = fold_dates(summary.settled_dates_that_differ)
        emit("source_differs", level=logging.WARNING, dates=dates, advice="--force extracts them again")


def _differing(run: Run, partitions: list[PartitionCounts], source: Source | None) -> list[str]:
    """Settled dates for which the source has other records than the lake. Dates that failed are left out."""
    quiet = [part.date for part in partitions if not part.summary.error and settled(run.lake, part.date, run.intent)]
    return source.differing(run.lake, quiet) if source is not None else []
