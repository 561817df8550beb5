"""Vega's script and the charts. Both take seconds to make and depend on versions only, so the lake caches them."""

import hashlib
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Any

from pipeline.errors import ExtraMissing
from pipeline.lake import Lake

CACHE = "curated/_report_charts.json"
# the packages of the extra `report`
PACKAGES = ("altair", "Jinja2", "vl-convert-python")


@dataclass(frozen=True)
class Drawing:
    """`script` defines vegaEmbed; `charts` are Vega-Lite specifications by name."""

    script: str
    charts: dict[str, Any]


def drawing(lake: Lake) -> Drawing:
    """The cached drawing. If a version has changed, the drawing is made again and cached.

    Call it under the lake's lock. Raises ExtraMissing.
    """
    version = _version()
    cache = lake.files.read(CACHE)
    if cache is None or cache.get("version") != version:
        cache = {"version": version} | _made()
        lake.files.write(CACHE, cache)
    return Drawing(cache["script"], cache["charts"])


def installed() -> bool:
    """Whether the packages of the extra `report` are installed."""
    try:
        _version()
    except ExtraMissing:
        return False
    return True


def _version() -> str:
    """The versions of the packages and a hash of charts.py: the cached drawing depends on both. Raises ExtraMissing."""
    try:
        packages = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    except metadata.PackageNotFoundError as error:
        raise ExtraMissing(
            f"the report needs the packages {', '.join(PACKAGES)}; {error.name} is not installed; "
            "run pip install 'orders-lake[report]'"
        ) from None
    source = resources.files(__package__).joinpath("charts.py").read_bytes()
    return f"{', '.join(packages)}, {hashlib.sha256(source).hexdigest()}"


def _made() -> dict[str, Any]:
    import altair
    import vl_convert

    from pipeline.report.charts import specifications

    vega_lite = ".".join(altair.VEGALITE_VERSION.split(".")[:2])
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=vega_lite)
    return {"script": script, "charts": specifications()}
