"""The end of RunAll: checks over what it touched, views, summary, and one error that names all that failed."""

import logging
from collections.abc import Callable
from typing import Any

from pipeline.dates import fold_dates
from pipeline.errors import CheckFailed, PipelineError, RunFailed
from pipeline.events import emit
from pipeline.freshness import Intent, differs, newest_settled, settled
from pipeline.observe.checks import Finding, late_arriving, run_checks
from pipeline.observe.counts import PartitionCounts, partition_counts, touched, undated
from pipeline.observe.summary import show, summarize
from pipeline.stages.outcome import by_text, told
from pipeline.stages.spool import OpenEngine, Part, read_inventory, remove_spool
from pipeline.stages.windows import remove_spools
from pipeline.storage import Lake
from pipeline.warehouse.views import refresh_views


def conclude(
    lake: Lake,
    dates: list[str],
    intent: Intent,
    *,
    name: str,
    warehouse: str,
    from_dump: bool,
    options: dict[str, Any],
    errors: list[PipelineError],
    open_engine: OpenEngine,
    elapsed: Callable[[], float],
) -> None:
    """Write the run's summary under `name`, last, and print it; `elapsed` tells the seconds since the run began.

    Raises RunFailed for `errors` and all found here.
    """
    with lake.locked():
        partitions = [partition_counts(lake, date, intent) for date in dates]
        curated = touched(lake, intent)
        checks, unknown = _check(lake, curated, open_engine)
        differing = _differing(lake, partitions, intent, from_dump=from_dump)
        failed = {part.date: RunFailed(part.error) for part in partitions if part.error}
        errors = [*errors, *_unseen(lake, warehouse), *by_text(failed), *_broken(checks)]
        said = {
            "as_of": intent.stamp,
            "seconds": round(elapsed(), 3),
            "chosen_dates": fold_dates(dates),
            "newest_settled_date": newest_settled(lake, intent),
            "errors": [str(error) for error in errors],
        }
        summary = summarize(
            partitions,
            undated=undated(lake, intent),
            differing=differing,
            unknown=unknown,
            checks=checks,
            options=options | said,
        )
        remove_spool(lake)
        if not errors:
            # those of failed dates are gone on with
            remove_spools(lake)
        lake.write(name, summary)
    path = lake.path(name)
    show(partitions, summary, path)
    _log(partitions, differing)
    level = logging.ERROR if errors else logging.INFO
    emit("run_end", level=level, as_of=intent.stamp, built=len(curated), failed=len(errors), summary=path)
    if errors:
        raise RunFailed(f"{told(errors)}; summary: {path}")


def _check(
    lake: Lake, curated: list[PartitionCounts], open_engine: OpenEngine
) -> tuple[dict[str, Finding], dict[str, int]]:
    if not curated:
        return {}, {}
    with open_engine() as engine:
        return run_checks(lake, engine, curated), late_arriving(lake, engine, curated)


def _unseen(lake: Lake, warehouse: str) -> list[PipelineError]:
    """Why the warehouse's views are not what they should be."""
    try:
        refresh_views(lake, warehouse)
    except PipelineError as error:
        return [error]
    return []


def _broken(checks: dict[str, Finding]) -> list[PipelineError]:
    return [
        CheckFailed(f"check {name}: {found.rows} row(s) break it, such as {found.first[0]}")
        for name, found in checks.items()
        if found.rows
    ]


def _log(partitions: list[PartitionCounts], differing: list[str]) -> None:
    skipped = [part.date for part in partitions if part.outcome == "skipped" and not part.dropped]
    if skipped:
        emit("skipped", dates=len(skipped), reason="settled, complete")
    if differing:
        emit("source_differs", level=logging.WARNING, dates=fold_dates(differing), advice="--force extracts them again")


def _differing(lake: Lake, partitions: list[PartitionCounts], intent: Intent, *, from_dump: bool) -> list[str]:
    """Settled dates whose landed records are not those of the dump now, and that no error has named already."""
    inventory = read_inventory(lake) if from_dump and not intent.reprocess else None
    if inventory is None:
        return []
    quiet = [part.date for part in partitions if not part.error and settled(lake, part.date, intent)]
    return [date for date in quiet if differs(lake, date, inventory.parts.get(date, Part()).id)]
