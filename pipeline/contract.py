"""The tables of the lake as data: columns in order, types, keys, grain and file names."""

from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

MONEY = pa.decimal128(18, 4)
UTC_MICROSECONDS = pa.timestamp("us")
UNDATED = "__HIVE_DEFAULT_PARTITION__"
# the word for its records in commands and messages
UNDATED_RECORDS = "undated"
# a timestamp is in the future if it is more than this later than answers_as_of
FUTURE_TOLERANCE = timedelta(days=1)
# a larger record is discarded as too_large, and its bytes are not kept
MAX_RECORD_BYTES = 16 << 20
LOGIC_VERSION = 3
# the end of the names of key files; see pipeline/lake/keys.py
KEY_SUFFIX = ".keys"


@dataclass(frozen=True)
class Table:
    """A Parquet table: one file per date under `layer`, or a single file for a dimension.

    `stem` is the file's name without its suffix, if it is not the table's name. Files of earlier versions may lack the
    last `added` columns.
    """

    name: str
    layer: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema
    stem: str = ""
    added: int = 0

    def has(self, schema: pa.Schema) -> bool:
        """Whether a file of this table may have the schema."""
        columns = list(self.schema)
        return any(schema.equals(pa.schema(columns[: len(columns) - lacks])) for lacks in {0, self.added})

    @property
    def file(self) -> str:
        return f"{self.stem or self.name}.parquet"

    def at(self, date: str | None = None) -> str:
        """The name, in the lake, of the file of a date. Without a date: of the dimension's file."""
        return f"{self.layer}/{self.file}" if date is None else f"{self.layer}/date={date}/{self.file}"


@dataclass(frozen=True)
class Stage:
    """Files that are published together for a date. `manifest` is their commit marker; `upstream` is their source.

    `keys` is the key file of the orders in it, if it has one; see pipeline/lake/keys.py.
    """

    name: str
    layer: str
    manifest: str
    files: tuple[str, ...]
    upstream: "Stage | None" = None
    keys: str = ""

    def manifest_at(self, date: str) -> str:
        """The name, in the lake, of the manifest of a date."""
        return f"{self.layer}/date={date}/{self.manifest}"

    def files_at(self, date: str) -> list[str]:
        """The names, in the lake, of the files of a date."""
        return [f"{self.layer}/date={date}/{file}" for file in self.files]

    def keys_at(self, date: str) -> str:
        """The name, in the lake, of the key file of a date."""
        return f"{self.layer}/date={date}/{self.keys}"


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
            ("status", pa.string()),
            ("excluded", pa.bool_()),
        ]
    ),
    added=2,
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
DISCARDED = Table(
    "discarded",
    "quarantine",
    "one row per discarded record; record holds its bytes as they came",
    ("position",),
    pa.schema([("position", pa.int64()), ("reason", pa.string()), ("record", pa.binary())]),
    stem="orders",
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
# descriptions of the columns; a column means the same in each table
COLUMNS = {
    "order_id": "id of the order, as the shop has it",
    "user_id": "id of the user, as the shop has it",
    "sku": "id of the product, as the shop has it",
    "line_number": "place of the line in its order, from 1",
    "qty": "number of pieces of the line",
    "price": "price of one piece: in the currency of the order; in dim_product as in products.csv",
    "amount": "amount of the order, in its currency; in fact_order the line's share of it, and the shares add up to it",
    "currency": "currency of the order; sum amounts of one currency only",
    "created_at": "when the order, or the user, was created, in UTC",
    "updated_at": "when the order was last updated, in UTC",
    "metadata": "metadata of the order, as JSON text",
    "date": "UTC date of created_at: the partition of the order",
    "status": "status of the order when its date was extracted; --changed-since fetches later changes",
    "excluded": "whether the order is left out of the curated tables",
    "email": "e-mail address of the user",
    "country": "country of the user",
    "name": "name of the product",
    "category": "category of the product",
}

RAW_FILE = "orders_raw.json"
RAW_STAGE = Stage("raw", "raw", "_raw.json", (RAW_FILE,))
NORMALIZED_STAGE = Stage(
    "normalized", "normalized", "_normalized.json", (ORDERS.file, ITEMS.file), RAW_STAGE, f"_orders{KEY_SUFFIX}"
)
FACT_ORDER_STAGE = Stage(
    "fact_order", "curated", "_fact_order.json", (FACT_ORDER.file,), NORMALIZED_STAGE, f"_fact_order{KEY_SUFFIX}"
)
ORDER_ITEMS_STAGE = Stage("order_items", "curated", "_order_items.json", (ORDER_ITEMS.file,), NORMALIZED_STAGE)
CURATED_STAGES = (FACT_ORDER_STAGE, ORDER_ITEMS_STAGE)
LAYERS = ("raw", "normalized", "quarantine", "curated")
STAGES = (RAW_STAGE, NORMALIZED_STAGE, *CURATED_STAGES)
DIMENSIONS_MANIFEST = "curated/_dims.json"


def quarantine_of(dimension: Table) -> str:
    """The name, in the lake, of the file with the discarded rows of a dimension's CSV."""
    return f"{DISCARDED.layer}/{dimension.file}"


def raw_name(date: str) -> str:
    """The name, in the lake, of the raw file of a date."""
    return f"{RAW_STAGE.layer}/date={date}/{RAW_FILE}"
