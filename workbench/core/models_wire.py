"""The messages of `/ws` about models to have on this machine: found, downloaded, deleted."""

from __future__ import annotations

from typing import Annotated

import msgspec

from workbench.core.cards import SOURCE_LIMIT
from workbench.core.hub_wire import HubMessage, Identifier, Text

Context = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Place = Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class _Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a message is about. A misspelt option is refused rather than ignored."""


class CardsWanted(_Data, frozen=True):
    refresh: bool = False
    context_size: Context | None = None
    """The tokens that a model's memory is reckoned with; without a number, its own default."""


class ModelCards(HubMessage, frozen=True):
    """Answered by `model:cards`: every model on this machine, and whether it fits."""

    data: CardsWanted | None = None


class Source(_Data, frozen=True):
    source: Annotated[str, msgspec.Meta(max_length=SOURCE_LIMIT)]
    """`org/name`, an address on the Hugging Face hub, or the URL of a model file."""


class ModelFind(HubMessage, frozen=True):
    """Answered by `model:found`: what there is to download at a source, or which repositories
    words such as `qwen3 8b` find."""

    data: Source


class DownloadWanted(Source, frozen=True):
    choice: Text | None = None
    """The name of one of its choices, such as `Q4_K_M`; needed where there are several."""
    into: Text | None = None
    """A back end that is to fetch it onto its own disk, such as `ollama`; without a choice the
    source is then a name of that one's catalogue."""
    path: Text | None = None
    """Where the file of a URL is kept, below the models folder; else as `host/file`."""


class ModelDownload(HubMessage, frozen=True):
    """Answered by `model:queued`. It goes on without this connection."""

    data: DownloadWanted


class ModelDownloads(HubMessage, frozen=True):
    """Answered by `model:downloads`, now and with each change, until the connection ends."""


class One(_Data, frozen=True):
    download_id: Identifier


class ModelPause(HubMessage, frozen=True):
    """Answered by `model:transfer`, as are all verbs of one download."""

    data: One


class ModelResume(HubMessage, frozen=True):
    """Go on with a paused, a failed or a cancelled one, where it has something still."""

    data: One


class Ending(One, frozen=True):
    keep: bool
    """Whether what is there already is kept, to go on later, or deleted."""


class ModelCancel(HubMessage, frozen=True):
    """Stop for good."""

    data: Ending


class ModelVerify(HubMessage, frozen=True):
    """Read the files of a finished one again and compare their sha256."""

    data: One


class Moving(One, frozen=True):
    position: Place


class ModelMove(HubMessage, frozen=True):
    """Another place in the queue, from 0."""

    data: Moving


class ModelForget(HubMessage, frozen=True):
    """Take an ended one off the list; its files stay. Answered by `model:forgotten`."""

    data: One


class Named(_Data, frozen=True):
    model: Text


class ModelDelete(HubMessage, frozen=True):
    """Delete a model's files from the models folder; answered by `model:deleted`."""

    data: Named


MODELS_KINDS: dict[str, type[HubMessage]] = {
    "model:cards": ModelCards,
    "model:find": ModelFind,
    "model:download": ModelDownload,
    "model:downloads": ModelDownloads,
    "model:pause": ModelPause,
    "model:resume": ModelResume,
    "model:cancel": ModelCancel,
    "model:verify": ModelVerify,
    "model:move": ModelMove,
    "model:forget": ModelForget,
    "model:delete": ModelDelete,
}
