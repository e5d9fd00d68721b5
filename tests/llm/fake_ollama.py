"""A fake Ollama.

Written from its docs/api.md and api/types.go; never compared with the program. Unproved: the
words of its errors, that `truncate: false` is heeded for every model, and that an empty
`input` loads a model that embeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.http_server import Asked
from tests.llm.fake_server import Fake, reply, stream

CHAT = "POST /api/chat"
GENERATE = "POST /api/generate"
MODEL = "qwen3:8b"
NDJSON = "application/x-ndjson"


class FakeOllama(Fake):
    """Has one model that chats and one that embeds; `loaded` holds what is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Iterable[bytes] = answer("Hello", " world")
        self.loaded: dict[str, int] = {}
        self.routes = {
            "GET /api/version": lambda asked, value: reply(asked, {"version": "0.32.9"}),
            "GET /api/tags": self.tags,
            "GET /api/ps": self.ps,
            "POST /api/show": self.show,
            CHAT: lambda asked, value: stream(asked, self.lines, NDJSON),
            GENERATE: self.generate,
            "POST /api/embed": self.embed,
        }

    def unknown(self, asked: Asked) -> None:
        asked.reply(b"404 page not found", 404, Content_Type="text/plain")

    def tags(self, asked: Asked, value: Any) -> None:
        details = {"family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"}
        small = {"family": "bert", "parameter_size": "22M", "quantization_level": "F16"}
        models = [
            {"name": MODEL, "model": MODEL, "size": 5_200_000_000, "details": details},
            {"name": "all-minilm:22m", "model": "all-minilm:22m", "size": 1, "details": small},
        ]
        reply(asked, {"models": models})

    def ps(self, asked: Asked, value: Any) -> None:
        models = [
            {"name": name, "model": name, "context_length": context, "size_vram": 1}
            for name, context in self.loaded.items()
        ]
        reply(asked, {"models": models})

    def show(self, asked: Asked, value: Any) -> None:
        chats = value["model"] == MODEL
        reply(
            asked,
            {
                "capabilities": ["completion", "tools"] if chats else ["embedding"],
                "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
            },
        )

    def generate(self, asked: Asked, value: Any) -> None:
        name = value["model"]
        if name != MODEL:
            reply(asked, {"error": f"model '{name}' not found"}, 404)
        elif value["stream"]:
            stream(asked, self.lines, NDJSON)
        elif value["keep_alive"] == 0:
            self.loaded.pop(name, None)
            reply(asked, {"model": name, "response": "", "done": True, "done_reason": "unload"})
        else:
            self.loaded[name] = value["options"].get("num_ctx", 4096)
            reply(asked, {"model": name, "response": "", "done": True, "done_reason": "load"})

    def embed(self, asked: Asked, value: Any) -> None:
        vectors = [[float(len(text)), 1.0] for text in value["input"]]
        reply(asked, {"model": value["model"], "embeddings": vectors})


def lines(*values: Any) -> list[bytes]:
    """Each value as a line."""
    return [json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values]


def said(**message: Any) -> dict[str, Any]:
    """A piece of an answer."""
    return {"model": MODEL, "message": {"role": "assistant", "content": "", **message}}


def done(reason: str = "stop", **more: Any) -> dict[str, Any]:
    """The last line, with its figures in nanoseconds."""
    figures = {
        "total_duration": 4_000_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": 26,
        "prompt_eval_duration": 130_000_000,
        "eval_count": 2,
        "eval_duration": 40_000_000,
    }
    return {**said(), "done": True, "done_reason": reason, **figures, **more}


def answer(*texts: str) -> list[bytes]:
    """A whole answer in these pieces."""
    return lines(*({**said(content=text), "done": False} for text in texts), done())
