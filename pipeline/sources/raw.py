"""Raw partitions of any source: whether they are landed, how they are published, and the map to read them by."""

import os
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from pipeline.contract import FUTURE_TOLERANCE, RAW_STAGE, raw_name
from pipeline.engine import Engine, Lines, bind_lines
from pipeline.fields import FieldMap, Path, map_of
from pipeline.lake import Lake, Publication, RawManifest, Run, is_raw


def is_landed(lake: Lake, date: str, raw_id: str) -> bool:
    """Whether the date is landed, whole, with the content of this id."""
    current = lake.raw(date)
    return current is not None and lake.whole(current) and current.id == raw_id


def is_intact(lake: Lake, date: str, raw_id: str) -> bool:
    """Whether the date is landed and the bytes of its file match the id. If not, the file is landed again."""
    return is_landed(lake, date, raw_id) and is_raw(raw_id, lake.files.bytes_of(raw_name(date)))


def publication(run: Run, date: str, answer: RawManifest, because: str) -> Publication[RawManifest]:
    """The publication of the date's staged raw file. `answer` is the manifest of the source's answer."""
    name, accepts = raw_name(date), run.lake.landed(date).accepts_fields
    manifest = replace(as_answered(run, answer, because), accepts_fields=accepts)
    return Publication(RAW_STAGE.manifest_at(date), manifest, {name: run.lake.files.stage(name)})


def as_answered(run: Run, manifest: RawManifest, because: str) -> RawManifest:
    """The manifest, with the note that this run asked the source."""
    return replace(manifest, as_of=run.intent.stamp, asked_at=run.intent.stamp, because=because)


def confirm(run: Run, date: str, answer: RawManifest, because: str) -> None:
    """Note that the source was asked again and gave the landed records. Only the manifest changes.

    Its answers_as_of becomes the later one of the two answers.
    """
    landed = run.lake.raw(date) or answer
    moment = max(landed.answers_as_of, answer.answers_as_of)
    same = replace(answer, id=landed.id, files=landed.files, counts=landed.counts, accepts_fields=landed.accepts_fields)
    _note_asked(run, date, replace(same, answers_as_of=moment), because)


def has_better(run: Run, date: str, answer: str) -> bool:
    """Whether the landed partition speaks for a later moment than `answer`. Then only --force replaces it."""
    landed = run.lake.raw(date)
    return landed is not None and not run.intent.force and run.lake.whole(landed) and landed.answers_as_of > answer


def keep(run: Run, date: str, because: str) -> None:
    """Note that the source was asked again and had no better answer. Only the manifest changes."""
    landed = run.lake.raw(date)
    if landed is not None:
        _note_asked(run, date, landed, because)


def _note_asked(run: Run, date: str, landed: RawManifest, because: str) -> None:
    run.lake.write_manifest(RAW_STAGE.manifest_at(date), as_answered(run, landed, because))


def future_updates(engine: Engine, lines: Lines, at: datetime, fields: FieldMap | None) -> int:
    """How many updated_at of the lines are in the future at a moment, naive UTC."""
    # usually no updated_at is in the future, and DuckDB can read every line: then this quick count is enough
    doubts = any(_counted(engine, lines, at, fields, known_plain=True).values())
    return _counted(engine, lines, at, fields, known_plain=False)["future_updates"] if doubts else 0


def _counted(
    engine: Engine, lines: Lines, at: datetime, fields: FieldMap | None, *, known_plain: bool
) -> dict[str, int]:
    bind_lines(engine, lines, fields=fields, known_plain=known_plain)
    counted: dict[str, int] = engine.query("future_updates", {"limit": at + FUTURE_TOLERANCE}).to_pylist()[0]
    return counted


ORDERS_AT: Path = ("orders",)


@dataclass(frozen=True)
class Shape:
    """The source in luigi.cfg: its url, the path of the array of orders, and the map of an order's fields.

    Without a map the records have the fields of the contract. `insists` says that luigi.cfg and not a preset sets the
    path of the array. A dump without an array at that path is then refused.
    """

    url: str
    fields: FieldMap | None = None
    records: Path = ORDERS_AT
    insists: bool = False

    def is_of(self, made_from: str | None) -> bool:
        """Whether a raw partition came from this source. Dumps in one folder count as one source, as one file a day."""
        if made_from is None or made_from == self.url:
            return made_from is not None
        paths = [source for source in (made_from, self.url) if "://" not in source]
        return len({os.path.dirname(os.path.realpath(path)) for path in paths}) == 1 and len(paths) == 2


def digest_of(fields: FieldMap | None) -> str:
    """The digest of a map. Empty without a map."""
    return fields.digest if fields is not None else ""


def fields_of(manifest: RawManifest, shape: Shape | None = None) -> FieldMap | None:
    """The map by which a raw partition is read. None: its records have the fields of the contract.

    If the partition came from the source in luigi.cfg, the map of luigi.cfg counts, so a corrected map works with
    --reprocess. Otherwise the map counts with which the partition was landed.
    """
    if shape is not None and shape.is_of(manifest.made_from):
        return shape.fields
    return map_of(manifest.fields)
