"""The source of orders that luigi.cfg names, and the dates that a run takes from it."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from pipeline import config
from pipeline.contract import NORMALIZED_STAGE, UNDATED
from pipeline.dates import Range, chosen
from pipeline.lake import missing, run_name
from pipeline.observe.history import Changed, Options
from pipeline.settings.setting import AUTO
from pipeline.sources.base import Source
from pipeline.sources.changed import move_on, start_of
from pipeline.sources.raw import Shape

_read_changes = msgspec.json.Decoder(Changed).decode


def open_source() -> Source:
    """The dump, or the API, that [orders_api] url names. Nothing is read or asked yet.

    A run imports the one kind of source that it has.
    """
    section: Any = config.orders_api()
    settings, fields = config.api(section), config.field_map(section.preset)
    if settings.url.lower().startswith(("http://", "https://")):
        from pipeline.sources.rest.source import ShopSource

        return ShopSource(settings, fields)
    from pipeline.sources.dump.source import DumpSource

    return DumpSource(Shape(settings.url, fields, settings.records, insists=section.records is not UNSET))


def shown(instant: Any) -> str | None:
    """An instant as people write it."""
    return instant.isoformat() + "Z" if isinstance(instant, datetime) else instant


def dates_of(task: Any, source: Source, *, writes: bool = True) -> list[str]:
    """The dates of a RunAll: of the source and of all layers, within its range; with changed_since only some of them.

    Raises BadSetting, and what the source raises.
    """
    asked, lake = Range(task.since, task.end), task.this_run.lake
    changed = _changed(task, source, asked) if writes else None
    if changed is not None:
        return chosen(changed, asked.since, asked.until)
    offered = [] if task.reprocess else source.dates(task.this_run, asked, writes=writes)
    return chosen({*lake.dates(), *offered}, asked.since, asked.until)


def _changed(task: Any, source: Source, asked: Range) -> list[str] | None:
    """The dates of --changed-since, found once a run, since luigi starts RunAll again and again; None without it."""
    if task.changed_since is None:
        return None
    lake = task.this_run.lake
    known = known_changes(task)
    if known is None:
        since = start_of(task.this_run, task.changed_since, config.api(config.orders_api()).overlap_minutes)
        known = Changed(shown(since), _moves_on(task, since))
        if since is not None:
            found = source.changed(task.this_run, since, asked)
            known.dates, known.api = sorted(found.dates | _incomplete(task)), found.api
        with lake.work.locked():
            lake.files.write(_changed_name(task.stamp), msgspec.to_builtins(known))
    return known.dates


def settle_changes(task: Any) -> None:
    """Have `auto` go on from this run, now that all of it is published, if it may."""
    found = known_changes(task)
    if found is not None and found.moves_on:
        move_on(task.this_run)


def options_of(task: Any) -> Options:
    """What a RunAll was asked for, for its summary."""
    return Options(
        since=shown(task.since),
        until=shown(task.end),
        force=task.force,
        reprocess=task.reprocess,
        changed_since=shown(task.changed_since),
        changes=known_changes(task),
    )


def _incomplete(task: Any) -> set[str]:
    """The landed dates that are not complete anyway."""
    run = task.this_run
    landed = [date for date in run.lake.partitions("raw") if date != UNDATED]
    return {date for date in landed if missing(run.lake, NORMALIZED_STAGE, date, run.intent)}


def _moves_on(task: Any, since: datetime | None) -> bool:
    """Whether `auto` may go on from this run: it looks at all dates, and from no later than `auto` would."""
    if task.since is not None or task.until is not None:
        return False
    behind = start_of(task.this_run, AUTO, config.api(config.orders_api()).overlap_minutes)
    return since is None or (behind is not None and since <= behind)


def known_changes(task: Any) -> Changed | None:
    """What --changed-since found in a run; None without it, and before it is found."""
    found: Changed | None = task.this_run.lake.files.read_as(_changed_name(task.stamp), _read_changes)
    return found


def _changed_name(as_of: datetime) -> str:
    return f"runs/{run_name(as_of)}/changed.json"
