"""The source of orders that luigi.cfg names, and the dates of a run."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from pipeline import config
from pipeline.contract import NORMALIZED_STAGE, UNDATED
from pipeline.dates import Range, chosen
from pipeline.lake import run_name, why_incomplete
from pipeline.observe.history import Changed, Options
from pipeline.settings.setting import AUTO
from pipeline.sources.base import Source
from pipeline.sources.changed import move_on, start_of
from pipeline.sources.raw import Shape

_read_changes = msgspec.json.Decoder(Changed).decode


def open_source() -> Source:
    """The dump or the API that [orders_api] url names. Opening it reads no file and sends no request.

    Only the package of this kind of source is imported, since imports take time.
    """
    section: Any = config.orders_api()
    settings, fields = config.api(section), config.field_map(section.preset)
    if settings.url.lower().startswith(("http://", "https://")):
        from pipeline.sources.rest.source import ShopSource

        return ShopSource(settings, fields)
    from pipeline.sources.dump.source import DumpSource

    return DumpSource(Shape(settings.url, fields, settings.records, insists=section.records is not UNSET))


def shown(instant: Any) -> str | None:
    """An instant in ISO 8601 with Z; another value, such as `auto` or None, as it is."""
    return instant.isoformat() + "Z" if isinstance(instant, datetime) else instant


def dates_of(task: Any, source: Source, *, writes: bool = True) -> list[str]:
    """The dates of a RunAll within its range: those of the source and of all layers of the lake.

    With changed_since: only the dates of changed orders, and landed dates that are incomplete. Without `writes`,
    nothing is written and changed_since is ignored. Raises BadSetting and the errors of the source.
    """
    asked, lake = Range(task.since, task.end), task.this_run.lake
    changed = _changed(task, source, asked) if writes else None
    if changed is not None:
        return chosen(changed, asked.since, asked.until)
    offered = [] if task.reprocess else source.dates(task.this_run, asked, writes=writes)
    return chosen({*lake.dates(), *offered}, asked.since, asked.until)


def _changed(task: Any, source: Source, asked: Range) -> list[str] | None:
    """The dates of --changed-since; None without that option.

    They are found once a run and kept in changed.json, since luigi starts RunAll again after each yield.
    """
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


def advance_auto(task: Any) -> None:
    """Let the next `--changed-since auto` start from this run. Call it after all is published.

    Does nothing if this run had no --changed-since, or if it has looked at fewer dates or less far back than `auto`.
    """
    found = known_changes(task)
    if found is not None and found.moves_on:
        move_on(task.this_run)


def options_of(task: Any) -> Options:
    """The options of a RunAll, for its summary."""
    return Options(
        since=shown(task.since),
        until=shown(task.end),
        force=task.force,
        reprocess=task.reprocess,
        changed_since=shown(task.changed_since),
        changes=known_changes(task),
    )


def _incomplete(task: Any) -> set[str]:
    """The landed dates whose normalized partition is not complete, whether or not their orders changed."""
    run = task.this_run
    landed = [date for date in run.lake.partitions("raw") if date != UNDATED]
    return {date for date in landed if why_incomplete(run.lake, NORMALIZED_STAGE, date, run.intent)}


def _moves_on(task: Any, since: datetime | None) -> bool:
    """Whether the next `auto` may start from this run: it covers all dates, and looks back as far as `auto` would."""
    if task.since is not None or task.until is not None:
        return False
    behind = start_of(task.this_run, AUTO, config.api(config.orders_api()).overlap_minutes)
    return since is None or (behind is not None and since <= behind)


def known_changes(task: Any) -> Changed | None:
    """What --changed-since found in this run. None without that option; also None if the run has not looked yet."""
    found: Changed | None = task.this_run.lake.files.read_as(_changed_name(task.stamp), _read_changes)
    return found


def _changed_name(as_of: datetime) -> str:
    return f"runs/{run_name(as_of)}/changed.json"
