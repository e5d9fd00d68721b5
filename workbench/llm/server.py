"""One language model server over HTTP: asked, listened to, and its failures said in our errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from workbench.core.llm import BackendBroken
from workbench.core.masking import Mask
from workbench.errors import InputError, LinkError, WorkbenchError
from workbench.http import Answer, Http, Silent
from workbench.llm.refusals import fault_of, refusal
from workbench.llm.streams import Parser, ServerEvent, decoded

T = TypeVar("T")
JSON_LIMIT_BYTES = 64 * 1024 * 1024
STREAM_LIMIT_BYTES = 256 * 1024 * 1024
FAULT_LIMIT_BYTES = 64 * 1024
FIRST_TOKEN_S = 600.0
IDLE_S = 300.0
CALL_S = 30.0


class Key:
    """A key for a server; it shows in no repr."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Key(***)" if self._text else "Key(None)"

    def headers(self) -> dict[str, str]:
        """What carries it."""
        return {"authorization": f"Bearer {self._text}"} if self._text else {}

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Errors of what is done under it do not show the key: some servers say it again."""
        try:
            yield
        except WorkbenchError as error:
            mask = Mask([self._text or ""])
            for name, value in error.values.items():
                if isinstance(value, str):
                    error.values[name] = mask(value)
            raise


class Server:
    """A server by its base URL, with or without `/v1` at its end.

    `first_token_s` bounds the wait for an answer to begin, however much the server has to load
    and to read before; `idle_s` each wait for more of it.
    """

    def __init__(
        self,
        http: Http,
        name: str,
        url: str,
        key: str | None = None,
        *,
        first_token_s: float = FIRST_TOKEN_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._http, self.name = http, name
        self._base = url.rstrip("/").removesuffix("/v1")
        self.url = _without_secrets(self._base)
        self._key = Key(key)
        self._first_token_s, self._idle_s = first_token_s, idle_s

    async def get(self, path: str, decoder: msgspec.json.Decoder[T], limit_s: float = CALL_S) -> T:
        """The answer at `path`."""
        return await self._call("GET", path, None, decoder, "", limit_s)

    async def post(
        self,
        path: str,
        value: Any,
        decoder: msgspec.json.Decoder[T],
        *,
        model: str,
        limit_s: float = CALL_S,
    ) -> T:
        """The answer to `value`, sent as JSON."""
        return await self._call("POST", path, msgspec.json.encode(value), decoder, model, limit_s)

    async def events(
        self,
        path: str,
        value: Any,
        parser: Parser,
        *,
        model: str,
        limit_bytes: int = STREAM_LIMIT_BYTES,
    ) -> AsyncGenerator[list[ServerEvent]]:
        """The events of a streamed answer, as many as came at once, with its errors raised.

        Each stream has a connection of its own, closed with the generator: that is how a server
        hears that nobody listens any more.
        """
        answering = False
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._first_token_s
        try:
            async with (
                self._asking("POST", path, msgspec.json.encode(value)) as answer,
                contextlib.aclosing(self._chunks(answer, model, limit_bytes)) as chunks,
            ):
                async for chunk in chunks:
                    if not answering and answer.media_type == "application/json":
                        self._refuse_fault(chunk, model)
                    events = parser.feed(chunk)
                    if events:
                        answering = True
                        yield events
                    elif not answering and loop.time() > latest:
                        raise self._late()  # alive, as its comments show, yet without a word
                if events := parser.end():
                    yield events
        except LinkError as error:
            raise self._broken(error, answering) from None

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        decoder: msgspec.json.Decoder[T],
        model: str,
        limit_s: float,
    ) -> T:
        try:
            async with asyncio.timeout(limit_s), self._asking(method, path, body) as answer:
                if not answer.good:
                    raise await self._refusal(answer, model)
                got = await answer.body(JSON_LIMIT_BYTES)
        except TimeoutError:
            raise BackendBroken(
                "{backend} did not answer within {limit_s} s", backend=self.name, limit_s=limit_s
            ) from None
        except LinkError as error:
            raise self._broken(error, answering=False) from None
        return self._read(got, decoder, model)

    def _read(self, body: bytes, decoder: msgspec.json.Decoder[T], model: str) -> T:
        try:
            return decoded(body, decoder, self.name)
        except BackendBroken:
            with self._key.hidden():
                self._refuse_fault(body, model)
            raise

    def _refuse_fault(self, body: bytes, model: str) -> None:
        """Raise a fault that came with a good status, as LM Studio's do."""
        if (fault := fault_of(body)) is not None:
            raise refusal(self.name, model, fault.status or 400, fault) from None

    @contextlib.asynccontextmanager
    async def _asking(self, method: str, path: str, body: bytes | None) -> AsyncGenerator[Answer]:
        headers: Mapping[str, str] = {"accept": "*/*", **self._key.headers()}
        if body is not None:
            headers = {**headers, "content-type": "application/json", "connection": "close"}
        asking = self._http.ask(
            method,
            self._base + path,
            body=body,
            headers=headers,
            first_s=self._first_token_s,
            idle_s=self._idle_s,
        )
        with self._key.hidden():
            async with asking as answer:
                yield answer

    async def _chunks(self, answer: Answer, model: str, limit_bytes: int) -> AsyncGenerator[bytes]:
        if not answer.good:
            raise await self._refusal(answer, model)
        async with contextlib.aclosing(answer.chunks(limit_bytes)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _refusal(self, answer: Answer, model: str) -> WorkbenchError:
        return refusal(self.name, model, answer.status, fault_of(await self._excerpt(answer)))

    async def _excerpt(self, answer: Answer) -> bytes:
        try:
            return await answer.body(FAULT_LIMIT_BYTES)
        except InputError:
            return b""  # too long for a sentence: the status has to do

    def _broken(self, error: LinkError, answering: bool) -> LinkError:
        """The same with the back end's name, and as what it is at this point."""
        if type(error) is not LinkError and not isinstance(error, Silent):
            return error  # it has its sentence already
        if answering:
            return BackendBroken(
                "{backend} broke off in the midst of its answer: {reason}",
                backend=self.name,
                reason=str(error),
            )
        if isinstance(error, Silent):
            return self._late()
        return LinkError(
            "{backend} at {url} cannot be reached: {reason}",
            backend=self.name,
            url=self.url,
            reason=str(error),
        )

    def _late(self) -> BackendBroken:
        return BackendBroken(
            "{backend} did not begin to answer within {limit_s} s: it may be loading a model, "
            "or have too much to do",
            backend=self.name,
            limit_s=self._first_token_s,
        )


def _without_secrets(url: str) -> str:
    """The URL as a page and a log may show it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
