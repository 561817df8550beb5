"""The newest runs by their summaries: what each did, how long it took, and which dates have failed since."""

from typing import Any

from pipeline.dates import parse_dates
from pipeline.storage import Lake

NEWEST_RUNS = 60
# of an error's text, and of a run's errors
SHOWN_CHARACTERS, SHOWN_ERRORS = 600, 20

Run = dict[str, Any]


def newest_runs(lake: Lake, cache: dict[str, Any]) -> list[Run]:
    """The newest runs that have a summary, oldest first. A summary never changes, so each is read once."""
    names = [name for name in lake.files("runs") if name.endswith("Z.json")][-NEWEST_RUNS:]
    known = cache.get("runs", {})
    runs = {name: known.get(name) or _run(lake.read(name)) for name in names}
    cache["runs"] = {name: run for name, run in runs.items() if run is not None}
    return list(cache["runs"].values())


def _run(summary: dict[str, Any] | None) -> Run | None:
    if summary is None:
        return None
    dates = summary.get("dates", {})
    failed = {date: _short(error) for date, error in summary.get("failed", {}).items()}
    built = [date for date, told in dates.items() if date not in failed and told.get("built", {}).keys() - {"raw"}]
    return {
        "as_of": summary.get("as_of", ""),
        "seconds": summary.get("seconds"),
        "chosen": summary.get("chosen_dates", ""),
        "built": len(built),
        "skipped": len(dates) - len(built) - len(failed),
        "failed": failed,
        "errors": _errors(summary, failed),
        "differing": len(summary.get("settled_dates_that_differ", [])),
    }


def _errors(summary: dict[str, Any], failed: dict[str, str]) -> list[str]:
    """What the run ended with; of a summary that does not name it, its failed dates and checks."""
    broken = [
        f"check {name}: {found['rows']} row(s)" for name, found in summary.get("checks", {}).items() if found["rows"]
    ]
    told = summary.get("errors")
    errors = told if told is not None else [*dict.fromkeys(failed.values()), *broken]
    return [_short(error) for error in errors[:SHOWN_ERRORS]]


def _short(error: object) -> str:
    text = str(error)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def still_failed(runs: list[Run]) -> dict[str, str]:
    """The error of each date that failed when a run last looked at it."""
    failed: dict[str, str] = {}
    for run in runs:
        if failed and run["chosen"]:
            for date in parse_dates(run["chosen"]):
                failed.pop(date, None)
        failed |= run["failed"]
    return failed
