"""`%%ask` in a real IPython shell, on a real hub with a real, tiny model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pandas
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from workbench.errors import InputError
from workbench.session import Workbench
from workbench.session.answers import Answer
from workbench.session.ask import parsed, register


@pytest.fixture
def shell(bench: Workbench, model: str) -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    register(shell, bench.chat)
    shell.user_ns["df"] = pandas.DataFrame({"rune": ["A", "B", "C"]})
    bench.chat.new(model=model).result()
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def run(shell: InteractiveShell, cell: str) -> tuple[Any, list[dict[str, Any]]]:
    """The outcome of a cell, and each output that it drew or drew anew."""
    with capture_output(display=True) as captured:
        outcome = shell.run_cell(cell)
    assert isinstance(captured._outputs, list)
    return outcome, captured._outputs


def test_a_cell_is_answered_below_it_and_kept(shell: InteractiveShell) -> None:
    outcome, outputs = run(shell, "%%ask --temperature 0 --max-tokens 12\nthe rune")
    assert outcome.success
    answer = shell.user_ns["_ask"]
    assert isinstance(answer, Answer)
    drawn = [each for each in outputs if "text/markdown" in each["data"]]
    assert drawn[-1]["data"]["text/plain"] == answer.text
    assert drawn[-1]["update"]
    assert answer.caption in outputs[-1]["data"]["text/html"]


def test_a_frame_is_attached_and_the_output_says_what_was_sent(
    shell: InteractiveShell, bench: Workbench
) -> None:
    _, outputs = run(shell, "%%ask --conversation new -n 12 @df\nwhat is in it")
    assert "attached: df, 3 rows" in outputs[0]["data"]["text/plain"]
    asked = bench.chat.history(shell.user_ns["_ask"].conversation_id).result()[0]
    assert asked.attachments[0].text in outputs[0]["data"]["text/html"].replace("&#x27;", "'")


def test_a_line_asks_with_the_frames_that_it_names(
    shell: InteractiveShell, bench: Workbench
) -> None:
    run(shell, "%ask -n 12 -c new how many rows has @df really")
    asked = bench.chat.history(shell.user_ns["_ask"].conversation_id).result()[0]
    assert asked.content == "how many rows has @df really"
    assert [each.name for each in asked.attachments] == ["df"]


def test_an_interrupted_cell_stops_the_model_and_marks_the_answer(
    shell: InteractiveShell, bench: Workbench
) -> None:
    begun = threading.Event()
    leave = bench.client.on("chat", lambda said: begun.set() if "chunk" in str(said) else None)

    def interrupt() -> None:
        begun.wait(30)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    outcome, outputs = run(shell, "%%ask\ngo on and on")
    leave()
    assert outcome.success
    answer = shell.user_ns["_ask"]
    assert answer.stopped
    assert "stopped" in outputs[-1]["data"]["text/html"]


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("%%ask @nothing\nwhat", "@ is 'nothing'; allowed: df"),
        ("%%ask --modle x\nwhat", "--modle is no argument of ask; it goes %%ask [--model M]"),
        ("%%ask word\nwhat", "word is no argument of ask; it goes %%ask"),
        ("%%ask -c first\nwhat", "--conversation is 'first'; allowed: a number, or new"),
        ("%%ask -t warm\nwhat", "argument --temperature/-t: invalid float value: 'warm'"),
        ('%%ask --model "x\nwhat', "the line cannot be read: no closing quotation"),
        ("%ask", "there is no question; it goes %%ask"),
        ("%%ask --model nowhere\nwhat", "nowhere"),
    ],
)
def test_a_faulty_line_is_answered_with_a_sentence(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str, sentence: str
) -> None:
    outcome = shell.run_cell(cell)
    said = capsys.readouterr()
    assert not outcome.success
    assert sentence in said.err
    assert "Traceback" not in said.out + said.err


def test_the_arguments_of_a_cell() -> None:
    asked = parsed("--system 'be brief' -m q@o @a @b @a", "  What?\n")
    assert (asked.message, asked.frames, asked.new) == ("What?", ("a", "b"), False)
    assert asked.options == {"system": "be brief", "model": "q@o"}
    assert parsed("what's up with me@home.org", None).frames == ()
    with pytest.raises(InputError, match="there is no question"):
        parsed("", " ")
