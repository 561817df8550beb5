"""The three layers of a dump as one would write them with pandas: python pandas_three_layers.py DUMP OUT.

It writes the rows, columns and types of the pipeline (docs/CONTRACT.md), and keeps only the latest version of an order
over all dates. It has no checks of the input, no ties between versions, no manifests and no fsync.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MONEY = pa.decimal128(18, 4)
TYPES = {
    **dict.fromkeys(("order_id", "user_id", "currency", "metadata", "sku"), pa.string()),
    **dict.fromkeys(("amount", "price"), MONEY),
    **dict.fromkeys(("created_at", "updated_at"), pa.timestamp("us")),
    "date": pa.date32(),
    "qty": pa.int64(),
    "line_number": pa.int32(),
}
ORDER_COLUMNS = ["order_id", "user_id", "amount", "currency", "created_at", "updated_at", "metadata", "date"]
ITEM_COLUMNS = ["order_id", "line_number", "sku", "qty", "price", "date"]
FACT_COLUMNS = ["order_id", "user_id", "sku", "amount", "qty", "price", "created_at", "date"]


def read(dump: str) -> pd.DataFrame:
    """One row per record, with its line and its date."""
    with open(dump, encoding="utf-8") as file:
        lines = file.readlines()
    records = pd.DataFrame([json.loads(line) for line in lines])
    records["line"] = lines
    for name in ("created_at", "updated_at"):
        records[name] = pd.to_datetime(records[name], utc=True, format="ISO8601").dt.tz_localize(None)
    records["date"] = records["created_at"].dt.date
    records["metadata"] = [
        json.dumps(value, separators=(",", ":"), ensure_ascii=False) for value in records["metadata"]
    ]
    records["at"] = records["updated_at"].fillna(records["created_at"])
    return records.sort_values(["at", "created_at"], kind="stable")


def lines_of(orders: pd.DataFrame, *more: str) -> pd.DataFrame:
    """One row per order line, numbered in the order of the array."""
    lines = orders.loc[orders["items"].str.len() > 0, ["order_id", "date", "items", *more]].explode("items")
    lines["line_number"] = lines.groupby(["order_id", "date"], sort=False).cumcount() + 1
    items = pd.DataFrame(lines.pop("items").tolist(), index=lines.index)
    return pd.concat([lines, items], axis=1)


def facts_of(orders: pd.DataFrame) -> pd.DataFrame:
    """One row per order line, with its share of the amount; one row for an order without lines."""
    lines = lines_of(orders, "user_id", "amount", "created_at").reset_index(drop=True)
    lines["weight"] = lines["qty"] * (lines["price"] * 10_000).round()
    by_order = lines.groupby("order_id", sort=False)
    no_worth = by_order["weight"].transform("count").ne(by_order["weight"].transform("size"))
    no_worth |= by_order["weight"].transform("sum") <= 0
    lines.loc[no_worth, "weight"] = 1
    by_order = lines.groupby("order_id", sort=False)
    running, total = by_order["weight"].cumsum(), by_order["weight"].transform("sum")
    upper = np.floor(lines["amount"] * (running / total) * 1e4 + 0.5)
    lower = np.floor(lines["amount"] * ((running - lines["weight"]) / total) * 1e4 + 0.5)
    is_last = ~lines["order_id"].duplicated(keep="last")
    lines["amount"] = (upper.where(~is_last, lines["amount"] * 1e4) - lower) / 1e4
    without = orders.loc[~(orders["items"].str.len() > 0), ["order_id", "user_id", "amount", "created_at", "date"]]
    return pd.concat([lines, without])


def write(rows: pd.DataFrame, columns: list[str], folder: Path, name: str) -> None:
    """One Parquet file per date: folder/date=D/name_0.parquet."""
    for date, part in rows.groupby("date"):
        arrays = [pa.Array.from_pandas(part[column]) for column in columns]
        table = pa.table([array.cast(TYPES[column]) for array, column in zip(arrays, columns, strict=True)], columns)
        (folder / f"date={date}").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"date={date}" / f"{name}_0.parquet", store_decimal_as_integer=True)


def main(dump: str, out: Path) -> None:
    """Write the three layers of `dump` below `out`."""
    records = read(dump)
    for date, part in records.sort_index().groupby("date"):
        (out / f"raw/date={date}").mkdir(parents=True)
        (out / f"raw/date={date}/orders_raw.json").write_text("".join(part["line"]), encoding="utf-8")
    orders = records.drop_duplicates(["order_id", "date"], keep="last")
    write(orders, ORDER_COLUMNS, out / "normalized", "orders")
    write(lines_of(orders), ITEM_COLUMNS, out / "normalized", "items")
    kept = orders.drop_duplicates("order_id", keep="last")
    write(facts_of(kept), FACT_COLUMNS, out / "curated", "fact_order")
    write(lines_of(kept), ITEM_COLUMNS, out / "curated", "order_items")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
