"""A luigi.cfg that cannot be parsed, told in one line. It imports no luigi, which parses the file at its own import."""

import configparser
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UnreadableSettings


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Raises UnreadableSettings for what luigi raises meanwhile. No value is told: one may be a secret."""
    try:
        yield
    except (configparser.ParsingError, configparser.DuplicateSectionError, configparser.DuplicateOptionError) as error:
        line = error.lineno if hasattr(error, "lineno") else error.errors[0][0]
        raise UnreadableSettings(f"{error.source}, line {line}: {_fault(error)}") from None
    except UnicodeDecodeError as error:
        raise UnreadableSettings(_undecodable(error)) from None


def _fault(error: configparser.Error) -> str:
    if isinstance(error, configparser.DuplicateSectionError):
        return f"[{error.section}] for the second time; expected each section once"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"[{error.section}] {error.option} for the second time; expected each key once"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "stands before any section; expected a [section] above it"
    return "neither a [section] nor a key with a value; expected key = value"


def _undecodable(error: UnicodeDecodeError) -> str:
    """The error itself knows neither the file nor how far into it the bytes are."""
    for path in map(Path, sys.modules["luigi.configuration.cfg_parser"].LuigiConfigParser._config_paths):
        try:
            content = path.read_bytes() if path.is_file() else b""
            content.decode(error.encoding)
        except UnicodeDecodeError as in_file:
            line = content.count(b"\n", 0, in_file.start) + 1
            return f"{path}, line {line}: bytes that are not {error.encoding.upper()}; expected text in UTF-8"
    return f"{error}; expected text in UTF-8"
