"""The interface of a source of orders: a dump or a shop's API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pipeline.dates import Range
from pipeline.lake import Lake, Run
from pipeline.observe.diagnosis import Diagnosis
from pipeline.sources.raw import Shape


@dataclass(frozen=True)
class Changes:
    """The dates that changed orders have or had. `api` counts the pages, requests and retries that an API took."""

    dates: set[str]
    api: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """A source of orders. Its methods raise BadSetting for settings that cannot be used, and SourceUnreadable."""

    @property
    def shape(self) -> Shape:
        """The url, the path of the array of orders, and the map of their fields."""

    @property
    def origin(self) -> str:
        """The `made_from` in the manifests of its raw partitions."""

    @property
    def bytes_to_lay_out(self) -> int:
        """About the bytes of disk that its spool takes while it is landed: the size of the dump, 0 for an API."""

    def dates(self, run: Run, asked: Range, *, writes: bool = True) -> list[str]:
        """The dates to land: all dates of a dump, every date in the range of an API. `writes` False: writes nothing."""

    def land(self, run: Run, dates: list[str]) -> None:
        """Publish the raw partition of each date that is not complete. A date that fails does not stop the others.

        Raises RunFailed, which names the dates that failed, unless the intent has keep_going.
        """

    def changed(self, run: Run, since: datetime, asked: Range) -> Changes:
        """The dates with changes since an instant, and the dates in the range that were never landed."""

    def differing(self, lake: Lake, dates: list[str]) -> list[str]:
        """The dates whose landed records differ from the last known records of the source. Does not read the source."""

    def extent(self, lake: Lake) -> str | None:
        """Its dates in words, such as 2025-01-15..2025-01-31. None if they are not known. Does not read the source."""

    def probe(self, run: Run) -> list[Diagnosis]:
        """Whether the source answers the smallest possible request."""

    def all_records(self) -> Iterator[bytes] | None:
        """All records of the source in buffers of whole lines. None if the source cannot be searched."""
