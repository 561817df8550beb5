"""What lies in a lake and belongs to no published date: strays, and the work of a run that was cut off."""

import os
import shlex
from collections.abc import Iterator

from pipeline.contract import (
    DISCARDED,
    FACT_ORDER,
    ITEMS,
    LAYERS,
    NORMALIZED_STAGE,
    ORDER_ITEMS,
    ORDERS,
    STAGES,
    Stage,
)
from pipeline.lake import DUMP_SPOOLS, STAGING, WINDOW_SPOOLS, Lake
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Commands, Diagnosis
from pipeline.warehouse.database import leftovers

# their names are what the views and everybody's globs look for
READ_BY_ALL = {table.file for table in (ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS)}
# what the pipeline and the engines leave alone
HIDDEN = ("_", ".")
SHOWN_FOLDERS = 20


def strays(lake: Lake) -> list[Diagnosis]:
    """Files in a layer that no manifest names: one line a folder. The examination names manifests that are lost.

    In a layer the pipeline writes nothing else, but for names that begin with _ or a dot.
    """
    named = _named(lake)
    by_folder: dict[str, list[str]] = {}
    for name in _files(lake):
        if name not in named and not _is_orphaned(lake, name):
            by_folder.setdefault(os.path.dirname(name), []).append(os.path.basename(name))
    owned = {os.path.dirname(name) for name in named} | set(LAYERS)
    found = [
        _stray(lake, folder, sorted(files), alone=folder not in owned)
        for folder, files in sorted(by_folder.items())[:SHOWN_FOLDERS]
    ]
    if len(by_folder) > SHOWN_FOLDERS:
        found.append(Diagnosis(WARNING, "strays", f"and in {len(by_folder) - SHOWN_FOLDERS:,} more folders"))
    return found or [Diagnosis(OK, "strays", f"none in {', '.join(LAYERS)}")]


def _stray(lake: Lake, folder: str, files: list[str], *, alone: bool) -> Diagnosis:
    """`alone`: nothing in the folder belongs to the lake."""
    read = READ_BY_ALL.intersection(files)
    text = f"{folder}: {', '.join(files)}: no manifest names it" + (", but every reader finds it" if read else "")
    names = [folder] if alone else [f"{folder}/{file}" for file in files]
    command = " ".join(["rm -r" if alone else "rm", *(shlex.quote(lake.files.fetch(name)) for name in names)])
    return Diagnosis(ERROR if read else WARNING, "strays", text, f"mend, if it is of no use to you: {command}")


def _files(lake: Lake) -> Iterator[str]:
    for layer in LAYERS:
        for name in lake.files.all_names(layer):
            if not any(part.startswith(HIDDEN) for part in name.split("/")):
                yield name


def _named(lake: Lake) -> set[str]:
    """Every file that a manifest promises, whichever it is."""
    named: set[str] = set()
    for layer in LAYERS:
        for name in lake.files.all_names(layer):
            if os.path.basename(name).startswith("_") and name.endswith(".json"):
                files = (lake.files.read(name) or {}).get("files")
                named.update(files if isinstance(files, dict) else ())
    return named


def _is_orphaned(lake: Lake, name: str) -> bool:
    """Whether it is the file of a stage whose manifest is gone or unreadable: that is told of the stage."""
    layer, _, rest = name.partition("/")
    folder, _, file = rest.partition("/")
    date = folder.removeprefix("date=")
    if layer == "quarantine":
        return file == DISCARDED.file and _has_lost(lake, NORMALIZED_STAGE, date)
    return any(stage.layer == layer and file in stage.files and _has_lost(lake, stage, date) for stage in STAGES)


def _has_lost(lake: Lake, stage: Stage, date: str) -> bool:
    """Whether the date is in the lake, but the stage's manifest is not or cannot be read."""
    known = any(lake.files.has(other.manifest_at(date)) for other in STAGES)
    return known and lake.manifest(stage, date) is None


def unfinished(lake: Lake, warehouse: str, commands: Commands, *, publishing: bool, asking: bool) -> list[Diagnosis]:
    """The folders of work in progress, with their bytes: a run's while it is `publishing` or `asking` the API."""
    found = []
    if not publishing and lake.work.has(STAGING):
        mend = f"mend: rm -r {shlex.quote(lake.work.path(STAGING))}, or any run that builds something"
        found.append(_left(WARNING, _bytes(lake, STAGING, "a run that was cut off"), mend))
    if not publishing and lake.work.has(DUMP_SPOOLS):
        # tasks of single dates leave it to the next one
        mend = f"{commands.pipeline()} removes it at its end"
        found.append(_left(OK, _bytes(lake, DUMP_SPOOLS, "a dump, split by date"), mend))
    if not asking and lake.work.has(WINDOW_SPOOLS):
        mend = f"mend: rm -r {shlex.quote(lake.work.path(WINDOW_SPOOLS))}, or the next extraction goes on from them"
        found.append(
            _left(
                WARNING,
                _bytes(lake, WINDOW_SPOOLS, "pages that were not landed"),
                mend,
            )
        )
    building = [] if publishing else leftovers(warehouse)
    if building:
        mend = f"mend: rm -r {shlex.join(building)}, or the next run that changes the warehouse"
        found.append(_left(WARNING, f"{', '.join(building)}: a warehouse that was not finished", mend))
    return found or [_left(OK, "none")]


def _left(level: str, text: str, mend: str = "") -> Diagnosis:
    return Diagnosis(level, "leftovers", text, mend)


def _bytes(lake: Lake, kind: str, what: str) -> str:
    return f"{kind}: {lake.work.size_of(kind):,} bytes of {what}"
