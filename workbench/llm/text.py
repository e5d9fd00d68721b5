"""Texts made to fit a model's context: cut to a number of tokens, or split into parts.

Counting is asked of a back end, so it is done seldom: a cut is searched by proportion between
bounds (about as many counts as digits), and parts are made by an estimate that one count of
the whole text has corrected, then counted; only those that are too long are split exactly.
"""

from __future__ import annotations

import asyncio
import math
import unicodedata
from collections.abc import Awaitable, Callable

from semantic_text_splitter import MarkdownSplitter

from workbench.core.llm_results import Count, Truncated
from workbench.errors import InputError
from workbench.llm.tokens import prior

Counter = Callable[[str], Awaitable[Count]]
"""Counts a text's tokens for one model."""

PASSES = 3
NEARLY = 2.0
"""A part longer than this by its share shows a text too uneven for one estimate."""

_JOINERS = "\u200d\ufe0e\ufe0f"


async def truncate(count: Counter, text: str, limit_tokens: int, keep: str = "end") -> Truncated:
    """The longest end (or start) of a text that the search finds within the limit.

    It stops at a cut of exactly `limit_tokens`, or where one character more is too much.
    Characters that are shown as one are not cut apart.
    """
    _check_limit(limit_tokens)
    if keep not in ("start", "end"):
        raise InputError.field("keep", keep, "start, end")
    whole = await count(text)
    if whole.tokens <= limit_tokens:
        return Truncated(text=text, count=whole, cut=False)
    fits, fitting = "", await count("")
    low, high, low_tokens, high_tokens = 0, len(text), 0, whole.tokens
    while high - low > 1 and low_tokens < limit_tokens:
        chars = _between(low, high, low_tokens, high_tokens, limit_tokens)
        piece = _cut(text, chars, keep)
        counted = await count(piece)
        if counted.tokens <= limit_tokens:
            low, low_tokens = chars, counted.tokens
            if len(piece) >= len(fits):
                fits, fitting = piece, counted
        else:
            high, high_tokens = chars, counted.tokens
    return Truncated(text=fits, count=fitting, cut=True)


def _between(low: int, high: int, low_tokens: int, high_tokens: int, limit: int) -> int:
    """Where the limit lies by proportion, kept off the bounds so that each step gains."""
    share = (limit - low_tokens) / max(1, high_tokens - low_tokens)
    margin = max(1, (high - low) // 16)
    guess = low + round(share * (high - low))
    return min(max(guess, low + margin), high - margin) if high - low > 2 else low + 1


def _cut(text: str, chars: int, keep: str) -> str:
    """The first or last `chars` characters, fewer where the cut would go through one shown."""
    if keep == "start":
        while 0 < chars < len(text) and _hangs(text, chars):
            chars -= 1
        return text[:chars]
    start = len(text) - chars
    while 0 < start < len(text) and _hangs(text, start):
        start += 1
    return text[start:]


def _hangs(text: str, at: int) -> bool:
    """Whether the character at this place belongs to the one before it."""
    return (
        unicodedata.combining(text[at]) > 0
        or text[at] in _JOINERS
        or text[at - 1] == "\u200d"
        or "\U0001f3fb" <= text[at] <= "\U0001f3ff"
        or (text[at - 1] == "\r" and text[at] == "\n")
    )


async def split(count: Counter, text: str, limit_tokens: int, overlap_tokens: int = 0) -> list[str]:
    """Parts of at most `limit_tokens`, cut at headings, paragraphs, sentences, as Markdown.

    Without overlap the parts joined are the text; with it each begins with the end of the one
    before: whole sentences, up to about `overlap_tokens`. Nothing is trimmed. A single character
    whose tokens exceed the limit stays whole. With overlap, blank parts are left out.
    """
    _check_limit(limit_tokens)
    if not 0 <= overlap_tokens < limit_tokens:
        raise InputError.field("overlap", overlap_tokens, "0 to less than the limit")
    whole = await count(text)
    if whole.tokens <= limit_tokens:
        return [text] if text else []
    parts = await _parts(count, text, whole, limit_tokens, overlap_tokens)
    if overlap_tokens:
        return [part for part in parts if not part.isspace()]
    return await _without_blanks(count, parts, limit_tokens)


async def _without_blanks(count: Counter, parts: list[str], limit_tokens: int) -> list[str]:
    """Parts of nothing but space, which the splitter leaves between headings, joined to the
    part before or after them where there is room.
    """
    joined: list[str] = []
    for part in parts:
        mergeable = joined and (part.isspace() or joined[-1].isspace())
        if mergeable and (await count(joined[-1] + part)).tokens <= limit_tokens:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


async def _parts(
    count: Counter, text: str, whole: Count, limit_tokens: int, overlap_tokens: int
) -> list[str]:
    factor = whole.tokens / max(prior(text), 1e-9)
    for _ in range(PASSES):
        parts = await asyncio.to_thread(
            _chunks, text, _estimate(factor), limit_tokens, overlap_tokens
        )
        if not whole.exact:
            return parts
        counts = [(await count(part)).tokens for part in parts]
        worst = max(counts) / limit_tokens
        if worst <= 1:
            return parts
        if not overlap_tokens:
            return await _mended(count, parts, counts, limit_tokens)
        if worst > NEARLY:
            break
        factor *= worst
    return await _split_exactly(count, text, limit_tokens, overlap_tokens)


def _estimate(factor: float) -> Callable[[str], int]:
    return lambda piece: math.ceil(prior(piece) * factor)


async def _mended(
    count: Counter, parts: list[str], counts: list[int], limit_tokens: int
) -> list[str]:
    """Parts that are too long are split by counting every candidate.

    Only without overlap: the pieces of one part know nothing of its neighbours.
    """
    fitting = []
    for part, tokens in zip(parts, counts, strict=True):
        if tokens <= limit_tokens:
            fitting.append(part)
        else:
            fitting += await _split_exactly(count, part, limit_tokens, 0)
    return fitting


async def _split_exactly(
    count: Counter, text: str, limit_tokens: int, overlap_tokens: int
) -> list[str]:
    loop = asyncio.get_running_loop()
    given_up = False
    known: dict[str, int] = {}

    def tokens(piece: str) -> int:
        if given_up:
            raise InterruptedError
        if len(piece.encode()) < limit_tokens:  # no tokenizer makes more tokens than bytes
            return min(math.ceil(prior(piece)), limit_tokens)
        if piece not in known:
            counting = asyncio.run_coroutine_threadsafe(_number(count, piece), loop)
            known[piece] = counting.result()
        return known[piece]

    try:
        return await asyncio.to_thread(_chunks, text, tokens, limit_tokens, overlap_tokens)
    finally:
        given_up = True  # the thread of a cancelled split ends at its next count


async def _number(count: Counter, text: str) -> int:
    return (await count(text)).tokens


def _chunks(
    text: str, tokens: Callable[[str], int], limit_tokens: int, overlap_tokens: int
) -> list[str]:
    splitter = MarkdownSplitter.from_callback(
        tokens, limit_tokens, overlap=overlap_tokens, trim=False
    )
    return splitter.chunks(text)


def _check_limit(limit_tokens: int) -> None:
    if limit_tokens < 1:
        raise InputError.field("limit", limit_tokens, "1 or more")
