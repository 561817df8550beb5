"""The one point at which Parquet files are written: the contract's schema, and equal rows to equal bytes."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import Table

ROW_GROUP_ROWS = 122_880
# few values a file: a dictionary pays; for the others it costs more time than it saves bytes (measured, 1 M orders)
DICTIONARY_COLUMNS = ("date", "currency", "reason", "country", "category")


def write_table(table: Table, rows: pa.Table, path: str) -> None:
    """Write rows, in their order, as a file of the contract's table.

    pyarrow's bytes depend on how a table is chunked, so it is made contiguous first. Money is stored as INT64, which
    Redshift loads (wider decimals often fail there).
    """
    rows = rows.select(table.schema.names).cast(table.schema).combine_chunks()
    pq.write_table(
        rows,
        path,
        row_group_size=ROW_GROUP_ROWS,
        compression="snappy",
        use_dictionary=[name for name in DICTIONARY_COLUMNS if name in table.schema.names] or False,
        store_decimal_as_integer=True,
        store_schema=False,
    )
