"""Sends GETs to a shop's API. Credentials go to the shop only, and a deadline shuts the sockets, whatever they do."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from requests.utils import requote_uri
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from pipeline.sources.rest.shop import Request, Shop, origin

MAX_REDIRECTS = 5


class Sockets:
    """The open sockets of a session. Another thread shuts them at a deadline, which ends every read and handshake."""

    def __init__(self) -> None:
        self._lock, self._is_over = threading.Lock(), False
        self._open: dict[HTTPConnection, socket] = {}

    def add(self, connection: HTTPConnection, sock: socket) -> None:
        """Take in a socket that is connected. After the deadline it is shut at once."""
        with self._lock:
            # TLS takes the file descriptor out of `sock`, but a duplicate shuts the same connection
            self._open[connection] = sock.dup()
            if self._is_over:
                _shut(self._open[connection])

    def remove(self, connection: HTTPConnection) -> None:
        with self._lock:
            duplicate = self._open.pop(connection, None)
        if duplicate is not None:
            duplicate.close()

    @contextmanager
    def open_until(self, deadline: float) -> Iterator[None]:
        """Shut the sockets at a moment of time.monotonic(), unless the `with` block ends before."""
        self._is_over = False
        timer = threading.Timer(max(deadline - time.monotonic(), 0), self._shut_all)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _shut_all(self) -> None:
        with self._lock:
            self._is_over = True
            for sock in self._open.values():
                _shut(sock)


def _shut(sock: socket) -> None:
    # the other side may have closed it
    with suppress(OSError):
        sock.shutdown(SHUT_RDWR)


def _registering(kind: type[Any], sockets: Sockets) -> type[Any]:
    """The connection class of urllib3 whose instances register their sockets."""

    class Registering(kind):  # type: ignore[misc]
        def _new_conn(self) -> socket:
            sock: socket = super()._new_conn()
            sockets.add(self, sock)
            return sock

        def close(self) -> None:
            sockets.remove(self)
            super().close()

    return Registering


class _Adapter(HTTPAdapter):
    """Opens connections that register their sockets, through a proxy, too."""

    def __init__(self, sockets: Sockets) -> None:
        kinds = {
            "http": (HTTPConnectionPool, HTTPConnection),
            "https": (HTTPSConnectionPool, HTTPSConnection),
        }
        self._pools = {
            scheme: type("RegisteringPool", (pool,), {"ConnectionCls": _registering(connection, sockets)})
            for scheme, (pool, connection) in kinds.items()
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class Session(requests.Session):
    """A session for one thread. It sends the credentials only to the shop's own scheme, host and port."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop, self.sockets = shop, Sockets()
        # requests encodes an international host name in ASCII
        self._origin = origin(str(requests.Request("GET", shop.url).prepare().url))
        # without this header BigCommerce's older APIs answer with XML
        self.headers["Accept"] = "application/json"
        # while auth is set, requests takes no credentials from ~/.netrc
        self.auth = self._authorize
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self.sockets))

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if origin(str(request.url)) == self._origin:
            request.headers.update(self._shop.credentials.headers)
        return request

    def answer(self, request: Request, timeout: tuple[float, float]) -> requests.Response:
        """The response behind at most MAX_REDIRECTS redirects; no body is read. Raises RequestException.

        `timeout` has the seconds for a connection and for each read.
        """
        url, params = request.url, request.params
        for _ in range(1 + MAX_REDIRECTS):
            response = self.get(url, params=params, timeout=timeout, stream=True, allow_redirects=False)
            target = self._target(response)
            if target is None:
                return response
            url, params = requote_uri(urljoin(response.url, target)), {}
        raise requests.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects")

    def _target(self, response: requests.Response) -> str | None:
        """Where a redirect leads; its response is closed. None for another response, which stays open."""
        try:
            target = super().get_redirect_target(response)
        except ValueError:
            # a Location that is not UTF-8
            response.close()
            raise
        if target is not None:
            response.close()
        return target

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, since requests reads the body of a redirect, which may be endless, before it goes on."""
