"""Writes the report from the lake, and caches its figures in the lake for the next report."""

from itertools import islice

from pipeline.lake import Run
from pipeline.observe.counts import undated
from pipeline.observe.history import runs
from pipeline.report.content import Content
from pipeline.report.drawing import drawing, installed
from pipeline.report.figures import figures
from pipeline.report.page import page
from pipeline.report.partitions import partitions

REPORT = "report.html"
CACHE = "curated/_report.json"
NEWEST_RUNS = 60


def renew_report(run: Run) -> None:
    """Write the report again without the sums that the lake keeps for it, because they have data of an erased user.

    If the packages of the extra `report` are not installed, the report is deleted. Without a report nothing is done.
    """
    with run.lake.work.locked():
        exists = run.lake.files.has(REPORT)
        for name in (REPORT, CACHE):
            run.lake.files.remove(name)
        run.lake.files.sync_folders([REPORT, CACHE])
        if exists and installed():
            _write(run)


def write_report(run: Run) -> str:
    """Write report.html and return its path. It takes the lake's lock.

    Raises ExtraMissing if the packages of the extra `report` are not installed; see installed().
    """
    with run.lake.work.locked():
        _write(run)
    return run.lake.files.fetch(REPORT)


def _write(run: Run) -> None:
    dates = partitions(run.lake, run.intent)
    found, cache = figures(run.lake, dates, run.lake.files.read(CACHE) or {}, run.open_engine)
    newest = list(islice(runs(run.lake), NEWEST_RUNS))[::-1]
    content = Content(run.intent.as_of, dates, undated(run.lake, run.intent), found, newest)
    run.lake.files.write(CACHE, cache)
    run.lake.files.write_text(REPORT, page(content, drawing(run.lake)))
