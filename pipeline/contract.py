"""The tables of the lake as data: columns, types, keys and grain. Column order is part of the contract."""

from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

MONEY = pa.decimal128(18, 4)
UTC_MICROSECONDS = pa.timestamp("us")
UNDATED = "__HIVE_DEFAULT_PARTITION__"
# what is later than this after the moment that an answer speaks for is in the future
FUTURE_TOLERANCE = timedelta(days=1)
LOGIC_VERSION = 2


@dataclass(frozen=True)
class Table:
    """A Parquet table: one file a date under `layer`, or one file in all for a dimension."""

    name: str
    layer: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema

    @property
    def file(self) -> str:
        return f"{self.name}.parquet"


@dataclass(frozen=True)
class Stage:
    """What is published together for a date: `manifest` is its commit marker, `upstream` what it is made from."""

    name: str
    layer: str
    manifest: str
    files: tuple[str, ...]
    upstream: "Stage | None" = None


ORDERS = Table(
    "orders",
    "normalized",
    "one row per order",
    ("order_id",),
    pa.schema(
        [
            ("order_id", pa.string()),
            ("user_id", pa.string()),
            ("amount", MONEY),
            ("currency", pa.string()),
            ("created_at", UTC_MICROSECONDS),
            ("updated_at", UTC_MICROSECONDS),
            ("metadata", pa.string()),
            ("date", pa.date32()),
        ]
    ),
)
ITEMS = Table(
    "items",
    "normalized",
    "one row per order line",
    ("order_id", "line_number"),
    pa.schema(
        [
            ("order_id", pa.string()),
            ("line_number", pa.int32()),
            ("sku", pa.string()),
            ("qty", pa.int64()),
            ("price", MONEY),
            ("date", pa.date32()),
        ]
    ),
)
FACT_ORDER = Table(
    "fact_order",
    "curated",
    "one row per order line; one row with null sku, qty and price for an order without lines",
    ("order_id", "line_number"),
    pa.schema(
        [
            ("order_id", pa.string()),
            ("user_id", pa.string()),
            ("sku", pa.string()),
            ("amount", MONEY),
            ("qty", pa.int64()),
            ("price", MONEY),
            ("created_at", UTC_MICROSECONDS),
            ("date", pa.date32()),
        ]
    ),
)
ORDER_ITEMS = Table("order_items", "curated", ITEMS.grain, ITEMS.key, ITEMS.schema)
# what a partition of the quarantine holds its discarded records in
QUARANTINE_FILE = "orders.parquet"
DISCARDED = Table(
    "discarded",
    "quarantine",
    "one row per discarded record; record holds its bytes as they came",
    ("position",),
    pa.schema([("position", pa.int64()), ("reason", pa.string()), ("record", pa.binary())]),
)
DIM_USER = Table(
    "dim_user",
    "curated",
    "one row per user",
    ("user_id",),
    pa.schema(
        [("user_id", pa.string()), ("email", pa.string()), ("created_at", UTC_MICROSECONDS), ("country", pa.string())]
    ),
)
DIM_PRODUCT = Table(
    "dim_product",
    "curated",
    "one row per product",
    ("sku",),
    pa.schema([("sku", pa.string()), ("name", pa.string()), ("category", pa.string()), ("price", MONEY)]),
)

RAW_STAGE = Stage("raw", "raw", "_raw.json", ("orders_raw.json",))
NORMALIZED_STAGE = Stage("normalized", "normalized", "_normalized.json", (ORDERS.file, ITEMS.file), RAW_STAGE)
FACT_ORDER_STAGE = Stage("fact_order", "curated", "_fact_order.json", (FACT_ORDER.file,), NORMALIZED_STAGE)
ORDER_ITEMS_STAGE = Stage("order_items", "curated", "_order_items.json", (ORDER_ITEMS.file,), NORMALIZED_STAGE)
CURATED_STAGES = (FACT_ORDER_STAGE, ORDER_ITEMS_STAGE)
STAGES = (RAW_STAGE, NORMALIZED_STAGE, *CURATED_STAGES)
