"""Runs of the pipeline as forks of one process: they start quickly, and die or meet a bad disk at a chosen moment."""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from processes import DEADLINE_SECONDS, IMPORTED_ONCE, REPOSITORY


class Forker:
    """A process with all imports done, of which each run is a fork: so 150 killed runs take a minute, not ten.

    `preloaded` is a library that the process and its forks load before any other: that of tests/prove/operations.c.
    """

    def __init__(self, log: Path, preloaded: Path | None = None) -> None:
        self.log = log
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            cwd=REPOSITORY,
            env=os.environ | ({"LD_PRELOAD": str(preloaded)} if preloaded else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(DEADLINE_SECONDS)

    def run(
        self, argv: list[str], kill_after_seconds: float | None = None, operations: tuple[Any, ...] | None = None
    ) -> dict[str, Any]:
        """`python -m pipeline …`, or `luigi …`: its exit status (-9 when killed), seconds and output.

        `operations` are the arguments of operations_arm() in tests/prove/operations.c. A run that takes longer than
        DEADLINE_SECONDS is killed, and `hung` is true.
        """
        self.log.write_bytes(b"")
        request = {"argv": argv, "log": str(self.log), "seconds": kill_after_seconds, "operations": operations}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline()) | {"output": self.log.read_text()}


def serve() -> None:
    """The other end of a Forker: one request and one answer a line."""
    os.environ.pop("LD_PRELOAD", None)
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what the children share stays shared: their garbage collector does not write to it
    for line in sys.stdin:
        request = json.loads(line)
        started = time.monotonic()
        pid = os.fork()
        if not pid:
            _child(request)
        with suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(pid, pid)
        limit = request["seconds"]
        handle = os.pidfd_open(pid)
        ended = select.select([handle], [], [], DEADLINE_SECONDS if limit is None else limit)[0]
        if not ended:
            os.killpg(pid, signal.SIGKILL)
        os.close(handle)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        hung = not ended and limit is None
        print(json.dumps({"status": status, "seconds": time.monotonic() - started, "hung": hung}), flush=True)


def _child(request: dict[str, Any]) -> None:
    os.setpgid(0, 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    status: Any = 99
    try:
        if request["operations"]:
            _arm(*request["operations"])
        _run(request["argv"])
        status = 0
    except SystemExit as exit_:
        status = exit_.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def _run(argv: list[str]) -> None:
    from luigi.retcodes import run_with_retcodes

    from pipeline.__main__ import main

    if argv[0] == "luigi":
        run_with_retcodes([*argv[1:], "--module", "pipeline", "--local-scheduler"])
    else:
        main(argv)


def _arm(folder: str, action: int, number: int, log: str, graveyard: str) -> None:
    texts = (folder.encode(), log.encode(), graveyard.encode())
    ctypes.CDLL(None).operations_arm(texts[0], action, ctypes.c_long(number), *texts[1:])


if __name__ == "__main__":
    serve()
    os._exit(0)  # what is frozen would be told as leaked
