"""Headers of models at their sources: a few at once, for a few seconds, remembered.

They only make a card more exact: what does not come, for whatever reason, is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from workbench.byte_ranges import Cut, Ranges, Refused
from workbench.core.downloads import RemoteFile, Wanted
from workbench.errors import InputError, LinkError
from workbench.llm.gguf_beginning import fetch_beginning
from workbench.llm.gguf_header import Header

AT_ONCE = 4
MOST = 8
LIMIT_S = 5.0
KEPT = 512

log = logging.getLogger(__name__)


class RemoteHeaders:
    """Looks at the beginnings of remote GGUF files. `headers` is what is sent with a URL.

    What a file at a commit says never changes, so it is asked once; so is what is no model.
    """

    def __init__(
        self,
        ranges: Ranges,
        headers: Callable[[str], Mapping[str, str]],
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._ranges, self._headers, self._limit_s = ranges, headers, limit_s
        self._known: dict[str, Header | None] = {}
        """By URL, which names the commit."""

    async def of(
        self, choices: Mapping[str, Wanted], parameters: int | None = None
    ) -> dict[str, Header]:
        """The headers of the first choices that are GGUF, by the names that they have here."""
        asked = {name: wanted for name, wanted in choices.items() if _is_gguf(wanted.files[0])}
        some = dict(list(asked.items())[:MOST])
        missing = {
            name: wanted for name, wanted in some.items() if wanted.files[0].url not in self._known
        }
        found = await self._looked(missing, parameters)
        known = {name: self._known.get(wanted.files[0].url) for name, wanted in some.items()}
        return {name: header for name, header in (known | found).items() if header is not None}

    async def _looked(
        self, choices: Mapping[str, Wanted], parameters: int | None
    ) -> dict[str, Header | None]:
        """What comes within the time; the rest is cut off."""
        turns, cut = asyncio.Semaphore(AT_ONCE), Cuts()

        async def look(wanted: Wanted) -> Header | None:
            async with turns:
                return await asyncio.to_thread(self._look, wanted, parameters, cut.another())

        looks = {name: asyncio.create_task(look(wanted)) for name, wanted in choices.items()}
        try:
            if looks:
                await asyncio.wait(looks.values(), timeout=self._limit_s)
        finally:
            for task in looks.values():
                task.cancel()
            cut.all()
            await asyncio.gather(*looks.values(), return_exceptions=True)
        return {name: task.result() for name, task in looks.items() if _came(name, task)}

    def _look(self, wanted: Wanted, parameters: int | None, cut: Cut) -> Header | None:
        """One header; None where the source does not give it, or where it is no model's."""
        file, header = wanted.files[0], None
        try:
            header = fetch_beginning(
                self._ranges,
                file.url,
                file.name,
                file.size_bytes or 0,
                parameters=parameters,
                headers=self._headers(file.url),
                cut=cut,
            )
        except (LinkError, Refused) as error:  # perhaps another time, or with a token
            log.info("model.no_header file=%s reason=%s", file.name, error)
            return None
        except InputError as error:
            log.info("model.no_header file=%s reason=%s", file.name, error)
        if wanted.commit:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[file.url] = header
        return header


class Cuts:
    """Ends several exchanges together."""

    def __init__(self) -> None:
        self._cuts: list[Cut] = []

    def another(self) -> Cut:
        self._cuts.append(Cut())
        return self._cuts[-1]

    def all(self) -> None:
        for cut in self._cuts:
            cut()


def _is_gguf(file: RemoteFile) -> bool:
    return file.name.lower().endswith(".gguf") and bool(file.size_bytes)


def _came(name: str, task: asyncio.Task[Header | None]) -> bool:
    """Whether a look has ended well, in time."""
    if task.cancelled():
        return False
    if error := task.exception():
        log.warning("model.no_header choice=%s", name, exc_info=error)
    return error is None
