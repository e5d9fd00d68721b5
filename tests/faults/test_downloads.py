"""kill -9 of a hub that downloads, again and again: a file is absent, resumable or right."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.http_server import Asked
from tests.hub_process import HubProcess
from tests.llm.fake_server import faking
from tests.llm.faulty_files import Files, busy, content, reset_after, short_by
from tests.llm.hub_server import COMMIT, FakeHub, model, sibling

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 20 * ROUNDS)]

PATIENCE_S = 60.0
MOMENT_S = 6.0
"""A moment that does not come by then is not waited for: the kill comes all the same."""
OPEN = 3
"""So many downloads there are to disturb."""
JOURNAL = "downloads.json"


class Served(Files):
    """One file of the source. `ended` is set when a connection was given all that it asked."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.ended = Event()

    def __call__(self, asked: Asked) -> None:
        if asked.headers.get("range") == "bytes=0-0":  # how large is it? then it is promised
            super().answer(asked)
        else:
            super().__call__(asked)

    def answer(self, asked: Asked, *, stop_after: int | None = None) -> None:
        super().answer(asked, stop_after=stop_after)
        if stop_after is None:
            self.ended.set()


class Source(FakeHub):
    """A hub of models, and of files at plain URLs; each new one is of the next sort."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.files: dict[str, Served] = {}
        """By their places below a models folder."""

    def stock(self, number: int) -> str:
        """One more model; gives what to type in for it."""
        sort = (self._pair, self._slow, self._wide, self._plain)[number % 4]
        return sort(number)

    def _pair(self, number: int) -> str:
        names = [f"pair-Q8_0-0000{part}-of-00002.gguf" for part in (1, 2)]
        return self._repository(
            number, {name: self._served(3_000_000, each=1.5e6) for name in names}
        )

    def _slow(self, number: int) -> str:
        return self._repository(number, {"slow-Q8_0.gguf": self._served(9_000_000, each=2e6)})

    def _wide(self, number: int) -> str:
        """Worth more than one connection: each of them is limited."""
        return self._repository(number, {"wide-F16.gguf": self._served(80_000_000, each=6e6)})

    def _plain(self, number: int) -> str:
        """No sum is declared for it."""
        place = f"localhost/{number}.gguf"  # what lies at the hub's own address is its page
        self.files[place] = self._served(5_000_000, together=3e6)
        return f"{self.url.replace('127.0.0.1', 'localhost')}/{number}.gguf"

    def _served(
        self, size: int, *, each: float | None = None, together: float | None = None
    ) -> Served:
        file = Served(content(size + self._chance.randrange(1000), self._chance.randrange(10**9)))
        file.each_bytes_s, file.all_bytes_s = each, together
        faults = (busy(503, Retry_After=0), reset_after(size // 3), short_by(size // 2))
        file.faults = [self._chance.choice(faults) for _ in range(self._chance.randrange(3))]
        return file

    def _repository(self, number: int, files: dict[str, Served]) -> str:
        name = f"org/m{number}"
        self.files |= {f"{name}/{file}": served for file, served in files.items()}
        told = [
            sibling(file, len(served.body))
            | {"lfs": {"sha256": served.sha256, "size": len(served.body), "pointerSize": 135}}
            for file, served in files.items()
        ]
        self.models[name] = model(name, *told)
        return name

    def calm(self) -> None:
        """What was seen of files so far is of no account."""
        for file in self.files.values():
            file.ended.clear()
            file.most_at_once = 0

    def unknown(self, asked: Asked) -> None:
        place = asked.path.strip("/").replace(f"/resolve/{COMMIT}", "")
        found = self.files.get(place) or self.files.get(f"localhost/{place}")
        if found is not None:
            found(asked)
        else:
            super().unknown(asked)


class Story:
    """One data folder over all lives of its hub, and what was promised there."""

    def __init__(self, data: Path, source: Source, chance: random.Random) -> None:
        self.folder, self.source, self.chance = data / "models", source, chance
        self.folder.mkdir()
        self.hub = HubProcess(
            data,
            HF_ENDPOINT=source.url,
            HF_HUB_CACHE=str(data / "cache"),
            WORKBENCH_PRIVATE_ADDRESSES="1",
            WORKBENCH_LLM_DISCOVER="0",
        )
        self.promised: set[str] = set()
        """Models whose download was acknowledged."""
        self.right: set[str] = set()
        """Files that were seen whole, with the right sum."""
        self.kills: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self._deck: list[str] = []
        self._stocked = 0
        self._unheard = ""
        """What was asked for when the hub was killed: it is asked for again."""
        self._threads = ThreadPoolExecutor(1)

    def live(self) -> None:
        """Start the hub, give it something to fetch, and kill it at some moment."""
        if not self._deck:
            self._deck = self.chance.sample(sorted(MOMENTS), len(MOMENTS))
        name = self._deck.pop()
        self.source.calm()
        work = self._threads.submit(self._begin, name != "starting")
        if name not in DURING:
            work.result(PATIENCE_S)
        else:
            assert until(lambda: self.hub.process is not None and self.hub.process.poll() is None)
        came = MOMENTS[name](self)
        self.kills[name if came else "none of them"] += 1
        children = self.hub.children()
        self.hub.kill()
        with contextlib.suppress(AssertionError, OSError, WebSocketException, TimeoutError):
            work.result(PATIENCE_S)
        assert not psutil.wait_procs(children, 10)[1], "a child outlived its hub"

    def _begin(self, more: bool) -> None:
        said = self.hub.start()
        open_ones = len(self.source.files.keys() - self.right)
        while more and (self._unheard or open_ones < OPEN):
            if not self._unheard:
                self._unheard, open_ones = self.source.stock(self._stocked), open_ones + 1
                self._stocked += 1
            with linked(said) as link:
                self.promised.add(asked(link, "model:download", source=self._unheard)["model"])
            self._unheard = ""

    def check(self) -> None:
        """What the kill has left. Of a queue it is either the one before or the one after."""
        journal = self.folder / JOURNAL
        kept = json.loads(journal.read_bytes()) if journal.exists() else []
        assert self.promised <= {each["wanted"]["model"] for each in kept}
        assert not list(self.folder.glob("*.damaged"))
        self.seen["queue being written"] += journal.with_name(JOURNAL + ".new").exists()
        for place, file in self.source.files.items():
            if place not in self.right:
                state = state_of(self.folder / place, file)
                self.seen[state] += 1
                if state.startswith("whole"):
                    self.right.add(place)

    def end(self) -> None:
        """Left alone, everything is done by itself, and nothing else is left there."""
        with self.hub, linked(json.loads((self.hub.data / "hub.json").read_text())) as link:

            def open_ones() -> list[dict[str, Any]]:
                found = asked(link, "model:downloads")["downloads"]
                return [each for each in found if each["state"] != "done"]

            until(lambda: not open_ones(), 2 * PATIENCE_S, look_s=0.5)
            assert open_ones() == []
            found = asked(link, "model:downloads")["downloads"]
            assert self.promised <= {each["model"] for each in found}
        fetched = {name for each in found for name in each["files"]}
        there = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*.*")}
        assert there - fetched == {JOURNAL}
        for name in fetched:
            sha256 = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            assert sha256 == self.source.files[name].sha256, name

    def close(self) -> None:
        """However it went, nothing of it runs on."""
        if self.hub.process is not None and self.hub.process.poll() is None:
            self.hub.kill()
        self._threads.shutdown()
        for file in self.source.files.values():
            file.end.set()


def state_of(target: Path, file: Served) -> str:
    """What there is of a file; fails where a later fetch could take it for what it is not."""
    part, claim = (target.with_name(target.name + end) for end in (".part", ".part.json"))
    writing = " (claim being written)" * claim.with_name(claim.name + ".new").exists()
    if target.exists():
        assert hashlib.sha256(target.read_bytes()).hexdigest() == file.sha256, target
        return "whole, just named" if claim.exists() else "whole"
    if not part.exists():
        return "absent"
    if not claim.exists():
        return "part without a claim" + writing
    said = json.loads(claim.read_bytes())
    if said["source"]["sizeBytes"] != part.stat().st_size:
        return "part begun anew"
    with part.open("rb") as there:
        for start, end in said["done"]:
            there.seek(start)
            assert there.read(end - start) == file.body[start:end], (target, start, end)
    whole = said["done"] == [[0, len(file.body)]]
    return ("part, all of it claimed" if whole else "part with a claim") + writing


@contextlib.contextmanager
def linked(said: dict[str, Any]) -> Iterator[ClientConnection]:
    address = f"{said['ws']}?token={said['token']}"
    with connect(address, proxy=None, max_size=None) as link:
        yield link


def asked(link: ClientConnection, kind: str, **data: Any) -> dict[str, Any]:
    """What the hub answers to one message."""
    link.send(json.dumps({"type": kind, "requestId": kind, "data": data or None}))
    while True:
        answer = json.loads(link.recv(PATIENCE_S))
        if answer.get("requestId") == kind:
            assert answer["type"] != "error", answer
            found: dict[str, Any] = answer["data"]
            return found


def until(
    condition: Callable[[], object], limit_s: float = MOMENT_S, *, look_s: float = 0.0002
) -> bool:
    """Whether it came in time; looked for as often as a kill has to be exact."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(look_s)
    return False


def starting(story: Story) -> bool:
    time.sleep(story.chance.uniform(0.0, 4.0))
    return True


def queueing(story: Story) -> bool:
    """While the queue is written: a download was just asked for, or just ended."""
    new = story.folder / (JOURNAL + ".new")
    return until(new.exists, 3 * MOMENT_S)


def downloading(story: Story) -> bool:
    time.sleep(story.chance.uniform(0.0, MOMENT_S))
    return True


def claiming(story: Story) -> bool:
    return until(lambda: next(story.folder.rglob("*.part.json.new"), None))


def several(story: Story) -> bool:
    """Several connections fetch one file."""
    came = until(lambda: any(file.most_at_once > 1 for file in story.source.files.values()))
    time.sleep(story.chance.uniform(0.0, 1.0))
    return came


def verifying(story: Story) -> bool:
    """The last bytes were sent: they are written, hashed, and the file gets its name."""
    came = until(lambda: any(file.ended.is_set() for file in story.source.files.values()))
    time.sleep(story.chance.uniform(0.0, 0.1))
    return came


def naming(story: Story) -> bool:
    """The file has its name; the claim, and the queue, do not know it yet."""
    waited = [story.folder / place for place in story.source.files.keys() - story.right]
    return until(lambda: any(target.exists() for target in waited))


MOMENTS: dict[str, Callable[[Story], bool]] = {
    each.__name__: each
    for each in (starting, queueing, downloading, claiming, several, verifying, naming)
}
DURING = {"starting", "queueing"}
"""Those that may come before the hub is ready and has something to do."""


def test_no_kill_makes_a_file_wrong(tmp_path: Path) -> None:
    seed = int(os.environ.get("FAULT_SEED", time.time_ns() % 100_000))
    print(f"seed {seed}")
    chance, began = random.Random(seed), time.monotonic()
    with faking(Source(chance)) as source:
        story = Story(tmp_path, source, chance)
        try:
            for _ in range(ROUNDS):
                story.live()
                story.check()
            story.end()
        finally:
            print(f"{ROUNDS} kills in {time.monotonic() - began:.0f} s: {dict(story.kills)}")
            print(f"{len(source.files)} files, found as: {dict(story.seen)}")
            story.close()
    shutil.rmtree(story.folder)  # as much as a model has, and pytest keeps folders
