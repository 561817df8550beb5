"""What a run wants of a source of orders, a dump or a shop's API alike."""

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
    """The dates that hold, or held, changed orders; `api`: what asking an API for them took."""

    dates: set[str]
    api: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """Where orders come from. What it raises: BadSetting for settings that cannot be meant, and SourceUnreadable."""

    @property
    def shape(self) -> Shape:
        """How its records are shaped."""

    @property
    def origin(self) -> str:
        """What the manifests of its raw partitions say that they are made from."""

    @property
    def bytes_to_lay_out(self) -> int:
        """How many bytes of the lake's disk it takes while it is landed."""

    def dates(self, run: Run, asked: Range, *, writes: bool = True) -> list[str]:
        """The dates that it has to offer in a range, or all of them. Without `writes` the lake stays as it is."""

    def land(self, run: Run, dates: list[str]) -> None:
        """Publish the raw partition of each date that is not complete. A date that fails does not stop the others.

        Raises RunFailed naming the dates that failed, unless the intent is to keep going.
        """

    def changed(self, run: Run, since: datetime, asked: Range) -> Changes:
        """What has changed since an instant, and what was never landed of the range."""

    def differing(self, lake: Lake, dates: list[str]) -> list[str]:
        """The dates of which other records are landed than it has now, as far as it knows without being asked."""

    def extent(self, lake: Lake) -> str | None:
        """Which dates it has, in words, as far as it knows without being asked; None where it does not."""

    def probe(self, run: Run) -> list[Diagnosis]:
        """Whether it answers, asked as little as can be."""

    def all_records(self) -> Iterator[bytes] | None:
        """Buffers of whole lines with all of its records; None where it cannot be searched."""
