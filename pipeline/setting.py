"""What a setting or a parameter of a task is: a text that is checked where it is read."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import luigi
from luigi.configuration import get_config

from pipeline.config_files import broken_value, stated
from pipeline.errors import BadSetting

AUTO = "auto"
INSTANT_FORMATS = "ISO 8601, such as 2025-01-15T00:00:00Z, 2025-01-15T01:00:00+01:00 or 2025-01-15"


class Setting(luigi.Parameter[Any]):
    """A parameter whose text is checked where it is read; a bad value is one line that names where it was given.

    `key` is its name in luigi.cfg where that is no name for an attribute.
    """

    def __init__(self, read: Callable[[str], Any], expected: str, *, key: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._read, self._expected, self.key = read, expected, key

    def _get_value_from_config(self, section: str, name: str) -> Any:
        key = self.key or name
        if broken := broken_value(section, key):
            raise BadSetting(broken)
        try:
            return super()._get_value_from_config(section, key)
        except BadSetting:
            text = get_config().get(section, key)
            raise BadSetting(f"{stated(section, key)} = {text}: expected {self._expected}") from None

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


class InstantOrAuto(Instant):
    """A point in time, or `auto`."""

    def parse(self, x: str) -> Any:
        return AUTO if x == AUTO else super().parse(x)

    def serialize(self, x: Any) -> str:
        return AUTO if x == AUTO else super().serialize(x)
