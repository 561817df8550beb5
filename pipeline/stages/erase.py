"""Removes one user's records from the raw partitions, and deletes unfinished extractions, which may hold some."""

import hashlib

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from pipeline.contract import NORMALIZED_STAGE, RAW_STAGE, UNDATED, raw_name
from pipeline.engine import Engine, Lines, split_lines
from pipeline.errors import NotLanded
from pipeline.events import emit
from pipeline.lake import (
    DUMP_SPOOLS,
    WINDOW_SPOOLS,
    Lake,
    Outcome,
    Publication,
    RawCounts,
    RawManifest,
    Run,
    corrupt,
    is_raw,
    moment,
    raw_id,
    why_outdated,
)
from pipeline.sources.dump import undated
from pipeline.sources.dump.undated_records import landed_records
from pipeline.sources.raw import Shape, fields_of, future_updates
from pipeline.stages.user import Held, lines_of_user, maps_of, may_hold, raw_bytes


def refuse_lost_raw(lake: Lake, held: dict[str, Held]) -> None:
    """Raise NotLanded if a date holds something of the user and its raw partition is not whole.

    The tables of such a date could not be rebuilt without the user.
    """
    lost = [date for date, part in held.items() if part.in_all and not _can_be_erased(lake, date)]
    if lost:
        raise NotLanded(
            f"raw date={', '.join(lost)}: not whole, so its tables cannot be rebuilt without the user; "
            "nothing was erased; run `python -m pipeline`, then run this command again"
        )


def erase(run: Run, user_id: str, shape: Shape) -> list[str]:
    """Publish, without the user's records, each raw partition that has some. Returns the dates to normalize again.

    Call it while you hold the right to ask the API (lake.work.extracting), because it deletes the windows that an
    extraction has begun. After a kill, the next call finishes the work. Raises CorruptPartition before anything is
    published, and RunFailed.
    """
    outcome = Outcome(RAW_STAGE)
    with run.lake.work.locked():
        run.lake.work.remove(WINDOW_SPOOLS)
        run.lake.work.remove(DUMP_SPOOLS)
        with run.open_engine() as engine:
            erasure = _Erasure(run, engine, user_id, shape)
            dates = [date for date in run.lake.partitions("raw") if _can_be_erased(run.lake, date)]
            publications = [made for date in dates if (made := erasure.publication(date)) is not None]
        for publication in publications:
            # until the date is published, this manifest says that the file may have the old or the new content
            current = run.lake.read_manifest(publication.name, RawManifest) or RawManifest(id=None)
            new = publication.manifest
            mark = replace(current, id=None, erasing=new.erased_from)
            if new.segments is not None:
                mark.segments = (current.segments or {}) | new.segments
            run.lake.write_manifest(publication.name, mark)
        run.lake.files.sync_folders([publication.name for publication in publications])
        outcome.fail_all(run.lake.publish(publications))
        outcome.close(run.lake, run.intent)
        emit("erased", records=erasure.records, partitions=len(publications))
        return [date for date in dates if date != UNDATED and why_outdated(run.lake, NORMALIZED_STAGE, date)]


def _can_be_erased(lake: Lake, date: str) -> bool:
    manifest = lake.raw(date)
    is_interrupted = manifest is not None and manifest.erasing is not None and lake.files.has(raw_name(date))
    return lake.whole(manifest) or is_interrupted


class _Erasure:
    """Stages raw partitions without the user's records. `records` counts the records that were removed."""

    def __init__(self, run: Run, engine: Engine, user_id: str, shape: Shape) -> None:
        self.run, self._engine, self._user_id, self._shape = run, engine, user_id, shape
        self.records = 0

    def publication(self, date: str) -> Publication[RawManifest] | None:
        """The publication of the date without the user; None if the date is whole and has no record of the user.

        Raises CorruptPartition.
        """
        manifest, data = self.run.lake.landed(date), self._landed(date)
        is_whole = manifest.id is not None
        if is_whole and not may_hold(data, self._user_id):
            return None
        if is_whole and not is_raw(str(manifest.id), data):
            raise corrupt(raw_name(date), "its bytes are not those that were landed")
        lines = split_lines(data)
        is_theirs = lines_of_user(self._engine, lines, self._user_id, maps_of(self.run.lake, date, self._shape))
        if is_whole and not is_theirs.any():
            return None
        self.records += int(is_theirs.sum())
        return (
            self._dated(date, manifest, lines, ~is_theirs) if date != UNDATED else self._undated(manifest, ~is_theirs)
        )

    def _landed(self, date: str) -> bytes:
        is_undated = date == UNDATED
        return landed_records(self.run.lake).records.content if is_undated else raw_bytes(self.run.lake, date)

    def _dated(self, date: str, manifest: RawManifest, lines: Lines, stays: np.ndarray) -> Publication[RawManifest]:
        kept = split_lines(_content(lines, stays))
        staged = self.run.lake.files.stage_bytes(raw_name(date), kept.buffer)
        future = future_updates(self._engine, kept, moment(manifest.answers_as_of), fields_of(manifest))
        without = self._without(date, manifest, raw_id(hashlib.sha256(kept.buffer).hexdigest(), future))
        without.counts = RawCounts(kept.size)
        return Publication(RAW_STAGE.manifest_at(date), without, {raw_name(date): staged})

    def _undated(self, manifest: RawManifest, stays: np.ndarray) -> Publication[RawManifest]:
        """The publication of the undated records that stay.

        Their quarantine is staged here, because undated records are never normalized.
        """
        kept = landed_records(self.run.lake).records.only(list(stays))
        made = undated.staged(self.run, self._engine, kept, RawManifest(id=None), "erased")
        without = self._without(UNDATED, manifest, str(made.manifest.id))
        made.manifest = replace(without, counts=made.manifest.counts, segments=made.manifest.segments)
        return undated.publication(self.run.lake, made)

    def _without(self, date: str, manifest: RawManifest, new_id: str) -> RawManifest:
        """The landed manifest with a new id. `api` is cleared, because this content was not fetched."""
        is_published = date != UNDATED and self.run.lake.normalized(date) is not None
        return replace(
            manifest,
            id=new_id,
            as_of=self.run.intent.stamp,
            because="erased",
            api=None,
            files={},
            changes=None,
            erasing=None,
            erased_from=manifest.erased_from or manifest.erasing or manifest.id,
            # a date that was normalized before is normalized again, even if its map fits no record that is left
            accepts_fields=manifest.accepts_fields or is_published or None,
        )


def _content(lines: Lines, stays: np.ndarray) -> bytes:
    kept = lines.array().filter(pa.array(stays))
    return b"".join(kept.to_pylist())
