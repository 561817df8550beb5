"""Renders report.html. Its content security policy forbids all requests, and all scripts except its own two."""

import base64
import hashlib
from importlib import resources
from typing import Any

from pipeline.report.content import Content, chart_data
from pipeline.report.drawing import Drawing
from pipeline.report.sections import values

TEMPLATES = "templates"


def page(content: Content, drawing: Drawing) -> str:
    """report.html as text. The template escapes every value except the style and the two scripts."""
    script = _part("page.js")
    return _rendered(
        "page.html",
        **values(content),
        policy=_policy(drawing.script, script),
        style=_part("page.css"),
        vega=drawing.script,
        script=script,
        data={"charts": drawing.charts} | chart_data(content),
    )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(TEMPLATES, name).read_text(encoding="utf-8")


def _rendered(template: str, **given: Any) -> str:
    # imported here, because Jinja2 is installed only with the extra `report`
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    return environment.get_template(template).render(given)


def _policy(*scripts: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"
