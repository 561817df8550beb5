"""python -m pipeline views: creates the views of warehouse.db again."""

import argparse

from pipeline.commands.options import run_all
from pipeline.tasks.base import open_lake
from pipeline.tasks.dims import warehouse_path
from pipeline.warehouse.views import refresh_views

SUMMARY = "create the views of warehouse.db again"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.set_defaults(handler=views)


def views(options: argparse.Namespace, settings: list[str]) -> None:
    """Create the views. Raises LakeBusy, StorageUnusable and UnusableWarehouse."""
    with run_all(options, settings):
        lake = open_lake()
        with lake.work.locked():
            refresh_views(lake, warehouse_path())
