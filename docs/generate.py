"""Writes docs/SETTINGS.md and docs/CLI.md from luigi.cfg's comments, the settings' types, the presets and the parsers.

`make docs` writes the pages. With --check, nothing is written, and a page that would change is an error. The prose is
in docs/templates/, which Jinja2 fills in: so a page's text stands in one file, in the order in which it is read.
"""

import argparse
import configparser
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import luigi
from luigi.parameter import ParameterVisibility
from luigi.task_register import Register

import mock_shop.__main__
import pipeline
import pipeline.__main__
from pipeline import config
from pipeline.fields import AS_THE_CONTRACT
from pipeline.observe.settings import EXPECTED

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES = ("SETTINGS.md", "CLI.md")
PLAIN = "plain"
# a value that is an empty text, and a setting without a value
EMPTY, NONE = "(empty)", "(none)"

COMMENTS_EXPECTED = "expected a comment directly above it, and one below [section] with an empty line after it"

_SECTION = re.compile(r"\[(\w+)\]")
_KEY = re.compile(r"(# )?([\w.]+) =(?: (.*))?")


class UnexplainedKey(Exception):
    """A key without a comment of its own, or in a section without one."""


class Key(NamedTuple):
    """A key of luigi.cfg with its comment; `is_set`: the key itself is no comment."""

    name: str
    text: str
    meaning: str
    is_set: bool


class Group(NamedTuple):
    """Keys of a section that stand together, and the comment above them."""

    about: str
    keys: list[Key]


class Row(NamedTuple):
    """A key as the page shows it."""

    name: str
    default: str
    meaning: str
    expected: str


class Option(NamedTuple):
    """An option of a command with the name of its value, or a parameter of the tasks `of`."""

    name: str
    meaning: str
    of: str = ""


def sections(text: str) -> dict[str, list[Group]]:
    """The keys of luigi.cfg by section. Raises UnexplainedKey."""
    found: dict[str, list[Group]] = {}
    groups: list[Group] = []
    comment: list[str] = []
    for line in text.splitlines():
        if header := _SECTION.fullmatch(line):
            groups = found[header[1]] = []
        elif key := _KEY.fullmatch(line):
            if not (comment and groups):
                raise UnexplainedKey(f"luigi.cfg: {key[2]}: {COMMENTS_EXPECTED}")
            groups[-1].keys.append(Key(key[2], key[3] or "", " ".join(comment), is_set=not key[1]))
            comment = []
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif comment:
            groups.append(Group(" ".join(comment), []))
            comment = []
    return found


def parameters() -> dict[tuple[str, str], luigi.Parameter[Any]]:
    """The settings of the pipeline and of Luigi, by section and by their names in luigi.cfg."""
    return {
        (section, getattr(parameter, "key", None) or name): parameter
        for section, _, name, parameter in Register.get_all_params()
    }


def row(section: str, key: Key, known: dict[tuple[str, str], luigi.Parameter[Any]]) -> Row:
    parameter = known.get((section, key.name))
    default = key.text if key.is_set else _default(key.name, parameter)
    expected = getattr(parameter, "expected", None) or EXPECTED.get(type(parameter), "")
    meaning = key.meaning
    if not key.is_set and key.text and key.text != default:
        meaning += f" Example: `{key.text}`."
    return Row(key.name, default, meaning, _with_code(expected))


def _default(name: str, parameter: luigi.Parameter[Any] | None) -> str:
    """What a key means that luigi.cfg does not set. Luigi has no public name for a parameter's own default."""
    plain = _preset(PLAIN)["orders_api"]
    if name in plain:
        return plain[name]
    if name in AS_THE_CONTRACT.texts:
        return AS_THE_CONTRACT.texts[name]
    value = getattr(parameter, "_default", None)
    return NONE if value in (None, "") else str(value).lower()


def _with_code(text: str) -> str:
    """A message's text for Markdown: GitHub would take what stands between two $ for a formula."""
    return re.sub(r"\$[^\s,]*", r"`\g<0>`", text)


def cell(text: str) -> str:
    """The text inside a table."""
    return text.replace("|", r"\|")


def code(text: str) -> str:
    """A value as code; a word in parentheses for a value that is none."""
    return text if text in (EMPTY, NONE) else f"`{cell(text)}`"


def _preset(name: str) -> dict[str, dict[str, str]]:
    """What a preset sets, by section and key."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "pipeline" / "presets" / f"{name}.cfg", encoding="utf-8")
    return {section: {key: text or EMPTY for key, text in parser[section].items()} for section in parser.sections()}


def command_options(parser: argparse.ArgumentParser) -> list[Option]:
    """The options of a command, as its help explains them."""
    return [
        Option(_written(action), _explained(action))
        for action in parser._actions
        if action.option_strings and not isinstance(action, argparse._HelpAction)
    ]


def _written(action: argparse.Action) -> str:
    """`--show [N]`: the option with its short form, and with its value if it takes one."""
    name = ", ".join(action.option_strings)
    if action.nargs == 0:
        return name
    value = action.metavar or action.dest.upper()
    return f"{name} [{value}]" if action.nargs == "?" else f"{name} {value}"


def _explained(action: argparse.Action) -> str:
    choices = f"; one of {', '.join(f'`{choice}`' for choice in action.choices)}" if action.choices else ""
    return f"{action.help}{choices}{'; required' if action.required else ''}"


def exclusive(parser: argparse.ArgumentParser) -> list[list[str]]:
    """The options of which a command needs exactly one."""
    groups = [group for group in parser._mutually_exclusive_groups if group.required]
    return [[action.option_strings[-1] for action in group._group_actions] for group in groups]


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Each command of python -m pipeline with its purpose and its parser."""
    for action in pipeline.__main__.parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield name, import_module(f"pipeline.commands.{name}").SUMMARY, parser


def tasks() -> dict[str, type[luigi.Task]]:
    """The tasks that the package offers, the one for everything first."""
    found = {name: value for name in pipeline.__all__ if isinstance(value := getattr(pipeline, name), type)}
    return {"RunAll": found.pop("RunAll"), **found}


def task_options(of: dict[str, type[luigi.Task]]) -> list[Option]:
    """The parameters that people give to tasks. Those that tasks hand to each other are hidden."""
    found: dict[str, tuple[str, list[str]]] = {}
    for task, value in of.items():
        for name, parameter in value.get_params():
            if parameter.visibility == ParameterVisibility.PUBLIC:
                found.setdefault(name, (str(parameter.description), []))[1].append(f"`{task}`")
    return [
        Option(f"--{name.replace('_', '-')}", meaning, "all" if len(names) == len(of) else ", ".join(names))
        for name, (meaning, names) in found.items()
    ]


def page(name: str, luigi_cfg: str) -> str:
    """A page as it should be. Raises UnexplainedKey."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DOCS / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  the pages are Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, "code": code, "options": command_options, "exclusive": exclusive}
    known, of = parameters(), tasks()
    rows = {
        section: [(group.about, [row(section, key, known) for key in group.keys]) for group in groups]
        for section, groups in sections(luigi_cfg).items()
    }
    return environment.get_template(f"{name}.jinja").render(
        sections=rows,
        presets={preset: _preset(preset) for preset in config.PRESETS if preset != PLAIN},
        commands=list(commands()),
        tasks=of,
        task_options=task_options(of),
        mock_shop=mock_shop.__main__.parser(),
    )


def main(argv: list[str]) -> None:
    """Write the pages or, with --check, exit with 1 and one line if one of them would change."""
    parser = argparse.ArgumentParser(prog="docs/generate.py", description="Writes docs/SETTINGS.md and docs/CLI.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page would change")
    options = parser.parse_args(argv)
    luigi_cfg = (ROOT / "luigi.cfg").read_text(encoding="utf-8")
    try:
        pages = {DOCS / name: page(name, luigi_cfg) for name in PAGES}
    except UnexplainedKey as error:
        sys.exit(str(error))
    changed = {path: text for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text}
    if options.check and changed:
        names = " and ".join(str(path.relative_to(ROOT)) for path in changed)
        sys.exit(f"{names}: not what the sources say; run make docs, then commit the result")
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
