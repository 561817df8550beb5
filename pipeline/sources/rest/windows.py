"""The spools of an API's windows. Each page is saved when it comes, so a killed extraction can be resumed."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from pipeline.errors import EndlessPages, RequestRefused
from pipeline.events import emit
from pipeline.lake import AS_OF_FORMAT, WINDOW_SPOOLS, Intent, Lake, settled_at
from pipeline.sources.rest.client import Client
from pipeline.sources.rest.pages import Page, PassGuard
from pipeline.sources.rest.shop import Request, Shop, Window

MAX_PASSES = 5
RECORDS, CHECKPOINT = "records", "checkpoint.json"
HASH_BLOCK_BYTES = 1 << 20


@dataclass
class Checkpoint:
    """The state of a window's spool.

    `shop` is the digest of the settings of the requests. `started_at` is the stamp of the run that asked for the first
    page of this pass. The whole window speaks for that moment. `next` is the next request; None after the last page.
    `sha256` is the hash of the first `length` bytes of the file of records. `records` and `pages` count those of this
    pass. `counts` has the requests, the restarts, and the retries by kind.
    """

    shop: str
    started_at: str
    next: dict[str, Any] | None
    length: int = 0
    sha256: str = ""
    records: int = 0
    pages: int = 0
    total: int | None = None
    # whether every page named the same total
    agreed: bool = True
    counts: dict[str, int] = field(default_factory=dict)


class WindowSpool:
    """The folder of one window: the file of records, and the checkpoint, which is replaced after each page."""

    def __init__(self, lake: Lake, shop: Shop, window: Window, intent: Intent) -> None:
        self._spool = lake.work.spool(WINDOW_SPOOLS, window.name)
        self._shop, self._window, self._intent = shop, window, intent
        self._digest = hashlib.sha256()
        self.resumed = False
        self.checkpoint = self._read() or self._begin({})

    @property
    def records(self) -> str:
        """The path of the file of records: one per line, in the order of the pages."""
        return self._spool.path(RECORDS)

    def _read(self) -> Checkpoint | None:
        """Go on from the checkpoint of a killed run: cut the file of records to its length.

        None if the window has to start again.
        """
        try:
            found = Checkpoint(**json.loads(self._spool.read(CHECKPOINT)))
            if found.shop != self._shop.digest or self._is_old(found.started_at):
                return None
            self._digest = _digest(self.records, found.length)
        except (OSError, ValueError, TypeError):
            return None
        if self._digest.hexdigest() != found.sha256:
            return None
        self._spool.truncate(RECORDS, found.length)
        self.resumed = True
        return found

    def _is_old(self, started_at: str) -> bool:
        """Whether the pages were asked for too long ago for this run.

        A run with --force or --changed-since needs pages of its own. Another run may go on with pages that are younger
        than spool_max_age_minutes, unless the date has become settled since they were asked for.
        """
        if self._intent.force or self._intent.reopen or self._window.until is None:
            return started_at < self._intent.stamp
        limit = self._intent.as_of - timedelta(minutes=self._shop.settings.spool_max_age_minutes)
        settled = settled_at(self._window.name, self._intent.settle)
        return started_at < limit.strftime(AS_OF_FORMAT) or started_at < settled <= self._intent.stamp

    def _begin(self, counts: dict[str, int]) -> Checkpoint:
        self._spool.begin()
        with open(self.records, "wb"):
            self._digest = hashlib.sha256()
        first = asdict(self._shop.first(self._window))
        empty = self._digest.hexdigest()
        return Checkpoint(self._shop.digest, self._intent.stamp, first, sha256=empty, counts=counts)

    def restart(self) -> None:
        """Drop the pages and start again at the first page. The counts are kept."""
        self.resumed = False
        self.checkpoint = self._begin(self.checkpoint.counts)

    def add(self, page: Page, counts: Counter[str]) -> None:
        """Save a page and the next request."""
        with open(self.records, "ab") as file:
            file.write(page.records)
        self._digest.update(page.records)
        state = self.checkpoint
        state.agreed = state.agreed and (not state.pages or page.total == state.total)
        state.next = None if page.next is None else asdict(page.next)
        state.length, state.sha256 = state.length + len(page.records), self._digest.hexdigest()
        state.records, state.pages = state.records + page.count, state.pages + 1
        state.total, state.counts = page.total, dict(counts)
        self._write()

    def _write(self) -> None:
        self._spool.put(CHECKPOINT, json.dumps(asdict(self.checkpoint)))

    def remove(self) -> None:
        """Delete the folder. Call it after the window is landed."""
        self._spool.remove()


def read_window(client: Client, shop: Shop, window: Window, spool: WindowSpool) -> WindowSpool:
    """Read pages into `spool` until a pass over the window is accepted. Returns `spool`.

    A pass is accepted in two cases. In the first case no record came twice, and either no page named a total, or all
    pages named the same total, which is the number of records. In the second case the pass gave the same set of records
    as the pass before it. Raises EndlessPages if none of MAX_PASSES passes is accepted; also RetriesExhausted,
    RequestRefused, PageTooLarge, Stopped and OSError.
    """
    counts = Counter(spool.checkpoint.counts)
    before: np.ndarray | None = None
    for _ in range(MAX_PASSES):
        try:
            _pass(client, shop, window, spool, counts)
        finally:
            spool.checkpoint.counts = dict(counts)
        records = _hashes(spool.records)
        distinct = np.unique(records)
        counted = spool.checkpoint.agreed and spool.checkpoint.total in (None, spool.checkpoint.records)
        if (counted and len(distinct) == len(records)) or (before is not None and np.array_equal(distinct, before)):
            return spool
        before = distinct
        counts["restarts"] += 1
        spool.checkpoint.counts = dict(counts)
        emit(
            "window_restarted",
            window=window.name,
            records=spool.checkpoint.records,
            distinct=len(distinct),
            total=spool.checkpoint.total,
        )
        spool.restart()
    raise EndlessPages(
        f"{shop.url}: window {window.name}: the records change while they are read: of {MAX_PASSES} passes, no two in "
        "a row gave the same records; set a stable sort order in [orders_api] params, check [orders_api] pagination "
        "and total, then run again"
    )


def _pass(client: Client, shop: Shop, window: Window, spool: WindowSpool, counts: Counter[str]) -> None:
    guard = PassGuard()
    while spool.checkpoint.next is not None:
        request = Request(**spool.checkpoint.next)
        try:
            page = client.page(window, request, guard, spool.checkpoint.records, counts)
        except RequestRefused:
            # a cursor may have expired since the run that was killed
            if not spool.resumed:
                raise
            spool.restart()
            guard = PassGuard()
            continue
        spool.resumed = False
        guard.accept(request, page)
        spool.add(page, counts)
        limit = shop.settings.max_window_bytes
        if spool.checkpoint.length > limit:
            raise EndlessPages(
                f"{shop.url}: window {window.name}: more than {limit:,} bytes of records; if the shop has so many, "
                "set a greater [orders_api] max_window_bytes; else check [orders_api] pagination; then run again"
            )


def _hashes(path: str) -> np.ndarray:
    """A hash of each line, sorted."""
    hashes = []
    with open(path, "rb") as file:
        while block := file.readlines(HASH_BLOCK_BYTES):
            hashes.append(np.fromiter(map(hash, block), np.int64, len(block)))
    return np.sort(np.concatenate(hashes)) if hashes else np.zeros(0, np.int64)


def _digest(path: str, length: int) -> Any:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while length and (block := file.read(min(length, HASH_BLOCK_BYTES))):
            digest.update(block)
            length -= len(block)
    return digest
