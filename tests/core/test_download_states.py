"""What may be done with a download in each state, and how its speed is said."""

from __future__ import annotations

import pytest

from workbench.core.download_states import (
    ALLOWED,
    Speed,
    Verb,
    after_restart,
    check,
    ended_by,
    total_bytes,
)
from workbench.core.downloads import ACTIVE, State
from workbench.errors import InputError, LinkError, StoreError, WorkbenchError


def test_what_cannot_be_done_is_said_with_what_can() -> None:
    check("pause", "m", "downloading")
    with pytest.raises(InputError) as caught:
        check("resume", "m", "done")
    assert str(caught.value) == (
        "the download of m is done; resume is for one that is cancelled, failed, paused"
    )


@pytest.mark.parametrize("state", ["paused", "cancelled", "failed", "done", "queued"])
def test_a_restart_leaves_what_did_not_run(state: State) -> None:
    assert after_restart(state) == state


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_a_restart_goes_on_with_what_ran(state: State) -> None:
    assert after_restart(state) == "queued"


@pytest.mark.parametrize("verb", list(ALLOWED))
def test_nothing_that_runs_is_resumed_retried_or_forgotten(verb: Verb) -> None:
    assert bool(ALLOWED[verb] & ACTIVE) == (verb in ("pause", "cancel"))


class Full(StoreError):
    code = "no-space"


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (Full("full"), ("paused", "free-space")),
        (LinkError("gone"), ("failed", "retry")),
        (StoreError("broken"), ("failed", "retry")),
        (InputError("no", status=401), ("failed", "token")),
        (InputError("no", status=404), ("failed", "none")),
        (WorkbenchError("odd"), ("failed", "none")),
    ],
)
def test_each_error_leads_to_what_mends_it(error: WorkbenchError, ends: tuple[str, str]) -> None:
    assert ended_by(error) == ends


def test_a_steady_speed_is_said_as_it_is() -> None:
    speed = Speed()
    for tick in range(100):
        speed.look(tick * 0.25, 1000 + tick * 250)
    assert speed.bytes_s == pytest.approx(1000)
    assert speed.eta_s(5000) == pytest.approx(5)


def test_the_speed_follows_within_some_seconds_and_does_not_jump() -> None:
    speed, done = Speed(), 0.0
    for tick in range(80):
        done += 250 if tick < 40 else 25
        speed.look(tick * 0.25, int(done))
        if tick == 41:
            assert speed.bytes_s is not None
            assert speed.bytes_s > 800
    assert speed.bytes_s is not None
    assert speed.bytes_s < 250


def test_bytes_that_were_there_before_are_no_speed() -> None:
    speed = Speed()
    speed.look(0, 10**9)
    speed.look(1, 10**9)
    assert speed.bytes_s == 0
    assert speed.eta_s(10) is None


def test_beginning_anew_is_no_negative_speed() -> None:
    speed = Speed()
    speed.look(0, 1000)
    speed.look(1, 0)
    assert speed.bytes_s == 0


def test_the_total_is_unknown_while_one_size_is() -> None:
    assert total_bytes((1, 2)) == 3
    assert total_bytes((1, None)) is None
