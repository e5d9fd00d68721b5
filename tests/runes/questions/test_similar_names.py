"""Names that look alike: by hand, against every pair tried, and where nothing can be said."""

from __future__ import annotations

import math
import re
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.named import named
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.name_pairs import near_pairs
from workbench.runes.questions.similar_names import similar_names

DOG = "840000:3"


def found(answer: Any) -> list[tuple[Any, ...]]:
    names = ("of", "rune_id", "kind", "edits")
    return [tuple(row[name] for name in names) for row in answer.table.to_pylist()]


def test_one_letter_more_is_near_by_cosine_and_one_edit() -> None:
    """^CATS$ and ^CAT$ share ^CA and CAT of 4 and 3 triples: 2 / sqrt(12)."""
    answer = similar_names(named((DOG, "CAT"), ("850000:1", "CATS")), rune="cat")
    [row] = answer.table.to_pylist()
    assert (row["of_name"], row["name"], row["kind"], row["edits"]) == ("CAT", "CATS", "near", 1)
    assert row["cosine"] == 2 / math.sqrt(12)
    assert (row["later"], row["blocks_later"], row["holders"]) == (True, 10_000, None)
    explained = answer.explain()
    assert explained.formulas == (
        "cosine = sum over triples of letters of n_a * n_b / sqrt(sum n_a^2 * sum n_b^2), with a "
        "mark before the first and after the last letter",
        "edits = Levenshtein distance of the letters, spacers left out",
        "near: cosine >= 0.5 and edits <= 3",
        "spacers: the same letters; words: the same words in another order; doubled: the same "
        "letters once runs of one letter count once",
    )
    assert explained.assumptions == (
        "a holder is a script, or an address where the script is not known",
    )
    assert str(answer.sentence) == (
        "1 of 2 names looks like CAT: 0 but for spacers, 0 with its words, 0 with doubled letters, "
        "1 near it; 1 came later"
    )


def test_a_triple_that_comes_twice_counts_twice() -> None:
    """^AAAA$ has ^AA, AAA twice, AA$; ^AAA$ has each once: 4 / sqrt(6 * 3)."""
    answer = similar_names(named((DOG, "AAAA"), ("840000:2", "AAA")), rune=DOG)
    [row] = answer.table.to_pylist()
    assert (row["cosine"], row["kind"], row["later"]) == (4 / math.sqrt(18), "doubled", False)
    assert row["blocks_later"] == 0


def test_each_way_to_deceive_has_its_name_and_comes_in_this_order() -> None:
    batch = named(
        (DOG, "DOG•GO•TO"),
        ("850000:1", "DOGGO•TOO"),
        ("850000:2", "TO•GO•DOG"),
        ("850000:3", "DOGG•OTO"),
        ("850000:4", "DOG•GO•TOM"),
        ("850000:5", "UNLIKE•IT"),
        ("850000:6", "DOG•GO•TA"),
    )
    answer = similar_names(batch, rune="DOG•GO•TO", cosine=0.3, edits=2)
    assert found(answer) == [
        (DOG, "850000:3", "spacers", 0),
        (DOG, "850000:2", "words", 4),
        (DOG, "850000:1", "doubled", 1),
        (DOG, "850000:4", "near", 1),
        (DOG, "850000:6", "near", 1),
    ]
    facts = answer.facts
    assert [facts[kind] for kind in ("spacers", "words", "doubled", "near")] == [1, 1, 1, 2]
    assert (facts["pairs"], facts["later"], facts["names"]) == (5, 5, 7)


@pytest.mark.parametrize(("cosine", "edits", "kept"), [(0.57, 1, 1), (0.58, 1, 0), (0.5, 0, 0)])
def test_near_needs_the_cosine_and_the_edits(cosine: float, edits: int, kept: int) -> None:
    batch = named((DOG, "CAT"), ("850000:1", "CATS"))
    assert similar_names(batch, rune=DOG, cosine=cosine, edits=edits).table.num_rows == kept


def test_the_runes_most_held_are_guarded_and_a_holder_counts_once() -> None:
    held = [("840000:1", "a", 1), ("840000:1", "a", 1), ("840000:1", "b", 0), ("840002:1", "", 1)]
    held += [("840001:1", "a", 1), ("840001:1", "b", 1), ("840001:1", "", 1)]
    names = [("840000:1", "CATS"), ("840001:1", "CAT"), ("840002:1", "CATSY")]
    batch = named(*names, held=held)
    answer = similar_names(batch, cosine=0.5, edits=1)
    assert found(answer) == [
        ("840001:1", "840000:1", "near", 1),
        ("840000:1", "840002:1", "near", 1),
        ("840000:1", "840001:1", "near", 1),
    ]
    assert [row["of_holders"] for row in answer.table.to_pylist()] == [2, 1, 1]
    assert [row["holders"] for row in answer.table.to_pylist()] == [1, 0, 2]
    assert [row["later"] for row in answer.table.to_pylist()] == [False, True, True]
    assert str(answer.sentence) == (
        "2 of the 2 runes most held have names that look like theirs: 3, of which 2 came later"
    )
    assert answer.explain().missing == ("whose 2 balances are: they count for no holder",)
    fewer = similar_names(batch, most=1)
    assert (fewer.facts["guarded"], fewer.facts["imitated"]) == (1, 1)


def test_etchings_that_were_not_honoured_do_not_count_and_doubtful_ones_are_said() -> None:
    batch = named((DOG, "CAT"), ("850000:1", "CATS", "missing"), ("850000:2", "CATZ", "unknown"))
    answer = similar_names(batch, rune=DOG)
    assert found(answer) == [(DOG, "850000:2", "near", 1)]
    assert answer.explain().missing == (
        "the balances: how many hold each rune is not known",
        "whether 1 etching was honoured: its name counts here",
    )


def test_of_one_rune_etched_twice_the_same_name_counts_in_any_order() -> None:
    rows = ((DOG, "CATS"), (DOG, "BATS"))
    for order in (rows, rows[::-1]):
        answer = similar_names(named(*order, ("850000:1", "BATZ")), rune=DOG)
        assert [row["of_name"] for row in answer.table.to_pylist()] == ["BATS"]
    doubtful = named((DOG, "CATS", "unknown"), (DOG, "BATS"), ("850000:1", "BATZ"))
    assert "whether 1 etching was" in similar_names(doubtful, rune=DOG).explain().missing[-1]


def test_names_that_nobody_imitates_are_an_answer_too() -> None:
    alone = similar_names(named((DOG, "CAT"), held=[(DOG, "a", 1)]))
    assert (alone.table.num_rows, alone.facts["guarded"], alone.facts["imitated"]) == (0, 1, 0)
    assert alone.figure["data"][0]["x"] == []
    some = similar_names(named((DOG, "CAT"), ("850000:1", "CATS")), rune=DOG)
    assert alone.table.schema == some.table.schema
    unheld = similar_names(named((DOG, "CAT"), ("850000:1", "CATS"), held=[(DOG, "a", 0)]))
    assert (unheld.table.num_rows, unheld.facts["guarded"]) == (0, 0)
    much = similar_names(named((DOG, "CAT"), held=[(DOG, "a", 2**64)]))
    assert str(much.sentence) == "no name here looks like that of the 1 rune most held"


def test_a_block_alone_tells_of_a_rune_but_not_who_is_well_held(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"similar_names needs the state, and .* runestone level"):
        similar_names(block_batch)
    name = block_batch.tables["etchings"]["rune_id"][0].as_py()
    assert similar_names(block_batch, rune=name).facts["guarded"] == 1
    with pytest.raises(InputError, match=r"^similar_names needs the table etchings, which by"):
        similar_names(named(held=[(DOG, "a", 1)]), rune=DOG)
    with pytest.raises(InputError, match=f"^similar_names needs the etching of {DOG}, which by"):
        similar_names(named(("850000:1", "CAT"), held=[(DOG, "a", 1)]), rune=DOG)


def test_too_many_pairs_are_refused_with_the_way_out() -> None:
    names = ["CAT", "CATS", "CATZ", "CATX"]
    with pytest.raises(
        InputError, match=r"cosine is 0\.3; allowed: one that leaves at most 2 pairs"
    ):
        near_pairs(names, [0], 0.3, [], limit=2)
    assert len(near_pairs(names[:3], [0], 0.3, [], limit=2).of) == 2
    with pytest.raises(InputError, match="at most 0 pairs"):
        near_pairs(names, [0], 1.0, [(0, 1)], limit=0)


def test_the_figure_stacks_the_kinds_of_the_most_imitated() -> None:
    many = [(f"{850_000 + n}:1", f"CAT{chr(65 + n)}") for n in range(25)]
    held = [(rune, "a", 1) for rune, _ in many]
    figure = similar_names(named((DOG, "CAT"), *many, held=[*held, (DOG, "b", 1)]), edits=1).figure
    assert {len(trace["x"]) for trace in figure["data"]} == {20}
    assert (figure["data"][3]["name"], figure["data"][3]["y"][0]) == ("near", 24)
    assert figure["data"][2]["y"][0] == 1, "CATT"
    assert figure["data"][0]["y"] == [0] * 20
    assert figure["layout"]["barmode"] == "stack"
    assert figure["layout"]["yaxis"] == {
        "title": {"text": "names like it"},
        "tickformat": ",d",
        "rangemode": "tozero",
    }
    assert len({trace["marker"]["pattern"]["shape"] for trace in figure["data"]}) == 4


def triples(name: str) -> Counter[str]:
    marked = f"^{name}$"
    return Counter(marked[at : at + 3] for at in range(len(name)))


def distance(one: str, other: str) -> int:
    """Levenshtein's distance, row by row."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        above, row = row, [at]
        for place, sign in enumerate(other, start=1):
            row.append(min(row[-1] + 1, above[place] + 1, above[place - 1] + (letter != sign)))
    return row[-1]


def naive(names: list[tuple[str, str]], of: str, cosine: float, edits: int) -> set[tuple[Any, ...]]:
    """Every pair tried."""
    spaced = dict(names)
    rows = set()
    for rune, other in names:
        one, two = (name.replace("•", "") for name in (spaced[of], other))
        a, b = triples(one), triples(two)
        whole = sum(n * n for n in a.values()) * sum(n * n for n in b.values())
        like, far = sum(a[gram] * b[gram] for gram in a) / math.sqrt(whole), distance(one, two)
        single = [re.sub(r"(.)\1+", r"\1", name) for name in (one, two)]
        if one == two:
            kind = "spacers"
        elif sorted(spaced[of].split("•")) == sorted(other.split("•")):
            kind = "words"
        elif single[0] == single[1]:
            kind = "doubled"
        else:
            kind = "near" if like >= cosine and far <= edits else ""
        if rune != of and kind:
            rows.add((of, rune, kind, far, like))
    return rows


def exactly(answer: Any) -> set[tuple[Any, ...]]:
    rows = answer.table.to_pylist()
    return {(*(row[n] for n in ("of", "rune_id", "kind", "edits")), row["cosine"]) for row in rows}


_WORD = st.text("AB", min_size=1, max_size=3)
_NAME = st.lists(_WORD, min_size=1, max_size=3).map("•".join)


@settings(max_examples=8)
@given(
    st.lists(_NAME, min_size=1, max_size=8), st.sampled_from((0.05, 0.4, 1.0)), st.integers(0, 4)
)
def test_any_names_agree_with_every_pair_tried(names: list[str], cosine: float, edits: int) -> None:
    etched = [(f"{850_000 + n}:1", name) for n, name in enumerate(names)]
    held = [(rune, "a", 2**127) for rune, _ in etched]
    answer = similar_names(named(*etched, held=held), cosine=cosine, edits=edits)
    wanted = [naive(etched, rune, cosine, edits) for rune, _ in etched]
    assert exactly(answer) == set().union(*wanted)


def test_the_sample_agrees_with_every_pair_tried(small: Batch) -> None:
    etched = [(row["rune_id"], row["spaced_name"]) for row in small.tables["etchings"].to_pylist()]
    held = set(small.tables["balances"]["rune_id"].to_pylist())
    wanted = [naive(etched, rune, 0.1, 12) for rune, _ in etched if rune in held]
    assert exactly(similar_names(small, cosine=0.1, edits=12)) == set().union(*wanted)


@pytest.mark.parametrize("cosine", [0.05, 0.3, 0.5, 1.0])
def test_one_guarded_name_has_the_pairs_that_it_has_among_several(cosine: float) -> None:
    random = Random(11)
    names = ["".join(random.choices("ABC", k=random.randint(1, 9))) for _ in range(60)]
    names += [names[0], names[1][::-1]]
    more = [(0, 61), (3, 5)]
    together = near_pairs(names, range(len(names)), cosine, more)
    for guarded in (0, 3, 60):
        mine = [pair for pair in more if pair[0] == guarded]
        alone = near_pairs(names, [guarded], cosine, mine)
        of_it = together.of == guarded
        assert np.array_equal(alone.other, together.other[of_it])
        assert np.array_equal(alone.cosine, together.cosine[of_it])
        assert np.array_equal(alone.edits, together.edits[of_it])
