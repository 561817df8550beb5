"""The pages are true: their commands print what the pages show, on the sample orders, and their links lead somewhere.

A block marked `<!-- not run: why -->` is left out. In what a block shows, `…` stands for anything in its line and, on a
line of its own, for any lines. After a change of the output, `python tests/test_pages.py` writes the blocks anew that
are no longer true; shorten them by hand.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from depth import some

from pipeline.contract import DIM_PRODUCT, DIM_USER, DISCARDED, FACT_ORDER, ITEMS, ORDER_ITEMS, ORDERS
from pipeline.settings.luigi_defaults import DEFAULTS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
CONTRACT, OPERATIONS = DOCS / "CONTRACT.md", DOCS / "OPERATIONS.md"
PAGES = (
    README,
    *sorted(DOCS.glob("*.md")),
    *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY")),
)
README_LINES = 150
SAMPLE = ("data", "deploy", "luigi.cfg", "Makefile", "setup.cfg", "pyproject.toml", "constraints.txt")
RUN_LANGUAGES = {"console", "python", "sql", "cron"}
COMMAND_TIMEOUT_SECONDS = 120
QUERY = "import duckdb, sys; print(duckdb.connect('duckdb_db/warehouse.db', read_only=True).sql(sys.stdin.read()))"


@dataclass(frozen=True)
class Block:
    """A fenced block: `shows` is what running it must say, None when that is not shown."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None
    shows: str | None
    # where in the page `shows` stands
    span: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.page.stem}_line_{self.line}"


@dataclass
class Sample:
    """The sample data and settings in a folder of their own, with the commands of this Python on PATH."""

    folder: Path
    port: int
    # of the mock shop, which the pages have on port 8484
    api_port: int
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "COLUMNS": "100", "LUIGI_CONFIG_PATH": str(self.folder / "test.cfg")}
        # a make inside `make check` would take its options, and say which folder it is in
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "ARGS"))}
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
    found = []
    for m in fence.finditer(text):
        shown = 3 if m[2] == "console" else 4
        found.append(Block(page, text.count("\n", 0, m.start(2)) + 1, m[2], m[3], m[1], m[shown], m.span(shown)))
    return found


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
    _take_environment(folder / ".venv")
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


def _take_environment(venv: Path) -> None:
    """This environment at another path, set up in the eyes of make, which would otherwise install into the real one."""
    venv.mkdir()
    for name in ("bin", "lib"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    (venv / ".installed").touch()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[Block, str]]:
    """Returns what every block of a page says when the page is followed from its top to its end."""

    @cache
    def on(page: Path) -> dict[Block, str]:
        told = {}
        with sample_in(tmp_path_factory.mktemp(page.stem)) as sample:
            for block in run_blocks(page):
                try:
                    told[block] = said_by(sample, block)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    told[block] = f"FAILED {error}"
        return told

    return on


def run_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in RUN_LANGUAGES and not block.not_run]


@pytest.mark.parametrize(
    "block",
    some((block for page in PAGES for block in run_blocks(page)), run_blocks(README), "blocks of further pages"),
    ids=str,
)
def test_a_block_of_a_page_runs_on_the_sample_orders_and_says_what_is_shown(block, said):
    found = said(block.page)[block]
    assert not found.startswith("FAILED"), found
    if block.shows is not None:
        assert is_shown(block.shows, found), f"shown:\n{block.shows}\nsaid:\n{found}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_block_that_is_not_run_says_why(page):
    assert [str(block) for block in blocks(page) if block.language not in RUN_LANGUAGES and not block.not_run] == []


def test_a_shown_line_may_be_shortened_but_not_wrong():
    said = "orders=4 seconds=0.21\ntwo\nthree\nend\n"
    assert is_shown("orders=4 seconds=…\n…\nend\n", said)
    assert not is_shown("orders=5 seconds=…\n…\nend\n", said)
    assert not is_shown("orders=4 seconds=…\nend\n", said)


def test_the_readme_is_short_and_names_the_two_commands_that_set_up_and_test(tmp_path):
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES
    with sample_in(tmp_path) as sample:
        for target, command in (("run", "python -m pipeline run"), ("test", "python -m pytest")):
            assert f"make {target}" in text
            assert command in sample.say("make", "--dry-run", target)


def rows(page: Path) -> list[list[str]]:
    """The cells of each row of the page's tables."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_every_exit_code_is_in_the_table_of_exit_codes():
    told = {first for first, *_ in rows(OPERATIONS)}
    assert set(DEFAULTS["retcode"].values()) <= told


def test_every_event_is_in_the_table_of_events():
    told = {name for row in rows(OPERATIONS) if len(row) == 3 for name in re.findall(r"`(\w+)`", row[1])}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pipeline").rglob("*.py"))
    assert set(re.findall(r'\bemit\(\s*"(\w+)"', code)) - told == set()


@pytest.mark.parametrize(
    "table", [ORDERS, ITEMS, FACT_ORDER, ORDER_ITEMS, DISCARDED, DIM_USER, DIM_PRODUCT], ids=lambda table: table.file
)
def test_the_columns_of_a_table_stand_in_the_contract_in_the_order_of_its_files(table):
    name, columns = table.file.removesuffix(".parquet"), f"`{', '.join(table.schema.names)}`"
    assert any(row[2] == columns and name in row[0] for row in rows(CONTRACT) if len(row) == 3)


def test_every_reason_to_discard_a_record_is_in_the_contract():
    sql = (ROOT / "pipeline" / "engine" / "sql" / "record.sql").read_text(encoding="utf-8")
    reasons = set(re.findall(r"THEN '(\w+)'", sql))
    assert reasons
    assert {reason for reason in reasons if f"`{reason}`" not in CONTRACT.read_text(encoding="utf-8")} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_files_of_code_and_of_tests_that_a_page_names_are_there(page):
    named = re.findall(r"`((?:pipeline|tests)/[\w/]+\.\w+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


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
    changing = (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", r"(?<=seconds=)[\d.]+", r"\d{8}T\d{6}\.\d{6}(?=Z)")
    text, outdated = page.read_text(encoding="utf-8"), []
    with TemporaryDirectory() as folder, sample_in(Path(folder)) as sample:
        for block in run_blocks(page):
            said = said_by(sample, block).replace(str(sample.folder), "…")
            said = re.sub("|".join((*changing, r"(?<=as_of=|\bas of )\d{4}-[\d:.T-]+")), "…", said)
            if block.shows is not None and not is_shown(block.shows, said):
                outdated.append((block.span, "".join(f"{line.rstrip()}\n" for line in said.strip().splitlines())))
    for (start, end), said in reversed(outdated):
        text = text[:start] + said + text[end:]
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page), encoding="utf-8")
