"""What a person gives as a batch (path, URL, bytes, dictionary) as a node takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from workbench.core.model import DATA_URL_FORMAT
from workbench.core.wire import encode
from workbench.errors import InputError

INLINE_LIMIT = 1 << 20
_URL = re.compile(r"^(?:https?|upload|file):", re.IGNORECASE)

Batch = str | Path | bytes | Mapping[str, Any]


class Carrier(Protocol):
    """The client, as far as inputs need it."""

    async def upload(self, source: Path | str | bytes, *, name: str = "") -> str: ...
    async def models(self) -> list[dict[str, Any]]: ...


class Inputs:
    """Turns inputs into URLs that the node accepts; uploads what it cannot reach."""

    def __init__(self, carrier: Carrier, data: Path) -> None:
        self._carrier, self._data = carrier, data
        self._url_parameters: dict[str, frozenset[str]] = {}

    async def batch(self, given: Batch) -> tuple[str | None, Any]:
        """The URL of a batch, or None and its inline JSON."""
        if isinstance(given, Mapping):
            document = encode(dict(given)).encode()
            if len(document) <= INLINE_LIMIT:
                return None, dict(given)
            return await self._carrier.upload(document, name="batch.json"), None
        return await self.url(given), None

    async def url(self, given: str | Path | bytes) -> str:
        """A URL as it is, a file under the data folder by its name there, the rest uploaded."""
        if isinstance(given, bytes):
            return await self._carrier.upload(given)
        if isinstance(given, str) and _URL.match(given):
            return given
        place = self._place(given)
        return place if isinstance(place, str) else await self._carrier.upload(place)

    def _place(self, given: str | Path) -> str | Path:
        """A file's name under the data folder, or its path when it lies elsewhere."""
        path = Path(given).expanduser()
        if not path.is_file():
            if not path.is_absolute() and (self._data / path).is_file():
                return path.as_posix()
            raise InputError(
                "{path} is no file here: give a path, an http(s) address, bytes or a dictionary",
                path=str(given),
            )
        whole, data = path.resolve(), self._data.resolve()
        return whole.relative_to(data).as_posix() if whole.is_relative_to(data) else path

    async def parameters(self, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, with files in place of second inputs made into URLs."""
        if not any(isinstance(value, str | Path | bytes) for value in given.values()):
            return dict(given)
        urls = await self._inputs_of(model)
        return {
            name: await self.url(value)
            if value is not None and (name in urls or isinstance(value, Path | bytes))
            else value
            for name, value in given.items()
        }

    async def _inputs_of(self, model: str) -> frozenset[str]:
        """Names of the model's parameters that are second inputs."""
        if model not in self._url_parameters:
            self._url_parameters = {
                str(each.get("name")): _urls(each.get("parametersSchema") or {})
                for each in await self._carrier.models()
            }
        return self._url_parameters.get(model, frozenset())


def _urls(schema: Mapping[str, Any]) -> frozenset[str]:
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    return frozenset(
        name for name, each in properties.items() if each.get("format") == DATA_URL_FORMAT
    )
