"""Published files that turn out to be unreadable: their partitions count as lost, so the next run makes them anew."""

from collections.abc import Iterable

from pipeline.contract import CURATED_STAGES, Stage
from pipeline.errors import CorruptPartition
from pipeline.lake import STALE, Lake
from pipeline.observe.contents import damaged


def disown_rotten(lake: Lake, stage: Stage, dates: Iterable[str]) -> dict[str, CorruptPartition]:
    """Read the whole partitions of a stage and disown those that are damaged; the error of each, by date.

    It reads all of their files: call it when a scan over many of them has failed, under the lake's lock.
    """
    whole = [(stage, date) for date in dates if lake.is_whole(stage, date)]
    found = {}
    for (_, date), (_, text) in sorted(damaged(lake, whole).items(), key=lambda item: item[0][1]):
        lake.disown(stage.manifest_at(date))
        found[date] = CorruptPartition(
            f"{stage.layer}/date={date}: {text}; it counts as lost, and the next run of date={date} makes it anew"
        )
    if found and stage in CURATED_STAGES:
        # so that whoever curates next makes them anew
        lake.files.write(STALE, {"as_of": None})
    return found
