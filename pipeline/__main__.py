"""python -m pipeline: the commands for people."""

import argparse
import sys
from typing import Any

from luigi.cmdline_parser import CmdlineParser
from luigi.parameter import ParameterException
from luigi.retcodes import run_with_retcodes
from luigi.task_register import Register

from pipeline.errors import PipelineError
from pipeline.events import one_line
from pipeline.observe.diagnosis import ERROR, show
from pipeline.observe.report import write_report
from pipeline.tasks import doctor, drop, erase, quarantine
from pipeline.tasks.base import open_engine, open_lake
from pipeline.tasks.dims import warehouse_path
from pipeline.tasks.plan import plan
from pipeline.tasks.run_all import RunAll
from pipeline.terminal import printing
from pipeline.warehouse.views import refresh_views

COMMANDS = ("run", "plan", "report", "quarantine", "doctor", "drop", "erase", "views")
EPILOG = """\
Times are ISO 8601, UTC unless they say otherwise: 2025-01-15, 2025-01-15T00:00:00Z, 2025-01-15T01:00:00+01:00.
Settings come from luigi.cfg in this folder (or the file LUIGI_CONFIG_PATH names); each can be given here as
--section-key, for example --storage-root /srv/lake or --orders-api-url dump.json.gz.
"""


def parser() -> argparse.ArgumentParser:
    """The command line of python -m pipeline."""
    top = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Keeps an orders lake true: one Parquet partition per UTC date, extracted, normalized, checked.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", metavar=f"{{{','.join(COMMANDS)}}}")
    # an option cut short must not pass for another one: --all is no --allow-shrink
    shared: dict[str, Any] = {"epilog": EPILOG, "allow_abbrev": False}
    _run_arguments(commands.add_parser("run", help="build what is incomplete (the default command)", **shared))
    _plan_arguments(
        commands.add_parser("plan", help="say what run would build, skip, and why; write nothing", **shared)
    )
    commands.add_parser("report", help="write report.html and print its path", **shared)
    for name, module, told in (
        ("quarantine", quarantine, "list, show and export discarded records"),
        ("doctor", doctor, "look for what is wrong, and say how to mend it"),
        ("drop", drop, "empty dates on purpose, so that no run lands them again"),
        ("erase", erase, "remove one user's data from every layer"),
    ):
        module.add_arguments(commands.add_parser(name, help=told, **shared))
    commands.add_parser("views", help="create the views of warehouse.db again", **shared)
    return top


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _range_arguments(parser)
    parser.add_argument(
        "--changed-since", help="only the dates of orders updated since then; auto: since the last such run"
    )
    parser.add_argument("--workers", help="tasks at a time (default: 1; DuckDB uses all cores in each)")


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    _range_arguments(parser)
    parser.add_argument("--all", action="store_true", help="name the dates that are skipped, too")


def _range_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", help="first instant; its whole UTC date is run (default: from the start)")
    parser.add_argument("--until", help="end of the range, not in it (default: now)")
    parser.add_argument("--force", action="store_true", help="extract the chosen dates again and rebuild them")
    parser.add_argument("--reprocess", action="store_true", help="rebuild them from the landed raw files")
    parser.add_argument(
        "--allow-shrink", action="store_true", help="accept an extraction that lacks many landed orders"
    )


def main(argv: list[str]) -> None:
    """Run a command; exits with luigi's [retcode] codes, 2 for a mistake on the command line."""
    if not argv or argv[0] not in (*COMMANDS, "-h", "--help"):
        argv = ["run", *argv]
    options, settings = parser().parse_known_args(argv)
    _refuse_unknown(settings)
    if options.command == "doctor":
        return _examine(options, settings)
    luigi_argv = ["--module", "pipeline", "RunAll", "--local-scheduler", *settings]
    for name in ("since", "until", "changed_since", "workers"):
        value = getattr(options, name, None)
        luigi_argv += [f"--{name.replace('_', '-')}", value] if value is not None else []
    flags = {"force": "--force", "reprocess": "--reprocess", "allow_shrink": "--allow-shrink"}
    luigi_argv += [flag for name, flag in flags.items() if getattr(options, name, False)]
    if options.command == "run":
        run_with_retcodes(luigi_argv)
    try:
        with CmdlineParser.global_instance(luigi_argv) as parsed, printing():
            _answer(options, parsed.get_task_obj())
    except (PipelineError, ParameterException, ValueError) as error:
        sys.exit(one_line(error))


def _refuse_unknown(settings: list[str]) -> None:
    """luigi would take an option cut short for the one that it begins, --all for --allow-shrink."""
    names = {param if bare else f"{task}_{param}" for task, bare, param, _ in Register.get_all_params()}
    known = {f"--{name.replace('_', '-')}" for name in names}
    for option in settings:
        if option.startswith("--") and option.split("=")[0] not in known:
            print(f"{option}: no such option; see python -m pipeline run --help", file=sys.stderr)
            sys.exit(2)


def _examine(options: argparse.Namespace, settings: list[str]) -> None:
    """Without a task, since making one would raise the first bad setting, and without --local-scheduler."""
    with CmdlineParser.global_instance(["--module", "pipeline", "RunAll", *settings]), printing():
        found = doctor.examine(settings, quick=options.quick)
        show(found)
    sys.exit(any(diagnosis.level == ERROR for diagnosis in found))


def _answer(options: argparse.Namespace, task: RunAll) -> None:
    if options.command == "plan":
        print(*plan(task, everything=options.all), sep="\n")
    elif options.command == "report":
        print(write_report(open_lake(), open_engine, task.intent))
    elif options.command == "quarantine":
        quarantine.quarantine(options)
    elif options.command == "drop":
        drop.drop_or_restore(options, task.intent)
    elif options.command == "erase":
        erase.erase_user(options.user_id, task.intent, really=options.yes)
    else:
        lake = open_lake()
        with lake.locked():
            refresh_views(lake, warehouse_path())


if __name__ == "__main__":
    main(sys.argv[1:])
