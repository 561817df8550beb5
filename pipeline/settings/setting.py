"""The types of settings and of task parameters. Each is a text that is checked when it is read."""

import os
import re
from collections.abc import Callable
from configparser import InterpolationError
from datetime import UTC, datetime
from typing import Any

import luigi
from luigi.configuration import get_config

from pipeline.errors import BadSetting
from pipeline.settings.environment import variable
from pipeline.settings.files import broken_value, stated

AUTO = "auto"
# the bounds of the contract's dates; the last instant is an exclusive end
FIRST_INSTANT, LAST_INSTANT = datetime(1970, 1, 1), datetime(2200, 1, 1)
INSTANT_FORMATS = "ISO 8601 in 1970 to 2199, such as 2025-01-15T00:00:00Z, 2025-01-15T01:00:00+01:00 or 2025-01-15"


class Setting(luigi.Parameter[Any]):
    """A parameter whose text is checked when it is read. Raises BadSetting: one line with where the value was given.

    `key` is its name in luigi.cfg, if that is not a valid attribute name.
    """

    def __init__(self, read: Callable[[str], Any], expected: str, *, key: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._read, self.expected, self.key = read, expected, key

    def _get_value_from_config(self, section: str, name: str) -> Any:
        key = self.key or name
        if (given := os.environ.get(variable(section, key))) is not None:
            return self._of_environment(variable(section, key), given)
        try:
            value = super()._get_value_from_config(section, key)
        except (BadSetting, InterpolationError):
            raise BadSetting(broken_value(section, key) or self._not_expected(section, key)) from None
        if "${" in str(value) and (broken := broken_value(section, key)):
            raise BadSetting(broken)
        return value

    def _of_environment(self, name: str, text: str) -> Any:
        try:
            return self.parse(text)
        except BadSetting:
            raise BadSetting(f"{name} = {_shown(text)}: expected {self.expected}") from None

    def _not_expected(self, section: str, key: str) -> str:
        return f"{stated(section, key)} = {_shown(get_config().get(section, key))}: expected {self.expected}"

    def parse(self, x: str) -> Any:
        try:
            return self._read(x)
        except ValueError:
            raise BadSetting(f"{self._option} {_shown(x)}: expected {self.expected}") from None

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        prefix = f"{owner.__name__}-" if issubclass(owner, luigi.Config) else ""
        self._option = f"--{prefix}{name}".replace("_", "-")

    def _warn_on_wrong_param_type(self, param_name: str, param_value: Any) -> None:
        """Nothing to warn of: parse() has checked the value."""


def _shown(text: str) -> str:
    # an address of Spark Connect may hold a token
    return re.sub(r"(token=)[^;&]*", r"\1…", text.strip()) or "(empty)"


def _on_disk(text: str) -> str:
    if not text.strip() or re.match(r"\s*[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        raise ValueError(text)
    return text


class LocalPath(Setting):
    """A path on this machine; `what` describes it. Refuses an empty text, and a URL: it would make a folder `s3:`."""

    def __init__(self, what: str, **kwargs: Any) -> None:
        super().__init__(_on_disk, f"{what}, and no URL", **kwargs)

    def _parse_or_no_value(self, x: str | None) -> Any:
        # Luigi takes an empty option for an absent one, and would use the default
        return super()._parse_or_no_value(x) if x is None else self.parse(x)


def instant(text: str) -> datetime:
    """An ISO 8601 timestamp in 1970 to 2199 as naive UTC. Without an offset it is UTC; a bare date is its midnight.

    Raises ValueError.
    """
    value = datetime.fromisoformat(text.strip())
    # outside these years the conversion to UTC can overflow
    if not FIRST_INSTANT.year <= value.year <= LAST_INSTANT.year:
        raise ValueError(text)
    value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if not FIRST_INSTANT <= value <= LAST_INSTANT:
        raise ValueError(text)
    return value


class Instant(Setting):
    """A point in time, as naive UTC."""

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
