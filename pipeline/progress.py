"""Progress of a piece of work: shown as a bar if stderr is a terminal, and passed to a listener."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# the name of the work, the amount done, the total amount, a remark
Listener = Callable[[str, int, int, str], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def listen(listener: Listener) -> None:
    """Pass the progress of this thread's work to the listener from now on."""
    _listener.set(listener)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Show how much of `total` is done. Call the yielded function with each amount done, and a remark if any."""
    listener, done = _listener.get(), 0
    with _bar(what, total) as show:

        def advance(amount: int, remark: str = "") -> None:
            nonlocal done
            done += amount
            show(amount, remark)
            if listener is not None:
                listener(what, done, total, remark)

        yield advance


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, remark="")
        yield lambda amount, remark: bar.update(task, advance=amount, remark=remark)
