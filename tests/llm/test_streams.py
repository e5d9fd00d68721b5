"""Bytes of a stream become events, however they are cut, and a hostile one is refused."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.llm import BackendBroken, Reasoning, Token
from workbench.llm.streams import Lines, Ndjson, Parser, ServerEvent, Sse, decoded
from workbench.llm.thinking import Thinking

VALUES = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def cut(body: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(n, len(body)) for n in at), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def read(parser: Parser, parts: list[bytes]) -> list[ServerEvent]:
    return [event for part in parts for event in parser.feed(part)] + parser.end()


@given(VALUES, ENDS, st.lists(st.integers(0, 400), max_size=30))
def test_an_event_stream_reads_the_same_however_it_is_cut(
    values: list[dict[str, str]], end: str, at: list[int]
) -> None:
    lines = [f"data: {json.dumps(v, ensure_ascii=False)}{end}: ping{end}{end}" for v in values]
    body = "".join(lines).encode()
    events = read(Sse("a"), cut(body, at))
    assert [json.loads(data) for _, data in events] == values


@given(VALUES, st.sampled_from(["\n", "\r\n"]), st.lists(st.integers(0, 400), max_size=30))
def test_lines_of_json_read_the_same_however_they_are_cut(
    values: list[dict[str, str]], end: str, at: list[int]
) -> None:
    body = end.join(json.dumps(v, ensure_ascii=False) for v in values).encode()
    assert [json.loads(data) for _, data in read(Ndjson("a"), cut(body, at))] == values


def test_a_line_end_that_is_cut_in_two_ends_one_line() -> None:
    lines = Lines("a")
    assert lines.feed(b"one\r") == [b"one"]
    assert lines.feed(b"") == []
    assert lines.feed(b"\n") == []
    assert lines.feed(b"two\r\n\r\n") == [b"two", b""]


def test_an_event_has_its_name_and_all_its_data() -> None:
    body = b"\xef\xbb\xbfevent: error\ndata: one\ndata:two\nid: 7\nretry: 3\n\ndata: last"
    assert read(Sse("a"), [body]) == [("error", b"one\ntwo")]


@pytest.mark.parametrize("parser", [Sse("llama", 1000), Ndjson("llama", 1000)])
def test_an_endless_line_is_refused(parser: Parser) -> None:
    with pytest.raises(BackendBroken) as caught:
        read(parser, [b"x" * 100] * 11)
    assert str(caught.value) == "llama sent an event of more than 1000 bytes"


def test_an_event_of_endlessly_many_lines_is_refused() -> None:
    with pytest.raises(BackendBroken, match="more than 1000 bytes"):
        read(Sse("llama", 1000), [b"data: 0123456789\n"] * 200)


@pytest.mark.parametrize(
    "data",
    [b"{", b'{"a": "\xff"}', b"[" * 100_000, b'{"b":' + b"[" * 100_000, b'"text"', b'{"a": 5}'],
)
def test_what_cannot_be_read_is_the_back_ends_fault(data: bytes) -> None:
    class Shape(msgspec.Struct):
        a: str = ""

    with pytest.raises(BackendBroken, match="llama sent what cannot be read: "):
        decoded(data, msgspec.json.Decoder(Shape), "llama")


def split(text: str, at: list[int]) -> tuple[str, str, int]:
    """What was thought, what was said, and how many tokens it took, of a text so cut."""
    thinking = Thinking()
    edges = sorted({0, *(min(n, len(text)) for n in at), len(text)})
    events: list[Any] = []
    for a, b in itertools.pairwise(edges):
        events += thinking.feed(text[a:b])
    events += thinking.end()
    assert all(event.text for event in events)
    return (
        "".join(e.text for e in events if isinstance(e, Reasoning)),
        "".join(e.text for e in events if isinstance(e, Token)),
        sum(e.tokens for e in events),
    )


@given(st.lists(st.integers(0, 60), max_size=40))
def test_thoughts_are_told_from_words_however_they_are_cut(at: list[int]) -> None:
    text = "\n<think>\nIs 1 < 2? </thin\n</think>\n\nYes: <think> is a tag"
    thought, said, tokens = split(text, at)
    assert (thought, said) == ("Is 1 < 2? </thin\n", "Yes: <think> is a tag")
    assert tokens == len({0, *at, len(text)} - {n for n in at if n > len(text)}) - 1


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("plain", "", "plain"),
        ("  two spaces", "", "  two spaces"),
        ("<thinking> is fun", "", "<thinking> is fun"),
        ("<thi", "", "<thi"),
        ("<think>cut off</th", "cut off</th", ""),
        ("<think>\n\n</think>\n\nnothing thought", "", "nothing thought"),
        ("so: <think>x</think>", "", "so: <think>x</think>"),
    ],
)
@given(at=st.lists(st.integers(0, 30), max_size=10))
def test_only_a_block_at_the_beginning_is_a_thought(
    text: str, thought: str, said: str, at: list[int]
) -> None:
    assert split(text, at)[:2] == (thought, said)
