"""Collects every English template of the package: what the catalogues have to hold.

`python -m tests.widgets.catalogue` brings both catalogues up to date, and prints the
templates that still want a Portuguese sentence in pt-BR.json.
"""

from __future__ import annotations

import ast
import builtins
import errno
import importlib.metadata
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import workbench
from workbench.core.metrics import CATALOGUE
from workbench.core.model import MeshModel
from workbench.gpu_readings import rules_of
from workbench.runes.models.classify_rules import NAMES
from workbench.runes.models.cypher_figures import words
from workbench.runes.tables import ARROW
from workbench.settings import Settings
from workbench.widgets.bundle import CATALOGUES, catalogue

PACKAGE = Path(workbench.__file__).parent
STATIC = PACKAGE / "widgets" / "static"

# A call whose first text argument is a sentence for people: our errors, and a task's words.
SAYS = re.compile(
    r"(Error|Busy|Gone|Taken|Refused|Unavailable|NoModel|ContextOverflow|BackendBroken|Silent|Cancelled|Forbidden|Sentence|NoRoom)$|^_?(fault|note|told|warning)$"
)
TELLS = {
    "log": 0,
    "progress": 2,
    "finish": 0,
}  # context.log(template), context.progress(done, total, template)
STRUCTS = {"Progress": 2, "Log": 1, "Failed": 0, "Lost": 0}
TEXT = r'"((?:[^"\\]|\\.)*)"'
IN_JS = re.compile(rf"\bt\(\s*{TEXT}|\btemplate:\s*{TEXT}")
PLACE = re.compile(r"^[a-z{][^\n]*\{[a-zA-Z_]+\}|^\{[a-zA-Z_]+\}[^\n]*[a-z]{2}")


def of_javascript() -> set[str]:
    """The first argument of every t("...") and the text of every {template: "..."}."""
    found = set()
    for path in sorted(STATIC.glob("*.js")):
        for match in IN_JS.finditer(path.read_text()):
            found.add(json.loads(f'"{match[1] or match[2]}"'))
    return found


@cache
def _nodes() -> dict[Path, list[ast.AST]]:
    """Every node of each module's tree."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path: list(ast.walk(ast.parse(path.read_text()))) for path in paths}


def of_python() -> set[str]:
    """Every sentence that the package's Python code can say to a person."""
    found: set[str] = set()
    for path, nodes in _nodes().items():
        found |= {*_sentences(nodes), *_constants(nodes, path)}
    return {
        text
        for text in found
        if re.search(r"[a-z]{2}", re.sub(r"\{\w+\}", "", text)) and " " in text
    }


def literals() -> set[str]:
    """Every text constant of the package: what a catalogue's key has to be one of."""
    return {
        node.value
        for nodes in _nodes().values()
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _sentences(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _names(node) & {
            "template",
            "TEMPLATE",
        }:
            yield from _texts(node.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "template":
                    yield from _texts(value)


def _constants(nodes: list[ast.AST], path: Path) -> Iterator[str]:
    """Sentences that stand as constants: FULL = "...", with {values} or in the node's modules."""
    whole = path.parent.name in ("mesh", "collectors") or path.stem.endswith("_sentences")
    for node in nodes:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        if any(name.lstrip("_").isupper() for name in _names(node)):
            texts = (one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant))
            for text in texts:
                if isinstance(text, str) and (PLACE.search(text) or (whole and " " in text)):
                    yield text


def _of_call(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if hasattr(builtins, name) or (isinstance(node.func, ast.Attribute) and _is_logger(node.func)):
        return
    place = TELLS.get(name, STRUCTS.get(name, 0 if SAYS.search(name) else None))
    if place is not None and len(node.args) > place:
        yield from _texts(node.args[place])
    for keyword in node.keywords:
        if keyword.arg == "template":
            yield from _texts(keyword.value)


def _is_logger(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id in (
        "log",
        "logging",
        "logger",
    )


def _names(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _texts(node: ast.AST | None) -> Iterator[str]:
    """The text of a constant, or of both arms of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def of_models() -> set[str]:
    """Titles and descriptions of the installed models and their parameters."""
    found = set()
    for entry in importlib.metadata.entry_points(group="workbench.models"):
        model: MeshModel = entry.load()
        found |= {model.title, model.description}
        for schema in _schemas(model.parameters_schema()):
            found |= {schema[key] for key in ("title", "description") if key in schema}
    return found - {"", "Parameters"}


def of_figures() -> set[str]:
    """Titles, axis titles and trace names of the models' figures, as far as they are literals."""
    found: set[str] = set()
    for path in sorted((PACKAGE / "runes" / "models").glob("*_figures.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in ("text", "name"):
                        found |= set(_texts(value))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_figure":
                found |= set(_texts(node.args[0]))
    return found


QUESTIONS = [*sorted((PACKAGE / "runes" / "questions").glob("*.py")), PACKAGE / "runes/holdings.py"]
SQL = (
    r"\n|\b(AS|JOIN|CASE|FILTER|SELECT|BETWEEN|DISTINCT|GROUP|OR)\b|coalesce|strftime|::|<half>"
    r"|\* $|^\W|^\w*$"
)
EXPLAINS = re.compile(r"^_explanation$|^_missing$|^missing_holders$")
DRAWS = {"titled", "bars", "_bars"}


def of_questions() -> set[str]:
    """What the questions say beside their sentence: how an answer came about, and its figure."""
    found: set[str] = set()
    for path in QUESTIONS:
        tree = ast.parse(path.read_text())
        for node in filter(_explains, tree.body):
            found |= set(_lines(node))
        found |= set(_drawn(tree))
    return {text for text in found if not re.search(SQL, text)}


def _explains(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef):
        return bool(EXPLAINS.match(node.name))
    return isinstance(node, ast.Assign) and any(name.isupper() for name in _names(node))


def _lines(node: ast.AST) -> Iterator[str]:
    docstring = ast.get_docstring(node, clean=False) if isinstance(node, ast.FunctionDef) else None
    texts = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    for text in texts:
        if isinstance(text, str) and " " in text.strip() and text != docstring:
            yield text


def _drawn(tree: ast.AST) -> Iterator[str]:
    """Titles, axis titles and names of traces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in ("text", "name"):
                    yield from _texts(value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in DRAWS:
            parts = [part for arg in node.args for part in getattr(arg, "elts", [arg])]
            for part in parts:
                yield from _texts(part)


def _schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for parameter in schema["properties"].values():
        yield parameter
        yield from parameter.get("anyOf", ())


@cache
def needed() -> set[str]:
    """Everything that can be said."""
    return (
        of_javascript()
        | of_python()
        | of_models()
        | of_figures()
        | of_questions()
        | of_tables()
        | of_metrics()
        | OF_DATA
    )


def of_metrics() -> set[str]:
    """The titles of the metrics, and the names of the rules that the settings make."""
    rules = {rule.name for rule in rules_of(Settings())}
    return {metric.title for metric in CATALOGUE.values()} | rules


def of_tables() -> set[str]:
    """The headings of a batch's tables; two halves of an amount are one column on the page."""
    names = {name for schema in ARROW.values() for name in schema.names}
    return {words(re.sub(r"_(high|low)$", "", name)) for name in names}


def names_in(template: str) -> set[str]:
    return set(re.findall(r"\{(\w+)[}:]", template))


COUNTED = re.compile(r"\{\w+:[^|}]*\|([^}]*)\}")


def many(text: str) -> str:
    """A sentence that counts, as it is for many: the English key."""
    return COUNTED.sub(r"\1", text)


REASONS = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENOMEM),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH),
    *(errno.ENETUNREACH, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EPIPE),
)
"""Why an operating system refuses, as far as a person meets it."""

QUESTION_WORDS = (Path(__file__).parent / "question_words.txt").read_text("utf-8").splitlines()
"""Columns, facts and bars of the questions; tests/runes/questions/test_every.py asks for all."""

MODEL_WORDS = (Path(__file__).parent / "model_words.txt").read_text("utf-8").splitlines()
"""Facts and columns of the models; tests/runes/test_model_words.py asks for all."""

OF_DATA = {
    # levels of a log line
    *("info", "warning", "error", "debug"),
    # what a field allows, as wire.py and model.py put it together
    *("integer", "number", "boolean", "missing", "absent", "a value, it is required"),
    # facts of block-import's answer
    *("height", "hash", "mined at", "transactions", "size (bytes)", "weight", "runestones"),
    *("etchings", "mints", "edicts", "mint receivers", "subsidy (sat)", "coinbase (sat)"),
    *("claimed fees (sat)", "fees (sat)", "runestone fees (sat)", "fees agree"),
    # its figures
    *("transfers", "cenotaphs"),
    *("with a Runes message", "without a Runes message"),
    *("share of transactions", "share of virtual size", "share of fees"),
    # facts of every answer
    *("computing time", "device"),
    # facts of cypher-v1, the columns of its tables, and the parts of its figure
    *("flagged", "cluster", "anomaly score", "rarity rank", "rarity (bits)", "drivers", "size"),
    *("typical", "centre", "strongest driver", "second driver", "third driver"),
    # the drivers in its figure are features
    *("cap", "mint amount", "premine", "premine share", "divisibility", "name length", "spacers"),
    *("mint window blocks", "open mint", "mint progress", "mint receivers", "mint concentration"),
    *("mints repeated share", "mint fee (sat)", "burns", "outputs", "receivers per output"),
    *("holders", "holder concentration", "top share", "lots per holder", "active blocks"),
    *("first seen share", "last seen share", "activity centre", "activity spread"),
    "edict size (log10)",
    *QUESTION_WORDS,
    *MODEL_WORDS,
    *NAMES,  # categories
    # what a batch tells, as an answer says whose it is
    *("state level", "runestone level", "not stated"),
    # shares that are too small to be said with their digits
    *("less than 0.1 %", "less than 0.01 %"),
    # the page of an audit
    *("Agrees", "Wrong", "side", "whose", "ours", "the producer's", "blocks", "level"),
    *("rests on", "its own figures", "block", "transaction", "what", "difference", "of", "where"),
    *("value", "transactions concerned", "came in", "went out", "spent", "minted", "burned"),
    *("etched", "transferred", "etchings", "entries", "balances", "events", "amount"),
    # choices of parameters that are words
    *("full", "summary", "compact", "hierarchical", "auto"),
    # what a node fetches
    *("batch", "spentOutputsURL"),
    # reasons of an operating system
    *(os.strerror(code) for code in REASONS),
}
"""Words that reach the page as data, and are looked up there."""


def main() -> None:
    """Drop dead keys, sort, and print what is missing."""
    wanted, portuguese, english = needed(), catalogue("pt-BR"), catalogue("en")
    known = wanted | literals()
    kept = {key: text for key, text in portuguese.items() if key in known}
    own = {key: english.get(key, key) for key in kept}
    for language, texts in (("en", own), ("pt-BR", kept)):
        text = json.dumps(texts, ensure_ascii=False, indent=1, sort_keys=True)
        (CATALOGUES / f"{language}.json").write_text(text + "\n")
    print(*sorted(wanted - kept.keys()), sep="\n")


if __name__ == "__main__":
    main()
