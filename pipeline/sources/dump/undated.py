"""The undated partition: the records without a usable date of all dumps. Each keeps the reason it came with."""

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
    write_quarantine,
)
from pipeline.sources.raw import as_answered

MANIFEST = RAW_STAGE.manifest_at(UNDATED)


def is_taken_in(lake: Lake, inventory: Inventory) -> bool:
    """Whether the undated records of a dump were taken in. Some of them may have left the partition since."""
    landed, part = lake.raw(UNDATED), inventory.part(UNDATED)
    if landed is None:
        return not part.count and not lake.files.has(RAW) and not lake.files.has(QUARANTINE)
    return lake.whole(landed) and part.id in _taken_in(landed)


def take_in(run: Run, dump: Dump, inventory: Inventory) -> None:
    """Publish the union of the landed undated records and a dump's undated records. Call it under the lake's lock.

    A landed record leaves if the dump holds it with a date. It also leaves if it came more than `undated_days` ago and
    the dump does not hold it. A part that was taken in before is merged again only by --force, or if records were lost.
    Raises SpoolDamaged, OSError, and CorruptPartition if the landed records cannot be read.
    """
    if is_taken_in(run.lake, inventory) and run.lake.raw(UNDATED) is None:
        return
    manifest, part = run.lake.landed(UNDATED), inventory.part(UNDATED)
    landed, arriving = landed_records(run.lake), split(part_bytes(run.lake, dump, part))
    before, known = landed.records, _taken_in(run.lake.raw(UNDATED))
    is_merged = part.id in known and not run.intent.force and not landed.is_lost
    with run.open_engine() as engine:
        dated = _dated(run.lake, dump, inventory, before.lines, engine)
        expired = _expired(run, before, set(arriving))
        kept = before.only([not left for left in np.logical_or(dated, expired)])
        held = set(kept.lines)
        added = [] if is_merged else [line for line in arriving if line not in held]
        origin = Origin(inventory.answers_as_of, dump.shape.fields)
        now = Undated(kept.lines + added, kept.origins + [origin] * len(added))
        answer = replace(
            manifest,
            answers_as_of=max(moment_of(manifest), inventory.answers_as_of),
            taken_in=_recent(run, known) | {part.id: inventory.answers_as_of},
            made_from=dump.path,
        )
        if landed.is_intact and run.lake.whole(manifest) and now.lines == before.lines:
            run.lake.write_manifest(MANIFEST, replace(answer, segments={str(manifest.id): now.segments}))
            return
        made = staged(run, engine, now, answer, "dump read")
    came = dict(Counter(made.reasons[len(kept.lines) :]))
    _publish_changes(run, made, UndatedChanges(came, int(dated.sum()), int((expired & ~dated).sum())))


def _publish_changes(run: Run, made: "Staged", changes: UndatedChanges) -> None:
    made.manifest.changes = changes
    publish(run.lake, made)
    emit("discarded", date=UNDATED, **changes.added)
    if changes.expired:
        emit("undated_expired", records=changes.expired, after_days=run.lake.undated_days)


def empty(run: Run, reason: str) -> int:
    """Drop all undated records; returns their number. Those that a dump still has come back only by --force.

    Raises StorageUnusable.
    """
    with run.lake.work.locked():
        landed = run.lake.landed(UNDATED)
        records = len(landed_records(run.lake).records.lines)
        answer = RawManifest(
            id=None,
            answers_as_of=moment_of(landed) or run.intent.stamp,
            taken_in=_taken_in(run.lake.raw(UNDATED)),
        )
        with run.open_engine() as engine:
            made = staged(run, engine, Undated([], []), answer, "dropped")
        publish(run.lake, made)
    emit("dropped", dates="undated", records=records, reason=reason)
    return records


@dataclass
class Staged:
    """The staged partition: its manifest, and the reason to discard each record."""

    manifest: RawManifest
    reasons: list[str]


def staged(run: Run, engine: Engine, now: Undated, answer: RawManifest, because: str) -> Staged:
    """Stage these records and their quarantine. `answer` has the answers_as_of, taken_in and made_from to publish."""
    run.lake.files.stage_bytes(RAW, now.content)
    reasons = write_quarantine(engine, now, run.lake.files.stage(QUARANTINE))
    digest = hashlib.sha256(now.content).hexdigest()
    counts = RawCounts(len(now.lines), dict(Counter(reasons)))
    manifest = RawManifest(
        id=digest,
        counts=counts,
        segments={digest: now.segments},
        answers_as_of=answer.answers_as_of,
        taken_in=answer.taken_in,
        made_from=answer.made_from,
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
    landed = lake.raw(UNDATED)
    segments = (segments_of(landed) if landed is not None else {}) | (made.manifest.segments or {})
    taken_in = _taken_in(landed) if landed is not None else None
    interrupted = replace(lake.landed(UNDATED), id=None, segments=segments, taken_in=taken_in)
    lake.write_manifest(MANIFEST, interrupted)
    lake.files.sync_folders([MANIFEST])
    for error in lake.publish([publication(lake, made)]).values():
        raise error


def _taken_in(manifest: RawManifest | None) -> dict[str, str]:
    """The id of each part that was taken in, with its answers_as_of. Records of a part may have left since."""
    if manifest is None:
        return {}
    if manifest.taken_in is not None:
        return manifest.taken_in
    ids = (manifest.id, manifest.erased_from, EMPTY_ID)
    return {raw_id: moment_of(manifest) for raw_id in ids if raw_id}


def _recent(run: Run, taken_in: dict[str, str]) -> dict[str, str]:
    return {raw_id: at for raw_id, at in taken_in.items() if at >= _limit(run)}


def _limit(run: Run) -> str:
    return (run.intent.as_of - timedelta(days=run.lake.undated_days)).strftime(AS_OF_FORMAT)


def _dated(lake: Lake, dump: Dump, inventory: Inventory, lines: list[bytes], engine: Engine) -> np.ndarray:
    """Which of the lines the dump holds with a date."""
    found = np.zeros(len(lines), bool)
    of_date: dict[str, set[bytes]] = {}
    bound = split_lines(b"".join(lines))
    at = same_instant(moment(inventory.answers_as_of), bound.size)
    bind_lines(engine, bound, answers_as_of=at, fields=dump.shape.fields)
    for row in engine.query("landing").to_pylist():
        date = str(row["date"])
        if date in inventory.parts:
            if date not in of_date:
                of_date[date] = set(split(part_bytes(lake, dump, inventory.part(date))))
            found[row["position"]] = lines[row["position"]] in of_date[date]
    return found


def _expired(run: Run, before: Undated, arriving: set[bytes]) -> np.ndarray:
    limit = _limit(run)
    pairs = zip(before.lines, before.origins, strict=True)
    return np.array([origin.answers_as_of < limit and line not in arriving for line, origin in pairs], bool)
