"""The command line as people use it: one clear line for a mistake, exit codes for cron, and a plan that writes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from feeds import order
from lake import LakeUnderTest

REPOSITORY = Path(__file__).resolve().parents[1]
LUIGI = str(Path(sys.executable).parent / "luigi")
SENT = [order("o_1"), order("o_2", created_at="2025-01-16")]


class Said:
    """What a command answered."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that are no events of a run and no chatter."""
        return [line for line in self.err.splitlines() if line.strip() and "event=" not in line]


@pytest.fixture
def shell(lake: LakeUnderTest, tmp_path: Path):
    """Runs a command with this lake's settings from another folder; options given twice count as given last."""
    lake.offer(SENT)

    def shell(*words: str, env: dict[str, str] | None = None, settings: bool = True) -> Said:
        program = [sys.executable, "-m", "pipeline"] if words[0] != "luigi" else [LUIGI, "--module", "pipeline"]
        arguments = [*words[1:]] if words[0] in ("luigi", "pipeline") else [*words]
        command = [*program, *arguments, *(lake.options() if settings else [])]
        environment = os.environ | {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")} | (env or {})
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return Said(done)

    return shell


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


MISTAKES = {
    "since": ["--since", "yesterday"],
    "since with a bad date": ["--since", "2025-02-30"],
    "since with a bad hour": ["--since", "2025-01-15T25:00:00Z"],
    "until": ["--until", "15.01.2025"],
    "since after until": ["--since", "2025-01-17", "--until", "2025-01-15"],
    "since equal to until": ["--since", "2025-01-15", "--until", "2025-01-15T00:00:00Z"],
    "since in the future": ["--since", "2999-01-01"],
    "force with reprocess": ["--force", "--reprocess"],
    "workers": ["--workers", "many"],
    "settle-hours": ["--orders-api-settle-hours", "soon"],
    "settle-hours negative": ["--orders-api-settle-hours", "-1"],
    "settle-hours not a number": ["--orders-api-settle-hours", "nan"],
    "max-vanished-share": ["--orders-api-max-vanished-share", "20%"],
    "max-vanished-share above one": ["--orders-api-max-vanished-share", "2"],
    "lock-timeout-seconds": ["--storage-lock-timeout-seconds", "forever"],
    "fsync": ["--storage-fsync", "maybe"],
    "threads": ["--engine-threads", "1.5"],
    "threads negative": ["--engine-threads", "-1"],
    "memory-limit": ["--engine-memory-limit", "lots"],
    "dates-per-task": ["--run-dates-per-task", "-3"],
    "as-of": ["--run-as-of", "now"],
    "as-of in the future": ["--run-as-of", "2999-01-01T00:00:00Z"],
    "unknown option": ["--sinse", "2025-01-15"],
}
NAMED = {"since": "since", "until": "until", "force": "--reprocess", "settle": "settle", "max": "vanished", "unknown": "sinse"}


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it_and_nothing_is_written(shell, lake, command, mistake):
    if command == "plan" and mistake == "workers":
        pytest.skip("plan has no workers")
    keys = {option.removeprefix("--"): value for option, value in zip(MISTAKES[mistake], MISTAKES[mistake][1:], strict=False)}
    for section, settings in lake.settings.items():  # luigi takes the first of two equal options
        for key in list(settings):
            if f"{section}-{key}".replace("_", "-") in keys:
                del settings[key]
    said = shell(command, *MISTAKES[mistake])
    assert said.code not in (0, None)
    assert "Traceback" not in said.err + said.out
    named = [name for name in (MISTAKES[mistake][0].removeprefix("--"), *NAMED) if name in mistake or name in str(keys)]
    assert named
    wanted = re.compile(MISTAKES[mistake][0].removeprefix("--").split("-")[-1].replace("sinse", "sinse"))
    told = [line for line in said.errors if wanted.search(line.replace("_", "-"))]
    assert told, said.err
    assert not (lake.root / "curated").exists()
