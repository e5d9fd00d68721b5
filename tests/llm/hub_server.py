"""A local hub: the routes of the Hugging Face API that tell what is in a repository.

Its shapes are those of the real one as huggingface_hub 2.4 reads them: `/api/models` with its
query, `/api/models/<org>/<name>/revision/<revision>?blobs=true`, and `X-Error-Code`.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.http_server import Asked
from tests.llm.fake_server import Fake, reply

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sibling(name: str, size: int, *, lfs: bool = True) -> dict[str, Any]:
    """One file, as `blobs=true` lists it."""
    listed = {"rfilename": name, "size": size, "blobId": hashlib.sha1(name.encode()).hexdigest()}
    if lfs:
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        listed["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 135}  # type: ignore[assignment]
    return listed


def model(name: str, *siblings: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A repository as the hub describes it."""
    return {
        "_id": "65f0",
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "sha": COMMIT,
        "lastModified": "2026-03-12T10:30:05.000Z",
        "createdAt": "2026-03-01T10:00:00.000Z",
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": ["gguf", "license:apache-2.0"],
        "downloads": 1234,
        "likes": 56,
        "siblings": list(siblings),
        **values,
    }


class FakeHub(Fake):
    """Holds `models` by name. What needs a token or is missing answers as the hub does."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, dict[str, Any]] = {}
        self.renamed: dict[str, str] = {}
        self.tokens: set[str] = set()
        """Those it accepts."""
        self.hidden: dict[str, str] = {}
        """Name to `private` or `gated`: nothing of it is told without an accepted token."""

    def unknown(self, asked: Asked) -> None:
        url = urlsplit(asked.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        said = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if said and said not in self.tokens:
            refuse(asked, 401, "", "Invalid credentials in Authorization header")
        elif parts[:2] != ["api", "models"]:
            refuse(asked, 404, "", "Sorry, we can't find the page you are looking for.")
        elif len(parts) == 2:
            self._search(asked, parse_qs(url.query))
        else:
            self._model(asked, parts[2:], parse_qs(url.query), bool(said))

    def _search(self, asked: Asked, query: dict[str, list[str]]) -> None:
        wanted = query["search"][0].lower()
        found = [each for name, each in self.models.items() if wanted in name.lower()]
        found.sort(key=lambda each: -each["downloads"])
        fields = {*query.get("expand", ()), "_id", "id", "modelId"}
        told = [{name: each[name] for name in each if name in fields} for each in found]
        reply(asked, told[: int(query["limit"][0])])

    def _model(
        self, asked: Asked, parts: list[str], query: dict[str, list[str]], known: bool
    ) -> None:
        name, revision = "/".join(parts[:2]), parts[3]
        if name in self.renamed:
            place = f"/api/models/{self.renamed[name]}/revision/{revision}?blobs=true"
            asked.reply(b"", 307, Location=place)
        elif name not in self.models or (self.hidden.get(name) == "private" and not known):
            refuse(asked, 404 if known else 401, "RepoNotFound", "Repository not found")
        elif self.hidden.get(name) == "gated":
            refuse(asked, 403 if known else 401, "GatedRepo", "Access to model is restricted.")
        elif revision not in ("main", COMMIT):
            refuse(asked, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            blobs = query.get("blobs") == ["true"]
            listed = self.models[name]
            files = listed["siblings"]
            names = [{"rfilename": file["rfilename"]} for file in files]
            reply(asked, {**listed, "siblings": files if blobs else names})


def refuse(asked: Asked, status: int, code: str, message: str) -> None:
    headers = {"X_Error_Code": code} if code else {}
    asked.reply(b"{}", status, X_Error_Message=message, Content_Type="application/json", **headers)
