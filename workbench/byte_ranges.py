"""Bytes over HTTP for threads: ranges of large files, read straight into memory of the caller.

The same law as http.py, whose checks and sentences it shares: every hop is resolved, checked,
pinned and bounded. It blocks because that is fast: `http.client` reading into 1 MiB keeps
up with curl, where an asynchronous client reaches a third of it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import httpx2

from workbench.core.http_hop import (
    DEFAULT_PORTS,
    MAX_REDIRECTS,
    REDIRECTS,
    Silent,
    broken,
    check_encoding,
    check_public,
    refusal,
    silent,
    too_many_redirects,
    unreachable,
    unresolved,
)
from workbench.errors import InputError, LinkError, ProtocolError, shown
from workbench.http import CONNECT_S, checked_url, origin

KEPT_S = 5.0
KEPT_CONNECTIONS = 16
DRAINED_BYTES = 16 * 1024
_RANGE = re.compile(r"bytes (\d{1,16})-(\d{1,16})/(\d{1,16}|\*)\Z")
_SECONDS = re.compile(r"\d{1,6}\Z")

Resolve = Callable[[str, int], list[str]]
"""Gives all IP addresses of a host name. Raises OSError where it has none."""
Hold = Callable[[socket.socket], None]
Connect = Callable[[str, int, float, Hold], socket.socket]
"""Connects to an IP address and port within so many seconds; holds the socket before it waits."""


class Refused(InputError):
    """The host gives nothing for this URL, whenever it is asked; `status` says which way."""

    def __init__(self, template: str, /, *, status: int, **values: Any) -> None:
        super().__init__(template, status=status, **values)
        self.status = status


class Later(LinkError):
    """The host has no time now; `after_s` is how long it asks to be left alone."""

    after_s: float | None = None


def resolve(host: str, port: int) -> list[str]:
    """All addresses of `host`, as the system's resolver has them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(address: str, port: int, limit_s: float, hold: Hold) -> socket.socket:
    """A TCP connection to this very address."""
    found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        hold(found)
        found.settimeout(limit_s)
        found.connect((address, port))
    except BaseException:
        found.close()
        raise
    return found


class Cut:
    """Ends an exchange from another thread, whatever it waits for; it can be used once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.done = False

    def __call__(self) -> None:
        with self._lock:
            self.done = True
            if self._socket is not None:
                self._shut(self._socket)

    def hold(self, found: socket.socket | None) -> None:
        with self._lock:
            self._socket = found
            if self.done and found is not None:
                self._shut(found)

    def _shut(self, found: socket.socket) -> None:
        # Not SSLSocket's own: it takes away the TLS state under the thread that reads.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(found, socket.SHUT_RDWR)


class Body:
    """An answer's bytes, still to be read: [start, end) of `total_bytes` (None: not told)."""

    def __init__(self, response: HTTPResponse, url: httpx2.URL, idle_s: float) -> None:
        self._response, self._host, self._idle_s = response, url.host, idle_s
        header = response.headers
        self.status, self.final_url = response.status, str(url)
        self.etag: str | None = header.get("etag")
        self.last_modified: str | None = header.get("last-modified")
        self.accepts_ranges = response.status == 206  # what Accept-Ranges says is not always so
        self.start, self.total_bytes = self._place()
        self._left: int | None = response.length

    def readinto(self, view: memoryview) -> int:
        """Fill `view` as far as there are bytes; 0 at the end. LinkError where it ends early."""
        with _ours(self._host, self._idle_s):
            count = self._response.readinto(view)
        if self._left is not None:
            self._left -= count
            if count == 0 and len(view) and self._left > 0:
                raise LinkError(
                    "{host} broke off {left} bytes before the end", host=self._host, left=self._left
                )
        return count

    @property
    def whole(self) -> bool:
        """Whether it was read to its end, so that the connection can serve another."""
        return self._left == 0 and not self._response.will_close

    def _place(self) -> tuple[int, int | None]:
        if self.status != 206:
            return 0, self._response.length
        said = self._response.headers.get("content-range", "")
        found = _RANGE.match(said)
        length = self._response.length
        if found is None or length not in (None, int(found[2]) + 1 - int(found[1])):
            raise ProtocolError(
                "{host} sends a part of the file and says it is {value}: it cannot be used",
                host=self._host,
                value=shown(said),
            )
        return int(found[1]), None if found[3] == "*" else int(found[3])


class Ranges:
    """Opens URLs; connections that were read to their end serve again for a few seconds.

    `idle_s` bounds each wait for a byte. It can be used from any number of threads.
    """

    def __init__(
        self,
        *,
        private_addresses: bool = False,
        idle_s: float = 30.0,
        resolve: Resolve = resolve,
        connect: Connect = connect,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.idle_s = idle_s
        self._private_addresses = private_addresses
        self._resolve, self._connect, self._tls = resolve, connect, tls
        self._lock = threading.Lock()
        self._kept: list[tuple[tuple[str, str, int], float, HTTPConnection]] = []

    @contextlib.contextmanager
    def open(
        self,
        url: str,
        *,
        start: int = 0,
        end: int | None = None,
        if_range: str | None = None,
        headers: Mapping[str, str] | None = None,
        cut: Cut | None = None,
    ) -> Iterator[Body]:
        """The bytes of `url` from `start` up to, not with, `end`, at the end of its redirects.

        A server may answer 200 with all of it: look at `Body.status` and `.start`. Raises
        Refused, Later, LinkError, Silent, or InputError for a URL that must not be asked.
        """
        where, theirs, cut = checked_url(url), dict(headers or {}), cut or Cut()
        asked = {"range": f"bytes={start}-{'' if end is None else end - 1}"}
        if if_range is not None:
            asked["if-range"] = if_range
        for _ in range(MAX_REDIRECTS + 1):
            connection, response = self._exchange(where, {**theirs, **asked}, cut)
            whole = False
            try:
                if response.status not in REDIRECTS:
                    body = self._body(response, where)
                    yield body
                    whole = body.whole
                    return
                following = checked_url(response.getheader("location", ""), where)
                whole = _drained(response)
            finally:
                cut.hold(None)
                response.close()
                self._give_back(where, connection, whole and not cut.done)
            if where.scheme == "https" and following.scheme != "https":
                raise InputError(
                    "{host} leads from https to http; allowed: redirects that stay encrypted",
                    host=where.host,
                )
            if origin(following) != origin(where):
                theirs = {}  # whatever was meant for one host is no other host's business
            where = following
        raise too_many_redirects(where.host)

    def close(self) -> None:
        """Close what is kept; what is being read goes on."""
        with self._lock:
            kept, self._kept = self._kept, []
        for _, _, connection in kept:
            connection.close()

    def _body(self, response: HTTPResponse, where: httpx2.URL) -> Body:
        if response.status not in (200, 206):
            raise _refused(where.host, response)
        check_encoding(where.host, response.getheader("content-encoding"))
        return Body(response, where, self.idle_s)

    def _exchange(
        self, where: httpx2.URL, headers: Mapping[str, str], cut: Cut
    ) -> tuple[HTTPConnection, HTTPResponse]:
        kept = self._take(where)
        if kept is not None:
            try:
                return kept, self._ask(kept, where, headers, cut)
            except Silent:
                raise
            except LinkError:
                kept.close()  # the server had closed it meanwhile
        connection = self._connected(where, cut)
        try:
            return connection, self._ask(connection, where, headers, cut)
        except BaseException:
            connection.close()
            raise

    def _ask(
        self, connection: HTTPConnection, where: httpx2.URL, headers: Mapping[str, str], cut: Cut
    ) -> HTTPResponse:
        cut.hold(connection.sock)
        ours = {"accept-encoding": "identity", "user-agent": "runes-workbench"}
        with _ours(where.host, self.idle_s):
            target = where.raw_path.decode("ascii")
            connection.request("GET", target, headers={**ours, **headers})
            return connection.getresponse()

    def _connected(self, where: httpx2.URL, cut: Cut) -> HTTPConnection:
        """A connection to the very address that was checked, so that no look-up can differ."""
        host, port = where.raw_host.decode("ascii"), origin(where)[2]
        limit_s = min(self.idle_s, CONNECT_S)
        failure: LinkError = unresolved(where.host, OSError("the name has no address"))
        for address in self._addresses(host, port):
            if cut.done:
                break
            try:
                with _ours(where.host, limit_s, connecting=True):
                    plain = self._connect(address, port, limit_s, cut.hold)
                    return self._dressed(where, plain, cut)
            except LinkError as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        """All addresses of the host; refused as a whole where one of them is private."""
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise unresolved(host, error) from None
        for address in addresses:
            if not self._private_addresses:
                check_public(host, address)
        return addresses

    def _dressed(self, where: httpx2.URL, plain: socket.socket, cut: Cut) -> HTTPConnection:
        """The socket as an HTTP connection, with TLS by the host's name where it is https."""
        name, port = where.raw_host.decode("ascii"), origin(where)[2]
        try:
            cut.hold(plain)
            if where.scheme == "https":
                plain = self._context().wrap_socket(
                    plain, server_hostname=name, do_handshake_on_connect=False
                )
                cut.hold(plain)
                plain.do_handshake()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(self.idle_s)
        except BaseException:
            plain.close()
            raise
        connection = HTTPConnection(name, port)
        connection.default_port = DEFAULT_PORTS[where.scheme]
        connection.auto_open = 0  # it would connect by name, unchecked
        connection.sock = plain
        return connection

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = httpx2.create_ssl_context(trust_env=False)
            return self._tls

    def _take(self, where: httpx2.URL) -> HTTPConnection | None:
        mine, oldest = origin(where), time.monotonic() - KEPT_S
        with self._lock:
            late = [one for one in self._kept if one[1] < oldest]
            fresh = [one for one in self._kept if one[1] >= oldest]
            found = next((one for one in reversed(fresh) if one[0] == mine), None)
            self._kept = [one for one in fresh if one is not found]
        for _, _, connection in late:
            connection.close()
        return found[2] if found else None

    def _give_back(self, where: httpx2.URL, connection: HTTPConnection, whole: bool) -> None:
        """Keep it for another exchange where this one was read to its end."""
        with self._lock:
            if whole and len(self._kept) < KEPT_CONNECTIONS:
                self._kept.append((origin(where), time.monotonic(), connection))
                return
        connection.close()


def _drained(response: HTTPResponse) -> bool:
    """Whether the few bytes of a redirect could be read, so that its connection can be kept."""
    if response.will_close or response.length is None or response.length > DRAINED_BYTES:
        return False
    with contextlib.suppress(OSError, HTTPException):
        response.read()
        return True
    return False


def _refused(host: str, response: HTTPResponse) -> LinkError | InputError:
    error = refusal(host, response.status)
    if isinstance(error, InputError):
        return Refused(error.template, **error.values)
    later = Later(error.template, **error.values)
    said = response.getheader("retry-after", "")
    later.after_s = float(said) if _SECONDS.match(said) else None
    return later


@contextlib.contextmanager
def _ours(host: str, limit_s: float, *, connecting: bool = False) -> Iterator[None]:
    """Turn foreign exceptions into ours."""
    try:
        yield
    except TimeoutError:
        raise (unreachable(host) if connecting else silent(host, limit_s)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise broken(host, error) from None
