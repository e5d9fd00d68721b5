"""What a task process does to frames, lines, values and the floor it leaves behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engines.waiting import alive, until
from workbench.core.job import Log, Progress
from workbench.core.mesh_wire import sentence
from workbench.engines.child import Capture, RunningContext
from workbench.engines.frames import (
    LARGE_BYTES,
    LINE_CHARS,
    Frame,
    Lines,
    Order,
    Reader,
    Returned,
    Started,
    Table,
    pack,
    pack_table,
    speakable,
    to_json,
)
from workbench.errors import InputError


class Kept:
    """An outlet that keeps what is sent."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, message: Frame) -> None:
        self.frames.append(message)


def lines_of(frames: list[Frame]) -> list[str]:
    return [frame.values["line"] for frame in frames if isinstance(frame, Log)]


def test_frames_come_out_whole_however_they_are_cut() -> None:
    messages: list[Frame] = [Started(), Progress(1, 2), Log("info", "x" * 5000), Started()]
    wire = b"".join(map(pack, messages))
    reader, found = Reader(), []
    for start in range(0, len(wire), 7):
        found += list(reader.feed(wire[start : start + 7]))
    assert found == messages


def test_a_table_is_one_frame_of_the_very_memory_that_holds_it() -> None:
    held = bytearray(b"x" * 300_000)
    head, *body = pack_table("prices", [memoryview(held), memoryview(b"y")])
    held[:] = b"z" * len(held)
    (frame,) = Reader().feed(b"".join([head, *body]))
    assert frame == Table("prices", b"z" * 300_000 + b"y")


def test_a_large_table_between_small_frames_comes_out_whole_however_it_is_cut() -> None:
    body = random.Random(1).randbytes(LARGE_BYTES + 12_345)
    table = b"".join(pack_table("prices", [memoryview(body)]))
    wire = pack(Started()) + table + pack(Progress(1, 2)) + table + pack(Started())
    prices = Table("prices", memoryview(body))
    for size in (65_536, 400_001, len(wire)):
        reader, found = Reader(), []
        for start in range(0, len(wire), size):
            found += list(reader.feed(wire[start : start + size]))
        assert found == [Started(), prices, Progress(1, 2), prices, Started()]


@pytest.mark.parametrize(
    "junk", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x01\x05"]
)
def test_junk_is_refused_and_never_waited_for(junk: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(Reader().feed(junk))


def test_lines_end_at_newlines_and_carriage_returns_and_are_cut() -> None:
    lines = Lines()
    assert list(lines.feed("a\nb\r\n\n  \nc")) == ["a", "b"]
    assert list(lines.feed("d\r50%\r")) == ["cd", "50%"]
    for _ in range(100):
        assert list(lines.feed("x" * 1000)) == []
    (long,) = lines.feed("\n")
    assert len(long) == LINE_CHARS
    assert long.endswith("…")
    assert list(lines.feed("end")) == []
    assert list(lines.rest()) == ["end"]
    assert list(lines.rest()) == []


def test_a_captured_stream_sends_lines_and_keeps_the_open_one_for_the_end() -> None:
    kept = Kept()
    stream = Capture(kept, "warning", 2)  # type: ignore[arg-type]
    print("one", 2, file=stream)
    print("three", end="", file=stream)
    assert lines_of(kept.frames) == ["one 2"]
    stream.finish()
    assert kept.frames[-1] == Log("warning", "{line}", {"line": "three"})


def test_json_keeps_integers_exact_and_writes_nan_and_infinity_as_null() -> None:
    assert to_json({"a": 2**128 - 1, "b": [float("nan"), 1.5]}) == (
        b'{"a":340282366920938463463374607431768211455,"b":[null,1.5]}'
    )
    assert to_json({"a": float("inf")}) == b'{"a":null}'


def test_json_writes_what_numpy_and_pandas_hold() -> None:
    import numpy
    import pandas

    value = {"n": numpy.int64(3), "x": numpy.arange(2), "f": numpy.float32("nan")}
    assert to_json(value) == b'{"n":3,"x":[0,1],"f":null}'
    assert to_json(pandas.Timestamp("2024-04-20")) == b'"2024-04-20T00:00:00"'
    with pytest.raises(TypeError, match="a object cannot be written as JSON"):
        to_json(object())


def test_values_of_a_sentence_travel_as_numbers_and_words() -> None:
    import numpy

    given = {"n": numpy.int64(3), "big": 2**70, "path": Path("/a"), "none": None, "yes": True}
    assert speakable("{a}", given)[1] == {
        "n": 3,
        "big": "1180591620717411303424",
        "path": "/a",
        "none": None,
        "yes": True,
    }


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("loss {loss:.3f}", {"loss": 0.12345}, "loss 0.123"),
        ("of {path.name}", {"path": Path("/a/b.txt")}, "of b.txt"),
        ("{loss:zz}", {"loss": 1.5}, "{loss:zz} (loss=1.5)"),
        ("{n} {loss:.3f}", {"n": 2, "loss": None}, "{n} {loss:.3f} (n=2, loss=None)"),
        ("{n} {n:row|rows}", {"n": 1}, "1 row"),
        ("a {set, of} braces", {"n": 1}, "a {set, of} braces (n=1)"),
    ],
)
def test_a_format_is_filled_where_its_value_still_is_what_it_was(
    template: str, values: dict[str, Any], text: str
) -> None:
    assert sentence(*speakable(template, values)) == text


def running(kept: Kept) -> RunningContext:
    order = Order(key="k", target="m:f", parameters=b"{}", inputs={}, timeout_s=1, seed=1)
    return RunningContext(order, kept, None)  # type: ignore[arg-type]


def test_progress_is_a_part_of_a_whole_and_a_line_has_a_level() -> None:
    kept = Kept()
    context = running(kept)
    for done, total in ((-1, 2), (1, 2), (5, 2), (0, 0)):
        context.progress(done, total)
    assert [(frame.done, frame.total) for frame in kept.frames if isinstance(frame, Progress)] == [
        (0, 2),
        (1, 2),
        (2, 2),
        (1, 1),
    ]
    for done, total in ((float("nan"), 2), (1, float("nan")), (1, -1), (1, float("inf"))):
        with pytest.raises(InputError, match=r"^(done|total) is .*; allowed: a number from 0"):
            context.progress(done, total)
    context.log("x", level="debug")
    assert kept.frames[-1] == Log("debug", "x", {})


def test_a_line_ends_no_task_whatever_it_says() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    kept = Kept()
    context = running(kept)
    context.log("{n} of {all}", n=1, all=2, level="loud")
    context.log("half \ud800")
    context.log("{part}", part="half \ud800")
    context.log("{part:>7}", part="\ud800")
    context.log("{part}", part=Mute())
    printed = Capture(kept, "info", 1)  # type: ignore[arg-type]
    printed.write("half \ud800\n")
    context.progress(1, 2, "half \ud800")
    said = [frame for frame in kept.frames if isinstance(frame, Log)]
    assert [sentence(each.template, each.values) for each in said] == [
        "1 of 2 (the level loud is not known; allowed: debug, info, warning, error)",
        "half \\ud800",
        "half \\ud800",
        "      \\ud800",
        "<Mute>",
        "half \\ud800",
    ]
    assert {each.level for each in said} == {"info"}
    assert list(Reader().feed(b"".join(map(pack, kept.frames)))) == kept.frames


@contextmanager
def child() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A bare child process and the descriptor its frames come out of."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.engines.child", str(theirs), str(os.getpid())],
        stdin=subprocess.PIPE,
        pass_fds=(theirs,),
        start_new_session=True,
        bufsize=0,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        assert process.stdin
        process.stdin.close()
        os.close(ours)


def order(function: str, folder: Path, parameters: bytes = b"{}") -> Order:
    return Order(
        key="t.1",
        target=f"tests.engines.models:{function}",
        parameters=parameters,
        inputs={},
        timeout_s=10,
        seed=1,
        scratch=str(folder),
    )


def test_a_child_takes_orders_until_its_pipe_closes(tmp_path: Path) -> None:
    with child() as (process, frames):
        assert process.stdin
        for text in (b"one", b"two"):
            process.stdin.write(pack(order("echo", tmp_path, b'{"text":"%s"}' % text)))
            reader, found = Reader(), []
            while not any(isinstance(frame, Returned) for frame in found):
                found += list(reader.feed(os.read(frames, 65536)))
            assert found[0] == Started()
            assert text in found[-1].document
        process.stdin.close()
        assert process.wait(30) in (0, -signal.SIGKILL)


def test_a_child_leaves_while_its_model_is_busy(tmp_path: Path) -> None:
    with child() as (process, frames):
        assert process.stdin
        process.stdin.write(pack(order("hang", tmp_path, b'{"stubborn":true,"family":true}')))
        reader, found = Reader(), []
        while not any(isinstance(frame, Log) for frame in found):
            found += list(reader.feed(os.read(frames, 65536)))
        grandchild = int(found[-1].values["pids"].split()[1])
        process.stdin.close()
        assert process.wait(30) == -signal.SIGKILL
        until(lambda: not alive(grandchild), limit_s=30)
