"""The undated partition: all records without a usable date that any dump had, each judged as it was when it came."""

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import DISCARDED, QUARANTINE_FILE, RAW_STAGE, UNDATED
from pipeline.engine.connection import Engine
from pipeline.engine.lines import bind_lines, same_instant, split_lines
from pipeline.engine.normalizing import normalized
from pipeline.errors import CorruptPartition
from pipeline.events import emit
from pipeline.lake.files import Lake, Manifest, Publication, partition
from pipeline.lake.freshness import moment
from pipeline.lake.manifests import EMPTY_ID
from pipeline.lake.parquet import write_table
from pipeline.lake.run import AS_OF_FORMAT, Run
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.inventory import Inventory
from pipeline.sources.dump.spool import part_bytes
from pipeline.sources.raw import publication, raw_name

QUARANTINE = partition("quarantine", UNDATED, QUARANTINE_FILE)
MANIFEST = partition("raw", UNDATED, RAW_STAGE.manifest)
BATCH_LINES = 1 << 17
FUTURE = "future_created_at"

# neighbouring records that came with one dump: how many, and the moment that it speaks for
Segment = dict[str, Any]


@dataclass
class Undated:
    """The records of the partition, in order, and the moment by which each is judged."""

    lines: list[bytes]
    moments: list[str]

    @classmethod
    def of(cls, lines: list[bytes], segments: list[Segment]) -> "Undated":
        return cls(lines, [segment["answers_as_of"] for segment in segments for _ in range(segment["records"])])

    @property
    def content(self) -> bytes:
        return b"".join(self.lines)

    @property
    def segments(self) -> list[Segment]:
        """How many neighbouring records share a moment, from the first to the last."""
        found: list[Segment] = []
        for at in self.moments:
            if not found or found[-1]["answers_as_of"] != at:
                found.append({"records": 0, "answers_as_of": at})
            found[-1]["records"] += 1
        return found

    def only(self, stays: list[bool]) -> "Undated":
        """The records that stay."""
        kept = [pair for pair, stay in zip(zip(self.lines, self.moments, strict=True), stays, strict=True) if stay]
        return Undated([line for line, _ in kept], [at for _, at in kept])


@dataclass(frozen=True)
class Landed:
    """The records of the partition, and where they were found."""

    records: Undated
    # whether the raw file is the one that the manifest commits to
    is_intact: bool = False
    # whether records that the manifest counts are nowhere any more
    is_lost: bool = False


def is_taken_in(lake: Lake, inventory: Inventory) -> bool:
    """Whether the undated records of a dump have been taken in, also if they have left the partition since."""
    landed, part = lake.manifest(RAW_STAGE, UNDATED), inventory.part(UNDATED)
    if landed is None:
        return not part.count and not lake.has(raw_name(UNDATED)) and not lake.has(QUARANTINE)
    return lake.whole(landed) and part.id in _taken_in(landed)


def take_in(run: Run, dump: Dump, inventory: Inventory) -> None:
    """Publish the union of what is landed undated and of a dump's undated records. Call it under the lake's lock.

    Records leave that the dump holds with a date, and those whose moment is more than `undated_days` ago, unless the
    dump still holds them. A part that was taken in before is not merged again except by --force, or if records were
    lost. Raises SpoolDamaged, OSError, and CorruptPartition when the landed records cannot be read.
    """
    if is_taken_in(run.lake, inventory) and run.lake.manifest(RAW_STAGE, UNDATED) is None:
        return
    manifest, part = run.lake.manifest(RAW_STAGE, UNDATED) or {}, inventory.part(UNDATED)
    landed, arriving = landed_records(run.lake), _split(part_bytes(run.lake, dump, part))
    before, known = landed.records, _taken_in(manifest)
    is_merged = part.id in known and not run.intent.force and not landed.is_lost
    with run.open_engine() as engine:
        dated = _dated(run.lake, dump, inventory, before.lines, engine)
        expired = _expired(run, before, set(arriving))
        kept = before.only([not left for left in np.logical_or(dated, expired)])
        held = set(kept.lines)
        added = [] if is_merged else [line for line in arriving if line not in held]
        now = Undated(kept.lines + added, kept.moments + [inventory.answers_as_of] * len(added))
        body = {
            "answers_as_of": max(_moment_of(manifest), inventory.answers_as_of),
            "taken_in": _recent(run, known) | {part.id: inventory.answers_as_of},
            "made_from": dump.path,
        }
        if landed.is_intact and run.lake.whole(manifest) and now.lines == before.lines:
            run.lake.write(MANIFEST, manifest | body | {"segments": {manifest["id"]: now.segments}})
            return
        made = staged(run, engine, now, because="dump read", extra=body)
    _publish_changes(run, made, len(kept.lines), dated, expired & ~dated)


def _publish_changes(run: Run, made: Publication, kept: int, dated: np.ndarray, expired: np.ndarray) -> None:
    """Publish, and tell what has come since the first `kept` records and what has left."""
    came = Counter(made.body["counts"].pop("reasons")[kept:])
    made.body["changes"] = {"added": came, "dated": int(dated.sum()), "expired": int(expired.sum())}
    publish(run.lake, made)
    emit("discarded", date=UNDATED, **came)
    if expired.any():
        emit("undated_expired", records=int(expired.sum()), after_days=run.lake.undated_days)


def landed_records(lake: Lake) -> Landed:
    """The records of the partition as it is; none when there is none.

    If the raw file is lost, damaged or without its manifest they are those in quarantine. Raises CorruptPartition when
    neither file can be read.
    """
    manifest, path = lake.manifest(RAW_STAGE, UNDATED), Path(lake.path(raw_name(UNDATED)))
    data = path.read_bytes() if path.is_file() else None
    digest = hashlib.sha256(data).hexdigest() if data is not None else ""
    segments = _segments(manifest).get(digest) if manifest is not None else None
    if data is not None and segments is not None:
        return Landed(Undated.of(_split(data), segments), is_intact=manifest is not None and manifest["id"] == digest)
    lines = _quarantined(lake)
    if lines is None and manifest is None and data is not None:
        # raw is replaced whole, so without a manifest it is what was landed last
        lines = _split(data)
    if lines is not None:
        return Landed(Undated(lines, [_oldest_moment(manifest, path)] * len(lines)))
    counted = (manifest or {}).get("counts", {}).get("extracted", 0)
    if not counted or (data is None and not lake.has(QUARANTINE)):
        if counted:
            reason = f"{raw_name(UNDATED)} and {QUARANTINE} are gone; the records that no dump holds any more are lost"
            emit("undated_lost", level=logging.WARNING, records=counted, reason=reason)
        return Landed(Undated([], []), is_lost=bool(counted))
    raise CorruptPartition(
        f"{raw_name(UNDATED)}: its bytes are not those that were landed, and {QUARANTINE} cannot be read either; "
        "restore one of them from a backup, or delete both and run again: then only what the dump has comes back"
    )


def _oldest_moment(manifest: Manifest | None, path: Path) -> str:
    """The moment for records of which it is not known with which dump they came."""
    if manifest is None:
        files = [file for file in (path, *path.parent.glob("*")) if file.is_file()]
        written_at = min((file.stat().st_mtime for file in files), default=0.0)
        return datetime.fromtimestamp(written_at, UTC).strftime(AS_OF_FORMAT)
    moments = (segment["answers_as_of"] for found in _segments(manifest).values() for segment in found)
    return min(moments, default=_moment_of(manifest))


def empty(run: Run, reason: str) -> int:
    """Drop all undated records, of which those that a dump still has do not come back except by --force; how many.

    Raises StorageUnusable.
    """
    with run.lake.locked():
        landed = run.lake.manifest(RAW_STAGE, UNDATED) or {}
        records = len(landed_records(run.lake).records.lines)
        moment_now = _moment_of(landed) or run.intent.stamp
        extra = {"answers_as_of": moment_now, "taken_in": _taken_in(landed), "made_from": None}
        with run.open_engine() as engine:
            made = staged(run, engine, Undated([], []), because="dropped", extra=extra)
        made.body["counts"].pop("reasons")
        publish(run.lake, made)
    emit("dropped", dates="undated", records=records, reason=reason)
    return records


def staged(run: Run, engine: Engine, now: Undated, *, because: str, extra: Manifest) -> Publication:
    """What publishes these records, and their quarantine; `counts` has their `reasons` too, one a record."""
    Path(run.lake.stage(raw_name(UNDATED))).write_bytes(now.content)
    raw_id = hashlib.sha256(now.content).hexdigest()
    extra = {"fields": None, "api": None, "plain_by": None, "segments": {raw_id: now.segments}} | extra
    made = publication(run, UNDATED, raw_id, len(now.lines), because=because, extra=extra)
    reasons = _quarantine(engine, now, run.lake.stage(QUARANTINE))
    made.staged[QUARANTINE] = run.lake.stage(QUARANTINE) if reasons else None
    made.body["counts"] |= {"discarded": Counter(reasons), "reasons": reasons}
    return made


def publish(lake: Lake, made: Publication) -> None:
    """Replace the partition. After a kill in between, the manifest says what either content is. Raises OSError."""
    landed = lake.manifest(RAW_STAGE, UNDATED) or {}
    segments = (_segments(landed) if landed else {}) | made.body["segments"]
    taken_in = {"taken_in": _taken_in(landed)} if landed else {}
    lake.write(MANIFEST, landed | taken_in | {"id": None, "segments": segments})
    lake.sync_folders([MANIFEST])
    for error in lake.publish([made]).values():
        raise error


def _segments(manifest: Manifest) -> dict[str, list[Segment]]:
    """The segments of the raw file by the sha256 of its content; of lakes of before, all records came at once."""
    if manifest.get("segments"):
        return dict(manifest["segments"])
    records = manifest.get("counts", {}).get("extracted", 0)
    return {str(manifest["id"]): [{"records": records, "answers_as_of": _moment_of(manifest)}]}


def _moment_of(manifest: Manifest) -> str:
    return str(manifest.get("answers_as_of") or manifest.get("extracted_at") or manifest.get("as_of") or "")


def _taken_in(manifest: Manifest) -> dict[str, str]:
    """The ids of the parts that were taken in and the moments they spoke for; records of them may have left."""
    if "taken_in" in manifest:
        return dict(manifest["taken_in"])
    ids = (manifest.get("id"), manifest.get("erased_from"), EMPTY_ID) if manifest else ()
    return {raw_id: _moment_of(manifest) for raw_id in ids if raw_id}


def _recent(run: Run, taken_in: dict[str, str]) -> dict[str, str]:
    return {raw_id: at for raw_id, at in taken_in.items() if at >= _limit(run)}


def _limit(run: Run) -> str:
    return (run.intent.as_of - timedelta(days=run.lake.undated_days)).strftime(AS_OF_FORMAT)


def _split(data: bytes) -> list[bytes]:
    lines: list[bytes] = split_lines(data).array().to_pylist()
    return lines


def _dated(lake: Lake, dump: Dump, inventory: Inventory, lines: list[bytes], engine: Engine) -> np.ndarray:
    """Which of the lines the dump holds under a date."""
    found = np.zeros(len(lines), bool)
    of_date: dict[str, set[bytes]] = {}
    bound = split_lines(b"".join(lines))
    at = same_instant(moment(inventory.answers_as_of), bound.size)
    bind_lines(engine, bound, answers_as_of=at)
    for row in engine.query("landing").to_pylist():
        date = str(row["date"])
        if date in inventory.parts:
            if date not in of_date:
                of_date[date] = set(_split(part_bytes(lake, dump, inventory.part(date))))
            found[row["position"]] = lines[row["position"]] in of_date[date]
    return found


def _expired(run: Run, before: Undated, arriving: set[bytes]) -> np.ndarray:
    limit = _limit(run)
    pairs = zip(before.lines, before.moments, strict=True)
    return np.array([at < limit and line not in arriving for line, at in pairs], bool)


def _quarantined(lake: Lake) -> list[bytes] | None:
    """The records in quarantine; None when their file is not there or cannot be read."""
    try:
        records: list[bytes] = pq.read_table(lake.path(QUARANTINE), partitioning=None)["record"].to_pylist()
    except (OSError, KeyError, pa.ArrowException):
        return None
    return records


def _quarantine(engine: Engine, now: Undated, target: str) -> list[str]:
    """Write every record with the reason to discard it; the reasons. Writes nothing when there are none."""
    pieces = []
    for start in range(0, len(now.lines), BATCH_LINES):
        chosen = now.lines[start : start + BATCH_LINES]
        lines = split_lines(b"".join(chosen))
        moments = [moment(at) for at in now.moments[start : start + BATCH_LINES]]
        at = pa.array(np.array(moments, "datetime64[us]"))
        rows = normalized(engine, lines, pa.nulls(lines.size, pa.date32()), at).discarded
        reasons = dict(zip(rows["position"].to_pylist(), rows["reason"].to_pylist(), strict=True))
        positions = range(lines.size)
        columns = {
            "position": [start + position for position in positions],
            # an undated record whose created_at is acceptable can only have been in the future when it came
            "reason": [reasons.get(position, FUTURE) for position in positions],
            "record": chosen,
        }
        pieces.append(pa.table(columns, schema=DISCARDED.schema))
    if not pieces:
        return []
    table = pa.concat_tables(pieces)
    write_table(DISCARDED, table, target)
    found: list[str] = table["reason"].to_pylist()
    return found
