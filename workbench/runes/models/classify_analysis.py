"""The work of `rune-classifier`, from a batch to its answer, tables and figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa

from workbench.core.model import Context, Result
from workbench.errors import InputError
from workbench.runes.batch import Batch, load_batch
from workbench.runes.features import extract
from workbench.runes.history import trust_notes
from workbench.runes.models import classify_figures as figures
from workbench.runes.models.classify_facts import facts_of
from workbench.runes.models.classify_rules import CustomCategory, Depth, Judged, active, judge
from workbench.runes.models.classify_trends import activity, trend
from workbench.runes.models.steps import Steps

STRANGERS = (
    "{count} of {total} {total:rune|runes} {count:is|are} not etched in this batch: what "
    "{count:its|their} terms allow is not known"
)
UNITS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that is known after the rules ran, in the order of the batch's rune ids."""

    batch: Batch
    names: list[str | None]
    facts: pd.DataFrame
    judged: list[Judged]
    threshold: float
    categories: list[str]

    @property
    def ids(self) -> list[str]:
        return [str(rune) for rune in self.facts.index]

    def chosen(self) -> list[str | None]:
        """The category of each rune; None where no score reaches the threshold."""
        best = [one.best() for one in self.judged]
        return [name if score > 0 and score >= self.threshold else None for name, score in best]


def classify(
    context: Context,
    *,
    depth: Depth,
    own: Sequence[Any],
    threshold: float,
    trends: bool,
    output_format: str,
) -> Result:
    """One run: see `rune_classifier` for the parameters."""
    custom = msgspec.convert(msgspec.to_builtins(own), list[CustomCategory])
    _distinct(custom)
    steps = Steps(context, UNITS)
    batch = load_batch(context.inputs["batch"], rune_limit=context.rune_limit)
    context.log("the batch holds {runes} runes", runes=len(batch.rune_ids()))
    facts = facts_of(batch)
    if facts.empty:
        raise InputError("the batch holds no runes; allowed: at least 1")
    steps.finish("facts gathered")
    rules = active(depth)
    judged = [
        judge(dict(zip(map(str, facts), row, strict=True)), rules, custom)
        for row in facts.to_numpy().tolist()
    ]
    found = extract(batch, depth=1).names
    names = [name if isinstance(name, str) else None for name in found]
    listed = [*(each.name for each in custom), *(rule.name for rule in rules)]
    answer = Answer(batch, names, facts, judged, threshold, listed)
    steps.finish("{count} runes sorted", count=len(judged))
    result = _result(answer, trends, output_format)
    steps.finish("trends found" if trends else "answer written")
    return result


def _distinct(custom: Sequence[CustomCategory]) -> None:
    for name, count in Counter(each.name for each in custom).items():
        if count > 1:
            raise InputError.field("parameters.customCategories", name, "each name only once")


def _result(answer: Answer, trends: bool, output_format: str) -> Result:
    chosen = pd.Series(answer.chosen(), index=answer.facts.index, dtype=object)
    counts = {name: int((chosen == name).sum()) for name in answer.categories}
    rows: list[dict[str, Any]] = [{"name": name, "size": size} for name, size in counts.items()]
    drawn, tables = [figures.sizes(counts)], {"runes": _table(answer)}
    if trends:
        busy = activity(answer.batch, chosen, answer.categories)
        rows = [{**row, "trend": trend(busy[row["name"]].tolist())} for row in rows]
        tables["trends"] = _trend_table(busy)
        drawn.append(figures.trends(busy.loc[:, busy.sum() > 0]))
    tables["categories"] = _category_table(rows)
    data = {
        **FORMATS[output_format](answer),
        "categories": rows,
        "unclassified": int(chosen.isna().sum()),
        "threshold": answer.threshold,
        "notes": [*trust_notes(answer.batch.source.trust), *_notes(answer)],
    }
    return Result(batch=answer.batch.id, data=data, tables=tables, figures=drawn)


def _notes(answer: Answer) -> list[dict[str, Any]]:
    strangers = int(answer.facts["max_supply"].isna().sum())
    if not strangers:
        return []
    values = {"count": strangers, "total": len(answer.facts)}
    return [{"template": STRANGERS, "values": values}]


def _head(answer: Answer, row: int, chosen: str | None) -> dict[str, Any]:
    nearest, score = answer.judged[row].best()
    return {
        "runeId": answer.ids[row],
        "name": answer.names[row],
        "category": chosen,
        "score": score,
        **({} if chosen or score == 0 else {"nearest": nearest}),
    }


def _categories(answer: Answer) -> dict[str, Any]:
    """Each rune with the rule that fired, or came nearest, and what it asked."""
    rows = []
    for row, chosen in enumerate(answer.chosen()):
        judged = answer.judged[row]
        nearest, score = judged.best()
        fired = {"rule": nearest, "conditions": judged.evidence[nearest]} if score > 0 else None
        rows.append({**_head(answer, row, chosen), "evidence": fired})
    return {"runes": rows}


def _scores(answer: Answer) -> dict[str, Any]:
    rows = [
        {**_head(answer, row, chosen), "scores": dict(answer.judged[row].scores)}
        for row, chosen in enumerate(answer.chosen())
    ]
    return {"runes": rows}


def _matrix(answer: Answer) -> dict[str, Any]:
    values = [[one.scores[name] for name in answer.categories] for one in answer.judged]
    return {"matrix": {"rows": answer.ids, "columns": answer.categories, "values": values}}


FORMATS = {"categories": _categories, "scores": _scores, "matrix": _matrix}


def _table(answer: Answer) -> pa.Table:
    """A row a rune: its category, the rule that fired or came nearest, every score and fact."""
    best = [one.best() for one in answer.judged]
    scores = {
        f"score_{name.replace('-', '_')}": [one.scores[name] for one in answer.judged]
        for name in answer.categories
    }
    facts = {
        str(name): pa.array(answer.facts[name], pa.float64(), from_pandas=True)
        for name in answer.facts
    }
    evidence = [
        json.dumps(one.evidence[name]) for one, (name, _) in zip(answer.judged, best, strict=True)
    ]
    return pa.table(
        {
            "rune_id": pa.array(answer.ids, pa.string()),
            "name": pa.array(answer.names, pa.string()),
            "category": pa.array(answer.chosen(), pa.string()),
            "score": [score for _, score in best],
            "rule": pa.array([name if score > 0 else None for name, score in best], pa.string()),
            "evidence": evidence,
            **scores,
            **facts,
        }
    )


def _category_table(rows: list[dict[str, Any]]) -> pa.Table:
    ways = [row.get("trend", {}) for row in rows]
    return pa.table(
        {
            "category": pa.array([row["name"] for row in rows], pa.string()),
            "size": pa.array([row["size"] for row in rows], pa.int64()),
            "trend": pa.array([way.get("direction") for way in ways], pa.string()),
            "tau": pa.array([way.get("tau") for way in ways], pa.float64()),
            "p": pa.array([way.get("p") for way in ways], pa.float64()),
        }
    )


def _trend_table(busy: pd.DataFrame) -> pa.Table:
    """A row for each category and interval of blocks, by its first height."""
    pairs = [(name, height) for name in busy for height in busy.index]
    return pa.table(
        {
            "category": pa.array([str(name) for name, _ in pairs], pa.string()),
            "from_height": pa.array([int(height) for _, height in pairs], pa.int64()),
            "events": pa.array([int(busy[name][height]) for name, height in pairs], pa.int64()),
        }
    )
