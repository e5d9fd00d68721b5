"""Finds servers of language models on this machine, and tells what a configured one is.

A server is known by what it answers, not by its port: llama.cpp calls itself so in every
head, Ollama tells a version, LM Studio lists models in its own way, the rest list them in
OpenAI's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from workbench.errors import InputError, LinkError, WorkbenchError
from workbench.http import Http
from workbench.llm.backend import Backend
from workbench.llm.llama_server import LlamaServer
from workbench.llm.lmstudio import LMStudio
from workbench.llm.ollama import Ollama
from workbench.llm.openai import OpenAI
from workbench.llm.server import Key

PORTS = (1234, 11434, 8080, 8000)
"""Where LM Studio, Ollama, llama.cpp and vLLM listen when nobody says otherwise."""
FIND_S = 0.5
CONNECT_S = 5.0
_LIMIT_BYTES = 4 * 1024 * 1024
_PATHS = ("/health", "/api/version", "/api/v1/models", "/v1/models")


class _Said(msgspec.Struct, frozen=True):
    """One answer: its status, what the server calls itself, and the JSON object in it, if any."""

    status: int = 0
    server: str = ""
    value: dict[str, Any] = {}
    failure: str = ""
    """Why there is no answer."""


async def find(
    http: Http, *, ports: Sequence[int] = PORTS, host: str = "127.0.0.1", limit_s: float = FIND_S
) -> list[Backend]:
    """The servers on these ports, all asked at once; those that want a key are left out.

    `http` must be one that may reach private addresses. Their names are unique.
    """
    urls = [f"http://{host}:{port}" for port in ports]
    kinds = await asyncio.gather(*(_kind_within(http, url, limit_s) for url in urls))
    found: list[Backend] = []
    for url, port, kind in zip(urls, ports, kinds, strict=True):
        if kind:
            taken = {backend.name for backend in found}
            name = kind if kind not in taken else f"{kind}-{port}"
            found.append(_backend(http, kind, name, url, None))
    return found


async def connect_to(http: Http, name: str, url: str, key: str | None = None) -> Backend:
    """A configured server, of the kind that it turns out to be.

    Raises LinkError where nothing answers, InputError where the key is refused or what answers
    is no server of language models.
    """
    base = url.rstrip("/").removesuffix("/v1")
    try:
        async with asyncio.timeout(CONNECT_S):
            said = await asyncio.gather(*(_say(http, base + path, key) for path in _PATHS))
    except TimeoutError:
        raise LinkError(
            "{backend} did not answer within {limit_s} s", backend=name, limit_s=CONNECT_S
        ) from None
    if kind := _kind(said):
        return _backend(http, kind, name, url, key)
    if all(one.failure for one in said):
        raise LinkError(
            "{backend} cannot be reached: {reason}", backend=name, reason=said[0].failure
        )
    if any(one.status in (401, 403) for one in said):
        raise InputError(
            "{backend} answers {status}: it refuses this key; set the one that it expects",
            backend=name,
            status=next(one.status for one in said if one.status in (401, 403)),
        )
    raise InputError(
        "{backend} is no server of language models; allowed: LM Studio, Ollama, llama.cpp, "
        "or one that answers /v1/models",
        backend=name,
    )


async def _kind_within(http: Http, url: str, limit_s: float) -> str | None:
    try:
        async with asyncio.timeout(limit_s):
            return _kind(await asyncio.gather(*(_say(http, url + path) for path in _PATHS)))
    except TimeoutError:
        return None


async def _say(http: Http, url: str, key: str | None = None) -> _Said:
    try:
        async with http.ask("GET", url, headers=Key(key).headers()) as answer:
            body = await answer.body(_LIMIT_BYTES)
            return _Said(answer.status, answer.server, _object(body))
    except WorkbenchError as error:
        return _Said(failure=str(error))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _kind(said: Sequence[_Said]) -> str | None:
    health, version, native, listed = said
    if any(one.status in (401, 403) for one in said):
        return None  # whatever it is, it does not let us in
    if health.server.lower().startswith("llama.cpp"):
        return "llama-server"
    if version.status == 200 and isinstance(version.value.get("version"), str):
        return "ollama"
    if _lists(native, "models", "key"):
        return "lmstudio"
    return "openai" if _lists(listed, "data", "id") else None


def _lists(said: _Said, field: str, name: str) -> bool:
    entries = said.value.get(field)
    return (
        said.status == 200
        and isinstance(entries, list)
        and all(isinstance(entry, dict) and name in entry for entry in entries)
    )


def _backend(http: Http, kind: str, name: str, url: str, key: str | None) -> Backend:
    if kind == "llama-server":
        return LlamaServer(name, url, key, http=http)
    if kind == "ollama":
        return Ollama(name, url, key, http=http)
    if kind == "lmstudio":
        return LMStudio(name, url, key, http=http)
    return OpenAI(name, url, key, http=http)
