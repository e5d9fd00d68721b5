"""The queue goes on in order, says where it stands, and knows the same after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.llm.fake_lmstudio import SIZE_BYTES, FakeLMStudio
from tests.llm.fake_ollama import LAYERS, FakeOllama
from tests.llm.fake_server import Fake, faking
from tests.llm.faulty_files import Files, busy, content, files
from workbench.byte_ranges import Ranges
from workbench.core.downloads import Download, RemoteFile, State, Wanted
from workbench.errors import InputError, LinkError
from workbench.http import Http
from workbench.llm.downloads import Downloads
from workbench.llm.lanes import Patience
from workbench.llm.lmstudio import LMStudio
from workbench.llm.ollama import Ollama
from workbench.llm.pulls import Pull

SIZE = 2_000_000
SLOW = 1_000_000.0
SOON = Patience(tries=3, first_s=0.02, most_s=0.05)


@pytest.fixture
def served() -> Iterator[Files]:
    with files(content(SIZE)) as (found, _):
        yield found


@asynccontextmanager
async def queue(folder: Path, **more: Any) -> AsyncIterator[Downloads]:
    ranges = Ranges(private_addresses=True, idle_s=5)
    downloads = Downloads(folder, ranges, **{"patience": SOON, "keep_free_bytes": 0, **more})
    await downloads.start()
    try:
        yield downloads
    finally:
        await downloads.close()


def wanted(served: Files, model: str = "org/model", count: int = 1, **more: Any) -> Wanted:
    declared = {"size_bytes": len(served.body), "sha256": served.sha256, **more}
    return Wanted(
        model=model,
        files=tuple(
            RemoteFile(url=served.url, name=f"{model}-{number}.gguf", **declared)
            for number in range(count)
        ),
    )


async def until(downloads: Downloads, test: Callable[[Download], bool], at: int = 0) -> Download:
    """The download at a place of the queue, as soon as it is as wanted."""
    told = asyncio.Event()
    end = downloads.watch(lambda download: told.set())
    try:
        async with asyncio.timeout(60):
            while not test(downloads.list()[at]):
                told.clear()
                await told.wait()
        return downloads.list()[at]
    finally:
        end()


def state(*names: State) -> Callable[[Download], bool]:
    return lambda download: download.state in names


def under_way(download: Download) -> bool:
    return download.state == "downloading" and download.done_bytes > 200_000


def named(place: Path, body: bytes) -> None:
    """A file whole and in its place, with nothing beside it that says so."""
    for leftover in place.parent.glob(f"{place.name}.part*"):
        leftover.unlink()
    place.write_bytes(body)


def left(folder: Path, *, all_: bool = False) -> list[str]:
    """The files below a folder, the list of downloads only where `all_` are asked for."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and (all_ or path.name != "downloads.json")
    )


async def test_a_model_comes_with_all_of_its_files(tmp_path: Path, served: Files) -> None:
    async with queue(tmp_path) as downloads:
        added = await downloads.add(wanted(served, count=3))
        done = await until(downloads, state("done"))
    assert added.state in ("queued", "resolving")
    assert done.done_bytes == done.total_bytes == 3 * SIZE
    assert done.sha256 == (served.sha256,) * 3
    assert left(tmp_path) == [f"org/model-{number}.gguf" for number in range(3)]


async def test_progress_is_told_with_speed_and_time_left(tmp_path: Path, served: Files) -> None:
    served.each_bytes_s = SLOW
    seen: list[Download] = []
    async with queue(tmp_path) as downloads:
        downloads.watch(seen.append)
        await downloads.add(wanted(served))
        await until(downloads, state("done"))
    moving = [one for one in seen if one.speed_bytes_s is not None]
    assert moving
    for one in moving:
        assert one.speed_bytes_s and one.total_bytes and one.eta_s is not None
        left = one.total_bytes - one.done_bytes
        assert one.eta_s == pytest.approx(left / one.speed_bytes_s)
    states = list(dict.fromkeys(one.state for one in seen))
    assert states[:3] == ["queued", "resolving", "downloading"]
    assert states[-1] == "done"
    assert seen[-1].speed_bytes_s is None


async def test_a_paused_one_goes_on_where_it_stood(tmp_path: Path, served: Files) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        id_ = (await downloads.add(wanted(served))).download_id
        await until(downloads, under_way)
        paused = await downloads.pause(id_)
        assert paused.state == "paused"
        assert paused.done_bytes > 200_000
        served.each_bytes_s = None
        await downloads.resume(id_)
        await until(downloads, state("done"))
    assert served.asked[1] != "bytes=0-"
    assert served.sent_bytes < SIZE * 1.5


@pytest.mark.parametrize("keep", [True, False])
async def test_cancelling_keeps_or_deletes_the_partial(
    tmp_path: Path, served: Files, keep: bool
) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        id_ = (await downloads.add(wanted(served))).download_id
        await until(downloads, under_way)
        cancelled = await downloads.cancel(id_, keep)
        assert (cancelled.state, cancelled.kept_partial) == ("cancelled", keep)
        assert bool(left(tmp_path)) == keep
        served.each_bytes_s = None
        await downloads.resume(id_)
        await until(downloads, state("done"))
    assert (served.asked[1] == "bytes=0-") == (not keep)


async def test_cancelling_deletes_files_it_fetched_and_no_others(
    tmp_path: Path, served: Files
) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "model-0.gguf").write_bytes(served.body)
    async with queue(tmp_path) as downloads:
        served.each_bytes_s = 10 * SLOW
        id_ = (await downloads.add(wanted(served, count=3))).download_id
        await until(downloads, lambda one: one.sha256[1] is not None)
        await downloads.cancel(id_, keep=False)
    assert left(tmp_path) == ["org/model-0.gguf"]


async def test_a_file_named_just_before_a_kill_is_still_its_own(
    tmp_path: Path, served: Files
) -> None:
    """It has its name, and the list does not know yet: as a hub leaves it that is killed there."""
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        added = await downloads.add(wanted(served, count=2))
        await until(downloads, under_way)
        await downloads.pause(added.download_id)
    named(tmp_path / "org" / "model-0.gguf", served.body)
    async with queue(tmp_path) as downloads:
        await downloads.resume(added.download_id)
        await until(downloads, lambda one: one.done_bytes > SIZE)
        await downloads.cancel(added.download_id, keep=False)
    assert left(tmp_path) == []


async def test_what_ran_goes_on_after_a_restart_and_the_rest_stays(
    tmp_path: Path, served: Files
) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path, at_once=1) as downloads:
        running = (await downloads.add(wanted(served, "a/running"))).download_id
        paused = (await downloads.add(wanted(served, "a/paused"))).download_id
        cancelled = (await downloads.add(wanted(served, "a/cancelled"))).download_id
        waiting = (await downloads.add(wanted(served, "a/waiting"))).download_id
        await downloads.pause(paused)
        await downloads.cancel(cancelled, keep=False)
        await until(downloads, under_way)
    served.each_bytes_s = None
    async with queue(tmp_path) as downloads:
        assert [one.download_id for one in downloads.list()] == [
            running,
            paused,
            cancelled,
            waiting,
        ]
        await until(downloads, state("done"), at=0)
        await until(downloads, state("done"), at=3)
        assert [one.state for one in downloads.list()] == ["done", "paused", "cancelled", "done"]
    assert sum(asked != "bytes=0-" for asked in served.asked) == 1


async def test_only_so_many_run_at_once_and_in_order(tmp_path: Path, served: Files) -> None:
    served.each_bytes_s = 4 * SLOW
    started: list[str] = []
    async with queue(tmp_path, at_once=2) as downloads:

        def note(download: Download) -> None:
            if download.state == "resolving" and download.model not in started:
                started.append(download.model)

        downloads.watch(note)
        ids = [(await downloads.add(wanted(served, f"a/{name}"))).download_id for name in "bcdef"]
        moved = await downloads.move(ids[-1], 2)
        assert moved.position == 2
        for at in range(5):
            await until(downloads, state("done"), at)
    assert started == ["a/b", "a/c", "a/f", "a/d", "a/e"]
    assert served.most_at_once == 2


async def test_one_that_is_under_way_is_not_added_twice(tmp_path: Path, served: Files) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        one = await downloads.add(wanted(served))
        two = await downloads.add(wanted(served))
        assert one.download_id == two.download_id
        assert len(downloads.list()) == 1


@pytest.mark.parametrize(("status", "remedy"), [(401, "token"), (403, "token"), (404, "none")])
async def test_a_refusal_says_what_mends_it(
    tmp_path: Path, served: Files, status: int, remedy: str
) -> None:
    served.faults = [busy(status)]
    async with queue(tmp_path) as downloads:
        await downloads.add(wanted(served))
        failed = await until(downloads, state("failed"))
        assert failed.remedy == remedy
        assert str(status) in str(failed.problem)


async def test_one_that_failed_is_retried_on_request(tmp_path: Path, served: Files) -> None:
    served.faults = [busy()] * (SOON.tries + 1)
    async with queue(tmp_path) as downloads:
        id_ = (await downloads.add(wanted(served))).download_id
        failed = await until(downloads, state("failed"))
        assert failed.remedy == "retry"
        await downloads.resume(id_)
        done = await until(downloads, state("done"))
        assert done.problem is None


async def test_a_disk_without_room_pauses_with_the_remedy(tmp_path: Path, served: Files) -> None:
    async with queue(tmp_path, keep_free_bytes=2**60) as downloads:
        await downloads.add(wanted(served))
        paused = await until(downloads, state("paused"))
        assert paused.remedy == "free-space"
        assert "free some of it, then resume" in str(paused.problem)


async def test_a_file_that_rots_is_found_and_fetched_again(tmp_path: Path, served: Files) -> None:
    async with queue(tmp_path) as downloads:
        id_ = (await downloads.add(wanted(served))).download_id
        await until(downloads, state("done"))
        await downloads.verify(id_)
        await until(downloads, state("done"))
        assert len(served.asked) == 1
        (tmp_path / "org" / "model-0.gguf").write_bytes(bytes(SIZE))
        await downloads.verify(id_)
        failed = await until(downloads, state("failed"))
        assert str(failed.problem) == "org/model-0.gguf is damaged on the disk: fetch it again"
        assert "org/model-0.gguf" not in left(tmp_path)  # nothing loads it by mistake
        await downloads.resume(id_)
        again = await until(downloads, state("done"))
        assert again.verified
    assert (tmp_path / "org" / "model-0.gguf").read_bytes() == served.body


async def test_a_file_without_a_declared_sum_is_done_and_not_verified(
    tmp_path: Path, served: Files
) -> None:
    async with queue(tmp_path) as downloads:
        id_ = (await downloads.add(wanted(served, sha256=None))).download_id
        done = await until(downloads, state("done"))
        assert (done.verified, done.sha256) == (False, (served.sha256,))
        (tmp_path / "org" / "model-0.gguf").unlink()
        await downloads.verify(id_)
        failed = await until(downloads, state("failed"))
        assert str(failed.problem) == "org/model-0.gguf is no longer there: fetch it again"


async def test_forgetting_leaves_whole_files_and_no_partial_ones(
    tmp_path: Path, served: Files
) -> None:
    async with queue(tmp_path) as downloads:
        whole = (await downloads.add(wanted(served, "a/whole"))).download_id
        await until(downloads, state("done"))
        served.each_bytes_s = SLOW
        partial = (await downloads.add(wanted(served, "a/partial"))).download_id
        await until(downloads, under_way, at=1)
        with pytest.raises(InputError, match="the download of a/partial is downloading; forget"):
            await downloads.forget(partial)
        await downloads.cancel(partial, keep=True)
        await downloads.forget(partial)
        await downloads.forget(whole)
        assert downloads.list() == ()
    assert left(tmp_path) == ["a/whole-0.gguf"]


async def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, served: Files) -> None:
    async with queue(tmp_path / "models") as downloads:
        with pytest.raises(InputError, match="the file name is"):
            await downloads.add(wanted(served, "../../etc"))
        assert downloads.list() == ()


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 5000, '[{"state": "odd"}]'])
async def test_a_damaged_list_is_set_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "downloads.json").write_text(text)
    async with queue(tmp_path) as downloads:
        assert downloads.list() == ()
        assert (tmp_path / "downloads.json.damaged").read_text() == text


async def test_a_kept_list_cannot_name_files_outside(tmp_path: Path, served: Files) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        await downloads.add(wanted(served))
    kept = json.loads((tmp_path / "downloads.json").read_text())
    kept[0]["wanted"]["files"][0]["name"] = "../evil.gguf"
    (tmp_path / "downloads.json").write_text(json.dumps(kept))
    async with queue(tmp_path) as downloads:
        assert downloads.list() == ()


async def test_a_token_is_sent_and_never_kept(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, server):
        served.each_bytes_s = SLOW
        token = {"Authorization": "Bearer canary"}
        async with queue(tmp_path, headers=lambda file: token) as downloads:
            await downloads.add(wanted(served))
            await until(downloads, under_way)
        assert server.seen[0][1]["Authorization"] == "Bearer canary"
    assert (tmp_path / "downloads.json").exists()
    assert not any(
        b"canary" in (tmp_path / name).read_bytes() for name in left(tmp_path, all_=True)
    )


async def test_a_cap_holds_for_all_together(tmp_path: Path, served: Files) -> None:
    clock = asyncio.get_running_loop().time
    async with queue(tmp_path, cap_bytes_s=4_000_000) as downloads:
        began = clock()
        await downloads.add(wanted(served, "a/one"))
        await downloads.add(wanted(served, "a/two"))
        await until(downloads, state("done"), at=0)
        await until(downloads, state("done"), at=1)
        took_s = clock() - began
    assert 2 * SIZE / took_s < 4_000_000 * 1.6


async def test_changes_that_come_at_once_are_done_one_after_the_other(
    tmp_path: Path, served: Files
) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        id_ = (await downloads.add(wanted(served))).download_id
        await until(downloads, under_way)
        await asyncio.gather(downloads.cancel(id_, keep=False), downloads.resume(id_))
        served.each_bytes_s = None
        await until(downloads, state("done"))
    assert left(tmp_path) == ["org/model-0.gguf"]


@asynccontextmanager
async def at_back_ends(folder: Path, http: Http, **fakes: Fake) -> AsyncIterator[Downloads]:
    """A queue whose back ends are these fakes; a name that none has is away."""
    kinds: dict[str, type[Ollama] | type[LMStudio]] = {"ollama": Ollama, "lmstudio": LMStudio}

    async def pulls(backend: str, model: str) -> Pull:
        if backend not in fakes:
            raise LinkError("{backend} is not connected: start it", backend=backend)
        return kinds[backend](backend, fakes[backend].url, http=http).pull(model)

    async with queue(folder, pulls=pulls) as downloads:
        yield downloads


QWEN = Wanted(model="qwen3:4b", backend="ollama")
GRANITE = Wanted(model="ibm/granite-4-micro", backend="lmstudio")
WHOLE = sum(LAYERS.values())


async def test_a_back_end_s_own_download_is_one_of_the_queue(tmp_path: Path, http: Http) -> None:
    seen: list[Download] = []
    with faking(FakeOllama()) as ollama:
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            downloads.watch(seen.append)
            await downloads.add(QWEN)
            done = await until(downloads, state("done"))
        assert list(dict.fromkeys(one.state for one in seen)) == [
            *("queued", "resolving", "downloading", "verifying", "done")
        ]
    assert (done.model, done.backend, done.files, done.sha256) == ("qwen3:4b", "ollama", (), ())
    assert done.done_bytes == done.total_bytes == WHOLE
    assert left(tmp_path) == []
    async with queue(tmp_path) as downloads:
        (again,) = downloads.list()
        assert (again.state, again.done_bytes, again.total_bytes) == ("done", WHOLE, WHOLE)


async def test_it_is_paused_and_goes_on_and_a_restart_goes_on_too(
    tmp_path: Path, http: Http
) -> None:
    with faking(FakeOllama()) as ollama:
        ollama.step_bytes = 20_000
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            id_ = (await downloads.add(QWEN)).download_id
            await until(downloads, under_way)
            paused = await downloads.pause(id_)
            assert (paused.state, paused.done_bytes > 200_000) == ("paused", True)
            assert await asyncio.to_thread(ollama.left.wait, 10)
            await downloads.resume(id_)
            await until(downloads, lambda one: one.done_bytes > paused.done_bytes)
        assert not ollama.pulled
        ollama.step_bytes = 4_000_000
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            done = await until(downloads, state("done"))
            assert done.download_id == id_
        assert set(ollama.pulled) == {"qwen3:4b"}


async def test_one_that_is_cancelled_stays_so_and_can_be_asked_for_again(
    tmp_path: Path, http: Http
) -> None:
    with faking(FakeOllama()) as ollama:
        ollama.step_bytes = 20_000
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            id_ = (await downloads.add(QWEN)).download_id
            assert (await downloads.add(QWEN)).download_id == id_
            await until(downloads, under_way)
            cancelled = await downloads.cancel(id_, keep=False)
            assert (cancelled.state, cancelled.kept_partial) == ("cancelled", False)
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            assert downloads.list()[0].state == "cancelled"
            ollama.step_bytes = 4_000_000
            assert (await downloads.add(QWEN)).download_id != id_
            await until(downloads, state("done"))
            assert len(downloads.list()) == 1


async def test_what_a_back_end_verified_is_not_verified_here(tmp_path: Path, http: Http) -> None:
    with faking(FakeOllama()) as ollama:
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            id_ = (await downloads.add(QWEN)).download_id
            await until(downloads, state("done"))
            with pytest.raises(InputError, match=r"ollama has verified qwen3:4b itself"):
                await downloads.verify(id_)
            await downloads.forget(id_)
            assert downloads.list() == ()


async def test_lm_studio_s_is_stopped_only_there(tmp_path: Path, http: Http) -> None:
    with faking(FakeLMStudio()) as studio:
        studio.step_bytes = 0
        async with at_back_ends(tmp_path, http, lmstudio=studio) as downloads:
            id_ = (await downloads.add(GRANITE)).download_id
            await until(downloads, state("downloading"))
            for stop in (downloads.pause(id_), downloads.cancel(id_, keep=False)):
                with pytest.raises(InputError, match=r"stop that of ibm/granite-4-micro in lmst"):
                    await stop
            studio.status = "paused"
            paused = await until(downloads, state("paused"))
            assert (paused.remedy, "resume it there" in str(paused.problem)) == ("resume", True)
            studio.step_bytes = SIZE_BYTES
            await downloads.resume(id_)
            await until(downloads, state("done"))


async def test_a_model_that_a_back_end_does_not_know_failed_for_good(
    tmp_path: Path, http: Http
) -> None:
    with faking(FakeOllama()) as ollama:
        async with at_back_ends(tmp_path, http, ollama=ollama) as downloads:
            await downloads.add(Wanted(model="nobody:4b", backend="ollama"))
            failed = await until(downloads, state("failed"))
    assert (failed.remedy, "ollama has no model nobody:4b" in str(failed.problem)) == ("none", True)


async def test_a_back_end_that_is_away_fails_with_a_retry(tmp_path: Path, http: Http) -> None:
    async with at_back_ends(tmp_path, http) as downloads:
        await downloads.add(QWEN)
        stalled = await until(downloads, state("stalled"))
        assert str(stalled.problem) == "ollama is not connected: start it"
        failed = await until(downloads, state("failed"))
        assert failed.remedy == "retry"


@pytest.mark.parametrize(
    "name", ["../../etc", "10.0.0.1/library/model", "evil.example/a/b:c", "a b", "http://x/y", ""]
)
async def test_a_back_end_is_asked_for_no_name_that_leads_elsewhere(
    tmp_path: Path, name: str
) -> None:
    async with queue(tmp_path) as downloads:
        with pytest.raises(InputError, match="a name of its back end's catalogue"):
            await downloads.add(Wanted(model=name, backend="ollama"))
        assert downloads.list() == ()


async def test_two_addresses_do_not_write_to_one_place(tmp_path: Path, served: Files) -> None:
    served.each_bytes_s = SLOW
    async with queue(tmp_path) as downloads:
        one = wanted(served)
        await downloads.add(one)
        (file,) = one.files
        other = msgspec.structs.replace(file, url=file.url + "?other")
        with pytest.raises(InputError, match="org/model is being fetched from another address"):
            await downloads.add(msgspec.structs.replace(one, files=(other,)))
