"""Raw partitions, whatever they come from: what is landed, how it is published, and by which map it is read."""

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
    """Landed, and with the very bytes: who asks the source again wants damage mended, too."""
    return is_landed(lake, date, raw_id) and is_raw(raw_id, lake.files.bytes_of(raw_name(date)))


def publication(run: Run, date: str, answer: RawManifest, because: str) -> Publication[RawManifest]:
    """What publishes the raw file that is staged under its name, which the answer of the source describes."""
    name, accepts = raw_name(date), run.lake.landed(date).accepts_fields
    manifest = replace(as_answered(run, answer, because), accepts_fields=accepts)
    return Publication(RAW_STAGE.manifest_at(date), manifest, {name: run.lake.files.stage(name)})


def as_answered(run: Run, manifest: RawManifest, because: str) -> RawManifest:
    """The manifest of what the source has said in this run."""
    return replace(manifest, as_of=run.intent.stamp, asked_at=run.intent.stamp, because=because)


def confirm(run: Run, date: str, answer: RawManifest, because: str) -> None:
    """The source still says what is landed: only the manifest learns that it was asked again.

    The landed records speak for the later one of both answers, since both are the same.
    """
    landed = run.lake.raw(date) or answer
    moment = max(landed.answers_as_of, answer.answers_as_of)
    same = replace(answer, id=landed.id, files=landed.files, counts=landed.counts, accepts_fields=landed.accepts_fields)
    _note_asked(run, date, replace(same, answers_as_of=moment), because)


def has_better(run: Run, date: str, answer: str) -> bool:
    """Whether what is landed of a date speaks for a later moment than `answer`: only --force replaces that."""
    landed = run.lake.raw(date)
    return landed is not None and not run.intent.force and run.lake.whole(landed) and landed.answers_as_of > answer


def keep(run: Run, date: str, because: str) -> None:
    """The source has no better answer than what is landed: only the manifest learns that it was asked again."""
    landed = run.lake.raw(date)
    if landed is not None:
        _note_asked(run, date, landed, because)


def _note_asked(run: Run, date: str, landed: RawManifest, because: str) -> None:
    run.lake.write_manifest(RAW_STAGE.manifest_at(date), as_answered(run, landed, because))


def future_updates(engine: Engine, lines: Lines, at: datetime, fields: FieldMap | None) -> int:
    """How many updated_at of the lines are in the future at a moment: more of them come due as time goes by.

    Most often none is, and DuckDB reads all: then no line needs a second look.
    """
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
    """Where luigi.cfg says that orders come from, where the array of them is, and where each has its fields.

    Without a map the fields are as the contract has them. With `insists`, luigi.cfg itself names the place of the
    array, and not a preset: a dump that has no such place is not what is meant.
    """

    url: str
    fields: FieldMap | None = None
    records: Path = ORDERS_AT
    insists: bool = False

    def is_of(self, made_from: str | None) -> bool:
        """Whether a raw partition came from there. Dumps of one folder are of one shop, such as a file a day."""
        if made_from is None or made_from == self.url:
            return made_from is not None
        paths = [source for source in (made_from, self.url) if "://" not in source]
        return len({os.path.dirname(os.path.realpath(path)) for path in paths}) == 1 and len(paths) == 2


def digest_of(fields: FieldMap | None) -> str:
    """Another text for every other map; empty for records as the contract has them."""
    return fields.digest if fields is not None else ""


def fields_of(manifest: RawManifest, shape: Shape | None = None) -> FieldMap | None:
    """The map by which a raw partition is read.

    It is the one of luigi.cfg where that names the shop which the partition came from, so that a corrected map works
    with --reprocess; else the one it was landed with.
    """
    if shape is not None and shape.is_of(manifest.made_from):
        return shape.fields
    return map_of(manifest.fields)
