"""Commands as processes that start quickly: each is a fork of a process that has imported the libraries.

A command imports pipeline and luigi itself, since both read settings while they are imported.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TextIO

from processes import BIN, DEADLINE_SECONDS, IMPORTED_ONCE, REPOSITORY

MODULES = ("pipeline", "mock_shop")
OF_EACH_COMMAND = (*MODULES, "luigi")


def ran(
    *command: str, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None, one_output: bool = False
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` would answer to `pipeline …` (that is python -m pipeline …) or `luigi …`, as text.

    With `one_output` what goes to stderr is in stdout, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "out" if one_output else "err")
        child = _ask(command=command, cwd=str(cwd), env=dict(env or os.environ), out=str(out), err=str(err))
        code = _ask(wait_for=child)
        return subprocess.CompletedProcess(command, code, out.read_text(), "" if one_output else err.read_text())


def ended(*command: str) -> tuple[int, str]:
    """The exit code of `pipeline …` or `luigi …` in the repository's folder, and all that it said."""
    done = ran(*command, one_output=True)
    return done.returncode, done.stdout


@contextmanager
def running(*command: str) -> Iterator[TextIO]:
    """What `mock_shop …` writes to stdout, while the block lasts; then it is terminated."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(out := Path(folder, "out"))
        child = _ask(command=command, cwd=str(REPOSITORY), env=dict(os.environ), out=str(out), err=None)
        try:
            with out.open() as output:
                yield output
        finally:
            os.kill(child, signal.SIGTERM)
            _ask(wait_for=child)


@dataclass(frozen=True)
class Started:
    """A command that was started beside others: its process id, which is also that of its group, and its output."""

    words: tuple[str, ...]
    pid: int
    out: Path

    def end(self) -> tuple[int, str]:
        """Wait for it: its exit code and all that it said. One that does not end in time is killed: -9."""
        overdue = threading.Timer(DEADLINE_SECONDS, os.killpg, (self.pid, signal.SIGKILL))
        overdue.start()
        try:
            return _ask(wait_for=self.pid), self.out.read_text()
        finally:
            overdue.cancel()
            overdue.join()


def started(*command: str, out: Path) -> Started:
    """Start `pipeline …` or `luigi …` in the repository's folder. What it says goes to the file `out`. Call end()."""
    environment = dict(os.environ)
    child = _ask(command=command, cwd=str(REPOSITORY), env=environment, out=str(out), err=str(out))
    return Started(command, child, out)


def _ask(**request: Any) -> int:
    """The process id of a command that is to start, or the exit code of one that is to be waited for."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, __file__], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate, timeout=DEADLINE_SECONDS)
    return server


def serve() -> None:
    """The other end: one request and one answer a line."""
    for module in (*IMPORTED_ONCE, "aiohttp.web"):
        importlib.import_module(module)
    for name in [name for name in sys.modules if name.partition(".")[0] in OF_EACH_COMMAND]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # what the children share stays shared: their garbage collector does not write to it
    for line in sys.stdin:
        request = json.loads(line)
        if "wait_for" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait_for"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                become(**request)
        print(answer, flush=True)


def become(command: list[str], cwd: str, env: dict[str, str], out: str, err: str | None) -> NoReturn:
    """Do what the command does, in its folder, with its environment, and end as it does."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for stream, path in enumerate((os.devnull, out, err)):
        if path is not None:
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
    code: object = 1
    try:
        if command[0] in MODULES:
            sys.argv, sys.path[0] = command, cwd
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = [str(BIN / command[0]), *command[1:]], str(BIN)
            runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    finally:
        if sys.exc_info()[0]:
            traceback.print_exc()
        leave(code)


def leave(code: object) -> NoReturn:
    """End as Python does, but do not free what the libraries hold, which takes as long as to import them."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0) if not isinstance(code, str) else 1)


if __name__ == "__main__":
    serve()
    os._exit(0)  # what is frozen would be told as leaked
