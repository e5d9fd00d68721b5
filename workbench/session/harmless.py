"""A model's Markdown made harmless for a notebook, which would draw its HTML and its images.

A notebook's own renderer drops scripts, but it loads images from anywhere: a data frame could
leave this machine in an image's address. Code stays as it is.
"""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token

_parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_RISKY = {"image", "html_inline", "html_block"}


def harmless(text: str) -> str:
    """The same text without HTML and with links in the place of images."""
    lines = text.split("\n")
    for token in _parser.parse(text):
        if token.map is not None and _risky(token):
            first, end = token.map
            lines[first:end] = [_defused(line) for line in lines[first:end]]
    return "\n".join(lines)


def _risky(token: Token) -> bool:
    return token.type in _RISKY or any(each.type in _RISKY for each in token.children or ())


def _defused(line: str) -> str:
    return line.replace("![", "[").replace("<", "&lt;")
