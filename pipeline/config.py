"""The settings of luigi.cfg, one luigi.Config class a section, read once at the edge; units are in the key names."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import luigi

from pipeline.errors import BadSetting

INSTANT_FORMATS = "ISO 8601, such as 2025-01-15T00:00:00Z, 2025-01-15T01:00:00+01:00 or 2025-01-15"


class Setting(luigi.Parameter[Any]):
    """A parameter whose text is checked where it is read; a bad value is one line that names the parameter."""

    def __init__(self, read: Callable[[str], Any], expected: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._read, self._expected = read, expected

    def parse(self, x: str) -> Any:
        try:
            return self._read(x)
        except ValueError:
            raise BadSetting(f"{self._option} {x}: expected {self._expected}") from None

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        prefix = f"{owner.__name__}-" if issubclass(owner, luigi.Config) else ""
        self._option = f"--{prefix}{name}".replace("_", "-")

    def _warn_on_wrong_param_type(self, param_name: str, param_value: Any) -> None:
        """The value has been read already."""


def instant(text: str) -> datetime:
    """An ISO 8601 timestamp as naive UTC; without an offset it is UTC, a bare date is its midnight."""
    value = datetime.fromisoformat(text.strip())
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


class Instant(Setting):
    """A point in time, kept as naive UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(instant, INSTANT_FORMATS, **kwargs)

    def serialize(self, x: datetime | None) -> str:
        return "" if x is None else x.isoformat(timespec="microseconds") + "Z"

    def parse(self, x: str) -> datetime | None:
        return super().parse(x) if x else None


def _number(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def _flag(text: str) -> bool:
    flags = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.strip().lower() not in flags:
        raise ValueError(text)
    return flags[text.strip().lower()]


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)? ?[KMGT]i?B", text.strip()):
        raise ValueError(text)
    return text.strip()


class orders_api(luigi.Config):
    """Where orders come from."""

    url = luigi.Parameter(default="data/api_orders.json", description="path of a JSON dump")
    settle_hours = Setting(_number(float, 0, 10_000), "hours from 0 to 10000", default=6.0)
    max_vanished_share = Setting(_number(float, 0, 1), "a share from 0 to 1", default=0.2)


class storage(luigi.Config):
    """Where the lake lies."""

    root = luigi.Parameter(default="output", description="folder of the lake")
    lock_timeout_seconds = Setting(_number(float, 0, 86_400), "seconds from 0 to 86400", default=600.0)
    fsync = Setting(_flag, "true or false", default=True)


class warehouse(luigi.Config):
    """The embedded warehouse and the dimensions' sources."""

    path = luigi.Parameter(default="duckdb_db/warehouse.db", description="DuckDB file of the warehouse")
    users_csv = luigi.Parameter(default="data/users.csv", description="CSV of users")
    products_csv = luigi.Parameter(default="data/products.csv", description="CSV of products")


class engine(luigi.Config):
    """What DuckDB may use."""

    memory_limit = Setting(_memory, "a size with its unit, such as 512MB or 2GiB", default="512MB")
    threads = Setting(_number(int, 0, 1024), "a whole number, 0 for all cores", default=0)


class run(luigi.Config):
    """How a run is cut and when it is."""

    dates_per_task = Setting(_number(int, 0, 100_000), "a whole number, 0 for automatic", default=0)
    as_of = Instant(default=None)


def validate() -> None:
    """Read every setting. Raises BadSetting naming the first that cannot be used."""
    for section in (orders_api, storage, warehouse, engine, run):
        section()
