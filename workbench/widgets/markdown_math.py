r"""Mathematics in Markdown: $ $, $$ $$, \( \) and \[ \], typeset as MathML within bounds.

A formula on lines of its own is a block that ends at its closing mark or at a blank line, so
that what is read first never changes its meaning by what is read later.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

SOURCE_CHARS = 4_000
DEPTH = 60
"""Braces within braces; the converter calls itself for each."""
CLOSES = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
# Macros could write each other out without end.
_DEFINES = re.compile(
    r"\\(new|renew|provide)?(command|environment)\b|\\[egx]?def\b|\\let\b|\\DeclareMath"
)
_ALIGNED = re.compile(r"\\(begin|end)\{(?:aligned|gathered)\}")
_BRACES = re.compile(r"\\.|([{}])", re.DOTALL)


def add_math(parser: MarkdownIt) -> None:
    """Teach the parser formulas, in lines and on lines of their own."""
    interrupts: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "math_block", _block, interrupts)
    parser.inline.ruler.before("escape", "math_inline", _inline)
    parser.add_render_rule("math_inline", _draw_inline)
    parser.add_render_rule("math_block", _draw_block)


@functools.lru_cache(maxsize=512)
def mathml(latex: str, display: str = "inline") -> str:
    """A formula as MathML; its source as code where it cannot be read. `display`: inline, block."""
    source = latex.strip()
    if len(source) > SOURCE_CHARS or _DEFINES.search(source) or _depth(source) > DEPTH:
        return source_html(source)
    try:
        tree = convert_to_element(_ALIGNED.sub(r"\\\1{split}", source), display=display)
        _plain_text(tree)
        return tostring(tree, encoding="unicode")
    except Exception:  # the converter has no base class of its own, and trips over its own feet
        return source_html(source)


def source_html(latex: str) -> str:
    """A formula as it was written."""
    return f'<code class="wb-mathsource">{html.escape(latex)}</code>'


def _depth(source: str) -> int:
    deepest = depth = 0
    for match in _BRACES.finditer(source):
        depth += {"{": 1, "}": -1}.get(match[1] or "", 0)
        deepest = max(deepest, depth)
    return deepest


def _plain_text(tree: Element) -> None:
    """The converter writes characters as references for a serialiser that does not escape;
    resolved here, so that one which escapes can follow."""
    for element in tree.iter():
        if element.text:
            element.text = html.unescape(element.text)


def _inline(state: StateInline, silent: bool) -> bool:
    source, start = state.src, state.pos
    mark = source[start : start + 2]
    if mark in CLOSES:
        close, begin = CLOSES[mark], start + 2
    elif mark[0] == "$":
        mark = close = "$"
        begin = start + 1
    else:
        return False
    end = _closing(source, close, begin, min(state.posMax, begin + SOURCE_CHARS))
    if end < 0 or not source[begin:end].strip() or (mark == "$" and _is_money(source, begin, end)):
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content, token.markup = source[begin:end], mark
    state.pos = end + len(close)
    return True


def _closing(source: str, close: str, begin: int, limit: int) -> int:
    """Where the formula ends; -1 where it does not."""
    end = source.find(close, begin, limit)
    while close == "$" and end > begin and source[end - 1] == "\\":
        end = source.find(close, end + 1, limit)
    return end


def _is_money(source: str, begin: int, end: int) -> bool:
    """A dollar is a mark only if it clings to its formula, as pandoc reads it."""
    return bool(
        source[begin].isspace()
        or source[end - 1].isspace()
        or source[end + 1 : end + 2].isdigit()
        or source[end + 1 : end + 2] == "$"
        or "\n\n" in source[begin:end]
    )


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    line = _line(state, start)
    mark = line[:2]
    if mark not in ("$$", "\\["):
        return False
    close, first = CLOSES[mark], line[2:]
    if close in first and first.split(close, 1)[1].strip(" \t.,;:"):
        return False  # words follow: a formula within a paragraph
    if silent:
        return mark == "\\[" or _opens(state, start)
    return _take_block(state, start, end, close)


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _opens(state: StateBlock, line: int) -> bool:
    """Whether `$$` begins a formula here, or ends one that began within this paragraph."""
    paragraph = state.src[state.bMarks[state.line] : state.bMarks[line]]
    return paragraph.count("$$") % 2 == 0


def _take_block(state: StateBlock, start: int, end: int, close: str) -> bool:
    lines = [_line(state, start)[2:]]
    line = start
    while close not in lines[-1] and line + 1 < end:
        if state.isEmpty(line + 1) or state.sCount[line + 1] < state.blkIndent:
            break
        line += 1
        lines.append(_line(state, line))
    *body, last = lines
    formula, found, rest = last.partition(close)
    state.line = line + 1
    if found:
        token = state.push("math_block", "math", 0)
        token.content, token.map = "\n".join([*body, formula]), [start, state.line]
        rest = rest.strip(" \t.,;:")
    else:
        rest = "\n".join([_line(state, start)[:2] + lines[0], *lines[1:]])
    if rest or not found:
        _paragraph(state, rest, [start, state.line])
    return True


def _paragraph(state: StateBlock, text: str, lines: list[int]) -> None:
    opening = state.push("paragraph_open", "p", 1)
    opening.map = lines
    inline = state.push("inline", "", 0)
    inline.content, inline.map, inline.children = text.strip(), lines, []
    state.push("paragraph_close", "p", -1)


def _draw_inline(_renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    token = tokens[at]
    wide = token.markup in ("$$", "\\[")
    drawn = mathml(token.content, "block" if wide else "inline")
    return f'<span class="wb-mathline">{drawn}</span>' if wide else drawn


def _draw_block(_renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return f'<div class="wb-math" tabindex="0">{mathml(tokens[at].content, "block")}</div>\n'
