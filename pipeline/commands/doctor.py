"""python -m pipeline doctor: settings, folders, source, scheduler, disk and lake looked at; nothing is written."""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from luigi.cmdline_parser import CmdlineParser

from pipeline import config
from pipeline.commands.options import ROOT
from pipeline.commands.reach import scheduler
from pipeline.commands.settings import UNUSABLE, reason
from pipeline.commands.settings import settings as examine_settings
from pipeline.contract import STAGES
from pipeline.engine.connection import EngineError, OpenEngine
from pipeline.errors import PipelineError, UnusableWarehouse
from pipeline.lake.lake import Lake
from pipeline.lake.manifests import Manifest
from pipeline.lake.run import Intent, Run
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Commands, Diagnosis, show
from pipeline.observe.integrity import Examination
from pipeline.observe.leftovers import strays, unfinished
from pipeline.stages.seed import SETTINGS as CSV_SETTINGS
from pipeline.stages.seed import csv_rows, seeded
from pipeline.tasks.base import open_engine, open_lake
from pipeline.tasks.dims import sources, warehouse_path
from pipeline.tasks.source import open_source
from pipeline.tasks.start import started_at
from pipeline.terminal import printing
from pipeline.warehouse.database import refused_views
from pipeline.warehouse.views import are_outdated

SUMMARY = "look for what is wrong, and say how to mend it"
PACKAGES = ("luigi", "duckdb", "pyarrow")
LOW_SHARE = 0.05
# a bad setting or file; LookupError: a manifest without what each of them has
CANNOT_LOOK = (
    *UNUSABLE,
    PipelineError,
    EngineError,
    OSError,
    LookupError,
    pa.ArrowException,
)
AT_WORK = "a run is at work on the lake"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="manifests, names and sizes only; read no data")
    command.set_defaults(handler=doctor)


def doctor(options: argparse.Namespace, settings: list[str]) -> None:
    """Without a task, since making one would raise the first bad setting, and without --local-scheduler."""
    with CmdlineParser.global_instance([*ROOT, *settings]), printing():
        found = examine(settings, quick=options.quick)
        show(found)
    sys.exit(any(diagnosis.level == ERROR for diagnosis in found))


def examine(settings: list[str], *, quick: bool) -> list[Diagnosis]:
    """Everything that doctor looks at. `settings` are those of the command line, which its advice repeats."""
    with TemporaryDirectory(prefix="doctor-") as folder:
        return _examine(Commands(shlex.join(settings)), partial(open_engine, f"{folder}/duckdb"), quick=quick)


def _examine(commands: Commands, engine: OpenEngine, *, quick: bool) -> list[Diagnosis]:
    found = [_versions(), *examine_settings()]
    as_of = _as_of()
    looks: dict[str, Callable[[], list[Diagnosis]]] = {
        "folders": _folders,
        "disk": _disk,
        "source": lambda: open_source().probe(Run(open_lake(), Intent(as_of), engine)),
        "scheduler": scheduler,
        "dimensions": lambda: _dimensions(commands),
        "lake": lambda: _lake(Intent(as_of), engine, commands, quick=quick),
        "warehouse": lambda: _warehouse(commands),
    }
    for subject, look in looks.items():
        found += _guarded(subject, look, {diagnosis.found for diagnosis in found})
    return found


def _as_of() -> datetime:
    try:
        return config.run().as_of or started_at()
    except UNUSABLE:
        return started_at()


def _guarded(subject: str, look: Callable[[], list[Diagnosis]], known: set[str]) -> list[Diagnosis]:
    """What a look finds; an error that keeps it from looking is a finding, too, unless it is known."""
    try:
        return look()
    except CANNOT_LOOK as error:
        if reason(error) in known:
            return [Diagnosis(WARNING, subject, "not looked at: a setting that it needs cannot be used")]
        return [Diagnosis(ERROR, subject, reason(error))]


def _versions() -> Diagnosis:
    python = ".".join(map(str, sys.version_info[:3]))
    return Diagnosis(OK, "versions", ", ".join([f"Python {python}", *(f"{name} {version(name)}" for name in PACKAGES)]))


def _folders() -> list[Diagnosis]:
    """Whether this user may write where a run does."""
    lake, warehouse = open_lake(), warehouse_path()
    places = {"[storage] root": str(lake.root), "[warehouse] path": os.path.dirname(warehouse)}
    layers = ("raw", "normalized", "quarantine", "curated", "runs")
    written = [lake.files.fetch(name) for name in layers if lake.files.has(name)]
    found = [fault for setting, path in places.items() if (fault := _refused(setting, path)) is not None]
    found += [fault for path in written if (fault := _refused("[storage] root", path)) is not None]
    return found or [Diagnosis(OK, "folders", f"{lake.root} and {os.path.dirname(warehouse)} can be written")]


def _refused(setting: str, path: str) -> Diagnosis | None:
    place = _existing(path)
    if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
        return None
    why = "cannot be written by this user" if os.path.isdir(place) else "is not a folder"
    mend = f"mend: {setting} in luigi.cfg, or chown/chmod {shlex.quote(place)}"
    return Diagnosis(ERROR, "folders", f"{setting} = {path}: {place} {why}", mend)


def _existing(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _disk() -> list[Diagnosis]:
    """Free bytes against what the next run may need: the largest date anew, a dump laid out, a warehouse copied."""
    lake, warehouse = open_lake(), warehouse_path()
    dump = open_source().bytes_to_lay_out
    largest = _largest_date(lake) if lake.root.is_dir() else 0
    needs = {str(lake.root): largest + dump, os.path.dirname(warehouse): _bytes(warehouse)}
    by_disk: dict[int, tuple[str, int]] = {}
    for path, need in needs.items():
        device = os.stat(_existing(path)).st_dev
        first, before = by_disk.get(device, (path, 0))
        by_disk[device] = (first, before + need)
    return [space(path, shutil.disk_usage(_existing(path)), need) for path, need in by_disk.values()]


def space(path: str, usage: tuple[int, int, int], need: int) -> Diagnosis:
    """What `usage` (total, used and free bytes) says about a disk of which a run may need `need` bytes."""
    total, _, free = usage
    text = f"{path}: {free:,} bytes free of {total:,}; a run may need {need:,}"
    if free < need:
        return Diagnosis(ERROR, "disk", text, "mend: make room, or move [storage] root")
    low = free < LOW_SHARE * total or free < 2 * need
    return Diagnosis(WARNING if low else OK, "disk", text, "mend: make room soon" if low else "")


def _largest_date(lake: Lake) -> int:
    dates = {date for stage in STAGES for date in lake.partitions(stage.layer)}
    return max((sum(_published_bytes(lake.manifest(stage, date)) for stage in STAGES) for date in dates), default=0)


def _published_bytes(manifest: Manifest | None) -> int:
    return sum(manifest.files.values()) if manifest is not None else 0


def _bytes(path: str) -> int:
    return os.stat(path).st_size if os.path.isfile(path) else 0


def _dimensions(commands: Commands) -> list[Diagnosis]:
    """Whether the CSVs can be read, and whether what was made of them is there."""
    lake, tables = open_lake(), sources()
    found: list[Diagnosis] = []
    sound: list[str] = []
    for table, path in tables.items():
        try:
            sound.append(f"{path}: {len(csv_rows(table, path)):,} row(s)")
        except PipelineError as error:
            found.append(Diagnosis(ERROR, "dimensions", str(error), f"mend: that file, or {CSV_SETTINGS[table]}"))
    manifest = lake.dimensions()
    if manifest is not None and not lake.whole(manifest):
        lost = "curated: dim_user or dim_product is gone or has another size than was published"
        found.append(Diagnosis(ERROR, "dimensions", lost, f"mend: {commands.task('SeedDims')}"))
    elif manifest is not None and not found and not seeded(lake, warehouse_path(), tables):
        sound.append("changed since; the next RunAll takes it over")
    return found or [Diagnosis(OK, "dimensions", ", ".join(sound))]


def _lake(intent: Intent, engine: OpenEngine, commands: Commands, *, quick: bool) -> list[Diagnosis]:
    """What is wrong with the lake; not while a run changes it, since its work cannot be told from damage."""
    lake = open_lake()
    if not lake.files.has("raw"):
        text = f"{lake.root}: nothing is landed yet"
        return [Diagnosis(OK, "lake", text, f"{commands.pipeline()} loads it")]
    before = _trace(lake)
    publishing, asking = lake.work.in_use(".lock"), lake.work.in_use(".extracting")
    found = [*Examination(lake, intent, commands, quick).findings(engine), *strays(lake)]
    found += unfinished(lake, warehouse_path(), commands, publishing=publishing, asking=asking)
    publishing = publishing or lake.work.in_use(".lock") or _trace(lake) != before
    at_work = [Diagnosis(OK, "lake", f"{AT_WORK}: it asks the API")] if asking else []
    return [*at_work, *(_certain(found) if publishing else found)]


def _certain(found: list[Diagnosis]) -> list[Diagnosis]:
    """What can be told while a run publishes: that something is as it should be."""
    unclear = sum(diagnosis.level != OK for diagnosis in found)
    at_work = Diagnosis(OK, "lake", f"{AT_WORK}: it publishes")
    if unclear:
        mend = "mend: ask again when it has ended"
        at_work = Diagnosis(WARNING, "lake", f"{AT_WORK}: {unclear} finding(s) may be its work", mend)
    return [at_work, *(diagnosis for diagnosis in found if diagnosis.level == OK)]


def _trace(lake: Lake) -> int:
    """Another number once a run has had the lake's lock: it makes and removes .staging."""
    return Path(lake.root).stat().st_mtime_ns


def _warehouse(commands: Commands) -> list[Diagnosis]:
    """Whether warehouse.db opens and its views answer over this lake."""
    lake, path = open_lake(), warehouse_path()
    views = commands.pipeline("views")
    anew = f"{commands.task('SeedDims')} && {views}"
    if not os.path.exists(path):
        level = WARNING if lake.files.has("curated") else OK
        return [Diagnosis(level, "warehouse", f"{path}: not there", f"mend: {anew}")]
    try:
        refused = refused_views(path, str(lake.root))
    except UnusableWarehouse as error:
        return [Diagnosis(ERROR, "warehouse", str(error), f"mend: rm {shlex.quote(path)} && {anew}")]
    if refused:
        name, why = next(iter(refused.items()))
        text = f"{path}: {len(refused)} view(s) do not answer, such as {name}: {why}"
        return [Diagnosis(ERROR, "warehouse", text, f"mend: {views}")]
    if are_outdated(lake):
        return [Diagnosis(WARNING, "warehouse", f"{path}: views as of before the lake was as it is", f"mend: {views}")]
    return [Diagnosis(OK, "warehouse", f"{path}: its views answer")]
