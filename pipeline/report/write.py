"""Writes the report from the lake, and caches its figures in the lake for the next report."""

from itertools import islice

from pipeline.lake import Run
from pipeline.observe.counts import undated
from pipeline.observe.history import runs
from pipeline.report.content import Content
from pipeline.report.drawing import drawing
from pipeline.report.figures import figures
from pipeline.report.page import page
from pipeline.report.partitions import partitions

REPORT = "report.html"
CACHE = "curated/_report.json"
NEWEST_RUNS = 60


def write_report(run: Run) -> str:
    """Write report.html and return its path. It takes the lake's lock.

    Raises ExtraMissing if the packages of the extra `report` are not installed; see installed().
    """
    with run.lake.work.locked():
        dates = partitions(run.lake, run.intent)
        found, cache = figures(run.lake, dates, run.lake.files.read(CACHE) or {}, run.open_engine)
        newest = list(islice(runs(run.lake), NEWEST_RUNS))[::-1]
        content = Content(run.intent.as_of, dates, undated(run.lake, run.intent), found, newest)
        run.lake.files.write(CACHE, cache)
        run.lake.files.write_text(REPORT, page(content, drawing(run.lake)))
    return run.lake.files.fetch(REPORT)
