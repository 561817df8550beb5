"""Printing for people: text cannot control their terminal, and a closed pipe, as after `head`, is not an error."""

import io
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

# not printable, so no text has it; rich would break a line at a no-break space
HELD_SPACE = "\ue000"


def printable(text: str | bytes) -> str:
    """The text with each unprintable character or byte escaped, such as \\x1b. JSON on one line is unchanged."""
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
    """Let the block print to stdout in any encoding. If the reader closes the pipe, the block ends without an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # otherwise Python would fail once more at its end, when it flushes the buffer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
