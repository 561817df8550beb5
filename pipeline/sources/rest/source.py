"""A shop's REST API as a source of orders."""

from collections import Counter
from datetime import datetime
from functools import cached_property

import msgspec
import pyarrow as pa

from pipeline.dates import Range, days_between
from pipeline.engine import normalized, same_instant, split_lines
from pipeline.errors import BadSetting, SourceUnreadable
from pipeline.fields import FieldMap
from pipeline.lake import Lake, Run
from pipeline.observe.diagnosis import ERROR, OK, WARNING, Diagnosis
from pipeline.settings.shop import ShopSettings
from pipeline.sources.base import Changes
from pipeline.sources.raw import Shape
from pipeline.sources.rest.changed import changed_dates
from pipeline.sources.rest.client import Client
from pipeline.sources.rest.extract import extract
from pipeline.sources.rest.pages import Page, PassGuard
from pipeline.sources.rest.shop import Shop, Window


class ShopSource:
    """The API of [orders_api]. Its secrets are read before the first request."""

    bytes_to_lay_out = 0

    def __init__(self, settings: ShopSettings, fields: FieldMap | None) -> None:
        self._settings, self._fields = settings, fields

    @cached_property
    def _shop(self) -> Shop:
        return Shop(self._settings, self._fields)

    @property
    def shape(self) -> Shape:
        return Shape(self._settings.url, self._fields, self._settings.records)

    @property
    def origin(self) -> str:
        return self._settings.url

    def dates(self, run: Run, asked: Range, *, writes: bool = True) -> list[str]:
        """Every date of the range up to the run's as_of, because an API does not tell which dates it has."""
        start = self._start(asked)
        if start is None:
            raise BadSetting(
                "--since is not given and [orders_api] start_date is not set; an API does not tell which dates it "
                "has; expected one of the two, such as --since 2025-01-15"
            )
        return days_between(start, min(asked.until, run.intent.as_of))

    def _start(self, asked: Range) -> datetime | None:
        return asked.since or self._settings.start_date

    def land(self, run: Run, dates: list[str]) -> None:
        extract(run, self._shop, dates)

    def changed(self, run: Run, since: datetime, asked: Range) -> Changes:
        found = changed_dates(run, self._shop, since)
        windows = self.dates(run, asked) if self._start(asked) is not None else []
        never_landed = {date for date in windows if run.lake.raw(date) is None}
        return Changes(found.dates | never_landed, found.api)

    def differing(self, lake: Lake, dates: list[str]) -> list[str]:
        return []

    def extent(self, lake: Lake) -> None:
        return None

    def all_records(self) -> None:
        return None

    def probe(self, run: Run) -> list[Diagnosis]:
        """Whether the API gives a page of the window of today, in one attempt, and which of its records are valid."""
        shop = Shop(msgspec.structs.replace(self._settings, attempts=1), self._fields)
        window = Window.of(str(run.intent.as_of.date()))
        counts: Counter[str] = Counter()
        try:
            page = Client(shop).page(window, shop.first(window), PassGuard(), 0, counts)
        except SourceUnreadable as error:
            mend = "mend: check that setting, the API and the network, then ask again"
            return [Diagnosis(ERROR, "source", str(error), mend)]
        text = f"{shop.url}: a page of {page.count:,} order(s) of {window.name}, auth = {shop.settings.auth}"
        reasons = _reasons(run, shop, page, window)
        if not reasons:
            return [Diagnosis(OK, "source", text)]
        discarded = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        mend = "mend: check [orders_fields]; for outside_window [orders_api] since_param, until_param, time_format"
        return [Diagnosis(WARNING, "source", f"{text}; a run would discard {discarded}", mend)]


def _reasons(run: Run, shop: Shop, page: Page, window: Window) -> Counter[str]:
    """How many records of the page would be discarded, by reason."""
    lines = split_lines(page.records)
    dates = pa.repeat(pa.scalar(window.since.date(), pa.date32()), lines.size)
    with run.open_engine() as engine:
        rows = normalized(engine, lines, dates, same_instant(run.intent.as_of, lines.size), shop.fields)
    return Counter(rows.discarded["reason"].to_pylist())
