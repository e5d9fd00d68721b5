"""One download of the queue while it is worked on, and what it has on the disk."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec

from workbench.core.download_states import Remedy, Speed, total_bytes
from workbench.core.downloads import Download, State, Wanted, safe_name
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.llm.download_journal import Kept
from workbench.llm.fetching import Told
from workbench.llm.part_file import claimed_bytes, remove, remove_part
from workbench.llm.pulls import Following


class Entry:
    """One download of the queue, as it changes."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.checking = False
        """Whether it was done, and is only being verified again."""
        self.sizes = [file.size_bytes for file in kept.wanted.files] or [None]
        if kept.state == "done":
            self.sizes = list(kept.done)
        self.done = list(kept.done)
        self.state: State = kept.state
        self.task: asyncio.Task[None] | None = None
        self.stop = threading.Event()
        self.following: Following | None = None
        """Where a back end fetches it, what listens to that one meanwhile."""
        self.speed = Speed()
        self.problem = kept.problem
        self.told_at = 0.0

    @property
    def model(self) -> str:
        return self.kept.wanted.model

    def is_for(self, wanted: Wanted) -> bool:
        """Whether it is for the same model in the same place."""
        ours = self.kept.wanted
        return (ours.model, ours.backend) == (wanted.model, wanted.backend)

    def check_same(self, wanted: Wanted) -> None:
        """Raises InputError for a model of this name that comes from somewhere else."""
        ours = self.kept.wanted
        same = wanted.repository != "" and ours.repository == wanted.repository
        if not same and [(f.url, f.name) for f in ours.files] != [
            (f.url, f.name) for f in wanted.files
        ]:
            raise InputError(
                "{model} is being fetched from another address: choose another path, or cancel "
                "that download first",
                model=self.model,
            )

    def halt(self) -> None:
        """Have whatever works on it end soon."""
        self.stop.set()
        if self.following is not None:
            self.following.stop()

    def check_stoppable(self) -> None:
        """Raises InputError where a back end fetches it that nobody can stop from here."""
        if self.task is not None and self.following is not None and not self.following.stops:
            raise InputError(
                "{backend} cannot be told to stop a download: stop that of {model} in {backend} "
                "itself",
                backend=self.kept.wanted.backend,
                model=self.model,
            )

    def becomes(
        self,
        state: State,
        problem: Sentence | None = None,
        remedy: Remedy = "none",
        kept_partial: bool = False,
    ) -> None:
        self.state, self.problem, self.speed = state, problem, Speed()
        self.kept = msgspec.structs.replace(
            self.kept,
            state=state,
            problem=problem,
            remedy=remedy,
            kept_partial=kept_partial,
            done=tuple(self.done),
        )

    def finished(self, index: int, size: int, sha256: str) -> None:
        self.done[index] = self.sizes[index] = size
        hashes = list(self.kept.sha256)
        hashes[index] = sha256
        self.kept = msgspec.structs.replace(self.kept, sha256=tuple(hashes))

    def clear(self) -> None:
        """Nothing of it is there any more."""
        self.done = [0] * len(self.done)
        none = (None,) * len(self.done)
        self.kept = msgspec.structs.replace(self.kept, sha256=none, done=tuple(self.done))

    def damaged(self, index: int) -> None:
        """A file is not as it was fetched."""
        hashes = list(self.kept.sha256)
        hashes[index], self.done[index] = None, 0
        self.kept = msgspec.structs.replace(self.kept, sha256=tuple(hashes))

    def hear(self, index: int, told: Told, now: float) -> bool:
        """Take what a fetch tells of one file; whether the state is another now."""
        before, self.state = self.state, told.state
        self.done[index], self.problem = told.done_bytes, told.problem
        if told.total_bytes is not None:
            self.sizes[index] = told.total_bytes
        self.speed.look(now, sum(self.done))
        return before != self.state

    def shown(self, position: int) -> Download:
        done, total = sum(self.done), total_bytes(tuple(self.sizes))
        moving, wanted = self.state == "downloading", self.kept.wanted
        declared = all(file.sha256 for file in wanted.files)
        return Download(
            download_id=self.kept.download_id,
            model=self.model,
            state=self.state,
            position=position,
            done_bytes=done,
            total_bytes=total,
            speed_bytes_s=self.speed.bytes_s if moving else None,
            eta_s=self.speed.eta_s(None if total is None else total - done) if moving else None,
            files=tuple(file.name for file in self.kept.wanted.files),
            backend=self.kept.wanted.backend,
            problem=self.problem,
            remedy=self.kept.remedy,
            kept_partial=self.kept.kept_partial,
            verified=self.state == "done" and (bool(wanted.backend) or declared),
            sha256=self.kept.sha256[: len(self.kept.wanted.files)],
            created_at=self.kept.created_at,
        )


class OnDisk:
    """The files of downloads below one folder. All of it may block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, name: str) -> Path:
        return self._folder / safe_name(name)

    def unname(self, name: str) -> None:
        """A file that is not what its name says is nobody's model: it becomes a partial one, of
        which nothing is right."""
        path = self.place(name)
        path.replace(path.with_name(f"{path.name}.part"))

    def existed(self, wanted: Wanted) -> tuple[bool, ...]:
        """Of each part, whether it is somebody's already: cancelling leaves that."""
        files = [self.place(file.name).exists() for file in wanted.files]
        return tuple(files) if files else (False,) * wanted.parts

    def is_whole(self, entry: Entry, index: int) -> bool:
        """Whether a file was verified before, and is still there."""
        path = self.place(entry.kept.wanted.files[index].name)
        return (
            entry.kept.sha256[index] is not None
            and path.is_file()
            and path.stat().st_size == entry.done[index]
        )

    def done_bytes(self, entry: Entry) -> list[int]:
        """Of each file, also of one that was under way when the hub was killed; at a back end
        what was known last."""
        if entry.kept.wanted.backend:
            return entry.done
        return [
            entry.done[index]
            if self.is_whole(entry, index)
            else claimed_bytes(self.place(file.name))
            for index, file in enumerate(entry.kept.wanted.files)
        ]

    def delete(self, entry: Entry) -> None:
        """Everything that it fetched; files that were there before stay."""
        self.delete_parts(entry)
        for index, file in enumerate(entry.kept.wanted.files):
            if entry.kept.sha256[index] is not None and not entry.kept.existed[index]:
                remove(self.place(file.name))

    def delete_parts(self, entry: Entry) -> None:
        for file in entry.kept.wanted.files:
            remove_part(self.place(file.name))
