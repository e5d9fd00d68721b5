"""How a mesh model may be named: refused where it is defined, not first at its node."""

from __future__ import annotations

import re

from workbench.errors import InputError

NAME = r"\w[\w.-]{0,99}"
VERSION = r"[\w.+-]{1,40}"
TITLE_CHARS = 200
NAMES = "letters, digits, _ . and -, 1 to 100 of them, as in @model(name='my-model')"
VERSIONS = "letters, digits, _ . + and -, 1 to 40 of them"


def check_names(name: str, version: str, title: str) -> None:
    """Raises InputError with the first that no node takes."""
    for field, value, pattern, allowed in (
        ("name", name, NAME, NAMES),
        ("version", version, VERSION, VERSIONS),
    ):
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise InputError.field(field, value, allowed)
    if not isinstance(title, str) or len(title) > TITLE_CHARS:
        raise InputError.field("title", title, f"text of at most {TITLE_CHARS} characters")
