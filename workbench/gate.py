"""Who may come in: the token and its scope, the Origin of the page, the Host it asked for."""

from __future__ import annotations

import hmac
import http
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request

from workbench.errors import LinkError, WorkbenchError, shown

Scope = Literal["view", "submit", "admin"]
SCOPES: tuple[Scope, ...] = ("view", "submit", "admin")
"""From the least to the most; each includes those before it."""


def allows(scope: Scope, needed: Scope) -> bool:
    """Whether a token of `scope` may do what needs `needed`."""
    return SCOPES.index(scope) >= SCOPES.index(needed)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a handshake is refused, in a sentence with the remedy."""

    status: http.HTTPStatus
    error: WorkbenchError


@dataclass(frozen=True, slots=True, repr=False)
class Gate:
    """Who may come in. Its repr shows no token."""

    tokens: Mapping[str, Scope]
    origins: Sequence[str] = ()
    hosts: Sequence[str] = ()

    def check(self, request: Request) -> Scope | Refusal:
        """The scope of a request's token, or the reason why it stays out."""
        refusal = self.check_host(request) or self._check_origin(request)
        return refusal or self._check_token(request)

    def check_host(self, request: Request) -> Refusal | None:
        """A page under a foreign name that resolves to us (DNS rebinding) stays out."""
        found = request.headers.get_all("Host")
        host = found[0] if len(found) == 1 else ""
        name = host_name(host)
        if name is not None and (is_loopback(name) or name in map(str.lower, self.hosts)):
            return None
        return refuse(
            403,
            "foreign Host {host}: address the hub as localhost, or list the name in "
            "WORKBENCH_HOSTS and start the hub again",
            host=shown(host),
        )

    def _check_origin(self, request: Request) -> Refusal | None:
        found = request.headers.get_all("Origin")
        if not found or (len(found) == 1 and found[0] in self.origins):
            return None
        return refuse(
            403,
            "foreign Origin {origin}: list it in WORKBENCH_ORIGINS and start the hub again",
            origin=shown(", ".join(found)),
        )

    def _check_token(self, request: Request) -> Scope | Refusal:
        given = given_token(request)
        if given is None:
            return refuse(
                401,
                "no token: add ?token=... to the address or send 'Authorization: Bearer ...'; "
                "the token stands in hub.json in the hub's data folder",
            )
        scope: Scope | None = None
        for token, each in self.tokens.items():  # all of them, so that time tells nothing
            if hmac.compare_digest(token.encode(), given.encode("utf-8", "surrogateescape")):
                scope = each
        return scope or refuse(
            401,
            "wrong token: the right one stands in hub.json in the hub's data folder, "
            "or is the one that the hub was started with",
        )


def refuse(status: int, template: str, **values: Any) -> Refusal:
    return Refusal(http.HTTPStatus(status), LinkError(template, **values))


def given_token(request: Request) -> str | None:
    """The token that a request carries, from its header or its address."""
    for header in request.headers.get_all("Authorization"):
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            return value.strip()
    try:
        found = parse_qs(urlsplit(request.path).query, max_num_fields=32).get("token")
    except ValueError:
        return None
    return found[0] if found else None


def host_name(header: str) -> str | None:
    """The name in a Host header, without port and brackets; None where there is none."""
    try:
        return urlsplit(f"//{header}").hostname if header and "@" not in header else None
    except ValueError:
        return None


def is_loopback(name: str) -> bool:
    """Whether a host name or address means this machine itself."""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
