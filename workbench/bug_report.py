"""`workbench doctor --bundle`: all that a bug report needs, in one file without a secret.

Figures and sentences of ours go in: counts, states, versions, templates of errors. What people
typed, sent and were answered stays out; what a log may hold of it passes the mask.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import urllib.request
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from workbench import doctor
from workbench.clients.discovery import LOG_FILE, TOKEN_FILE, HubFile, hub_process
from workbench.clients.hub import HubClient
from workbench.core.masking import Mask, secret_values
from workbench.errors import HIDDEN, InputError, SettingsError, WorkbenchError
from workbench.settings import Settings, default_data, load_settings

LOG_LINES = 2000
PATIENCE_S = 3.0
PAGE_BYTES = 4_000_000

STEP = "SELECT max(step) AS step FROM schema_steps"
TABLES = (
    "SELECT table_name, estimated_size AS rows FROM duckdb_tables() "
    "WHERE database_name = current_database() ORDER BY table_name"
)
ENDINGS = (
    "SELECT kind, coalesce(json_extract_string(body, '$.template'), 'without a template') "
    "AS template, count(*) AS count FROM task_events "
    "WHERE kind IN ('failed', 'rejected', 'lost', 'timeout', 'cancelled') "
    "GROUP BY ALL ORDER BY count DESC, template LIMIT 100"
)

UNWRITTEN = "{path} cannot be written: {reason}; name another file"

WHAT = {
    "findings.json": "what `workbench doctor` says",
    "versions.json": "this machine's system and Python, and every installed package",
    "settings.json": "the settings, or why one was refused; of secrets only whether there are any",
    "hub.json": "what a running hub says of itself, without its token",
    "metrics.txt": "what a running hub counts, as /metrics has it",
    "store.json": "schema step, rows of each table, how tasks ended other than well by sentence",
    "hub.log": f"the last {LOG_LINES} lines of the hub's log",
}


def settings_or_refusal(data: Path | None) -> tuple[Settings, SettingsError | None]:
    """The settings. While one is wrong, a report is just then needed: the defaults, with the data
    folder where one is named, and what is wrong."""
    try:
        return load_settings(data=data), None
    except SettingsError as error:
        named = str(data or os.environ.get("WORKBENCH_DATA") or "")
        return Settings(data=Path(named) if named and "://" not in named else default_data()), error


async def collect(settings: Settings, refused: SettingsError | None = None) -> dict[str, str]:
    """The files of a bug report by name, every text masked. Needs no running hub, and no right
    settings: `refused` is then what is wrong with them."""
    running = hub_process(settings.data)
    mask = Mask(_secrets(settings, running), home=str(Path.home()))
    texts = {
        "findings.json": doctor.as_json([*_refusal(refused), *doctor.examine(settings)]),
        "versions.json": _pretty(_versions()),
        "settings.json": _pretty({"refused": str(refused)} if refused else _settings(settings)),
        "hub.json": _pretty(_hub(running)),
        "metrics.txt": _metrics(running),
        "store.json": _pretty(await _store(running)),
        "hub.log": _log(settings.data / LOG_FILE),
    }
    masked = {name: mask(text) for name, text in texts.items()}
    return {"manifest.json": _pretty(_manifest(masked)), **masked}


def listing(texts: Mapping[str, str]) -> list[str]:
    """What is inside, as a person reads it before it is sent anywhere."""
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    about = {"manifest.json": "this list", **WHAT}
    return [f"{name:<14} {sizes[name]:>9,} bytes  {about[name]}" for name in texts]


def write(texts: Mapping[str, str], target: Path) -> None:
    """The zip file, for its owner's eyes alone; a file that is there already stays."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(descriptor, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle,
        ):
            for name, text in texts.items():
                bundle.writestr(name, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(UNWRITTEN, path=str(target), reason=reason) from None


def _secrets(settings: Settings, running: HubFile | None) -> list[str]:
    """Every secret that is known here."""
    found = [*settings.secrets(), *secret_values(os.environ)]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found.append((settings.data / TOKEN_FILE).read_text(encoding="ascii").strip())
    return [*found, running.token] if running is not None else found


def _manifest(texts: Mapping[str, str]) -> dict[str, Any]:
    files = {name: {"bytes": len(texts[name].encode()), "what": WHAT[name]} for name in texts}
    return {
        "madeAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "without": "tokens, keys, passwords, contents of tasks, chats, queries and batches",
        "files": files,
    }


def _versions() -> dict[str, Any]:
    packages = {each.name: each.version for each in importlib.metadata.distributions()}
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def _refusal(refused: SettingsError | None) -> list[doctor.Finding]:
    remedy = "mend it and start again; what follows is told with the defaults"
    return [doctor.Finding("settings", "failed", str(refused), remedy, True)] if refused else []


def _settings(settings: Settings) -> dict[str, Any]:
    return {name: _shown(getattr(settings, name)) for name in type(settings).model_fields}


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _hub(running: HubFile | None) -> dict[str, Any]:
    """What it says of itself, and whether it answers."""
    if running is None:
        return {"running": False}
    said = {"pid": running.pid, "version": running.version, "wire": running.wire}
    addresses = {"ws": running.ws, "mesh": running.mesh, "startedAt": running.started_at}
    health = _page(running, "/health")
    return {"running": True, **said, **addresses, "health": json.loads(health) if health else None}


def _metrics(running: HubFile | None) -> str:
    if running is None:
        return "no hub runs\n"
    return _page(running, "/metrics") or "the hub does not answer\n"


def _page(running: HubFile, path: str) -> str | None:
    """A page of the hub. Its token travels in a header, so that no log can keep the address."""
    where = f"http://{urlsplit(running.ws).netloc}{path}"
    request = urllib.request.Request(where)  # an address of ours
    request.add_unredirected_header("Authorization", f"Bearer {running.token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return bytes(answer.read(PAGE_BYTES)).decode(errors="replace")
    except (OSError, ValueError):
        return None


async def _store(running: HubFile | None) -> dict[str, Any]:
    """Asked of the running hub, which owns the store; without one the store is left alone."""
    if running is None:
        return {"asked": False, "why": "no hub runs"}
    client = HubClient(running.ws, running.token, reconnect_max_attempts=0, keep_trying=False)
    try:
        await client.connect()
        step, tables, endings = [
            (await client.query(sql)).rows() for sql in (STEP, TABLES, ENDINGS)
        ]
    except WorkbenchError as error:
        return {"asked": False, "why": str(error)}
    finally:
        await client.disconnect()
    rows = {each["table_name"]: each["rows"] for each in tables}
    return {"asked": True, "schemaStep": step[0]["step"], "rows": rows, "endings": endings}


def _log(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "there is no log: the hub was started in a terminal, or never\n"
    return "\n".join(lines[-LOG_LINES:]) + "\n"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
