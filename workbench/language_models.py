"""Builds the service of language models from the settings: servers that run, and our own worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from workbench.doctor import model_folder
from workbench.errors import InputError, LinkError, SettingsError
from workbench.gate import is_loopback
from workbench.http import Http
from workbench.llm import discover
from workbench.llm.backend import Backend
from workbench.llm.embedded import Embedded
from workbench.llm.gpu_loan import Lender
from workbench.llm.openai import OpenAI
from workbench.llm.places import Shelf
from workbench.llm.rates import Rates
from workbench.llm.service import Service
from workbench.settings import Settings


async def service_of(
    settings: Settings,
    stack: AsyncExitStack,
    lender: Lender | None = None,
    others: Shelf | None = None,
) -> tuple[Service, Embedded]:
    """The service of one hub and our own worker in it; `stack` ends both. Nobody is asked
    before the first question. Models that go to a GPU borrow its memory of `lender`; `others` are
    those that other programs keep here.
    """
    # The user names these servers, on this machine or in the private network, so they may.
    http = await stack.enter_async_context(Http(private_addresses=True))
    configured = _configured(settings)

    async def servers() -> Sequence[Backend]:
        looking = [discover.find(http)] if settings.llm_discover else []
        named = asyncio.gather(*(_server(http, *each) for each in configured))
        found = await asyncio.gather(*looking)
        return [*await named, *(each for some in found for each in some)]

    worker = Embedded(
        folders=[model_folder(settings)],
        http=http,
        binary=settings.llama_server,
        lender=lender,
        others=others,
    )
    service = Service(servers=servers, own=[worker])
    stack.push_async_callback(service.close)
    return service, worker


def runs_here(service: Service, backend: str) -> bool:
    """Whether a back end is on this machine, so that it uses this machine's GPUs."""
    urls = [state.url for state in service.backends() if state.name == backend]
    return any(is_loopback(urlsplit(url).hostname or "") for url in urls)


def rates_of(settings: Settings) -> Rates:
    """How often a token may ask."""
    return Rates(default=settings.llm_rate)


async def _server(http: Http, name: str, url: str, key: str | None) -> Backend:
    """A configured server of the kind that it turns out to be; one that is away, or refuses its
    key, is listed as such."""
    try:
        return await discover.connect_to(http, name, url, key)
    except (LinkError, InputError):
        return OpenAI(name, url, key, http=http)


def _configured(settings: Settings) -> list[tuple[str, str, str | None]]:
    """(name, url, key) of each server in the settings; without a name its host and port."""
    keys = _keys(settings)
    found = []
    for each in settings.llm_servers:
        name, has_name, url = each.partition("=")
        if not has_name or "://" in name:
            name, url = each.partition("://")[2].rstrip("/"), each
        found.append((name, url, keys.pop(name, None)))
    if keys:
        raise SettingsError(
            "WORKBENCH_LLM_KEYS has a key for {name}, and WORKBENCH_LLM_SERVERS names no such "
            "server; there are: {known}",
            name=next(iter(keys)),
            known=", ".join(name for name, _, _ in found) or "none",
        )
    return found


def _keys(settings: Settings) -> dict[str, str]:
    if settings.llm_keys is None:
        return {}
    pairs = settings.llm_keys.get_secret_value().split(",")
    split = [pair.partition("=") for pair in pairs if pair.strip()]
    if any(not separator for _, separator, _ in split):
        raise SettingsError(
            "WORKBENCH_LLM_KEYS is (not shown); allowed: name=key, separated by commas"
        )
    return {name.strip(): key.strip() for name, _, key in split}
