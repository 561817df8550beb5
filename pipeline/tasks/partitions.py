"""The tasks that have a date: FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems."""

from typing import Any

from pipeline.contract import FACT_ORDER_STAGE, NORMALIZED_STAGE, ORDER_ITEMS_STAGE, RAW_STAGE
from pipeline.stages.curate import curate
from pipeline.stages.normalize import normalize
from pipeline.stages.raw import land
from pipeline.tasks.base import PartitionTask
from pipeline.tasks.source import open_source


class FetchOrders(PartitionTask):
    """`raw`: the date's records as the source gives them, one record a line."""

    stage = RAW_STAGE

    def build(self) -> None:
        land(self.this_run, open_source(), list(self.date))


class NormalizeOrders(PartitionTask):
    """`orders` and `items`: the date's records, typed and deduplicated. Discarded records go to quarantine."""

    stage = NORMALIZED_STAGE

    def requires(self) -> Any:
        return self.clone(FetchOrders)

    def build(self) -> None:
        normalize(self.this_run, list(self.date), open_source().shape)


class WriteFactOrder(PartitionTask):
    """`fact_order`: one row per order line of the date, amounts allocated so that they add up."""

    stage = FACT_ORDER_STAGE

    def requires(self) -> Any:
        return self.clone(NormalizeOrders)

    def build(self) -> None:
        curate(self.this_run, self.stage, list(self.date))


class WriteOrderItems(PartitionTask):
    """`order_items`: one row per order line of the date."""

    stage = ORDER_ITEMS_STAGE

    def requires(self) -> Any:
        return self.clone(NormalizeOrders)

    def build(self) -> None:
        curate(self.this_run, self.stage, list(self.date))
