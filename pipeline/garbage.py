"""When Python looks for garbage: not while it imports, which leaves none and makes it look again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for none meanwhile. Measured: 0.05 to 0.1 s of an import of the package that takes 0.7 s."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
