"""Sends messages through apprise's channels, and pings the heartbeat URL. A broken channel does not fail the run."""

import logging
import urllib.error
import urllib.request

from pipeline.events import emit
from pipeline.observe.alerts import Message

PING_TIMEOUT_SECONDS = 10


def send(urls: str, message: Message) -> None:
    """Send a message to each apprise URL. `urls` are separated by blanks or commas, and they hold secrets."""
    try:
        _send(urls, message)
    except ImportError:
        _failed("apprise is not installed: pip install 'orders-lake[ops]'")
    # apprise's plugins come from many authors and can raise anything; no plugin may fail a run
    except Exception as error:  # noqa: BLE001
        _failed(f"{type(error).__name__} in a channel of ORDERS_ALERT_URLS")


def _send(urls: str, message: Message) -> None:
    from apprise import Apprise, NotifyFormat

    # apprise logs the URL of a channel that fails, and the URL holds secrets
    logging.getLogger("apprise").disabled = True
    channels = Apprise()
    if not channels.add(urls):
        _failed("apprise does not know a URL in ORDERS_ALERT_URLS")
    if len(channels) and not channels.notify(body=message.body, title=message.title, body_format=NotifyFormat.TEXT):
        _failed("a channel of ORDERS_ALERT_URLS did not accept the message")
    emit("alert", title=message.title, channels=len(channels))


def ping(url: str) -> None:
    """Ping the heartbeat URL, which says that a run has succeeded. A failed ping is a WARNING."""
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("another scheme, such as file:")
        urllib.request.urlopen(url, timeout=PING_TIMEOUT_SECONDS).close()  # noqa: S310  the scheme is checked above
    except (OSError, ValueError) as error:
        reason = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        emit("heartbeat_failed", level=logging.WARNING, reason=f"{reason}; check the URL in ORDERS_HEARTBEAT_URL")


def _failed(reason: str) -> None:
    emit("alert_failed", level=logging.WARNING, reason=reason)
