"""Text for people: nothing in it can steer their terminal, and a reader who has left, as `head` does, is no error."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def printable(text: str | bytes) -> str:
    """The text with each character or byte that is not printable escaped, as in \\x1b; JSON stays as it is."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@contextmanager
def printing() -> Iterator[None]:
    """Print to stdout meanwhile, whatever its encoding; it ends quietly when nobody reads any more."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # what is buffered still would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
