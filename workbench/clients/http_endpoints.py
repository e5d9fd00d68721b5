"""Awaken: a service that hands out the preferred endpoint, asked over HTTP now and then.

What it answers is the document of `core/endpoint.py` as JSON; a token is never in it, and
one that the caller holds goes to the very URL that it was given for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from workbench.clients.endpoints import Preference
from workbench.core.endpoint import (
    DOCUMENT_BYTES,
    Endpoint,
    Named,
    Outcome,
    read_endpoints,
    tokens_by_url,
)
from workbench.core.endpoint_choice import HOLD_S
from workbench.core.http_hop import refusal
from workbench.core.mesh_config import address, is_loopback
from workbench.errors import InputError, LinkError, WorkbenchError
from workbench.http import Http

EVERY_S = 30.0
LEAST_EVERY_S = 0.05
MOST_EVERY_S = 600.0
GROWTH = 1.5
SPREAD = 0.2
ANSWER_S = 20.0


class HttpEndpoints:
    """An EndpointSource that asks `url` every `every_s`, less often while that fails.

    `https:`, or `http:` on this machine; redirects are not followed, private addresses only
    with `private_addresses`. `token` is for the service; `tokens` are for endpoints, by URL.
    What it said last counts until it says something else.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        tokens: Mapping[str, str] | None = None,
        every_s: float = EVERY_S,
        hold_s: float = HOLD_S,
        private_addresses: bool = False,
    ) -> None:
        self.host, self._here = _checked(url)
        self._url, self._token, self._tokens = url, token, dict(tokens or {})
        self._every_s = min(MOST_EVERY_S, max(LEAST_EVERY_S, every_s))
        self._private_addresses = private_addresses or self._here
        self._etag: str | None = None
        self._failures = 0
        self._preference = Preference(self._watch, hold_s)

    @property
    def problem(self) -> WorkbenchError | None:
        """Why the newest question had no good answer; None when it had."""
        return self._preference.problem

    def preferred(self) -> Named | None:
        """The first endpoint that has not failed lately; None before the first answer. Raises
        why there was never a good one."""
        return self._preference.preferred()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when another endpoint is preferred or `problem` is another; returns
        what ends that."""
        return self._preference.on_change(callback)

    def report(self, endpoint: Named, outcome: Outcome) -> None:
        """What became of an endpoint; nothing of it is sent to the service."""
        self._preference.report(endpoint, outcome)

    def __repr__(self) -> str:
        return f"HttpEndpoints({self.host!r})"

    async def _watch(self) -> None:
        async with Http(private_addresses=self._private_addresses, idle_s=ANSWER_S) as http:
            while True:
                await self._ask(http)
                await asyncio.sleep(self._wait_s(random.random()))  # noqa: S311

    async def _ask(self, http: Http) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await self._answer(http)
        except TimeoutError:
            template = "{host} did not hand out endpoints within {limit_s} s"
            self._fail(LinkError(template, host=self.host, limit_s=ANSWER_S))
        except WorkbenchError as error:
            self._fail(error)
        else:
            self._failures = 0
            if found is not None:
                self._preference.take(found)

    async def _answer(self, http: Http) -> list[Named] | None:
        """What the service says; None where it says the same as last time."""
        headers = {"accept": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if self._etag:
            headers["if-none-match"] = self._etag
        async with http.ask("GET", self._url, headers=headers) as answer:
            if answer.status == 304 and self._etag:
                return None
            if answer.status != 200:
                raise refusal(self.host, answer.status)
            body = await answer.body(DOCUMENT_BYTES)
        found = self._read(body)
        self._etag = answer.etag
        return found

    def _read(self, body: bytes) -> list[Named]:
        """The document; one from elsewhere leads to no port of this machine."""
        found = read_endpoints(body, toml=False, token=tokens_by_url(self._tokens))
        for each in found:
            if isinstance(each, Endpoint) and not self._here and address(each.url).loopback:
                allowed = "an address elsewhere; a node of this machine is named local"
                raise InputError.field("endpoints.url", each.url, allowed)
        return found

    def _fail(self, error: WorkbenchError) -> None:
        self._failures += 1
        self._preference.fail(error, self.host)

    def _wait_s(self, jitter: float) -> float:
        """Until the next question: spread, so that the clients of a service do not all ask at
        the same instant."""
        grown = self._every_s * GROWTH ** min(self._failures, 20)
        return min(MOST_EVERY_S, grown) * (1 - SPREAD + 2 * SPREAD * jitter)


def _checked(url: str) -> tuple[str, bool]:
    """The host that is asked, and whether it is this machine. No error shows path or query."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    here = is_loopback(host)
    if (
        not host
        or "@" in parts.netloc
        or parts.scheme not in (("http", "https") if here else ("https",))
    ):
        shown = f"{parts.scheme}://{host}" if host else "(malformed)"
        raise InputError.field("url", shown, "https://HOST/PATH, or http: on this machine")
    return host, here
