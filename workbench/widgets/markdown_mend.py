"""The unfinished end of Markdown that is being written, made sense of: so that it does not jump.

Only for looking at: what is drawn once a block has closed is drawn from the text as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LOOKED_AT = 4_000
"""An end longer than this is drawn as it stands."""

# A last line of nothing but marks may become anything: it waits for its next character.
_MARKS = re.compile(r"[ \t]*(?:[-*_+=>#|~`$: \t\[\]]+|\d{1,9}[.)]?|\\)")
_FENCE = re.compile(r"(?m)^[ \t>]*(?:```|~~~)")
_ROW = re.compile(r"[ \t]*\|.*\|")
_START = re.compile(r"(?m)^(?:[ \t>]*(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]|[ \t]*\n|[ \t]*\|.*\|)")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\](?:\([^)\n]*)?\Z")
_RUN = re.compile(r"\\.|`+|\*+|_+|~~|\$\$|\\\Z", re.DOTALL)


def mended(text: str) -> str:
    """The text with marks closed that wait for their other half."""
    head, newline, last = text.rpartition("\n")
    if last and _MARKS.fullmatch(last):
        text = head + newline
    if len(_FENCE.findall(text)) % 2:
        return text  # code within a list or a quotation: all that follows is code
    return _with_table(text) or _with_inline(text)


def _with_table(text: str) -> str:
    """A first row is a heading already, before the line of dashes below it has come."""
    *before, last = text.removesuffix("\n").rsplit("\n", 2)[-2:]
    lone = not before or not _ROW.match(before[0])
    if not lone or not _ROW.match(last) or len(text) > LOOKED_AT:
        return ""
    row = last.strip()
    cells = row.strip("|").replace("\\|", "").count("|") + 1
    start = text.removesuffix("\n").removesuffix(last)
    return f"{start}| {row.strip('|')} |\n|{'---|' * cells}\n"


def _with_inline(text: str) -> str:
    start = 0
    for match in _START.finditer(text):
        start = match.end()
    end = text[start:]
    if not end.strip() or len(end) > LOOKED_AT:
        return text
    link = _LINK.search(end)
    if link and not end.endswith("]"):
        end = end[: link.start()] + link[1]
    return text[:start] + _Marks().closed(end)


@dataclass
class _Marks:
    """Marks that were opened and not closed, innermost last."""

    waiting: list[str] = field(default_factory=list)

    def closed(self, end: str) -> str:
        for opening, closing in (("$$", "$$"), ("\\[", "\\]")):
            if end.lstrip().startswith(opening) and closing not in end.lstrip()[2:]:
                return _as_code(end)
        at = 0
        while match := _RUN.search(end, at):
            at = match.end()
            if match[0][0] == "`":
                close = _same_run(end, match[0], at)
                if close < 0:
                    end = end + match[0] if end[at:].strip() else end[: match.start()]
                    break
                at = close
            elif match[0] == "\\(":
                close = end.find("\\)", at)
                if close < 0:
                    end = end[: match.start()] + _as_code(end[match.start() :])
                    break
                at = close + 2
            elif at == len(end):
                end = end[: match.start()]
            elif match[0][0] in "*_~":
                self._meet(end, match.start(), match[0])
        bare = end.rstrip()
        return bare + "".join(reversed(self.waiting)) + end[len(bare) :]

    def _meet(self, end: str, start: int, run: str) -> None:
        before, after = end[start - 1 : start], end[start + len(run) : start + len(run) + 1]
        if run[0] == "_" and before.isalnum() and after.isalnum():
            return
        for mark in [run[:2], run[2:3]] if len(run) == 3 else [run]:
            if mark in self.waiting and before and not before.isspace():
                del self.waiting[self.waiting.index(mark) :]
            elif after and not after.isspace() and len(mark) <= 2:
                self.waiting.append(mark)


def _same_run(text: str, run: str, at: int) -> int:
    """Behind the next run of as many backticks; -1 where there is none."""
    for match in re.finditer(r"`+", text[at:]):
        if match[0] == run:
            return at + match.end()
    return -1


def _as_code(text: str) -> str:
    """A formula whose end has not come, as its source."""
    body = text.strip().strip("`")
    return f"`` {body} ``" if body else text
