"""The findings of doctor, one per line, and the commands that mend them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pipeline.dates import fold_dates
from pipeline.terminal import printable

OK, WARNING, ERROR = "ok", "warning", "error"
STYLES = {OK: "green", WARNING: "yellow", ERROR: "bold red"}


@dataclass(frozen=True)
class Diagnosis:
    """One finding, and how to mend it.

    ERROR: readers get wrong data, or a run fails. WARNING: a person should look at it.
    """

    level: str
    subject: str
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Commands:
    """Shell commands. `settings` are the quoted options with which doctor was started, so they reach the same lake."""

    settings: str = ""

    def pipeline(self, words: str = "") -> str:
        """`python -m pipeline` with these words."""
        return " ".join(filter(None, ["python -m pipeline", words, self.settings]))

    def task(self, task: str, dates: Sequence[str] = (), flag: str = "") -> str:
        """A luigi command for the task, with `--date` if there are dates."""
        chosen = f"--date {fold_dates(dates)}" if dates else ""
        words = ["luigi --module pipeline", task, chosen, flag, "--local-scheduler", self.settings]
        return " ".join(filter(None, words))

    def rebuild(self, dates: Sequence[str]) -> str:
        """The command that rebuilds all tables from raw, from the first to the last of the dates."""
        until = date.fromisoformat(max(dates)) + timedelta(days=1)
        return self.pipeline(f"--since {min(dates)} --until {until} --reprocess")


def show(found: Sequence[Diagnosis]) -> None:
    """Print the findings to stdout: on a terminal in colours and wrapped; otherwise one line per finding."""
    counts = {level: sum(diagnosis.level == level for diagnosis in found) for level in STYLES}
    totals = f"{counts[OK]} ok, {counts[WARNING]} warning(s), {counts[ERROR]} error(s)"
    if sys.stdout.isatty():
        _show_in_colours(found)
    else:
        width = max(len(diagnosis.subject) for diagnosis in found)
        for diagnosis in found:
            print(printable(f"{diagnosis.level:<7}  {diagnosis.subject:<{width}}  {_text(diagnosis)}"))
    print(totals)


def _text(diagnosis: Diagnosis) -> str:
    return diagnosis.found + (f"; {diagnosis.mend}" if diagnosis.mend else "")


def _show_in_colours(found: Sequence[Diagnosis]) -> None:
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid.grid(padding=(0, 2, 0, 0))
    for diagnosis in found:
        level = Text(diagnosis.level, STYLES[diagnosis.level])
        # Text, not markup: a finding may hold brackets
        grid.add_row(level, Text(printable(diagnosis.subject)), Text(printable(_text(diagnosis)), overflow="fold"))
    Console().print(grid)
