"""The hub's side of what one job asks a language model: one question at a time, and its reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from workbench.core.job import Done, Outcome
from workbench.core.llm import ModelError, NoModel
from workbench.engines.frames import ANSWER_CHARS, Question, Reply, speakable
from workbench.errors import WorkbenchError

NONE_HERE = "this hub has no language models"
SLOW = "the language model did not answer within {limit_s} s"
TOO_LONG = "the answer of {model} is longer than {most} characters"
BROKEN = "the hub failed while a language model was asked: its log says why"

log = logging.getLogger(__name__)


class Write(Protocol):
    """A language model that is loaded already. Raises NoModel where none is."""

    async def __call__(self, prompt: str, seed: int) -> tuple[str, str]:
        """The text, and the model that wrote it, as `id@backend`."""


class Questions:
    """Those of one job. Stopped with it, so that the model is free for others at once."""

    def __init__(self) -> None:
        self._asked = 0
        self._answered: list[str] = []
        self._chore: asyncio.Task[Any] | None = None

    def begin(
        self,
        answer: Coroutine[Any, Any, None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """Work on an answer. Who asks again waits no more for the one before."""
        self.stop()
        self._asked += 1
        self._chore = spawn(answer)

    def stop(self) -> None:
        if self._chore is not None:
            self._chore.cancel()

    async def reply(self, question: Question, seed: int, write: Write | None) -> Reply:
        """The answer within the question's time, or the sentence why there is none."""
        try:
            if write is None:
                raise NoModel(NONE_HERE)
            async with asyncio.timeout(question.limit_s):
                text, model = await write(question.prompt, seed)
            if len(text) > ANSWER_CHARS:
                raise ModelError(TOO_LONG, model=model, most=ANSWER_CHARS)
            self._answered.append(model)
            return Reply(number=question.number, text=text, model=model)
        except TimeoutError:
            fault = WorkbenchError(SLOW, limit_s=round(question.limit_s, 1))
        except NoModel as error:
            self._answered.append("")
            fault = error
        except WorkbenchError as error:
            fault = error
        except Exception:
            log.exception("engine.answer_failed")
            fault = WorkbenchError(BROKEN)
        template, values = speakable(fault.template, fault.values)
        return Reply(
            number=question.number,
            template=template,
            values=values,
            absent=isinstance(fault, NoModel),
        )

    def signed(self, outcome: Outcome) -> Outcome:
        """A result, with who answered; it can be had again where every question had an answer,
        all by the same."""
        if not self._asked or not isinstance(outcome, Done):
            return outcome
        by = sorted(set(self._answered))
        same = len(by) == 1 and len(self._answered) == self._asked
        return msgspec.structs.replace(outcome, language_model=", ".join(by), repeatable=same)
