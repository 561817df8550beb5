"""The source of orders that luigi.cfg names, a dump or a shop's API, and the dates that a run takes from it."""

from datetime import datetime
from typing import Any

from pipeline import config
from pipeline.contract import RAW_STAGE
from pipeline.dates import chosen, days_between
from pipeline.errors import BadSetting
from pipeline.lake.files import Lake
from pipeline.lake.run import run_name
from pipeline.settings.setting import AUTO
from pipeline.sources.changed import changed_dates, refuse_unknowing, start_of
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.land import learn
from pipeline.sources.raw import Shape
from pipeline.sources.rest.shop import Shop


def is_api() -> bool:
    """Whether [orders_api] url is that of an API."""
    return config.orders_api().url.lower().startswith(("http://", "https://"))


def open_source() -> Dump | Shop:
    """The dump, as it is now, or the API. Raises SourceUnreadable and BadSetting."""
    return Shop(config.api(), config.field_map()) if is_api() else Dump.at(config.orders_api().url)


def shape() -> Shape:
    """How the records of the source are shaped."""
    return Shape(config.orders_api().url, config.field_map() if is_api() else None)


def shown(instant: Any) -> str | None:
    """An instant as people write it."""
    return instant.isoformat() + "Z" if isinstance(instant, datetime) else instant


def dates_of(task: Any, lake: Lake) -> list[str]:
    """The dates of a RunAll: of the source and of all layers, within its range; with changed_since only some of them.

    Raises BadSetting, and what the source raises.
    """
    changed = _changed(task, lake)
    if changed is not None:
        return chosen(changed, task.since, task.end)
    found = set(lake.dates())
    if is_api() and not task.reprocess:
        found |= set(windows(task))
    elif not task.reprocess:
        found |= set(learn(task.this_run, Dump.at(config.orders_api().url)).dates())
    return chosen(found, task.since, task.end)


def windows(task: Any) -> list[str]:
    """The dates for which an API is asked: from the start to the end of a run, or to now. Raises BadSetting."""
    start = task.since or config.orders_api().start_date
    if start is None:
        raise BadSetting(
            "--since is not given and [orders_api] start_date is not set; an API does not tell which dates it has: "
            "expected one of them, such as --since 2025-01-15"
        )
    return days_between(start, min(task.end, task.stamp))


def _changed(task: Any, lake: Lake) -> list[str] | None:
    """The dates of --changed-since, found once a run, since luigi starts RunAll again and again; None without it."""
    if task.changed_since is None:
        return None
    name = changes_name(task.stamp)
    known = lake.read(name)
    if known is None:
        source = open_source()
        if isinstance(source, Shop):
            refuse_unknowing(source)
        since = start_of(lake, task.changed_since, config.api()["overlap_minutes"])
        found: dict[str, Any] = {"dates": None} if since is None else changed_dates(task.this_run, source, since)
        if found["dates"] is not None:
            found["dates"] = sorted({*found["dates"], *_never_landed(task, lake)})
        known = {"since": shown(since), "moves_on": _moves_on(task, lake, since)} | found
        with lake.locked():
            lake.write(name, known)
    dates: list[str] | None = known["dates"]
    return dates


def _never_landed(task: Any, lake: Lake) -> list[str]:
    """The windows of an API that no run has landed, as a first load that was killed leaves them."""
    if not is_api() or (task.since or config.orders_api().start_date) is None:
        return []
    return [date for date in windows(task) if lake.manifest(RAW_STAGE, date) is None]


def _moves_on(task: Any, lake: Lake, since: datetime | None) -> bool:
    """Whether `auto` may go on from this run: it looks at all dates, and from no later than `auto` would."""
    behind = start_of(lake, AUTO, config.api()["overlap_minutes"])
    caught_up = since is None or (behind is not None and since <= behind)
    return task.since is None and task.until is None and caught_up


def changes_name(as_of: datetime) -> str:
    """The file that holds what --changed-since found in a run."""
    return f"runs/{run_name(as_of)}/changed.json"
