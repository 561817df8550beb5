"""The charts as Vega-Lite, made with Altair. They have no data and no colours; the page adds both.

Each chart reads the named data set `rows`. A colour is written as a CSS variable of the page, `var(--name)`. The page's
script replaces it by the colour of the light or the dark theme. The script also sets four parameters: the range of
dates [`from`, `to`) in milliseconds since 1970, UTC; the width of a bar, `step`, in milliseconds; and the number of the
chosen `currency`.
"""

from typing import Any

import altair as alt

WEEK_MS, DAY_MS = 7 * 86_400_000, 86_400_000
MONDAY_MS = 4 * DAY_MS  # 1970-01-05
MONTHS = "['Jan','Feb','Mar','Apr','May','Jun','Jul','Aug','Sep','Oct','Nov','Dec']"
STATES = ["failed", "incomplete", "built", "earlier", "skipped", "absent", "outside"]
SERIES = list(range(7))
SERIES_COLOURS = [f"var(--series-{number})" for number in SERIES]


def specifications() -> dict[str, dict[str, Any]]:
    """Every chart by its name."""
    charts = {
        "calendar": _calendar(),
        "overview": _overview(),
        "orders": _per_date("orders", "orders", "sum(orders)", ["currency:N"]),
        "amount": _per_date("amount", "amount", "sum(amount)", ["currency:N"], chosen_currency=True),
        "discards": _per_date("records", "records discarded", "sum(records)", ["reason:N"]),
        "fields": _per_date("records", "values", "sum(records)", ["field:N"]),
        "moved": _per_date("records", "orders", "sum(records)", ["kind:N"]),
        "late": _per_date("records", "orders", "sum(records)", ["kind:N"]),
        "country": _ranking("country"),
        "category": _ranking("category"),
        "sku": _ranking("sku"),
        "runs": _runs(),
    }
    return {name: _dict(chart) for name, chart in charts.items()}


def _dict(chart: Any) -> dict[str, Any]:
    wide = alt.AutoSizeParams(type="fit-x", contains="padding")
    found: dict[str, Any] = chart.properties(data=alt.NamedData(name="rows"), autosize=wide).to_dict()
    return {key: value for key, value in found.items() if key not in ("config", "$schema")}


def _colour(field: str) -> alt.Color:
    return alt.Color(f"{field}:O", scale=alt.Scale(domain=SERIES, range=SERIES_COLOURS), legend=None)


def _calendar() -> alt.Chart:
    """One square a day, for each year in which the lake has a date. A row is a weekday, a column is a week."""
    colours = [f"var(--state-{state})" for state in STATES]
    month = f"datum.value % 4.35 < 1 ? slice({MONTHS}[floor(datum.value / 4.35)], 0, width < 420 ? 1 : 3) : ''"
    year = "datum.value % 10 == 3 ? toString(floor(datum.value / 10)) : ''"
    plain = {"title": None, "domain": False, "ticks": False, "labelOverlap": False, "labelPadding": 7}
    return (
        alt.Chart()
        .mark_rect(cornerRadius=1.5)
        .encode(
            x=alt.X("week:O", scale=alt.Scale(paddingInner=0.14)).axis(labelExpr=month, labelAngle=0, **plain),
            y=alt.Y("row:O", scale=alt.Scale(paddingInner=0.14)).axis(labelExpr=year, **plain),
            color=alt.Color("state:N", scale=alt.Scale(domain=STATES, range=colours), legend=None),
            tooltip=[
                alt.Tooltip(f"{field}:N", title=title)
                for field, title in (
                    ("date", "date"),
                    ("state_text", "state"),
                    ("built_at", "last built"),
                    ("because", "because"),
                    ("kept", "orders"),
                    ("discarded", "discarded"),
                )
            ],
        )
        .properties(width="container", height=alt.Step(13))
    )


def _time(field: str, **ends: alt.ExprRef) -> alt.X:
    scale = alt.Scale(type="utc", nice=False, **ends)
    return alt.X(f"{field}:T", scale=scale).axis(
        title=None, grid=False, labelOverlap=True, labelSeparation=8, tickCount=6
    )


def _params() -> list[Any]:
    """The parameters of a chart; the page's script sets their values."""
    return [alt.param(name=name, value=0) for name in ("from", "to", "step", "currency")]


def _overview() -> alt.LayerChart:
    """Orders by week, over all dates. Dragging over it chooses the dates of the charts below."""
    zoom = alt.selection_interval(name="zoom", encodings=["x"], mark=alt.BrushConfig(fillOpacity=0, strokeOpacity=0))
    week = f"floor((datum.t - {MONDAY_MS}) / {WEEK_MS}) * {WEEK_MS} + {MONDAY_MS}"
    strip = (
        alt.Chart()
        .transform_calculate(bar=week)
        .transform_aggregate(orders="sum(orders)", groupby=["bar"])
        .mark_area(interpolate="step-after", color="var(--muted)", opacity=0.5)
        .encode(x=_time("bar"), y=alt.Y("orders:Q").axis(None))
        .add_params(zoom)
    )
    chosen = (
        alt.Chart(alt.InlineData(values=[{}]))
        .transform_calculate(bar="from", end="to")
        .mark_rect(color="var(--accent)", opacity=0.28)
        .encode(x="bar:T", x2="end:T")
    )
    return (strip + chosen).add_params(*_params()).properties(width="container", height=44)


def _per_date(field: str, title: str, total: str, names: list[str], *, chosen_currency: bool = False) -> alt.Chart:
    """Stacked bars, one series a colour. A bar is `step` wide: 1, 7 or 28 days."""
    label = names[0].split(":")[0]
    wanted = "datum.t >= from && datum.t < to" + (" && datum.series == currency" if chosen_currency else "")
    number = ",.2f" if field == "amount" else ",d"
    # counts are whole numbers, so the axis labels whole numbers only
    whole = "datum.label" if field == "amount" else "datum.value % 1 ? '' : datum.label"
    return (
        alt.Chart()
        .transform_filter(wanted)
        .transform_calculate(bar=f"floor((datum.t - {MONDAY_MS}) / step) * step + {MONDAY_MS}")
        .transform_aggregate(value=total, groupby=["bar", "series", label])
        .transform_calculate(
            end="datum.bar + step * 0.88",
            dates=f"utcFormat(datum.bar, '%Y-%m-%d') + (step > {DAY_MS} ? ' and the ' + "
            f"(step / {DAY_MS} - 1) + ' days after' : '')",
        )
        .transform_stack(stack="value", as_=["low", "high"], groupby=["bar"], sort=[alt.SortField("series")])
        .mark_rect()
        .encode(
            x=_time("bar", domainMin=alt.ExprRef("from"), domainMax=alt.ExprRef("to")),
            x2="end:T",
            y=alt.Y("low:Q", scale=alt.Scale(zero=True)).axis(title=None, format="~s", tickCount=4, labelExpr=whole),
            y2="high:Q",
            color=_colour("series"),
            tooltip=[
                alt.Tooltip("dates:N", title="date"),
                alt.Tooltip(f"{label}:N"),
                alt.Tooltip("value:Q", title=title, format=number),
            ],
        )
        .add_params(*_params())
        .properties(width="container", height=150)
    )


def _ranking(facet: str) -> alt.LayerChart:
    """Horizontal bars, the largest amount first and all others last. The amount stands to the right of its bar."""
    base = (
        alt.Chart()
        .transform_filter("datum.series == currency")
        .encode(
            y=alt.Y("label:N", sort=alt.EncodingSortField("rank", op="min")).axis(
                title=None, domain=False, ticks=False, labelLimit=alt.ExprRef("width < 420 ? 96 : 170"), labelPadding=6
            ),
            x=alt.X("amount:Q", axis=None, stack=None, scale=alt.Scale(range=[0, alt.ExprRef("width - 76")])),
            tooltip=[
                alt.Tooltip("name:N", title=facet),
                alt.Tooltip("shown:N", title="amount"),
                alt.Tooltip("orders:Q", title="orders", format=",d"),
                alt.Tooltip("qty:Q", title="quantity", format=",d"),
            ],
        )
    )
    bars = base.mark_bar(height=13, cornerRadiusEnd=2).encode(
        color=alt.condition("datum.rest", alt.value("var(--muted)"), alt.value("var(--series-0)"))
    )
    # to the right of the bar; a bar of a negative amount ends at 0
    text = base.mark_text(align="left", dx=5, fontSize=11, color="var(--ink)").encode(
        x=alt.X("end:Q", axis=None), text="shown:N"
    )
    return (bars + text).add_params(*_params()).properties(width="container", height=alt.Step(21))


def _runs() -> alt.Chart:
    """One bar a run, the newest on the right. The height is the duration in seconds."""
    return (
        alt.Chart()
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X("number:O", scale=alt.Scale(paddingInner=0.2)).axis(
                title=None, labelExpr="''", ticks=False, domain=True
            ),
            y=alt.Y("seconds:Q").axis(title=None, tickCount=4, labelExpr="datum.label + ' s'"),
            color=alt.Color(
                "state:N",
                scale=alt.Scale(domain=["ok", "failed"], range=["var(--state-built)", "var(--state-failed)"]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip(f"{field}:N", title=title)
                for field, title in (
                    ("as_of", "run as of"),
                    ("state", "state"),
                    ("took", "took"),
                    ("built", "dates built"),
                    ("skipped", "skipped"),
                    ("failed", "failed"),
                )
            ],
        )
        .properties(width="container", height=120)
    )
