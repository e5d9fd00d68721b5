"""What a task says is told on without the secrets that it was given, and what looks like one."""

from __future__ import annotations

import msgspec
import pytest

from tests.work import work
from workbench.core.job import Event, Log, Progress
from workbench.engines.frames import Raised, line_event
from workbench.engines.hiding import KEY_LINES, Hiding

PASSWORD = "correct horse"
HIDING_OF = msgspec.json.encode({"password": PASSWORD, "user": "somebody", "short_token": "abc"})


def hiding() -> Hiding:
    return Hiding(HIDING_OF, {"MY_TOKEN": "from-the-environment", "PATH": "/usr/bin"})


def said(*lines: str) -> list[str]:
    ears = hiding()
    events = [ears.event(line_event("info", line)) for line in lines]
    return [each.template.format(**each.values) for each in events if isinstance(each, Log)]


def test_a_secret_parameter_and_a_variable_that_is_one_are_in_no_line() -> None:
    assert said(f"in as somebody with {PASSWORD}", "from-the-environment, /usr/bin", "abc") == [
        "in as somebody with ***",
        "***, /usr/bin",
        "abc",
    ]


@pytest.mark.parametrize("line", ["ghp_abcdefgh1234", "{'Cookie': 'canary'}", "http://a:b@c/"])
def test_what_looks_like_a_secret_is_in_no_line(line: str) -> None:
    (shown,) = said(line)
    assert "***" in shown
    assert not any(word in shown for word in ("abcdefgh", "canary", "a:b"))


def test_a_private_key_is_hidden_over_all_of_its_lines_and_what_follows_is_shown() -> None:
    lines = ("-----BEGIN PRIVATE KEY-----", "MIIEvQ", "", "-----END PRIVATE KEY-----", "after")
    assert said("before", *lines) == ["before", "***", "***", "***", "***", "after"]
    endless = said("-----BEGIN PRIVATE KEY-----", *["MII"] * (KEY_LINES + 5))
    assert endless[-5:] == ["MII"] * 5
    assert set(endless[: KEY_LINES + 1]) == {"***"}


def test_keys_printed_and_told_as_errors_at_once_are_both_hidden() -> None:
    hide = hiding()
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    told = [
        *(("warning", begin), ("warning", "MIIE"), ("info", begin), ("warning", end)),
        *(("info", "MIIE"), ("warning", "after"), ("info", end), ("info", "after")),
    ]
    shown = [hide.event(Log(level, line)) for level, line in told]  # type: ignore[arg-type]
    texts = [each.template for each in shown if isinstance(each, Log)]
    assert texts == ["***"] * 5 + ["after", "***", "after"]


def test_words_on_progress_and_values_by_their_names_are_hidden() -> None:
    event = Progress(1, 2, f"with {PASSWORD}", {"token": "x", "deep": {"api_key": ["y"]}, "n": 1})
    shown = hiding().event(event)
    assert shown == Progress(
        1, 2, "with ***", {"token": "***", "deep": {"api_key": ["***"]}, "n": 1}
    )
    plain: Event = Log("info", "{count} of {all}", {"count": 1, "all": 2})
    assert hiding().event(plain) is plain


def test_an_error_and_its_traceback_are_without_them() -> None:
    end = Raised(
        template="{kind}: {reason}",
        values={"kind": "ValueError", "reason": f"wrong: {PASSWORD}"},
        traceback=f'File "x"\n  f("{PASSWORD}", password="other")\n',
        rejected=False,
        reusable=True,
    )
    shown = hiding().raised(end)
    assert shown.values == {"kind": "ValueError", "reason": "wrong: ***"}
    assert shown.traceback == 'File "x"\n  f("***", password="***")\n'


def test_hiding_costs_little_where_there_is_nothing_to_hide() -> None:
    """Some 150 calls for a line."""
    ears = hiding()
    event = line_event("info", "epoch 3 of 10: loss 0.1234, accuracy 0.98, 12.5 s per batch")
    ears.event(event)
    assert work(lambda: [ears.event(event) for _ in range(100)]) < 100 * 400
