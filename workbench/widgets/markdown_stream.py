"""Markdown while it is being written: closed blocks are drawn once, the open one as it grows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from workbench.widgets.markdown import (
    Group,
    code_html,
    draw,
    groups,
    normal,
    parse,
    render,
    sanitise,
)
from workbench.widgets.markdown_mend import mended

SMALL = 2_000
LARGE = 12_000
"""An open block is drawn anew with each feed up to SMALL characters; a longer one each time it
has grown by a fifth, beyond LARGE by a half: the whole work stays in proportion to its length."""
SMALL_CODE = 600
COLOURED_OPEN = 16_000
"""Open code is coloured up to this many characters, and after that when it closes."""


@dataclass(frozen=True)
class Change:
    """What a feed changed: drawn blocks by their place, the open block's HTML (None: as it was),
    and text to be set behind the open block until it is drawn anew."""

    closed: tuple[tuple[int, str], ...] = ()
    tail: str | None = None
    more: str = ""

    def then(self, later: Change) -> Change:
        """This change and a later one as one."""
        closed = tuple({**dict(self.closed), **dict(later.closed)}.items())
        if later.tail is not None:
            return Change(closed, later.tail, later.more)
        return Change(closed, self.tail, self.more + later.more)


@dataclass
class Fence:
    """Code that is still open, at the top level: how it ends, and how far it was looked through."""

    closes: re.Pattern[str]
    indent: int
    language: str
    begin: int
    checked: int

    @classmethod
    def of(cls, group: Group, tail: str) -> Fence | None:
        """The fence that the tail consists of, whether it is closed or not."""
        token = group.tokens[0]
        if token.type != "fence":
            return None
        mark = re.escape(token.markup[0])
        closes = re.compile(rf" {{0,3}}{mark}{{{len(token.markup)},}}[ \t]*")
        line = tail.split("\n", 1)[0]
        indent = len(line) - len(line.lstrip(" "))
        begin = len(line) + 1
        return cls(closes, indent, (token.info.split() or [""])[0], begin, begin)

    def end(self, tail: str) -> int | None:
        """The place behind the line that closes it; looks at each whole line once."""
        while (at := tail.find("\n", self.checked)) >= 0:
            line = tail[self.checked : at]
            self.checked = at + 1
            if self.closes.fullmatch(line):
                return self.checked
        return None

    def visible(self, tail: str) -> int:
        """Up to where the tail is code for sure: a last line may yet turn out to close it."""
        rest = tail[self.checked :].strip(" \t")
        return self.checked if rest and not rest.strip("`~") else len(tail)

    def code(self, text: str) -> str:
        """Code without the indentation of its fence."""
        return re.sub(rf"(?m)^ {{1,{self.indent}}}", "", text) if self.indent else text


@dataclass
class StreamingMarkdown:
    """Equal to `markdown.render` of the whole once finished, wherever the text was cut."""

    blocks: list[str] = field(default_factory=list)
    tail: str = ""
    """The HTML of the open block as it was drawn last."""
    more: str = ""
    """Text that came since then."""

    def __post_init__(self) -> None:
        self._text: list[str] = []
        self._open = ""
        self._held = ""
        self._seen = 0
        self._drawn_at = 0
        self._looked = 0
        self._fence: Fence | None = None
        self._references: dict[str, Any] = {}

    @property
    def source(self) -> str:
        """All that was fed, as it came."""
        return "".join(self._text)

    def feed(self, text: str) -> Change:
        """Take more of the text."""
        if not text:
            return Change()
        self._text.append(text)
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        self._open += normal(text.removesuffix("\r"))
        closed = self._close_fence()
        if not closed and not self._due():
            return self._append()
        if self._fence is None:
            closed += self._close_blocks()
        return self._drawn(closed)

    def finish(self) -> Change:
        """The end: whatever was open is closed. Links defined late reach blocks drawn early."""
        self._open += "\n" if self._held else ""
        self._held, self._fence = "", None
        closed = [self._add(one) for one in groups(parse(self._open, self._references))]
        self._open = self.tail = self.more = ""
        if self._references:
            whole = render(self.source)
            closed = [(at, one) for at, one in enumerate(whole) if self._differs(at, one, closed)]
            self.blocks = whole
        return Change(tuple(closed), tail="")

    def _differs(self, at: int, drawn: str, closed: list[tuple[int, str]]) -> bool:
        return drawn != self.blocks[at] or any(place == at for place, _ in closed)

    def _add(self, group: Group) -> tuple[int, str]:
        self.blocks.append(draw(group))
        return len(self.blocks) - 1, self.blocks[-1]

    def _due(self) -> bool:
        """Whether the open block is drawn anew, rather than text set behind it."""
        small = SMALL if self._fence is None else SMALL_CODE
        if self._fence is not None and len(self._open) > COLOURED_OPEN:
            return False
        grown, size = len(self._open) - self._drawn_at, len(self._open)
        return grown >= (size - small) // 6 if size < LARGE else grown >= size // 3

    def _append(self) -> Change:
        fence = self._fence
        end = fence.visible(self._open) if fence else len(self._open)
        text = self._open[self._seen : end]
        self._seen = max(self._seen, end)
        added = fence.code(text) if fence else text
        self.more += added
        return Change(more=added)

    def _close_fence(self) -> list[tuple[int, str]]:
        """The open code, if it has ended now."""
        if self._fence is None:
            return []
        end = self._fence.end(self._open)
        if end is None:
            return []
        block, self._fence = self._open[:end], None
        self._cut(end)
        return [self._add(one) for one in groups(parse(block, self._references))]

    def _cut(self, end: int) -> None:
        self._open = self._open[end:]
        self._seen = self._drawn_at = self._looked = 0

    def _close_blocks(self) -> list[tuple[int, str]]:
        """Blocks that no later line can change: those with another block behind them."""
        whole = self._open[: self._open.rfind("\n") + 1]
        if len(whole) == self._looked:
            return []  # within one line no block closes
        self._looked = len(whole)
        references = dict(self._references)
        found = groups(parse(whole, references)) if whole.strip() else []
        if not found:
            return []
        last = found[-1]
        lines = whole.split("\n")
        before = found[-2].end if len(found) > 1 else 0
        closed: list[tuple[int, str]] = []
        if last.start and (before == last.start or not lines[last.start - 1].strip()):
            new = {name: one for name, one in references.items() if one["map"][0] < last.start}
            self._references = {**new, **self._references}
            closed = [self._add(one) for one in found[:-1]]
            self._cut(sum(map(len, lines[: last.start])) + last.start)
        elif last.start:
            return []
        self._fence = Fence.of(last, self._open)
        return closed + self._close_fence()

    def _drawn(self, closed: list[tuple[int, str]]) -> Change:
        if self._fence is not None:
            end = self._fence.visible(self._open)
            code = self._fence.code(self._open[self._fence.begin : end])
            self.tail = sanitise(code_html(code, self._fence.language, opened=True))
        else:
            end = len(self._open)
            self.tail = self._draw_open()
        self.more = ""
        self._seen, self._drawn_at = end, len(self._open)
        return Change(tuple(closed), self.tail)

    def _draw_open(self) -> str:
        tokens = parse(mended(self._open), dict(self._references))
        return "".join(draw(group) for group in groups(tokens))
