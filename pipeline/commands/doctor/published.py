"""Examines what runs publish: the dimensions, the lake, the values of fields, and the views of the warehouse."""

import os
import shlex

from pipeline.contract import DIM_PRODUCT, DIM_USER, DIMENSIONS_MANIFEST
from pipeline.engine import OpenEngine
from pipeline.errors import PipelineError, UnusableWarehouse
from pipeline.lake import ASKING, PUBLISHING, Intent, Lake
from pipeline.observe.contents import damaged_dimensions
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Commands, Diagnosis
from pipeline.observe.health import health_of_lake
from pipeline.observe.integrity import Examination
from pipeline.observe.leftovers import strays, unfinished
from pipeline.stages.seed import SETTINGS as CSV_SETTINGS
from pipeline.stages.seed import csv_rows, seeded
from pipeline.tasks.base import open_lake
from pipeline.tasks.dims import sources, warehouse_path
from pipeline.tasks.ending import limits
from pipeline.tasks.source import open_source
from pipeline.warehouse.database import refused_views
from pipeline.warehouse.views import are_outdated

AT_WORK = "a run is at work on the lake"


def dimensions(commands: Commands, *, quick: bool) -> list[Diagnosis]:
    """Examine whether the CSVs can be read, and whether the dimensions made from them are whole.

    With `quick` the files of the dimensions are not read.
    """
    lake, tables = open_lake(), sources()
    found: list[Diagnosis] = []
    usable: list[str] = []
    for table, source in tables.items():
        try:
            rows = len(csv_rows(table, source))
            text = "absent, so it adds no rows to its dimension" if source.is_absent else f"{rows:,} row(s)"
            usable.append(f"{source.path}: {text}")
        except PipelineError as error:
            mend = f"mend: correct the file, or set [warehouse] {CSV_SETTINGS[table]} to another file"
            found.append(Diagnosis(ERROR, "dimensions", str(error), mend))
    found += _lost(lake, commands) or ([] if quick else _damaged(lake, commands))
    if lake.dimensions() is not None and not found and not seeded(lake, warehouse_path(), tables):
        usable.append("the dimensions are not up to date with the CSVs and the warehouse; the next RunAll seeds them")
    return found or [Diagnosis(OK, "dimensions", ", ".join(usable))]


def _lost(lake: Lake, commands: Commands) -> list[Diagnosis]:
    manifest = lake.dimensions()
    if manifest is None and any(map(lake.files.has, (DIMENSIONS_MANIFEST, DIM_USER.at(), DIM_PRODUCT.at()))):
        lost = f"{DIMENSIONS_MANIFEST}: it cannot be read, or is gone"
    elif manifest is not None and not lake.whole(manifest):
        lost = "curated: dim_user or dim_product is gone or has another size than was published"
    else:
        return []
    return [Diagnosis(ERROR, "dimensions", lost, f"mend: {commands.task('SeedDims')}")]


def _damaged(lake: Lake, commands: Commands) -> list[Diagnosis]:
    """A run does not replace such a file if its size is right and its hash is not known, as of earlier versions."""
    mend = "mend: rm {} && " + commands.task("SeedDims")
    return [
        Diagnosis(ERROR, "dimensions", damage.text, mend.format(shlex.quote(lake.files.fetch(damage.name))))
        for damage in damaged_dimensions(lake)
    ]


def lake_findings(intent: Intent, open_engine: OpenEngine, commands: Commands, *, quick: bool) -> list[Diagnosis]:
    """The faults of the lake. While a run publishes they are only counted, because its work looks like damage."""
    lake = open_lake()
    if not lake.files.has("raw"):
        text = f"{lake.root}: nothing is landed yet"
        return [Diagnosis(OK, "lake", text, f"{commands.pipeline()} loads it")]
    before = lake.work.trace()
    publishing, asking = lake.work.in_use(PUBLISHING), lake.work.in_use(ASKING)
    found = [*Examination(lake, intent, commands, quick).findings(open_engine), *strays(lake)]
    found += unfinished(lake, warehouse_path(), commands, publishing=publishing, asking=asking)
    # a run that came or went during the examination has changed files, too
    publishing = publishing or lake.work.in_use(PUBLISHING) or lake.work.trace() != before
    at_work = [Diagnosis(OK, "lake", f"{AT_WORK}: it asks the API")] if asking else []
    return [*at_work, *(_certain(found) if publishing else found)]


def fields() -> list[Diagnosis]:
    """The fields with more absent or unreadable values, on all dates, than [health] allows."""
    ill = [found for found in health_of_lake(open_lake(), limits(), open_source().shape.fields) if found.is_ill]
    healthy = Diagnosis(OK, "fields", "none is above the limits of [health]")
    return [Diagnosis(WARNING, "fields", found.text) for found in ill] or [healthy]


def _certain(found: list[Diagnosis]) -> list[Diagnosis]:
    """The findings that are certain while a run publishes: the OK ones, and the number of the others."""
    unclear = sum(diagnosis.level != OK for diagnosis in found)
    at_work = Diagnosis(OK, "lake", f"{AT_WORK}: it publishes")
    if unclear:
        mend = "mend: run doctor again when the run has ended"
        at_work = Diagnosis(WARNING, "lake", f"{AT_WORK}: {unclear} finding(s) may be its work", mend)
    return [at_work, *(diagnosis for diagnosis in found if diagnosis.level == OK)]


def warehouse(commands: Commands) -> list[Diagnosis]:
    """Examine whether warehouse.db opens and its views answer over this lake."""
    lake, path = open_lake(), warehouse_path()
    views = commands.pipeline("views")
    make = f"{commands.task('SeedDims')} && {views}"
    if not os.path.exists(path):
        if lake.files.has("curated"):
            return [Diagnosis(WARNING, "warehouse", f"{path}: not there", f"mend: {make}")]
        return [Diagnosis(OK, "warehouse", f"{path}: not there; the next RunAll makes it")]
    try:
        refused = refused_views(path, str(lake.root))
    except UnusableWarehouse as error:
        return [Diagnosis(ERROR, "warehouse", str(error), f"mend: rm {shlex.quote(path)} && {make}")]
    if refused:
        name, why = next(iter(refused.items()))
        text = f"{path}: {len(refused)} view(s) do not answer, such as {name}: {why}"
        return [Diagnosis(ERROR, "warehouse", text, f"mend: {views}")]
    if are_outdated(lake):
        return [Diagnosis(WARNING, "warehouse", f"{path}: its views are out of date with the lake", f"mend: {views}")]
    return [Diagnosis(OK, "warehouse", f"{path}: its views answer")]
