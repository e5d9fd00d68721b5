"""Markdown of people and models as HTML that can do no harm: drawn block by block, in bounds.

Nothing in the result can run, fetch, or look like a part of the page around it: raw HTML is
text, links leave by http, https or mailto, pictures are data or become links.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.tasklists import tasklists_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from workbench.widgets.markdown_math import add_math

INLINE_CHARS = 20_000
"""A longer paragraph is drawn as plain text."""
COLOURED_CHARS = 40_000
"""Longer code is drawn without colours, as is code with a line longer than COLOURED_LINE."""
COLOURED_LINE = 2_000
NESTING = 24

Tokens = Sequence[Token]


def _words(listing: str) -> frozenset[str]:
    return frozenset(listing.split())


LANGUAGES = _words(
    "bash sh shell console zsh powershell bat c cpp csharp css diff dockerfile docker elixir "
    "erlang fortran go graphql haskell hcl html http ini ipython java javascript js json json5 jsx "
    "julia kotlin latex tex less lua make makefile markdown md matlab nginx objective-c ocaml "
    "perl php postgresql proto protobuf pycon pytb python py python3 r rb ruby rust rs scala scss "
    "solidity sql sqlite3 swift toml ts tsx typescript vim xml yaml yml zig"
)
"""Code is coloured in these; lexers of rarer languages are known to stall on odd input."""

MATH_TAGS = _words(
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msub msup msubsup munder mover "
    "munderover mmultiscripts mprescripts mtable mtr mtd mstyle mpadded mphantom menclose "
    "merror"
)
TAGS = MATH_TAGS | _words(
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a img table thead "
    "tbody tr th td div span figure figcaption input"
)
_MATH = _words(
    "display displaystyle scriptlevel mathvariant stretchy fence form separator accent accentunder "
    "minsize maxsize columnalign columnspacing rowspacing columnlines rowlines notation "
    "linethickness lspace rspace linebreak width"
)
ATTRIBUTES: dict[str, set[str]] = {
    **{tag: set(_MATH) for tag in MATH_TAGS},
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "code": {"class", "data-open"},
    "div": {"class", "tabindex"},
    "figure": {"class", "data-language"},
    "input": {"type", "checked", "disabled"},
    "li": {"class"},
    "ol": {"start"},
    "pre": {"tabindex"},
    "span": {"class"},
    "td": {"class"},
    "th": {"class"},
    "ul": {"class"},
}
_CLASS = re.compile(r"(?:wb-[a-z]+|tok-[a-z0-9]+|task-list-item|contains-task-list|hll)")
_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_SAFE_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*\Z")
_FIXED = {"input": {"type": "checkbox", "disabled": ""}, "a": {"target": "_blank"}}


@dataclass(frozen=True, slots=True)
class Group:
    """One block at the top level: its lines `start` to `end`, and its tokens."""

    start: int
    end: int
    tokens: Tokens


def render(source: str) -> list[str]:
    """The HTML of each block at the top level, in order."""
    return [draw(group) for group in groups(parse(normal(source)))]


def normal(source: str) -> str:
    """Line ends as the parser counts them."""
    return source.replace("\r\n", "\n").replace("\r", "\n")


def parse(source: str, references: dict[str, Any] | None = None) -> Tokens:
    """Tokens of a text; `references` are links defined so far, and gather those of the text."""
    return _parser().parse(source, {"references": {} if references is None else references})


def groups(tokens: Tokens) -> list[Group]:
    """Tokens by block of the top level. What draws nothing (a link's definition) is in none."""
    return list(_grouped(tokens))


def draw(group: Group) -> str:
    """One block as sanitised HTML."""
    parser = _parser()
    env: dict[str, Any] = {}
    return sanitise(parser.renderer.render(group.tokens, parser.options, env))


def sanitise(markup: str) -> str:
    """What our renderer wrote, through an allow-list all the same."""
    return _cleaner().clean(markup)


def code_html(code: str, language: str, *, opened: bool = False) -> str:
    """A block of code with its language; `opened` while more of it is to come."""
    name = html.escape(language[:40], quote=True)
    mark = ' data-open="yes"' if opened else ""
    return (
        f'<figure class="wb-code" data-language="{name}"><figcaption><span class="wb-lang">{name}'
        f'</span></figcaption><pre tabindex="0"><code{mark}>{coloured(code, language)}</code></pre>'
        "</figure>\n"
    )


def coloured(code: str, language: str) -> str:
    """Code as HTML with a class for each kind of token, or as it is where that would be slow."""
    lexer = _lexer(language.lower())
    too_long = len(code) > COLOURED_CHARS or max(map(len, code.split("\n"))) > COLOURED_LINE
    if lexer is None or too_long:
        return html.escape(code, quote=False)
    drawn: str = highlight(code, lexer, _formatter())
    return drawn.removesuffix("\n") + "\n" if code.endswith("\n") else drawn.removesuffix("\n")


@functools.cache
def _lexer(language: str) -> Lexer | None:
    if language not in LANGUAGES:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@functools.cache
def _formatter() -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True, classprefix="tok-")


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": NESTING})
    parser.enable(["table", "strikethrough"]).use(tasklists_plugin)
    add_math(parser)
    parser.core.ruler.before("inline", "bounds", _bound)
    for kind, rule in RULES.items():
        parser.add_render_rule(kind, rule)
    return parser


def _bound(state: StateCore) -> None:
    """Very long lines are not looked into: markup in them is text."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > INLINE_CHARS:
            text = Token("text", "", 0)
            text.content = token.content
            token.type, token.children = "plain", [text]


def _grouped(tokens: Tokens) -> Iterator[Group]:
    depth = first = 0
    for place, token in enumerate(tokens):
        if depth == 0:
            first = place
        depth += token.nesting
        if depth == 0:
            opening = tokens[first]
            start, end = opening.map or [0, 0]
            yield Group(start, end, tokens[first : place + 1])


def _draw_fence(_renderer: Any, tokens: Tokens, at: int, *_: Any) -> str:
    token = tokens[at]
    return code_html(token.content, (token.info.split() or [""])[0])


def _draw_plain(_renderer: Any, tokens: Tokens, at: int, *_: Any) -> str:
    return html.escape(tokens[at].content, quote=False)


def _draw_image(renderer: Any, tokens: Tokens, at: int, options: Any, env: Any) -> str:
    """A picture that came along is drawn; one from elsewhere is a link: nothing is fetched."""
    token = tokens[at]
    source = html.escape(str(token.attrGet("src") or ""), quote=True)
    words = html.escape(renderer.renderInlineAsText(token.children, options, env), quote=True)
    if _SAFE_PICTURE.match(source):
        return f'<img src="{source}" alt="{words}">'
    return f'<a href="{source}">{words or source}</a>'


def _draw_cell(renderer: Any, tokens: Tokens, at: int, *_: Any) -> str:
    """Alignment as a class: an inline style would not pass."""
    token = tokens[at]
    style = str(token.attrGet("style") or "").removeprefix("text-align:")
    mark = f' class="wb-{style}"' if style in ("left", "right", "center") else ""
    return f"<{token.tag}{mark}>"


RULES: dict[str, Callable[..., str]] = {
    "fence": _draw_fence,
    "code_block": _draw_fence,
    "plain": _draw_plain,
    "image": _draw_image,
    "th_open": _draw_cell,
    "td_open": _draw_cell,
    "table_open": lambda *_: '<div class="wb-wide" tabindex="0"><table>\n',
    "table_close": lambda *_: "</table></div>\n",
}


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "href":
        return value if _SAFE_LINK.match(value) else None
    if name == "src":
        return value if _SAFE_PICTURE.match(value) else None
    if name == "class":
        return " ".join(one for one in value.split() if _CLASS.fullmatch(one)) or None
    return value


@functools.cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        set_tag_attribute_values=_FIXED,
        url_schemes={"http", "https", "mailto", "data"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )
