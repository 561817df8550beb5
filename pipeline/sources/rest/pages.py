"""A response's body as a page: its records verbatim, one a line, and the request for the page after it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

import msgspec

from pipeline.engine import NotJson, NotText, rewrite
from pipeline.errors import EndlessPages, RequestRefused
from pipeline.fields import Path, found
from pipeline.settings.shop import ShopSettings
from pipeline.sources.array_scan import ArrayScan
from pipeline.sources.json_array import opening
from pipeline.sources.rest.shop import Request, origin

# RFC 8288: <target> and its parameters, whose values may be quoted and then hold any character
_PARAMETER = r';\s*([^\s=;,]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?\s*'
_LINK = re.compile(rf"<([^>]*)>\s*((?:{_PARAMETER})*)")
_PARAMETERS = re.compile(_PARAMETER)

# the elements of an array and the members of an object, as their own text
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# in JSON a line break is between tokens only, where a blank is as good
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class Transient(Exception):
    """An answer that may be another one at the next attempt; `kind` is what it is counted as."""

    def __init__(self, kind: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.retry_after = kind, retry_after


@dataclass(frozen=True)
class Page:
    """Newline-ended records, how many there are, what to ask for next, and how many the API says the window has."""

    records: bytes
    count: int
    next: Request | None
    total: int | None


def read_page(settings: ShopSettings, request: Request, body: bytes, headers: Mapping[str, str], before: int) -> Page:
    """The page in a body; `before` records of its window came before it. Raises Transient when it is no page."""
    envelope, records, count, last = _whole(settings, body) or _careful(settings, body)
    total = _total(settings, envelope, headers)
    return Page(records, count, _next(settings, request, envelope, headers, last, before + count, count, total), total)


def _whole(settings: ShopSettings, body: bytes) -> tuple[Any, bytes, int, Any] | None:
    """(envelope, records, how many, the last one) of a body that is JSON; None when that is in doubt."""
    try:
        # what is no text is all that msgspec lets pass in values that it does not decode
        body.decode()
        envelope, records = _apart(body, settings.records)
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        return None
    _refuse_error(settings, envelope)
    last = _value(bytes(records[-1])) if records and settings.cursor_of_last else None
    return envelope, b"".join(bytes(record).translate(_ONE_LINE) + b"\n" for record in records), len(records), last


def _apart(text: Any, path: Path) -> tuple[Any, list[msgspec.Raw]]:
    """The values around the array at a path, and that array's elements verbatim. Raises msgspec.DecodeError."""
    if not path:
        return [], _ELEMENTS.decode(text)
    members: dict[Any, msgspec.Raw] = _MEMBERS.decode(text)
    if path[0] not in members:
        raise msgspec.DecodeError
    inner, records = _apart(members.pop(path[0]), path[1:])
    return {name: _value(bytes(member)) for name, member in members.items()} | {path[0]: inner}, records


def _careful(settings: ShopSettings, body: bytes) -> tuple[Any, bytes, int, Any]:
    """The same, record by record, of a body that may hold records that are no text, nested too deeply or broken."""
    start = opening(body, settings.records)
    if start is None and _value(body) is not None:
        raise Transient("error_envelope", "JSON without an array where [orders_api] records says")
    if start is None:
        raise _no_json(body)
    scan = ArrayScan()
    lines = scan.feed(body[start:])
    envelope = _value(body[:start] + b"[" + scan.rest) if scan.closed else None
    if envelope is None:
        raise _no_json(body)
    _refuse_error(settings, envelope)
    records = lines.splitlines(keepends=True)
    for record in records:
        try:
            rewrite(record)
        except NotText:
            continue
        except NotJson:
            raise _no_json(body) from None
    return envelope, lines, len(records), _value(records[-1]) if records else None


def _value(text: bytes) -> Any:
    """A JSON text as Python has it; None when it is none."""
    try:
        return json.loads(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _no_json(body: bytes) -> Transient:
    return Transient("html", "HTML") if body.lstrip()[:1] == b"<" else Transient("invalid_json", "no valid JSON")


def _refuse_error(settings: ShopSettings, envelope: Any) -> None:
    if settings.error is not None and found(envelope, settings.error):
        raise Transient("error_envelope", "an error in the body ([orders_api] error)")


def _total(settings: ShopSettings, envelope: Any, headers: Mapping[str, str]) -> int | None:
    if settings.total is None:
        return None
    stated = headers.get(settings.total) if isinstance(settings.total, str) else found(envelope, settings.total)
    return int(str(stated)) if str(stated).isdecimal() else None


def _next(
    settings: ShopSettings,
    request: Request,
    envelope: Any,
    headers: Mapping[str, str],
    last: Any,
    seen: int,
    count: int,
    total: int | None,
) -> Request | None:
    """What asks for the page after this one; None when this was the last."""
    if settings.pagination == "none":
        return None
    if settings.pagination == "link_header":
        return _linked(request, headers)
    if settings.pagination == "cursor":
        return _pointed(settings, request, envelope, last)
    # more than there are, as it says, is no reason to stop
    if not count or seen == total:
        return None
    if settings.pagination == "offset":
        return _with(request, settings.offset_param, seen)
    return _with(request, settings.page_param, int(request.params[settings.page_param]) + 1)


def _pointed(settings: ShopSettings, request: Request, envelope: Any, last: Any) -> Request | None:
    """The request with the next cursor. Raises Transient when more is said to follow, but not where."""
    cursor = found(last, path) if (path := settings.cursor_of_last) else found(envelope, settings.next_cursor or ())
    cursor = None if cursor is False or cursor == "" else cursor
    more = found(envelope, settings.has_more) if settings.has_more is not None else cursor is not None
    if more and cursor is None:
        raise Transient("no_cursor", "[orders_api] has_more says yes, but next_cursor or cursor_of_last finds nothing")
    return _with(request, settings.cursor_param, cursor) if more else None


def _with(request: Request, name: str, value: Any) -> Request:
    return replace(request, params=request.params | {name: str(value)})


def _linked(request: Request, headers: Mapping[str, str]) -> Request | None:
    """The target of Link with rel="next" (RFC 8288), relative to the request."""
    target = next((target for target, relations in _links(headers.get("Link", "")) if "next" in relations), None)
    if target is None:
        return None
    url = urljoin(request.url, target)
    if origin(url) != origin(request.url):
        raise RequestRefused(
            f"{request.url}: Link names a next page on another host, {origin(url)[1]}; "
            "expected one of the same scheme, host and port; nothing was sent there"
        )
    return Request(url)


def _links(header: str) -> Iterator[tuple[str, list[str]]]:
    """Each link's target and relations; of several parameters `rel` the first counts."""
    for link in _LINK.finditer(header):
        given = [(name.lower(), quoted or bare) for name, quoted, bare in _PARAMETERS.findall(link[2])]
        yield link[1], next((value.strip("'").lower().split() for name, value in given if name == "rel"), [])


class Course:
    """The pages of one pass over a window, as they come: it ends, and comes to no page twice."""

    MAX_EMPTY_PAGES = 20

    def __init__(self) -> None:
        self._asked: set[tuple[Any, ...]] = set()
        self._records = b""
        self._empty = 0

    def check(self, request: Request, page: Page) -> None:
        """Raises Transient for a page that was there before, as a stale cache gives it."""
        asked = self._asked | {_key(request)}
        if page.next is not None and _key(page.next) in asked:
            raise Transient("repeated_page", "the request for the next page is one that was made already")
        if page.count and page.records == self._records:
            raise Transient("repeated_page", "the very records of the page before")

    def accept(self, request: Request, page: Page) -> None:
        """Go on with this page. Raises EndlessPages."""
        self._asked.add(_key(request))
        self._records = page.records
        self._empty = 0 if page.count else self._empty + 1
        if self._empty > self.MAX_EMPTY_PAGES and page.next is not None:
            raise EndlessPages(
                f"{request.url}: {self._empty} empty pages in a row, and there is always another; "
                "see [orders_api] pagination, next_cursor and has_more"
            )


def _key(request: Request) -> tuple[Any, ...]:
    return request.url, *sorted(request.params.items())
