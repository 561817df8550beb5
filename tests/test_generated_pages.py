"""docs/SETTINGS.md and docs/CLI.md are what docs/generate.py writes, and leave out no setting and no option."""

import argparse
import configparser
import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from luigi.cmdline_parser import CmdlineParser

import mock_shop.__main__
import pipeline.__main__
from pipeline import config
from pipeline.commands.options import meaningless

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
TASKS = ("FetchOrders", "NormalizeOrders", "WriteFactOrder", "WriteOrderItems", "SeedDims", "RunAll")
# keys that luigi.cfg shows with a value that is no default
EXAMPLES = {"address", "start_date", "exclude", "dates_per_task", "as_of", "textfile", "local_scheduler"}


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py, which is a script of no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the pages are made from, and of the pages."""
    for name in ("docs", "pipeline/presets"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "luigi.cfg", tmp_path)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "DOCS", tmp_path / "docs")
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


# The check


def test_the_pages_are_what_make_docs_writes(generate):
    generate.main(["--check"])


def test_a_changed_comment_fails_the_check_until_the_page_is_written(generate, project):
    generate.main(["--check"])
    replace(project / "luigi.cfg", "# The folder of the lake.", "# The folder in which the lake is.")
    with pytest.raises(SystemExit) as exit_:
        generate.main(["--check"])
    assert exit_.value.code == "docs/SETTINGS.md: not what the sources say; run make docs, then commit the result"
    assert "The folder of the lake." in (project / "docs/SETTINGS.md").read_text(encoding="utf-8")
    generate.main([])
    assert "The folder in which the lake is." in (project / "docs/SETTINGS.md").read_text(encoding="utf-8")
    generate.main(["--check"])


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("luigi.cfg", "settle_hours = 6", "settle_hours = 7"),
        ("pipeline/presets/plain.cfg", "page_size = 500", "page_size = 400"),
        ("pipeline/presets/shopify.cfg", "since_param = created_at_min", "since_param = from"),
        ("docs/templates/SETTINGS.md.jinja", "# Settings", "# All settings"),
    ],
)
def test_a_changed_source_changes_the_page(generate, project, path, old, new):
    replace(project / path, old, new)
    with pytest.raises(SystemExit, match=r"docs/SETTINGS\.md: not what the sources say; run make docs"):
        generate.main(["--check"])


def test_a_page_that_was_changed_by_hand_or_is_gone_fails_the_check(generate, project):
    replace(project / "docs/CLI.md", "# The command line", "# Commands")
    (project / "docs/SETTINGS.md").unlink()
    with pytest.raises(SystemExit, match=r"docs/SETTINGS\.md and docs/CLI\.md: not what"):
        generate.main(["--check"])


@pytest.mark.parametrize("comment", ["# The folder of the lake. It holds", "# Where the lake is, and how"])
def test_a_key_or_a_section_without_a_comment_is_refused(generate, project, comment):
    lines = (project / "luigi.cfg").read_text(encoding="utf-8").splitlines(keepends=True)
    (project / "luigi.cfg").write_text("".join(line for line in lines if not line.startswith(comment)))
    with pytest.raises(SystemExit, match=r"luigi\.cfg: root: expected a comment directly above it"):
        generate.main(["--check"])


# The settings


def shown_settings() -> dict[tuple[str, str], tuple[str, str]]:
    """The default, without its backticks, and the meaning of each setting of SETTINGS.md."""
    found, section = {}, ""
    for line in (DOCS / "SETTINGS.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.removeprefix("### ").strip("`[]")
        elif cells := re.fullmatch(r"\| `([\w.]+)` \| (.*?) \| (.+) \|", line):
            found[section, cells[1]] = cells[2].strip("`"), cells[3]
    return found


def keys_of_luigi_cfg() -> dict[tuple[str, str], str]:
    """The values that luigi.cfg shows, also in keys that are comments."""
    found, section = {}, ""
    for line in (ROOT / "luigi.cfg").read_text(encoding="utf-8").splitlines():
        section = line[1:-1] if re.fullmatch(r"\[\w+\]", line) else section
        if key := re.fullmatch(r"(?:# )?([\w.]+) =(?: (.*))?", line):
            found[section, key[1]] = key[2] or ""
    return found


def test_the_page_has_the_keys_of_luigi_cfg_in_the_same_order():
    assert list(shown_settings()) == list(keys_of_luigi_cfg())


def test_the_page_has_the_value_of_each_key_that_luigi_cfg_sets():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "luigi.cfg", encoding="utf-8")
    shown = {key: default for key, (default, _) in shown_settings().items()}
    for section in settings.sections():
        for key, value in settings[section].items():
            assert shown[section, key] == value, (section, key)


def test_a_key_that_is_a_comment_shows_the_default_or_an_example():
    shown = shown_settings()
    for key, text in keys_of_luigi_cfg().items():
        default, meaning = shown[key]
        if key[1] in EXAMPLES:
            assert f"Example: `{text}`." in meaning, key
        else:
            assert default == (text or "(empty)"), key


def test_every_setting_that_the_pipeline_reads_is_on_the_page_with_what_is_expected():
    shown = shown_settings()
    for section in config.SECTIONS:
        for key, (_, parameter) in zip(config.keys(section), section.get_params(), strict=True):
            _, meaning = shown[section.__name__, key]
            assert meaning.replace("`", "").endswith(f"*Expected:* {parameter.expected}"), (section, key)


@pytest.mark.parametrize("name", [name for name in config.PRESETS if name != "plain"])
def test_the_page_has_what_a_preset_sets(name):
    preset = configparser.ConfigParser(interpolation=None)
    preset.read(ROOT / "pipeline" / "presets" / f"{name}.cfg", encoding="utf-8")
    page = (DOCS / "SETTINGS.md").read_text(encoding="utf-8").split("## What the presets set")[1]
    table = page.split(f"### `{name}`")[1].split("###")[0].replace("`<br>`", "")
    for section in preset.sections():
        assert f"| `[{section}]` | value |" in table
        for key, value in preset[section].items():
            assert f"| `{key}` | {f'`{value}`' if value else '(empty)'} |" in table


# The command line


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command and of the mock shop by the heading of its section."""
    subparsers = [
        action for action in pipeline.__main__.parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    return {**subparsers[0].choices, "The mock shop": mock_shop.__main__.parser()}


def section_of(heading: str) -> str:
    text = (DOCS / "CLI.md").read_text(encoding="utf-8")
    return re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def rows_of(heading: str) -> dict[str, str]:
    """What the table of options says of each option."""
    return dict(re.findall(r"^\| `(?:-\w, )?(--[\w-]+)[^`]*` \| (.+) \|$", section_of(heading), re.M))


@pytest.mark.parametrize("heading", [*pipeline.__main__.COMMANDS, "The mock shop"])
def test_each_option_of_a_command_is_in_its_table_as_its_help_explains_it(heading):
    actions = {action.option_strings[-1]: action for action in parsers()[heading]._actions if action.dest != "help"}
    rows = rows_of(heading)
    assert list(rows) == list(actions)
    assert all(rows[option].startswith(str(action.help)) for option, action in actions.items())


def test_options_that_a_command_needs_are_marked():
    assert rows_of("drop")["--date"].endswith("; required")
    assert "One of these options is required: `--reason`, `--restore`." in section_of("drop")
    assert rows_of("erase")["--user-id"].endswith("; required")


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_on_the_page_with_its_parameters_but_not_with_internal_ones(task):
    text = section_of("Luigi tasks")
    assert f"| `{task}` | " in text
    of = {f"--{name.replace('_', '-')}": value for name, value in getattr(pipeline, task).get_params()}
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| (.+) \| .+ \|$", text, re.M))
    internal = {option for option, parameter in of.items() if parameter.description.startswith("internal")}
    assert {option for option, tasks in rows.items() if tasks == "all" or f"`{task}`" in tasks} == of.keys() - internal


def test_all_tasks_of_the_package_are_on_the_page(generate):
    assert set(generate.tasks()) == set(TASKS)


def examples(program: str) -> list[str]:
    return re.findall(rf"^- `{program}(?: (.*))?`$", (DOCS / "CLI.md").read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("example", examples("python -m pipeline"))
def test_an_example_of_a_command_has_options_that_exist(example):
    words = shlex.split(example)
    words = ["run", *words] if words[0].startswith("-") else words
    options, settings = pipeline.__main__.parser().parse_known_args(words)
    assert options.command in pipeline.__main__.COMMANDS
    assert meaningless(options, settings) is None


@pytest.mark.parametrize("example", examples("python -m mock_shop"))
def test_an_example_of_the_mock_shop_has_options_that_exist(example):
    mock_shop.__main__.parser().parse_args(shlex.split(example))


@pytest.mark.parametrize("example", examples("luigi"))
def test_an_example_of_luigi_has_options_that_exist(example):
    with CmdlineParser.global_instance(shlex.split(example)) as parsed:
        assert parsed.known_args.root_task in (*TASKS, "RangeDaily")


def test_there_are_examples_of_each_program():
    assert examples("python -m pipeline")
    assert examples("python -m mock_shop")
    assert examples("luigi")
