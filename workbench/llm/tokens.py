"""How many tokens a text has: exactly by the model's own tokenizer, else as an estimate.

The estimate starts from characters per token of usual byte-pair vocabularies: 4 for prose of
Latin letters (the figure that vendors document for English), 3 for code (symbols and
indentation), 1.4 for Chinese, Japanese and Korean, 2 for other scripts and for emoji. What
answers report as used corrects it for each model. An estimate always says that it is one.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Sequence

from workbench.core.llm import Event, ModelError, Reasoning, Token, ToolCall, Usage
from workbench.core.llm_results import Count
from workbench.errors import LinkError
from workbench.llm.router import Instance

TEXT_CHARS = 4.0
CODE_CHARS = 3.0
CJK_CHARS = 1.4
OTHER_CHARS = 2.0
CODE_SHARE = 0.06
"""Prose has a smaller share of these signs, code a greater one."""

MODELS = 256
LEAST_TOKENS = 16
MEMORY_TOKENS = 20_000
"""Older evidence fades, so that a model loaded anew under its old name is learnt anew."""

_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
_OTHER = re.compile("[^\x00-\u024f\u2000-\u206f]")
_SIGNS = re.compile(r"[{}()\[\]<>=;_/\\|&*+#$%^~`@]|\n[ \t]+")


def prior(text: str) -> float:
    """Tokens that a text is likely to have for a model of which nothing is known."""
    if not text:
        return 0.0
    cjk = len(_CJK.findall(text))
    other = len(_OTHER.findall(text)) - cjk
    latin = len(text) - cjk - other
    signs = len(_SIGNS.findall(text))
    per_token = CODE_CHARS if latin and signs / latin > CODE_SHARE else TEXT_CHARS
    return latin / per_token + cjk / CJK_CHARS + other / OTHER_CHARS


class Tokens:
    """Counts, and learns from what answers report. For one event loop."""

    def __init__(self) -> None:
        self._learnt: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def count(self, instance: Instance | None, text: str) -> Count:
        """Exact where the model is loaded and its back end can tell. Never loads a model."""
        if instance is None:
            return Count(tokens=math.ceil(prior(text)), exact=False)
        model = instance.model.id
        if instance.model.loaded and (tokens := await _exactly(instance, text)) is not None:
            return Count(tokens=tokens, exact=True, model=model)
        return Count(tokens=self.estimate(model, text), exact=False, model=model)

    def estimate(self, model: str, text: str) -> int:
        """Tokens by the prior, corrected by what was learnt of this model."""
        return math.ceil(prior(text) * self.factor(model))

    def factor(self, model: str) -> float:
        """Reported tokens for each token of the prior; 1 where nothing was learnt."""
        reported, expected = self._learnt.get(model, (0.0, 0.0))
        return reported / expected if expected > 0 else 1.0

    def learn(self, model: str, text: str, tokens: int) -> None:
        """The model's tokenizer made `tokens` of this text. Short texts teach nothing."""
        expected = prior(text)
        if tokens < LEAST_TOKENS or expected <= 0:
            return
        old_reported, old_expected = self._learnt.pop(model, (0.0, 0.0))
        fade = min(1.0, MEMORY_TOKENS / (old_reported + tokens))
        self._learnt[model] = (
            fade * old_reported + tokens,
            fade * old_expected + expected,
        )
        if len(self._learnt) > MODELS:
            self._learnt.popitem(last=False)

    def hear(self, instance: Instance, events: Sequence[Event]) -> None:
        """Learn from a whole answer. One that calls tools says nothing: those are not text."""
        usage = next((event for event in events if type(event) is Usage), None)
        if usage is None or usage.completion_tokens is None:
            return
        if not any(type(event) is ToolCall for event in events):
            text = "".join(e.text for e in events if isinstance(e, Token | Reasoning))
            self.learn(instance.model.id, text, usage.completion_tokens)


async def _exactly(instance: Instance, text: str) -> int | None:
    """None where the back end has no way, or is away just now: a count is never worth an error."""
    try:
        return await instance.backend.count_tokens(instance.model.id, text)
    except (ModelError, LinkError):
        return None
