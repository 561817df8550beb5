"""The report on the lake: report.html in the lake's folder, one file that needs no network."""

from pipeline.report.drawing import installed
from pipeline.report.write import REPORT, renew_report, write_report

__all__ = ["REPORT", "installed", "renew_report", "write_report"]
