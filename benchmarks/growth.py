"""How the pipeline's time grows with the number of orders and of dates: a table, and a chart as growth.svg."""

from collections.abc import Iterator
from statistics import median

import altair as alt
from bench import LAKE, NEW_DATE, NOTHING, lake_folder, on_a_lake
from workshop import HERE, Measured, Workshop, plain

PLAIN = "plain DuckDB, first load"
CHART = HERE / "growth.svg"
# of each pair: orders, dates
BY_ORDERS = ((100_000, 365), (1_000_000, 365), (5_000_000, 365))
BY_DATES = ((1_000_000, 90), (1_000_000, 365), (1_000_000, 1_095), (1_000_000, 2_406))
NAMES = {LAKE: "first load", PLAIN: PLAIN, NEW_DATE: "one new date", NOTHING: "nothing to do"}
AXES = {"orders": f"orders, on {BY_ORDERS[0][1]:,} dates", "dates": f"dates, with {BY_DATES[0][0]:,} orders"}
WIDTH, HEIGHT = 320, 260

# by orders and dates
Grown = dict[tuple[int, int], dict[str, Measured]]


def measured_sizes(shop: Workshop, *, runs: int, python: str) -> Grown:
    """Each size: one run of the plain script by `python`, one first load, then `runs` runs of the other two kinds.

    All folders stay until the end, because after a deletion ext4 searches for free inodes.
    """
    grown = {}
    for orders, dates in sorted({*BY_ORDERS, *BY_DATES}):
        row, out, dump = Measured(PLAIN), shop.fresh(_plain_folder(orders, dates)), shop.dump(orders, dates)
        shop.measure(row, plain("plain_three_layers.py", dump, out, python))
        grown[orders, dates] = on_a_lake(shop, orders=orders, dates=dates, runs=runs) | {PLAIN: row}
    for orders, dates in grown:
        shop.fresh(_plain_folder(orders, dates))
        shop.fresh(lake_folder(orders, dates))
    return grown


def _plain_folder(orders: int, dates: int) -> str:
    return f"plain_{orders}_{dates}"


def table(grown: Grown) -> str:
    """A Markdown table with a row for each size; the figures are seconds."""
    rows = [f"| orders | dates | {' | '.join(NAMES.values())} |", f"|{'---:|' * (2 + len(NAMES))}"]
    for (orders, dates), measured in grown.items():
        figures = " | ".join(f"{median(measured[what].seconds):.2f}" for what in NAMES)
        rows.append(f"| {orders:,} | {dates:,} | {figures} |")
    return "\n".join(rows)


def draw(grown: Grown) -> None:
    """Write the chart: the seconds by orders, and by dates. Both axes are logarithmic."""
    panels = [_panel(grown, "orders", BY_ORDERS), _panel(grown, "dates", BY_DATES)]
    alt.hconcat(*panels).configure(background="white").configure_view(stroke=None).save(CHART)


def _panel(grown: Grown, axis: str, sizes: tuple[tuple[int, int], ...]) -> alt.LayerChart:
    values = list(_points(grown, axis, sizes))
    ticks = alt.Axis(values=sorted({value[axis] for value in values}), format=",", grid=False)
    base = alt.Chart(alt.Data(values=values), width=WIDTH, height=HEIGHT).encode(
        alt.X(f"{axis}:Q", title=AXES[axis], scale=alt.Scale(type="log", nice=False, padding=24), axis=ticks),
        alt.Y("seconds:Q", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g")),
        alt.Color("what:N", title=None, sort=list(NAMES.values()), legend=alt.Legend(orient="top", columns=2)),
    )
    above, below = (
        base.transform_filter(alt.FieldOneOfPredicate("what", [NAMES[what] for what in lines]))
        .mark_text(dy=shift, fontSize=10)
        .encode(alt.Text("label:N"))
        for lines, shift in (((LAKE, NEW_DATE), -9), ((PLAIN, NOTHING), 11))
    )
    return base.mark_line(point=True) + above + below


def _points(grown: Grown, axis: str, sizes: tuple[tuple[int, int], ...]) -> Iterator[dict[str, object]]:
    for orders, dates in sizes:
        for what, name in NAMES.items():
            seconds = median(grown[orders, dates][what].seconds)
            at = orders if axis == "orders" else dates
            yield {axis: at, "what": name, "seconds": seconds, "label": f"{seconds:.1f}"}
