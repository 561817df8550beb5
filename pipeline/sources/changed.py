"""Which dates a late update concerns: where an order is now, and where the lake has it."""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.contract import NORMALIZED_STAGE, ORDERS, RAW_STAGE, UNDATED
from pipeline.engine.connection import Engine, OpenEngine
from pipeline.engine.lines import bind_lines, same_instant, split_lines
from pipeline.errors import BadSetting
from pipeline.events import emit
from pipeline.lake.files import Lake
from pipeline.lake.freshness import Intent, answers_as_of, asked_at, differs, missing, moment
from pipeline.sources.dump.file import Dump
from pipeline.sources.dump.land import learn
from pipeline.sources.raw import blocks, order_ids
from pipeline.sources.rest.client import Client
from pipeline.sources.rest.shop import Shop, Window
from pipeline.sources.rest.windows import FOLDER, Spool, fetch

STATE = "raw/_changed_since.json"


def start_of(lake: Lake, asked: datetime | str, overlap_minutes: float) -> datetime | None:
    """The instant from which on updates are asked for.

    With `auto` it is when the last such run started, or, if a partition that was asked for later speaks for an earlier
    moment, that moment; before there was such a run, the moment of the oldest answer. None when nothing is landed.
    """
    if isinstance(asked, datetime):
        return asked
    known = _last_run(lake)
    manifests = [lake.manifest(RAW_STAGE, date) or {} for date in lake.partitions("raw") if date != UNDATED]
    landed = [manifest for manifest in manifests if manifest.get("id") is not None and "dropped" not in manifest]
    later = [answers_as_of(manifest) for manifest in landed if known is None or asked_at(manifest) > known]
    start = min(later if known is None else [known, *later], default=None)
    return moment(start) - timedelta(minutes=overlap_minutes) if start else None


def _last_run(lake: Lake) -> str | None:
    """The stamp of the last run from which `auto` goes on; None when there was none."""
    as_of = (lake.read(STATE) or {}).get("as_of")
    try:
        moment(as_of)
    except (TypeError, ValueError):
        return None
    return str(as_of)


def move_on(lake: Lake, intent: Intent) -> None:
    """Remember that everything updated before this run is published."""
    with lake.locked():
        lake.write(STATE, {"as_of": intent.stamp})
        lake.sync_folders([STATE])


def changed_dates(
    lake: Lake, source: Dump | Shop, since: datetime, intent: Intent, open_engine: OpenEngine
) -> dict[str, Any]:
    """`dates`: those that hold, or held, an order updated since then, and those landed that are not complete anyway.

    `api`: what asking took. A dump tells by its inventory which dates' records differ, whenever they changed.
    """
    landed = [date for date in lake.partitions("raw") if date != UNDATED]
    incomplete = {date for date in landed if missing(lake, NORMALIZED_STAGE, date, intent)}
    if isinstance(source, Dump):
        inventory = learn(lake, source, intent, open_engine)
        ids = {date: part.id for date, part in inventory.parts.items() if date != UNDATED}
        other = {date for date in landed if differs(lake, date, ids.get(date))}
        return {"dates": sorted(incomplete | other | ids.keys() - set(landed)), "api": {}}
    with lake.extracting(), open_engine() as engine:
        window = Window("changed", since, None)
        spool = fetch(Client(source), source, window, Spool(lake, source, window, intent))
        found = _dates(lake, engine, source, spool, intent)
        spool.remove()
        with suppress(OSError):
            # unless a killed extraction left windows there, to be gone on with
            os.rmdir(lake.path(FOLDER))
    emit("changes_found", since=since.isoformat() + "Z", orders=spool.at.records, dates=len(found))
    return {"dates": sorted(found | incomplete), "api": {"pages": spool.at.pages} | spool.at.counts}


def _dates(lake: Lake, engine: Engine, shop: Shop, spool: Spool, intent: Intent) -> set[str]:
    dates: set[str] = set()
    with open(spool.records, "rb") as file:
        for block in blocks(file):
            lines = split_lines(block)
            nothing, now = pa.nulls(lines.size, pa.date32()), same_instant(intent.as_of, lines.size)
            bind_lines(engine, lines, dates=nothing, extracted_at=now, fields=shop.fields)
            dates.update(map(str, engine.query("landing")["date"].drop_null().unique().to_pylist()))
        changed = pa.table({"order_id": pa.array(sorted(order_ids(engine, blocks(file), shop.fields)), pa.string())})
    engine.bind(changed_order=changed)
    whole = [date for date in lake.partitions("normalized") if lake.whole(lake.manifest(NORMALIZED_STAGE, date))]
    engine.register_files(ORDERS, lake.table_paths(ORDERS, whole))
    return dates.union(map(str, engine.query("holding")["date"].to_pylist()))


def refuse_unknowing(shop: Shop) -> None:
    """Raises BadSetting for an API that cannot be asked for updates."""
    if not shop.updated_since_param:
        raise BadSetting(
            "--changed-since: [orders_api] updated_since_param is empty, so this API cannot be asked for updates; "
            "expected the name of its parameter; without one, --force extracts chosen dates again"
        )
