"""Refuses to normalize dates whose field map fits none of their records (law 7)."""

from collections.abc import Iterator
from contextlib import suppress

from msgspec.structs import replace

from pipeline.contract import RAW_STAGE, raw_name
from pipeline.engine import Engine, Fit, split_lines
from pipeline.errors import UnfitMap
from pipeline.fields import FieldMap
from pipeline.lake import Run, moment
from pipeline.sources.raw import Shape, digest_of, fields_of


def unfit(run: Run, engine: Engine, dates: list[str], shape: Shape) -> dict[str, UnfitMap]:
    """The dates that must not be normalized, because their map does not fit. Call it under the lake's lock.

    A dump was judged as a whole when it was read. Other dates are judged together: these dates, and all dates that the
    same run has landed. A date for which --accept-fields was given is never judged.
    """
    if run.intent.accept_fields:
        _accept(run, dates)
        return {}
    faults: dict[str, list[str]] = {}
    unjudged: dict[FieldMap | None, list[str]] = {}
    for date in dates:
        landed = run.lake.landed(date)
        fields = fields_of(landed, shape)
        if landed.judged is not None and landed.judged.map == digest_of(fields):
            fault = landed.judged.fault
            faults.setdefault(fault, []).extend([] if landed.accepts_fields else [date])
        elif not landed.accepts_fields:
            unjudged.setdefault(fields, []).append(date)
    for fields, group in unjudged.items():
        faults.setdefault(_fault(run, engine, group, fields, shape), []).extend(group)
    return {date: UnfitMap(fault) for fault, group in faults.items() if fault for date in group}


def _accept(run: Run, dates: list[str]) -> None:
    for date in dates:
        landed = run.lake.raw(date)
        if landed is not None and not landed.accepts_fields:
            run.lake.write_manifest(RAW_STAGE.manifest_at(date), replace(landed, accepts_fields=True))
    run.lake.files.sync_folders([RAW_STAGE.manifest_at(date) for date in dates])


def _fault(run: Run, engine: Engine, dates: list[str], fields: FieldMap | None, shape: Shape) -> str:
    fit = Fit(fields)
    for date in _with_others(run, dates, fields, shape):
        if fit.is_certain:
            break
        landed = run.lake.landed(date)
        # normalizing the date reports an unreadable file
        with suppress(OSError):
            lines = split_lines(run.lake.files.bytes_of(raw_name(date)))
            fit.look(engine, lines, moment(landed.answers_as_of), date)
    return fit.fault


def _with_others(run: Run, dates: list[str], fields: FieldMap | None, shape: Shape) -> Iterator[str]:
    """These dates, and the other dates that the same extraction has landed and the same map reads."""
    yield from dates
    asked = {run.lake.landed(date).asked_at for date in dates}
    for date in run.lake.dates():
        landed = run.lake.landed(date)
        if date not in dates and landed.asked_at in asked and fields_of(landed, shape) == fields:
            yield date
