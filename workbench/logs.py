"""How a hub's log looks: a line for each event, as text or as JSON, with no secret in it."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.msgspec import MsgspecFormatter

from workbench.clients.discovery import LOG_BYTES
from workbench.core.masking import Mask, says_secret
from workbench.errors import HIDDEN

Format = Literal["text", "json"]

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
LOOK_EVERY = 100
"""Lines between two looks at its size."""

_OWN = frozenset((*RESERVED_ATTRS, "taskName"))
"""What every record has; anything else was given by `extra`."""
_EVENT = re.compile(r"[a-z][\w-]*(?:\.[a-z%][\w-]*)+(?=[:\s]|$)")
_FIELD = re.compile(r"(?:(\w+)=)?%[-#0+ ]*\d*(?:\.\d+)?([a-zA-Z%])")


class TextLines(logging.Formatter):
    """A line as people read it."""

    def __init__(self, mask: Mask) -> None:
        super().__init__(TEXT)
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """The line, and an exception's traceback below it."""
        fields = _given(record)
        told = "".join(f" {name}={value}" for name, value in fields.items())
        return self._mask(super().format(record) + told)


class JsonLines(MsgspecFormatter):
    """A line as programs read it: time, level, logger, event, message, fields, exception."""

    def __init__(self, mask: Mask) -> None:
        super().__init__([])
        self._mask = mask

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """What a line holds; what it has not is left out."""
        event = _EVENT.match(record.message)
        log_data |= {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event[0] if event is not None else None,
            "message": record.message,
            "fields": {**_written(record), **_given(record)},
            "exception": message_dict.get("exc_info"),
        }
        for name in [name for name, value in log_data.items() if value is None or value == {}]:
            del log_data[name]

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Masked as text before it is encoded, so that an escape hides nothing."""
        return super().jsonify_log_record(_masked(log_data, self._mask))


def _given(record: logging.LogRecord) -> dict[str, Any]:
    """What stands in `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def _written(record: logging.LogRecord) -> dict[str, Any]:
    """The values of `name=%s` in a line's template."""
    args = record.args if isinstance(record.args, tuple) else ()
    found = [each for each in _FIELD.findall(str(record.msg)) if each[1] != "%"]
    if len(found) != len(args):
        return {}
    return {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for (name, _), value in zip(found, args, strict=True)
        if name
    }


def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {str(name): _field(str(name), each, mask) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(each, mask) for each in value]
    return value if isinstance(value, int | float | None) else mask(str(value))


def _field(name: str, value: Any, mask: Mask) -> Any:
    """One field; a text is hidden where its name alone says what it is."""
    return HIDDEN if isinstance(value, str) and says_secret(name) else _masked(value, mask)


class BoundedLog(logging.StreamHandler[Any]):
    """Writes to the standard error; where that is the hub's log file, the file stays bounded."""

    def __init__(self, path: Path, limit_bytes: int = LOG_BYTES) -> None:
        super().__init__(sys.stderr)
        self._path, self._limit, self._lines = path, limit_bytes, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        super().emit(record)
        self._lines += 1
        if self._lines % LOOK_EVERY == 0:
            self._turn()

    def _turn(self) -> None:
        """Copied and cut, not renamed: this process and its children write on into the same file,
        each at its end."""
        try:
            here = os.fstat(self.stream.fileno())
            if here.st_size > self._limit and os.path.samestat(here, self._path.stat()):
                shutil.copy(self._path, self._path.with_suffix(".log.1"))
                os.ftruncate(self.stream.fileno(), 0)
        except (OSError, ValueError):
            return  # a log that cannot be turned is still written


def configure_logging(
    level: str, *, style: Format = "text", secrets: Iterable[str] = (), path: Path
) -> None:
    """A line for each event on the standard error. Libraries speak from warnings up.

    `path` is the log file of a hub that runs by itself.
    """
    mask = Mask(secrets)
    make: Callable[[Mask], logging.Formatter] = JsonLines if style == "json" else TextLines
    handler = BoundedLog(path)
    handler.setFormatter(make(mask))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("workbench").setLevel(level.upper())
    for noisy in ("websockets", "websockets.server", "websockets.client"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
