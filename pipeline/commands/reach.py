"""What doctor finds beyond the lake: whether the source gives orders, and whether a scheduler answers."""

import json
import urllib.error
import urllib.request
from collections import Counter
from datetime import datetime
from urllib.parse import quote

import pyarrow as pa
from luigi.configuration import get_config
from luigi.interface import core

from pipeline import config
from pipeline.engine.connection import OpenEngine
from pipeline.engine.lines import same_instant, split_lines
from pipeline.engine.normalizing import normalized
from pipeline.errors import SourceUnreadable
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Diagnosis
from pipeline.sources.dump.file import Dump
from pipeline.sources.rest.client import Client
from pipeline.sources.rest.pages import Course, Page
from pipeline.sources.rest.shop import Shop, Window
from pipeline.tasks.source import is_api, open_source

SCHEDULER_TIMEOUT_SECONDS = 5
LUIGIS_OWN = ("localhost", 8082)
# luigi knows each of them by two names
ADDRESS_KEYS = tuple(
    name
    for key in ("scheduler_host", "scheduler_port", "scheduler_url")
    for name in (key, f"default-{key.replace('_', '-')}")
)


def source(as_of: datetime, open_engine: OpenEngine) -> list[Diagnosis]:
    """Of a dump, whether it can be read; of an API, what it answers when it is asked once, for one page.

    Raises BadSetting and SourceUnreadable, which say what to do.
    """
    if is_api():
        shop = Shop(config.api() | {"attempts": 1}, config.field_map())
        return [_asked(shop, as_of, open_engine)]
    dump = open_source()
    assert isinstance(dump, Dump)
    try:
        with open(dump.path, "rb") as file:
            file.read(1)
    except OSError as error:
        mend = "mend: let this user read it, or see [orders_api] url"
        return [Diagnosis(ERROR, "source", f"{dump.path}: {error.strerror}", mend)]
    if not dump.size:
        return [Diagnosis(WARNING, "source", f"{dump.path}: an empty file", "mend: see what writes the dump")]
    return [Diagnosis(OK, "source", f"{dump.path}: {dump.size:,} bytes")]


def _asked(shop: Shop, as_of: datetime, open_engine: OpenEngine) -> Diagnosis:
    """What the API gave for the newest window: the date of now."""
    window = Window.of(str(as_of.date()))
    counts: Counter[str] = Counter()
    try:
        page = Client(shop).page(window, shop.first(window), Course(), 0, counts)
    except SourceUnreadable as error:
        return Diagnosis(
            ERROR, "source", str(error), "mend: that setting, or the API, or the way to it; then ask again"
        )
    text = f"{shop.url}: a page of {page.count:,} order(s) of {window.name}, auth = {shop.auth}"
    reasons = _reasons(shop, page, window, as_of, open_engine)
    if not reasons:
        return Diagnosis(OK, "source", text)
    discarded = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    mend = "mend: see [orders_fields], or of outside_window [orders_api] since_param, until_param, time_format"
    return Diagnosis(WARNING, "source", f"{text}, of which would be discarded: {discarded}", mend)


def _reasons(shop: Shop, page: Page, window: Window, as_of: datetime, open_engine: OpenEngine) -> Counter[str]:
    """Why records of the page would be discarded: with a wrong map of the fields, all of them."""
    lines = split_lines(page.records)
    dates = pa.repeat(pa.scalar(window.since.date(), pa.date32()), lines.size)
    with open_engine() as engine:
        rows = normalized(engine, lines, dates, same_instant(as_of, lines.size), shop.fields)
    return Counter(rows.discarded["reason"].to_pylist())


def scheduler() -> list[Diagnosis]:
    """Whether a luigid answers where runs without --local-scheduler look for one."""
    settings = core()
    url = (settings.scheduler_url or f"http://{settings.scheduler_host}:{settings.scheduler_port}").rstrip("/")
    answer = _luigid(url)
    if answer is None:
        return [Diagnosis(OK, "scheduler", f"luigid at {url}")]
    if settings.local_scheduler:
        return [Diagnosis(OK, "scheduler", f"inside each run, as [core] local_scheduler says; at {url}: {answer}")]
    if not _is_configured(settings):
        text = f"{url}: {answer}, and none is configured; only luigi without --local-scheduler needs one"
        return [Diagnosis(OK, "scheduler", text)]
    start = "[core] default-scheduler-url" if settings.scheduler_url else f"luigid --port {settings.scheduler_port}"
    return [Diagnosis(ERROR, "scheduler", f"{url}: {answer}", f"mend: {start}, or run with --local-scheduler")]


def _is_configured(settings: core) -> bool:
    """Whether somebody has said where the luigid is."""
    given = settings.scheduler_url or (settings.scheduler_host, settings.scheduler_port) != LUIGIS_OWN
    return bool(given) or any(get_config().has_option("core", key) for key in ADDRESS_KEYS)


def _luigid(url: str) -> str | None:
    """What is wrong with a luigid; None when it answers. It is only asked for what runs."""
    if not url.startswith(("http://", "https://")):
        return "not asked, as it is no http address"
    asked = quote(json.dumps({"status": "RUNNING", "upstream_status": ""}))
    try:
        with urllib.request.urlopen(f"{url}/api/task_list?data={asked}", timeout=SCHEDULER_TIMEOUT_SECONDS) as answer:
            return None if "response" in json.load(answer) else "what answers is no luigid"
    except urllib.error.HTTPError as error:
        return f"what answers is no luigid (status {error.code})"
    except ValueError:
        return "what answers is no luigid"
    except OSError as error:
        return f"no answer ({getattr(error, 'reason', error)})"
