"""Pseudo terminals, on which commands print as they do for people."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from lake import LakeUnderTest


class Terminal:
    """A pseudo terminal of so many columns, on which commands work on a lake in a folder with a short name."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self.lake = lake

    def __call__(self, columns: int, *words: str, **variables: str) -> str:
        """What `python -m pipeline` prints, with the lake's folder replaced by one of as many characters."""
        reader, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *self.lake.options(), *words],
            stdout=terminal,
            stderr=subprocess.DEVNULL,
            cwd=self.lake.root.parent,
            env=known | {"TERM": "xterm-256color"} | variables,
        )
        os.close(terminal)
        shown = b"".join(iter(lambda: _read(reader), b""))
        process.wait()
        os.close(reader)
        return shown.decode().replace("\r\n", "\n").replace(str(self.lake.root.parent), "/srv/orders-lakes")


def _read(reader: int) -> bytes:
    """Linux raises EIO when the other end is closed."""
    try:
        return os.read(reader, 1 << 16)
    except OSError:
        return b""
