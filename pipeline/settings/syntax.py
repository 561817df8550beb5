"""Reports a luigi.cfg that cannot be parsed in one line. Imports no luigi, because `import luigi` parses the file."""

import configparser
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UnreadableSettings


@contextmanager
def syntax_errors_in_one_line() -> Iterator[None]:
    """Raises UnreadableSettings for luigi's parse errors. The text holds no value, because it may be a secret."""
    try:
        yield
    except (configparser.ParsingError, configparser.DuplicateSectionError, configparser.DuplicateOptionError) as error:
        line = error.lineno if hasattr(error, "lineno") else error.errors[0][0]
        raise UnreadableSettings(f"{error.source}, line {line}: {_fault(error)}") from None
    except UnicodeDecodeError as error:
        raise UnreadableSettings(_undecodable(error)) from None


def _fault(error: configparser.Error) -> str:
    if isinstance(error, configparser.DuplicateSectionError):
        return f"[{error.section}] appears twice; expected each section once"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"[{error.section}] {error.option} appears twice; expected each key once"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "a line before the first section; expected a [section] above it"
    return "neither a [section] nor a key with a value; expected key = value"


def _undecodable(error: UnicodeDecodeError) -> str:
    """The message for text in another encoding. It looks for file and line, because the error has neither."""
    for path in map(Path, sys.modules["luigi.configuration.cfg_parser"].LuigiConfigParser._config_paths):
        try:
            content = path.read_bytes() if path.is_file() else b""
            content.decode(error.encoding)
        except UnicodeDecodeError as in_file:
            line = content.count(b"\n", 0, in_file.start) + 1
            return f"{path}, line {line}: bytes that are not {error.encoding.upper()}; expected text in UTF-8"
    return f"{error}; expected text in UTF-8"
