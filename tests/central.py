"""A real luigid, as a process on a port of its own."""

import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import DEADLINE_SECONDS, REPOSITORY, command, finished


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so, or fail at the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    asked = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{condition.__name__}: not within {DEADLINE_SECONDS} s"
        asked.wait(0.05)


@contextmanager
def running_luigid(folder: Path) -> Iterator[list[str]]:
    """A luigid with the settings of luigi.cfg, as options that lead a run to it. Its files are in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert (REPOSITORY / "luigi.cfg").is_file()
    # luigi.cfg's settings, but nothing is written to the repository
    settings = (
        f"[scheduler]\nstate_path = {folder}/state\n[task_history]\ndb_connection = sqlite:///{folder}/history.db\n"
    )
    (folder / "luigid.cfg").write_text(settings)
    own = os.environ | {"LUIGI_CONFIG_PATH": str(folder / "luigid.cfg")}
    # a log of its own: nobody reads the pipe, and luigid would stop when it is full
    server = command("luigid", "--address", "127.0.0.1", "--port", str(port), "--logdir", str(folder), env=own)

    def answers() -> bool:
        assert server.poll() is None, server.communicate()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/task_list?data={{}}", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    try:
        until(answers)
        yield ["--scheduler-host", "127.0.0.1", "--scheduler-port", str(port)]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        finished(server)
