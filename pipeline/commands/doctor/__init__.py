"""python -m pipeline doctor: examines settings, folders, source, scheduler, disk and lake. It writes nothing."""

import argparse
import shlex
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from tempfile import TemporaryDirectory

import pyarrow as pa
from luigi.cmdline_parser import CmdlineParser

from pipeline import config
from pipeline.commands.doctor.disk import disk, folders
from pipeline.commands.doctor.published import dimensions, fields, lake_findings, warehouse
from pipeline.commands.doctor.scheduler import scheduler
from pipeline.commands.doctor.settings import UNUSABLE, reason
from pipeline.commands.doctor.settings import settings as examine_settings
from pipeline.commands.options import ROOT
from pipeline.engine import EngineError, OpenEngine
from pipeline.errors import PipelineError
from pipeline.lake import Intent, Run
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Commands, Diagnosis, show
from pipeline.tasks.base import open_engine, open_lake
from pipeline.tasks.source import open_source
from pipeline.tasks.start import started_at
from pipeline.terminal import printing

SUMMARY = "check settings, source and lake, and say how to repair what is wrong"
PACKAGES = ("luigi", "duckdb", "pyarrow")
# errors of a bad setting or file; LookupError: a JSON file lacks a key
CANNOT_LOOK = (*UNUSABLE, PipelineError, EngineError, OSError, LookupError, pa.ArrowException)


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--quick", action="store_true", help="check manifests, file names and sizes only; read no data"
    )
    command.set_defaults(handler=doctor)


def doctor(options: argparse.Namespace, settings: list[str]) -> None:
    """Print all findings; exits with 1 if one is an error.

    It makes no task, because a task raises the first bad setting. It adds no --local-scheduler, because it examines
    where runs look for a scheduler.
    """
    with CmdlineParser.global_instance([*ROOT, *settings]), printing():
        found = examine(settings, quick=options.quick)
        show(found)
    sys.exit(any(diagnosis.level == ERROR for diagnosis in found))


def examine(settings: list[str], *, quick: bool) -> list[Diagnosis]:
    """All findings of doctor. The advice repeats `settings`, the options of doctor's own command line."""
    with TemporaryDirectory(prefix="doctor-") as folder:
        return _examine(Commands(shlex.join(settings)), partial(open_engine, f"{folder}/duckdb"), quick=quick)


def _examine(commands: Commands, open_engine: OpenEngine, *, quick: bool) -> list[Diagnosis]:
    found = [_versions(), *examine_settings()]
    as_of = _as_of()
    looks: dict[str, Callable[[], list[Diagnosis]]] = {
        "folders": folders,
        "disk": disk,
        "source": lambda: open_source().probe(Run(open_lake(), Intent(as_of), open_engine)),
        "scheduler": scheduler,
        "dimensions": lambda: dimensions(commands, quick=quick),
        "lake": lambda: lake_findings(Intent(as_of), open_engine, commands, quick=quick),
        "fields": fields,
        "warehouse": lambda: warehouse(commands),
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
    """The findings of `look`. An error that stops it becomes a finding; if it is in `known`, only a WARNING."""
    try:
        return look()
    except CANNOT_LOOK as error:
        if reason(error) in known:
            return [Diagnosis(WARNING, subject, "not examined: a setting that it needs cannot be used")]
        return [Diagnosis(ERROR, subject, reason(error))]


def _versions() -> Diagnosis:
    python = ".".join(map(str, sys.version_info[:3]))
    return Diagnosis(OK, "versions", ", ".join([f"Python {python}", *(f"{name} {version(name)}" for name in PACKAGES)]))
