"""Model files are read without trust: the outcome is a header or a sentence, and soon."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm.tiny_model import CONTEXT_SIZE, tiny_embedder, tiny_model, write
from workbench.errors import InputError
from workbench.llm.gguf_header import Header, _label, parts, read_header, read_model
from workbench.llm.gguf_tables import BLOCKS, FILE_TYPES

PAIR, TEXT, LIST = struct.Struct("<QI"), 8, 9


HEADER_BYTES = 45_000
"""About so long is the tiny model before its tensors."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder: Path) -> bytes:
    return tiny_model(folder).read_bytes()


def outcome(path: Path, data: bytes) -> Header | InputError:
    """What comes of these bytes; anything but these two fails the test."""
    path.write_bytes(data)
    try:
        return read_header(path)
    except InputError as error:
        assert str(error)
        return error


def refused(path: Path, data: bytes) -> str:
    error = outcome(path, data)
    assert isinstance(error, InputError)
    return str(error)


def begun(pairs: int = 0, tensors: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def test_a_model_says_what_it_is(folder: Path) -> None:
    header = read_header(tiny_model(folder))
    assert (header.architecture, header.kind) == ("llama", "model")
    assert header.metadata["general.name"] == "Tiny"
    assert header.context_length == CONTEXT_SIZE
    assert header.quantization == "F32"
    assert header.size_label == "Tiny"
    assert header.number("block_count") == 2
    assert not header.embeds
    assert header.file_bytes == header.needed_bytes == tiny_model(folder).stat().st_size
    assert read_header(tiny_embedder(folder)).embeds


def test_it_counts_as_the_gguf_package_does(folder: Path) -> None:
    ours, theirs = read_header(tiny_model(folder)), gguf.GGUFReader(tiny_model(folder))
    assert ours.parameters == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert ours.vocabulary == len(theirs.fields["tokenizer.ggml.tokens"].data)


def test_the_tables_are_those_of_the_gguf_package() -> None:
    sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: BLOCKS[kind] for kind in sizes} == sizes
    for kind in gguf.LlamaFileType:
        if kind.value < 1024:
            assert kind.name.endswith(f"_{FILE_TYPES[kind.value]}")


def test_parameters_are_named_as_people_name_them() -> None:
    counts = (999, 1_000, 34_500_000, 1_234_567_890, 70_553_706_496, 9_960_000_000, 10**12)
    labels = ["999", "1.0K", "34M", "1.2B", "71B", "10B", "1.0T"]
    assert [_label(count) for count in counts] == labels


def test_a_truncated_model_names_both_sizes(folder: Path, model: bytes) -> None:
    said = refused(folder / "cut.gguf", model[:-1000])
    size = len(model)
    assert said == f"cut.gguf is cut short: it has {size - 1000} bytes of {size}; fetch it again"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it ends within its own description"),
        (b"GGUF", "it ends within its own description"),
        (b"<html>404 not found</html>", "it does not begin with GGUF"),
        (begun(version=1), "is no GGUF of version 2 or 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is no GGUF of version 2 or 3"),
        (begun(pairs=2**63), "it counts more items"),
        (begun(tensors=2**63), "it counts more items"),
        (begun(pairs=1) + struct.pack("<Q", 2**60), "its texts are longer"),
        (begun(pairs=1) + PAIR.pack(0, 99), "a value of an unknown type"),
        (
            begun(pairs=1) + PAIR.pack(0, LIST) + struct.pack("<IQ", LIST, 1),
            "a list of an unknown type",
        ),
        (begun(pairs=1) + PAIR.pack(0, LIST) + struct.pack("<IQ", TEXT, 2**40), "more items"),
        (begun(pairs=1) + PAIR.pack(0, LIST) + struct.pack("<IQ", 0, 2**60), "it ends within"),
        (begun(pairs=1) + PAIR.pack(0, LIST) + struct.pack("<IQ", TEXT, 9), "it ends within"),
        (begun(pairs=1) + PAIR.pack(0, LIST) + struct.pack("<IQQ", TEXT, 9, 2**63), "it ends wi"),
        (begun(tensors=1) + struct.pack("<QI", 0, 2**31), "has more than 4 dimensions"),
    ],
)
def test_what_is_no_model_is_refused_by_its_reason(folder: Path, data: bytes, said: str) -> None:
    assert said in refused(folder / "odd.gguf", data)


def test_an_alignment_that_is_none_is_refused(folder: Path) -> None:
    name = b"general.alignment"
    for layout, kind, value in (("<I", 4, 0), ("<i", 5, -32), ("<f", 6, 32.0)):
        pair = struct.pack("<Q", len(name)) + name + struct.pack("<I", kind)
        said = refused(folder / "odd.gguf", begun(pairs=1) + pair + struct.pack(layout, value))
        assert "general.alignment" in said


def test_values_of_the_wrong_type_are_as_good_as_missing(folder: Path) -> None:
    data = begun(pairs=3)
    for name in (b"general.file_type", b"general.size_label", b".context_length"):
        data += struct.pack("<Q", len(name)) + name + struct.pack("<IIQ", LIST, 4, 1)
        data += struct.pack("<I", 7)
    header = outcome(folder / "odd.gguf", data)
    assert isinstance(header, Header)
    assert (header.quantization, header.size_label, header.context_length) == (None, "0", None)


def test_what_cannot_be_opened_is_said_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.gguf")
    for path, said in (
        (folder / "gone.gguf", "gone.gguf cannot be read: No such file or directory"),
        (folder / "pipe.gguf", "pipe.gguf is no file; name a model file"),
        (folder, f"{folder.name} is no file; name a model file"),
    ):
        with pytest.raises(InputError) as caught:
            read_header(path)
        assert str(caught.value) == said


def test_a_model_in_parts_is_read_as_one(tmp_path: Path) -> None:
    whole = read_header(write(tmp_path / "whole.gguf", name="Whole"))
    for number in (1, 2, 3):
        write(tmp_path / f"m-0000{number}-of-00003.gguf", name="Whole")
    first = tmp_path / "m-00001-of-00003.gguf"
    assert [path.name[:7] for path in parts(first)] == ["m-00001", "m-00002", "m-00003"]
    assert read_model(first).parameters == 3 * whole.parameters
    assert read_model(first).file_bytes == 3 * whole.file_bytes


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    first = write(tmp_path / "m-00001-of-00002.gguf", name="Half")
    with pytest.raises(InputError, match=r"^m-00002-of-00002.gguf cannot be read: No such file"):
        read_model(first)
    with pytest.raises(InputError, match="is one of 99999 files"):
        read_model(first.rename(tmp_path / "m-00001-of-99999.gguf"))


@given(data=st.binary(max_size=2000))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.gguf"
    assert isinstance(outcome(path, data), InputError)
    outcome(path, begun() + data)
    outcome(path, begun(pairs=3, tensors=2) + data)


@settings(max_examples=300)
@given(data=st.data())
def test_a_cut_or_changed_model_gives_a_header_or_a_sentence(
    folder: Path, model: bytes, data: st.DataObject
) -> None:
    changed = bytearray(model[: data.draw(st.integers(0, len(model)))])
    for place in data.draw(st.lists(st.integers(0, HEADER_BYTES), max_size=8)):
        if place < len(changed):
            changed[place] = data.draw(st.integers(0, 255))
    outcome(folder / "changed.gguf", bytes(changed))


def test_the_worst_header_takes_bounded_time_and_memory(tmp_path: Path) -> None:
    """A million empty texts in lists, in a process that may hold 200 MB more than at its start."""
    data = begun(pairs=2)
    for name in (b"a", b"b"):
        data += struct.pack("<Q", 1) + name + struct.pack("<IIQ", LIST, TEXT, 990_000)
        data += bytes(8 * 990_000)
    (tmp_path / "worst.gguf").write_bytes(data)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from workbench.llm.gguf_header import read_header\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "read_header(Path(sys.argv[1]))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "unit = 1024 if sys.platform == 'darwin' else 1\n"
        "print((after - before) / unit)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "worst.gguf")],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert float(done.stdout) < 20_000
