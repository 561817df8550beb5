"""The three layers of a dump as one would write them with Polars: python polars_three_layers.py DUMP OUT.

It writes the rows, columns and types of the pipeline (docs/CONTRACT.md), and keeps only the latest version of an order
over all dates. It has no checks of the input, no ties between versions, no manifests and no fsync.
"""

import sys
from pathlib import Path

import polars as pl

ITEM = {"sku": pl.String, "qty": pl.Int64, "price": pl.Float64}
RECORD = {
    **dict.fromkeys(("order_id", "user_id", "currency", "created_at", "updated_at"), pl.String),
    "amount": pl.Float64,
    "items": pl.List(pl.Struct(ITEM)),
}
MONEY = pl.Decimal(18, 4)
ORDER_COLUMNS = ("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "metadata", "date")
ITEM_COLUMNS = ("order_id", "line_number", "sku", "qty", "price", "date")
FACT_COLUMNS = ("order_id", "user_id", "sku", "amount", "qty", "price", "created_at", "date")


def lines_of(dump: str) -> pl.DataFrame:
    """One row per line of the dump, unchanged: a separator that cannot be in JSON, and no quotes."""
    return pl.read_csv(dump, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String})


def parsed(lines: pl.DataFrame) -> pl.DataFrame:
    """One row per record, with its line and its date."""
    fields = pl.col("line").str.json_decode(pl.Struct(RECORD)).struct.unnest()
    instants = [
        pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
        for name in ("created_at", "updated_at")
    ]
    return (
        lines.select("line", pl.col("line").str.json_path_match("$.metadata").alias("metadata"), fields)
        .with_columns(pl.col("amount").round(4).cast(MONEY), *instants)
        .with_columns(pl.col("created_at").dt.date().alias("date"), pl.coalesce("updated_at", "created_at").alias("at"))
    )


def latest(records: pl.DataFrame, *key: str) -> pl.DataFrame:
    """The latest version by key, in no order."""
    return records.sort("at", "created_at").unique(key, keep="last")


def items_of(orders: pl.DataFrame, *more: str) -> pl.DataFrame:
    """One row per order line, numbered in the order of the array."""
    return (
        orders.select("order_id", "date", "items", *more)
        .filter(pl.col("items").list.len() > 0)
        .with_columns(pl.int_ranges(1, pl.col("items").list.len() + 1, dtype=pl.Int32).alias("line_number"))
        .explode("items", "line_number")
        .unnest("items")
        .with_columns(pl.col("price").round(4).cast(MONEY))
    )


def facts_of(orders: pl.DataFrame) -> pl.DataFrame:
    """One row per order line, with its share of the amount. Weights and running sums are whole ten-thousandths."""
    without = orders.filter(pl.col("items").list.len().fill_null(0) == 0).select(
        "order_id", "user_id", "amount", "created_at", "date"
    )
    worth = (pl.col("qty") * (pl.col("price").cast(pl.Float64) * 10_000).round().cast(pl.Int64)).alias("worth")
    by_worth = (pl.col("worth").is_not_null().all() & (pl.col("worth").sum() > 0)).over("order_id")
    lines = items_of(orders, "user_id", "amount", "created_at").with_columns(worth)
    lines = lines.with_columns(pl.when(by_worth).then("worth").otherwise(1).alias("weight"))
    running, total = pl.col("weight").cum_sum().over("order_id"), pl.col("weight").sum().over("order_id")
    whole = pl.col("amount").cast(pl.Float64)
    is_last = pl.col("line_number") == pl.col("line_number").max().over("order_id")
    upper = pl.when(is_last).then(whole * 1e4).otherwise((whole * (running / total) * 1e4 + 0.5).floor())
    lower = (whole * ((running - pl.col("weight")) / total) * 1e4 + 0.5).floor()
    shared = lines.with_columns(((upper - lower) / 1e4).round(4).cast(MONEY).alias("amount"))
    return pl.concat([shared.select(FACT_COLUMNS), without], how="diagonal").select(FACT_COLUMNS)


def write(rows: pl.DataFrame, folder: Path, name: str) -> None:
    """One Parquet file per date: folder/date=D/name_0.parquet."""
    for (date,), part in rows.partition_by("date", as_dict=True).items():
        path = folder / f"date={date}"
        path.mkdir(parents=True, exist_ok=True)
        part.write_parquet(path / f"{name}_0.parquet", compression="snappy")


def main(dump: str, out: Path) -> None:
    """Write the three layers of `dump` below `out`."""
    records = parsed(lines_of(dump))
    for (date,), part in records.select("line", "date").partition_by("date", as_dict=True).items():
        path = out / f"raw/date={date}"
        path.mkdir(parents=True)
        (path / "orders_raw.json").write_text("\n".join([*part["line"], ""]), encoding="utf-8")
    records = records.drop("line")
    orders = latest(records, "order_id", "date")
    write(orders.select(ORDER_COLUMNS), out / "normalized", "orders")
    write(items_of(orders).select(ITEM_COLUMNS), out / "normalized", "items")
    kept = latest(orders, "order_id")
    write(facts_of(kept), out / "curated", "fact_order")
    write(items_of(kept).select(ITEM_COLUMNS), out / "curated", "order_items")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
