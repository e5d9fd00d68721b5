"""What was typed in becomes a source or a sentence; a card says honestly whether a model fits."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.cards import (
    RESERVE_BYTES,
    Card,
    Fit,
    Machine,
    Source,
    fits,
    gpu_room,
    is_words,
    judged,
    parse_source,
)
from workbench.core.downloads import safe_name
from workbench.core.ledger_nouns import Room
from workbench.errors import InputError

GB = 10**9
REPOSITORY = Source(kind="repository", repository="org/name")
FILE = Source(kind="repository", repository="org/name", file="Q4/a.gguf")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("org/name", REPOSITORY),
        ("  org/name\n", REPOSITORY),
        ("https://huggingface.co/org/name", REPOSITORY),
        ("http://www.huggingface.co/org/name/", REPOSITORY),
        ("HTTPS://HuggingFace.co/org/name?library=true#use", REPOSITORY),
        ("hf.co/org/name", REPOSITORY),
        ("huggingface.co/org/name/tree/main", REPOSITORY),
        ("https://huggingface.co/org/name/discussions/3", REPOSITORY),
        ("https://huggingface.co/org/name/blob/main/Q4/a.gguf", FILE),
        ("https://huggingface.co/org/name/resolve/main/Q4/a.gguf?download=true", FILE),
        ("hf.co/org/name/resolve/main/Q4%2Fa.gguf", FILE),
        (
            "https://huggingface.co/org/name/tree/refs%2Fpr%2F1",
            Source(kind="repository", repository="org/name", revision="refs/pr/1"),
        ),
        (
            "hf.co/org/name:Q4_K_M",
            Source(kind="repository", repository="org/name", quantization="Q4_K_M"),
        ),
        (
            "http://example.org:8080/a%20b.GGUF?sign=1&x=2#part",
            Source(
                kind="url", url="http://example.org:8080/a%20b.GGUF?sign=1&x=2", file="a b.GGUF"
            ),
        ),
        (
            "https://example.org/x/model.safetensors",
            Source(
                kind="url", url="https://example.org/x/model.safetensors", file="model.safetensors"
            ),
        ),
    ],
)
def test_what_names_a_model_becomes_its_source(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "a/b/c",
        "../name",
        "org/..",
        "org/na--me",
        "org/name.git",
        "org/.name",
        "org/na me",
        "org\\name",
        "org/name\x00",
        "org/name\u202e",
        "ftp://example.org/a.gguf",
        "file:///etc/a.gguf",
        "javascript:alert(1)",
        "https:///a.gguf",
        "https://[::1/a.gguf",
        "https://example.org:99999/a.gguf",
        "https://huggingface.co/org/name/blob/ma..in/a.gguf",
        "example.org/a/b.gguf",
        "x" * 3000,
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match=r"names no model; allowed: org/name, a page of"):
        parse_source(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("https://example.org/a.bin", "the address leads to 'a.bin'; allowed: model files"),
        ("https://example.org/", "the address leads to ''; allowed: model files"),
        ("https://example.org/a.gguf.exe", "model files that end in .gguf, .safetensors"),
        ("https://huggingface.co/org/name/blob/main/pytorch_model.bin", "model files that end in"),
        ("https://huggingface.co/datasets/org/name", "is no page of a model"),
        ("https://huggingface.co/org", "is no page of a model"),
        ("https://me:secret@example.org/a.gguf", "carries a user or a password"),
        ("hf.co/org/name/resolve/main/..%2f..%2fa.gguf", "without `..`"),
        ("https://example.org/a/..%2f.gguf", "allowed: names below the models folder"),
    ],
)
def test_what_leads_elsewhere_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_source(text)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_mirror_of_the_hub_has_pages_too() -> None:
    source = parse_source("http://127.0.0.1:8000/org/name", hub_hosts=["127.0.0.1:8000"])
    assert source == REPOSITORY


@given(
    text=st.text(max_size=60)
    | st.text(max_size=60).map(lambda text: "https://hf.co/o/n/resolve/main/" + text)
    | st.text(max_size=60).map(lambda text: f"http://x.org/{quote(text)}.gguf")
)
def test_whatever_is_typed_the_outcome_is_a_safe_source_or_a_sentence(text: str) -> None:
    try:
        source = parse_source(text)
    except InputError as error:
        assert str(error)
    else:
        assert not source.file or safe_name(source.file) == source.file
        assert source.kind == "repository" or source.url.startswith("http://x.org/")


def test_a_model_goes_to_the_gpu_if_one_ever_has_room() -> None:
    assert fits(6 * GB, 5 * GB, 7 * GB, 8 * GB, 9 * GB, 16 * GB) == Fit(where="gpu", now=True)
    assert fits(6 * GB, 5 * GB, 2 * GB, 8 * GB, 9 * GB, 16 * GB) == Fit(where="gpu", now=False)
    assert fits(6 * GB, 5 * GB, None, 8 * GB, 9 * GB, 16 * GB) == Fit(where="gpu")


def test_else_to_the_memory_if_that_ever_has_room() -> None:
    assert fits(9 * GB, 8 * GB, 8 * GB, 8 * GB, 9 * GB, 16 * GB) == Fit(where="memory", now=True)
    assert fits(9 * GB, 8 * GB, None, None, 7 * GB, 16 * GB) == Fit(where="memory", now=False)
    assert fits(9 * GB, 8 * GB, None, None, None, 16 * GB) == Fit(where="memory")


def test_else_it_does_not_fit_and_some_memory_is_never_a_models() -> None:
    assert fits(9 * GB, 16 * GB, 8 * GB, 8 * GB, 16 * GB, 16 * GB) == Fit(where="no")
    least = 8 * GB + RESERVE_BYTES
    assert fits(None, 8 * GB, None, None, None, least).where == "memory"
    assert fits(None, 8 * GB, None, None, None, least - 1).where == "no"


def test_what_is_not_known_is_not_guessed() -> None:
    assert fits(None, None, 8 * GB, 8 * GB, 9 * GB, 16 * GB) == Fit(where="unknown")
    assert fits(9 * GB, 8 * GB, 8 * GB, 8 * GB, None, None) == Fit(where="unknown")


sizes = st.none() | st.integers(0, 64 * GB)


@given(sizes, sizes, sizes, sizes, sizes, sizes)
def test_more_room_never_makes_it_fit_less(
    gpu: int | None,
    memory: int | None,
    gpu_free: int | None,
    gpu_total: int | None,
    memory_free: int | None,
    memory_total: int | None,
) -> None:
    rank = {"unknown": 0, "no": 0, "memory": 1, "gpu": 2}
    before = fits(gpu, memory, gpu_free, gpu_total, memory_free, memory_total)
    more = [None if total is None else total + GB for total in (gpu_total, memory_total)]
    after = fits(gpu, memory, gpu_free, more[0], memory_free, more[1])
    assert rank[after.where] >= rank[before.where]


def card(**values: object) -> Card:
    common = {"id": "org/name", "state": "remote", "owner": "hub", "title": "Name"}
    return Card(**{**common, "size_bytes": 4 * GB, **values})  # type: ignore[arg-type]


MACHINE = Machine(memory_free_bytes=2 * GB, memory_total_bytes=16 * GB, disk_free_bytes=3 * GB)


def test_a_card_says_what_its_download_leaves_of_the_disk() -> None:
    assert judged(card(), MACHINE).disk_left_bytes == -1 * GB
    assert judged(card(size_bytes=None), MACHINE).disk_left_bytes is None
    assert judged(card(state="on-disk"), MACHINE).disk_left_bytes is None
    assert judged(card(), Machine()).disk_left_bytes is None


def test_a_loaded_model_fits_now_and_a_broken_one_is_not_judged() -> None:
    needed = 5 * GB
    there = judged(card(needed_memory_bytes=needed, state="on-disk"), MACHINE)
    assert (there.fits, there.fits_now) == ("memory", False)
    loaded = judged(card(needed_memory_bytes=needed, state="loaded"), MACHINE)
    assert (loaded.fits, loaded.fits_now) == ("memory", True)
    broken = judged(card(needed_memory_bytes=needed, state="broken"), MACHINE)
    assert (broken.fits, broken.fits_now) == ("unknown", None)


def test_room_on_gpus_is_that_of_this_machines_best() -> None:
    rooms = [
        Room(gpu_id="0", total_mb=8000, free_mb=1000),
        Room(gpu_id="1", total_mb=6000, free_mb=5000),
        Room(gpu_id="2", total_mb=None, free_mb=None),
        Room(gpu_id="node/0", total_mb=80_000, free_mb=80_000),
    ]
    assert gpu_room(rooms) == (5 * GB, 8 * GB)
    assert gpu_room(rooms[2:]) == (None, None)


@pytest.mark.parametrize(
    ("text", "searched"),
    [
        ("qwen3 8b", True),
        (" Llama-3.3 ", True),
        ("gpt-oss", True),
        ("org/name", False),
        ("org/name:Q4_K_M", False),
        ("https://example.org/a.gguf", False),
        ("-rf", False),
        ("", False),
        ("a" * 201, False),
        ("a\u202eb", False),
    ],
)
def test_words_are_searched_by_and_places_are_looked_at(text: str, searched: bool) -> None:
    assert is_words(text) is searched
