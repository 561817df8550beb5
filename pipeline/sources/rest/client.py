"""Gets a page of a shop's API: sends the GET, reads the body, checks it, and retries within limits."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential
from urllib3.exceptions import HTTPError, ReadTimeoutError

from pipeline.errors import PageTooLarge, RequestRefused, RetriesExhausted
from pipeline.events import emit
from pipeline.sources.rest.pages import Page, PassGuard, Transient, read_page
from pipeline.sources.rest.shop import Request, Shop, Window
from pipeline.sources.rest.transport import Session

READ_BYTES = 1 << 16
READ_REFUSAL_BYTES = 1 << 12
SHOWN_REFUSAL_CHARACTERS = 200
# a socket takes no timeout of 0
MIN_TIMEOUT_SECONDS = 0.01
# some shops answer a window without orders with this status
NO_CONTENT = 204
RETRIED_STATUS = {408, 429}
SETTINGS_BY_STATUS = {
    400: "params, since_param, until_param, limit_param, page_size, time_format",
    401: "auth, auth_header and the environment variables of token_env, user_env, password_env",
    403: "auth, and what these credentials may read",
    404: "url",
    414: "params, page_size",
    422: "params, since_param, until_param, limit_param, page_size, time_format",
}


class Stopped(Exception):
    """The extraction was stopped while this window waited."""


class Pace:
    """Limits the requests of all windows together to a rate, and pauses them while the API asks for a pause."""

    def __init__(self, max_requests_per_second: float) -> None:
        self._gap = 1 / max_requests_per_second
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is the caller's turn. Raises Stopped."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        self.sleep(turn - now)

    def rest(self, seconds: float) -> None:
        """Pause the requests of all windows."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Raises Stopped if the extraction is stopped meanwhile."""
        if self._stopped.wait(max(seconds, 0)):
            raise Stopped

    def stop(self) -> None:
        """Stop the extraction: every window that waits raises Stopped."""
        self._stopped.set()


class Client:
    """Asks the API, from several threads. `counts` collects a window's requests, and its retries by kind."""

    def __init__(self, shop: Shop) -> None:
        self._shop, self._settings = shop, shop.settings
        self.pace = Pace(shop.settings.max_requests_per_second)
        self._local = threading.local()

    def page(self, window: Window, request: Request, guard: PassGuard, before: int, counts: Counter[str]) -> Page:
        """The page that a request asks for, after `before` records of its window.

        Raises RetriesExhausted, RequestRefused, PageTooLarge and Stopped.
        """
        deadline = time.monotonic() + self._settings.page_budget_seconds
        attempts = Retrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_after_attempt(self._settings.attempts) | stop_before_delay(self._settings.page_budget_seconds),
            wait=self._wait(),
            sleep=self.pace.sleep,
            before_sleep=lambda state: self._note(state, window, counts),
            retry_error_callback=lambda state: self._give_up(state, window, counts),
        )
        page: Page = attempts(self._attempt, request, guard, before, counts, deadline)
        return page

    def _attempt(self, request: Request, guard: PassGuard, before: int, counts: Counter[str], deadline: float) -> Page:
        self.pace.wait()
        counts["requests"] += 1
        answer = self._answer(request, deadline)
        if answer is None:
            return Page(b"", 0, None, None)
        page = read_page(self._settings, request, *answer, before)
        guard.check(request, page)
        return page

    def _answer(self, request: Request, deadline: float) -> tuple[bytes, Mapping[str, str]] | None:
        """The body and the headers; None for a status that says that there is no body."""
        session, left = self._session(), max(deadline - time.monotonic(), MIN_TIMEOUT_SECONDS)
        limits = self._settings.connect_timeout_seconds, self._settings.read_timeout_seconds
        try:
            with (
                session.sockets.open_until(deadline),
                session.answer(request, (min(limits[0], left), min(limits[1], left))) as response,
            ):
                self._judge(response)
                return None if response.status_code == NO_CONTENT else (self._body(response), response.headers)
        except (requests.RequestException, HTTPError, ValueError) as error:
            if time.monotonic() >= deadline:
                raise Transient("timeout", "a page that takes longer than page_budget_seconds") from error
            raise self._fault(request, error) from error

    def _fault(self, request: Request, error: Exception) -> Exception:
        """The error to raise for an error of requests or urllib3."""
        if isinstance(error, requests.Timeout | ReadTimeoutError):
            return Transient("timeout", "no answer in time")
        if isinstance(error, HTTPError):
            return Transient("cut_body", "a body that was cut off")
        if isinstance(error, requests.ConnectionError):
            self._refuse_certificate(error)
            return Transient("connection", "no connection")
        found = error if isinstance(error, requests.TooManyRedirects) else type(error).__name__
        return RequestRefused(self._error_text(request.url, f"{found}; correct [orders_api] url, then run again"))

    def _session(self) -> Session:
        if not hasattr(self._local, "session"):
            self._local.session = Session(self._shop)
        session: Session = self._local.session
        return session

    def _judge(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (200, NO_CONTENT):
            return
        if status in RETRIED_STATUS or status >= 500:
            wait = retry_after(response.headers.get("Retry-After", ""), self._settings.max_backoff_seconds)
            if status == 429:
                self.pace.rest(wait or 0)
            raise Transient(str(status), f"status {status}", retry_after=wait)
        setting, said = SETTINGS_BY_STATUS.get(status, "url"), self._said(response)
        mend = f"check [orders_api] {setting}, then run again"
        raise RequestRefused(self._error_text(response.url, f"status {status}: {said}; {mend}"))

    def _said(self, response: requests.Response) -> str:
        """The start of the API's text with a refusal. Secrets are removed before the text is cut."""
        try:
            said = response.raw.read(READ_REFUSAL_BYTES, decode_content=True).decode(errors="replace")
        except HTTPError:
            return "an answer that cannot be read"
        return " ".join(self._shop.credentials.redacted(said).split())[:SHOWN_REFUSAL_CHARACTERS]

    def _body(self, response: requests.Response) -> bytes:
        pieces, size = [], 0
        # unlike iter_content, this does not take the size of a chunk in a line without an end
        while piece := response.raw.read(READ_BYTES, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > self._settings.max_page_bytes:
                found = f"a page of more than {self._settings.max_page_bytes:,} bytes ([orders_api] max_page_bytes)"
                mend = "set a smaller [orders_api] page_size, then run again"
                raise PageTooLarge(self._error_text(response.url, f"{found}; {mend}"))
        return b"".join(pieces)

    def _refuse_certificate(self, error: Exception) -> None:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise RequestRefused(
                self._error_text(
                    self._shop.url,
                    "its TLS certificate cannot be verified; check [orders_api] url; if an authority of your own has "
                    "signed the certificate, name the file of that authority in REQUESTS_CA_BUNDLE",
                )
            ) from None

    def _error_text(self, url: str, found: str) -> str:
        """The message of an error: without the URL's parameters, which may be long, and without secrets."""
        return self._shop.credentials.redacted(f"{url.split('?')[0]}: {found}")

    def _wait(self) -> Callable[[RetryCallState], float]:
        backoff = wait_random_exponential(self._settings.backoff_seconds, self._settings.max_backoff_seconds)

        def wait(state: RetryCallState) -> float:
            asked = _transient(state).retry_after
            return backoff(state) if asked is None else asked

        return wait

    def _note(self, state: RetryCallState, window: Window, counts: Counter[str]) -> None:
        kind, wait = _transient(state).kind, state.next_action.sleep if state.next_action else 0.0
        counts[kind] += 1
        emit("retry", window=window.name, attempt=state.attempt_number, status=kind, wait_seconds=wait)

    def _give_up(self, state: RetryCallState, window: Window, counts: Counter[str]) -> Any:
        error = _transient(state)
        counts[error.kind] += 1
        raise RetriesExhausted(
            self._error_text(
                self._shop.url,
                f"{error}, after {state.attempt_number} attempts in {state.seconds_since_start or 0:.0f} s; expected "
                "a page; run again later, or raise [orders_api] attempts and page_budget_seconds",
            )
        ) from None


def _transient(state: RetryCallState) -> Transient:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Transient):
        raise TypeError(f"only a Transient is tried again, not {error!r}")
    return error


def retry_after(value: str, cap_seconds: float) -> float | None:
    """The seconds in Retry-After, a number or a date, at most the cap. None if they are not above 0 or not readable."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(seconds, cap_seconds) if seconds > 0 else None
