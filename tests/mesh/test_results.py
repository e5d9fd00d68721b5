"""Where a repeat finds the result of an earlier task, and for how long without the journal."""

from __future__ import annotations

import tracemalloc

from workbench.mesh.results import AT_HAND_CHARS, AT_HAND_S, CACHE_S, CACHED_RESULTS, Cache

END = {"result": {"data": {"amount": 2**128 - 1}, "alias": None}, "cacheKey": "k", "kept": False}


def test_a_result_is_at_hand_for_a_while_and_known_for_a_day() -> None:
    cache = Cache()
    cache.add("k", "first", 1000, END)
    assert cache.at_hand("k", 1000 + AT_HAND_S * 1000 - 1) is not None
    assert cache.at_hand("k", 1000 + AT_HAND_S * 1000) is None
    assert cache.find("k", 1000 + CACHE_S * 1000 - 1) == "first"
    assert cache.find("k", 1000 + CACHE_S * 1000) is None
    assert cache.find("unknown", 1000) is None
    assert cache.at_hand("unknown", 1000) is None


def test_a_clock_that_was_set_back_makes_no_old_result_new() -> None:
    cache = Cache()
    cache.add("k", "first", 1000, END)
    assert cache.find("k", 999) is None
    assert cache.at_hand("k", 999) is None


def test_of_the_same_content_the_newest_end_counts() -> None:
    cache = Cache()
    for number in range(3):
        cache.add("k", f"t{number}", number, {**END, "number": number})
    assert cache.find("k", 3) == "t2"
    found = cache.at_hand("k", 3)
    assert found is not None
    assert found["number"] == 2


def test_whoever_changes_what_he_got_changes_nobody_elses() -> None:
    cache = Cache()
    cache.add("k", "first", 0, END)
    for _ in range(2):
        found = cache.at_hand("k", 0)
        assert found is not None
        assert found["result"]["alias"] is None
        found["result"]["alias"] = "changed"


def test_what_is_at_hand_stays_bounded_and_the_oldest_goes_first() -> None:
    cache = Cache()
    large = {"text": "x" * (AT_HAND_CHARS // 3)}
    for number in range(4):
        cache.add(f"k{number}", f"t{number}", 0, large)
    assert [cache.at_hand(f"k{number}", 0) is not None for number in range(4)] == [
        *(False, False),
        *(True, True),
    ]
    assert cache.find("k0", 0) == "t0"
    for number in range(CACHED_RESULTS):
        cache.add(f"small{number}", "t", 0, END)
    assert cache.find("k3", 0) is None
    assert cache.at_hand("k3", 0) is None


def test_a_result_that_is_known_costs_at_most_280_bytes_beside_what_is_at_hand() -> None:
    cache, too_large = Cache(), {"text": "x" * AT_HAND_CHARS}
    tracemalloc.start()
    try:
        for number in range(CACHED_RESULTS):
            cache.add(f"{number:032x}", f"0123456789abcdef-{number:05}", 10**12 + number, END)
        cache.add("k", "last", 0, too_large)
        assert cache.at_hand(f"{number:032x}", 10**12 + number) is None
        assert tracemalloc.get_traced_memory()[0] <= 280 * CACHED_RESULTS
    finally:
        tracemalloc.stop()
