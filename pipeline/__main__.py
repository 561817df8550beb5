"""python -m pipeline and the script orders-lake: parses the command line and calls the module of the command."""

import argparse
import atexit
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from typing import Any, NoReturn

import pyarrow as pa
from luigi.parameter import ParameterException

from pipeline.commands.options import meaningless, perhaps
from pipeline.errors import PipelineError
from pipeline.events import one_line
from pipeline.tasks.start import started_at

# each name is a module of pipeline/commands
COMMANDS = ("run", "plan", "report", "quarantine", "doctor", "drop", "erase", "views")
# the name of the package and of its script
PACKAGE = "orders-lake"
# Python's own exit code if the output cannot be written
UNWRITTEN = 120
EPILOG = """\
Times are ISO 8601: 2025-01-15, 2025-01-15T00:00:00Z, 2025-01-15T01:00:00+01:00. A time without an offset is in UTC.
Settings come from luigi.cfg in this folder, then from the file that LUIGI_CONFIG_PATH names. An environment variable
such as ORDERS_LAKE_STORAGE_ROOT overrides the files. An option such as --storage-root /srv/lake overrides all.
"""


class _Version(argparse.Action):
    """Prints the version; the package's metadata is read only then."""

    def __init__(self, option_strings: list[str], dest: str) -> None:
        message = "show the version of the package and exit"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=message)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(PACKAGE, version(PACKAGE))
        parser.exit()


def program() -> str:
    """The command by which the program was started."""
    return PACKAGE if os.path.basename(sys.argv[0]) == PACKAGE else "python -m pipeline"


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with these commands. Only their modules are imported, because each import takes time."""
    top = argparse.ArgumentParser(
        prog=program(),
        description="Keeps an orders lake true: one Parquet partition per UTC date, extracted, normalized, checked.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version)
    commands = top.add_subparsers(dest="command", metavar=f"{{{','.join(COMMANDS)}}}")
    # no abbreviations: --all must not mean --allow-shrink
    shared: dict[str, Any] = {"epilog": EPILOG, "allow_abbrev": False}
    for name in names:
        command = import_module(f"pipeline.commands.{name}")
        command.add_arguments(commands.add_parser(name, help=command.SUMMARY, **shared))
    return top


def main(argv: list[str] | None = None) -> None:
    """Run a command. Exits with luigi's [retcode] codes; with 2 for a mistake on the command line."""
    started_at()
    argv = sys.argv[1:] if argv is None else argv
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv = ["run", *argv]
    if argv[0] not in COMMANDS and not argv[0].startswith("-"):
        _refuse(f"{argv[0]}: no such command{perhaps(argv[0].lower(), COMMANDS)}; expected {_listed([*COMMANDS])}")
    options, settings = parser([argv[0]] if argv[0] in COMMANDS else COMMANDS).parse_known_args(argv)
    handler = vars(options).pop("handler")
    wrong = meaningless(options, settings)
    if wrong is not None:
        _refuse(f"{wrong}; see {program()} {options.command} --help")
    try:
        handler(options, settings)
    except (PipelineError, ParameterException, ValueError) as error:
        sys.exit(one_line(error))


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


class _NoPandas(MetaPathFinder):
    """Makes pandas look as if it were not installed."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ImportError(fullname)


def leave_pandas_out() -> None:
    """Have Arrow find no pandas. At its first array it looks for pandas and would import it: 0.14 s, and no use."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    pa.array([0])
    sys.meta_path.remove(finder)


def script() -> NoReturn:
    """main(), in a process of its own.

    The process ends right after its exit handlers. Python would first delete every object: 0.14 s after a run that had
    nothing to do, more after a large one.
    """
    leave_pandas_out()
    code: object = None
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            pass
        except OSError:
            code = UNWRITTEN
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    script()
