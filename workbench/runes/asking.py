"""`@question`: a function over the tables of a batch becomes one call, one form, one mesh task."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from workbench.core.model import Context, MeshModel, Result, first_paragraph
from workbench.core.signature import CONTEXT, hints_of, signature_of
from workbench.errors import InputError
from workbench.runes.answer import Answer
from workbench.runes.batch import load_batch
from workbench.runes.drawing import SHOWN_ROWS
from workbench.runes.evidence import Asked, Evidence, evidence_of
from workbench.runes.records import RECORDS

VERSION = "1"


class Question:
    """A question: called with a batch, a table of one, or a batch that a hub keeps.

    `model` is the same question as a mesh model, with the same parameters.
    """

    def __init__(self, function: Callable[..., Answer], title: str, version: str) -> None:
        functools.update_wrapper(self, function)
        self.title = title
        self._function = function
        self.__signature__ = _plainly(function)
        name = function.__name__
        hints = {**hints_of(name, function), "batch": Path}
        signature = signature_of(name, function, hints, Context)
        self.model = MeshModel(
            name=f"runes-{name.replace('_', '-')}",
            version=version,
            title=title,
            description=first_paragraph(function),
            pure=True,
            function=self._for_mesh(),
            context=CONTEXT,
            batch="path",
            needs_batch=True,
            parameters=signature.parameters,
        )

    def _for_mesh(self) -> Callable[..., Result]:
        def run(context: Context, batch: Path, **parameters: Any) -> Result:
            context.progress(0, 2, "reading the batch")
            read = load_batch(batch, rune_limit=context.rune_limit)
            context.progress(1, 2, "asking it")
            return self._answer(evidence_of(read), parameters).result(read.id)

        run.__module__, run.__qualname__ = self.__module__, f"{self.name}.model"
        own = inspect.signature(run).parameters
        asked = inspect.signature(self._function).parameters
        named = [own["context"], *(asked[name] for name in asked)]
        run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
        return run

    @property
    def name(self) -> str:
        return self._function.__name__

    def __call__(self, batch: Asked, /, **parameters: Any) -> Answer:
        """Ask it. Raises InputError for a faulty parameter, and where the batch does not hold
        enough to answer, with the reason."""
        evidence = evidence_of(batch)
        return read_by(evidence, self._answer(evidence, self._checked(parameters)))

    def _answer(self, evidence: Evidence, parameters: dict[str, Any]) -> Answer:
        """The answer with its mark, where it rests on a state that nobody computed."""
        answer = self._function(evidence, **parameters)
        if evidence.trust is not None:
            answer = answer.trusting(evidence.trust)
        RECORDS.answered(answer, evidence.name, parameters)
        return answer

    def _checked(self, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.model.validate({name: _plain(each) for name, each in parameters.items()})
        except InputError as error:
            raise InputError.of(
                [
                    dataclasses.replace(fault, field=fault.field.removeprefix("parameters."))
                    for fault in error.faults
                ]
            ) from None

    def __repr__(self) -> str:
        return f"{self.name}{self.__signature__}: {self.model.description}"


def _plain(value: Any) -> Any:
    """A number out of a frame is numpy's: as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _plainly(function: Callable[..., Answer]) -> inspect.Signature:
    """The signature as a person reads it, without what only a form needs."""
    signature, hints = inspect.signature(function), get_type_hints(function)
    first, *rest = (
        each.replace(annotation=hints.get(each.name, each.annotation))
        for each in signature.parameters.values()
    )
    batch = first.replace(annotation=inspect.Parameter.empty, kind=first.POSITIONAL_ONLY)
    return signature.replace(parameters=[batch, *rest], return_annotation=Answer)


def read_by(evidence: Evidence, answer: Answer) -> Answer:
    """The answer with the divisibility of the runes that its drawn rows name."""
    known = answer.divisibility is not None or set(answer.amounts) <= set(answer.counts)
    if known or "rune_id" not in answer.table.column_names:
        return answer
    drawn = answer.table["rune_id"].slice(0, SHOWN_ROWS).to_pylist()
    return dataclasses.replace(answer, divisibility=evidence.divisibilities(drawn))


def question(title: str, *, version: str = VERSION) -> Callable[[Callable[..., Answer]], Question]:
    """Make a Question of a function whose parameter `batch` takes the Evidence."""

    def make(function: Callable[..., Answer]) -> Question:
        return Question(function, title, version)

    return make
