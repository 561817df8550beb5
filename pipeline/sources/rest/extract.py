"""FetchOrders from a REST API: one window per date, several at a time, each landed as soon as it is complete."""

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from pipeline.contract import RAW_STAGE, raw_name
from pipeline.engine import BAD_DATE, Engine, split_lines
from pipeline.errors import PipelineError, RequestRefused
from pipeline.events import emit
from pipeline.fields import texts_of
from pipeline.lake import WINDOW_SPOOLS, Outcome, RawCounts, RawManifest, Run, moment, raw_id, why_incomplete
from pipeline.progress import progress
from pipeline.sources.raw import confirm, future_updates, has_better, is_intact, keep, publication
from pipeline.sources.rest.client import Client
from pipeline.sources.rest.shop import Shop, Window
from pipeline.sources.rest.windows import WindowSpool, read_window
from pipeline.sources.vanished import blocks, has_shrunk, landed_order_ids, order_ids, shrunk

NO_RETRY = ("dates", "unchanged", "records", "pages", "requests", "restarts")


def extract(run: Run, shop: Shop, dates: list[str]) -> None:
    """Publish the raw partition of each incomplete date from the API. A date that fails does not stop the others.

    Meanwhile other runs may publish, but no other run asks the API. Raises RunFailed, which names the dates that
    failed, unless the intent has keep_going.
    """
    with run.lake.work.extracting():
        todo = {date: reason for date in dates if (reason := why_incomplete(run.lake, RAW_STAGE, date, run.intent))}
        outcome = Outcome(RAW_STAGE)
        with run.open_engine() as engine:
            _Extraction(run, shop, engine, outcome, todo).land()
        if not outcome.failed:
            # after a failure the spools stay, because the next run resumes the failed windows
            run.lake.work.remove(WINDOW_SPOOLS)
        with run.lake.work.locked():
            outcome.close(run.lake, run.intent)


@dataclass
class _Extraction:
    run: Run
    shop: Shop
    engine: Engine
    outcome: Outcome
    todo: dict[str, str]
    landed: Counter[str] = field(default_factory=Counter)
    spools: dict[str, WindowSpool] = field(default_factory=dict)
    # windows that lack many landed orders, which may have moved to another window
    doubtful: dict[str, WindowSpool] = field(default_factory=dict)
    failures_in_a_row: int = 0

    def land(self) -> None:
        started = time.monotonic()
        client, at_once = Client(self.shop), self.shop.settings.parallel_windows
        with ThreadPoolExecutor(at_once) as pool, progress("windows", len(self.todo)) as advance:
            try:
                futures = {pool.submit(self._fetch, client, date): date for date in self.todo}
                for future in as_completed(futures):
                    self._take(future, futures[future], client)
                    advance(1, self._remark(time.monotonic() - started))
                    if self.failures_in_a_row >= at_once:
                        break
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                client.pace.stop()
        self._land_or_fail_doubtful()
        self._fail_dates_not_asked()
        emit("extracted", dates=self.landed["dates"], unchanged=self.landed["unchanged"], **self._figures(started))

    def _fetch(self, client: Client, date: str) -> WindowSpool:
        window = Window.of(date)
        spool = self.spools[date] = WindowSpool(self.run.lake, self.shop, window, self.run.intent)
        return read_window(client, self.shop, window, spool)

    def _take(self, future: Future[WindowSpool], date: str, client: Client) -> None:
        """Land a window, or note why it cannot be landed."""
        try:
            spool = future.result()
            self.failures_in_a_row = 0
            self._land_window(date, spool)
        except (PipelineError, *BAD_DATE) as error:
            self.outcome.fail(date, error)
            self.outcome.api[date] = self.spools[date].checkpoint.counts if date in self.spools else {}
            self.landed.update(self.outcome.api[date])
            self.failures_in_a_row += isinstance(error, PipelineError)

    def _land_window(self, date: str, spool: WindowSpool, *, certain: bool = False) -> None:
        with self.run.lake.work.locked():
            reason = why_incomplete(self.run.lake, RAW_STAGE, date, self.run.intent)
            if reason is not None and not self._publish(date, spool, reason, certain=certain):
                return
        spool.remove()
        self.landed.update(
            dates=1, records=spool.checkpoint.records, pages=spool.checkpoint.pages, **spool.checkpoint.counts
        )

    def _publish(self, date: str, spool: WindowSpool, because: str, *, certain: bool) -> bool:
        """Whether the window is landed. A doubtful window is not, unless `certain`."""
        answer = self._answer(spool)
        if is_intact(self.run.lake, date, str(answer.id)):
            confirm(self.run, date, answer, because)
            self.landed["unchanged"] += 1
            return True
        if has_better(self.run, date, spool.checkpoint.started_at):
            keep(self.run, date, because)
            return True
        if not certain and not self.run.intent.allow_shrink and self._has_shrunk(date, spool):
            self.doubtful[date] = spool
            return False
        self.run.lake.files.stage_copy(raw_name(date), spool.records)
        self.outcome.fail_all(self.run.lake.publish([publication(self.run, date, answer, because)]))
        return date not in self.outcome.failed

    def _answer(self, spool: WindowSpool) -> RawManifest:
        """The manifest of a date, from the spool of its window."""
        return RawManifest(
            id=self._raw_id(spool),
            counts=RawCounts(spool.checkpoint.records),
            made_from=self.shop.url,
            answers_as_of=spool.checkpoint.started_at,
            fields=texts_of(self.shop.fields),
            api={"pages": spool.checkpoint.pages} | spool.checkpoint.counts,
        )

    def _raw_id(self, spool: WindowSpool) -> str:
        """The raw id: the hash of the content, and how many updated_at are in the future."""
        at = moment(spool.checkpoint.started_at)
        with open(spool.records, "rb") as file:
            found = map(split_lines, blocks(file))
            future = sum(future_updates(self.engine, lines, at, self.shop.fields) for lines in found)
        return raw_id(spool.checkpoint.sha256, future)

    def _has_shrunk(self, date: str, spool: WindowSpool) -> bool:
        before = landed_order_ids(self.run.lake, self.engine, date)
        return bool(before) and has_shrunk(before - self._order_ids(spool), before, self.run.intent)

    def _order_ids(self, spool: WindowSpool) -> set[str]:
        with open(spool.records, "rb") as file:
            return order_ids(self.engine, blocks(file), self.shop.fields)

    def _land_or_fail_doubtful(self) -> None:
        """Land each doubtful window, unless too many landed orders are in no window of this extraction."""
        if not self.doubtful:
            return
        now = {date: landed_order_ids(self.run.lake, self.engine, date) for date in self.todo}
        before = {date: now[date] for date in self.doubtful}
        now |= {date: self._order_ids(spool) for date, spool in self.doubtful.items()}
        everywhere = set().union(*now.values())
        for date, spool in self.doubtful.items():
            vanished = before[date] - everywhere
            if has_shrunk(vanished, before[date], self.run.intent):
                self.outcome.fail(date, shrunk(self.run, date, vanished, before[date], self.shop.url))
            else:
                self._land_window(date, spool, certain=True)

    def _fail_dates_not_asked(self) -> None:
        """Fail the dates that were not asked for because too many dates in a row had failed."""
        rest = [date for date in self.todo if why_incomplete(self.run.lake, RAW_STAGE, date, self.run.intent)]
        for date in rest:
            if date not in self.outcome.failed:
                self.outcome.fail(
                    date,
                    RequestRefused(
                        f"{self.shop.url}: not asked for, because {self.failures_in_a_row} dates in a row had failed; "
                        "fix the errors of those dates and run again"
                    ),
                )

    def _figures(self, started: float) -> dict[str, Any]:
        retries = sum(count for kind, count in self.landed.items() if kind not in NO_RETRY)
        figures = {name: self.landed[name] for name in ("records", "pages", "requests", "restarts")}
        return figures | {"retries": retries, "seconds": time.monotonic() - started}

    def _remark(self, seconds: float) -> str:
        pace = self.landed["requests"] / max(seconds, 0.001)
        return f"{self.landed['pages']:,} pages, {self.landed['records']:,} orders, {pace:.1f} requests/s"
