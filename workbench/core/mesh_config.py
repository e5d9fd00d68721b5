"""What may be set on a mesh client, with its bounds; every value may change while it runs."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from workbench.core.wire import convert
from workbench.errors import InputError

ENDPOINTS = ("local", "remote", "custom")


class MeshConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reconnect_delay` and `task_timeout` in seconds; `keep_trying` retries each minute
    after the attempts are spent."""

    reconnect_delay: Annotated[float, msgspec.Meta(gt=0, le=600)] = 2.0
    reconnect_max_attempts: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    keep_trying: bool = False
    task_timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 30.0
    console_max_lines: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    local_endpoint: str = "ws://localhost:8081/mesh"
    remote_endpoint: str = "wss://mesh.runes.pro/node"
    custom_endpoint: str | None = None
    debug: bool = False

    def changed(self, **changes: Any) -> MeshConfig:
        """The same with some values changed; camel-case names are understood.

        Raises InputError naming the faulty value.
        """
        new = {snake(name): value for name, value in changes.items()}
        return convert({**msgspec.structs.asdict(self), **new}, MeshConfig)

    def url(self, endpoint: str) -> str:
        """The address of `local`, `remote` or `custom`."""
        if endpoint not in ENDPOINTS:
            raise InputError.field("endpoint", endpoint, ", ".join(ENDPOINTS))
        url: str | None = getattr(self, f"{endpoint}_endpoint")
        if not url:
            raise InputError(
                "the {endpoint} endpoint has no address: set {endpoint}_endpoint first",
                endpoint=endpoint,
            )
        return url


class Address(NamedTuple):
    """Where to connect: the address without its token, and whether it is this machine."""

    url: str
    token: str | None
    loopback: bool


def address(url: str, token: str | None = None) -> Address:
    """A WebSocket address, checked: `ws:` on this machine only, `wss:` anywhere.

    A `?token=` in it is taken out, so that it never shows in a log or an event.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    allowed = "ws://localhost:PORT/PATH, or wss://HOST/PATH"
    if parts.scheme not in ("ws", "wss") or not host or parts.username or parts.fragment:
        raise InputError.field("endpoint", _without_secrets(url), allowed)
    loopback = is_loopback(host)
    if parts.scheme == "ws" and not loopback:
        raise InputError(
            "{host} is not this machine, so the connection must be encrypted: use wss: for ws:",
            host=host,
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    tokens = [value for name, value in query if name == "token"]
    rest = urlencode([(name, value) for name, value in query if name != "token"])
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, rest, ""))
    return Address(bare, token or (tokens[0] if tokens else None), loopback)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def snake(name: str) -> str:
    """`taskProgress` as `task_progress`; a snake-case name stays as it is."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _without_secrets(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", re.sub(r"token=[^&#]*", "token=…", str(url)))
