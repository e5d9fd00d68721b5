"""`bench.library`: the models on the hub's machine, and downloads, from a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.clients.downloads import DownloadsClient
from workbench.core import markup
from workbench.core.downloads import ENDED, Download
from workbench.core.sentence import Sentence, Speech, spoken
from workbench.session.calls import Bench, Call, Part

FITS = {"gpu": "fits GPU", "memory": "fits memory", "no": "does not fit", "unknown": "not known"}
CARD = ("model", "state", "kept by", "size MB", "quantization", "context", "needs MB", "fits")


class Cards(list[dict[str, Any]]):
    """Cards of models, keys as on the wire; drawn as a table."""

    def __repr__(self) -> str:
        return f"Cards({', '.join(str(card['id']) for card in self) or 'none'})"

    def _repr_html_(self) -> str:
        speech = spoken()
        count = speech.say(Sentence("{count} models", {"count": len(self)}))
        return markup.table(speech.each(*CARD), map(_card_row, self), count)


HIT = ("repository", "downloads", "likes", "licence", "gated")


class AtSource(dict[str, Any]):
    """What a source has: `source`, `repository`, `cards`, as on the wire, or the `hits` of words;
    drawn as a table."""

    @property
    def choices(self) -> list[str]:
        """What `download` takes as its choice: quantisations, else names; none at a URL."""
        choices = (self.get("repository") or {}).get("choices") or ()
        return [str(each.get("quantization") or each["name"]) for each in choices]

    @property
    def repositories(self) -> list[str]:
        """What words found, the most downloaded first; each is a source of its own."""
        return [str(hit["name"]) for hit in self.get("hits") or ()]

    def __repr__(self) -> str:
        named = ", ".join(self.choices or self.repositories) or "nothing"
        return f"AtSource({self.get('source')!r}, {named})"

    def _repr_html_(self) -> str:
        speech, source = spoken(), str(self.get("source"))
        if hits := self.get("hits"):
            rows = [(hit["name"], *(hit.get(name) for name in HIT[1:])) for hit in hits]
            head = markup.heading(source, speech.say("repositories"))
            return head + markup.table(speech.each(*HIT), rows)
        head = markup.heading(source, speech.say("to download"))
        return head + markup.table(speech.each(*CARD), map(_card_row, self.get("cards") or ()))


class ModelDownload:
    """One download of the hub. It goes on whether or not anybody holds this."""

    def __init__(self, library: Library, download: Download) -> None:
        self._library, self._last = library, download
        self.download_id = download.download_id

    @property
    def now(self) -> Download:
        """As it stands at the hub at this moment; the last that is known once it was forgotten."""
        known = {each.download_id: each for each in self._library.downloads().result()}
        self._last = known.get(self.download_id, self._last)
        return self._last

    @property
    def state(self) -> str:
        return self.now.state

    def wait(self) -> ModelDownload:
        """Wait until it is done, failed or cancelled. Ctrl-C stops waiting, not the download."""
        self._last = self._library.ended(self.download_id).result()
        return self

    def pause(self) -> None:
        self._library.verb("pause", self.download_id).result()

    def resume(self) -> None:
        """Go on, also after a failure or a cancel that kept what was there."""
        self._library.verb("resume", self.download_id).result()

    def cancel(self, *, keep: bool) -> None:
        """Stop for good; `keep` says whether what is there stays for a later `resume`."""
        self._library.verb("cancel", self.download_id, keep=keep).result()

    def __repr__(self) -> str:
        return f"ModelDownload({_words(self.now)})"

    def _repr_html_(self) -> str:
        return downloads_html([self.now])


class Downloads(list[Download]):
    """Downloads in the order of their queue; drawn with their progress."""

    def __repr__(self) -> str:
        return "\n".join(map(_words, self)) or "no downloads"

    def _repr_html_(self) -> str:
        return downloads_html(self) or markup.note(spoken().say("no downloads"))


class Library(Part):
    """Models to have on the hub's machine. Each call is awaited, or waited for with
    `.result()`."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.client = DownloadsClient(bench.client)
        """For code on the workbench's runtime that awaits."""

    def __repr__(self) -> str:
        return (
            "Library: cards(), find(source), download(source, choice), downloads(), delete(model)"
        )

    def cards(self, *, context_size: int | None = None, refresh: bool = False) -> Call[Cards]:
        """Every model on this machine, and whether it fits: in the models folder, at back ends,
        and where LM Studio, Ollama, llama.cpp and Hugging Face's cache keep theirs."""

        async def asked() -> Cards:
            found = await self.client.cards(context_size=context_size, refresh=refresh)
            return Cards(found["cards"])

        return self._call(asked)

    def find(self, source: str) -> Call[AtSource]:
        """What there is at `org/name`, a page of the Hugging Face hub, or a model file's URL; words
        such as `qwen3 8b` find repositories."""

        async def asked() -> AtSource:
            return AtSource(await self.client.find(source))

        return self._call(asked)

    def download(
        self,
        source: str,
        choice: str | None = None,
        *,
        into: str | None = None,
        path: str | None = None,
    ) -> Call[ModelDownload]:
        """Begin a download, such as `("org/name", "Q4_K_M")`. It belongs to the hub: it goes on
        without this notebook, and over restarts.

        With `into="ollama"` or `into="lmstudio"` that program fetches it onto its own disk, a
        choice of a repository or a name of its own catalogue, such as `qwen3:4b`. `path` is where
        the file of a URL is kept, below the models folder.
        """

        async def asked() -> ModelDownload:
            begun = await self.client.download(source, choice, into=into, path=path)
            return ModelDownload(self, begun)

        return self._call(asked)

    def downloads(self) -> Call[Downloads]:
        """All of them."""

        async def asked() -> Downloads:
            return Downloads(await self.client.downloads())

        return self._call(asked)

    def delete(self, model: str) -> Call[None]:
        """Delete a model's files from the models folder; never those of another program."""
        return self._call(lambda: self.client.delete(model))

    def ended(self, download_id: str) -> Call[Download]:
        """Wait for the end of one."""
        return self._call(lambda: self.client.ended(download_id))

    def verb(self, name: str, download_id: str, **more: Any) -> Call[Download]:
        """`pause`, `resume` or `cancel` one."""
        return self._call(lambda: getattr(self.client, name)(download_id, **more))


def downloads_html(downloads: list[Download]) -> str:
    """Each with its words and a bar while it goes on."""
    drawn, speech = [], spoken()
    for each in downloads:
        drawn.append(markup.heading(each.model, _state(each, speech)))
        if each.state not in ENDED:
            share = each.done_bytes / each.total_bytes if each.total_bytes else None
            drawn.append(f"<div>{markup.bar(share, speech.say(each.state))}</div>")
    return "".join(drawn)


def _words(download: Download) -> str:
    where = f" into {download.backend}" if download.backend else ""
    return f"{download.model}{where}: {_state(download, Speech())}"


def _state(download: Download, speech: Speech) -> str:
    """How far it is, how fast and for how long yet; and what is wrong."""
    total, speed = download.total_bytes, download.speed_bytes_s
    values = {
        "done": f"{download.done_bytes / 1e6:,.1f}",
        "total": "" if total is None else f"{total / 1e6:,.1f}",
    }
    of = Sentence("{done} MB" if total is None else "{done} of {total} MB", values)
    parts = [speech.say(download.state), speech.say(of)]
    if speed:
        parts.append(f"{speech.digits(f'{speed / 1e6:,.1f}')} MB/s")
    if download.eta_s is not None:
        left = {"seconds": f"{download.eta_s:,.0f}"}
        parts.append(speech.say(Sentence("{seconds} s left", left)))
    words = ", ".join(parts)
    return f"{words}: {speech.say(download.problem)}" if download.problem else words


def _card_row(card: Mapping[str, Any]) -> tuple[Any, ...]:
    speech = spoken()

    def megabytes(value: float | None) -> str | None:
        return None if value is None else speech.digits(f"{value / 1e6:,.0f}")

    fits = str(card.get("fits"))
    needed = card.get("neededGpuBytes" if fits == "gpu" else "neededMemoryBytes")
    return (
        card.get("id"),
        speech.say(card["state"]) if card.get("state") else None,
        card.get("owner"),
        megabytes(card.get("sizeBytes")),
        card.get("quantization"),
        card.get("contextSize"),
        megabytes(needed),
        speech.say(FITS.get(fits, fits)),
    )
