"""The task SeedDims, and init_database, which people may call from Python."""

import logging
import os
from typing import Any

import luigi

from pipeline import config
from pipeline.contract import DIM_PRODUCT, DIM_USER
from pipeline.errors import PipelineError, RunFailed
from pipeline.events import emit
from pipeline.stages.seed import Csv, Sources, seed, seeded
from pipeline.stages.seed import init_database as seed_empty
from pipeline.tasks.base import LakeTask, import_once, open_engine, open_lake
from pipeline.tasks.status import show_status

FAILURE = "dimensions"


def sources() -> Sources:
    """The CSV of each dimension."""
    settings = config.warehouse()
    return {
        DIM_USER: Csv(settings.users_csv, may_lack=settings.users_csv == config.USERS_CSV),
        DIM_PRODUCT: Csv(settings.products_csv, may_lack=settings.products_csv == config.PRODUCTS_CSV),
    }


def warehouse_path() -> str:
    path: str = config.warehouse().path
    return os.path.abspath(path)


class DimensionsTarget(luigi.Target):
    """dim_user and dim_product, up to date with their CSVs. With keep_going, dimensions that failed count as done."""

    def __init__(self, task: "SeedDims") -> None:
        self.task = task

    def exists(self) -> bool:
        lake = open_lake()
        failed = self.task.keep_going and bool(self.task.errors())
        return failed or seeded(lake, warehouse_path(), sources())

    def __str__(self) -> str:
        return "curated/dim_user.parquet, dim_product.parquet"


class SeedDims(LakeTask):
    """`users` and `products` of the warehouse, and `dim_user` and `dim_product`, from the CSVs."""

    def output(self) -> DimensionsTarget:
        return DimensionsTarget(self)

    def deps(self) -> Any:
        import_once()
        return super().deps()

    def failure(self) -> str:
        return f"{self.intent.failures}/{FAILURE}.json"

    def errors(self) -> list[PipelineError]:
        """The error of the dimensions in this run, in a list.

        Empty if the dimensions did not fail. Also empty without keep_going, because then the task itself fails.
        """
        failed = open_lake().files.read(self.failure())
        return [RunFailed(failed["error"])] if failed else []

    def run(self) -> None:
        lake = open_lake()
        try:
            seed(self.this_run, warehouse_path(), sources())
        except PipelineError as error:
            if not self.keep_going:
                raise
            emit("dimensions_failed", level=logging.ERROR, error=str(error))
            with lake.work.locked():
                lake.files.write(self.failure(), {"stage": FAILURE, "error": str(error)})
            show_status(self, f"failed: {error}")


def init_database(path: str) -> None:
    """Create warehouse.db at path with tables users and products, each seeded from its CSV if it is empty.

    The CSVs are those of [warehouse] in luigi.cfg. Raises UnreadableDimension and UnusableWarehouse.
    """
    seed_empty(os.path.abspath(path), sources(), open_engine)
