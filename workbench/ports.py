"""Listening sockets: one port number on several addresses, and a sentence when it is taken.

And room for those who come: each connection is an open file.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
from collections.abc import Iterable

from workbench.errors import SettingsError


class PortTaken(SettingsError):
    """Another program listens there already."""


OPEN_FILES = 8192
LOOPBACK = ("127.0.0.1", "::1")


def bind(hosts: Iterable[str], port: int) -> list[socket.socket]:
    """Listening sockets on one and the same port of every host that this machine has."""
    wanted = list(hosts)
    for attempt in itertools.count():
        bound: list[socket.socket] = []
        try:
            for host in wanted:
                number = bound[0].getsockname()[1] if bound else port
                each = _bind_one(host, number)
                if each is not None:
                    bound.append(each)
        except OSError as error:
            taken = number
            for each in bound:
                each.close()
            if error.errno == errno.EADDRINUSE and port == 0 and attempt < 50:
                continue
            raise _bind_error(error, host, taken) from None
        if bound:
            return bound
        raise SettingsError(
            "none of the addresses {hosts} exists on this machine: set WORKBENCH_HOST to one "
            "that does, or leave it empty for loopback",
            hosts=", ".join(wanted),
        )
    raise AssertionError


def _bind_one(host: str, port: int) -> socket.socket | None:
    """A bound socket; None where this machine lacks the address family (no IPv6)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # asyncio sends small frames at once (TCP_NODELAY) only where the protocol is named; else a
        # second frame waits 40 ms for the peer's acknowledgement of the first.
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError:
        return None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.setblocking(False)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return made


def _bind_error(error: OSError, host: str, port: int) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            "port {port} on {host} is taken by another program: stop it, choose another port "
            "or start with --free-ports",
            port=port,
            host=host,
        )
    return SettingsError(
        "cannot listen on {host} port {port}: {reason}; choose another address or port",
        host=host,
        port=port,
        reason=error.strerror or str(error),
    )


def allow_files(wanted: int = OPEN_FILES) -> None:
    """Let this process open `wanted` files where the system permits it.

    Unless asked, Linux allows 1,024 and macOS 256, which is fewer than a listener's connections.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):  # there is no such limit elsewhere
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
