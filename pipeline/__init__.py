"""A Luigi pipeline that keeps an orders lake true."""

from pipeline.garbage import uncollected
from pipeline.settings.syntax import syntax_errors_in_one_line

with syntax_errors_in_one_line(), uncollected():
    import luigi.tools.range  # noqa: F401  makes RangeDaily known to `luigi --module pipeline RangeDaily`
    import numpy as np  # noqa: F401  0.03 to 0.05 s faster here than from within pyarrow

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
