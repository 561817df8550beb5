"""Writes the report: gathers what the lake holds, keeps what was added up, and puts the page in place."""

from itertools import islice

from pipeline.engine.connection import OpenEngine
from pipeline.lake.files import Lake
from pipeline.lake.freshness import Intent
from pipeline.observe.counts import undated
from pipeline.observe.history import runs
from pipeline.report.content import Content
from pipeline.report.drawing import drawing
from pipeline.report.figures import figures
from pipeline.report.page import page
from pipeline.report.partitions import partitions

REPORT = "report.html"
KEPT = "curated/_report.json"
NEWEST_RUNS = 60


def write_report(lake: Lake, open_engine: OpenEngine, intent: Intent) -> str:
    """Write the report on the lake as of the intent's as_of, and return its path. It takes the lake's lock.

    Raises ExtraMissing where the packages of the extra `report` are not installed; see installed().
    """
    with lake.locked():
        dates = partitions(lake, intent)
        found, kept = figures(lake, dates, lake.read(KEPT) or {}, open_engine)
        newest = list(islice(runs(lake), NEWEST_RUNS))[::-1]
        content = Content(intent.as_of, dates, undated(lake, intent), found, newest)
        lake.write(KEPT, kept)
        lake.write_text(REPORT, page(content, drawing(lake)))
    return lake.path(REPORT)
