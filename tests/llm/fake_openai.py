"""A fake OpenAI-compatible server.

Written from OpenAI's reference of the chat completion chunk object and vLLM's documentation;
never compared with those programs. Proved elsewhere: llama.cpp, whose part of the protocol
tests/llm/test_real_engine.py asks for real.
"""

from __future__ import annotations

from typing import Any

from tests.http_server import Asked
from tests.llm.fake_server import Fake, reply, sse, stream

CHAT = "POST /v1/chat/completions"
COMPLETIONS = "POST /v1/completions"
MODEL = "Qwen/Qwen3-8B"


class FakeOpenAI(Fake):
    """Answers every conversation with `events`, which a test may replace."""

    def __init__(self) -> None:
        super().__init__()
        self.events = answer("Hello", ", ", "world")
        self.routes = {
            "GET /v1/models": self.models,
            CHAT: lambda asked, value: stream(asked, self.events),
            COMPLETIONS: lambda asked, value: stream(asked, self.events),
            "POST /v1/embeddings": self.embeddings,
        }

    def models(self, asked: Asked, value: Any) -> None:
        listed = [
            {"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 4096},
            {"id": "BAAI/bge-m3", "object": "model", "owned_by": "vllm", "max_model_len": 8192},
        ]
        reply(asked, {"object": "list", "data": listed})

    def embeddings(self, asked: Asked, value: Any) -> None:
        data = [
            {"object": "embedding", "index": i, "embedding": [float(i), 0.5]}
            for i, _ in enumerate(value["input"])
        ]
        reply(asked, {"object": "list", "data": data[::-1], "model": value["model"]})


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of an answer."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}


def usage(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    """The chunk that `stream_options` asks for."""
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return {"object": "chat.completion.chunk", "choices": [], "usage": counts}


def answer(*texts: str, finish: str = "stop") -> list[bytes]:
    """A whole answer in these pieces."""
    said = [chunk(content=text) for text in texts]
    count = usage(12, len(texts), cached=4)
    return sse(chunk(role="assistant", content=""), *said, chunk(finish), count, "[DONE]")


def refusing(status: int, message: str, kind: str = "BadRequestError") -> Any:
    """A route that answers with an error, in the words of vLLM."""

    def route(asked: Asked, value: Any) -> None:
        error = {"message": message, "type": kind, "param": None, "code": status}
        reply(asked, {"error": error}, status)

    return route
