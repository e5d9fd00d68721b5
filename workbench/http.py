"""The one place that speaks HTTP: every hop is resolved, checked, pinned and bounded.

What a stranger's URL could do is refused here: reach into a private network (also by a
redirect or a name that changes its address), send without end, unpack a bomb, stall.
Refusals are InputErrors; a link that fails is a LinkError. Proxies are not used, for
behind one no address can be checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpcore2
import httpx2
import msgspec

from workbench.core.http_hop import (
    DEFAULT_PORTS,
    MAX_REDIRECTS,
    REDIRECTS,
    broken,
    check_encoding,
    check_public,
    refusal,
    silent,
    too_many_redirects,
    unreachable,
    unresolved,
)
from workbench.core.http_hop import Silent as Silent
from workbench.errors import InputError, LinkError, ProtocolError, shown

JSON_LIMIT_BYTES = 16 * 1024 * 1024
CONNECT_S = 15.0
MAX_CONNECTIONS = 256  # answers that are still being read hold one each, perhaps for minutes
_WRITE_BYTES = 1024 * 1024

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives all IP addresses of a host name. Raises OSError where it has none."""
Progress = Callable[[int, int | None], None]
"""Told bytes received and bytes in all, None where the server does not say."""


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of `host`, as the system's resolver has them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Checked(httpcore2.AsyncNetworkBackend):
    """Connects to the very address that it checked, so that no second look-up can differ.

    TLS and the Host header still use the name: they stand above this layer.
    """

    def __init__(
        self, private_addresses: bool, resolve: Resolve, below: httpcore2.AsyncNetworkBackend
    ) -> None:
        self._private_addresses = private_addresses
        self._resolve = resolve
        self._below = below

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in await self._addresses(host, port, timeout):
            try:
                return await self._below.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int, limit_s: float | None) -> list[str]:
        """All addresses of the host; refused as a whole where one of them is private."""
        try:
            async with asyncio.timeout(limit_s):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError too
            raise unresolved(host, error) from None
        for address in addresses:
            if not self._private_addresses:
                check_public(host, address)
        return addresses


class _Body(httpx2.AsyncByteStream):
    """A response's bytes, still to be read."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


class _Transport(httpx2.AsyncBaseTransport):
    """httpx2's port on a pool whose connections are checked."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            network_backend=backend, keepalive_expiry=5.0, max_connections=MAX_CONNECTIONS
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore2.Request(
                request.method,
                httpcore2.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(response.status, headers=response.headers, stream=_Body(response))

    async def aclose(self) -> None:
        await self._pool.aclose()


class Answer:
    """An answer at whatever status, its body still to be read, once, in one of two ways."""

    def __init__(self, response: httpx2.Response, first_s: float, idle_s: float) -> None:
        self._response, self._first_s, self._idle_s = response, first_s, idle_s
        self.status, self.good = response.status_code, response.is_success
        self.media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.server = response.headers.get("server", "")  # what it calls itself
        self.etag = _etag(response.headers.get("etag"))

    async def body(self, limit_bytes: int = JSON_LIMIT_BYTES) -> bytes:
        """All of it; InputError where it is larger."""
        async with contextlib.aclosing(self.chunks(limit_bytes)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def chunks(self, limit_bytes: int) -> AsyncGenerator[bytes]:
        """The bytes as they come; InputError as soon as there are more in all."""
        received, patience_s = 0, self._first_s
        async with contextlib.aclosing(self._response.aiter_raw()) as chunks:
            while True:
                try:
                    async with asyncio.timeout(patience_s):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise silent(self._response.url.host, patience_s) from None
                received, patience_s = received + len(chunk), self._idle_s
                if received > limit_bytes:
                    raise _too_large(self._response, limit_bytes)
                yield chunk


class Http:
    """A pool of checked connections; use it as `async with Http() as http`.

    `idle_s` bounds each wait for a byte, `deadline_s` a whole exchange with all its hops.
    """

    def __init__(
        self,
        *,
        private_addresses: bool = False,
        resolve: Resolve = resolve,
        idle_s: float = 30.0,
        deadline_s: float = 1800.0,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        below = backend or httpcore2.AnyIOBackend()
        self._idle_s, self._deadline_s = idle_s, deadline_s
        self._client = httpx2.AsyncClient(
            transport=_Transport(_Checked(private_addresses, resolve, below)),
            headers={"accept-encoding": "identity", "user-agent": "runes-workbench"},
            timeout=httpx2.Timeout(idle_s, connect=min(idle_s, CONNECT_S)),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def download(
        self,
        url: str,
        target: Path,
        *,
        limit_bytes: int,
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Fetch `url` into `target`, which appears only when whole and on the disk."""
        part = target.with_name(target.name + ".part")
        try:
            async with self._get(url, headers) as response:
                file = await asyncio.to_thread(part.open, "wb")
                with file:
                    async for block in _blocks(response, limit_bytes, progress):
                        await asyncio.to_thread(file.write, block)
                    await asyncio.to_thread(_sync, file)
            await asyncio.to_thread(part.replace, target)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def get_bytes(
        self, url: str, *, limit_bytes: int, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body at `url`."""
        async with self._get(url, headers) as response:
            return await _whole(response, limit_bytes)

    async def get_json(
        self,
        url: str,
        *,
        limit_bytes: int = JSON_LIMIT_BYTES,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The body at `url`, which must be JSON."""
        async with self._get(url, headers) as response:
            return _json(await _whole(response, limit_bytes), response.url)

    async def post_rpc(
        self,
        url: str,
        method: str,
        *params: Any,
        limit_bytes: int = JSON_LIMIT_BYTES,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The raw answer to a JSON-RPC call: the caller knows what shape to read it as.

        It comes back at any status that carries one, for bitcoind answers an error with
        404 or 500. A redirect is not followed: it could carry the password away.
        """
        body = msgspec.json.encode({"jsonrpc": "1.0", "id": 0, "method": method, "params": params})
        wanted = {"content-type": "application/json", **(headers or {})}
        where = checked_url(url)
        async with self._bounded(where), self._send("POST", where, wanted, body) as response:
            if response.status_code in (401, 403):
                raise InputError(
                    "{host} answers {status}: it refuses this user and password",
                    host=where.host,
                    status=response.status_code,
                )
            is_json = "json" in response.headers.get("content-type", "")
            if response.status_code in REDIRECTS or not (response.is_success or is_json):
                raise refusal(response.url.host, response.status_code)
            check_encoding(response.url.host, response.headers.get("content-encoding"))
            answer = await _whole(response, limit_bytes)
            if not response.is_success and not answer.lstrip().startswith(b"{"):
                raise refusal(response.url.host, response.status_code)  # a proxy's page
            return answer

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        first_s: float | None = None,
        idle_s: float | None = None,
    ) -> AsyncIterator[Answer]:
        """One exchange, whatever its status; leaving the block closes an unread connection.

        `first_s` bounds the waits for the head and the body's first byte, `idle_s` each later
        one (Silent where it runs out); nothing bounds the whole, which may be long in the making.
        A redirect is not followed: it could carry body and secrets away.
        """
        where = checked_url(url)
        first_s, idle_s = first_s or self._idle_s, idle_s or self._idle_s
        limits = httpx2.Timeout(first_s, connect=min(first_s, CONNECT_S)).as_dict()
        async with (
            self._ours(where, first_s),
            self._send(method, where, headers or {}, body, limits) as response,
        ):
            if response.status_code in REDIRECTS:
                raise refusal(response.url.host, response.status_code)
            check_encoding(response.url.host, response.headers.get("content-encoding"))
            limits["read"] = None  # from here on the answer itself looks at the clock
            yield Answer(response, first_s, idle_s)

    @contextlib.asynccontextmanager
    async def _get(
        self, url: str, headers: Mapping[str, str] | None
    ) -> AsyncIterator[httpx2.Response]:
        """The good answer at the end of the redirects, its body still to be read."""
        where, wanted = checked_url(url), dict(headers or {})
        async with self._bounded(where):
            for _ in range(MAX_REDIRECTS + 1):
                async with self._send("GET", where, wanted) as response:
                    if response.status_code not in REDIRECTS:
                        if response.status_code != 200:
                            raise refusal(response.url.host, response.status_code)
                        check_encoding(response.url.host, response.headers.get("content-encoding"))
                        yield response
                        return
                    following = checked_url(response.headers.get("location", ""), where)
                if origin(following) != origin(where):
                    wanted = {}  # whatever was meant for one host is no other host's business
                where = following
            raise too_many_redirects(where.host)

    @contextlib.asynccontextmanager
    async def _send(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limits: dict[str, float | None] | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        request = self._client.build_request(
            method,
            url,
            headers=dict(headers),
            content=body,
            extensions={"timeout": limits} if limits else None,
        )
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            self._client.cookies.clear()
            await response.aclose()

    @contextlib.asynccontextmanager
    async def _bounded(self, url: httpx2.URL) -> AsyncIterator[None]:
        """Keep to the deadline, and turn foreign exceptions into ours."""
        deadline = asyncio.timeout(self._deadline_s)
        try:
            async with deadline, self._ours(url, self._idle_s):
                yield
        except TimeoutError:
            if not deadline.expired():
                raise
            raise LinkError(
                "{host} was not done within {limit_s} s", host=url.host, limit_s=self._deadline_s
            ) from None

    @contextlib.asynccontextmanager
    async def _ours(self, url: httpx2.URL, limit_s: float) -> AsyncIterator[None]:
        """Turn foreign exceptions into ours."""
        try:
            yield
        except (httpcore2.ConnectTimeout, httpx2.ConnectTimeout):
            raise unreachable(url.host) from None
        except (httpcore2.TimeoutException, httpx2.TimeoutException):
            raise silent(url.host, limit_s) from None
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpx2.HTTPError,
        ) as error:
            raise broken(url.host, error) from None


async def download(
    url: str,
    target: Path,
    *,
    limit_bytes: int,
    private_addresses: bool = False,
    progress: Progress | None = None,
    headers: Mapping[str, str] | None = None,
    resolve: Resolve = resolve,
) -> None:
    """Fetch `url` into `target`, which appears only when whole and on the disk."""
    async with Http(private_addresses=private_addresses, resolve=resolve) as http:
        await http.download(
            url, target, limit_bytes=limit_bytes, progress=progress, headers=headers
        )


def checked_url(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """A URL that may be asked, perhaps relative to `base`. No error shows its path or query."""
    try:
        url = base.join(text) if base and text else httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise InputError(
            "the URL is malformed; allowed: http://host/path and https://host/path"
        ) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(
            "the URL's scheme is {scheme}; allowed: http, https", scheme=shown(url.scheme)
        )
    return url


def origin(url: httpx2.URL) -> tuple[str, str, int]:
    """Whom a URL asks; a secret that is meant for one origin is no other's business."""
    return url.scheme, url.host, url.port or DEFAULT_PORTS[url.scheme]


async def _blocks(
    response: httpx2.Response, limit_bytes: int, progress: Progress | None = None
) -> AsyncIterator[bytes]:
    """The body in blocks worth writing; refused as soon as it is, or is to be, too large."""
    stated = response.headers.get("content-length", "")
    total = int(stated) if stated.isascii() and stated.isdigit() else None
    if total is not None and total > limit_bytes:
        raise _too_large(response, limit_bytes)
    received, waiting = 0, bytearray()
    async for chunk in response.aiter_raw():
        received += len(chunk)
        if received > limit_bytes:
            raise _too_large(response, limit_bytes)
        waiting += chunk
        if progress:
            progress(received, total)
        if len(waiting) >= _WRITE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


async def _whole(response: httpx2.Response, limit_bytes: int) -> bytes:
    return b"".join([block async for block in _blocks(response, limit_bytes)])


def _too_large(response: httpx2.Response, limit_bytes: int) -> InputError:
    return InputError(
        "what {host} sends is larger than {limit} bytes; allowed: up to that",
        host=response.url.host,
        limit=limit_bytes,
    )


def _json(body: bytes, url: httpx2.URL) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            "{host} does not answer in JSON: {reason}", host=url.host, reason=str(error)
        ) from None


def _etag(said: str | None) -> str | None:
    """A tag as it may be sent back in a header; another kind is none."""
    return said if said and len(said) <= 200 and said.isascii() and said.isprintable() else None


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
