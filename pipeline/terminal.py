"""Printing for people: text cannot control their terminal, and a closed pipe, as after `head`, is not an error."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def printable(text: str | bytes) -> str:
    """The text with each unprintable character or byte escaped, such as \\x1b. JSON on one line is unchanged."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@contextmanager
def printing() -> Iterator[None]:
    """Let the block print to stdout in any encoding. If the reader closes the pipe, the block ends without an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # otherwise Python would fail once more at its end, when it flushes the buffer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
