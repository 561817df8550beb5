"""Puts the page together: one file whose policy forbids the browser every request and every script but its own two."""

import base64
import hashlib
import json
from importlib import resources
from string import Template
from typing import Any

from pipeline.observe.report import sections
from pipeline.observe.report.content import Content, chart_data
from pipeline.observe.report.drawing import Drawing

RANGES = [("28", "4 weeks"), ("91", "13 weeks"), ("365", "1 year"), ("0", "all")]


def page(content: Content, drawing: Drawing) -> str:
    """report.html as text."""
    script = _part("page.js")
    data = {"charts": drawing.charts} | chart_data(content)
    return Template(_part("page.html")).substitute(
        _texts(content),
        policy=_policy(drawing.script, script),
        style=_part("page.css"),
        vega=drawing.script,
        script=script,
        data=_json(data),
    )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"


def _json(data: Any) -> str:
    """JSON that may stand inside a script element: without < there is no end tag and no comment in it."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _texts(content: Content) -> dict[str, str]:
    return {
        "written": sections.written_at(content.as_of),
        "state": "empty" if not content.partitions else "filled",
        "headline": sections.headline(content),
        "attention": sections.attention(content),
        "state_legend": sections.state_legend(),
        "ranges": sections.choice("range", "Dates", RANGES, "91"),
        "currencies": sections.currency_choice(content),
        "currency_legend": sections.currency_legend(content),
        "currency_table": sections.currency_table(content),
        "month_table": sections.month_table(content),
        "reason_legend": sections.reason_legend(content),
        "reason_table": sections.reason_table(content),
        "sales_dates": sections.counted(len(content.figures.sales_dates), "date"),
        "run_table": sections.run_table(content.runs),
        "runs": sections.counted(len(content.runs), "run"),
    }
