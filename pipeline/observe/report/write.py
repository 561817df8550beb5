"""Writes the report: gathers what the lake holds, keeps what was added up, and puts the page in place."""

from pipeline.freshness import Intent
from pipeline.observe.report.content import Content
from pipeline.observe.report.drawing import drawing
from pipeline.observe.report.figures import OpenEngine, figures
from pipeline.observe.report.page import page
from pipeline.observe.report.partitions import partitions, undated
from pipeline.observe.report.runs import newest_runs
from pipeline.storage import Lake

REPORT = "report.html"
CACHE = "curated/_report.json"


def write_report(lake: Lake, open_engine: OpenEngine, intent: Intent) -> str:
    """Write the report on the lake as of the intent's as_of, and return its path. It takes the lake's lock.

    Raises ExtraMissing where the packages of the extra `report` are not installed; see installed().
    """
    with lake.locked():
        cache = dict(lake.read(CACHE) or {})
        dates = partitions(lake, intent)
        content = Content(
            intent.as_of,
            dates,
            undated(lake),
            figures(lake, dates, cache, open_engine),
            newest_runs(lake, cache),
        )
        lake.write(CACHE, cache)
        lake.write_text(REPORT, page(content, drawing(lake)))
    return lake.path(REPORT)
