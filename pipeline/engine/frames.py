"""normalize_orders and dedupe: the logic of the tasks for Python objects and pandas frames."""

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
from pipeline.engine.too_large import raw_line

if TYPE_CHECKING:
    import pandas as pd


def _engine() -> Engine:
    return Engine(memory_limit="1GB", threads=0, temp_directory="")


def normalize_orders(records: Iterable[Any]) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(orders, items) of Python objects, by the contract: the latest version of each order, no discarded records.

    Grain and columns are those of normalized orders and items; timestamps are UTC without a zone. A record is judged
    by its JSON text, with the present moment as the moment of its extraction.
    """
    data = b"".join(raw_line(f"{json.dumps(record, default=str)}\n".encode()) for record in records)
    lines = split_lines(data)
    now = datetime.now(UTC).replace(tzinfo=None)
    with _engine() as engine:
        rows = normalized(engine, lines, pa.nulls(lines.size, pa.date32()), same_instant(now, lines.size))
    return (
        rows.orders.select(ORDERS.schema.names).cast(ORDERS.schema).to_pandas(),
        rows.items.select(ITEMS.schema.names).cast(ITEMS.schema).to_pandas(),
    )


def dedupe(df: "pd.DataFrame", key: str = "order_id") -> "pd.DataFrame":
    """The rows of df that are the latest version of their key. Order, index and columns of df stay.

    The latest version has the greatest updated_at (created_at if updated_at is null), then the greatest created_at.
    A tie goes to the later row. If df has only one of the two columns, that column decides; if it has neither, the
    last row of each key stays. All rows without a key stay. Raises KeyError if df has no column `key`.
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
    """The column as UTC without a zone; all null if df does not have the column."""
    import pandas as pd

    if name not in df:
        return pa.nulls(len(df), UTC_MICROSECONDS)
    return pa.array(pd.to_datetime(df[name], utc=True, format="ISO8601").dt.tz_localize(None).astype("datetime64[us]"))
