"""Conversations over `/ws`: the fixed sequence, stop, edit, regenerate, followers, faults."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.hub.endpoint import Endpoint, Peer
from tests.hub.speaking import answer
from workbench.core.llm import BackendBroken, NoModel, PromptProgress, Queued, Reasoning, Token

PATIENCE_S = 10.0


async def until(peer: Peer, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    """Everything up to the first message of a kind whose data holds `wanted`."""
    heard = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            heard.append(await peer.hear())
            data = heard[-1].get("data")
            if heard[-1]["type"] == kind and (
                not wanted or wanted.items() <= dict(data or {}).items()
            ):
                return heard


async def answered(peer: Peer, text: str, **more: Any) -> list[dict[str, Any]]:
    """Say something and hear everything until its answer is whole."""
    await peer.say("chat:send", {"message": text, **more})
    return await until(peer, "chat:message", role="assistant")


def fixed(heard: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a client of the fixed part makes of it."""
    told: list[tuple[Any, ...]] = []
    for each in heard:
        data = each.get("data", {})
        if each["type"] == "chat:message":
            told.append((data["role"], data["content"]))
        elif each["type"] == "chat:streaming":
            told.append((data["chunk"], data["done"]))
    return told


async def history(peer: Peer, conversation_id: int | None = None) -> list[dict[str, Any]]:
    data = {} if conversation_id is None else {"conversationId": conversation_id}
    await peer.say("chat:history", data)
    messages: list[dict[str, Any]] = (await until(peer, "chat:history"))[-1]["data"]
    return messages


async def test_one_message_is_answered_in_the_fixed_order(endpoint: Endpoint) -> None:
    async with endpoint.peer("submit") as peer:
        heard = await answered(peer, "Hi", conversationId=7)
        assert fixed(heard) == [
            ("user", "Hi"),
            ("Hello", False),
            (" there", False),
            ("", True),
            ("assistant", "Hello there"),
        ]
        whole = heard[-1]["data"]
        assert isinstance(whole["id"], int)
        assert whole["timestamp"].endswith("Z")
        assert (whole["status"], whole["model"], whole["backend"]) == ("done", "m", "b")
        assert whole["usage"]["completionTokens"] == 2
        assert [each["content"] for each in await history(peer, 7)] == ["Hi", "Hello there"]


async def test_a_conversation_that_is_not_there_has_an_empty_history(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        assert await history(peer, 99) == []
        assert await history(peer) == []


async def test_without_an_id_it_goes_on_with_the_latest_conversation(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await answered(peer, "first", conversationId=3)
    async with endpoint.peer() as peer:
        assert [each["content"] for each in await history(peer)] == ["first", "Hello there"]
        heard = await answered(peer, "second")
        assert heard[-1]["data"]["conversationId"] == 3


async def test_the_model_gets_the_system_prompt_and_the_last_ten_messages(
    endpoint: Endpoint,
) -> None:
    async with endpoint.peer() as peer:
        for number in range(7):
            await answered(peer, f"question {number}", system="Be brief.")
    turns = endpoint.models.asked[-1].turns
    assert (turns[0].role, turns[0].content) == ("system", "Be brief.")
    assert [turn.role for turn in turns[1:3]] == ["user", "assistant"]
    assert turns[-1].content == "question 6"
    assert 9 <= len(turns[1:]) <= 10


async def test_an_attachment_goes_with_the_message_and_not_into_its_text(
    endpoint: Endpoint,
) -> None:
    async with endpoint.peer() as peer:
        attached = [{"name": "df", "text": "a: int64\n```\n"}]
        heard = await answered(peer, "What is in it?", attachments=attached)
        assert heard[0]["data"]["content"] == "What is in it?"
        assert heard[0]["data"]["attachments"] == attached
    asked = endpoint.models.asked[0].turns[-1].content
    assert asked.startswith("What is in it?\n\ndf:\n````\na: int64")


async def test_a_stop_is_said_at_once_and_what_there_is_is_kept(endpoint: Endpoint) -> None:
    endpoint.models.held, endpoint.models.hold_after = asyncio.Event(), 2
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi"})
        await until(peer, "chat:streaming", chunk="Hello")
        await peer.say("chat:stop", {}, requestId="s")
        heard = await until(peer, "chat:message", role="assistant")
        stopped = next(each for each in heard if each["type"] == "chat:stopped")
        assert stopped["requestId"] == "s"
        whole = heard[-1]["data"]
        assert (whole["status"], whole["content"]) == ("stopped", "Hello")
        assert stopped["data"]["messageId"] == whole["id"]
        assert endpoint.models.ended == 1
        assert (await history(peer))[-1]["status"] == "stopped"


async def test_a_stop_right_after_the_message_is_not_lost(endpoint: Endpoint) -> None:
    endpoint.models.held = asyncio.Event()
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi", "conversationId": 4})
        await peer.say("chat:stop", {"conversationId": 4})
        heard = await until(peer, "chat:message", role="assistant")
        assert heard[-1]["data"]["status"] == "stopped"


async def test_a_stop_that_comes_late_does_not_hit_the_next_answer(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        earlier = (await answered(peer, "Hi"))[-1]["data"]["id"]
        endpoint.models.held, endpoint.models.hold_after = asyncio.Event(), 2
        await peer.say("chat:send", {"message": "And?"})
        await until(peer, "chat:streaming", chunk="Hello")
        await peer.say("chat:stop", {"messageId": earlier})
        stopped = (await until(peer, "chat:stopped"))[-1]["data"]
        assert stopped["messageId"] is None
        endpoint.models.held.set()
        heard = await until(peer, "chat:message", role="assistant")
        assert heard[-1]["data"]["status"] == "done"


async def test_a_stop_with_nothing_to_stop_answers_too(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        heard = await peer.ask("chat:stop", {"conversationId": 8})
        assert heard == {
            "type": "chat:stopped",
            "data": {"conversationId": 8, "messageId": None},
        }


async def test_a_failure_in_mid_stream_keeps_and_marks_what_came(endpoint: Endpoint) -> None:
    broken = BackendBroken("the model went away after {tokens} tokens", tokens=1)
    endpoint.models.events = [*answer("Half")[:-1], broken]
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi"}, requestId="r")
        heard = await until(peer, "error")
        assert fixed(heard) == [
            ("user", "Hi"),
            ("Half", False),
            ("", True),
            ("assistant", "Half"),
        ]
        whole = heard[-2]["data"]
        assert whole["status"] == "broken"
        assert whole["error"]["message"] == "the model went away after 1 tokens"
        assert heard[-1]["requestId"] == "r"
        assert heard[-1]["data"]["code"] == "backend"
        assert (await history(peer))[-1] == whole


async def test_without_a_model_the_message_is_kept_and_the_remedy_is_said(
    endpoint: Endpoint,
) -> None:
    endpoint.models.events = [NoModel("there is no language model: start one")]
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi"})
        heard = await until(peer, "error")
        assert heard[-1]["data"]["message"] == "there is no language model: start one"
        assert [(each["role"], each["status"]) for each in await history(peer)] == [
            ("user", "done"),
            ("assistant", "broken"),
        ]


async def test_an_answer_goes_on_without_its_viewer_who_catches_up(endpoint: Endpoint) -> None:
    endpoint.models.held, endpoint.models.hold_after = asyncio.Event(), 2
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi", "conversationId": 1})
        await until(peer, "chat:streaming", chunk="Hello")
    async with endpoint.peer() as peer:
        await peer.say("conversation:follow", {"conversationId": 1})
        (snapshot,) = await until(peer, "conversation:snapshot")
        under_way = snapshot["data"]["messages"][-1]
        assert (under_way["status"], under_way["content"]) == ("streaming", "Hello")
        assert snapshot["data"]["streaming"]["phase"] == "answering"
        endpoint.models.held.set()
        heard = await until(peer, "chat:message", role="assistant")
        rest = [each[0] for each in fixed(heard) if each[1] is False]
        assert "".join([under_way["content"], *rest]) == heard[-1]["data"]["content"]


async def test_two_viewers_see_the_same_and_a_third_who_looks_elsewhere_nothing(
    endpoint: Endpoint,
) -> None:
    async with endpoint.peer() as first, endpoint.peer() as second, endpoint.peer() as third:
        await history(second, 1)
        await history(third, 2)
        heard = await answered(first, "Hi", conversationId=1)
        seen = await until(second, "chat:message", role="assistant")
        assert fixed(seen) == fixed(heard)
        assert await third.ask("ping") == {"type": "pong"}


async def test_a_second_message_into_an_unfinished_answer_is_refused(endpoint: Endpoint) -> None:
    endpoint.models.held, endpoint.models.hold_after = asyncio.Event(), 2
    async with endpoint.peer() as peer:
        await peer.say("chat:send", {"message": "Hi"})
        await until(peer, "chat:streaming", chunk="Hello")
        await peer.say("chat:send", {"message": "and?"})
        heard = await until(peer, "error")
        assert heard[-1]["data"]["message"] == (
            "an answer is under way in this conversation: wait for it, or stop it"
        )
        endpoint.models.held.set()
        await until(peer, "chat:message", role="assistant")


async def test_an_edited_message_replaces_it_and_all_after_it(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        heard = await answered(peer, "Hi")
        said = heard[0]["data"]
        await answered(peer, "More?")
        await peer.say("chat:edit", {"messageId": said["id"], "message": "Hello!"})
        heard = await until(peer, "chat:message", role="assistant")
        replaced = next(each for each in heard if each["type"] == "chat:replaced")
        assert len(replaced["data"]["messageIds"]) == 4
        assert [each["content"] for each in await history(peer)] == ["Hello!", "Hello there"]
    rows = await endpoint.store.read("chat_message", message_id=said["id"])
    assert (rows[0]["content"], rows[0]["replaced_at"] is None) == ("Hi", False)


async def test_regenerating_replaces_the_last_answer_by_another_model(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await answered(peer, "Hi")
        endpoint.models.events = [*answer("Again")]
        await peer.say("chat:regenerate", {"model": "other"})
        heard = await until(peer, "chat:message", role="assistant")
        assert heard[-1]["data"]["content"] == "Again"
        assert endpoint.models.asked[-1].model == "other"
        assert [turn.content for turn in endpoint.models.asked[-1].turns] == ["Hi"]
        assert [each["content"] for each in await history(peer)] == ["Hi", "Again"]


async def test_phases_are_told_in_order(endpoint: Endpoint) -> None:
    endpoint.models.events = [
        Queued(position=2),
        PromptProgress(done=5, total=10),
        Reasoning(text="hm"),
        Token(text="So"),
    ]
    async with endpoint.peer() as peer:
        heard = await answered(peer, "Hi")
        phases = [each["data"]["phase"] for each in heard if each["type"] == "chat:phase"]
        assert phases == ["queued", "queued", "prompt", "thinking", "answering"]
        places = [each["data"]["position"] for each in heard if each["type"] == "chat:phase"]
        assert places[1] == 2
        assert heard[-1]["data"]["reasoning"] == "hm"


async def test_a_hub_that_ends_in_mid_answer_keeps_and_marks_what_came(
    tmp_path: Path,
) -> None:
    async with Endpoint(tmp_path).serving() as endpoint:
        endpoint.models.held, endpoint.models.hold_after = asyncio.Event(), 2
        async with endpoint.peer() as peer:
            await peer.say("chat:send", {"message": "Hi", "conversationId": 1})
            await until(peer, "chat:phase", phase="answering", tokens=1)
    async with Endpoint(tmp_path).serving() as endpoint, endpoint.peer() as peer:
        kept = (await history(peer, 1))[-1]
        assert (kept["role"], kept["status"], kept["content"]) == ("assistant", "broken", "Hello")
        assert kept["error"]["message"].startswith("the hub was stopped while the model")
        heard = await answered(peer, "Still there?", conversationId=1)
        assert heard[-1]["data"]["id"] > kept["id"]


async def test_conversations_are_named_listed_found_renamed_exported_and_deleted(
    endpoint: Endpoint,
) -> None:
    async with endpoint.peer() as peer:
        await answered(peer, "What is a rune?", conversationId=1)
        endpoint.models.events = [*answer("Uma RUNA é um token.")]
        await answered(peer, "E em português?", conversationId=2)
        await peer.say("conversation:list")
        listed = (await until(peer, "conversation:list"))[-1]["data"]
        assert [(each["id"], each["title"]) for each in listed["conversations"]] == [
            (2, "E em português?"),
            (1, "What is a rune?"),
        ]
        await peer.say("conversation:list", {"search": "runa e"})
        (found,) = (await until(peer, "conversation:list"))[-1]["data"]["conversations"]
        assert found["id"] == 2
        assert "RUNA é" in found["found"]
        await peer.say("conversation:update", {"conversationId": 1, "title": "Runes"})
        changed = (await until(peer, "conversation:changed"))[-1]["data"]["conversation"]
        assert (changed["title"], changed["messages"]) == ("Runes", 2)
        await peer.say("conversation:export", {"conversationId": 1})
        exported = (await until(peer, "conversation:export"))[-1]["data"]
        assert exported["name"] == "Runes.md"
        assert "## You" in exported["content"]
        assert "Hello there" in exported["content"]
        await peer.say("conversation:delete", {"conversationId": 1})
        await until(peer, "conversation:deleted")
        assert await history(peer, 1) == []
        await peer.say("conversation:list")
        listed = (await until(peer, "conversation:list"))[-1]["data"]
        assert [each["id"] for each in listed["conversations"]] == [2]


async def test_instructions_and_templates_are_kept_in_versions(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        await peer.ask("instruction:save", {"name": "terse", "content": "Be brief."})
        saved = await peer.ask("instruction:save", {"name": "terse", "content": "Be very brief."})
        assert saved["data"]["prompt"]["version"] == 2
        listed = (await peer.ask("instruction:list"))["data"]["prompts"]
        assert [(each["name"], each["content"]) for each in listed] == [("terse", "Be very brief.")]
        versions = (await peer.ask("instruction:list", {"name": "terse"}))["data"]["prompts"]
        assert [each["version"] for each in versions] == [2, 1]
        made = await peer.ask(
            "template:save", {"name": "sum", "content": "Sum up {{text}} in {{ count }} words."}
        )
        assert made["data"]["prompt"]["variables"] == ["text", "count"]
        await peer.ask("instruction:delete", {"name": "terse"})
        assert (await peer.ask("instruction:list"))["data"]["prompts"] == []
        again = await peer.ask("instruction:delete", {"name": "terse"})
        assert again["data"]["message"] == (
            "name is 'terse'; allowed: the name of a kept instruction"
        )


async def test_a_conversation_is_named_by_the_first_line_that_was_said(endpoint: Endpoint) -> None:
    async with endpoint.peer() as peer:
        heard = await answered(peer, "\nWhat is this?\n```python\nprint(1)\n```")
        changed = next(each for each in heard if each["type"] == "conversation:changed")
        assert changed["data"]["conversation"]["title"] == "What is this?"


async def test_a_conversation_that_fills_the_context_goes_on_without_its_oldest_turns(
    endpoint: Endpoint,
) -> None:
    async with endpoint.peer() as peer:
        for number in range(3):
            await answered(peer, f"question {number}", system="Be brief.")
        endpoint.models.longest = 4
        whole = (await answered(peer, "and now?"))[-1]["data"]
        assert (whole["status"], whole["content"]) == ("done", "Hello there")
        assert whole["leftOut"] == 4
        turns = endpoint.models.asked[-1].turns
        assert [turn.content for turn in turns] == [
            "Be brief.",
            "question 2",
            "Hello there",
            "and now?",
        ]
        endpoint.models.longest = 1
        broken = (await answered(peer, "far too long"))[-1]["data"]
        assert (broken["status"], broken["error"]["code"]) == ("broken", "context")


async def made(peer: Peer) -> int:
    """The number of a new conversation."""
    await peer.say("conversation:create", {"title": "new"}, requestId="new")
    while True:
        message = (await until(peer, "conversation:changed"))[-1]
        if message.get("requestId") == "new":
            return int(message["data"]["conversation"]["id"])


async def test_numbers_that_clients_choose_do_not_lead_ours(tmp_path: Path) -> None:
    async with Endpoint(tmp_path).serving() as endpoint, endpoint.peer() as peer:
        await answered(peer, "Hi", conversationId=2**53 - 1)
        await answered(peer, "Hi", conversationId=1)
        assert await made(peer) == 2
    async with Endpoint(tmp_path).serving() as endpoint, endpoint.peer() as peer:
        assert await made(peer) == 3
        await peer.say("conversation:delete", {"conversationId": 2**53 - 1})
        await until(peer, "conversation:deleted")


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        ("chat:send", {"message": " \n"}, "data.message is ' \\n'; allowed: str matching"),
        ("chat:send", {"message": "x", "conversationId": -1}, "data.conversationId is -1; allowed"),
        (
            "chat:send",
            {"message": "x", "parameters": {"stop": [""]}},
            "data.parameters.stop[0] is ''; allowed: str of length >= 1",
        ),
        (
            "conversation:export",
            {"conversationId": 1, "format": "pdf"},
            "data.format is 'pdf'; allowed: json, markdown",
        ),
        (
            "conversation:update",
            {"conversationId": 1, "title": "a\x00b"},
            "data.title is 'a\\x00b'; allowed: str matching",
        ),
        ("conversation:follow", {"limit": 0}, "data.limit is 0; allowed: int >= 1"),
        ("conversation:list", {"before": "soon"}, "before is 'soon'; allowed: an instant"),
    ],
)
async def test_a_bad_message_names_field_value_and_rule(
    endpoint: Endpoint, kind: str, data: dict[str, Any], sentence: str
) -> None:
    async with endpoint.peer() as peer:
        await peer.say(kind, data, requestId="r")
        refused = (await until(peer, "error"))[-1]
        assert refused["requestId"] == "r"
        assert refused["data"]["message"].startswith(sentence)
        assert await peer.ask("ping") == {"type": "pong"}
