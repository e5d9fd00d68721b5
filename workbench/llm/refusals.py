"""Says in our errors what a server of language models said in its own, each in its own way.

Sources, read in November 2026: llama.cpp tools/server (exceed_context_size_error, "Loading
model"), vLLM's ErrorResponse, OpenAI's error object, Ollama's {"error": text}, and for LM
Studio its bug tracker (issues 237, 546, 1251, 2322), for its documentation names no errors.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from workbench.core.llm import BackendBroken, Busy, ContextOverflow, NoModel
from workbench.errors import InputError, WorkbenchError

SENTENCE_CHARS = 300
_CONTEXT = re.compile(
    r"exceed_context_size|context_length_exceeded|maximum context length"
    r"|(?:exceed|greater than|longer than|larger than|reached)\w*\b.{0,60}\bcontext"
    r"|context (?:size|length|window) (?:has been |was |is |of )?(?:exceed|too)"
    r"|when (?:the )?context (?:the )?overflows|n_keep\b.*n_ctx|too large to process"
    r"|prompt (?:is )?too long",
    re.IGNORECASE | re.DOTALL,
)
_NO_MODEL = re.compile(
    r"model_not_found|\bmodels?\b.{0,300}\b(?:not found|not exist)"
    r"|(?:no|unknown|invalid)\s(?:such\s)?model|no models? (?:is |are )?loaded"
    r"|failed to load model.{0,300}not found",
    re.IGNORECASE | re.DOTALL,
)
_LATER = frozenset({408, 425, 429, 503})
_NOT_MADE_FOR_IT = 501
_KEY = frozenset({401, 403})


class Fault(msgspec.Struct, frozen=True):
    """What a server says went wrong; `said` is one bounded line."""

    said: str
    kind: str = ""
    status: int | None = None


def fault_of(body: bytes) -> Fault | None:
    """The fault in an answer's body or an event's data; None where it holds none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    inner = value.get("error") or value.get("detail")
    if inner is None and value.get("object") == "error":  # vLLM before 0.10
        inner = value
    return None if not inner else _fault(inner)


def _fault(inner: Any) -> Fault:
    if not isinstance(inner, dict):
        return Fault(line(inner))
    message, code = inner.get("message") or inner.get("error") or inner, inner.get("code")
    kind = f"{inner.get('type') or ''} {code or ''}"
    return Fault(line(message), kind[:100], code if isinstance(code, int) else None)


def refusal(
    backend: str, model: str, status: int, fault: Fault | None, *, answering: bool = False
) -> WorkbenchError:
    """Our error for a status and a fault; `answering`: some of the answer came before."""
    said = fault.said if fault else f"HTTP {status}"
    if fault and _CONTEXT.search(f"{fault.kind} {said}"):
        return ContextOverflow(
            "this is longer than the context of {model} at {backend} ({said}): shorten it, or "
            "load the model with a larger context",
            model=model,
            backend=backend,
            said=said,
        )
    if answering:
        return BackendBroken(
            "{backend} broke off in the midst of its answer: {reason}", backend=backend, reason=said
        )
    if status in _KEY:
        return InputError(
            "{backend} answers {status}: it refuses this key; set the one that it expects",
            backend=backend,
            status=status,
        )
    if fault and _NO_MODEL.search(f"{fault.kind} {said}"):
        return NoModel(
            "{backend} has no model {model}: {said}", backend=backend, model=model, said=said
        )
    if status in _LATER:
        return Busy("{backend} cannot answer now: {said}; try again", backend=backend, said=said)
    if status >= 500 and status != _NOT_MADE_FOR_IT:
        return BackendBroken("{backend} failed: {said}", backend=backend, said=said)
    return InputError("{backend} refuses this: {said}", backend=backend, said=said)


def line(value: Any) -> str:
    """A server's words as an error may show them: one line, printable, cut short."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:4096]).split())
    return text if len(text) <= SENTENCE_CHARS else text[: SENTENCE_CHARS - 1] + "…"
