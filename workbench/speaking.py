"""`workbench.language("pt-BR")`: the language in which this process draws its answers."""

from __future__ import annotations

from workbench.core.sentence import LANGUAGES, Speech, speak
from workbench.errors import InputError


def language(code: str) -> None:
    """From now on what draws itself in this process, a notebook's answers and figures among it,
    is said in this language: `en` or `pt-BR`.

    Only what is drawn: `str`, `repr`, frames and their columns, facts and records stay as they
    are, so that results are alike in every language. Raises InputError for any other language.
    """
    if code not in LANGUAGES:
        raise InputError.field("code", code, " or ".join(LANGUAGES))
    if code == LANGUAGES[0]:
        return speak(Speech())
    from workbench.widgets.bundle import catalogue

    return speak(Speech(code, catalogue(code)))
