"""Examines whether this user can write to a run's folders, and whether the disks have room for a run."""

import os
import shlex
import shutil

from pipeline.contract import LAYERS, STAGES
from pipeline.lake import Lake, Manifest
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Diagnosis
from pipeline.tasks.base import open_lake
from pipeline.tasks.dims import warehouse_path
from pipeline.tasks.source import open_source

LOW_SHARE = 0.05
MEND = "mend: delete files on this disk"


def folders() -> list[Diagnosis]:
    """Examine whether this user can write to all folders that a run writes to."""
    lake, warehouse = open_lake(), warehouse_path()
    places = {"[storage] root": str(lake.root), "[warehouse] path": os.path.dirname(warehouse)}
    written = [lake.files.fetch(name) for name in (*LAYERS, "runs") if lake.files.has(name)]
    found = [fault for setting, path in places.items() if (fault := _refused(setting, path)) is not None]
    found += [fault for path in written if (fault := _refused("[storage] root", path)) is not None]
    return found or [Diagnosis(OK, "folders", f"{lake.root} and {os.path.dirname(warehouse)} can be written")]


def _refused(setting: str, path: str) -> Diagnosis | None:
    place = _existing(path)
    if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
        return None
    why = "cannot be written by this user" if os.path.isdir(place) else "is not a folder"
    mend = f"mend: correct {setting} in luigi.cfg, or chown/chmod {shlex.quote(place)}"
    return Diagnosis(ERROR, "folders", f"{setting} = {path}: {place} {why}", mend)


def _existing(path: str) -> str:
    """The path, or the nearest folder above it that exists."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def disk() -> list[Diagnosis]:
    """The free bytes of each disk, and the bytes that a run may need: the largest date, the dump, the warehouse."""
    lake, warehouse = open_lake(), warehouse_path()
    dump = open_source().bytes_to_lay_out
    largest = _largest_date(lake) if lake.root.is_dir() else 0
    needs = {str(lake.root): largest + dump, os.path.dirname(warehouse): _bytes(warehouse)}
    by_disk: dict[int, tuple[str, int]] = {}
    for path, need in needs.items():
        device = os.stat(_existing(path)).st_dev
        first, before = by_disk.get(device, (path, 0))
        by_disk[device] = (first, before + need)
    return [space(path, shutil.disk_usage(_existing(path)), need) for path, need in by_disk.values()]


def space(path: str, usage: tuple[int, int, int], need: int) -> Diagnosis:
    """The finding for a disk. `usage` is (total, used, free) in bytes; a run may need `need` bytes."""
    total, _, free = usage
    text = f"{path}: {free:,} bytes free of {total:,}; a run may need {need:,}"
    if free < need:
        return Diagnosis(ERROR, "disk", text, f"{MEND}, or move [storage] root or [warehouse] path to another disk")
    low = free < LOW_SHARE * total or free < 2 * need
    return Diagnosis(WARNING if low else OK, "disk", text, MEND if low else "")


def _largest_date(lake: Lake) -> int:
    dates = {date for stage in STAGES for date in lake.partitions(stage.layer)}
    return max((sum(_published_bytes(lake.manifest(stage, date)) for stage in STAGES) for date in dates), default=0)


def _published_bytes(manifest: Manifest | None) -> int:
    return sum(manifest.files.values()) if manifest is not None else 0


def _bytes(path: str) -> int:
    return os.stat(path).st_size if os.path.isfile(path) else 0
