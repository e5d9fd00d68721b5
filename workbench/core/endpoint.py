"""Endpoints that somebody else names: one endpoint, what became of it, and their document.

The document, as TOML or JSON, names the endpoints in order, the wanted one first:

    [[endpoints]]
    name = "lab"
    url = "wss://lab.example.org/mesh"
    token_env = "MESH_TOKEN_LAB"

An entry without `url` is the client's own `local`, `remote` or `custom`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from workbench.core.mesh_config import ENDPOINTS, address
from workbench.core.wire import convert
from workbench.errors import InputError, without_secrets

DOCUMENT_BYTES = 64 * 1024
MOST = 32
URL_CHARS = 2000
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z"
TOKEN_ENV = r"^MESH_TOKEN(_[A-Z0-9_]{1,80})?\Z"  # noqa: S105 - a name; no other secret has it


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A mesh node's address under a name. Another address is another endpoint, whatever its
    name. The repr shows no token."""

    name: str
    url: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Endpoint(name={self.name!r}, url={without_secrets(self.url)!r})"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an endpoint: `connected`; `failed`, an attempt or a connection, with the
    reason, and `final` when it is not tried again soon; `latency`, the seconds from a task's
    sending to its acceptance."""

    kind: Literal["connected", "failed", "latency"]
    latency_s: float | None = None
    reason: str | None = None
    final: bool = False


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a client: `current` takes new tasks, `pending` counts its tasks."""

    endpoint: str
    current: bool
    connected: bool
    pending: int


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    url: Annotated[str, msgspec.Meta(max_length=URL_CHARS)] | None = None
    token_env: Annotated[str, msgspec.Meta(pattern=TOKEN_ENV)] | None = None


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoints: Annotated[list[_Entry], msgspec.Meta(min_length=1, max_length=MOST)]


Named = Endpoint | str
"""An endpoint, or the name of one of the client's own."""


def read_endpoints(
    body: bytes, *, toml: bool, token: Callable[[str, str | None], str | None]
) -> list[Named]:
    """The endpoints of a document, in order; `token` gives the token for a URL and the name of
    a variable, or raises.

    Raises InputError that names what is wrong.
    """
    if len(body) > DOCUMENT_BYTES:
        template = "the list of endpoints has more than {limit} bytes; allowed: up to that"
        raise InputError(template, limit=DOCUMENT_BYTES)
    entries = convert(_decoded(body, toml), _Document).endpoints
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError.field("endpoints.name", name, "each name once")
    return [_named(entry, token) for entry in entries]


def name_of(endpoint: Named) -> str:
    """The name of an endpoint."""
    return endpoint if isinstance(endpoint, str) else endpoint.name


def tokens_of_variables(environment: Mapping[str, str]) -> Callable[[str, str | None], str | None]:
    """Tokens from the variables that a document names."""

    def token(url: str, variable: str | None) -> str | None:
        if variable is None:
            return None
        if not environment.get(variable):
            template = "the variable {variable}, which is to hold a token, is not set"
            raise InputError(template, variable=variable)
        return environment[variable]

    return token


def tokens_by_url(tokens: Mapping[str, str]) -> Callable[[str, str | None], str | None]:
    """Tokens that the caller holds, each for one URL: a document from elsewhere can name no
    variable, and lead no token to another address."""

    def token(url: str, variable: str | None) -> str | None:
        if variable is not None:
            raise InputError.field("token_env", variable, "only in a file of this machine")
        return tokens.get(url)

    return token


def _decoded(body: bytes, toml: bool) -> Any:
    try:
        return tomllib.loads(body.decode()) if toml else msgspec.json.decode(body)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        template = "the list of endpoints is no {format}: {reason}"
        kind = "TOML" if toml else "JSON"
        raise InputError(template, format=kind, reason=str(error)) from None
    except RecursionError:
        raise InputError("the list of endpoints is nested too deeply") from None


def _named(entry: _Entry, token: Callable[[str, str | None], str | None]) -> Named:
    if entry.url is None:
        if entry.name not in ENDPOINTS:
            allowed = f"{', '.join(ENDPOINTS)}, or any name with a url"
            raise InputError.field("endpoints.name", entry.name, allowed)
        if entry.token_env is not None:
            raise InputError.field("token_env", entry.token_env, "only beside a url")
        return entry.name
    if entry.name in ENDPOINTS:
        allowed = f"another name: {entry.name} is the client's own"
        raise InputError.field("endpoints.name", entry.name, allowed)
    found = address(entry.url)
    if found.token is not None:
        template = "the url of endpoint {name} holds a token; allowed: its name in token_env"
        raise InputError(template, name=entry.name)
    if re.search(r"[\x00-\x20\x7f]", entry.url):
        raise InputError.field("endpoints.url", found.url, "an address without spaces")
    return Endpoint(name=entry.name, url=entry.url, token=token(entry.url, entry.token_env))
