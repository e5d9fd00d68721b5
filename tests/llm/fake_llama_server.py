"""A fake llama.cpp server, for the states that a tiny real one passes too fast to be seen.

Written from descriptions of llama.cpp. `Loading model` and the shape of /v1/models
were compared with the real server, which the other tests ask; its router mode was not.
"""

from __future__ import annotations

from typing import Any

from tests.http_server import Asked
from tests.llm.fake_openai import answer
from tests.llm.fake_server import Fake, reply, stream

CHAT = "POST /v1/chat/completions"
LOAD = "POST /models/load"
UNLOAD = "POST /models/unload"
MODEL = "gemma-3-4b"


class FakeLlamaServer(Fake):
    """Loads for as many questions as `looks` says; with `router` it begins only when told to."""

    calls_itself = "llama.cpp"

    def __init__(self, *, looks: int = 0, router: bool = False) -> None:
        super().__init__()
        self.looks, self.router = looks, router
        self.status = "unloaded" if router else "loaded"
        self.failed = False
        self.routes = {
            "GET /health": self.health,
            "GET /props": self.props,
            "GET /v1/models": self.models,
            LOAD: self.load,
            UNLOAD: self.unload,
            CHAT: lambda asked, value: stream(asked, answer("Hello")),
        }

    def busy(self, asked: Asked) -> bool:
        if self.router or self.looks == 0:
            return False
        self.looks -= 1
        error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
        reply(asked, {"error": error}, 503)
        return True

    def health(self, asked: Asked, value: Any) -> None:
        if not self.busy(asked):
            reply(asked, {"status": "ok"})

    def props(self, asked: Asked, value: Any) -> None:
        reply(asked, {"total_slots": 4, "build_info": "b7777", "chat_template_caps": {}})

    def models(self, asked: Asked, value: Any) -> None:
        if self.status == "loading":
            self.looks -= 1
            if self.looks < 0:
                self.status = "unloaded" if self.failed else "loaded"
        entry: dict[str, Any] = {"id": MODEL, "object": "model", "owned_by": "llamacpp"}
        if self.router:
            entry["status"] = {"value": self.status, "failed": self.failed}
        reply(asked, {"object": "list", "data": [entry]})

    def load(self, asked: Asked, value: Any) -> None:
        self.status = "loading"
        reply(asked, {"success": True})

    def unload(self, asked: Asked, value: Any) -> None:
        self.status = "unloaded"
        reply(asked, {"success": True})
