"""The options of a command that are Luigi's: those of RunAll, and one for each setting."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.config_check import unusable_by_luigi
from pipeline.errors import BadSetting
from pipeline.tasks.run_all import RunAll
from pipeline.terminal import printing

RANGE = ("since", "until", "force", "reprocess", "allow_shrink")
ROOT = ("--module", "pipeline", "RunAll")
# beside those of RunAll's parameters that a command has
CORE = ("workers",)


def add_parameters(command: argparse.ArgumentParser, *names: str) -> None:
    """Options for these parameters of RunAll, explained as there."""
    parameters = dict(RunAll.get_params())
    for name in names:
        is_flag = isinstance(parameters[name], luigi.BoolParameter)
        command.add_argument(
            _option(name), action="store_true" if is_flag else "store", help=parameters[name].description
        )


def refuse_unknown(settings: list[str]) -> None:
    """luigi would take an option cut short for the one that it begins, --all for --allow-shrink."""
    known = {_option(param if bare else f"{task}_{param}") for task, bare, param, _ in Register.get_all_params()}
    for option in settings:
        if option.startswith("--") and option.split("=")[0] not in known:
            print(f"{option}: no such option; see python -m pipeline run --help", file=sys.stderr)
            sys.exit(2)


def luigi_words(options: argparse.Namespace, settings: list[str]) -> list[str]:
    """The same RunAll on luigi's own command line, with a scheduler of its own. Raises BadSetting."""
    unusable = next(unusable_by_luigi(), None)
    if unusable is not None:
        raise BadSetting(unusable)
    words = [*ROOT, "--local-scheduler", *settings]
    for name in (*dict(RunAll.get_params()), *CORE):
        value = getattr(options, name, None)
        if value is True:
            words.append(_option(name))
        elif value not in (None, False):
            words += [_option(name), value]
    return words


@contextmanager
def run_all(options: argparse.Namespace, settings: list[str]) -> Iterator[RunAll]:
    """The RunAll of the options, while these settings hold and something is printed. Raises BadSetting."""
    with CmdlineParser.global_instance(luigi_words(options, settings)) as parsed, printing():
        yield parsed.get_task_obj()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
