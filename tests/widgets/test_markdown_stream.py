"""Markdown in pieces: the same as in one, each closed block once, in proportion to its length."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.work import work
from workbench.widgets.markdown import render
from workbench.widgets.markdown_mend import mended
from workbench.widgets.markdown_stream import StreamingMarkdown

PARTS = [
    "word ",
    "two words\n",
    "\n",
    "\n\n",
    "# head",
    "## head\n",
    "===\n",
    "---\n",
    "- item\n",
    "- ",
    "* star\n",
    "1. one\n",
    "2. two\n",
    "  inner\n",
    "    deep\n",
    "> quote\n",
    ">",
    "```\n",
    "```python\n",
    "~~~\n",
    "````\n",
    "  ```\n",
    "x = 1\n",
    "`code`",
    "`",
    "**bold**",
    "**",
    "*",
    "_em_",
    "~~",
    "| a | b |\n",
    "|---|---|\n",
    "| 1 | 2 |\n",
    "|",
    "$x$",
    "$",
    "$$\n",
    "$$",
    "\\[\n",
    "\\]\n",
    "\\(",
    "\\)",
    "\\",
    "[link](https://a.test)",
    "[ref]",
    "[ref]: https://b.test\n",
    "[ref]: https://c.test\n'title\n",
    "more'\n",
    "[",
    "](",
    "![p](https://a.test/p.png)",
    "<b>",
    "&amp;",
    "\t",
    "\r\n",
    "\r",
    "\u00e9\U0001f600",
    "- [x] done\n",
]
texts = st.lists(st.sampled_from(PARTS), max_size=24).map("".join)
cuts = st.lists(st.integers(1, 12), min_size=1, max_size=40)


def streamed(source: str, sizes: list[int]) -> StreamingMarkdown:
    """Fed in pieces of these sizes, over and over; a closed block is told once, but for links."""
    stream = StreamingMarkdown()
    told: dict[int, str] = {}
    at = turn = 0
    while at < len(source):
        size = sizes[turn % len(sizes)]
        for place, drawn in stream.feed(source[at : at + size]).closed:
            assert place not in told
            told[place] = drawn
        at, turn = at + size, turn + 1
    told |= dict(stream.finish().closed)
    assert [told[place] for place in sorted(told)] == stream.blocks
    return stream


@settings(max_examples=300, deadline=None)
@given(source=texts, sizes=cuts)
def test_pieces_give_what_the_whole_gives(source: str, sizes: list[int]) -> None:
    stream = streamed(source, sizes)
    assert stream.blocks == render(source)
    assert stream.source == source


@settings(max_examples=100, deadline=None)
@given(source=st.text("ab \n`*_#>-+1.$\\[]()|~:!\t", max_size=120), sizes=cuts)
def test_pieces_of_anything_give_what_the_whole_gives(source: str, sizes: list[int]) -> None:
    assert streamed(source, sizes).blocks == render(source)


@settings(max_examples=100, deadline=None)
@given(source=texts)
def test_the_unfinished_end_can_always_be_drawn(source: str) -> None:
    render(mended(source))


def test_a_closed_block_is_never_told_again() -> None:
    stream = StreamingMarkdown()
    source = "one\n\ntwo\n\n```python\nx = 1\n```\n\nthree\n"
    told = [place for letter in source for place, _ in stream.feed(letter).closed]
    told += [place for place, _ in stream.finish().closed]
    assert told == [0, 1, 2, 3]


def test_a_link_that_is_defined_at_the_end_reaches_the_words_at_the_start() -> None:
    stream = StreamingMarkdown()
    stream.feed("see [ord]\n\nand more\n\n")
    assert "<a" not in stream.blocks[0]
    stream.feed("[ord]: https://docs.ordinals.com\n")
    change = stream.finish()
    assert 0 in dict(change.closed)
    assert 'href="https://docs.ordinals.com"' in stream.blocks[0]
    assert stream.blocks == render(stream.source)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "source",
    [
        "[ref]:\n'\n\n\tcode\nword\n[ref]",
        "\n[ref]:r\n\n|\n1. e\n[ref]",
        "[ref]: /u\n'title\nmore'\n\n[ref]\n\n# head\n\n[ref]\n",
        "a\n\n[ref]: https://one.test\n\nb\n\n[ref]: https://two.test\n\n[ref]\n",
    ],
)
def test_links_defined_anywhere_between_blocks_reach_every_block(source: str, size: int) -> None:
    assert streamed(source, [size]).blocks == render(source)


def texts_while_written(source: str) -> list[str]:
    """What can be read of the open block after each letter."""
    stream, seen = StreamingMarkdown(), []
    for letter in source:
        stream.feed(letter)
        seen.append(re.sub(r"<[^>]+>", "", stream.tail) + stream.more)
    return seen


@pytest.mark.parametrize(
    "source",
    [
        "this is **bold** and *leaning* and ~~gone~~ now",
        "call `f(x)` and ``a`b`` then",
        "**all `of` it**",
        "a [link](https://example.org/a) here",
        "- **point** one\n- **point** two",
        "***both*** of them",
    ],
)
def test_marks_are_never_seen_while_a_sentence_is_written(source: str) -> None:
    for seen in texts_while_written(source):
        assert not re.search(r"\*\*|~~|`f|\]\(|https", seen.replace("a`b", "")), seen


def test_the_words_only_ever_grow_while_they_are_written() -> None:
    seen = texts_while_written("this is **bold** and `code` and *leaning* words")
    assert all(after.startswith(before.strip()) for before, after in itertools.pairwise(seen))


def test_a_table_is_a_table_from_its_first_row_on() -> None:
    stream = StreamingMarkdown()
    stream.feed("| rune | share |")
    assert "<th>share</th>" in stream.tail
    for letter in "\n|---|---:|\n| DOG | 1":
        stream.feed(letter)
        assert "<th" in stream.tail
    assert "<td>DOG</td>" in stream.tail


def test_a_line_of_dashes_makes_no_heading_before_it_is_over() -> None:
    stream = StreamingMarkdown()
    stream.feed("a line\n-")
    assert "<h2>" not in stream.tail
    stream.feed(" item")
    assert "<li>item</li>" in stream.tail


def test_open_code_is_code_at_once_and_its_closing_marks_are_never_seen() -> None:
    stream = StreamingMarkdown()
    for letter in "```python\nx = 1\n``":
        stream.feed(letter)
    assert "data-open" in stream.tail
    assert "`" not in stream.tail + stream.more


def test_long_code_travels_as_what_was_added() -> None:
    """Drawn anew it would be quadratic: 20,000 lines are told in a few times their length."""
    stream = StreamingMarkdown()
    lines = [f"value_{number} = {number}\n" for number in range(20_000)]
    told, source = 0, "```python\n" + "".join(lines)

    def feed() -> None:
        nonlocal told
        for at in range(0, len(source), 40):
            change = stream.feed(source[at : at + 40])
            told += len(change.tail or "") + len(change.more)

    assert work(feed) < 20 * len(source)
    assert told < 6 * len(source)
    stream.feed("```\n")
    assert stream.blocks == render(source + "```\n")


@pytest.mark.parametrize(
    "unit", ["- a long enough item of a list\n", "words and words ", "a line\n", "> a line\n"]
)
def test_work_grows_in_proportion_to_the_length(unit: str) -> None:
    def feed(size: int) -> None:
        source = unit * (size // len(unit))
        stream = StreamingMarkdown()
        for at in range(0, len(source), 100):
            stream.feed(source[at : at + 100])
        stream.finish()

    feed(1_000)  # what is made once is there
    small, large = work(lambda: feed(2_000)), work(lambda: feed(8_000))
    assert large < 8 * small  # in proportion: 4 times; quadratic: 16 times


def test_a_formula_shows_its_source_until_it_is_whole() -> None:
    stream = StreamingMarkdown()
    stream.feed("$$\n\\frac{a}{b")
    assert "<code>" in stream.tail
    assert "\\frac{a}{b" in stream.tail
    stream.feed("}\n$$\n")
    assert "<mfrac>" in stream.tail
