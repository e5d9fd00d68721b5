"""Rates of calls, for each token and endpoint."""

from __future__ import annotations

import threading

import pytest

from tests.llm.scripted import Ticking
from workbench.core.llm import Busy
from workbench.errors import SettingsError
from workbench.llm import rates
from workbench.llm.rates import Rates


def test_refuses_what_is_too_often_and_says_when_to_try_again() -> None:
    clock = Ticking()
    subject = Rates({"llm:chat": "3/minute"}, clock=clock)
    for _ in range(3):
        subject.check("mine", "llm:chat")
        clock.now += 10
    with pytest.raises(Busy) as refused:
        subject.check("mine", "llm:chat")
    assert str(refused.value) == "llm:chat may be called 3 times in 60 s: try again in 30 s"
    assert refused.value.code == "busy"
    clock.now += 30
    subject.check("mine", "llm:chat")
    with pytest.raises(Busy, match="try again in 10 s"):
        subject.check("mine", "llm:chat")


def test_each_token_and_each_endpoint_has_its_own() -> None:
    subject = Rates({"a": "1/hour"}, default="2/hour", clock=Ticking())
    subject.check("mine", "a")
    subject.check("theirs", "a")
    subject.check("mine", "b")
    subject.check("mine", "b")
    for endpoint in ("a", "b"):
        with pytest.raises(Busy):
            subject.check("mine", endpoint)


def test_a_window_moves_and_never_lets_twice_the_rate_through_at_its_edge() -> None:
    clock = Ticking()
    subject = Rates({"a": "5/second"}, clock=clock)
    allowed = []
    for _ in range(100):
        clock.now += 0.05
        try:
            subject.check("mine", "a")
            allowed.append(clock.now)
        except Busy:
            pass
    assert len(allowed) >= 20
    for start in allowed:
        assert len([at for at in allowed if start <= at < start + 1.0 - 1e-6]) <= 5


def test_starts_no_thread_and_forgets_old_callers() -> None:
    before, clock = threading.active_count(), Ticking()
    subject = Rates({"a": "1/second"}, clock=clock)
    for number in range(rates.KEYS_LIMIT + 1):
        subject.check(f"caller {number}", "a")
    clock.now += 2
    subject.check("one more", "a")
    assert len(subject.window) == 1
    assert threading.active_count() == before


def test_a_rate_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(SettingsError, match="the rate lots cannot be read"):
        Rates({"a": "lots"})
