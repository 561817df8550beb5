"""The end of RunAll: checks over what it touched, views, summary, and one error that names all that failed."""

import logging
from collections.abc import Callable
from typing import Any

from pipeline.contract import CURATED_STAGES, NORMALIZED_STAGE
from pipeline.dates import fold_dates
from pipeline.engine.connection import EngineError, OpenEngine
from pipeline.errors import CheckFailed, PipelineError, RunFailed
from pipeline.events import emit
from pipeline.lake.files import Lake
from pipeline.lake.freshness import Intent, differs, newest_settled, settled
from pipeline.lake.outcome import by_text, told
from pipeline.observe.checks import Finding, late_arriving, run_checks
from pipeline.observe.counts import PartitionCounts, failed_dates, partition_counts, touched, undated
from pipeline.observe.summary import show, summarize
from pipeline.sources.dump.spool import Part, read_inventory, remove_spool
from pipeline.sources.rest.windows import remove_spools
from pipeline.stages.rotten import disown_rotten
from pipeline.stages.seed import disown_unreadable
from pipeline.warehouse.views import refresh_views

# the dates whose checks have not passed yet: whoever concludes next checks them again
UNCHECKED = "curated/_unchecked.json"


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
        checks, unknown, broken = _checked(lake, intent, open_engine)
        built = len(touched(lake, intent))
        shown_dates = sorted({*dates, *failed_dates(lake, intent)})
        partitions = [partition_counts(lake, date, intent) for date in shown_dates]
        differing = _differing(lake, partitions, intent, from_dump=from_dump)
        failed = {part.date: RunFailed(part.error) for part in partitions if part.error}
        errors = [*errors, *_unseen(lake, warehouse), *by_text(failed), *broken]
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
    emit("run_end", level=level, as_of=intent.stamp, built=built, failed=len(errors), summary=path)
    if errors:
        raise RunFailed(f"{told(errors)}; summary: {path}")


def _checked(
    lake: Lake, intent: Intent, open_engine: OpenEngine
) -> tuple[dict[str, Finding], dict[str, int], list[PipelineError]]:
    """What the checks find in the partitions that this run has made, and in those whose last check did not pass."""
    made = {counts.date: counts for counts in touched(lake, intent)}
    marked = set((lake.read(UNCHECKED) or {}).get("dates", [])).intersection(lake.partitions("curated"))
    curated = [*made.values(), *(partition_counts(lake, date, intent) for date in sorted(marked - made.keys()))]
    if not curated:
        return {}, {}, []
    lake.write(UNCHECKED, {"dates": [counts.date for counts in curated]})
    checks, unknown, errors = _check(lake, curated, open_engine)
    errors += _broken(checks)
    if not errors:
        lake.remove(UNCHECKED)
    return checks, unknown, errors


def _check(
    lake: Lake, curated: list[PartitionCounts], open_engine: OpenEngine
) -> tuple[dict[str, Finding], dict[str, int], list[PipelineError]]:
    """What the checks find; partitions that cannot be read fail and are left out."""
    with open_engine() as engine:
        try:
            checks = run_checks(lake, engine, curated)
        except EngineError as error:
            stages = (NORMALIZED_STAGE, *CURATED_STAGES)
            rotten = [item for stage in stages for item in disown_rotten(lake, stage, lake.dates()).items()]
            if not rotten:
                return {}, {}, [CheckFailed(f"the checks could not be made: {str(error).splitlines()[0]}")]
            dates = {date for date, _ in rotten}
            rest = [counts for counts in curated if counts.date not in dates]
            checks, unknown, more = _check(lake, rest, open_engine)
            return checks, unknown, [*(error for _, error in rotten), *more]
        try:
            return checks, late_arriving(lake, engine, curated), []
        except EngineError as error:
            lost = disown_unreadable(lake)
            return checks, {}, list(lost) or [CheckFailed(f"late-arriving dimensions: {str(error).splitlines()[0]}")]


def _unseen(lake: Lake, warehouse: str) -> list[PipelineError]:
    """Why the warehouse's views are not what they should be."""
    try:
        refresh_views(lake, warehouse)
    except PipelineError as error:
        return [error]
    return []


def _broken(checks: dict[str, Finding]) -> list[PipelineError]:
    return [
        CheckFailed(
            f"check {name}: {found.rows} row(s) break it, such as {found.first[0]}; "
            "run `python -m pipeline doctor`, which says what mends it; the next run checks these dates again"
        )
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
