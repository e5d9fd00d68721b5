"""What must be true of every task after any storm, judged from what everybody kept of it.

`violations` knows nothing of how the evidence came about: the storms over real processes and
the small ones with one mechanism switched off are judged by the same words.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TERMINAL = frozenset({"done", "cancelled", "timeout", "failed", "rejected", "lost"})
SHOWN = TERMINAL | {"accepted", "log"}
ATTEMPTS = 3
UNIT = re.compile(r"run (\w+) unit (\d+)")


class Said(NamedTuple):
    """One numbered message about a task. `text`: a log's content, an end's code."""

    seq: int
    kind: str
    attempt: int
    text: str


class Mark(NamedTuple):
    """What a model wrote into a file beside its work: `start`, `end`, or `overlap`."""

    what: str
    task: str
    run: str
    pid: int


@dataclass
class Evidence:
    """What is left after a storm."""

    impure: set[str] = field(default_factory=set)
    inputs: dict[str, str] = field(default_factory=dict)
    """What each task was given, where its result repeats that."""
    accepted: set[str] = field(default_factory=set)
    """Tasks that somebody was told to be accepted."""
    heard: dict[str, dict[str, list[Said]]] = field(default_factory=dict)
    """By client, then by task: as its events came."""
    complaints: list[str] = field(default_factory=list)
    """What the clients found wrong on the wire."""
    replay: dict[str, list[Said]] = field(default_factory=dict)
    """What a fresh client is sent."""
    stored: list[tuple[str, int, str]] = field(default_factory=list)
    """(task, seq, kind) of every row of the journal, acceptances as `accepted`."""
    marks: list[Mark] = field(default_factory=list)
    may_fail: tuple[str, ...] = ()
    """Reasons for which a task may have failed, each a part of its sentence."""


def said_of(message: Mapping[str, Any]) -> Said:
    """A numbered message, less what may differ each time it is sent."""
    kind, seq = message["type"], message["seq"]
    if kind == "taskAccepted":
        return Said(seq, "accepted", 1, "")
    if kind == "log":
        return Said(seq, "log", message["attempt"], message["content"])
    if kind == "taskResult":
        return Said(seq, "done", message["attempt"], str(message["result"]["data"]))
    return Said(seq, message["code"], message["attempt"], message["error"])


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise, as a sentence that begins with the task's name."""
    return [
        *evidence.complaints,
        *_lost(evidence),
        *_ends(evidence),
        *_sequences(evidence),
        *_attempts(evidence),
        *_runs(evidence),
        *_journal(evidence),
    ]


def _lost(evidence: Evidence) -> Iterator[str]:
    """None lost, nothing forgotten."""
    stored = {task for task, _, kind in evidence.stored if kind == "accepted"}
    for task in sorted(evidence.accepted):
        if task not in stored:
            yield f"{task}: forgotten: it was accepted and is not in the journal"
        if not evidence.replay.get(task):
            yield f"{task}: lost: it was accepted and nothing is known of it"


def _ends(evidence: Evidence) -> Iterator[str]:
    """Exactly one terminal message, and it is the last."""
    for task, said in evidence.replay.items():
        ends = [each.kind for each in said if each.kind in TERMINAL]
        if len(ends) != 1 or said[-1].kind != ends[0]:
            yield f"{task}: its ends are {ends}, its last message is {said[-1].kind}"
        elif ends == ["done"] and evidence.inputs.get(task, "") not in said[-1].text:
            yield f"{task}: was given another task's input: {said[-1].text}"
        elif ends == ["failed"] and not any(why in said[-1].text for why in evidence.may_fail):
            yield f"{task}: failed without a reason of its own: {said[-1].text}"


def _sequences(evidence: Evidence) -> Iterator[str]:
    """No repeat and nothing missed, in any client's sequence; each is told the same."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for task, seq, kind in sorted(evidence.stored):
        if kind in SHOWN:
            wanted[task].append(seq)
    fresh = {task: evidence.replay.get(task, []) for task in evidence.accepted}
    for client, tasks in [*evidence.heard.items(), ("fresh", fresh)]:
        for task, heard in tasks.items():
            numbers = [each.seq for each in heard]
            if numbers != wanted[task]:
                yield f"{task}: client {client} heard {numbers} of {wanted[task]}"
            elif heard != fresh.get(task, heard):
                other = [each for each in heard if each not in fresh[task]]
                yield f"{task}: client {client} was told otherwise: {other}"


def _attempts(evidence: Evidence) -> Iterator[str]:
    """Two attempts never overlap, and there are not too many.

    A pure model's start need not be durable: after a kill its attempt may be made once more.
    """
    starts = Counter(mark.task for mark in evidence.marks if mark.what == "start")
    finished = [(mark.task, mark.run) for mark in evidence.marks if mark.what == "end"]
    for mark in evidence.marks:
        if mark.what == "overlap":
            yield f"{mark.task}: two attempts ran at once ({mark.run} found another)"
    for task, count in starts.items():
        if task in evidence.impure and count > 1:
            yield f"{task}: must not be repeated and was run {count} times"
    for task, said in evidence.replay.items():
        end = said[-1]
        if end.kind == "done" and not any(
            name == task and run in end.text for name, run in finished
        ):
            yield f"{task}: is done, and the run that it names never came to its end"
        if end.kind == "lost" and task not in evidence.impure and end.attempt < ATTEMPTS:
            yield f"{task}: was given up after {end.attempt} attempts"
        again = [each for each in said if each.kind == "log" and "was lost because" in each.text]
        if len(again) >= ATTEMPTS:
            yield f"{task}: more than {ATTEMPTS} attempts were made"


def _runs(evidence: Evidence) -> Iterator[str]:
    """What an attempt says is what one run said, in order: `run <id> unit <n>`."""
    for task, said in evidence.replay.items():
        units: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for each in said:
            unit = UNIT.fullmatch(each.text)
            if each.kind == "log" and unit:
                units[each.attempt].append((unit[1], int(unit[2])))
        owners: dict[str, int] = {}
        for attempt, spoken in units.items():
            runs = {run for run, _ in spoken}
            numbers = [number for _, number in spoken]
            if len(runs) > 1 or numbers != list(range(1, len(numbers) + 1)):
                yield f"{task}: attempt {attempt} says what no single run said: {spoken}"
            for run in runs:
                if owners.setdefault(run, attempt) != attempt:
                    yield f"{task}: run {run} speaks for attempts {owners[run]} and {attempt}"


def _journal(evidence: Evidence) -> Iterator[str]:
    """The journal itself: each task once, each number once, one end."""
    rows: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for task, seq, kind in evidence.stored:
        rows[task].append((seq, kind))
    for task, kept in rows.items():
        twice = [seq for seq, count in Counter(seq for seq, _ in kept).items() if count > 1]
        ends = [kind for _, kind in sorted(kept) if kind in TERMINAL]
        if twice:
            yield f"{task}: the journal has numbers {sorted(twice)} more than once"
        if len(ends) != 1:
            yield f"{task}: the journal has the ends {ends}"
        if task not in evidence.accepted:
            yield f"{task}: is in the journal, and nobody was told"


def told(sentences: Iterable[str], most: int = 20) -> str:
    """The first of many violations, for a failing test."""
    found = list(sentences)
    return "\n".join([f"{len(found)} violations", *found[:most]])
