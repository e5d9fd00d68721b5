"""Cards say what a model is, where it lies, whether it fits here, and what they only guess."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.llm.fake_server import faking
from tests.llm.hub_server import COMMIT, FakeHub, model, sibling
from tests.llm.tiny_model import CONTEXT_SIZE, tiny_model, write
from workbench.core.cards import Card, Machine
from workbench.core.downloads import RemoteFile, Wanted
from workbench.core.ledger_nouns import Room
from workbench.core.llm import LanguageModel, LoadOptions
from workbench.core.repository import Repository
from workbench.llm.cards import cards_here, cards_of, machine_now, of_address
from workbench.llm.fetching import KEEP_FREE_BYTES
from workbench.llm.gguf_header import read_header
from workbench.llm.hugging_face import HuggingFace
from workbench.llm.model_files import Folders
from workbench.llm.places import Found, Place

GB = 10**9
MACHINE = Machine(
    memory_free_bytes=8 * GB,
    memory_total_bytes=16 * GB,
    gpu_free_bytes=4 * GB,
    gpu_total_bytes=6 * GB,
    disk_free_bytes=10 * GB,
)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "ours").parent


@pytest.fixture
def shelves(ours: Path, tmp_path: Path) -> tuple[Folders, Found]:
    write(tmp_path / "theirs" / "org" / "other.gguf", name="Other", template=None)
    return Folders([ours]), Found([Place("lmstudio", tmp_path / "theirs")])


Here = Callable[..., dict[str, Card]]


@pytest.fixture
def here(shelves: tuple[Folders, Found]) -> Here:
    def cards(
        listed: tuple[LanguageModel, ...] = (),
        options: LoadOptions | None = None,
        local: tuple[str, ...] = (),
    ) -> dict[str, Card]:
        found = cards_here(*shelves, listed, MACHINE, options or LoadOptions(), local=local)
        return {card.id: card for card in found}

    return cards


@pytest.fixture
async def repository() -> Repository:
    with faking(FakeHub()) as hub:
        hub.models["org/name"] = model(
            "org/name",
            sibling("a-Q4_K_M.gguf", 4 * GB),
            sibling("a-F16.gguf", 14 * GB),
            gated="manual",
            gguf={"total": 7_615_616_512, "architecture": "qwen2", "context_length": 2048},
        )
        return await HuggingFace(hub.url).repository("org/name")


def test_a_file_here_is_told_by_its_header(here: Here, ours: Path) -> None:
    card = here()["tiny"]
    assert (card.title, card.owner, card.backend, card.state) == (
        "Tiny",
        "workbench",
        "embedded",
        "on-disk",
    )
    assert card.place == str(ours / "tiny.gguf")
    assert card.size_bytes == (ours / "tiny.gguf").stat().st_size
    assert (card.quantization, card.parameters, card.architecture) == ("F32", "Tiny", "llama")
    assert (card.context_size, card.chat_template, card.tools) == (CONTEXT_SIZE, True, True)
    assert (card.fits, card.fits_now, card.estimated) == ("gpu", True, False)
    assert card.disk_left_bytes is None


def test_a_file_of_another_program_is_told_under_its_owner(here: Here) -> None:
    card = here()["lmstudio/org/other"]
    assert (card.owner, card.backend, card.title) == ("lmstudio", "embedded", "Other")
    assert (card.chat_template, card.tools) == (False, False)


def test_what_a_model_needs_grows_with_the_context_that_is_chosen(here: Here) -> None:
    small = here(options=LoadOptions(context_size=1024))["tiny"]
    large = here(options=LoadOptions(context_size=65_536, parallel=4))["tiny"]
    assert (small.context_chosen, large.context_chosen) == (1024, 65_536)
    assert small.needed_memory_bytes is not None
    assert large.needed_memory_bytes is not None
    # Keys and values of 2 layers, 64 numbers each, in 2 bytes.
    assert large.needed_memory_bytes - small.needed_memory_bytes == (4 * 65_536 - 1024) * 2 * 256


def test_a_loaded_model_is_shown_as_loaded_with_its_context(here: Here) -> None:
    listed = LanguageModel(id="tiny", backend="embedded", loaded=True, context_size=512)
    card = here((listed,))["tiny"]
    assert (card.state, card.context_size, card.fits_now) == ("loaded", 512, True)
    assert here((msgspec.structs.replace(listed, loaded=False),))["tiny"].state == "on-disk"


def test_a_broken_file_is_a_card_with_its_reason(here: Here, ours: Path) -> None:
    (ours / "bad.gguf").write_bytes(b"<html>")
    card = here()["bad"]
    assert (card.state, card.owner, card.fits, card.size_bytes) == (
        "broken",
        "workbench",
        "unknown",
        6,
    )
    assert card.problem is not None
    assert card.problem["template"].endswith("ends within its own description; fetch it again")


def test_a_model_of_a_back_end_is_judged_only_if_it_runs_on_this_machine(here: Here) -> None:
    far = LanguageModel(id="big:7b", backend="ollama", size_bytes=40 * GB, parameters="7B")
    card = here((far,))["big:7b"]
    assert (card.owner, card.backend, card.fits, card.estimated) == (
        "ollama",
        "ollama",
        "unknown",
        False,
    )
    card = here((far,), local=("ollama",))["big:7b"]
    assert (card.fits, card.estimated) == ("no", True)
    nothing = LanguageModel(id="hidden", backend="ollama")
    assert here((nothing,), local=("ollama",))["hidden"].fits == "unknown"


def test_a_choice_of_a_repository_says_what_it_would_take(repository: Repository) -> None:
    small, large = cards_of(repository, MACHINE)
    assert (small.id, small.state, small.owner) == ("org/name/a-Q4_K_M", "remote", "hub")
    assert (small.quantization, small.parameters, small.context_size) == ("Q4_K_M", "7.6B", 2048)
    assert (small.gated, small.licence, small.commit) == ("manual", "apache-2.0", COMMIT)
    assert (small.files, small.place) == (("a-Q4_K_M.gguf",), repository.page)
    assert (small.fits, small.fits_now, small.estimated) == ("gpu", False, True)
    assert (small.disk_left_bytes, large.disk_left_bytes) == (6 * GB, -4 * GB)
    assert (large.fits, large.context_chosen) == ("no", 2048)


def test_a_choice_has_the_id_that_its_file_will_have(
    repository: Repository, tmp_path: Path
) -> None:
    [card, _] = cards_of(repository, MACHINE)
    write(tmp_path / "org" / "name" / card.files[0], name="Here")
    assert list(Folders([tmp_path]).scan()) == [card.id]


def test_a_choice_without_sizes_is_not_judged(repository: Repository) -> None:
    [choice, _] = repository.choices
    unknown = msgspec.structs.replace(choice, total_bytes=None)
    [card] = cards_of(msgspec.structs.replace(repository, choices=(unknown,)), MACHINE)
    assert (card.fits, card.disk_left_bytes, card.estimated) == ("unknown", None, False)


def test_a_choice_whose_header_is_known_is_judged_by_it(repository: Repository, ours: Path) -> None:
    header = read_header(ours / "tiny.gguf")
    first, second = cards_of(
        repository, MACHINE, LoadOptions(context_size=100_000), {"a-Q4_K_M": header}
    )
    assert (first.estimated, second.estimated) == (False, True)
    assert first.context_size == CONTEXT_SIZE
    assert first.needed_memory_bytes is not None
    cache = 100_000 * 2 * 256
    assert 0 < first.needed_memory_bytes - 4 * GB - cache < 100 << 20


def test_a_header_tells_what_the_hub_does_not(repository: Repository, ours: Path) -> None:
    bare = msgspec.structs.replace(
        repository, parameters=None, context_size=None, chat_template=None, architecture=None
    )
    header = read_header(ours / "tiny.gguf")
    known, unknown = cards_of(bare, MACHINE, headers={"a-Q4_K_M": header})
    assert (known.parameters, known.architecture, known.context_size) == (
        "Tiny",
        "llama",
        CONTEXT_SIZE,
    )
    assert (known.chat_template, known.tools, unknown.chat_template) == (True, True, None)
    # Of a large model only the beginning is read: its template comes after its vocabulary.
    del header.metadata["tokenizer.chat_template"]
    for complete, told in ((False, None), (True, False)):
        read = msgspec.structs.replace(header, complete=complete)
        [card, _] = cards_of(bare, MACHINE, headers={"a-Q4_K_M": read})
        assert (card.chat_template, card.tools) == (told, told)


def test_a_file_at_an_address_is_judged_by_its_header(ours: Path) -> None:
    file = RemoteFile(
        url="https://example.org/a/some-Q4_0.gguf",
        name="example.org/some-Q4_0.gguf",
        size_bytes=3 * GB,
    )
    wanted = Wanted(model="example.org/some-Q4_0", files=(file,))
    header = read_header(ours / "tiny.gguf")
    card = of_address(wanted, MACHINE, header)
    assert (card.id, card.owner, card.title) == (wanted.model, "example.org", "some-Q4_0")
    assert (card.fits, card.estimated, card.disk_left_bytes) == ("gpu", False, 7 * GB)
    assert (card.quantization, card.context_size) == ("Q4_0", CONTEXT_SIZE)
    assert of_address(wanted, MACHINE).estimated
    unsized = msgspec.structs.replace(file, size_bytes=None)
    card = of_address(msgspec.structs.replace(wanted, files=(unsized,)), MACHINE)
    assert (card.fits, card.estimated, card.disk_left_bytes) == ("unknown", False, None)


def test_a_card_goes_over_the_wire_and_back(here: Here, repository: Repository) -> None:
    cards = [*here().values(), *cards_of(repository, MACHINE)]
    assert msgspec.json.decode(msgspec.json.encode(cards), type=list[Card]) == cards


def test_the_machine_is_read_as_it_is_now(tmp_path: Path) -> None:
    rooms = [Room(gpu_id="0", total_mb=8000, free_mb=1000)]
    machine = machine_now(rooms, tmp_path / "not" / "there" / "yet")
    assert (machine.gpu_free_bytes, machine.gpu_total_bytes) == (GB, 8 * GB)
    assert machine.memory_free_bytes is not None
    assert machine.memory_total_bytes is not None
    assert 0 < machine.memory_free_bytes <= machine.memory_total_bytes
    assert machine.disk_free_bytes is not None
    usable = shutil.disk_usage(tmp_path).free - KEEP_FREE_BYTES
    assert machine.disk_free_bytes == pytest.approx(max(0, usable), abs=1 << 30)
    assert machine_now([], tmp_path).gpu_total_bytes is None
