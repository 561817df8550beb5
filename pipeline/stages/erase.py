"""Removes one user's records from the raw partitions, and whatever unfinished work may hold some."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.contract import NORMALIZED_STAGE, RAW_STAGE, UNDATED
from pipeline.engine.connection import Engine
from pipeline.engine.lines import Lines, split_lines
from pipeline.errors import NotLanded
from pipeline.events import emit
from pipeline.lake.files import Lake, Manifest, Publication, partition
from pipeline.lake.freshness import answers_as_of, moment, stale
from pipeline.lake.manifests import is_raw, raw_id
from pipeline.lake.outcome import Outcome, corrupt
from pipeline.lake.run import Run
from pipeline.sources.dump import undated
from pipeline.sources.raw import Shape, fields_of, future_updates, raw_name
from pipeline.stages.user import Held, is_of_user, maps_of, may_hold, raw_bytes


def refuse_broken(lake: Lake, held: dict[str, Held]) -> None:
    """Raises NotLanded for dates that hold something of the user and whose raw partition is not whole.

    What is made from such a partition could not be made anew.
    """
    broken = [date for date, part in held.items() if part.in_all and not _can_be_erased(lake, date)]
    if broken:
        raise NotLanded(
            f"raw date={', '.join(broken)}: not whole, so what was made from it cannot be made anew without the user; "
            "nothing was erased; run RunAll for it, then this command again"
        )


def erase(run: Run, user_id: str, shape: Shape) -> list[str]:
    """Publish each raw partition that holds the user without them; the dates that have to be normalized anew.

    Call it while you hold the right to ask the API, as what is unfinished of that is deleted. When it was killed, the
    next call goes on. Raises CorruptPartition, before anything is published, and RunFailed.
    """
    outcome = Outcome(RAW_STAGE)
    with run.lake.locked():
        run.lake.remove_window_spools()
        run.lake.remove_dump_spools()
        with run.open_engine() as engine:
            erasure = _Erasure(run, engine, user_id, shape)
            dates = [date for date in run.lake.partitions("raw") if _can_be_erased(run.lake, date)]
            publications = [made for date in dates if (made := erasure.publication(date)) is not None]
        for publication in publications:
            # until its date is published, this says that the file has the old content or the new one
            mark = {"id": None, "erasing": publication.body["erased_from"]}
            current = run.lake.read(publication.manifest) or {}
            if "segments" in publication.body:
                mark["segments"] = current.get("segments", {}) | publication.body["segments"]
            run.lake.write(publication.manifest, current | mark)
        run.lake.sync_folders([publication.manifest for publication in publications])
        outcome.fail_all(run.lake.publish(publications))
        outcome.close(run.lake, run.intent)
        emit("erased", records=erasure.records, partitions=len(publications))
        return [date for date in dates if date != UNDATED and stale(run.lake, NORMALIZED_STAGE, date)]


def _can_be_erased(lake: Lake, date: str) -> bool:
    manifest = lake.manifest(RAW_STAGE, date) or {}
    return lake.whole(manifest) or ("erasing" in manifest and lake.has(raw_name(date)))


class _Erasure:
    """Stages raw partitions without the user's records, and counts these."""

    def __init__(self, run: Run, engine: Engine, user_id: str, shape: Shape) -> None:
        self.run, self._engine, self._user_id, self._shape = run, engine, user_id, shape
        self.records = 0

    def publication(self, date: str) -> Publication | None:
        """What publishes the date without the user; None when it holds nothing of them and is whole."""
        manifest = self.run.lake.manifest(RAW_STAGE, date) or {}
        data = (
            undated.landed_records(self.run.lake).records.content if date == UNDATED else raw_bytes(self.run.lake, date)
        )
        is_whole = manifest["id"] is not None
        if is_whole and not may_hold(data, self._user_id):
            return None
        if is_whole and not is_raw(manifest["id"], data):
            raise corrupt(raw_name(date), "its bytes are not those that were landed")
        lines = split_lines(data)
        is_theirs = is_of_user(self._engine, lines, self._user_id, maps_of(self.run.lake, date, self._shape))
        if is_whole and not is_theirs.any():
            return None
        self.records += int(is_theirs.sum())
        return (
            self._dated(date, manifest, lines, ~is_theirs) if date != UNDATED else self._undated(manifest, ~is_theirs)
        )

    def _landed(self, date: str) -> bytes:
        is_undated = date == UNDATED
        return undated.landed_records(self.run.lake).records.content if is_undated else raw_bytes(self.run.lake, date)

    def _dated(self, date: str, manifest: Manifest, lines: Lines, stays: np.ndarray) -> Publication:
        kept = split_lines(_content(lines, stays))
        Path(self.run.lake.stage(raw_name(date))).write_bytes(kept.buffer)
        future = future_updates(self._engine, kept, moment(answers_as_of(manifest)), fields_of(manifest))
        body = self._body(manifest) | {
            "id": raw_id(hashlib.sha256(kept.buffer).hexdigest(), future),
            "counts": {"extracted": kept.size},
        }
        staged: dict[str, str | None] = {raw_name(date): self.run.lake.stage(raw_name(date))}
        return Publication(partition("raw", date, RAW_STAGE.manifest), body, staged)

    def _undated(self, manifest: Manifest, stays: np.ndarray) -> Publication:
        """Its records are all discarded, here and now."""
        kept = undated.landed_records(self.run.lake).records.only(list(stays))
        made = undated.staged(self.run, self._engine, kept, because="erased", extra={})
        made.body["counts"].pop("reasons")
        made.body = self._body(manifest) | {name: made.body[name] for name in ("id", "counts", "segments")}
        return made

    def _body(self, manifest: Manifest) -> Manifest:
        """The landed manifest without what describes its content. `api` is cleared: this content was not fetched."""
        changed = {
            "as_of": self.run.intent.stamp,
            "because": "erased",
            "api": None,
            "erased_from": manifest.get("erased_from") or manifest.get("erasing") or manifest["id"],
        }
        return {
            name: value for name, value in manifest.items() if name not in ("files", "erasing", "changes")
        } | changed


def _content(lines: Lines, stays: np.ndarray) -> bytes:
    """The lines that stay."""
    kept = lines.array().filter(pa.array(stays))
    return b"".join(kept.to_pylist())
