"""A fake LM Studio, written from its REST documentation; never compared with the program.

Unproved, for only the program can show it: the words of its errors (taken from its bug
tracker), that a load which its client gave up goes on, that `/v1/chat/completions` takes a
model's key as well as an instance's id, what `parallel` it allows, that a download which is asked
for again answers with its job, and what it answers for a job that it does not know.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from tests.http_server import Asked
from tests.llm.fake_openai import answer
from tests.llm.fake_server import Fake, reply, stream

CHAT = "POST /v1/chat/completions"
LOAD = "POST /api/v1/models/load"
UNLOAD = "POST /api/v1/models/unload"
DOWNLOAD = "POST /api/v1/models/download"
STATUS = "GET /api/v1/models/download/status/"
JOB = "job_493c7c9ded"
SIZE_BYTES = 4_000_000
STARTED = "2026-10-03T15:33:23.496Z"
MODEL = "openai/gpt-oss-20b"
EMBEDDER = "text-embedding-nomic-embed-text-v1.5"


class FakeLMStudio(Fake):
    """Loads just in time, and a second copy for each request that finds none, as it does.

    It has one download: each look at it finds `step_bytes` more, and a test may set its `status`,
    or forget it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status, self.downloaded, self.step_bytes = "", 0, 1_000_000
        self.events = answer("Hello", " world")
        self.instances: dict[str, dict[str, int]] = {MODEL: {}, EMBEDDER: {}}
        self._lock = Lock()
        self.routes = {
            "GET /api/v1/models": self.models,
            LOAD: self.load,
            UNLOAD: self.unload,
            DOWNLOAD: self.download,
            STATUS + JOB: self.look,
            CHAT: self.chat,
            "POST /v1/embeddings": self.embeddings,
        }

    def unknown(self, asked: Asked) -> None:
        text = f"Unexpected endpoint or method. ({asked.command} {asked.path})"
        reply(asked, {"error": text})

    def models(self, asked: Asked, value: Any) -> None:
        chat = {
            "type": "llm",
            "publisher": "openai",
            "key": MODEL,
            "display_name": "GPT OSS 20B",
            "architecture": "gpt-oss",
            "quantization": {"name": "MXFP4", "bits_per_weight": 4},
            "size_bytes": 12_109_566_560,
            "params_string": "20B",
            "loaded_instances": self.listed(MODEL),
            "max_context_length": 131_072,
            "format": "gguf",
            "capabilities": {"vision": False, "trained_for_tool_use": True},
            "description": None,
        }
        embedder = {
            "type": "embedding",
            "publisher": "nomic-ai",
            "key": EMBEDDER,
            "display_name": "Nomic Embed Text v1.5",
            "quantization": {"name": "F16", "bits_per_weight": 16},
            "size_bytes": 274_290_560,
            "params_string": None,
            "loaded_instances": self.listed(EMBEDDER),
            "max_context_length": 2048,
            "format": "gguf",
        }
        reply(asked, {"models": [chat, embedder]})

    def listed(self, key: str) -> list[dict[str, Any]]:
        with self._lock:
            found = dict(self.instances[key])
        return [{"id": id, "config": {"context_length": size}} for id, size in found.items()]

    def load(self, asked: Asked, value: Any) -> None:
        key = value["model"]
        with self._lock:
            held = self.instances[key]
            id = key if not held else f"{key}:{len(held) + 1}"
            held[id] = value.get("context_length", 4096)
        reply(
            asked,
            {"type": "llm", "instance_id": id, "load_time_seconds": 9.1, "status": "loaded"},
        )

    def unload(self, asked: Asked, value: Any) -> None:
        for held in self.instances.values():
            held.pop(value["instance_id"], None)
        reply(asked, {"instance_id": value["instance_id"]})

    def download(self, asked: Asked, value: Any) -> None:
        if self.status == "completed":
            reply(asked, {"status": "already_downloaded"})
        else:
            self.status = "downloading"
            reply(asked, self.job())

    def look(self, asked: Asked, value: Any) -> None:
        if not self.status:
            reply(asked, {"error": {"message": "Download job not found", "type": "not_found"}}, 404)
            return
        if self.status == "downloading":
            if self.downloaded >= SIZE_BYTES:
                self.status = "completed"
            self.downloaded = min(SIZE_BYTES, self.downloaded + self.step_bytes)
        reply(asked, self.job())

    def job(self) -> dict[str, Any]:
        """What it says of its download."""
        said = {"job_id": JOB, "status": self.status, "started_at": STARTED}
        said |= {"total_size_bytes": SIZE_BYTES, "downloaded_bytes": self.downloaded}
        if self.status == "downloading":
            said |= {"bytes_per_second": 7834.71, "estimated_completion": STARTED}
        return said | ({"completed_at": STARTED} if self.status == "completed" else {})

    def chat(self, asked: Asked, value: Any) -> None:
        with self._lock:
            held = self.instances[value["model"]]
            if not held:
                held[f"{value['model']}:just-in-time-{len(self.asked)}"] = 4096
        stream(asked, self.events)

    def embeddings(self, asked: Asked, value: Any) -> None:
        reply(
            asked, {"data": [{"index": i, "embedding": [1.0]} for i in range(len(value["input"]))]}
        )
