"""The options that commands share with Luigi: RunAll's parameters, and one option per setting."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.errors import BadSetting
from pipeline.observe.settings import unusable_by_luigi
from pipeline.settings.luigi_defaults import fill_in
from pipeline.tasks.run_all import RunAll
from pipeline.terminal import printing

RANGE = ("since", "until", "force", "reprocess", "allow_shrink")
ROOT = ("--module", "pipeline", "RunAll")
SHORT = {"verbose": ["-v"]}
# Luigi's own option beside RunAll's parameters
CORE = ("workers",)
# higher than difflib's default, because options are long and similar
OPTION_LIKENESS = 0.75


def add_parameters(command: argparse.ArgumentParser, *names: str) -> None:
    """Add options for these parameters of RunAll, with RunAll's descriptions as help."""
    parameters = dict(RunAll.get_params())
    for name in names:
        is_flag = isinstance(parameters[name], luigi.BoolParameter)
        value: dict[str, Any] = {"action": "store_true"} if is_flag else {"metavar": "TIME"}
        command.add_argument(*SHORT.get(name, []), _option(name), help=parameters[name].description, **value)


def meaningless(options: argparse.Namespace, settings: list[str]) -> str | None:
    """What is wrong with the words in `settings`; None if each is a setting. `options` are the options parsed before.

    Abbreviated options are refused here, because Luigi would read --all as --allow-shrink.
    """
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    names = [*map(_option, vars(options))]
    for task, is_bare, name, parameter in Register.get_all_params():
        names.append(_option(name if is_bare else f"{task}_{name}"))
        known.add_argument(names[-1], **parameter._parser_kwargs(name, task))
    try:
        _, unknown = known.parse_known_args(settings)
    except argparse.ArgumentError as error:
        return f"{error.argument_name}: {error.message}"
    if not unknown:
        return None
    word = unknown[0].split("=")[0]
    if not word.startswith("-"):
        return f"{word}: a word that belongs to no option"
    return f"{word}: no such option{perhaps(word, names, OPTION_LIKENESS)}"


def perhaps(word: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """`; perhaps NAME is meant`, for a message; empty if no name is similar."""
    near = get_close_matches(word, names, 1, likeness)
    return f"; perhaps {near[0]} is meant" if near else ""


def ready_luigi() -> None:
    """Set the values that Luigi needs and luigi.cfg does not set. Raises BadSetting for a value Luigi cannot use."""
    fill_in()
    unusable = next(unusable_by_luigi(), None)
    if unusable is not None:
        raise BadSetting(unusable)


def luigi_words(options: argparse.Namespace, settings: list[str]) -> list[str]:
    """The words of luigi's command line for this RunAll, with a local scheduler."""
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
    """The RunAll of the options. In the block the settings hold, and `printing()` is active. Raises BadSetting."""
    ready_luigi()
    with CmdlineParser.global_instance(luigi_words(options, settings)) as parsed, printing():
        yield parsed.get_task_obj()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
