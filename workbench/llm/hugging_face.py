"""The Hugging Face hub: what a repository holds. Metadata only; what it fetches is no weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.core.cards import Gated, parse_source
from workbench.core.downloads import RemoteFile, Wanted, safe_name
from workbench.core.repository import (
    Choice,
    Repository,
    RepositoryFile,
    RepositoryHit,
    choices_of,
    safe_files,
)
from workbench.errors import InputError, ProtocolError
from workbench.llm.hub_asking import DEADLINE_S, REQUEST_S, Hub, Token, origin

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ENDPOINT = "https://huggingface.co"
SEARCH_LIMIT = 100
TEXT_LIMIT = 200
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


class HuggingFace:
    """One hub. `token` is asked for each call, and what it gives is kept nowhere."""

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        token: Callable[[], str | None] = lambda: None,
        *,
        request_s: float = REQUEST_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._hub = Hub(endpoint, token, request_s=request_s, deadline_s=deadline_s)

    @property
    def endpoint(self) -> str:
        return self._hub.endpoint

    async def repository(self, name: str, revision: str = "main") -> Repository:
        """What a repository holds now. Raises an error whose sentence says what would help."""
        if not _is_name(name):
            raise InputError.field("name", name, "org/name")

        def ask(api: HfApi, token: Token) -> Repository:
            info = api.model_info(
                name,
                revision=revision or "main",
                files_metadata=True,
                timeout=self._hub.request_s,
                token=token,
            )
            return self._repository(info, revision)

        return await self._hub.ask(ask, name=name, revision=revision)

    async def search(self, text: str, limit: int = 20) -> list[RepositoryHit]:
        """Repositories with GGUF files, the most downloaded first."""
        if not text.strip() or len(text) > TEXT_LIMIT:
            raise InputError.field("text", text, "1 to 200 characters")

        def ask(api: HfApi, token: Token) -> list[RepositoryHit]:
            # Not api.list_models: it tries again for minutes, in a thread that nothing ends.
            from huggingface_hub import ModelInfo, get_session, hf_raise_for_status

            read: Any = ModelInfo
            answer = get_session().get(
                f"{api.endpoint}/api/models",
                params={
                    "search": text.strip(),
                    "filter": "gguf",
                    "sort": "downloads",
                    "limit": max(1, min(limit, SEARCH_LIMIT)),
                    "expand": ["downloads", "likes", "gated", "lastModified", "tags"],
                },
                headers={"authorization": f"Bearer {token}"} if token else {},
                timeout=self._hub.request_s,
            )
            hf_raise_for_status(answer)
            found = [read(**each) for each in answer.json()]
            return [_hit(info, self._hub.page(info.id)) for info in found if _is_name(info.id)]

        return await self._hub.ask(ask, name=text)

    def download_url(self, name: str, file: str, commit: str) -> str:
        """Where the bytes of a file are, at a commit."""
        place = f"{quote(commit, safe='')}/{quote(safe_name(file))}"
        return f"{self._hub.page(name)}/resolve/{place}"

    def wanted(self, repository: Repository, choice: Choice) -> Wanted:
        """A choice as the downloads take it: below the models folder as `org/name/file`."""
        return Wanted(
            model=f"{repository.name}/{choice.name}",
            repository=repository.name,
            commit=repository.commit,
            gated=repository.gated is not None,
            files=tuple(
                RemoteFile(
                    url=self.download_url(repository.name, file.name, repository.commit),
                    name=safe_name(f"{repository.name}/{file.name}"),
                    size_bytes=file.size_bytes,
                    sha256=file.sha256,
                )
                for file in choice.files
            ),
        )

    def headers(self, url: str) -> dict[str, str]:
        """What a download from this hub has to say; nothing for the address of another."""
        if origin(url) != origin(self.endpoint):
            return {}
        token = self._hub.usable_token()
        return {"authorization": f"Bearer {token}"} if token else {}

    def _repository(self, info: Any, revision: str) -> Repository:
        """What the hub says of it; whatever it says beside the protocol is left out."""
        if not _is_name(info.id) or not _COMMIT.match(str(info.sha)):
            raise ProtocolError(
                "{host} names no repository or no commit; see whether it is a Hugging Face hub",
                host=self._hub.host,
            )
        files = safe_files(_file(sibling) for sibling in info.siblings or ())
        gguf: Mapping[str, Any] = info.gguf if isinstance(info.gguf, dict) else {}
        tensors: Mapping[str, Any] = info.safetensors or {}
        counts: Mapping[str, int] = tensors.get("parameters") or {}
        config = info.config if isinstance(info.config, dict) else {}
        template = _text(gguf.get("chat_template"), limit=None)
        return Repository(
            name=info.id,
            page=self._hub.page(info.id),
            revision=revision or "main",
            commit=info.sha,
            files=files,
            choices=choices_of(files, max(counts, key=lambda dtype: counts[dtype], default=None)),
            licence=_licence(info),
            gated=_gating(info.gated),
            private=info.private is True,
            architecture=_text(gguf.get("architecture") or config.get("model_type")),
            parameters=_count(gguf.get("total") or tensors.get("total")),
            context_size=_count(gguf.get("context_length")),
            chat_template=template is not None if gguf else None,
            tools="tools" in template if template else None,
            downloads=_count(info.downloads),
            likes=_count(info.likes),
        )


def _is_name(name: Any) -> bool:
    """Whether it is `org/name` and nothing else: the hub's own word is not trusted either."""
    try:
        return isinstance(name, str) and parse_source(name, ()).repository == name
    except InputError:
        return False


def _file(sibling: Any) -> RepositoryFile:
    lfs = sibling.lfs
    sha256 = str(lfs.sha256).lower() if lfs and lfs.sha256 else None
    return RepositoryFile(
        name=str(sibling.rfilename),
        size_bytes=_count(sibling.size if sibling.size is not None else lfs and lfs.size),
        sha256=sha256,
        blob_id=str(sibling.blob_id or ""),
    )


def _hit(info: Any, page: str) -> RepositoryHit:
    at = info.last_modified
    return RepositoryHit(
        name=str(info.id),
        page=page,
        licence=_licence(info),
        gated=_gating(info.gated),
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        updated_at=int(at.timestamp() * 1000) if isinstance(at, datetime) else None,
    )


def _licence(info: Any) -> str | None:
    """Such as `apache-2.0`; the name that its card gives to one of its own."""
    card = info.card_data
    said = _text(getattr(card, "license", None))
    if said == "other":
        said = _text(getattr(card, "license_name", None)) or said
    tags = [tag for tag in info.tags or () if isinstance(tag, str)]
    named = (tag.removeprefix("license:") for tag in tags if tag.startswith("license:"))
    return said or next(named, None)


def _gating(said: Any) -> Gated | None:
    if said == "auto":
        return "auto"
    return "manual" if said else None


def _text(said: Any, limit: int | None = TEXT_LIMIT) -> str | None:
    return said[:limit] if isinstance(said, str) and said else None


def _count(said: Any) -> int | None:
    return said if type(said) is int and 0 <= said <= 2**53 else None
