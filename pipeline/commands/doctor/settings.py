"""Examines the settings: whether the files exist, every name is known, and every value can be used."""

import configparser
import os
from collections.abc import Iterator

from luigi.parameter import ParameterException
from luigi.retcodes import retcode

from pipeline import config
from pipeline.errors import BadSetting, PipelineError
from pipeline.events import one_line
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Diagnosis
from pipeline.observe.settings import unknown, unless_given, unusable_by_luigi
from pipeline.settings.environment import given
from pipeline.settings.files import PATH_VARIABLE, files_read

SUBJECT = "luigi.cfg"
# luigi wraps our error in a ValueError; an environment variable that is not set is a configparser.Error
UNUSABLE = (BadSetting, ParameterException, ValueError, configparser.Error)


def settings() -> list[Diagnosis]:
    """One finding per fault of the settings, or one OK finding with the files and variables they come from."""
    found = [*_files(), *_unknown(), *unusable(), *_unusable_by_luigi(), *_exit_codes(), *_standing_clock()]
    return found or [Diagnosis(OK, SUBJECT, ", ".join([*map(os.path.abspath, files_read()), *given()]))]


def _files() -> Iterator[Diagnosis]:
    named = os.environ.get(PATH_VARIABLE)
    if named and not os.path.isfile(named):
        mend = f"mend: set {PATH_VARIABLE} to a file, or unset {PATH_VARIABLE}"
        yield Diagnosis(ERROR, SUBJECT, f"{PATH_VARIABLE} = {named}: no such file", mend)
    if not files_read():
        found = f"none in {os.getcwd()}, so every setting has its default{unless_given()}"
        mend = f"mend: start in the folder of luigi.cfg, or set {PATH_VARIABLE} to the path of luigi.cfg"
        yield Diagnosis(WARNING, SUBJECT, found, mend)


def _unknown() -> Iterator[Diagnosis]:
    for setting in unknown():
        yield Diagnosis(ERROR, SUBJECT, setting.found, setting.mend)
    for text in config.unknown_variables():
        yield Diagnosis(ERROR, SUBJECT, text)


def unusable() -> Iterator[Diagnosis]:
    """The first unusable value of each section."""
    for section in config.SECTIONS:
        try:
            section()
        except UNUSABLE as error:
            yield Diagnosis(ERROR, SUBJECT, reason(error))


def _unusable_by_luigi() -> Iterator[Diagnosis]:
    for text in unusable_by_luigi():
        yield Diagnosis(ERROR, SUBJECT, text)


def reason(error: BaseException) -> str:
    """The text of an error, without the errors that luigi wraps around it."""
    while error.__cause__ is not None and not isinstance(error, PipelineError):
        error = error.__cause__
    return str(error) if isinstance(error, PipelineError) else one_line(error)


def _exit_codes() -> Iterator[Diagnosis]:
    try:
        task_failed = retcode().task_failed
    except UNUSABLE:
        return
    if not task_failed:
        found = "[retcode] task_failed is 0 or not set, so a luigi command that fails ends with 0"
        yield Diagnosis(WARNING, SUBJECT, found, "mend: copy [retcode] from the luigi.cfg of the pipeline")


def _standing_clock() -> Iterator[Diagnosis]:
    try:
        as_of = config.run().as_of
    except UNUSABLE:
        return
    if as_of is not None:
        found = f"[run] as_of = {as_of.isoformat()}Z: every run counts as that moment"
        yield Diagnosis(WARNING, SUBJECT, found, "mend: remove [run] as_of, which only tests and replays need")
