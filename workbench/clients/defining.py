"""An own function handed to a mesh node: said first, and uploaded only where it is unknown."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from workbench.clients.faults import NotUploaded
from workbench.core.own_function import Defined, Definition
from workbench.core.own_tokens import worth_hiding
from workbench.errors import InputError, ProtocolError

HOLDS_ONE = (
    "{model} holds a token of this mesh, in its code or in a value that it uses, and is not sent: "
    "let the function do without it"
)


class Upload(Protocol):
    """The client's way to send bytes."""

    def __call__(self, source: bytes, *, name: str) -> Awaitable[str]: ...


Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def define(ask: Ask, upload: Upload, definition: Definition, secrets: list[str]) -> Defined:
    """Make the node keep it. None of `secrets` may be in it. See `MeshClient.define`."""
    refuse_secrets(definition, secrets)
    answer = None
    with contextlib.suppress(NotUploaded):
        answer = await ask(definition.message())
    if answer is None:
        await upload(definition.body, name=f"{definition.name}.pkl")
        answer = await ask(definition.message())
    try:
        return msgspec.convert(answer, Defined)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            "the node's answer to define cannot be read: {reason}", reason=str(error)
        ) from None


def refuse_secrets(definition: Definition, secrets: list[str]) -> None:
    """A token that got in as a plain text cannot be told from any other but by itself."""
    for secret in worth_hiding(secrets):
        if secret.encode() in definition.body or secret in definition.source:
            raise InputError(HOLDS_ONE, model=definition.name)
