"""What may be set on a mesh client, with its bounds; every value may change while it runs."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from workbench.core.batch_address import check_base
from workbench.core.wire import convert
from workbench.errors import InputError, without_secrets

ENDPOINTS = ("local", "remote", "custom")


class MeshConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one client; camel case is understood."""

    reconnect_delay: Annotated[float, msgspec.Meta(gt=0, le=600)] = 2.0
    """Seconds before it connects again; each further attempt waits 1.5 times longer."""
    reconnect_max_attempts: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    """Attempts after a lost connection; the count starts anew after a stable minute."""
    keep_trying: bool = False
    """Whether to try each minute once they are spent."""
    task_timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 30.0
    """Seconds of silence about a task before the event `task_timeout`; cancels nothing."""
    console_max_lines: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    """Lines that the console keeps."""
    local_endpoint: str = "ws://localhost:8081/mesh"
    """The address of `local`: `ws:` on this machine only."""
    remote_endpoint: str = "wss://mesh.runes.pro/node"
    """The address of `remote`."""
    custom_endpoint: str | None = None
    """The address of `custom`."""
    batch_base_url: str | None = None
    """What the id of a batch is put after; without it batches are those that the hub keeps."""
    debug: bool = False
    """Whether the console tells of each message."""

    def changed(self, **changes: Any) -> MeshConfig:
        """The same with some values changed; camel-case names are understood.

        Raises InputError naming the faulty value.
        """
        new = {snake(name): value for name, value in changes.items()}
        config = convert({**msgspec.structs.asdict(self), **new}, MeshConfig)
        for name in ENDPOINTS:
            if new.get(f"{name}_endpoint"):
                address(config.url(name))
        if config.batch_base_url is not None:
            check_base(config.batch_base_url)
        return config

    def __repr__(self) -> str:
        values = msgspec.structs.asdict(self).items()
        return without_secrets(f"MeshConfig({', '.join(f'{name}={v!r}' for name, v in values)})")

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
        raise InputError.field("endpoint", url, allowed)
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
    """`taskProgress` and `task-progress` as `task_progress`, which stays as it is."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).replace("-", "_").lower()
