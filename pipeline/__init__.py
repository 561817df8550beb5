"""A Luigi pipeline that keeps an orders lake true."""

from pipeline.garbage import uncollected
from pipeline.settings.syntax import told_in_one_line

with told_in_one_line(), uncollected():
    import luigi.tools.range  # noqa: F401  makes RangeDaily known to `luigi --module pipeline RangeDaily`
    import numpy as np  # noqa: F401  pyarrow would import it from deep within, which takes 0.03 to 0.05 s more

    from pipeline.engine.frames import dedupe, normalize_orders
    from pipeline.tasks.dims import SeedDims, init_database
    from pipeline.tasks.partitions import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems
    from pipeline.tasks.run_all import RunAll

__all__ = [
    "FetchOrders",
    "NormalizeOrders",
    "RunAll",
    "SeedDims",
    "WriteFactOrder",
    "WriteOrderItems",
    "dedupe",
    "init_database",
    "normalize_orders",
]
