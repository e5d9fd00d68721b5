"""The hub's log: an event a line, as text or JSON, masked, and never larger than its bound."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.core.masking import Mask
from workbench.logs import JsonLines, TextLines

SECRET = "canary-secret-1"


def record(message: str, *args: Any, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    logger = logging.getLogger("workbench.test")
    return logger.makeRecord(
        logger.name, logging.INFO, "file.py", 1, message, args, exc_info, extra=extra
    )


def as_json(*args: Any, **given: Any) -> dict[str, Any]:
    line = JsonLines(Mask([SECRET])).format(record(*args, **given))
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_line_tells_its_event_and_its_fields() -> None:
    told = as_json("task.ended task=%r model=%s duration_s=%.1f attempts=%d", "t 1", "m", 1.25, 2)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "logger": "workbench.test",
        "event": "task.ended",
        "message": "task.ended task='t 1' model=m duration_s=1.2 attempts=2",
        "fields": {"task": "t 1", "model": "m", "duration_s": 1.25, "attempts": 2},
    }


def test_what_is_given_beside_the_line_is_a_field_in_both_forms() -> None:
    assert as_json("engine.on_event_failed", key="t.1")["fields"] == {"key": "t.1"}
    text = TextLines(Mask()).format(record("engine.on_event_failed", key="t.1"))
    assert text.endswith("workbench.test engine.on_event_failed key=t.1")


def test_a_library_speaks_without_an_event() -> None:
    told = as_json("Something happened at 100%")
    assert (told["message"], "event" in told) == ("Something happened at 100%", False)
    assert as_json("engine.dead: the cluster is gone")["event"] == "engine.dead"


def test_values_of_any_type_and_a_wrong_count_of_them_do_no_harm() -> None:
    assert as_json("a.b path=%s", Path("/x"))["fields"] == {"path": "/x"}
    assert "fields" not in as_json("a.b %(name)s", {"name": 1})
    assert as_json("a.b", what=Path("/y"), several=[1, Path("/z")])["fields"] == {
        "what": "/y",
        "several": [1, "/z"],
    }


def test_no_secret_stands_in_either_form_nor_in_a_traceback() -> None:
    try:
        raise ValueError(f"ws://x/ws?token={SECRET}-2 and {SECRET}")
    except ValueError:
        failed = sys.exc_info()
    given = {"exc_info": failed, "url": f"http://me:{SECRET}@x"}
    told = as_json("a.b said=%s", f"Bearer {SECRET}", **given)
    assert "ValueError: ws://x/ws?token=*** and ***" in told["exception"]
    text = TextLines(Mask([SECRET])).format(record("a.b said=%s", f"Bearer {SECRET}", **given))
    assert SECRET not in json.dumps(told) + text
    assert "Traceback" in text


def test_a_field_is_hidden_where_its_name_alone_tells_what_it_is() -> None:
    told = as_json("a.b token=%s max_tokens=%d", "tulip", 5, api_key="rose", state="done")
    assert told["fields"] == {"token": "***", "max_tokens": 5, "api_key": "***", "state": "done"}
    assert "tulip" not in json.dumps(told)
    text = TextLines(Mask()).format(record("a.b token=%s", "tulip", api_key="rose"))
    assert text.endswith("a.b token=*** api_key=***")


WRITE = """
import logging, pathlib, sys
from workbench.logs import BoundedLog
handler = BoundedLog(pathlib.Path(sys.argv[1]), limit_bytes=20_000)
for number in range(1000):
    handler.emit(logging.makeLogRecord({"msg": f"{number:<50}"}))
print("a child's last word", file=sys.stderr)
"""


def test_the_log_of_a_running_hub_stays_bounded_and_private(tmp_path: Path) -> None:
    path = tmp_path / "hub.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        subprocess.run([sys.executable, "-c", WRITE, str(path)], stderr=output, check=True)
    older = path.with_suffix(".log.1")
    assert path.stat().st_size < 26_000
    assert older.stat().st_size < 26_000
    assert stat.S_IMODE(older.stat().st_mode) == 0o600
    lines = older.read_text().splitlines() + path.read_text().splitlines()
    assert lines[-2:] == [f"{999:<50}", "a child's last word"]
    assert "\0" not in path.read_text()
    numbers = [int(line) for line in lines[:-1]]
    assert numbers == list(range(numbers[0], 1000))


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    (tmp_path / "hub.log").touch()
    with own.open("ab") as output:
        command = [sys.executable, "-c", WRITE, str(tmp_path / "hub.log")]
        subprocess.run(command, stderr=output, check=True)
    assert own.stat().st_size > 50_000
