"""`bench.chat` and `bench.llm` on a real hub with a real, tiny model."""

from __future__ import annotations

import asyncio
import base64
import threading
from pathlib import Path
from typing import Any

import pandas
import pytest

from workbench.core.chat import AnswerUsage, Message
from workbench.core.figure import PLOTLY
from workbench.errors import InputError, LinkError
from workbench.session import Workbench
from workbench.session.answers import Answer, Conversations
from workbench.session.giving import image_of, sampling_of
from workbench.session.harmless import harmless

GREEDY = {"temperature": 0.0, "max_tokens": 12}


def test_a_question_blocks_until_its_answer(bench: Workbench, model: str) -> None:
    answer = bench.chat.ask("the block", model=model, **GREEDY)
    assert answer.text
    assert answer.usage.completion_tokens == 12
    assert answer.conversation_id == bench.chat.client.current
    assert "12 tokens" in answer.caption
    assert "cut off at its limit" in answer.caption
    assert str(answer) == answer.text
    assert repr(answer).endswith(f"[{answer.caption}]")
    assert answer._repr_mimebundle_()["text/markdown"] == harmless(answer.text)


async def test_a_cell_reads_the_same_answer_piece_by_piece(bench: Workbench, model: str) -> None:
    """On the loop of the test, as in a notebook; the sockets are on another thread."""
    room = await bench.chat.new(model=model)
    whole = await bench.chat.send("the rune", conversation=room.id, **GREEDY)
    await bench.chat.new(model=model)
    stream = bench.chat.stream("the rune", **GREEDY)
    pieces = [piece async for piece in stream]
    assert len(pieces) > 1
    assert "".join(pieces) == whole.text
    assert stream.answer is not None
    assert stream.answer.text == whole.text


def test_a_script_reads_it_with_a_plain_loop(bench: Workbench, model: str) -> None:
    bench.chat.new(model=model).result()
    assert "".join(bench.chat.stream("the rune", **GREEDY))


async def test_leaving_the_loop_early_stops_the_model(bench: Workbench, model: str) -> None:
    room = await bench.chat.new(model=model)
    async for _ in bench.chat.stream("go on", max_tokens=20_000):
        break
    await stopped(bench, room.id)


async def test_a_cancelled_cell_stops_the_model(bench: Workbench, model: str) -> None:
    room = await bench.chat.new(model=model)
    begun = asyncio.Event()

    async def cell() -> None:
        async for _ in bench.chat.stream("go on", max_tokens=20_000):
            begun.set()

    task = asyncio.create_task(cell())
    async with asyncio.timeout(30):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stopped(bench, room.id)


async def stopped(bench: Workbench, conversation: int) -> None:
    """Until the last message is kept as stopped."""
    async with asyncio.timeout(30):
        while (await bench.chat.history(conversation))[-1].status != "stopped":  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def test_an_interrupted_question_is_stopped_and_kept(bench: Workbench, model: str) -> None:
    room = bench.chat.new(model=model).result()
    stream = bench.chat.stream("go on", max_tokens=20_000)
    next(stream)
    answer = stream.stop()
    assert answer is not None
    assert answer.stopped
    assert answer.caption.startswith("stopped · ")
    assert bench.chat.history(room.id).result()[-1].content == answer.text


def test_conversations_are_found_again_by_their_words(bench: Workbench, model: str) -> None:
    room = bench.chat.new("Named", model=model).result()
    bench.chat.ask("where are the cenotaphs", **GREEDY)
    found = bench.chat.conversations("cenotaphs").result()
    assert isinstance(found, Conversations)
    assert [each["id"] for each in found] == [room.id]
    assert "cenotaphs" in found._repr_html_()
    assert "cenotaphs" in bench.chat.export(room.id).result()
    bench.chat.update(room.id, title="Renamed", temperature=0.1).result()
    rows = bench.query("SELECT title FROM conversations", fresh=True).rows()
    assert {"title": "Renamed"} in rows
    bench.chat.delete(room.id).result()
    assert bench.chat.conversations("cenotaphs").result() == []


def test_an_answer_is_given_anew_and_a_question_put_differently(
    bench: Workbench, model: str
) -> None:
    room = bench.chat.new(model=model).result()
    bench.chat.ask("one", **GREEDY)
    list(bench.chat.regenerate(**GREEDY))
    asked, _ = bench.chat.history(room.id).result()
    list(bench.chat.edit(asked.id, "two", **GREEDY))
    history = bench.chat.history(room.id).result()
    assert history[0].content == "two"
    assert "**user**\n\ntwo" in history._repr_markdown_()


async def test_language_models_answer_without_a_conversation(bench: Workbench, model: str) -> None:
    models = await bench.llm.models()
    assert models.ids == [model]
    assert model in models._repr_html_()
    answer = await bench.llm.complete("the of and", model=model, **GREEDY)
    assert (answer.conversation_id, bool(answer.text)) == (None, True)
    many = await asyncio.gather(*(bench.llm.chat("hi", model=model, **GREEDY) for _ in range(3)))
    assert len({each.text for each in many}) == 1
    assert (await bench.llm.count("the rune", model=model)).exact
    assert len(await bench.llm.split("the rune of the block " * 9, 8, model=model)) > 1


def test_a_model_is_running_from_its_load_to_its_unload(bench: Workbench, model: str) -> None:
    bench.llm.load(model).result()
    assert bench.llm.is_running(model).result()
    assert bench.llm.is_running(f"{model}@embedded").result()
    bench.llm.unload(model).result()
    assert not bench.llm.is_running(model).result()
    with pytest.raises(InputError, match=r"model is 'nope'; allowed: a model of"):
        bench.llm.is_running("nope").result()


def test_an_answer_is_validated_without_a_model(bench: Workbench) -> None:
    checks = {"contains": ["rune"], "maxChars": 10}
    assert bench.llm.validate("a rune", checks) == []
    assert bench.llm.validate("nothing", checks) == ["the answer lacks 'rune'"]
    with pytest.raises(InputError, match="maxChar is 3; allowed: no field of this name"):
        bench.llm.validate("x", {"maxChar": 3})


def test_a_generated_answer_takes_its_sampling_by_name(bench: Workbench, model: str) -> None:
    found = bench.llm.generate("hi", {"minChars": 1}, model=model, max_tokens=4).result()
    assert found.answer.text


def test_a_benchmark_draws_a_table_and_a_figure(bench: Workbench, model: str) -> None:
    measured = bench.llm.benchmark(model, runs=2, answer_tokens=8).result()
    assert measured.table
    assert "<table" in measured._repr_html_()
    assert PLOTLY in measured.figure._repr_mimebundle_()
    assert repr(measured).startswith("benchmark: medians over its runs\n  ")
    assert bench.llm.recommend("chat").result().model


def test_a_call_says_what_it_is_and_shows_its_result(
    bench: Workbench, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call = bench.llm.count("the rune", model=model)
    assert call.result().tokens > 0
    assert "Count(" in repr(call)
    call._ipython_display_()
    assert "tokens=" in capsys.readouterr().out


def test_a_call_inside_a_callback_says_to_await_it(bench: Workbench, model: str) -> None:
    refused: list[BaseException] = []
    done = threading.Event()

    def callback() -> None:
        try:
            bench.llm.count("x", model=model).result()
        except Exception as error:
            refused.append(error)
        done.set()

    bench.runtime.call(callback)
    assert done.wait(10)
    assert "await the coroutine instead" in str(refused[0])


def test_a_misspelt_argument_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="argument is 'temprature'; allowed: temperature, or"):
        sampling_of({"temprature": 1})
    with pytest.raises(InputError, match="temperature is 9"):
        sampling_of({"temperature": 9})
    assert sampling_of({}) is None


def test_data_frames_and_pictures_are_attached(
    bench: Workbench, model: str, tmp_path: Path
) -> None:
    room = bench.chat.new(model=model).result()
    frame = pandas.DataFrame({"rune": ["A", "B"]})
    bench.chat.ask("what is it", attach={"df": frame, "note": "as it is"}, **GREEDY)
    asked = bench.chat.history(room.id).result()[0]
    assert [each.name for each in asked.attachments] == ["df", "note"]
    assert "2 rows, 1 columns" in asked.attachments[0].text
    dot = base64.b64decode("iVBORw0KGgo=")
    (tmp_path / "dot.png").write_bytes(dot)
    assert image_of(tmp_path / "dot.png").media_type == "image/png"
    with pytest.raises(InputError, match="a PNG, JPEG, WebP or GIF file"):
        image_of(b"text")


def said(text: str, **more: Any) -> Answer:
    fields = {"id": 1, "conversation_id": 1, "role": "assistant", "timestamp": "", **more}
    return Answer(Message(content=text, **fields))


def test_a_caption_tells_only_what_is_known() -> None:
    assert said("x").caption == ""
    usage = AnswerUsage(completion_tokens=1200, ttft_ms=80.4, tokens_per_second=31.25)
    full = said("x", model="m", usage=usage, status="broken")
    assert full.caption == (
        "broken off · m · 1,200 tokens · 31.2 tokens/s · first token after 80 ms"
    )


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ("![a](http://evil/?q)", "[a](http://evil/?q)"),
        ("x <img src=http://evil> y", "x &lt;img src=http://evil> y"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("![a][r]\n\n[r]: http://evil", "[a][r]\n\n[r]: http://evil"),
        ("```rust\nlet v = vec![1]; // <b>\n```", "```rust\nlet v = vec![1]; // <b>\n```"),
        ("a < b and `vec![1]`", "a < b and `vec![1]`"),
        ("| a |\n|---|\n| ![x](http://evil) |", "| a |\n|---|\n| [x](http://evil) |"),
        ("> ![a](http://evil)", "> [a](http://evil)"),
    ],
)
def test_an_answer_cannot_load_anything_or_run_markup(given: str, drawn: str) -> None:
    assert harmless(given) == drawn


def test_a_closed_workbench_says_so(bench: Workbench) -> None:
    other = Workbench(bench.data)
    other.close()
    with pytest.raises(LinkError, match="this workbench is closed"):
        other.chat.conversations().result()
