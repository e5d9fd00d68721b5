"""An answer that passes its checks: asked again with what was wrong, then of other models.

Every attempt is told as an Attempt; nothing is tried again in silence.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from workbench.core.llm import BackendBroken, ChatRequest, ModelError, Turn
from workbench.core.llm_checks import Checks
from workbench.core.llm_results import Answer, Attempt, Failure, Generated, Progress
from workbench.core.sentence import Sentence
from workbench.errors import InputError, WorkbenchError
from workbench.llm.asking import Clock, Models, answered
from workbench.llm.checks import validate

ATTEMPTS_LIMIT = 20

_AGAIN = """That answer cannot be used:
{faults}
Answer the request again, in full, and correct this."""


async def generate(
    models: Models,
    request: ChatRequest,
    checks: Checks,
    *,
    attempts: int,
    fallbacks: Sequence[str],
    clock: Clock,
) -> AsyncGenerator[Progress | Attempt | Generated]:
    """Up to `attempts` answers of each model in turn, until one passes; Generated is the last.

    Raises InputError for faulty checks or a request that is refused, and ModelError with the
    last reason where no answer passes. A model that cannot answer at all costs one attempt.
    """
    if not 1 <= attempts <= ATTEMPTS_LIMIT:
        raise InputError.field("attempts", attempts, f"1 to {ATTEMPTS_LIMIT}")
    validate("", checks)  # a faulty check is found before a model works
    done: list[Attempt] = []
    refs = (request.model, *fallbacks)
    total = attempts * len(refs)
    for index, ref in enumerate(refs):
        asked = _constrained(msgspec.structs.replace(request, model=ref), checks)
        faulty: Attempt | None = None
        for number in range(1, attempts + 1):
            answer, attempt = await _attempt(models, _with_feedback(asked, faulty), checks, clock)
            attempt = msgspec.structs.replace(attempt, number=len(done) + 1)
            done.append(attempt)
            yield attempt
            if answer is not None and attempt.ok:
                yield Generated(answer=answer, attempts=tuple(done))
                return
            yield _progress(index * attempts + number, total, attempt)
            if attempt.error and attempt.error.code != BackendBroken.code:
                break
            faulty = attempt
    raise ModelError(
        "no answer passed its checks in {count} attempts; the last: {reason}",
        count=len(done),
        reason=str(_reason(done[-1])),
    )


async def _attempt(
    models: Models, request: ChatRequest, checks: Checks, clock: Clock
) -> tuple[Answer | None, Attempt]:
    try:
        answer = await answered(models, request, clock)
    except InputError:
        raise
    except WorkbenchError as error:
        return None, Attempt(model=request.model, ok=False, error=Failure.of(error))
    failures = validate(answer.text, checks)
    if answer.finish == "length" and failures:
        failures = (*failures, Sentence("the answer was cut at its limit of tokens"))
    return answer, Attempt(
        model=answer.model or request.model,
        backend=answer.backend or "",
        ok=not failures,
        text=answer.text,
        failures=failures,
    )


def _constrained(request: ChatRequest, checks: Checks) -> ChatRequest:
    """A schema that is checked afterwards is asked for from the start, unless one is."""
    sampling = request.sampling
    if checks.json_schema is None or sampling.json_schema is not None or sampling.grammar:
        return request
    constrained = msgspec.structs.replace(sampling, json_schema=checks.json_schema)
    return msgspec.structs.replace(request, sampling=constrained)


def _with_feedback(request: ChatRequest, faulty: Attempt | None) -> ChatRequest:
    """The request with its last faulty answer and what was wrong with it; only the last, so
    that the conversation does not grow with each attempt.
    """
    if faulty is None or not faulty.failures:
        return request
    faults = "\n".join(f"- {failure}" for failure in faulty.failures)
    feedback = (
        Turn(role="assistant", content=faulty.text),
        Turn(role="user", content=_AGAIN.format(faults=faults)),
    )
    return msgspec.structs.replace(request, turns=(*request.turns, *feedback))


def _progress(done: int, total: int, attempt: Attempt) -> Progress:
    reason = _reason(attempt)
    return Progress(done=done, total=total, template=reason.template, values=reason.values)


def _reason(attempt: Attempt) -> Sentence:
    if attempt.error is not None:
        return Sentence(attempt.error.template, attempt.error.values)
    return attempt.failures[0]
