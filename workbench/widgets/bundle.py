"""Joins the plain ES modules under static/ into the one file that a widget takes."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
CATALOGUES = Path(__file__).parent / "i18n"

_IMPORT = re.compile(r'^import\s+\{[^}]*\}\s+from\s+"\./(?P<name>[\w.-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)
_DEFAULT = re.compile(r"^export default \{ render \};\n?", re.MULTILINE)


def catalogue(language: str) -> dict[str, str]:
    """English template -> sentence in `language` (`en`, `pt-BR`)."""
    read: dict[str, str] = json.loads((CATALOGUES / f"{language}.json").read_text("utf-8"))
    return read


@functools.cache
def script(entry: str) -> str:
    """The module `entry` with everything that it imports, each file once, dependencies first.

    The files share one scope in the result, so their top-level names differ; a test holds that.
    """
    done: dict[str, str] = {}
    _collect(entry, done)
    return "\n".join([*done.values(), "export default { render };\n"])


def _collect(name: str, done: dict[str, str]) -> None:
    if name in done:
        return
    source = _catalogues_module() if name == "catalogues.js" else (STATIC / name).read_text("utf-8")
    for match in _IMPORT.finditer(source):
        _collect(match["name"], done)
    done[name] = _DEFAULT.sub("", _EXPORT.sub("", _IMPORT.sub("", source)))


def _catalogues_module() -> str:
    """Only what differs from its key travels: English is its own catalogue."""
    languages = {
        path.stem: {key: text for key, text in catalogue(path.stem).items() if key != text}
        for path in sorted(CATALOGUES.glob("*.json"))
    }
    return f"const CATALOGUES = {json.dumps(languages, ensure_ascii=False, sort_keys=True)};\n"


@functools.cache
def style(*names: str) -> str:
    """Style sheets of static/, one behind the other."""
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)
