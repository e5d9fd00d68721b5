"""Texts cut and split to a number of tokens: never too long, nothing lost, few counts."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm.scripted import words
from workbench.core.llm_results import Count
from workbench.errors import InputError
from workbench.llm.text import Counter, split, truncate
from workbench.llm.tokens import prior

TEXTS = st.text(alphabet="ab cä.\n#`é日👍🏽\u200d\u0301", max_size=400)


class Counting:
    """Counts by `words`, and how often it was asked."""

    def __init__(self, exact: bool = True) -> None:
        self.calls = 0
        self.exact = exact

    async def __call__(self, text: str) -> Count:
        self.calls += 1
        tokens = words(text) if self.exact else round(prior(text))
        return Count(tokens=tokens, exact=self.exact)


def story(paragraphs: int) -> str:
    chance = random.Random(7)
    names = ["river", "lamp", "winter", "a", "of", "Königsberg", "bridge"]
    return "\n\n".join(
        "# Part {n}\n\n{text}.".format(n=n, text=" ".join(chance.choices(names, k=40)))
        for n in range(paragraphs)
    )


async def test_keeps_the_end_or_the_start_up_to_exactly_the_limit() -> None:
    text, count = story(40), Counting()
    end = await truncate(count, text, 500)
    start = await truncate(count, text, 500, "start")
    assert (end.count.tokens, start.count.tokens) == (500, 500)
    assert text.endswith(end.text)
    assert text.startswith(start.text)
    assert end.cut
    assert start.cut


async def test_a_long_text_is_cut_with_few_counts() -> None:
    count = Counting()
    await truncate(count, story(2000), 4000)
    assert count.calls <= 12


async def test_what_fits_stays_as_it_is() -> None:
    count = Counting()
    whole = await truncate(count, "one two", 3)
    assert (whole.text, whole.cut, count.calls) == ("one two", False, 1)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, limit=st.integers(1, 60), keep=st.sampled_from(["start", "end"]))
def test_a_cut_is_never_over_the_limit_and_hardly_under_it(
    text: str, limit: int, keep: str
) -> None:
    cut = asyncio.run(truncate(Counting(), text, limit, keep))
    assert words(cut.text) == cut.count.tokens <= limit
    assert text.endswith(cut.text) if keep == "end" else text.startswith(cut.text)
    longest_cluster = 8
    if cut.cut and not any(sign in text for sign in "\u200d\u0301🏽"):
        more = text[-len(cut.text) - longest_cluster :] if keep == "end" else text
        assert words(more) > limit or cut.count.tokens == limit


async def test_characters_that_are_shown_as_one_are_not_cut_apart() -> None:
    text = "x" + "👍🏽" * 9 + "👩\u200d💻"
    for limit in range(1, 20):
        cut = await truncate(Counting(), text, limit)
        assert not cut.text or cut.text[0] in "x👍👩", cut.text
        cut = await truncate(Counting(), text, limit, "start")
        assert not cut.text.endswith("\u200d")
        assert not cut.text.endswith("👍")


@pytest.mark.parametrize("exact", [True, False])
@settings(max_examples=60, deadline=None)
@given(text=TEXTS, limit=st.integers(12, 60))
def test_parts_are_within_the_limit_and_joined_they_are_the_text(
    exact: bool, text: str, limit: int
) -> None:
    count = Counting(exact)
    parts = asyncio.run(split(count, text, limit))
    assert "".join(parts) == text
    assert all(asyncio.run(count(part)).tokens <= limit for part in parts)


async def test_parts_begin_at_headings_and_are_well_filled() -> None:
    text = story(60)
    parts = await split(Counting(), text, 400)
    assert all(part.lstrip().startswith("# Part") for part in parts)
    assert len(parts) <= 2 * words(text) / 400
    assert "".join(parts) == text


async def test_parts_overlap_as_far_as_asked() -> None:
    text = " ".join(f"Sentence {n} is short." for n in range(300))
    parts = await split(Counting(), text, 200, 40)
    assert all(words(part) <= 200 for part in parts)
    for before, after in itertools.pairwise(parts):
        shared = max(n for n in range(len(after)) if before.endswith(after[:n]))
        assert 0 < words(after[:shared]) <= 40
    assert all(piece in "".join(parts) for piece in text.split())


async def test_a_text_denser_in_places_than_on_the_whole_is_split_exactly_there() -> None:
    text = "word " * 2000 + "!?" * 2000
    count = Counting()
    parts = await split(count, text, 300)
    assert all(words(part) <= 300 for part in parts)
    assert "".join(parts) == text


async def test_with_overlap_no_part_only_repeats_another() -> None:
    chance = random.Random(3)
    for _ in range(5):
        pairs = [(chance.randint(1, 3), chance.randint(0, 3)) for _ in range(900)]
        text = " ".join(f"{n}" + "word" * long + "!" * m for n, (long, m) in enumerate(pairs))
        parts = await split(Counting(), text, 150, 30)
        assert all(words(part) <= 150 for part in parts)
        assert not any(b in a or a in b for a, b in itertools.pairwise(parts))


async def test_splitting_costs_about_one_count_for_each_part() -> None:
    count = Counting()
    parts = await split(count, story(400), 500)
    assert count.calls <= 3 * len(parts)


async def test_a_cancelled_split_stops_counting() -> None:
    started, forever = asyncio.Event(), asyncio.Event()

    async def count(text: str) -> Count:
        if len(text) < 5000:
            started.set()
            await forever.wait()
        return Count(tokens=words(text), exact=True)

    counter: Counter = count
    work = asyncio.create_task(split(counter, "a" * 3000 + "!" * 3000, 300))
    await asyncio.wait_for(started.wait(), 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


@pytest.mark.parametrize("limit", [0, -3])
async def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(InputError, match=f"limit is {limit}; allowed: 1 or more"):
        await truncate(Counting(), "a b", limit)
    with pytest.raises(InputError, match="overlap is 5; allowed: 0 to less than the limit"):
        await split(Counting(), "a b", 5, 5)
