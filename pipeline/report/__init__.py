"""The report on the lake: report.html in the lake's folder, one file that needs no network."""

from pipeline.report.drawing import installed
from pipeline.report.write import REPORT, write_report

__all__ = ["REPORT", "installed", "write_report"]
