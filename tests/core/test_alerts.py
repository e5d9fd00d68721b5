"""The AlertBook raises what lasts, clears what is over, and says nothing in between."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.alert_nouns import Alert, Rule
from workbench.core.alerts import AlertBook, check, clears_at
from workbench.errors import InputError

HOT = Rule(name="hot", metric="gpu.temperature", threshold=80, clear=75, for_s=10)
START_MS = 1_800_000_000_000


class Watch:
    """A book that is fed one temperature after the other; seconds since the start as time."""

    def __init__(self, *rules: Rule, active: tuple[Alert, ...] = ()) -> None:
        self.book = AlertBook(rules or (HOT,), active)

    def at(self, second: float, **temperatures: float) -> list[tuple[str, str]]:
        """What changed: (subject, state) of each alert. Subjects are given as `gpu0=71`."""
        return [(alert.subject, alert.state) for alert in self.take(second, **temperatures)]

    def take(self, second: float, **temperatures: float) -> list[Alert]:
        values = {("gpu.temperature", name[3:]): value for name, value in temperatures.items()}
        return self.book.take(values, START_MS + round(1000 * second), second)

    def raised(self) -> Alert:
        """The alert of a GPU that was at 82, then 90 for the rule's time."""
        self.take(0, gpu0=82)
        (alert,) = self.take(10, gpu0=90)
        return alert


def rule(**changes: Any) -> Rule:
    given: dict[str, Any] = {"name": "hot", "metric": "gpu.temperature", "threshold": 80}
    return Rule(**given | {"clear": 75, "for_s": 10} | changes)


# Raised and cleared


def test_an_alert_is_raised_only_after_its_time() -> None:
    watch = Watch()
    assert watch.at(0, gpu0=81) == []
    assert watch.at(9.9, gpu0=81) == []
    assert watch.at(10, gpu0=81) == [("0", "raised")]
    assert watch.at(12, gpu0=81) == []


def test_an_alert_says_what_went_how_far_beyond_what_and_when() -> None:
    alert = Watch().raised()
    assert (alert.rule, alert.metric, alert.subject) == ("hot", "gpu.temperature", "0")
    assert (alert.threshold, alert.direction, alert.state) == (80, "above", "raised")
    assert (alert.value, alert.worst) == (90, 90)
    assert (alert.raised_at, alert.cleared_at, alert.reason) == (START_MS + 10_000, None, None)


def test_a_value_at_the_threshold_is_not_beyond_it() -> None:
    watch = Watch(rule(for_s=0))
    assert watch.at(0, gpu0=80) == []
    assert watch.at(1, gpu0=80.1) == [("0", "raised")]


def test_a_moment_back_begins_the_time_anew() -> None:
    watch = Watch()
    assert watch.at(0, gpu0=85) == watch.at(8, gpu0=79) == watch.at(9, gpu0=85) == []
    assert watch.at(18, gpu0=85) == []
    assert watch.at(19, gpu0=85) == [("0", "raised")]


def test_between_clear_and_threshold_nothing_changes() -> None:
    watch = Watch()
    watch.raised()
    assert all(watch.at(second, gpu0=76 + second % 9) == [] for second in range(11, 100))


def test_an_alert_is_cleared_only_after_its_time_at_the_clear_value() -> None:
    watch = Watch()
    raised = watch.raised()
    watch.take(12, gpu0=97)
    assert watch.at(20, gpu0=75) == watch.at(29, gpu0=74) == []
    (cleared,) = watch.take(30, gpu0=73)
    assert (cleared.state, cleared.value, cleared.worst) == ("cleared", 73, 97)
    assert (cleared.alert_id, cleared.raised_at) == (raised.alert_id, raised.raised_at)
    assert (cleared.cleared_at, cleared.reason) == (START_MS + 30_000, None)
    assert watch.book.active == ()


def test_a_moment_of_heat_begins_the_clearing_anew() -> None:
    watch = Watch()
    watch.raised()
    assert watch.at(20, gpu0=70) == watch.at(29, gpu0=76) == watch.at(30, gpu0=70) == []
    assert watch.at(39, gpu0=70) == []
    assert watch.at(40, gpu0=70) == [("0", "cleared")]


def test_the_worst_value_is_kept_while_it_lasts() -> None:
    watch = Watch()
    watch.raised()
    watch.take(12, gpu0=97)
    watch.take(14, gpu0=83)
    assert [(alert.value, alert.worst) for alert in watch.book.active] == [(90, 97)]


def test_a_rule_may_look_below_its_threshold() -> None:
    watch = Watch(rule(threshold=30, clear=None, direction="below", for_s=0))
    assert watch.at(0, gpu0=30) == []
    assert watch.at(1, gpu0=20) == [("0", "raised")]
    watch.take(2, gpu0=12)
    watch.take(3, gpu0=31)
    assert [alert.worst for alert in watch.book.active] == [12]
    assert watch.at(4, gpu0=31.5) == [("0", "cleared")]


def test_without_a_clear_value_it_is_five_percent_to_the_good_side() -> None:
    assert clears_at(rule(threshold=80, clear=None)) == 76
    assert clears_at(rule(threshold=80, clear=None, direction="below")) == 84
    assert clears_at(rule(threshold=-20, clear=None)) == -21
    assert clears_at(rule(threshold=0, clear=None)) == 0


def test_each_subject_has_an_alert_of_its_own() -> None:
    watch = Watch(rule(for_s=0))
    assert watch.at(0, gpu0=85, gpu1=70) == [("0", "raised")]
    assert watch.at(1, gpu0=85, gpu1=85) == [("1", "raised")]
    assert watch.at(2, gpu0=70, gpu1=85) == [("0", "cleared")]
    assert [alert.subject for alert in watch.book.active] == ["1"]


def test_a_rule_for_one_subject_leaves_the_others_alone() -> None:
    watch = Watch(rule(for_s=0, subject="1"))
    assert watch.at(0, gpu0=99, gpu1=99) == [("1", "raised")]


def test_two_rules_on_one_metric_do_not_disturb_each_other() -> None:
    watch = Watch(rule(for_s=0), rule(name="hotter", threshold=90, clear=85, for_s=0))
    assert watch.at(0, gpu0=85) == [("0", "raised")]
    assert watch.at(1, gpu0=95) == [("0", "raised")]
    assert [alert.rule for alert in watch.book.active] == ["hot", "hotter"]


def test_a_rule_that_is_switched_off_raises_nothing() -> None:
    assert Watch(rule(for_s=0, enabled=False)).at(0, gpu0=99) == []


def test_a_value_that_is_no_number_is_not_measured() -> None:
    watch = Watch(rule(for_s=0))
    assert watch.at(0, gpu0=float("nan")) == watch.at(1, gpu0=float("inf")) == []


# Gaps


def test_what_is_not_measured_any_more_is_cleared_with_the_reason() -> None:
    watch = Watch()
    watch.raised()
    assert watch.at(40) == []
    (cleared,) = watch.take(41)
    assert (cleared.state, cleared.value, cleared.worst) == ("cleared", 90, 90)
    assert str(cleared.reason) == "nothing was measured for 31 s"


def test_a_rule_with_a_longer_time_waits_longer_for_a_value() -> None:
    watch = Watch(rule(for_s=100))
    watch.take(0, gpu0=90)
    watch.take(60, gpu0=90)
    watch.take(100, gpu0=90)
    assert len(watch.book.active) == 1
    assert watch.at(200) == []
    assert watch.at(201) == [("0", "cleared")]


def test_heat_before_and_after_a_pause_is_not_heat_for_all_that_time() -> None:
    watch = Watch()
    assert watch.at(0, gpu0=95) == watch.at(1000, gpu0=85) == watch.at(1009, gpu0=84) == []
    (alert,) = watch.take(1010, gpu0=84)
    assert alert.worst == 85, "the value from before the pause belongs to no alert"


def test_an_active_alert_outlasts_a_pause_of_the_sampler() -> None:
    watch = Watch()
    watch.raised()
    assert watch.at(12, gpu0=70) == watch.at(1000, gpu0=70) == watch.at(1009, gpu0=70) == []
    assert watch.at(1010, gpu0=70) == [("0", "cleared")]


def test_what_only_began_is_forgotten_in_silence() -> None:
    watch = Watch()
    assert watch.at(0, gpu0=90) == watch.at(31) == watch.at(32, gpu0=90) == []
    assert watch.at(41, gpu0=90) == []


# Rules that change


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (rule(enabled=False), "its rule was switched off"),
        (rule(threshold=85), "its rule was changed"),
        (rule(metric="gpu.power"), "its rule was changed"),
        (rule(direction="below", clear=None), "its rule was changed"),
        (rule(subject="1"), "its rule was changed"),
    ],
)
def test_another_rule_clears_what_it_would_not_have_raised(changed: Rule, reason: str) -> None:
    watch = Watch()
    watch.raised()
    (cleared,) = watch.book.set_rule(changed, START_MS + 12_000)
    assert (cleared.state, str(cleared.reason)) == ("cleared", reason)
    assert (cleared.value, cleared.cleared_at) == (90, START_MS + 12_000)
    assert watch.book.active == ()
    assert watch.book.rules == (changed,)


def test_a_longer_time_keeps_what_is_raised() -> None:
    watch = Watch()
    watch.raised()
    assert watch.book.set_rule(rule(for_s=60, clear=70), START_MS) == []
    assert len(watch.book.active) == 1


def test_what_began_under_another_rule_begins_anew() -> None:
    watch = Watch(HOT, rule(name="other"))
    watch.take(0, gpu0=90)
    watch.book.set_rule(rule(threshold=70, clear=60), START_MS)
    assert [alert.rule for alert in watch.take(10, gpu0=90)] == ["other"]


def test_a_dropped_rule_takes_its_alerts_with_it() -> None:
    watch = Watch()
    watch.raised()
    (cleared,) = watch.book.drop_rule("hot", START_MS + 12_000)
    assert str(cleared.reason) == "its rule was deleted"
    assert (watch.book.rules, watch.book.active) == ((), ())
    assert watch.book.drop_rule("hot", START_MS) == []


def test_a_rule_keeps_its_place_when_it_changes() -> None:
    watch = Watch(HOT, rule(name="other"))
    watch.book.set_rule(rule(for_s=1), START_MS)
    assert [each.name for each in watch.book.rules] == ["hot", "other"]


def test_a_hundred_rules_are_enough() -> None:
    watch = Watch(*(rule(name=str(number)) for number in range(100)))
    with pytest.raises(InputError) as refused:
        watch.book.set_rule(rule(name="one more"), START_MS)
    assert str(refused.value) == "there are 100 rules already: delete one first"
    watch.book.set_rule(rule(name="7", for_s=1), START_MS)
    watch.book.drop_rule("0", START_MS)
    watch.book.set_rule(rule(name="one more"), START_MS)


# After a restart


def test_an_alert_of_an_earlier_run_goes_on() -> None:
    earlier = Watch().raised()
    watch = Watch(active=(earlier,))
    assert watch.book.active == (earlier,)
    assert watch.at(500, gpu0=91) == []
    assert [alert.worst for alert in watch.book.active] == [91]
    assert watch.at(501, gpu0=70) == []
    assert watch.at(511, gpu0=70) == [("0", "cleared")]


def test_an_alert_of_an_earlier_run_waits_for_its_first_value() -> None:
    watch = Watch(active=(Watch().raised(),))
    assert watch.at(500) == watch.at(530) == []
    assert watch.at(531) == [("0", "cleared")]


def test_an_alert_of_an_earlier_run_whose_rule_is_gone_is_cleared() -> None:
    watch = Watch(rule(name="other"), active=(Watch().raised(),))
    (cleared,) = watch.take(500, gpu0=91)
    assert str(cleared.reason) == "its rule was deleted"


def test_an_alert_has_its_name_from_what_it_is_and_when_it_was_raised() -> None:
    first, again = Watch().raised(), Watch().raised()
    assert first.alert_id == again.alert_id
    watch = Watch(rule(for_s=0), rule(name="b", for_s=0))
    ids = [alert.alert_id for alert in watch.take(0, gpu0=90, gpu1=90)]
    watch.take(1, gpu0=70, gpu1=70)
    ids += [alert.alert_id for alert in watch.take(2, gpu0=90, gpu1=90)]
    assert len(set(ids)) == len(ids) == 8


# Rules that cannot be


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            rule(metric="gpu.temprature"),
            "there is no metric gpu.temprature; did you mean gpu.temperature?",
        ),
        (
            rule(clear=81),
            "the rule hot is raised above 80 and clears at 81, so it would clear while it is "
            "raised: let it clear at 80 or below",
        ),
        (
            rule(clear=79, direction="below"),
            "the rule hot is raised below 80 and clears at 79, so it would clear while it is "
            "raised: let it clear at 80 or above",
        ),
        (
            rule(threshold=float("nan"), clear=None),
            "threshold is nan; allowed: a finite number",
        ),
    ],
)
def test_a_wrong_rule_is_refused_with_the_remedy(wrong: Rule, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        check(wrong)
    assert str(refused.value) == sentence
    book = AlertBook()
    with pytest.raises(InputError):
        book.set_rule(wrong, START_MS)
    assert book.rules == ()


def test_an_unknown_metric_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="there is no metric zzz; known: gpu"):
        check(rule(metric="zzz"))


def test_a_rule_may_clear_at_its_threshold() -> None:
    check(rule(clear=80))
    check(rule(clear=80, direction="below"))


# Whatever comes


STEPS = st.lists(
    st.tuples(
        st.floats(0.5, 40), st.dictionaries(st.sampled_from(["0", "1"]), st.integers(60, 100))
    ),
    max_size=60,
)


@given(steps=STEPS, for_s=st.sampled_from([0.0, 5.0, 60.0]))
def test_raised_and_cleared_take_turns_and_never_come_too_soon(
    steps: list[tuple[float, dict[str, int]]], for_s: float
) -> None:
    watch, now = Watch(rule(for_s=for_s)), 0.0
    seen: dict[str, list[tuple[float, int]]] = {"0": [], "1": []}
    state = {"0": "cleared", "1": "cleared"}
    for wait, values in steps:
        now += wait
        for subject, value in values.items():
            seen[subject].append((now, value))
        for alert in watch.take(now, **{f"gpu{name}": value for name, value in values.items()}):
            assert alert.state != state[alert.subject], "it was so already"
            state[alert.subject] = alert.state
            if alert.reason is None:
                assert lasted(seen[alert.subject], now, for_s, raised=alert.state == "raised")
            assert alert.worst >= 81
    assert {alert.subject for alert in watch.book.active} == {
        name for name, each in state.items() if each == "raised"
    }


def lasted(seen: list[tuple[float, int]], now: float, for_s: float, *, raised: bool) -> bool:
    """Whether each value of the last `for_s` seconds was beyond, or back, without a gap."""
    good = [(at, value > 80 if raised else value <= 75) for at, value in seen]
    run = [now]
    for at, as_said in reversed(good):
        if not as_said or run[-1] - at > max(for_s, 30):
            break
        run.append(at)
    return now - run[-1] >= for_s and good[-1][1]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"threshold": -5.0}, "threshold is -5.0; allowed: 0 to 100"),
        ({"threshold": 101.0}, "threshold is 101.0; allowed: 0 to 100"),
        ({"metric": "llm.ttft", "threshold": -1.0}, "allowed: 0 or more"),
        ({"metric": "host.cpu", "subject": "0"}, "host.cpu is of this machine"),
        ({"name": "a\0b"}, "allowed: printable characters"),
    ],
)
def test_a_rule_that_could_not_work_is_refused(changed: dict[str, Any], sentence: str) -> None:
    given = {"name": "own", "metric": "gpu.utilization", "threshold": 50.0, **changed}
    with pytest.raises(InputError, match=re.escape(sentence)):
        check(Rule(**given))
