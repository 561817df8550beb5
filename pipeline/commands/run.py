"""python -m pipeline run: RunAll with a local scheduler."""

import argparse

from luigi.retcodes import run_with_retcodes

from pipeline.commands.options import RANGE, add_parameters, luigi_words, ready_luigi

SUMMARY = "build what is incomplete (the default command)"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_parameters(command, *RANGE, "accept_fields", "changed_since", "verbose")
    command.add_argument(
        "--workers", metavar="N", help="tasks that run at the same time (default: 1, as DuckDB uses all cores in each)"
    )
    command.set_defaults(handler=run)


def run(options: argparse.Namespace, settings: list[str]) -> None:
    """Exits with luigi's [retcode] codes. Raises BadSetting for a value that Luigi cannot use."""
    ready_luigi()
    run_with_retcodes(luigi_words(options, settings))
