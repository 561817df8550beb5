"""Takes and splits the rows of Arrow tables."""

import numpy as np
import pyarrow as pa

# Arrow reserves the mean size of a value for each row that is taken. Where one value is long, that is far too much
RESERVED_BYTES = 256 << 20


def taken(rows: pa.Table, places: pa.Array) -> pa.Table:
    """The rows at these places. A null place gives a row of nulls."""
    step = max(1, RESERVED_BYTES * rows.num_rows // max(rows.nbytes, 1))
    if len(places) <= step:
        return rows.take(places)
    pieces = [rows.take(places[start : start + step]) for start in range(0, len(places), step)]
    return pa.concat_tables(pieces).combine_chunks()


def by_date(rows: pa.Table) -> dict[str, pa.Table]:
    """The rows of each date. `rows` are sorted by date."""
    days = rows["date"].cast(pa.int32()).to_numpy()
    if (days[1:] < days[:-1]).any():
        raise ValueError("rows that are not sorted by date")
    found, firsts = np.unique(days, return_index=True)
    lasts = [*firsts[1:], len(days)] if len(days) else []
    return {
        str(np.datetime64(int(day), "D")): rows.slice(first, last - first)
        for day, first, last in zip(found, firsts, lasts, strict=True)
    }
