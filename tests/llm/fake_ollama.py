"""A fake Ollama.

Written from its docs/api.md, api/types.go and its server's images.go and download.go; never
compared with the program. Unproved: the words of its errors, that `truncate: false` is heeded for
every model, and that an empty `input` loads a model that embeds.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from typing import Any

from tests.http_server import Asked
from tests.llm.fake_server import PATIENCE_S, Fake, begin, reply, send, stream

CHAT = "POST /api/chat"
GENERATE = "POST /api/generate"
PULL = "POST /api/pull"
MODEL = "qwen3:8b"
NDJSON = "application/x-ndjson"
LAYERS = {"a" * 64: 4_000_000, "b" * 64: 10_000}
"""A model's parts by their sums, the weights first, in bytes."""
STEP_S = 0.02


class FakeOllama(Fake):
    """Has one model that chats and one that embeds; `loaded` holds what is in memory.

    `catalogue` names what it can pull, `kept` holds how much of each part it has of it, and
    `step_bytes` how much comes at a time. What it has whole is named with all of it at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.catalogue = {"qwen3:4b"}
        self.pulled: list[str] = []
        self.kept = dict.fromkeys(LAYERS, 0)
        self.step_bytes = 1_000_000
        self.dropping: list[int] = []
        """Of the pulls to come, after how many bytes each one's connection is dropped."""
        self.lines: Iterable[bytes] = answer("Hello", " world")
        self.loaded: dict[str, int] = {}
        self.routes = {
            "GET /api/version": lambda asked, value: reply(asked, {"version": "0.32.9"}),
            "GET /api/tags": self.tags,
            "GET /api/ps": self.ps,
            "POST /api/show": self.show,
            CHAT: lambda asked, value: stream(asked, self.lines, NDJSON),
            GENERATE: self.generate,
            PULL: self.pull,
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
            *({"name": name, "model": name, "size": 4_010_000} for name in self.pulled),
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

    def pull(self, asked: Asked, value: Any) -> None:
        asked.connection.settimeout(PATIENCE_S)
        try:
            self.pulling(asked, value["model"])
        except OSError:  # its client left: what is there of it stays
            self.left.set()

    def pulling(self, asked: Asked, name: str) -> None:
        begin(asked, NDJSON)
        tell(asked, status="pulling manifest")
        if name not in self.catalogue:
            tell(asked, error="pull model manifest: file does not exist")
            return send(asked, b"")
        left = self.dropping.pop(0) if self.dropping else None
        for digest, total in LAYERS.items():
            status = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}"}
            tell(asked, **status, total=total)
            while self.kept[digest] < total:
                if left is not None and left <= 0:
                    asked.close_connection = True
                    return asked.connection.shutdown(socket.SHUT_RDWR)
                self.kept[digest] = min(total, self.kept[digest] + self.step_bytes)
                left = None if left is None else left - self.step_bytes
                tell(asked, **status, total=total, completed=self.kept[digest])
                self.hold.wait(STEP_S)
            tell(asked, **status, total=total, completed=total)
        for status_ in ("verifying sha256 digest", "writing manifest", "success"):
            tell(asked, status=status_)
        self.pulled.append(name)
        return send(asked, b"")

    def embed(self, asked: Asked, value: Any) -> None:
        vectors = [[float(len(text)), 1.0] for text in value["input"]]
        reply(asked, {"model": value["model"], "embeddings": vectors})


def tell(asked: Asked, **said: Any) -> None:
    """One line of a streamed answer."""
    send(asked, *lines(said))


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
