"""What a result rests on beside its inputs: libraries, the code's version, the notebook's cells."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import msgspec

import workbench
from workbench.errors import HIDDEN, SECRET_NAME, InputError, without_secrets

PACKAGE = "runes-workbench"
MOST_BYTES = 256 << 20
GIT_S = 10.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SECRET = re.compile(SECRET_NAME)


def versions() -> dict[str, str]:
    """Python, the system's kind, the workbench, and every library that it stands on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    wanted = [_NAME.match(line) for line in requires(PACKAGE) or () if "extra ==" not in line]
    for name in sorted({PACKAGE, "numpy", *(each[0] for each in wanted if each)}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code() -> dict[str, str]:
    """The commit of the workbench where it lies in a clone, and the sha256 of what was changed
    since; nothing where it was installed."""
    folder = Path(workbench.__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = (_git(folder, "diff", "HEAD", "--", ".") or b"") + (
        _git(folder, "status", "--porcelain", "--", ".") or b""
    )
    found = {"commit": commit.decode().strip()}
    return {**found, "changed": hashlib.sha256(changed).hexdigest()} if changed else found


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None where there is no git or no clone. A clone's hooks are not run."""
    git = shutil.which("git")
    if git is None:
        return None
    calm = ("-c", "core.fsmonitor=false", "-c", "core.pager=cat")
    try:
        done = subprocess.run(
            [git, "-C", str(folder), *calm, *arguments],
            capture_output=True,
            timeout=GIT_S,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_EXTERNAL_DIFF": ""},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's JSON, as far as it matters here. Raises InputError for what is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError.field(path.name, f"{path.stat().st_size >> 20} MB", "up to 256 MB")
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        cells = msgspec.convert(found["cells"], list[dict[str, Any]])
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("{path} cannot be read: {reason}", path=str(path), reason=reason) from None
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
        raise InputError(
            "{path} is no notebook: give an .ipynb file of version 4", path=str(path)
        ) from None
    return {**found, "cells": cells}


def source_of(cell: Mapping[str, Any]) -> str:
    """A cell's text, which a file may hold in lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(map(str, source))


def code_cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Its cells of code, without what papermill put in."""
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code" and "injected-parameters" not in tags(cell):
            yield cell


def tags(cell: Mapping[str, Any]) -> list[str]:
    """A cell's tags."""
    found = cell.get("metadata", {})
    found = found.get("tags", []) if isinstance(found, Mapping) else []
    return [str(each) for each in found] if isinstance(found, list) else []


def cells_digest(notebook: Mapping[str, Any]) -> str:
    """The sha256 over the code of a notebook, whatever it put out."""
    digest = hashlib.sha256()
    for cell in code_cells(notebook):
        digest.update(msgspec.json.encode(source_of(cell)) + b"\n")
    return digest.hexdigest()


def parameters_of(notebook: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The names that its cell tagged `parameters` sets, with what they are in `values`: plain
    data only, and a secret by its name alone."""
    found: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if "parameters" in tags(cell):
            for name in _assigned(source_of(cell)):
                if name in values and _is_plain(values[name]):
                    found[name] = hidden(name, values[name])
    return found


def hidden(name: str, value: Any) -> Any:
    """The value, unless its name or its form says that it is a secret."""
    if _SECRET.search(name.lower()):
        return HIDDEN
    return without_secrets(value) if isinstance(value, str) else value


def _assigned(source: str) -> list[str]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return []
    names: list[str] = []
    for line in body:
        if isinstance(line, ast.Assign):
            names += [each.id for each in line.targets if isinstance(each, ast.Name)]
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            names.append(line.target.id)
    return names


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(each) for name, each in value.items())
    return value is None or type(value) in (bool, int, float, str)
