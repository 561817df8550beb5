"""The three layers of a dump as one would write them with Spark: python spark_three_layers.py DUMP OUT.

It writes the rows, columns and types of the pipeline (docs/CONTRACT.md), and keeps only the latest version of an order
over all dates. It has no checks of the input, no ties between versions, no manifests and no fsync.
"""

import shutil
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f

RECORD = """
order_id STRING, user_id STRING, amount DECIMAL(18,4), currency STRING, created_at STRING, updated_at STRING,
items ARRAY<STRUCT<sku: STRING, qty: BIGINT, price: DECIMAL(18,4)>>
"""
ORDER_COLUMNS = ("order_id", "user_id", "amount", "currency", "created_at", "updated_at", "metadata", "date")
ITEM_COLUMNS = ("order_id", "line_number", "sku", "qty", "price", "date")
FACT_COLUMNS = ("order_id", "user_id", "sku", "amount", "qty", "price", "created_at", "date")


def parsed(lines: DataFrame) -> DataFrame:
    """One row per record, with its line and its date."""
    record = f.from_json("value", RECORD).alias("record")
    instants = {name: f.to_timestamp(name).cast("timestamp_ntz") for name in ("created_at", "updated_at")}
    return (
        lines.select("value", f.get_json_object("value", "$.metadata").alias("metadata"), record)
        .select("value", "metadata", "record.*")
        .withColumns(instants)
        .withColumn("date", f.to_date("created_at"))
        .withColumn("at", f.coalesce("updated_at", "created_at"))
    )


def latest(records: DataFrame, *key: str) -> DataFrame:
    """The latest version by key."""
    window = Window.partitionBy(*key).orderBy(f.desc("at"), f.desc("created_at"))
    return records.withColumn("place", f.row_number().over(window)).filter("place = 1").drop("place")


def items_of(orders: DataFrame, *more: str) -> DataFrame:
    """One row per order line, numbered in the order of the array."""
    lines = orders.select("order_id", "date", *more, f.posexplode("items").alias("place", "item"))
    return lines.select("order_id", "date", *more, (f.col("place") + 1).alias("line_number"), "item.*")


def facts_of(orders: DataFrame) -> DataFrame:
    """One row per order line, with its share of the amount; one row for an order without lines."""
    of_order = Window.partitionBy("order_id")
    worth = (f.col("qty") * f.col("price") * 10_000).cast("bigint")
    lines = items_of(orders, "user_id", "amount", "created_at").withColumn("worth", worth)
    has_worth = (f.count("worth").over(of_order) == f.count("*").over(of_order)) & (f.sum("worth").over(of_order) > 0)
    lines = lines.withColumn("weight", f.when(has_worth, f.col("worth")).otherwise(f.lit(1).cast("bigint")))
    running, total = f.sum("weight").over(of_order.orderBy("line_number")), f.sum("weight").over(of_order)
    whole, is_last = f.col("amount").cast("double"), f.col("line_number") == f.max("line_number").over(of_order)
    upper = f.when(is_last, whole * 1e4).otherwise(f.floor(whole * (running / total) * 1e4 + 0.5))
    lower = f.floor(whole * ((running - f.col("weight")) / total) * 1e4 + 0.5)
    shared = lines.withColumn("amount", ((upper - lower) / 1e4).cast("decimal(18,4)")).select(*FACT_COLUMNS)
    without = orders.filter("coalesce(size(items), 0) <= 0")
    empty = without.select("order_id", "user_id", "amount", "created_at", "date")
    return shared.unionByName(empty, allowMissingColumns=True)


def write(rows: DataFrame, folder: Path, name: str) -> None:
    """One Parquet file or more per date: folder/date=D/name_N.parquet."""
    written = folder.with_name(f"{folder.name}_{name}")
    by_date = rows.withColumn("day", f.col("date")).repartition("day")
    by_date.write.partitionBy("day").parquet(str(written))
    for number, path in enumerate(sorted(written.glob("day=*/*.parquet"))):
        target = folder / path.parent.name.replace("day=", "date=")
        target.mkdir(parents=True, exist_ok=True)
        path.rename(target / f"{name}_{number}.parquet")
    shutil.rmtree(written)


def main(dump: str, out: Path) -> None:
    """Write the three layers of `dump` below `out`."""
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": "6g",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.enabled": "false",
        "spark.local.dir": f"{out}_scratch",
    }
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    records = parsed(spark.read.text(dump)).cache()
    records.select("value", f.col("date").alias("day")).repartition("day").write.partitionBy("day").text(f"{out}/raw")
    orders = latest(records, "order_id", "date").drop("value").cache()
    write(orders.select(*ORDER_COLUMNS), out / "normalized", "orders")
    write(items_of(orders).select(*ITEM_COLUMNS), out / "normalized", "items")
    kept = latest(orders, "order_id").cache()
    write(facts_of(kept), out / "curated", "fact_order")
    write(items_of(kept).select(*ITEM_COLUMNS), out / "curated", "order_items")
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
