"""Finds files in a lake that belong to no published date: strays, and unfinished work of a killed run."""

import os
import shlex
from collections.abc import Iterator

from pipeline.contract import (
    DIM_PRODUCT,
    DIM_USER,
    DISCARDED,
    FACT_ORDER,
    ITEMS,
    LAYERS,
    NORMALIZED_STAGE,
    ORDER_ITEMS,
    ORDERS,
    STAGES,
    UNDATED,
    Stage,
    quarantine_of,
)
from pipeline.lake import DUMP_SPOOLS, STAGING, WINDOW_SPOOLS, Lake
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Commands, Diagnosis
from pipeline.warehouse.database import leftovers

# the file names that the views and readers' globs match
READ_BY_ALL = {table.file for table in (ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS)}
OF_DIMENSIONS = {name for table in (DIM_USER, DIM_PRODUCT) for name in (table.at(), quarantine_of(table))}
# the pipeline and the usual engines ignore names with these prefixes
HIDDEN = ("_", ".")
SHOWN_FOLDERS = 20


def strays(lake: Lake) -> list[Diagnosis]:
    """Files in the layers that no manifest lists, grouped by folder. Skips names that begin with _ or a dot.

    Skips stages whose manifest is missing or unreadable; `Examination` reports those.
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
    """`alone`: no file in the folder belongs to the lake."""
    read = READ_BY_ALL.intersection(files)
    text = f"{folder}: {', '.join(files)}: no manifest names it" + (", but every reader finds it" if read else "")
    names = [folder] if alone else [f"{folder}/{file}" for file in files]
    command = " ".join(["rm -r" if alone else "rm", *(shlex.quote(lake.files.fetch(name)) for name in names)])
    return Diagnosis(ERROR if read else WARNING, "strays", text, f"mend, if you do not need it: {command}")


def _files(lake: Lake) -> Iterator[str]:
    for layer in LAYERS:
        for name in lake.files.all_names(layer):
            if not any(part.startswith(HIDDEN) for part in name.split("/")):
                yield name


def _named(lake: Lake) -> set[str]:
    """Every file that any manifest lists."""
    named: set[str] = set()
    for layer in LAYERS:
        for name in lake.files.all_names(layer):
            if os.path.basename(name).startswith("_") and name.endswith(".json"):
                files = (lake.files.read(name) or {}).get("files")
                named.update(files if isinstance(files, dict) else ())
    return named


def _is_orphaned(lake: Lake, name: str) -> bool:
    """Whether the file belongs to a stage, or to the dimensions, whose manifest is missing or unreadable."""
    if name in OF_DIMENSIONS:
        return lake.dimensions() is None
    layer, _, rest = name.partition("/")
    folder, _, file = rest.partition("/")
    date = folder.removeprefix("date=")
    if layer == "quarantine":
        return file == DISCARDED.file and _has_lost(lake, NORMALIZED_STAGE, date)
    return any(stage.layer == layer and file in stage.files and _has_lost(lake, stage, date) for stage in STAGES)


def _has_lost(lake: Lake, stage: Stage, date: str) -> bool:
    """Whether the date has a manifest of some stage, but this stage's manifest is missing or unreadable."""
    # the undated partition may be the only place of its records
    known = date == UNDATED or any(lake.has_manifest(other, date) for other in STAGES)
    return known and lake.manifest(stage, date) is None


def unfinished(lake: Lake, warehouse: str, commands: Commands, *, publishing: bool, asking: bool) -> list[Diagnosis]:
    """Folders of unfinished work, with their bytes.

    While a run is `publishing` or `asking` an API, its folders are in use and are left out.
    """
    found = []
    if not publishing and lake.work.has(STAGING):
        mend = f"mend: rm -r {shlex.quote(lake.work.path(STAGING))}, or any run that builds something"
        found.append(_left(WARNING, _bytes(lake, STAGING, "a run that was cut off"), mend))
    if not publishing and lake.work.has(DUMP_SPOOLS):
        # a task of a single date leaves the spool for the next task
        mend = f"{commands.pipeline()} removes it at its end"
        found.append(_left(OK, _bytes(lake, DUMP_SPOOLS, "a dump, split by date"), mend))
    if not asking and lake.work.has(WINDOW_SPOOLS):
        remove = f"rm -r {shlex.quote(lake.work.path(WINDOW_SPOOLS))}"
        mend = f"mend: {remove}, or the next extraction continues with these pages"
        found.append(_left(WARNING, _bytes(lake, WINDOW_SPOOLS, "pages that were not landed"), mend))
    building = [] if publishing else leftovers(warehouse)
    if building:
        mend = f"mend: rm -r {shlex.join(building)}, or the next run that changes the warehouse"
        found.append(_left(WARNING, f"{', '.join(building)}: a warehouse that was not finished", mend))
    return found or [_left(OK, "none")]


def _left(level: str, text: str, mend: str = "") -> Diagnosis:
    return Diagnosis(level, "leftovers", text, mend)


def _bytes(lake: Lake, kind: str, what: str) -> str:
    return f"{kind}: {lake.work.size_of(kind):,} bytes of {what}"
