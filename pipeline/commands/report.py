"""python -m pipeline report: writes report.html, the page about the lake and its runs."""

import argparse

from pipeline.commands.options import run_all
from pipeline.report import write_report

SUMMARY = "write report.html and print its path"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.set_defaults(handler=report)


def report(options: argparse.Namespace, settings: list[str]) -> None:
    """Write the report and print its path. Raises ExtraMissing, LakeBusy and StorageUnusable."""
    with run_all(options, settings) as task:
        print(write_report(task.this_run))
