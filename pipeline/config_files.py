"""The files that settings come from, and where in them a setting stands."""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from luigi.configuration import LuigiConfigParser

PATH_VARIABLE = "LUIGI_CONFIG_PATH"

_HEADER = re.compile(r"\[(.+)\]")
_KEY = re.compile(r"([^\s#;\[][^=:]*?)\s*[=:]")


class Place(NamedTuple):
    """A line of a file, counted from 1."""

    path: str
    line: int


def files_read() -> list[str]:
    """The files that luigi has read, the later ones over the earlier. It has no public name for that."""
    return [path for path in LuigiConfigParser._config_paths if os.path.isfile(path)]


def place_of(section: str, key: str) -> Place | None:
    """Where the value stands that counts; None where no file has one."""
    places = {where: place for path in files_read() for where, place in _keys_in(path)}
    name = key.replace("-", "_")
    return places.get((section, name)) or places.get(("DEFAULT", name))


def stated(section: str, key: str) -> str:
    """A key as a message names it, with its file: luigi.cfg: [storage] fsync."""
    place = place_of(section, key)
    return f"[{section}] {key}" if place is None else f"{place.path}: [{section}] {key}"


def _keys_in(path: str) -> Iterator[tuple[tuple[str, str], Place]]:
    section = ""
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if header := _HEADER.match(line):
                section = header[1]
            elif key := _KEY.match(line):
                yield (section, key[1].replace("-", "_")), Place(path, number)
