"""Faults in the SQL constants of a module, which mutmut leaves as they are."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

FAULTS = tuple(
    (re.compile(pattern), fault)
    for pattern, fault in (
        (r"(?<![-<>])>(?![>=])", ">="),
        (r">=", ">"),
        (r"<(?![<>=])", "<="),
        (r"<=", "<"),
        (r"<>", "="),
        (r"(?<![<>:])=", "<>"),
        (r" \+ ", " - "),
        (r" - ", " + "),
        (r" \* ", " / "),
        (r" / ", " * "),
        (r"(?<!BETWEEN 0) AND ", " OR "),
        (r" OR ", " AND "),
        (r"\bIS NULL", "IS NOT NULL"),
        (r"\bIS NOT NULL", "IS NULL"),
        (r"\bNOT (?!NULL)", ""),
        (r"\bDISTINCT ", ""),
        (r"\bUNION ALL\b", "UNION"),
        (r"\b(?:LEFT|FULL) JOIN", "JOIN"),
        (r"(?<!LEFT|FULL|ANTI|SEMI|ASOF) JOIN", " LEFT JOIN"),
        (r"\bANTI JOIN", "SEMI JOIN"),
        (r"\bSEMI JOIN", "ANTI JOIN"),
        (r"\bsum\(", "max("),
        (r"\bmax\(", "min("),
        (r"\bmin\(", "max("),
        (r"\bmedian\(", "avg("),
        (r"\bavg\(", "median("),
        (r"\bbool_or\(", "bool_and("),
        (r"\bbool_and\(", "bool_or("),
        (r" DESC\b", ""),
        (r"\bNULLS LAST", "NULLS FIRST"),
        (r"(?<![\w$.'])0(?![\w.])", "1"),
        (r"(?<![\w$.'])1(?![\w.])", "2"),
    )
)


class Constants:
    """What a module's text assigns to its upper-case names."""

    def __init__(self, path: Path) -> None:
        self.module = ".".join(path.with_suffix("").parts)
        tree = ast.parse(path.read_text())
        self._assigned = [node for node in tree.body if _is_constant(node)]
        texts = [
            text
            for node in self._assigned
            if "SELECT" in ast.unparse(node)
            for text in ast.walk(node)
            if isinstance(text, ast.Constant) and isinstance(text.value, str)
        ]
        self.faults = [
            (text, found.start(), found.group(), fault)
            for text in texts
            for pattern, fault in FAULTS
            for found in pattern.finditer(text.value)
        ]

    @property
    def mutants(self) -> list[str]:
        return [f"{self.module}.sql_{number}" for number in range(len(self.faults))]

    def put(self, mutant: str | None = None) -> None:
        """Assign them anew, with one fault in them: functions read them when they are called."""
        if mutant is not None:
            text, start, before, after = self.faults[int(mutant.rpartition("_")[2])]
            text.value = text.value[:start] + after + text.value[start + len(before) :]
        body: list[ast.stmt] = list(self._assigned)
        code = compile(ast.Module(body, type_ignores=[]), self.module, "exec")
        exec(code, vars(sys.modules[self.module]))

    def told(self, mutant: str) -> list[str]:
        """The line in which a mutant differs, as it was and as it is."""
        text, start, before, after = self.faults[int(mutant.rpartition("_")[2])]
        value: Any = text.value
        first = value.rfind("\n", 0, start) + 1
        last = value.find("\n", start) % (len(value) + 1)
        line = value[first:start], value[start + len(before) : last]
        return [f"-{before.join(line)}", f"+{after.join(line)}"]


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and all(
        isinstance(name, ast.Name) and name.id.isupper() for name in node.targets
    )
