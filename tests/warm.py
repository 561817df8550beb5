"""Commands as processes that start quickly: each is a fork of a process that has imported the libraries.

A command imports pipeline and luigi itself, since both read settings while they are imported.
"""

import atexit
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from processes import BIN, DEADLINE_SECONDS, IMPORTED_ONCE, REPOSITORY

OF_EACH_COMMAND = ("pipeline", "luigi")


def ran(
    *command: str, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None, one_output: bool = False
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` would answer to `pipeline …` (that is python -m pipeline …) or `luigi …`, as text.

    With `one_output` what goes to stderr is in stdout, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "out" if one_output else "err")
        request = {"command": command, "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request | {"out": str(out), "err": str(err)}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, out.read_text(), "" if one_output else err.read_text())


def ended(*command: str) -> tuple[int, str]:
    """The exit code of `pipeline …` or `luigi …` in the repository's folder, and all that it said."""
    done = ran(*command, one_output=True)
    return done.returncode, done.stdout


@cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, __file__], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate, timeout=DEADLINE_SECONDS)
    return server


def serve() -> None:
    """The other end: a request a line, and the exit code of its command as the answer."""
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    for name in [name for name in sys.modules if name.partition(".")[0] in OF_EACH_COMMAND]:
        del sys.modules[name]
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return become(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def become(command: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """Do what the command does, in its folder, with its environment; the process ends as the command does."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for stream, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
    if command[0] == "pipeline":
        sys.argv, sys.path[0] = command, cwd
        runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [str(BIN / command[0]), *command[1:]], str(BIN)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    serve()
