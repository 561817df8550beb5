"""Faults of luigi.cfg as a whole: the file is absent, keys are unknown, values cannot be used by Luigi."""

import configparser
import logging
import os
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import get_config
from luigi.retcodes import retcode
from luigi.task_register import Register

from pipeline import config
from pipeline.events import emit
from pipeline.settings.environment import given
from pipeline.settings.files import PATH_VARIABLE, broken_value, files_read, stated
from pipeline.settings.setting import Setting

# difflib's ratio from which an unknown section is taken for a misspelled one of ours
SECTION_LIKENESS = 0.8
EXPECTED = {
    luigi.BoolParameter: "true or false",
    luigi.IntParameter: "a whole number",
    luigi.FloatParameter: "a number",
}


@cache
def warn_of_no_file() -> None:
    """Emit one WARNING per process if Luigi has read no settings file."""
    if files_read():
        return
    reason = f"no luigi.cfg in {os.getcwd()}, so every setting has its default{unless_given()}"
    # python -m pipeline sets exit codes of its own if no file does
    if CmdlineParser.get_instance() is not None and not retcode().task_failed:
        reason += ", and the exit codes are Luigi's own: 0 also for a run that failed"
    advice = f"start in the folder that has it, or name the file in {PATH_VARIABLE}"
    emit("no_settings_file", level=logging.WARNING, reason=reason, advice=advice)


def unless_given() -> str:
    """The variables that give a setting, as the end of a sentence: `, except those from ORDERS_LAKE_STORAGE_ROOT`.

    Empty if there are none.
    """
    return f", except those from {', '.join(given())}" if given() else ""


class Unknown(NamedTuple):
    """A key or a section without effect, and how to mend it."""

    found: str
    mend: str


def unknown() -> Iterator[Unknown]:
    """Keys and sections that nothing reads. The messages hold no values, because a value may be a secret."""
    known = {section.__name__: config.keys(section) for section in config.SECTIONS}
    for path in files_read():
        written = configparser.ConfigParser(interpolation=None, strict=False)
        written.optionxform = str  # type: ignore[assignment,method-assign]
        written.read(path, encoding="utf-8")
        for section in written.sections():
            if section in known:
                yield from _unknown_keys(path, section, list(written[section]), known[section])
            elif section not in Register.task_names():
                yield from _nearly(path, f"[{section}]", get_close_matches(section, known, 1, SECTION_LIKENESS))


def _unknown_keys(path: str, section: str, keys: list[str], known: list[str]) -> Iterator[Unknown]:
    for key in keys:
        if key.replace("-", "_") not in known:
            near = [f"[{section}] {name}" for name in get_close_matches(key, known, 1)] or [""]
            yield from _nearly(path, f"[{section}] {key}", near)


def _nearly(path: str, what: str, near: list[str]) -> Iterator[Unknown]:
    for name in near:
        right = (name if name.startswith("[") else f"[{name}]") if name else ""
        mend = f"mend: write {right}" if right else "mend: remove the line; docs/SETTINGS.md lists the settings"
        yield Unknown(f"{path}: {what} is no setting, so it has no effect", mend)


def unusable_by_luigi() -> Iterator[str]:
    """Unusable values in the sections of Luigi and of tasks, with file and key, which Luigi's own error lacks."""
    for section, _, name, parameter in Register.get_all_params():
        if not isinstance(parameter, Setting) and get_config().has_option(section, name):
            text = broken_value(section, name) or _refused(section, name, parameter)
            if text:
                yield text


def _refused(section: str, key: str, parameter: luigi.Parameter[Any]) -> str | None:
    text = get_config().get(section, key)
    try:
        parameter.parse(text)
    except ValueError as error:
        expected = EXPECTED.get(type(parameter))
        return f"{stated(section, key)} = {text}: " + (f"expected {expected}" if expected else str(error))
    return None
