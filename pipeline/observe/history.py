"""The summaries of earlier runs, the newest first."""

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.storage import Lake


def runs(lake: Lake) -> Iterator[dict[str, Any]]:
    """The summary of each run that has one, read one by one."""
    try:
        names = os.listdir(lake.path("runs"))
    except FileNotFoundError:
        return
    for name in sorted((name for name in names if name.endswith(".json")), reverse=True):
        summary = lake.read(f"runs/{name}")
        if summary is not None:
            yield summary


def last_success(lake: Lake) -> datetime | None:
    """When the newest run without an error began, naive UTC; None when there is none."""
    succeeded = next((run for run in runs(lake) if not run.get("errors")), None)
    return datetime.fromisoformat(succeeded["as_of"]).replace(tzinfo=None) if succeeded else None
