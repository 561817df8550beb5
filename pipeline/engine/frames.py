"""The tasks' own logic for pandas: normalize_orders and dedupe."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.contract import ITEMS, ORDERS, UTC_MICROSECONDS
from pipeline.engine.connection import Engine
from pipeline.engine.lines import same_instant, split_lines
from pipeline.engine.normalizing import normalized

if TYPE_CHECKING:
    import pandas as pd


def _engine() -> Engine:
    return Engine(memory_limit="1GB", threads=0, temp_directory="")


def normalize_orders(records: Iterable[Any]) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(orders, items) of Python objects, by the contract: discarded records are left out, the latest version stays.

    Grain and columns are those of normalized/orders and items; timestamps are UTC without a zone. A record is judged
    by its JSON text, as extracted now.
    """
    data = "".join(json.dumps(record, default=str) + "\n" for record in records).encode()
    lines = split_lines(data)
    now = datetime.now(UTC).replace(tzinfo=None)
    with _engine() as engine:
        rows = normalized(engine, lines, pa.nulls(lines.size, pa.date32()), same_instant(now, lines.size))
    return (
        rows.orders.select(ORDERS.schema.names).cast(ORDERS.schema).to_pandas(),
        rows.items.select(ITEMS.schema.names).cast(ITEMS.schema).to_pandas(),
    )


def dedupe(df: "pd.DataFrame", key: str = "order_id") -> "pd.DataFrame":
    """The rows of df that are the latest version of their key: by updated_at or else created_at, then created_at.

    A frame with only one of these columns goes by that one, a frame with neither keeps the last row of each key.
    A tie goes to the later row. Order, index and columns stay; rows without a key all stay.
    Raises KeyError when key is no column.
    """
    size = len(df)
    versions = {
        "position": np.arange(size),
        "partition_date": pa.repeat(pa.scalar(0, pa.date32()), size),
        "order_id": pa.array(df[key].astype("string")),
        "created_at": _instants(df, "created_at"),
        "updated_at": _instants(df, "updated_at"),
    }
    with _engine() as engine:
        engine.bind(version=pa.table(versions))
        superseded = engine.query("superseded")["position"].to_numpy()
    stays = np.ones(size, bool)
    stays[superseded] = False
    return df[stays]


def _instants(df: "pd.DataFrame", name: str) -> pa.Array:
    """The column in UTC, without a zone; null in each row of a frame that does not have it."""
    import pandas as pd

    if name not in df:
        return pa.nulls(len(df), UTC_MICROSECONDS)
    return pa.array(pd.to_datetime(df[name], utc=True, format="ISO8601").dt.tz_localize(None).astype("datetime64[us]"))
