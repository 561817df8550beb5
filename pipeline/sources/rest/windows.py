"""The spool of an API's windows: each page is kept as it comes, so that a killed extraction goes on where it was."""

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
from pipeline.sources.rest.pages import Course, Page
from pipeline.sources.rest.shop import Request, Shop, Window

MAX_PASSES = 5
RECORDS, CHECKPOINT = "records", "checkpoint.json"
HASH_BLOCK_BYTES = 1 << 20


@dataclass
class Checkpoint:
    """How far a window is: `records` holds `length` bytes of this sha256; `next` is the page to ask for, or None.

    `started_at` is the stamp of the run that asked for the first page of this pass: all of them speak for that moment.
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
    """One window's folder: the file `records`, and its checkpoint, replaced whole after each page."""

    def __init__(self, lake: Lake, shop: Shop, window: Window, intent: Intent) -> None:
        self._spool = lake.work.spool(WINDOW_SPOOLS, window.name)
        self._shop, self._window, self._intent = shop, window, intent
        self._digest = hashlib.sha256()
        self.resumed = False
        self.at = self._read() or self._begin({})

    @property
    def records(self) -> str:
        """The path of the records, one a line, in the order of the pages."""
        return self._spool.path(RECORDS)

    def _read(self) -> Checkpoint | None:
        """The checkpoint of a run that was killed, if what it asked for is what this one wants."""
        try:
            at = Checkpoint(**json.loads(self._spool.read(CHECKPOINT)))
            if at.shop != self._shop.digest or self._is_old(at.started_at):
                return None
            self._digest = _digest(self.records, at.length)
        except (OSError, ValueError, TypeError):
            return None
        if self._digest.hexdigest() != at.sha256:
            return None
        self._spool.truncate(RECORDS, at.length)
        self.resumed = True
        return at

    def _is_old(self, started_at: str) -> bool:
        """Whether the pages were asked for too long ago to be the answer that this run wants.

        A run that looks for changes wants none from before itself. Any other one goes on with pages of a run that was
        killed, but not with those from before the date was final, if it is final now.
        """
        if self._intent.force or self._intent.reopen or self._window.until is None:
            return started_at < self._intent.stamp
        limit = self._intent.as_of - timedelta(minutes=self._shop.settings.spool_max_age_minutes)
        final = settled_at(self._window.name, self._intent.settle)
        return started_at < limit.strftime(AS_OF_FORMAT) or started_at < final <= self._intent.stamp

    def _begin(self, counts: dict[str, int]) -> Checkpoint:
        self._spool.begin()
        with open(self.records, "wb"):
            self._digest = hashlib.sha256()
        first = asdict(self._shop.first(self._window))
        empty = self._digest.hexdigest()
        return Checkpoint(self._shop.digest, self._intent.stamp, first, sha256=empty, counts=counts)

    def restart(self) -> None:
        """Drop the pages and go to the first one again; the counts go on."""
        self.resumed = False
        self.at = self._begin(self.at.counts)

    def add(self, page: Page, counts: Counter[str]) -> None:
        """Keep a page and what to ask for next."""
        with open(self.records, "ab") as file:
            file.write(page.records)
        self._digest.update(page.records)
        at = self.at
        at.agreed = at.agreed and (not at.pages or page.total == at.total)
        at.next = None if page.next is None else asdict(page.next)
        at.length, at.sha256 = at.length + len(page.records), self._digest.hexdigest()
        at.records, at.pages, at.total, at.counts = at.records + page.count, at.pages + 1, page.total, dict(counts)
        self._write()

    def _write(self) -> None:
        self._spool.put(CHECKPOINT, json.dumps(asdict(self.at)))

    def remove(self) -> None:
        """Call it once the window is landed."""
        self._spool.remove()


def fetch(client: Client, shop: Shop, window: Window, spool: WindowSpool) -> WindowSpool:
    """The window's spool with all of its pages.

    A pass over the pages in which no record came twice, and as many as the API says there are, is believed. After any
    other one records may have moved between pages, so the window is read again until two passes hold the same.
    Raises RetriesExhausted, RequestRefused, EndlessPages, PageTooLarge and OSError.
    """
    counts = Counter(spool.at.counts)
    before: np.ndarray | None = None
    for _ in range(MAX_PASSES):
        try:
            _pass(client, shop, window, spool, counts)
        finally:
            spool.at.counts = dict(counts)
        records = _hashes(spool.records)
        distinct = np.unique(records)
        counted = spool.at.agreed and spool.at.total in (None, spool.at.records)
        if (counted and len(distinct) == len(records)) or (before is not None and np.array_equal(distinct, before)):
            return spool
        before = distinct
        counts["restarts"] += 1
        spool.at.counts = dict(counts)
        emit(
            "window_restarted",
            window=window.name,
            records=spool.at.records,
            distinct=len(distinct),
            total=spool.at.total,
        )
        spool.restart()
    raise EndlessPages(
        f"{shop.url}: window {window.name}: its records change while they are read, in {MAX_PASSES} passes no two held "
        "the same; see [orders_api] pagination, params (an order that is stable) and total"
    )


def _pass(client: Client, shop: Shop, window: Window, spool: WindowSpool, counts: Counter[str]) -> None:
    course = Course()
    while spool.at.next is not None:
        request = Request(**spool.at.next)
        try:
            page = client.page(window, request, course, spool.at.records, counts)
        except RequestRefused:
            # a cursor may have expired since the run that was killed
            if not spool.resumed:
                raise
            spool.restart()
            course = Course()
            continue
        spool.resumed = False
        course.accept(request, page)
        spool.add(page, counts)


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
