"""What travels between a supervisor and its task process: length-prefixed msgpack frames.

Each frame is four bytes of length (big endian), then one message. Parameters, documents
and figures travel as JSON bytes inside, because msgpack ends at 64-bit integers and the
amounts of Runes do not.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from workbench.core.gpu import Vendor
from workbench.core.job import Event, Log, Progress
from workbench.core.sentence import is_plain

LENGTH = struct.Struct(">I")
BINARY, BINARY_MARK = struct.Struct(">BI"), 0xC6  # msgpack's `bin 32`
LARGE_BYTES = 1 << 20
FRAME_LIMIT = 2**31  # bytes; one table of a result at most
LINE_CHARS = 4096
PROMPT_CHARS = 20_000
ANSWER_CHARS = 20_000


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """One attempt as the supervisor and its process get it. `parameters` is JSON.

    `house` names the engine that gave the order, `run` this one submission of it;
    `scratch` is empty where the Dask worker's own folder is to be used. After `lease_s` in
    which its supervisor cannot run, the process is ended; 0: it has no lease. A language model
    has `answer_s` for an answer, and twice that for all that the task asks.
    """

    key: str
    target: str
    parameters: bytes
    inputs: dict[str, str]
    timeout_s: float
    seed: int
    rune_limit: int = 5000
    device: str = "cpu"
    gpu: str | None = None
    vendor: Vendor | None = None
    house: str = ""
    run: str = ""
    scratch: str = ""
    beat_s: float = 5.0
    lease_s: float = 0.0
    answer_s: float = 60.0


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The process took the order: its time starts to count."""


class Table(msgspec.Struct, frozen=True, tag="table"):
    """One table of the result, as an Arrow IPC stream."""

    name: str
    body: memoryview


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag="returned"):
    """The model returned. `device` is where it computed: what was lent, or `cpu`. `reusable` says
    that it left no threads or processes behind."""

    document: bytes
    figures: bytes
    batch: str | None
    elapsed_ms: int
    device: str
    reusable: bool


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag="raised"):
    """The model raised."""

    template: str
    values: dict[str, Any]
    traceback: str
    rejected: bool
    reusable: bool


class Question(msgspec.Struct, frozen=True, kw_only=True, tag="question"):
    """The model asks a language model of the hub, and waits for so long."""

    number: int
    prompt: Annotated[str, msgspec.Meta(max_length=PROMPT_CHARS)]
    limit_s: float


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag="reply"):
    """The answer to the question of that number, by `model`, or the sentence why there is none.

    `absent` says that no language model is loaded.
    """

    number: int
    text: Annotated[str, msgspec.Meta(max_length=ANSWER_CHARS)] = ""
    model: str = ""
    template: str = ""
    values: dict[str, Any] = {}
    absent: bool = False


Frame = Order | Started | Progress | Log | Question | Reply | Table | Returned | Raised
News = Event | Question
"""What a supervisor tells the hub while its process works."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def pack(message: Frame) -> bytes:
    """One frame as bytes. Raises OverflowError for one that no frame can hold."""
    body = _encoder.encode(message)
    if len(body) > FRAME_LIMIT:
        raise OverflowError(f"{len(body)} bytes; allowed: {FRAME_LIMIT}")
    return LENGTH.pack(len(body)) + body


def pack_table(name: str, body: Sequence[memoryview]) -> list[bytes | memoryview]:
    """A `Table` in pieces, the first its head: a result may be as large as memory, and is not
    copied. Raises OverflowError for one that no frame can hold."""
    size = sum(piece.nbytes for piece in body)
    empty = _encoder.encode(Table(name, memoryview(b"")))
    head = empty.removesuffix(_encoder.encode(b"")) + BINARY.pack(BINARY_MARK, size)
    if len(head) + size > FRAME_LIMIT:
        raise OverflowError(f"{len(head) + size} bytes; allowed: {FRAME_LIMIT}")
    return [LENGTH.pack(len(head) + size) + head, *body]


class Reader:
    """Bytes in, whole frames out. A large one is put together in a place of its own, and a table
    is a view of that: it is copied once."""

    def __init__(self) -> None:
        self._buffer = b""
        self._large: bytearray | None = None
        self._filled = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames completed by `data`. Raises ValueError for what is no frame."""
        if self._large is not None:
            data = self._fill(self._large, data)
            if self._filled < len(self._large):
                return
            whole, self._large = self._large, None
            yield _decoded(whole)
        self._buffer += data
        start, end = 0, len(self._buffer)
        try:
            while end - start >= LENGTH.size:
                (size,) = LENGTH.unpack_from(self._buffer, start)
                if size > FRAME_LIMIT:
                    raise ValueError(f"a frame of {size} bytes; allowed: {FRAME_LIMIT}")
                first, last = start + LENGTH.size, start + LENGTH.size + size
                if last > end:
                    if size >= LARGE_BYTES:
                        self._large, self._filled = bytearray(size), 0
                        self._fill(self._large, self._buffer[first:])
                        start = end
                    break
                start = last
                yield _decoded(self._buffer[first:last])
        finally:
            self._buffer = self._buffer[start:]

    def _fill(self, large: bytearray, data: bytes) -> bytes:
        """Put in what belongs there; the rest."""
        part = data[: len(large) - self._filled]
        with memoryview(large) as place:
            place[self._filled : self._filled + len(part)] = part
        self._filled += len(part)
        return data[len(part) :]


def _decoded(frame: bytes | bytearray) -> Frame:
    try:
        decoded: Frame = _decoder.decode(frame)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    return decoded


class Lines:
    """Text in, whole lines out: each at most LINE_CHARS long, what is beyond is cut.

    A carriage return ends a line as well, so that a progress bar drawn in place does not
    grow into one endless line. Empty lines are dropped.
    """

    def __init__(self) -> None:
        self._open = ""

    def feed(self, text: str) -> Iterator[str]:
        """The lines completed by `text`."""
        *whole, last = text.replace("\r", "\n").split("\n")
        for line in whole:
            yield from self._close(self._open + line[: LINE_CHARS + 1])
            self._open = ""
        if len(self._open) <= LINE_CHARS:
            self._open += last[: LINE_CHARS + 1]

    def rest(self) -> Iterator[str]:
        """The line that nobody ended, if there is one."""
        line, self._open = self._open, ""
        yield from self._close(line)

    @staticmethod
    def _close(line: str) -> Iterator[str]:
        if line.strip():
            yield line if len(line) <= LINE_CHARS else line[: LINE_CHARS - 1] + "…"


def line_event(level: str, line: str) -> Log:
    """One line of somebody else's text as a log event."""
    return Log(level, "{line}", {"line": words(line)})


def words(value: Any) -> str:
    """Anything as a text that a frame can hold: half a character is written out, as \\ud800."""
    try:
        text = str(value)
    except Exception:  # a line must not end a task, whatever its values can say of themselves
        text = f"<{type(value).__name__}>"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def speakable(template: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A sentence as it may travel: its values numbers and words, anything else as words. One with
    formats, such as {loss:.3f}, is filled here, for no reader fills those."""
    text = words(template)
    if values and not is_plain(text):
        try:
            return words(text.format(**values)), {}
        except Exception:  # as it stands, then, and its values behind it
            behind = ", ".join(f"{name}={_speakable(value)}" for name, value in values.items())
            return words(f"{text} ({behind})"), {}
    return text, {words(name): _speakable(value) for name, value in values.items()}


def _speakable(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # NumPy's scalars
        value = value.item()
    if value is None or type(value) in (bool, float):
        return value
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    return words(value)[:LINE_CHARS]


def to_json(value: Any) -> bytes:
    """`value` as JSON: integers stay exact however long; NaN and infinities become null.

    NumPy scalars and arrays, timestamps, sets and paths are written as what they hold. Raises
    TypeError for what JSON cannot say.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except OverflowError:  # msgspec has no integers beyond 64 bits
        plain = _finite(msgspec.to_builtins(value, enc_hook=_plain, str_keys=True))
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, pandas' series
        return value.tolist()
    if hasattr(value, "isoformat"):  # pandas' timestamps, of which NaT is not even itself
        return value.isoformat() if value == value else None
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
