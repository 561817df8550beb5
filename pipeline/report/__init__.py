"""The report on the lake: report.html in the lake's folder, one file that needs no network."""

from pipeline.report.drawing import installed
from pipeline.report.write import write_report

__all__ = ["installed", "write_report"]
