"""Where messages go: the channels of apprise, and a URL that is pinged. A channel that is broken fails no run."""

import logging
import urllib.error
import urllib.request

from pipeline.events import emit
from pipeline.observe.alerts import Message

PING_TIMEOUT_SECONDS = 10


def send(urls: str, message: Message) -> None:
    """Send a message to each of apprise's URLs, which are separated by blanks or commas; they hold secrets."""
    try:
        _send(urls, message)
    except ImportError:
        _failed("apprise is not installed: pip install 'orders-lake[ops]'")
    # apprise's plugins are many and by many; none may fail a run, whatever it raises
    except Exception as error:  # noqa: BLE001
        _failed(f"{type(error).__name__} in a channel of ORDERS_ALERT_URLS")


def _send(urls: str, message: Message) -> None:
    from apprise import Apprise, NotifyFormat

    # it would log the URLs of what fails
    logging.getLogger("apprise").disabled = True
    channels = Apprise()
    if not channels.add(urls):
        _failed("a URL in ORDERS_ALERT_URLS is none that apprise knows")
    if len(channels) and not channels.notify(body=message.body, title=message.title, body_format=NotifyFormat.TEXT):
        _failed("a channel of ORDERS_ALERT_URLS did not take the message")
    emit("alert", title=message.title, channels=len(channels))


def ping(url: str) -> None:
    """Tell the heartbeat's watcher that a run has succeeded."""
    try:
        urllib.request.urlopen(url, timeout=PING_TIMEOUT_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        emit("heartbeat_failed", level=logging.WARNING, reason=f"{reason}; see ORDERS_HEARTBEAT_URL")


def _failed(reason: str) -> None:
    emit("alert_failed", level=logging.WARNING, reason=reason)
