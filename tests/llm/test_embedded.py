"""The embedded worker: what it lists, loads and says, and who may use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.llm.llama_cpp_server import program
from tests.llm.tiny_model import endless, saying, tiny_embedder, tiny_model, write
from tests.llm.workers import (
    SMALL,
    address,
    answer,
    asking,
    closing,
    load,
    until,
    workers,
)
from workbench.core.llm import (
    LoadOptions,
    LoadProgress,
    ModelError,
    NoModel,
    Token,
)
from workbench.http import Http
from workbench.llm.embedded import Embedded
from workbench.llm.gpu_support import GpuSupport
from workbench.llm.worker import Order, arguments

SECRET = "canary-7d1f"


async def test_lists_the_models_of_its_folders(tmp_path: Path, http: Http) -> None:
    tiny_model(tmp_path)
    tiny_embedder(tmp_path / "more" / "deep")
    for part in (1, 2):
        write(tmp_path / f"parted-0000{part}-of-00002.gguf", name="Parted")
    write(tmp_path / "mmproj-eye.gguf", name="Eye")
    write(tmp_path / "eye.gguf", name="Eye", architecture="clip")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "loop").symlink_to(tmp_path)
    embedded = Embedded([tmp_path / "absent", tmp_path], http=http)
    found = {model.id: model for model in await embedded.models() if "loop" not in model.id}
    assert "ends within its own description" in str(found["broken"].problem)
    listed = {id_: model for id_, model in found.items() if model.problem is None}
    assert sorted(listed) == ["more/deep/tiny-embed", "parted", "tiny"]
    tiny = listed["tiny"]
    assert (tiny.title, tiny.backend, tiny.loaded) == ("Tiny", "embedded", False)
    assert (tiny.architecture, tiny.quantization, tiny.context_size) == ("llama", "F32", 32_768)
    assert (tiny.tools, tiny.images, tiny.embedding) == (True, False, False)
    assert listed["more/deep/tiny-embed"].embedding
    assert listed["parted"].size_bytes == 2 * (tiny.size_bytes or 0)


async def test_loads_answers_and_gives_its_memory_back(embedded: Embedded) -> None:
    pid = await load(embedded, "tiny")
    [tiny] = [model for model in await embedded.models() if model.id == "tiny"]
    assert (tiny.loaded, tiny.context_size) == (True, 1024)
    assert await answer(embedded, "Olá 🎉") == "Olá 🎉"
    assert await embedded.count_tokens("tiny", "the water 🎉") == 3 + 1 + 1 + 4
    await embedded.unload("tiny")
    assert not psutil.pid_exists(pid)
    assert embedded.pids == {}
    await embedded.unload("tiny")
    assert await embedded.count_tokens("tiny", "the") is None


async def test_says_that_it_loads_before_it_is_ready(embedded: Embedded) -> None:
    progress = [step async for step in embedded.load("tiny", SMALL)]
    assert progress == [LoadProgress(done=None), LoadProgress(done=1.0)]
    assert [step async for step in embedded.load("tiny", SMALL)] == [LoadProgress(done=1.0)]


async def test_a_question_loads_the_model_by_itself(embedded: Embedded) -> None:
    events = [event async for event in embedded.chat(asking(saying("yes")))]
    assert events[0] == LoadProgress(done=None)
    assert await answer(embedded, "again") == "again"


async def test_two_models_answer_side_by_side(embedded: Embedded) -> None:
    first, second = await asyncio.gather(
        load(embedded, "tiny"), load(embedded, "tiny-embed", LoadOptions())
    )
    assert first != second
    said, vectors = await asyncio.gather(
        answer(embedded, "one"), embedded.embed("tiny-embed", ["the water", "the water", "x"])
    )
    assert said == "one"
    assert [len(vector) for vector in vectors] == [64, 64, 64]
    assert vectors[0] == vectors[1] != vectors[2]


async def test_callers_of_one_model_share_its_process(embedded: Embedded) -> None:
    pids = await asyncio.gather(*(load(embedded, "tiny") for _ in range(5)))
    assert len(set(pids)) == 1
    assert len(workers()) == 1


async def test_other_options_load_it_anew_but_not_under_an_answer(embedded: Embedded) -> None:
    first = await load(embedded, "tiny")
    assert await load(embedded, "tiny", LoadOptions()) == first
    async with contextlib.aclosing(embedded.chat(asking(endless()))) as events:
        while not isinstance(await anext(events), Token):
            pass
        with pytest.raises(ModelError, match="tiny is answering: stop that before"):
            await load(embedded, "tiny", LoadOptions(context_size=2048))
    assert await load(embedded, "tiny", LoadOptions(context_size=2048)) != first
    assert not psutil.pid_exists(first)


async def test_every_option_reaches_the_engine(embedded: Embedded) -> None:
    options = LoadOptions(
        gpu_layers=0,
        context_size=512,
        batch_size=128,
        parallel=3,
        threads=1,
        seed=7,
        split_mode="layer",
        tensor_split=(1.0, 0.0),
        main_gpu=0,
        flash_attention=True,
        cache_type_k="q8_0",
        cache_type_v="q8_0",
    )
    await load(embedded, "tiny", options)
    assert embedded.parallel == 3
    said = await asyncio.gather(*(answer(embedded, str(number)) for number in range(6)))
    assert said == list("012345")


async def test_options_that_the_model_cannot_do_are_told_in_the_engines_words(
    tmp_path: Path, http: Http
) -> None:
    write(tmp_path / "narrow.gguf", name="Narrow", width=48, heads=1)
    async with closing(Embedded([tmp_path], http=http)) as embedded:
        with pytest.raises(ModelError, match="narrow cannot be loaded: K cache type q8_0 with"):
            await load(embedded, "narrow", LoadOptions(cache_type_k="q8_0", flash_attention=True))


async def test_an_unknown_model_is_named(embedded: Embedded) -> None:
    with pytest.raises(NoModel, match="there is no model 'nothing' in the folders"):
        await load(embedded, "nothing")
    with pytest.raises(NoModel):
        await load(embedded, "../tiny")


async def test_nobody_else_on_the_machine_can_use_a_worker(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", SECRET)
    process = psutil.Process(await load(embedded, "tiny"))
    url = address(process.pid)
    for path in ("/props", "/slots", "/v1/chat/completions", "/tokenize"):
        request = urllib.request.Request(url + path, headers={"origin": "http://evil.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, request, timeout=30)
        assert refused.value.code in (401, 404)
        assert refused.value.headers["access-control-allow-origin"] in (None, "")
        refused.value.close()
    with pytest.raises(urllib.error.HTTPError) as page:
        await asyncio.to_thread(urllib.request.urlopen, url + "/", timeout=30)
    page.value.close()
    key = embedded._workers["tiny"].order.key
    assert len(key) > 30
    assert key not in " ".join([*process.cmdline(), *process.environ().values()])
    assert key not in repr(embedded._workers["tiny"].order)
    assert SECRET not in process.environ().values()


async def test_a_gpu_that_lies_idle_is_told_with_its_remedy(
    folder: Path, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    without = await Embedded([folder], http=http, devices=tmp_path).health()
    assert (without.ok, without.note, without.remedy) == (True, "", "")
    assert (without.version or "").startswith("xllamacpp ")
    (tmp_path / "nvidia0").touch()
    embedded = Embedded([folder], http=http, devices=tmp_path)
    if (await embedded.gpu_support()).gpus:
        pytest.skip("this build of xllamacpp has GPU support")
    health = await embedded.health()
    assert health.ok
    assert health.note == "running on CPU: this build has no GPU support"
    assert "set WORKBENCH_LLAMA_SERVER" in health.remedy
    program(tmp_path)
    found = Embedded([folder], http=http, devices=tmp_path)
    assert (await found.gpu_support()).binary == str(tmp_path / "llama-server")
    assert (await found.health()).note == ""


async def test_a_look_at_the_engine_goes_on_when_nobody_waits_for_it(
    tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue waits for seconds, and to bring the engine into memory may take longer."""
    looks, begun, go = 0, asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> GpuSupport:
        nonlocal looks
        looks += 1
        begun.set()
        await go.wait()
        return GpuSupport()

    monkeypatch.setattr("workbench.llm.embedded.gpu_support", slow)
    embedded = Embedded([tmp_path], http=http)
    impatient = asyncio.create_task(embedded.health())
    await begun.wait()
    impatient.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await impatient
    go.set()
    assert (await embedded.health()).ok
    assert looks == 1


async def test_a_machine_without_the_engine_is_told_with_its_remedy(
    folder: Path, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no wheel for this machine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    embedded = Embedded([folder], http=http)
    health = await embedded.health()
    assert (health.ok, health.note) == (False, "no wheel for this machine")
    assert "pip install xllamacpp" in health.remedy
    with pytest.raises(ModelError, match="no model can be run here: no wheel for this machine"):
        await load(embedded, "tiny")
    assert {model.id for model in await embedded.models()} == {"tiny", "tiny-embed"}


async def test_the_users_own_llama_server_runs_the_models(
    folder: Path, http: Http, tmp_path: Path
) -> None:
    async with closing(Embedded([folder], http=http, binary=program(tmp_path))) as embedded:
        assert (await embedded.health()).version == "llama-server"
        pid = await load(embedded, "tiny")
        assert "tests.llm.llama_cpp_server" in psutil.Process(pid).cmdline()
        key = embedded._workers["tiny"].order.key
        assert key not in " ".join(psutil.Process(pid).cmdline())
        assert await answer(embedded, "own 🎉") == "own 🎉"
        [vector] = await embedded.embed("tiny-embed", ["the water"])
        assert len(vector) == 64
        os.kill(pid, signal.SIGKILL)
        await until(lambda: "tiny" not in embedded.pids)
        assert await answer(embedded, "again") == "again"


async def test_a_llama_server_that_is_none_is_told(folder: Path, http: Http) -> None:
    embedded = Embedded([folder], http=http, binary=folder / "absent")
    health = await embedded.health()
    assert (health.ok, health.remedy) == (
        False,
        "set it to the path of a llama-server, or remove it",
    )
    wrong = Embedded([folder], http=http, binary=Path("/bin/false"))
    with pytest.raises(ModelError, match=r"its process ended .status 1."):
        await load(wrong, "tiny")


def test_a_llama_server_gets_every_option_but_the_key() -> None:
    options = LoadOptions(parallel=2, gpu_layers=-1, tensor_split=(3.0, 1.5), flash_attention=False)
    order = Order(
        parent=1, model="/m.gguf", alias="m", key=SECRET, context_size=512, options=options
    )
    said = arguments(order)
    for name, value in (
        ("--ctx-size", "1024"),
        ("--n-gpu-layers", "9999"),
        ("--tensor-split", "3.0,1.5"),
        ("--flash-attn", "off"),
    ):
        assert said[said.index(name) + 1] == value
    assert SECRET not in said


def test_the_hub_never_imports_the_engine() -> None:
    script = (
        "import sys, workbench.llm.embedded, workbench.llm.worker\n"
        "print('xllamacpp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "False"
