"""The embedded worker where processes end, hang and vanish, files are broken, memory is short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.llm.llama_cpp_server import ROOT
from tests.llm.tiny_model import endless, tiny_model, write
from tests.llm.workers import (
    SMALL,
    answer,
    asking,
    closing,
    load,
    short_of_memory,
    until,
    workers,
)
from workbench.core.llm import (
    BackendBroken,
    LoadOptions,
    ModelError,
    NoModel,
    Token,
)
from workbench.errors import InputError, LinkError
from workbench.http import Http
from workbench.llm.embedded import Embedded


async def test_a_broken_file_is_a_sentence_within_seconds(tmp_path: Path, http: Http) -> None:
    whole = tiny_model(tmp_path / "source").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:-5000])
    (tmp_path / "page.gguf").write_bytes(b"<html>404</html>")
    write(tmp_path / "odd.gguf", name="Odd", architecture="nonsense")
    (tmp_path / "gone-00001-of-00002.gguf").write_bytes(whole)
    async with closing(Embedded([tmp_path], http=http)) as embedded:
        for model, kind, said in (
            ("cut", InputError, f"has {len(whole) - 5000} bytes of {len(whole)}"),
            ("page", InputError, "it does not begin with GGUF"),
            ("odd", ModelError, "odd cannot be loaded: .*unknown model architecture: 'nonsense'"),
            ("gone", InputError, "gone-00002-of-00002.gguf cannot be read: No such file"),
        ):
            async with asyncio.timeout(30):
                with pytest.raises(kind, match=said):
                    await load(embedded, model)
        listed = await embedded.models()
        assert [model.id for model in listed if not model.problem] == ["odd", "source/tiny"]
        problems = {model.id: model.problem["message"] for model in listed if model.problem}
        assert sorted(problems) == ["cut", "gone", "page"]
        assert "does not begin with GGUF" in problems["page"]


async def test_a_file_that_vanishes_is_missed_when_it_is_next_loaded(
    tmp_path: Path, http: Http
) -> None:
    path = tiny_model(tmp_path)
    async with closing(Embedded([tmp_path], http=http)) as embedded:
        await load(embedded, "tiny")
        path.unlink()
        assert await answer(embedded, "still here") == "still here"
        await embedded.unload("tiny")
        with pytest.raises(NoModel):
            await load(embedded, "tiny")


@pytest.mark.faults
async def test_a_worker_killed_while_it_loads_is_a_sentence(embedded: Embedded) -> None:
    await embedded.gpu_support()
    loading = asyncio.create_task(load(embedded, "tiny"))
    await until(lambda: bool(workers()))
    workers()[0].kill()
    with pytest.raises(ModelError, match=r"tiny cannot be loaded: its process ended .SIGKILL."):
        await loading
    await load(embedded, "tiny")


async def test_closing_ends_a_worker_that_loads(embedded: Embedded) -> None:
    await embedded.gpu_support()
    loading = asyncio.create_task(load(embedded, "tiny"))
    await until(lambda: bool(workers()))
    await embedded.close()
    with pytest.raises(ModelError):
        await loading
    assert workers() == []
    with pytest.raises(LinkError, match="the embedded worker is closed"):
        await load(embedded, "tiny")


async def test_a_load_that_is_given_up_leaves_no_process(embedded: Embedded) -> None:
    await embedded.gpu_support()
    loading = asyncio.create_task(load(embedded, "tiny"))
    await until(lambda: bool(workers()))
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert workers() == []


async def test_gives_up_on_a_worker_that_is_not_ready_in_time(folder: Path, http: Http) -> None:
    async with closing(Embedded([folder], http=http, ready_s=0.01)) as embedded:
        with pytest.raises(ModelError, match=r"tiny was not ready within 0.01 s"):
            await load(embedded, "tiny")


@pytest.mark.faults
async def test_a_worker_killed_in_the_midst_of_an_answer_is_told_and_started_anew(
    embedded: Embedded,
) -> None:
    pid = await load(embedded, "tiny")
    heard = 0
    with pytest.raises(BackendBroken, match=r"tiny stopped .* ended .SIGKILL.; ask again"):
        async with asyncio.timeout(10):
            async for event in embedded.chat(asking(endless())):
                heard += isinstance(event, Token)
                if heard == 10:
                    os.kill(pid, signal.SIGKILL)
    assert embedded.pids == {}
    assert await answer(embedded, "back") == "back"
    [tiny] = [model for model in await embedded.models() if model.id == "tiny"]
    assert tiny.context_size == SMALL.context_size


@pytest.mark.faults
async def test_a_worker_that_hangs_is_noticed_and_ended(folder: Path, http: Http) -> None:
    async with closing(Embedded([folder], http=http, watch_s=0.2)) as embedded:
        pid = await load(embedded, "tiny")
        heard = 0
        with pytest.raises(BackendBroken, match=r"its process ended .no answer for 2 s"):
            async with asyncio.timeout(10):
                async for event in embedded.chat(asking(endless())):
                    heard += isinstance(event, Token)
                    if heard == 10:
                        os.kill(pid, signal.SIGSTOP)
        assert not psutil.pid_exists(pid)


@pytest.mark.faults
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_goes_with_its_parent(folder: Path, end: signal.Signals) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from workbench.core.llm import LoadOptions\n"
        "from workbench.http import Http\n"
        "from workbench.llm.embedded import Embedded\n"
        "async def main():\n"
        "    async with Http(private_addresses=True) as http:\n"
        "        embedded = Embedded([Path(sys.argv[1])], http=http)\n"
        "        async for _ in embedded.load('tiny', LoadOptions(context_size=512)): pass\n"
        "        print(embedded.pids['tiny'], flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(folder)), stdout=subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        worker = psutil.Process(int(await parent.stdout.readline()))
        parent.send_signal(end)
        await parent.wait()
    await until(lambda: not worker.is_running() or worker.status() == "zombie", 5)


async def test_unloads_what_is_longest_unused_when_memory_is_short(
    folder: Path, http: Http
) -> None:
    loaded: list[str] = []
    async with closing(short_of_memory(folder, http)) as embedded:
        await load(embedded, "tiny")
        loaded += embedded.pids
        await load(embedded, "tiny-embed")
        loaded += embedded.pids
    assert loaded == ["tiny", "tiny-embed"]


async def test_refuses_what_does_not_fit_beside_a_model_that_answers(
    folder: Path, http: Http
) -> None:
    async with closing(short_of_memory(folder, http)) as embedded:
        await load(embedded, "tiny")
        async with contextlib.aclosing(embedded.chat(asking(endless()))) as events:
            while not isinstance(await anext(events), Token):
                pass
            with pytest.raises(ModelError, match=r"takes about \d+ MB of memory, and 0 MB are"):
                await load(embedded, "tiny-embed")
        huge = LoadOptions(context_size=10_000_000)
        with pytest.raises(ModelError, match="choose a smaller model or a smaller context"):
            await load(embedded, "tiny-embed", huge)


@pytest.mark.faults
async def test_unloading_under_an_answer_ends_it_as_broken(embedded: Embedded) -> None:
    await load(embedded, "tiny")
    heard = 0
    with pytest.raises(BackendBroken, match=r"its process ended .SIGTERM."):
        async with asyncio.timeout(10):
            async for event in embedded.chat(asking(endless())):
                heard += isinstance(event, Token)
                if heard == 10:
                    await embedded.unload("tiny")
