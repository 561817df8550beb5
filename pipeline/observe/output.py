"""What a run prints at its end: a title, the table of its dates if that is short or asked for, and the brief."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.observe.brief import Files, brief
from pipeline.observe.counts import totals
from pipeline.observe.history import Summary
from pipeline.observe.problems import problems
from pipeline.observe.table import Row, grid, notes, rows
from pipeline.terminal import printing, unheld, whole, wrapped

if TYPE_CHECKING:
    from rich.console import Console

TABLE_UP_TO_DATES = 7
NARROW_BELOW_COLUMNS = 100
# "left out" and "problems" are the longest labels
LABEL_WIDTH = 10
CONTINUED = 2
# wider than any table: what is no terminal gets lines as long as they are
UNBOUNDED = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """How a run shows its end: with the table however many dates it has, and with the report that it will write."""

    is_verbose: bool = False
    report: str | None = None


SHORT = Wanted()


def show(summary: Summary, path: str, unusual: Sequence[str], wanted: Wanted) -> None:
    """Print the summary to stdout. `path` is its file. `unusual` says what is unusual about the source."""
    console = _console()
    with console.capture() as captured:
        _print(console, f"{summary.command or 'RunAll'} as of {summary.as_of}")
        console.print()
        if wanted.is_verbose or len(summary.dates) <= TABLE_UP_TO_DATES:
            _print_table(console, summary)
        for line in brief(summary, problems(summary, unusual), Files(path, wanted.report)):
            _print(console, f"{line.label:<{LABEL_WIDTH}}{line.text}", LABEL_WIDTH, line.style)
    with printing():
        # the cells of the table end with spaces that nobody needs
        print(*(line.rstrip() for line in unheld(captured.get()).splitlines()), sep="\n")


def _console() -> "Console":
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, force_terminal=is_terminal, width=None if is_terminal else UNBOUNDED)


def _print_table(console: "Console", summary: Summary) -> None:
    """The table, and its notes as a paragraph of their own; nothing where a run has no date at all."""
    shown = rows(summary)
    if not shown:
        return
    is_narrow = console.width < NARROW_BELOW_COLUMNS
    console.print(grid(shown, is_narrow=is_narrow))
    console.print()
    noted = [*(_reasons(shown) if is_narrow else []), *notes(summary)]
    for note in noted:
        _print(console, note)
    if noted:
        console.print()


def _reasons(shown: Sequence[Row]) -> Iterator[str]:
    """A line of discard reasons for each row of the table that has discarded records."""
    for label, counted, _ in shown:
        total = totals(counted)
        if total.discarded:
            yield f"{label}: discarded {', '.join(map(whole, total.named_reasons))}"


def _print(console: "Console", text: str, label: int = 0, style: str = "") -> None:
    """Print printable text, in as many lines as it takes. It begins with a label of this width, without the style."""
    from rich.text import Text

    lines = Text(wrapped(text, console.width, " " * (label + CONTINUED)))
    lines.stylize(style, label)
    # the text is wrapped already. A command longer than a line must not be wrapped, so that it can be copied
    console.print(lines, soft_wrap=True)
