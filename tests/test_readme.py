"""README.md and docs/OPERATIONS.md are true: their commands run on the sample data and say what is shown there.

Every key and option is in the README.

A block marked `<!-- not run: why -->` is left out. In what a block shows, `…` stands for anything in its line and, on a
line of its own, for any lines. After a change of the output, `python tests/test_readme.py` writes the blocks anew that
are no longer true; shorten them by hand.
"""

import argparse
import configparser
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import luigi
import pytest

import mock_shop.__main__
import pipeline.__main__
from pipeline import config, contract

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = (README, ROOT / "docs" / "OPERATIONS.md")
SAMPLE = ("data", "deploy", "luigi.cfg", "Makefile", "setup.cfg", "pyproject.toml", "constraints.txt")
RUN_LANGUAGES = {"console", "python", "sql", "cron"}
COMMAND_TIMEOUT_SECONDS = 120
QUERY = "import duckdb, sys; print(duckdb.connect('duckdb_db/warehouse.db', read_only=True).sql(sys.stdin.read()))"
TASKS = ("FetchOrders", "NormalizeOrders", "WriteFactOrder", "WriteOrderItems", "SeedDims", "RunAll")


@dataclass(frozen=True)
class Block:
    """A fenced block: `shows` is what running it must say, None when that is not shown."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None
    shows: str | None

    def __str__(self) -> str:
        return f"{self.page.stem}_line_{self.line}"


@dataclass
class Sample:
    """The sample data and settings in a folder of their own, with the commands of this Python on PATH."""

    folder: Path
    port: int
    # of the mock shop, which the README has on port 8484
    api_port: int
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "COLUMNS": "100", "LUIGI_CONFIG_PATH": str(self.folder / "test.cfg")}
        # under `make check` a make inside would say which folder it is in
        outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return outer | own

    def say(self, *command: str, stdin: str = "") -> str:
        """What the command writes to stdout and stderr. Raises AssertionError when it fails."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command} exits with {done.returncode}: {done.stdout}"
        return done.stdout

    def shell(self, command: str) -> str:
        command = command.replace("8484", str(self.api_port))
        if command.endswith(" &"):
            return self._start(command.removesuffix(" &"))
        return self.say("bash", "-c", command)

    def _start(self, command: str) -> str:
        """A daemon on a port of this sample, ready when it answers there."""
        port = self.api_port if "mock_shop" in command else self.port
        line = ["bash", "-c", f"exec {command} --port {port}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.daemons.append(subprocess.Popen(line, cwd=self.folder, env=self.environment(), **quiet))
        deadline = time.monotonic() + COMMAND_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return ""
            time.sleep(0.05)
        raise AssertionError(f"{command} does not answer on port {port}")


def blocks(page: Path = README) -> list[Block]:
    """Every fenced block of a page, in order; a text block right after another shows what that one prints."""
    fence = re.compile(r"(?:^<!-- not run: (.+?) -->\n)?^```(\w+)\n(.*?)^```$(?:\n+^```text\n(.*?)^```$)?", re.S | re.M)
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, m.start(2)) + 1, m[2], m[3], m[1], m[3] if m[2] == "console" else m[4])
        for m in fence.finditer(text)
    ]


def commands(block: Block) -> list[str]:
    """The lines that a console block has after `$ `."""
    return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]


def said_by(sample: Sample, block: Block) -> str:
    """What running the block prints; a console block's commands stand before what each of them prints."""
    if block.language == "console":
        told = "".join(f"$ {command}\n{sample.shell(command)}" for command in commands(block))
        return told.replace(str(sample.api_port), "8484")
    if block.language == "sql":
        return sample.say(sys.executable, "-c", QUERY, stdin=block.text)
    if block.language == "cron":
        command = re.sub(r"^(\S+ ){5}", "", block.text.strip()).replace(r"\%", "%")
        return sample.say("sh", "-c", command.replace("/srv/orders-lake", str(sample.folder)))
    return sample.say(sys.executable, "-c", block.text)


def is_shown(shows: str, said: str) -> bool:
    """Whether what a block shows is what it says, where `…` may be anything."""
    lines = [line.rstrip() for line in shows.strip().splitlines()]
    patterns = ["(?:.*\n)*?" if line == "…" else ".*?".join(map(re.escape, line.split("…"))) + "\n" for line in lines]
    told = "".join(f"{line.rstrip()}\n" for line in said.strip().splitlines())
    return re.fullmatch("".join(patterns), told) is not None


@contextmanager
def sample_in(folder: Path) -> Iterator[Sample]:
    for name in SAMPLE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        sample = Sample(folder, free.getsockname()[1], other.getsockname()[1])
    settings = f"[core]\nscheduler_port = {sample.port}\n[storage]\nfsync = false\n"
    (folder / "test.cfg").write_text(settings, encoding="utf-8")
    try:
        yield sample
    finally:
        for daemon in sample.daemons:
            daemon.terminate()
            daemon.wait()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[Block, str]:
    """What every block says when each page is followed from its top to its end."""
    told = {}
    for page in PAGES:
        with sample_in(tmp_path_factory.mktemp(page.stem)) as sample:
            for block in run_blocks(page):
                try:
                    told[block] = said_by(sample, block)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    told[block] = f"FAILED {error}"
    return told


def run_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in RUN_LANGUAGES and not block.not_run]


@pytest.mark.parametrize("block", [block for page in PAGES for block in run_blocks(page)], ids=str)
def test_a_block_of_a_page_runs_on_the_sample_orders_and_says_what_is_shown(block, said):
    assert not said[block].startswith("FAILED"), said[block]
    if block.shows is not None:
        assert is_shown(block.shows, said[block]), f"shown:\n{block.shows}\nsaid:\n{said[block]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_block_that_is_not_run_says_why(page):
    assert [str(block) for block in blocks(page) if block.language not in RUN_LANGUAGES and not block.not_run] == []


def test_a_shown_line_may_be_shortened_but_not_wrong():
    said = "orders=4 seconds=0.21\ntwo\nthree\nend\n"
    assert is_shown("orders=4 seconds=…\n…\nend\n", said)
    assert not is_shown("orders=5 seconds=…\n…\nend\n", said)
    assert not is_shown("orders=4 seconds=…\nend\n", said)


def test_the_help_of_the_commands_stands_in_the_readme():
    shown = {command for block in blocks() if block.language == "console" for command in commands(block)}
    programs = ("pipeline", "pipeline run", "pipeline plan", "mock_shop")
    assert {f"python -m {program} --help" for program in programs} <= shown


def test_the_two_commands_of_the_first_screen_are_targets_of_make(tmp_path):
    first_screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:30])
    with sample_in(tmp_path) as sample:
        for target, command in (("run", "python -m pipeline run"), ("test", "python -m pytest")):
            assert f"make {target}" in first_screen
            assert command in sample.say("make", "--dry-run", target, f"PYTHON={sys.executable}")


def options() -> set[str]:
    """Every option of the commands and of the tasks, save those that tasks hand to each other."""
    actions = pipeline.__main__.parser()._actions
    subparsers = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    commands = [*subparsers[0].choices.values(), mock_shop.__main__.parser()]
    found = {option for command in commands for action in command._actions for option in action.option_strings}
    for task in TASKS:
        for name, parameter in getattr(pipeline, task).get_params():
            if not (parameter.description or "").startswith("internal"):
                found.add("--" + name.replace("_", "-"))
    return found


@pytest.mark.parametrize("option", sorted(options()))
def test_an_option_for_choosing_or_redoing_partitions_is_in_the_table_of_options(option):
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| `-")]
    assert any(re.search(rf"`{option}(?![\w-])", row.split("|")[1]) for row in rows)


def documented_keys() -> dict[tuple[str, str], str]:
    """The README's table of settings: the default by section and key, without its backticks."""
    row = re.compile(r"^\| `\[(\w+)\] ([\w.]+)` \| (.*?) \|", re.M)
    return {(section, key): default.strip("`") for section, key, default in row.findall(README.read_text("utf-8"))}


def test_every_key_of_luigi_cfg_is_in_the_readme_with_its_value():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "luigi.cfg", encoding="utf-8")
    written = {(section, key): value for section in settings.sections() for key, value in settings[section].items()}
    commented, section = set(), ""
    for line in (ROOT / "luigi.cfg").read_text(encoding="utf-8").splitlines():
        section = line[1:-1] if re.fullmatch(r"\[\w+\]", line) else section
        commented |= {(section, key) for key in re.findall(r"^# ([\w.]+) =(?: |$)", line)}
    documented = documented_keys()
    assert {key: documented.get(key) for key in written} == written
    assert documented.keys() == written.keys() | commented


def test_every_setting_that_the_pipeline_reads_is_in_the_readme():
    sections = [value for value in vars(config).values() if isinstance(value, type) and issubclass(value, luigi.Config)]
    known = {(section.__name__, key) for section in sections for key in config.keys(section)}
    assert known <= documented_keys().keys()


def test_every_exit_code_of_luigi_cfg_is_in_the_table_of_exit_codes():
    codes = {value for (section, _), value in documented_keys().items() if section == "retcode"}
    table = set(re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.M))
    assert codes <= table


@pytest.mark.parametrize(
    "name", ["ORDERS", "ITEMS", "FACT_ORDER", "ORDER_ITEMS", "DISCARDED", "DIM_USER", "DIM_PRODUCT"]
)
def test_the_columns_of_a_table_stand_in_the_readme_in_the_order_of_its_files(name):
    table = getattr(contract, name)
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    columns = ", ".join(table.schema.names)
    assert any(table.file.removesuffix(".parquet") in row and f"`{columns}`" in row for row in rows) or (
        name == "DISCARDED" and any(f"`{columns}`" in row for row in rows)
    )


def test_every_reason_to_discard_a_record_is_in_the_readme():
    sql = (ROOT / "pipeline" / "engine" / "sql" / "record.sql").read_text(encoding="utf-8")
    reasons = set(re.findall(r"THEN '(\w+)'", sql))
    assert reasons
    assert {reason for reason in reasons if f"`{reason}`" not in README.read_text(encoding="utf-8")} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / file if file else page, heading) for file, heading in links]
    assert [str(file) for file, _ in targets if not file.exists()] == []
    assert [(file.name, heading) for file, heading in targets if heading and heading not in headings(file)] == []


def headings(page: Path) -> set[str]:
    """What links to the page's headings say, as GitHub makes it of their text."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def rewritten(page: Path) -> str:
    """The page with what its blocks say now in place of what is no longer so."""
    text = page.read_text(encoding="utf-8")
    changing = (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", r"(?<=seconds=)[\d.]+", r"\d{8}T\d{6}\.\d{6}(?=Z)")
    with TemporaryDirectory() as folder, sample_in(Path(folder)) as sample:
        for block in run_blocks(page):
            said = said_by(sample, block).replace(str(sample.folder), "…")
            said = re.sub("|".join((*changing, r"(?<=as_of=|\bas of )\d{4}-[\d:.T-]+")), "…", said)
            if block.shows is not None and not is_shown(block.shows, said):
                said = "".join(f"{line.rstrip()}\n" for line in said.strip().splitlines())
                text = text.replace(f"\n{block.shows}```", f"\n{said}```", 1)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page), encoding="utf-8")
