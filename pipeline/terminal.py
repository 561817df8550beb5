"""Text for people: nothing in it can steer their terminal, and a reader who has left, as `head` does, is no error."""

import io
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

# not printable, so no text has it; rich would break a line at a no-break space
HELD_SPACE = "\ue000"


def printable(text: str | bytes) -> str:
    """The text with each character or byte that is not printable escaped, as in \\x1b; JSON stays as it is."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def whole(text: str) -> str:
    """Printable text, such as a command, that no line is broken in, so that it can be copied; then call unheld()."""
    return text.replace(" ", HELD_SPACE)


def unheld(text: str) -> str:
    """Text with the spaces that whole() has held together."""
    return text.replace(HELD_SPACE, " ")


def wrapped(text: str, width: int, indent: str) -> str:
    """Printable text in lines of at most `width` characters. `indent` precedes the lines after the first.

    A word that is longer has a line of its own.
    """
    lines = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


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
