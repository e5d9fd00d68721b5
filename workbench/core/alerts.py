"""The AlertBook: decides when an alert is raised and when it is cleared. Values in, alerts out."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from workbench.core.alert_nouns import Alert, Rule
from workbench.core.metrics import CATALOGUE, Key
from workbench.core.sentence import Sentence
from workbench.errors import InputError

RULES_LIMIT = 100
SILENT_S = 30.0
"""A subject that is not measured for so long, or for its rule's `for_s` if that is longer, is
gone. It is also the gap over which nothing counts as having lasted."""
CLEAR_SHARE = 0.05
_TrackKey = tuple[str, str, str]
"""(rule, metric, subject)"""

MISSPELT = "there is no metric {metric}; did you mean {nearest}?"
UNKNOWN = "there is no metric {metric}; known: {known}"
NEVER_BELOW = (
    "the rule {rule} is raised above {threshold} and clears at {clear}, so it would clear while "
    "it is raised: let it clear at {threshold} or below"
)
NEVER_ABOVE = (
    "the rule {rule} is raised below {threshold} and clears at {clear}, so it would clear while "
    "it is raised: let it clear at {threshold} or above"
)
TOO_MANY = "there are {limit} rules already: delete one first"
DELETED = "its rule was deleted"
OFF = "its rule was switched off"
CHANGED = "its rule was changed"
SILENT = "nothing was measured for {seconds} s"


def check(rule: Rule) -> None:
    """Raises InputError for a metric that nobody measures, or a rule that cannot clear."""
    if rule.metric not in CATALOGUE:
        for nearest in difflib.get_close_matches(rule.metric, CATALOGUE, n=1):
            raise InputError(MISSPELT, metric=rule.metric, nearest=nearest)
        raise InputError(UNKNOWN, metric=rule.metric, known=", ".join(CATALOGUE))
    if not math.isfinite(rule.threshold):
        raise InputError.field("threshold", rule.threshold, "a finite number")
    _check_reach(rule)
    clear = rule.threshold if rule.clear is None else rule.clear
    if _beyond(clear, rule.threshold, rule):
        template = NEVER_BELOW if rule.direction == "above" else NEVER_ABOVE
        raise InputError(template, rule=rule.name, threshold=rule.threshold, clear=clear)


def _check_reach(rule: Rule) -> None:
    """What could never be raised, or always were."""
    metric = CATALOGUE[rule.metric]
    low = -math.inf if metric.low is None else metric.low
    high = math.inf if metric.high is None or metric.unit != "%" else metric.high
    if not low <= rule.threshold <= high:
        allowed = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
        raise InputError.field("threshold", rule.threshold, allowed)
    if rule.subject is not None and metric.of == "host":
        raise InputError.field("subject", rule.subject, f"none: {metric.name} is of this machine")
    if not rule.name.isprintable():
        raise InputError.field("name", rule.name, "printable characters")


def clears_at(rule: Rule) -> float:
    """Where it clears: as said, else 5 % of the threshold to its good side."""
    if rule.clear is not None:
        return rule.clear
    margin = CLEAR_SHARE * abs(rule.threshold)
    return rule.threshold + (-margin if rule.direction == "above" else margin)


@dataclass(slots=True)
class _Track:
    """One subject under one rule, from its first value beyond the threshold on."""

    worst: float
    value: float
    alert: Alert | None = None
    since: float | None = None
    """From when on it is beyond the threshold; once raised, from when on it is back."""
    seen: float = math.inf
    """When it was last measured; until this book's first values, those of an earlier run have
    not been missed."""


class AlertBook:
    """Rules, and the alerts that are active under them. `active` are those of an earlier run:
    they go on where their rule still says so."""

    def __init__(self, rules: Iterable[Rule] = (), active: Iterable[Alert] = ()) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._tracks = {_key(alert): _Track(alert.worst, alert.value, alert) for alert in active}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order in which they were first set."""
        return tuple(self._rules.values())

    @property
    def active(self) -> tuple[Alert, ...]:
        """What is raised now, the oldest first, each with its worst value so far."""
        tracks = self._tracks.values()
        raised = [replace(each.alert, worst=each.worst) for each in tracks if each.alert]
        return tuple(sorted(raised, key=lambda alert: alert.raised_at))

    def check(self, rule: Rule) -> None:
        """Raises InputError for a rule that `set_rule` would not take."""
        check(rule)
        if rule.name not in self._rules and len(self._rules) >= RULES_LIMIT:
            raise InputError(TOO_MANY, limit=RULES_LIMIT)

    def set_rule(self, rule: Rule, at_ms: int) -> list[Alert]:
        """A new rule, or another in place of the one with its name; raises as `check` does.

        An alert that it would not have raised is cleared, and what only began counts anew.
        """
        self.check(rule)
        self._rules[rule.name] = rule
        return self._without_a_rule(rule.name, at_ms)

    def drop_rule(self, name: str, at_ms: int) -> list[Alert]:
        """Without the rule; its alerts are cleared. A name that is not there changes nothing."""
        self._rules.pop(name, None)
        return self._without_a_rule(name, at_ms)

    def take(self, values: Mapping[Key, float], at_ms: int, now: float) -> list[Alert]:
        """The alerts that these values raise and clear. `now` is monotonic, in seconds; `at_ms`
        only dates the alerts, so that a clock that jumps raises and clears nothing."""
        changes = self._with_another_rule(at_ms)
        for track in self._tracks.values():
            track.seen = min(track.seen, now)
        measured = _by_metric(values)
        for rule in self._rules.values():
            for subject, value in measured.get(rule.metric, ()) if rule.enabled else ():
                if rule.subject in (None, subject):
                    changes += self._measured(rule, subject, value, at_ms, now)
        return changes + self._silent(at_ms, now)

    def _measured(
        self, rule: Rule, subject: str, value: float, at_ms: int, now: float
    ) -> Iterator[Alert]:
        key = (rule.name, rule.metric, subject)
        track = self._tracks.get(key)
        if track is None:
            if not _beyond(value, rule.threshold, rule):
                return
            track = self._tracks[key] = _Track(value, value)
        elif now - track.seen > _patience(rule):
            track.since = None  # nobody looked in between, so nothing is known to have lasted
            track.worst = track.worst if track.alert else value
        track.seen, track.value = now, value
        if _beyond(value, track.worst, rule):
            track.worst = value
        step = self._while_quiet if track.alert is None else self._while_raised
        yield from step(rule, key, track, at_ms, now)

    def _while_quiet(
        self, rule: Rule, key: _TrackKey, track: _Track, at_ms: int, now: float
    ) -> Iterator[Alert]:
        if not _beyond(track.value, rule.threshold, rule):
            del self._tracks[key]
        elif _lasted(track, rule, now):
            track.since, track.alert = None, _raised(rule, key[2], track, at_ms)
            yield track.alert

    def _while_raised(
        self, rule: Rule, key: _TrackKey, track: _Track, at_ms: int, now: float
    ) -> Iterator[Alert]:
        if _beyond(track.value, clears_at(rule), rule):
            track.since = None
        elif _lasted(track, rule, now):
            yield from self._cleared(key, at_ms, None)

    def _silent(self, at_ms: int, now: float) -> list[Alert]:
        """Forget what is not measured any more."""
        cleared: list[Alert] = []
        for key, track in list(self._tracks.items()):
            gap_s = now - track.seen
            if gap_s > _patience(self._rules[key[0]]):
                reason = Sentence(SILENT, {"seconds": round(gap_s)})
                cleared += self._cleared(key, at_ms, reason)
        return cleared

    def _without_a_rule(self, name: str, at_ms: int) -> list[Alert]:
        quiet = [key for key, track in self._tracks.items() if key[0] == name and not track.alert]
        for key in quiet:
            del self._tracks[key]
        return self._with_another_rule(at_ms)

    def _with_another_rule(self, at_ms: int) -> list[Alert]:
        """Clear what its rule, as it is now, would not have raised."""
        cleared: list[Alert] = []
        for key, track in list(self._tracks.items()):
            if track.alert and (why := _unfounded(track.alert, self._rules.get(key[0]))):
                cleared += self._cleared(key, at_ms, Sentence(why))
        return cleared

    def _cleared(self, key: _TrackKey, at_ms: int, reason: Sentence | None) -> Iterator[Alert]:
        track = self._tracks.pop(key)
        if track.alert is not None:
            yield replace(
                track.alert,
                state="cleared",
                value=track.value,
                worst=track.worst,
                cleared_at=at_ms,
                reason=reason,
            )


def _key(alert: Alert) -> _TrackKey:
    return (alert.rule, alert.metric, alert.subject)


def _by_metric(values: Mapping[Key, float]) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for (metric, subject), value in values.items():
        if math.isfinite(value):
            found.setdefault(metric, []).append((subject, value))
    return found


def _beyond(value: float, limit: float, rule: Rule) -> bool:
    return value > limit if rule.direction == "above" else value < limit


def _lasted(track: _Track, rule: Rule, now: float) -> bool:
    """Whether what began at `since`, or begins now, has lasted for the rule's time."""
    track.since = now if track.since is None else track.since
    return now - track.since >= rule.for_s


def _patience(rule: Rule) -> float:
    return max(rule.for_s, SILENT_S)


def _unfounded(alert: Alert, rule: Rule | None) -> str:
    """Why the rule would not have raised it; empty if it would have."""
    if rule is None:
        return DELETED
    if not rule.enabled:
        return OFF
    said = (rule.metric, rule.direction, rule.threshold)
    same = said == (alert.metric, alert.direction, alert.threshold)
    return "" if same and rule.subject in (None, alert.subject) else CHANGED


def _raised(rule: Rule, subject: str, track: _Track, at_ms: int) -> Alert:
    words = "\0".join((rule.name, rule.metric, subject, str(at_ms)))
    return Alert(
        alert_id=hashlib.sha256(words.encode()).hexdigest()[:16],
        rule=rule.name,
        metric=rule.metric,
        subject=subject,
        threshold=rule.threshold,
        direction=rule.direction,
        state="raised",
        value=track.value,
        worst=track.worst,
        raised_at=at_ms,
    )
