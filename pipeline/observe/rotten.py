"""Handles published files that cannot be read: their partitions count as lost, and the next run rebuilds them."""

from collections.abc import Iterable

from pipeline.contract import CURATED_STAGES, Stage
from pipeline.errors import CorruptPartition
from pipeline.lake import STALE, Lake
from pipeline.observe.contents import damaged


def disown_rotten(lake: Lake, stage: Stage, dates: Iterable[str]) -> dict[str, CorruptPartition]:
    """Disown the partitions of a stage with a damaged table. Returns the error of each, by date.

    It reads all files of these dates, so call it only after a scan over them has failed. Call it under the lake's lock.
    """
    whole = [(stage, date) for date in dates if lake.is_whole(stage, date)]
    found = {}
    tables = {date: damage for (_, date), damage in damaged(lake, whole).items() if damage.is_of_table}
    for date, (_, text) in sorted(tables.items()):
        lake.disown(stage.manifest_at(date))
        found[date] = CorruptPartition(
            f"{stage.layer}/date={date}: {text}; it counts as lost, and the next run of date={date} rebuilds it"
        )
    if found and stage in CURATED_STAGES:
        # with this mark, the next run that curates rebuilds them
        lake.files.write(STALE, {"as_of": None})
    return found
