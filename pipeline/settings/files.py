"""The files that settings come from, and the line of a setting in them."""

import os
import re
from collections.abc import Iterator
from configparser import (
    InterpolationDepthError,
    InterpolationError,
    InterpolationMissingOptionError,
    InterpolationSyntaxError,
)
from typing import NamedTuple

from luigi.configuration import LuigiConfigParser, get_config

PATH_VARIABLE = "LUIGI_CONFIG_PATH"

_HEADER = re.compile(r"\[(.+)\]")
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_KEY = re.compile(r"([^\s#;\[][^=:]*?)\s*[=:]")


class Place(NamedTuple):
    """A line of a file, counted from 1."""

    path: str
    line: int


def files_read() -> list[str]:
    """The files that Luigi has read; a later file overrides an earlier one. Luigi has no public name for the list."""
    return [path for path in LuigiConfigParser._config_paths if os.path.isfile(path)]


def place_of(section: str, key: str) -> Place | None:
    """The line with the value that counts; None if no file has a value."""
    places = {where: place for path in files_read() for where, place in _keys_in(path)}
    name = key.replace("-", "_")
    return places.get((section, name)) or places.get(("DEFAULT", name))


def stated(section: str, key: str) -> str:
    """A key with its file, for a message: `luigi.cfg: [storage] fsync`."""
    place = place_of(section, key)
    return f"[{section}] {key}" if place is None else f"{place.path}: [{section}] {key}"


def broken_value(section: str, key: str) -> str | None:
    """What is wrong with a $ or % in a value; None if nothing is. The message does not hold the value."""
    raw = get_config().get(section, key, "", raw=True)
    if "%" not in raw and "${" not in raw:
        return None
    place = place_of(section, key)
    where = f"{place.path}, line {place.line}: [{section}] {key}" if place else f"[{section}] {key}"
    if "${" in _VARIABLE.sub("", raw):
        return f"{where}: ${{ without a name and }}; expected ${{NAME}}, where NAME is an environment variable"
    try:
        get_config().get(section, key)
    except InterpolationError as error:
        return f"{where}: {_interpolation_fault(error, raw)}"
    return None


def _interpolation_fault(error: InterpolationError, raw: str) -> str:
    if isinstance(error, InterpolationSyntaxError):
        return "a single %; expected %% for a percent sign"
    if isinstance(error, InterpolationMissingOptionError):
        return f"%({error.reference})s: no such key in [{error.section}]; expected a key, or %% for a percent sign"
    if isinstance(error, InterpolationDepthError):
        return "%(…)s refers to keys that refer to each other; expected no circle"
    # the variable may be in another key, which this value refers to as %(key)s
    names = [name for name in _VARIABLE.findall(raw) if name not in os.environ] or ["NAME"]
    return f"${{{names[0]}}}: no such environment variable; expected the name of one that is set"


def _keys_in(path: str) -> Iterator[tuple[tuple[str, str], Place]]:
    section = ""
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if header := _HEADER.match(line):
                section = header[1]
            elif key := _KEY.match(line):
                yield (section, key[1].replace("-", "_")), Place(path, number)
