"""The undated partition: the records of all dumps that have no usable date.

A record is judged by the moment and the map of the dump that brought it.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from msgspec.structs import replace

from pipeline.contract import RAW_STAGE, UNDATED
from pipeline.engine import Engine, bind_lines, same_instant, split_lines
from pipeline.events import emit
from pipeline.lake import AS_OF_FORMAT, EMPTY_ID, Lake, Publication, RawCounts, RawManifest, Run, UndatedChanges, moment
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import Inventory
from pipeline.sources.dump.spool import part_bytes
from pipeline.sources.dump.undated_records import (
    QUARANTINE,
    RAW,
    Origin,
    Undated,
    landed_records,
    moment_of,
    segments_of,
    split,
    stage_quarantine,
)
from pipeline.sources.raw import as_answered

MANIFEST = RAW_STAGE.manifest_at(UNDATED)


def is_taken_in(lake: Lake, inventory: Inventory) -> bool:
    """Whether there is nothing to merge: the undated records of the dump were merged before, or there are none.

    Some of the merged records may have left the partition since.
    """
    manifest, part = lake.raw(UNDATED), inventory.part(UNDATED)
    if manifest is None:
        return not part.count and not lake.files.has(RAW) and not lake.files.has(QUARANTINE)
    return lake.whole(manifest) and part.id in _taken_in(manifest)


def take_in(run: Run, dump: Dump, inventory: Inventory) -> None:
    """Merge the undated records of a dump into the undated partition, and publish it. Call it under the lake's lock.

    A record of the dump is added unless the partition holds equal bytes. A landed record leaves if the dump holds it
    with a date. A landed record also leaves if the dump that brought it is older than `undated_days` and this dump does
    not hold it. Records of a dump that were merged before are added again only by --force, or if the landed records are
    lost. Raises SpoolDamaged, OSError, and CorruptPartition if the landed records cannot be read.
    """
    if is_taken_in(run.lake, inventory) and run.lake.raw(UNDATED) is None:
        return
    manifest, part = run.lake.landed(UNDATED), inventory.part(UNDATED)
    landed, arriving = landed_records(run.lake), split(part_bytes(run.lake, dump, UNDATED, part))
    before, known = landed.records, _taken_in(run.lake.raw(UNDATED))
    adds_nothing = part.id in known and not run.intent.force and not landed.is_lost
    with run.open_engine() as engine:
        dated = _dated(run.lake, dump, inventory, before.lines, engine)
        expired = _expired(run, before, set(arriving))
        kept = before.only([not left for left in np.logical_or(dated, expired)])
        held = set(kept.lines)
        added = [] if adds_nothing else [line for line in arriving if line not in held]
        origin = Origin(inventory.answers_as_of, dump.shape.fields)
        now = Undated(kept.lines + added, kept.origins + [origin] * len(added))
        template = replace(
            manifest,
            answers_as_of=max(moment_of(manifest), inventory.answers_as_of),
            taken_in=_recent(run, known) | {part.id: inventory.answers_as_of},
            made_from=dump.path,
        )
        if landed.is_intact and run.lake.whole(manifest) and now.lines == before.lines:
            run.lake.write_manifest(MANIFEST, replace(template, segments={str(manifest.id): now.segments}))
            return
        made = staged(run, engine, now, template, "dump read")
    came = dict(Counter(made.reasons[len(kept.lines) :]))
    _publish_changes(run, made, UndatedChanges(came, int(dated.sum()), int((expired & ~dated).sum())))


def _publish_changes(run: Run, made: "Staged", changes: UndatedChanges) -> None:
    made.manifest.changes = changes
    publish(run.lake, made)
    emit("discarded", date=UNDATED, **changes.added)
    if changes.expired:
        emit("undated_expired", records=changes.expired, after_days=run.lake.undated_days)


def drop_undated_records(run: Run, reason: str) -> int:
    """Drop all undated records. Returns how many there were.

    Records that a dump still has come back only by --force. Raises CorruptPartition, LakeBusy and StorageUnusable.
    """
    with run.lake.work.locked():
        manifest = run.lake.landed(UNDATED)
        records = len(landed_records(run.lake).records.lines)
        template = RawManifest(
            id=None,
            answers_as_of=moment_of(manifest) or run.intent.stamp,
            taken_in=_taken_in(run.lake.raw(UNDATED)),
        )
        with run.open_engine() as engine:
            made = staged(run, engine, Undated([], []), template, "dropped")
        publish(run.lake, made)
    emit("dropped", dates="undated", records=records, reason=reason)
    return records


@dataclass
class Staged:
    """The staged partition: its manifest, and the reason to discard each record."""

    manifest: RawManifest
    reasons: list[str]


def staged(run: Run, engine: Engine, now: Undated, template: RawManifest, because: str) -> Staged:
    """Stage these records and their quarantine.

    The new manifest has the answers_as_of, the taken_in and the made_from of `template`, and no other of its values.
    """
    run.lake.files.stage_bytes(RAW, now.content)
    reasons = stage_quarantine(run.lake, engine, now)
    digest = hashlib.sha256(now.content).hexdigest()
    counts = RawCounts(len(now.lines), dict(Counter(reasons)))
    manifest = RawManifest(
        id=digest,
        counts=counts,
        segments={digest: now.segments},
        answers_as_of=template.answers_as_of,
        taken_in=template.taken_in,
        made_from=template.made_from,
    )
    return Staged(as_answered(run, manifest, because), reasons)


def publication(lake: Lake, made: Staged) -> Publication[RawManifest]:
    """The publication of the staged records and their quarantine."""
    quarantine = lake.files.stage(QUARANTINE) if made.reasons else None
    return Publication(MANIFEST, made.manifest, {RAW: lake.files.stage(RAW), QUARANTINE: quarantine})


def publish(lake: Lake, made: Staged) -> None:
    """Replace the partition. Raises OSError.

    While it is replaced, the manifest has the segments of the old and of the new content, so a kill loses neither.
    """
    manifest = lake.raw(UNDATED)
    segments = (segments_of(manifest) if manifest is not None else {}) | (made.manifest.segments or {})
    taken_in = _taken_in(manifest) if manifest is not None else None
    interrupted = replace(lake.landed(UNDATED), id=None, segments=segments, taken_in=taken_in)
    lake.write_manifest(MANIFEST, interrupted)
    lake.files.sync_folders([MANIFEST])
    for error in lake.publish([publication(lake, made)]).values():
        raise error


def _taken_in(manifest: RawManifest | None) -> dict[str, str]:
    """The id of each part that was merged, with its answers_as_of. Records of a part may have left since."""
    if manifest is None:
        return {}
    if manifest.taken_in is not None:
        return manifest.taken_in
    ids = (manifest.id, manifest.erased_from, EMPTY_ID)
    return {raw_id: moment_of(manifest) for raw_id in ids if raw_id}


def _recent(run: Run, taken_in: dict[str, str]) -> dict[str, str]:
    """The parts that are not older than undated_days."""
    return {raw_id: at for raw_id, at in taken_in.items() if at >= _limit(run)}


def _limit(run: Run) -> str:
    """The stamp that lies undated_days before this run."""
    return (run.intent.as_of - timedelta(days=run.lake.undated_days)).strftime(AS_OF_FORMAT)


def _dated(lake: Lake, dump: Dump, inventory: Inventory, lines: list[bytes], engine: Engine) -> np.ndarray:
    """One boolean per line: the dump holds the line with a date."""
    found = np.zeros(len(lines), bool)
    of_date: dict[str, set[bytes]] = {}
    bound = split_lines(b"".join(lines))
    at = same_instant(moment(inventory.answers_as_of), bound.size)
    bind_lines(engine, bound, answers_as_of=at, fields=dump.shape.fields)
    for row in engine.query("landing").to_pylist():
        date = str(row["date"])
        if date in inventory.parts:
            if date not in of_date:
                of_date[date] = set(split(part_bytes(lake, dump, date, inventory.part(date))))
            found[row["position"]] = lines[row["position"]] in of_date[date]
    return found


def _expired(run: Run, before: Undated, arriving: set[bytes]) -> np.ndarray:
    """One boolean per record: its dump is older than undated_days, and the record is not in `arriving`."""
    limit = _limit(run)
    pairs = zip(before.lines, before.origins, strict=True)
    return np.array([origin.answers_as_of < limit and line not in arriving for line, origin in pairs], bool)
