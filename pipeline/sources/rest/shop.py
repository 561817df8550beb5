"""A shop's REST API by its settings: the requests for a window of orders."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from pipeline.errors import BadSetting
from pipeline.fields import FieldMap
from pipeline.settings.shop import RequestSettings, ShopSettings
from pipeline.sources.rest.credentials import Credentials, read_credentials

LOOPBACK = ("localhost", "127.0.0.1", "::1")
NEEDED = {
    "cursor": (("cursor_param",), ("next_cursor", "cursor_of_last")),
    "page_number": (("page_param",),),
    "offset": (("offset_param",),),
    "link_header": (),
    "none": (),
}


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: credentials are sent to one origin only. Raises ValueError."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@dataclass(frozen=True)
class Window:
    """A range of orders, naive UTC: those created in [since, until). With until None: those updated since `since`."""

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
    """The API, with its credentials and the map of its orders' fields."""

    def __init__(self, settings: ShopSettings, fields: FieldMap | None) -> None:
        """Raises BadSetting if settings do not fit together, or if a secret is missing."""
        self.settings, self.fields = settings, fields
        self.url = settings.url
        _refuse_unusable(settings)
        self.credentials = read_credentials(settings)
        _refuse_insecure(settings, self.credentials)

    @property
    def digest(self) -> str:
        """16 hex digits that identify the settings of the requests."""
        asked = {name: getattr(self.settings, name) for name in RequestSettings.__struct_fields__}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    def first(self, window: Window) -> Request:
        """The request for the first page of a window."""
        settings = self.settings
        params = dict(settings.params)
        if window.until is None:
            params[settings.updated_since_param] = self.time(window.since)
        else:
            params[settings.since_param] = self.time(window.since + timedelta(seconds=settings.since_offset_seconds))
            params[settings.until_param] = self.time(window.until + timedelta(seconds=settings.until_offset_seconds))
        if settings.limit_param and settings.pagination != "none":
            params[settings.limit_param] = str(settings.page_size)
        if settings.pagination == "page_number":
            params[settings.page_param] = "1"
        return Request(self.url, params)

    def time(self, instant: datetime) -> str:
        """An instant in the API's time_format."""
        seconds = instant.replace(tzinfo=UTC).timestamp()
        if self.settings.time_format == "iso":
            return instant.isoformat() + "Z"
        if self.settings.time_format == "epoch_seconds":
            return str(int(seconds))
        if self.settings.time_format == "epoch_millis":
            return str(int(seconds * 1000))
        return instant.strftime(self.settings.time_format)


def _refuse_unusable(settings: ShopSettings) -> None:
    parts = urlsplit(settings.url)
    if not parts.hostname or parts.username or parts.password:
        expected = "a URL with a host and without user or password (see [orders_api] auth)"
        raise BadSetting(f"[orders_api] url = {parts.scheme}://{parts.hostname or ''}{parts.path}: expected {expected}")
    if parts.query or parts.fragment:
        raise BadSetting(
            f"[orders_api] url = {parts.scheme}://{parts.hostname}{parts.path}?…: expected a URL without parameters; "
            "put fixed parameters into [orders_api] params, and secrets into the environment (see auth)"
        )
    for names in (("since_param",), ("until_param",), *NEEDED[settings.pagination]):
        if not any(getattr(settings, name) for name in names):
            raise BadSetting(
                f"[orders_api] {' or '.join(names)} is empty; pagination = {settings.pagination} needs a value"
            )


def _refuse_insecure(settings: ShopSettings, credentials: Credentials) -> None:
    parts = urlsplit(settings.url)
    in_the_clear = parts.scheme == "http" and parts.hostname not in LOOPBACK
    if credentials.headers and in_the_clear and not settings.allow_insecure:
        raise BadSetting(
            f"[orders_api] url = http://{parts.hostname}…: credentials would be sent in the clear; "
            "expected https://, or allow_insecure = true"
        )
