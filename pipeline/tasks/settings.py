"""What doctor finds in luigi.cfg: files that are there, keys that somebody reads, values that can be used."""

import configparser
import os
from collections.abc import Iterator
from difflib import get_close_matches

from luigi.configuration import LuigiConfigParser
from luigi.parameter import ParameterException
from luigi.retcodes import retcode
from luigi.task_register import Register

from pipeline import config
from pipeline.errors import BadSetting, PipelineError
from pipeline.events import one_line
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Diagnosis

SUBJECT = "luigi.cfg"
PATH_VARIABLE = "LUIGI_CONFIG_PATH"
# luigi raises a ValueError from ours; a variable of the environment that is not there is a configparser.Error
UNUSABLE = (BadSetting, ParameterException, ValueError, configparser.Error)
# so alike that another section is not what is meant
SECTION_LIKENESS = 0.8


def settings() -> list[Diagnosis]:
    """A line for each thing that is wrong with the settings, or one that names the files they come from."""
    found = [*_files(), *unknown(), *unusable(), *_exit_codes(), *_standing_clock()]
    return found or [Diagnosis(OK, SUBJECT, ", ".join(map(os.path.abspath, _read_by_luigi())))]


def _read_by_luigi() -> list[str]:
    """The files that luigi has read, the later ones over the earlier. It has no public name for that."""
    return [path for path in LuigiConfigParser._config_paths if os.path.isfile(path)]


def _files() -> Iterator[Diagnosis]:
    named = os.environ.get(PATH_VARIABLE)
    if named and not os.path.isfile(named):
        yield Diagnosis(ERROR, SUBJECT, f"{PATH_VARIABLE} = {named}: no such file", "mend: set it to one, or unset it")
    if not _read_by_luigi():
        found = f"none in {os.getcwd()}, so everything is as if it were empty"
        mend = f"mend: start in the folder that has it, or name it in {PATH_VARIABLE}"
        yield Diagnosis(WARNING, SUBJECT, found, mend)


def unknown() -> Iterator[Diagnosis]:
    """Keys and sections that nobody reads. Values are never told: one may be a secret in a wrong place."""
    known = {section.__name__: [name for name, _ in section.get_params()] for section in config.SECTIONS}
    for path in _read_by_luigi():
        written = configparser.ConfigParser(interpolation=None, strict=False)
        written.optionxform = str  # type: ignore[assignment,method-assign]
        written.read(path, encoding="utf-8")
        for section in written.sections():
            if section in known:
                yield from _unknown_keys(path, section, list(written[section]), known[section])
            elif section not in Register.task_names():
                yield from _nearly(path, f"[{section}]", get_close_matches(section, known, 1, SECTION_LIKENESS))


def _unknown_keys(path: str, section: str, keys: list[str], known: list[str]) -> Iterator[Diagnosis]:
    for key in keys:
        if key.replace("-", "_") not in known:
            near = [f"[{section}] {name}" for name in get_close_matches(key, known, 1)] or [""]
            yield from _nearly(path, f"[{section}] {key}", near)


def _nearly(path: str, what: str, near: list[str]) -> Iterator[Diagnosis]:
    for name in near:
        right = (name if name.startswith("[") else f"[{name}]") if name else ""
        mend = f"mend: write {right}" if right else "mend: remove it; README.md lists what there is"
        yield Diagnosis(ERROR, SUBJECT, f"{path}: {what} is no setting, so it does nothing", mend)


def unusable() -> Iterator[Diagnosis]:
    """The first value of each section that cannot be used."""
    for section in config.SECTIONS:
        try:
            section()
        except UNUSABLE as error:
            yield Diagnosis(ERROR, SUBJECT, reason(error), f"mend: [{section.__name__}] in luigi.cfg")


def reason(error: BaseException) -> str:
    """What an error is about, without what luigi has put around it."""
    while error.__cause__ is not None and not isinstance(error, PipelineError):
        error = error.__cause__
    return str(error) if isinstance(error, PipelineError) else one_line(error)


def _exit_codes() -> Iterator[Diagnosis]:
    if not retcode().task_failed:
        found = "[retcode] task_failed is 0 or not set, so cron does not see that a run failed"
        yield Diagnosis(WARNING, SUBJECT, found, "mend: [retcode] as in the luigi.cfg that comes with the pipeline")


def _standing_clock() -> Iterator[Diagnosis]:
    try:
        as_of = config.run().as_of
    except UNUSABLE:
        return
    if as_of is not None:
        found = f"[run] as_of = {as_of.isoformat()}Z: every run counts as that moment"
        yield Diagnosis(WARNING, SUBJECT, found, "mend: leave it out, but for tests and replays")
