"""Keys and sections of luigi.cfg that nobody reads."""

import configparser
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from luigi.task_register import Register

from pipeline import config
from pipeline.config_files import files_read

# so alike that another section is not what is meant
SECTION_LIKENESS = 0.8


class Unknown(NamedTuple):
    """A key or a section that does nothing, and how to mend it."""

    found: str
    mend: str


def unknown() -> Iterator[Unknown]:
    """Keys and sections that nobody reads. Values are never told: one may be a secret in a wrong place."""
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
        mend = f"mend: write {right}" if right else "mend: remove it; README.md lists what there is"
        yield Unknown(f"{path}: {what} is no setting, so it does nothing", mend)
