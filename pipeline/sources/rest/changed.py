"""The dates that an updated order concerns: the date it has in the API, and its dates in the lake."""

from datetime import datetime

import pyarrow as pa

from pipeline.contract import NORMALIZED_STAGE, ORDERS
from pipeline.engine import Engine, EngineError, bind_lines, same_instant, split_lines
from pipeline.errors import BadSetting
from pipeline.events import emit
from pipeline.lake import WINDOW_SPOOLS, Run
from pipeline.observe.rotten import disown_rotten
from pipeline.sources.base import Changes
from pipeline.sources.rest.client import Client
from pipeline.sources.rest.shop import Shop, Window
from pipeline.sources.rest.windows import WindowSpool, read_window
from pipeline.sources.vanished import blocks, order_ids


def changed_dates(run: Run, shop: Shop, since: datetime) -> Changes:
    """The dates, in the API and in the lake, of the orders that were updated since an instant. Raises BadSetting."""
    if not shop.settings.updated_since_param:
        raise BadSetting(
            "--changed-since: [orders_api] updated_since_param is empty, so this API cannot be asked for updates; "
            "expected the name of its parameter; if it has none, extract the dates again with --force"
        )
    with run.lake.work.extracting(), run.open_engine() as engine:
        window = Window("changed", since, None)
        spool = read_window(Client(shop), shop, window, WindowSpool(run.lake, shop, window, run.intent))
        found = _dates(run, engine, shop, spool)
        spool.remove()
        run.lake.work.remove_if_empty(WINDOW_SPOOLS)
    emit("changes_found", since=since.isoformat() + "Z", orders=spool.checkpoint.records, dates=len(found))
    return Changes(found, {"pages": spool.checkpoint.pages} | spool.checkpoint.counts)


def _dates(run: Run, engine: Engine, shop: Shop, spool: WindowSpool) -> set[str]:
    dates: set[str] = set()
    with open(spool.records, "rb") as file:
        for block in blocks(file):
            lines = split_lines(block)
            now = same_instant(run.intent.as_of, lines.size)
            bind_lines(engine, lines, answers_as_of=now, fields=shop.fields)
            dates.update(map(str, engine.query("landing")["date"].drop_null().unique().to_pylist()))
        changed = pa.table({"order_id": pa.array(sorted(order_ids(engine, blocks(file), shop.fields)), pa.string())})
    engine.bind(changed_order=changed)
    return dates | _holding(run, engine)


def _holding(run: Run, engine: Engine) -> set[str]:
    """The dates whose normalized partition holds a changed order, and those whose partition cannot be read."""
    lake = run.lake
    whole = [date for date in lake.partitions("normalized") if lake.is_whole(NORMALIZED_STAGE, date)]
    try:
        engine.register_files(ORDERS, lake.paths(ORDERS, whole))
        return set(map(str, engine.query("holding")["date"].to_pylist()))
    except EngineError:
        with lake.work.locked():
            rotten = disown_rotten(lake, NORMALIZED_STAGE, whole)
        if not rotten:
            raise
        return set(rotten) | _holding(run, engine)
