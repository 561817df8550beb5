"""The data checks at the end of a run, over the dates that it built and the dates that failed their last check."""

from pipeline.contract import CURATED_STAGES, NORMALIZED_STAGE
from pipeline.dates import is_date
from pipeline.engine import EngineError
from pipeline.errors import CheckFailed, CorruptPartition, PipelineError
from pipeline.lake import Lake, Run
from pipeline.observe.checks import Breaches, LateArriving, late_arriving, run_checks
from pipeline.observe.counts import PartitionCounts, partition_counts
from pipeline.observe.rotten import disown_rotten
from pipeline.stages.seed import disown_unreadable

# the dates whose checks have not passed yet; the next run checks them again
UNCHECKED = "curated/_unchecked.json"

Found = tuple[dict[str, Breaches], LateArriving, list[PipelineError]]


def checked(run: Run, built: list[PartitionCounts]) -> Found:
    """Check the partitions in `built`, and those whose last check did not pass. Call it under the lake's lock.

    Returns the breaches by check, the late-arriving dimensions, and an error for each check that did not pass.
    """
    made = {counts.date: counts for counts in built}
    marked = _marked(run.lake).intersection(run.lake.partitions("curated"))
    curated = [*made.values(), *(partition_counts(run.lake, date, run.intent) for date in sorted(marked - made.keys()))]
    if not curated:
        return {}, LateArriving(), []
    run.lake.files.write(UNCHECKED, {"dates": [counts.date for counts in curated]})
    checks, unknown, errors = _check(run, curated)
    errors += _broken(checks)
    if not errors:
        run.lake.files.remove(UNCHECKED)
    return checks, unknown, errors


def _marked(lake: Lake) -> set[str]:
    """The dates whose last check did not pass."""
    dates = (lake.files.read(UNCHECKED) or {}).get("dates")
    return set(filter(is_date, map(str, dates))) if isinstance(dates, list) else set()


def _check(run: Run, curated: list[PartitionCounts]) -> Found:
    """The breaches, late-arriving dimensions and errors of these partitions.

    A partition with an unreadable file is disowned and left out. Its error is returned.
    """
    with run.open_engine() as engine:
        try:
            checks = run_checks(run.lake, engine, curated)
        except EngineError as error:
            unreadable = disown_unreadable_partitions(run.lake)
            if not unreadable:
                return {}, LateArriving(), [CheckFailed(f"the data checks could not run: {str(error).splitlines()[0]}")]
            dates = {date for date, _ in unreadable}
            rest = [counts for counts in curated if counts.date not in dates]
            checks, unknown, more = _check(run, rest)
            return checks, unknown, [*(error for _, error in unreadable), *more]
        try:
            return checks, late_arriving(run.lake, engine, curated), []
        except EngineError as error:
            lost = disown_unreadable(run.lake)
            uncounted = CheckFailed(f"late-arriving dimensions could not be counted: {str(error).splitlines()[0]}")
            return checks, LateArriving(), [*lost] or [uncounted]


def disown_unreadable_partitions(lake: Lake) -> list[tuple[str, CorruptPartition]]:
    """Disown all partitions with a damaged table, of all dates. Returns the date and the error of each.

    It reads all tables, so call it only after a table could not be read. Call it under the lake's lock.
    """
    stages = (NORMALIZED_STAGE, *CURATED_STAGES)
    return [item for stage in stages for item in disown_rotten(lake, stage, lake.dates()).items()]


def _broken(checks: dict[str, Breaches]) -> list[PipelineError]:
    return [
        CheckFailed(
            f"check {name}: {found.rows} row(s) break it, such as {found.at}; "
            "run `python -m pipeline doctor`, which names the command that repairs them; the next run checks these "
            "dates again"
        )
        for name, found in checks.items()
        if found.rows
    ]
