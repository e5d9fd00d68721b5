"""What a hub says of a repository; what it must not be told; and what a person hears of faults."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_server import Asked, serving
from tests.llm.fake_server import faking, reply
from tests.llm.hub_server import COMMIT, FakeHub, model, refuse, sibling
from workbench.core.downloads import check_file
from workbench.core.repository import Choice, RepositoryFile, choices_of, quantization_of
from workbench.errors import InputError, LinkError, ProtocolError, WorkbenchError
from workbench.llm.hub_asking import GatedError
from workbench.llm.hugging_face import HuggingFace

ROOT = Path(__file__).parents[2]
TOKEN = "hf_canarySecretThatNobodyMaySee"
MODEL = "GET /api/models/org/name/revision/main?blobs=true"
GGUF = {
    "total": 7_615_616_512,
    "architecture": "qwen2",
    "context_length": 131_072,
    "chat_template": "{% for tool in tools %}{% endfor %}",
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with faking(FakeHub()) as fake:
        fake.models["org/name"] = model(
            "org/name",
            sibling(".gitattributes", 1500, lfs=False),
            sibling("README.md", 2000, lfs=False),
            sibling("name-Q8_0.gguf", 8000),
            sibling("name-Q4_K_M.gguf", 4000),
            sibling("F16/name-F16-00002-of-00002.gguf", 6000),
            sibling("F16/name-F16-00001-of-00002.gguf", 9000),
            sibling("mmproj-name-f16.gguf", 900),
            gguf=GGUF,
        )
        yield fake


def asking(hub: FakeHub, token: str | None = None, **limits: float) -> HuggingFace:
    return HuggingFace(hub.url, lambda: token, **limits)


async def test_a_repository_is_told_with_its_choices_the_smallest_first(hub: FakeHub) -> None:
    found = await asking(hub).repository("org/name")
    assert [(c.name, c.quantization, c.total_bytes) for c in found.choices] == [
        ("name-Q4_K_M", "Q4_K_M", 4000),
        ("name-Q8_0", "Q8_0", 8000),
        ("F16/name-F16", "F16", 15_000),
    ]
    assert [file.name[-22:] for file in found.choices[2].files] == [
        "F16-00001-of-00002.gguf"[-22:],
        "F16-00002-of-00002.gguf"[-22:],
    ]
    assert (found.commit, found.licence, found.gated) == (COMMIT, "apache-2.0", None)
    assert (found.architecture, found.parameters) == ("qwen2", 7_615_616_512)
    assert (found.context_size, found.chat_template, found.tools) == (131_072, True, True)
    assert found.page == f"{hub.url}/org/name"


async def test_a_choice_becomes_files_to_download_with_what_the_hub_declares(
    hub: FakeHub,
) -> None:
    hugging_face = asking(hub)
    found = await hugging_face.repository("org/name")
    choice = found.choice(quantization="q4_k_m")
    assert choice is not None
    wanted = hugging_face.wanted(found, choice)
    [file] = wanted.files
    assert (wanted.model, wanted.commit) == ("org/name/name-Q4_K_M", COMMIT)
    assert file.url == f"{hub.url}/org/name/resolve/{COMMIT}/name-Q4_K_M.gguf"
    assert (file.name, file.size_bytes) == ("org/name/name-Q4_K_M.gguf", 4000)
    assert file.sha256 == hashlib.sha256(b"name-Q4_K_M.gguf").hexdigest()
    check_file(file)
    assert found.choice(file="F16/name-F16-00002-of-00002.gguf") == found.choices[2]
    assert found.choice(file="other.gguf") is None


async def test_safetensors_are_one_choice_with_their_tokenizer(hub: FakeHub) -> None:
    hub.models["org/name"] = model(
        "org/name",
        sibling("model-00001-of-00002.safetensors", 5000),
        sibling("model-00002-of-00002.safetensors", 4000),
        sibling("consolidated.safetensors", 9000),
        sibling("model.safetensors.index.json", 30, lfs=False),
        sibling("config.json", 20, lfs=False),
        sibling("tokenizer.json", 10),
        sibling("pytorch_model.bin", 9000),
        sibling("evil.py", 10, lfs=False),
        sibling("onnx/config.json", 10, lfs=False),
        safetensors={"parameters": {"F32": 100, "BF16": 7_000_000_000}, "total": 7_000_000_100},
        config={"model_type": "llama"},
        gated="manual",
        cardData={"license": "other", "license_name": "llama3"},
    )
    found = await asking(hub).repository("org/name")
    [choice] = found.choices
    assert (choice.name, choice.quantization, choice.total_bytes) == ("safetensors", "BF16", 9060)
    assert [file.name for file in choice.files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.json",
    ]
    assert (found.gated, found.licence, found.architecture) == ("manual", "llama3", "llama")
    assert found.chat_template is None


@pytest.mark.parametrize(
    "name", ["../../evil.gguf", "/etc/evil.gguf", "a/../../evil.gguf", "a\\b.gguf", "x\x00.gguf"]
)
async def test_a_name_that_leads_out_of_the_folder_is_never_offered(
    hub: FakeHub, name: str
) -> None:
    hub.models["org/name"]["siblings"] = [sibling(name, 10), sibling("good-Q4_0.gguf", 10)]
    found = await asking(hub).repository("org/name")
    assert [file.name for file in found.files] == ["good-Q4_0.gguf"]
    assert [choice.name for choice in found.choices] == ["good-Q4_0"]


async def test_a_repository_that_was_renamed_is_followed(hub: FakeHub) -> None:
    hub.renamed["org/old"] = "org/name"
    assert (await asking(hub).repository("org/old")).name == "org/name"


@pytest.mark.parametrize(
    ("hidden", "token", "kind", "sentence"),
    [
        (
            "gated",
            None,
            GatedError,
            "org/name is gated: ask for access at {url}/org/name, then set HF_TOKEN",
        ),
        (
            "gated",
            TOKEN,
            GatedError,
            "org/name is gated, and HF_TOKEN has no access to it: ask for it at {url}/org/name, "
            "or let the token read gated repositories",
        ),
        (
            "private",
            None,
            InputError,
            "{host} has no repository 'org/name', or a private one: look at its name, or set "
            "HF_TOKEN to a token that may read it",
        ),
        (
            "",
            "hf_of_nobody",
            InputError,
            "{host} refuses HF_TOKEN: make a new one at {url}/settings/tokens, and set it",
        ),
    ],
)
async def test_what_needs_a_token_is_said_with_what_helps(
    hub: FakeHub, hidden: str, token: str | None, kind: type[WorkbenchError], sentence: str
) -> None:
    hub.hidden, hub.tokens = {"org/name": hidden}, {TOKEN}
    with pytest.raises(kind) as refused:
        await asking(hub, token).repository("org/name")
    host = hub.url.removeprefix("http://")
    assert str(refused.value) == sentence.format(url=hub.url, host=host)


async def test_an_accepted_token_opens_what_is_private(hub: FakeHub) -> None:
    hub.hidden, hub.tokens = {"org/name": "private"}, {TOKEN}
    assert (await asking(hub, f" {TOKEN}\n").repository("org/name")).name == "org/name"


async def test_what_is_not_there_is_said(hub: FakeHub) -> None:
    with pytest.raises(InputError, match="has no repository 'org/none', or a private one"):
        await asking(hub).repository("org/none")
    with pytest.raises(InputError, match=r"org/name has no revision 'v9'; allowed: a branch"):
        await asking(hub).repository("org/name", "v9")
    with pytest.raises(InputError, match=r"name is 'https://x\.org'; allowed: org/name"):
        await asking(hub).repository("https://x.org")


def answering(status: int, code: str = "", message: str = "no") -> Callable[[Asked, Any], None]:
    return lambda asked, value: refuse(asked, status, code, message)


@pytest.mark.parametrize(
    ("status", "message", "kind", "sentence"),
    [
        (503, "no", LinkError, "answers 503: try again later"),
        (429, "no", LinkError, "was asked too often: try again in some minutes"),
        (403, "Access to this resource is disabled.", InputError, "org/name was taken down by"),
        (403, "Forbidden", GatedError, "org/name is gated"),
    ],
)
async def test_a_hub_that_refuses_is_said(
    hub: FakeHub, status: int, message: str, kind: type[WorkbenchError], sentence: str
) -> None:
    hub.routes[MODEL] = answering(status, message=message)
    with pytest.raises(kind, match=sentence):
        await asking(hub).repository("org/name")


@pytest.mark.parametrize(
    "value",
    [
        "<html>",
        [],
        {},
        {"id": 7, "sha": COMMIT},
        {"id": "org/name"},
        {"id": "../../up", "sha": COMMIT},
        {"id": "org/name", "sha": "../x"},
        {"id": "org/name", "sha": COMMIT, "siblings": [{}]},
        {"id": "org/name", "sha": COMMIT, "siblings": 7},
        {"id": "org/name", "sha": COMMIT, "siblings": [], "safetensors": {"total": 1}},
    ],
)
async def test_what_is_no_hub_is_said_to_be_none(hub: FakeHub, value: Any) -> None:
    hub.routes[MODEL] = lambda asked, _: reply(asked, value)
    with pytest.raises(ProtocolError, match="Hugging Face hub"):
        await asking(hub).repository("org/name")


async def test_figures_that_cannot_be_are_left_out(hub: FakeHub) -> None:
    odd = {**sibling("a-Q4_0.gguf", 1), "size": -5}
    hub.models["org/name"] = model(
        "org/name", odd, downloads="many", likes=2**60, gguf={"total": -1, "context_length": "x"}
    )
    found = await asking(hub).repository("org/name")
    assert found.choices[0].total_bytes is None
    assert (found.downloads, found.likes, found.parameters) == (None, None, None)
    assert (found.context_size, found.chat_template) == (None, False)


async def test_a_hub_that_cannot_be_reached_is_said() -> None:
    with serving(lambda asked: None) as server:
        url = server.url
    with pytest.raises(LinkError, match=r"the link to 127\.0\.0\.1:\d+ failed"):
        await HuggingFace(url).repository("org/name")


async def test_a_silent_hub_is_given_up(hub: FakeHub) -> None:
    hub.routes[MODEL] = lambda asked, value: hub.hold.wait(20) and None
    with pytest.raises(LinkError, match=r"the link to .* failed: .*timed out"):
        await asking(hub, request_s=0.2).repository("org/name")
    with pytest.raises(LinkError, match=r"was not done within 0\.2 s"):
        await asking(hub, deadline_s=0.2, request_s=1.0).repository("org/name")


async def test_it_is_not_led_to_another_address(hub: FakeHub) -> None:
    with serving(lambda asked: asked.reply(b"{}")) as other:
        hub.routes[MODEL] = lambda asked, value: asked.reply(
            b"", 302, Location=f"{other.url}/latest/meta-data"
        )
        with pytest.raises(
            InputError, match=r"leads to '127\.0\.0\.1'; allowed: what stays at its"
        ):
            await asking(hub, TOKEN).repository("org/name")
        assert other.seen == []


async def test_a_search_tells_what_a_person_chooses_by(hub: FakeHub) -> None:
    hub.models["other/name-big"] = model("other/name-big", downloads=9999, gated="auto")
    hub.models["../../up/name"] = model("../../up/name")
    first, second = await asking(hub).search(" name ")
    assert (first.name, first.downloads, first.gated) == ("other/name-big", 9999, "auto")
    assert (second.name, second.licence, second.likes) == ("org/name", "apache-2.0", 56)
    assert first.updated_at == 1_773_311_405_000
    assert [hit.name for hit in await asking(hub).search("name", limit=1)] == ["other/name-big"]
    with pytest.raises(InputError, match="text is ''; allowed: 1 to 200 characters"):
        await asking(hub).search("")


async def test_a_search_is_given_up_as_soon_as_the_hub_fails(hub: FakeHub) -> None:
    def route(asked: Asked) -> None:
        if hub.hold.is_set():
            answering(503)(asked, None)
        else:
            hub.hold.wait(20)

    hub.unknown = route  # type: ignore[method-assign]
    with pytest.raises(LinkError, match=r"the link to .* failed: .*timed out"):
        await asking(hub, request_s=0.2).search("name")
    hub.hold.set()
    with pytest.raises(LinkError, match="answers 503: try again later"):
        await asking(hub).search("name")
    assert len(hub.asked) == 2


ALONE = """
import asyncio, sys
from workbench.llm.hugging_face import HuggingFace

async def ask():
    hugging_face = HuggingFace(sys.argv[1])
    await hugging_face.repository("org/name")
    await hugging_face.search("name")

asyncio.run(ask())
"""


def alone(hub: FakeHub, **env: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, for the library reads its variables only once."""
    return subprocess.run(
        [sys.executable, "-c", ALONE, hub.url],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_person_who_wants_to_be_offline_is(hub: FakeHub) -> None:
    run = alone(hub, HF_HUB_OFFLINE="1")
    assert "is not asked, for HF_HUB_OFFLINE is set: unset it and start the hub again" in run.stderr
    assert hub.asked == []


def test_nothing_is_told_about_this_machine(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    theirs = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "AI_AGENT": "x"}
    run = alone(hub, **theirs, http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert run.returncode == 0, run.stderr
    assert [where.partition("?")[0] for where, _ in hub.asked] == [
        "GET /api/models/org/name/revision/main",
        "GET /api/models",
    ]
    assert all("authorization" not in headers for headers in hub.headers)
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


async def test_the_token_reaches_no_log_no_repr_and_no_error(
    hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("huggingface_hub", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    hugging_face = asking(hub, TOKEN)
    seen = [repr(hugging_face), repr(vars(hugging_face)), str(hugging_face)]
    for hidden, accepted in (("", {TOKEN}), ("gated", {TOKEN}), ("private", set()), ("", set())):
        hub.hidden, hub.tokens = {"org/name": hidden}, accepted
        try:
            seen.append(repr(await hugging_face.repository("org/name")))
        except WorkbenchError as error:
            assert error.__cause__ is None and error.__context__ is None
            below = error.__traceback__ and error.__traceback__.tb_next  # ours, not this test's
            error.__traceback__ = below
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            seen += [repr(error), str(error), *told.format()]
    assert hub.headers[0]["authorization"] == f"Bearer {TOKEN}"
    assert len(seen) > 6
    assert TOKEN not in "".join(seen)
    assert TOKEN not in caplog.text
    assert "org/name" in caplog.text


async def test_a_token_that_cannot_be_one_is_refused_without_being_shown(hub: FakeHub) -> None:
    with pytest.raises(InputError, match="HF_TOKEN holds what no token does") as refused:
        await asking(hub, f"{TOKEN}\nX-Evil: 1").repository("org/name")
    assert TOKEN not in repr(refused.value)
    assert hub.asked == []


def test_a_download_carries_the_token_to_its_own_hub_alone() -> None:
    hugging_face = HuggingFace("https://huggingface.co/", lambda: TOKEN)
    url = hugging_face.download_url("org/name", "a b/c#d.gguf", COMMIT)
    assert url == f"https://huggingface.co/org/name/resolve/{COMMIT}/a%20b/c%23d.gguf"
    assert hugging_face.headers(url) == {"authorization": f"Bearer {TOKEN}"}
    assert hugging_face.headers("https://HUGGINGFACE.co:443/x") != {}
    for other in ("http://huggingface.co/x", "https://cdn.huggingface.co/x", "https://x.org/"):
        assert hugging_face.headers(other) == {}
    assert HuggingFace().headers(url) == {}
    with pytest.raises(InputError, match=r"without `\.\.`"):
        hugging_face.download_url("org/name", "../c.gguf", COMMIT)


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", "Q8_0"),
        ("model.IQ2_XS.gguf", "IQ2_XS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("UD-IQ1_M/Model-UD-IQ1_M-00001-of-00003.gguf", "UD-IQ1_M"),
        ("Q6_K/part-00001-of-00002.gguf", "Q6_K"),
        ("model-fp16.gguf", "F16"),
        ("model_BF16.gguf", "BF16"),
        ("x-F32.gguf", "F32"),
        ("x-TQ1_0.gguf", "TQ1_0"),
        ("x-Q4_0_4_4.gguf", "Q4_0_4_4"),
        ("x-iq4_nl.gguf", "IQ4_NL"),
        ("ggml-model-Q3_K_L.gguf", "Q3_K_L"),
        ("FAQ4_Kids.gguf", None),
        ("model.gguf", None),
    ],
)
def test_a_quantisation_is_read_from_a_files_name(name: str, quantization: str | None) -> None:
    assert quantization_of(name) == quantization


def listed(*names: str, size: int | None = 1) -> list[RepositoryFile]:
    return [RepositoryFile(name=name, size_bytes=size) for name in names]


def names(choices: tuple[Choice, ...]) -> list[str]:
    return [choice.name for choice in choices]


def test_a_set_that_lacks_a_part_is_no_choice() -> None:
    whole = listed("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")
    assert names(choices_of(whole)) == ["a"]
    assert choices_of(whole[:1]) == ()
    assert choices_of(whole[1:]) == ()
    assert choices_of(listed("m-00001-of-00002.safetensors", "config.json")) == ()
    assert choices_of(listed("config.json")) == ()


def test_a_file_that_belongs_to_a_model_is_no_choice() -> None:
    beside = listed("mmproj-a.gguf", "a-mmproj-f16.gguf", "imatrix.gguf", "mmproj/a-Q4_0.gguf")
    assert names(choices_of(beside)) == ["mmproj/a-Q4_0"]


def test_a_size_that_is_not_told_is_not_summed() -> None:
    [choice] = choices_of(listed("a.gguf", size=None))
    assert choice.total_bytes is None
