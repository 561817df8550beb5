"""A shop's REST API as luigi.cfg describes it: which requests ask for a window of orders."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import BadSetting
from pipeline.fields import FieldMap
from pipeline.sources.rest.credentials import Credentials, read_credentials

LOOPBACK = ("localhost", "127.0.0.1", "::1")
NEEDED = {
    "cursor": (("cursor_param",), ("next_cursor", "cursor_of_last")),
    "page_number": (("page_param",),),
    "offset": (("offset_param",),),
    "link_header": (),
    "none": (),
}
# a spooled window is worth nothing once one of these has changed
ASKED = {"url", "params", "since_param", "until_param", "updated_since_param", "time_format"}
ASKED |= {"since_offset_seconds", "until_offset_seconds", "limit_param", "page_size", "pagination", "page_param"}
ASKED |= {"offset_param", "cursor_param", "next_cursor", "cursor_of_last", "has_more", "records"}


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, which is what credentials are for. Raises ValueError."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@dataclass(frozen=True)
class Window:
    """The orders to ask for: those created in [since, until), or with until None those updated since. Naive UTC."""

    name: str
    since: datetime
    until: datetime | None

    @classmethod
    def of(cls, date: str) -> "Window":
        """The window of one UTC date."""
        start = datetime.fromisoformat(date)
        return cls(date, start, start + timedelta(days=1))


@dataclass(frozen=True)
class Request:
    """One page to ask for."""

    url: str
    params: dict[str, str] = field(default_factory=dict)


class Shop:
    """The API. Its settings are those of [orders_api], by their names."""

    def __init__(self, settings: Mapping[str, Any], fields: FieldMap | None) -> None:
        """Raises BadSetting for settings that do not fit together, and for a secret that is not there."""
        self.settings, self.fields = settings, fields
        self.url: str = settings["url"]
        _refuse_unusable(settings)
        self.credentials: Credentials = read_credentials(settings)
        _refuse_insecure(settings, self.credentials)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["settings"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def digest(self) -> str:
        """Another for every other way of asking."""
        asked = {name: value for name, value in self.settings.items() if name in ASKED}
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def first(self, window: Window) -> Request:
        """What asks for the first page of a window."""
        params = dict(self.params)
        if window.until is None:
            params[self.updated_since_param] = self.time(window.since)
        else:
            params[self.since_param] = self.time(window.since + timedelta(seconds=self.since_offset_seconds))
            params[self.until_param] = self.time(window.until + timedelta(seconds=self.until_offset_seconds))
        if self.limit_param and self.pagination != "none":
            params[self.limit_param] = str(self.page_size)
        if self.pagination == "page_number":
            params[self.page_param] = "1"
        return Request(self.url, params)

    def time(self, instant: datetime) -> str:
        """An instant as the API wants it."""
        seconds = instant.replace(tzinfo=UTC).timestamp()
        if self.time_format == "iso":
            return instant.isoformat() + "Z"
        if self.time_format == "epoch_seconds":
            return str(int(seconds))
        if self.time_format == "epoch_millis":
            return str(int(seconds * 1000))
        return instant.strftime(self.time_format)


def _refuse_unusable(settings: Mapping[str, Any]) -> None:
    parts = urlsplit(settings["url"])
    if not parts.hostname or parts.username or parts.password:
        expected = "a URL with a host and without user or password (see [orders_api] auth)"
        raise BadSetting(f"[orders_api] url = {parts.scheme}://{parts.hostname or ''}{parts.path}: expected {expected}")
    if parts.query or parts.fragment:
        raise BadSetting(
            f"[orders_api] url = {parts.scheme}://{parts.hostname}{parts.path}?…: expected a URL without parameters; "
            "fixed ones go into [orders_api] params, secrets into the environment (see auth)"
        )
    for names in (("since_param",), ("until_param",), *NEEDED[settings["pagination"]]):
        if not any(settings[name] for name in names):
            raise BadSetting(f"[orders_api] {' or '.join(names)}: pagination = {settings['pagination']} needs it")


def _refuse_insecure(settings: Mapping[str, Any], credentials: Credentials) -> None:
    parts = urlsplit(settings["url"])
    in_the_clear = parts.scheme == "http" and parts.hostname not in LOOPBACK
    if credentials.headers and in_the_clear and not settings["allow_insecure"]:
        raise BadSetting(
            f"[orders_api] url = http://{parts.hostname}…: credentials would be sent in the clear; "
            "expected https://, or allow_insecure = true"
        )
