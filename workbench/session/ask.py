"""`%%ask`: a question to a language model as a cell, its answer drawn below it as it comes."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from workbench.core import markup
from workbench.errors import InputError, WorkbenchError
from workbench.session.answers import Answer
from workbench.session.chat import Chat
from workbench.session.magic_line import MagicLine, said_in_the_cell
from workbench.session.streams import Stream

INTERVAL_S = 0.1
CHARS_PER_S = 400_000
"""What a cell's output may be sent anew per second: long answers are drawn less often."""
USAGE = (
    "%%ask [--model M] [--system S] [--conversation N | new] [--temperature T] "
    "[--max-tokens N] [@frame ...]"
)

_FRAME = re.compile(r"(?<![\w@.])@([A-Za-z_]\w*)")


class Asked(NamedTuple):
    """One question as the cell puts it."""

    message: str
    frames: tuple[str, ...]
    options: Mapping[str, Any]
    new: bool


def parsed(line: str, cell: str | None) -> Asked:
    """The arguments of the magic. Raises InputError with what is wrong and how it goes.

    Of a cell, the line holds options and `@frames`, the body the question; of a line, what
    follows the options is the question, and `@names` in it are attached.
    """
    magic = _magic()
    words = magic.words(line) if cell is not None else line.split()
    given, rest = magic.parse_known_args(words)
    stray = [word for word in rest if not _FRAME.fullmatch(word)] if cell is not None else []
    unknown = [word for word in rest if word.startswith("--")]
    for word in (*unknown, *stray):
        raise InputError("{word} is no argument of ask; it goes {usage}", word=word, usage=USAGE)
    message = (cell if cell is not None else " ".join(rest)).strip()
    if not message:
        raise InputError("there is no question; it goes {usage}", usage=USAGE)
    frames = _FRAME.findall(" ".join(rest))
    names = ("model", "system", "temperature", "max_tokens")
    options = {name: getattr(given, name) for name in names}
    number = None if given.conversation == "new" else _number(given.conversation)
    options["conversation"] = number
    kept = {name: value for name, value in options.items() if value is not None}
    return Asked(message, tuple(dict.fromkeys(frames)), kept, given.conversation == "new")


class AskMagics:
    """The magic of one notebook, on one workbench's `chat`."""

    def __init__(self, shell: Any, chat: Any = None) -> None:
        self._shell, self._chat = shell, chat

    def ask(self, line: str, cell: str | None = None) -> None:
        """Ask, and draw the answer as it comes. It is kept in `_ask`.

        Stop ends the answer and marks it. What is wrong is said in a sentence.
        """
        with said_in_the_cell():
            self._ask(parsed(line, cell))

    def _ask(self, asked: Asked) -> None:
        attached = self._attached(asked.frames)
        chat = self._chat or _of_this_process()
        if asked.new:
            chat.new().result()
        options = dict(asked.options)
        stream = chat.stream(asked.message, attach=attached, **options)
        self._shell.user_ns["_ask"] = _drawn(stream)

    def _attached(self, names: Sequence[str]) -> dict[str, str]:
        """What is sent along, which the output says."""
        if not names:
            return {}
        from workbench.boards.frames import described, pick

        space = self._shell.user_ns
        found = [described(name, pick(space, name)) for name in names]
        for each in found:
            sentence = f"attached: {each.name}, {each.rows:,} rows; {len(each.text):,} characters"
            _display(
                {
                    "text/html": f"<details><summary>{escape(sentence)}</summary>"
                    f"{markup.block(each.text)}</details>",
                    "text/plain": sentence,
                }
            )
        return {each.name: each.text for each in found}


def _drawn(stream: Stream) -> Answer | None:
    """Draw pieces as they come, at most so often, and at the end the whole as Markdown."""
    handle = _display({"text/plain": "…"}, update=True)
    text, drawn_at = "", float("-inf")
    try:
        while piece := stream.next_pieces():
            text += piece
            now = time.monotonic()
            if now - drawn_at >= max(INTERVAL_S, len(text) / CHARS_PER_S):
                drawn_at = now
                handle.update(_growing(text), raw=True)
    except KeyboardInterrupt:
        answer = stream.stop()
        _end(handle, answer, text, "stopped")
        return answer
    except WorkbenchError:
        _end(handle, stream.answer, text, "broken off")
        raise
    _end(handle, stream.answer, text, "")
    return stream.answer


def _end(handle: Any, answer: Answer | None, text: str, ended: str) -> None:
    from workbench.session.harmless import harmless

    whole = answer.text if answer is not None else text
    caption = answer.caption if answer is not None else ended
    handle.update({"text/markdown": harmless(whole), "text/plain": whole}, raw=True)
    if caption:
        _display(
            {"text/html": markup.note(caption), "text/plain": f"[{caption}]", markup.LASTING: ""}
        )


def _growing(text: str) -> dict[str, str]:
    style = "white-space:pre-wrap;overflow-wrap:anywhere"
    return {"text/html": f'<div style="{style}">{escape(text)}</div>', "text/plain": text}


def _display(bundle: dict[str, str], *, update: bool = False) -> Any:
    from IPython.display import display

    return display(bundle, raw=True, display_id=update or None)  # type: ignore[no-untyped-call]


def _number(given: str | None) -> int | None:
    if given is None:
        return None
    try:
        return int(given)
    except ValueError:
        raise InputError.field("--conversation", given, "a number, or new") from None


def _magic() -> MagicLine:
    magic = MagicLine(USAGE)
    magic.add_argument("--model", "-m")
    magic.add_argument("--system", "-s")
    magic.add_argument("--conversation", "-c")
    magic.add_argument("--temperature", "-t", type=float)
    magic.add_argument("--max-tokens", "-n", type=int)
    return magic


def _of_this_process() -> Chat:
    from workbench.session.workbench import connect

    return connect().chat


def register(shell: Any, chat: Chat | None = None) -> None:
    """Make `%ask` and `%%ask` known to a shell, on this workbench's conversations."""
    magics = AskMagics(shell, chat)
    shell.register_magic_function(magics.ask, magic_kind="line_cell", magic_name="ask")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext workbench.session.ask`."""
    register(shell)
