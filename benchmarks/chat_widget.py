"""An answer of 20,000 tokens in the chat console, beside an HTML widget rewritten for each token.

The peer is what `ipywidgets.HTML` does with a growing answer: the whole drawn text as a new value
per token. Its bytes and its browser's work grow with the square of the length, so the browser
draws it for 1,000 tokens only, beside ours of the same length; its bytes are summed for all.
Browser seconds are Chromium's own count of its main thread's work (Performance.getMetrics).
Aim: what a token costs does not depend on the length of the conversation before it.

    python benchmarks/chat_widget.py
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import FLAGS, find
from tests.browser.harness import BarePage, page_files
from workbench.widgets.chat import ChatWidget
from workbench.widgets.markdown import render

TOKENS = 20_000
PEER_TOKENS = 1_000
BATCH = 20
"""Tokens of one flush: 500 tokens/s at a flush every 40 ms."""
MESSAGES = 2_000
SEED = 7

WORDS = re.findall(
    r"\w+", "the rune of a block was etched with its premine, minted, and held by many"
)
CODE = "```python\nshares = mints.groupby('rune')['amount'].sum()\nprint(shares.head())\n```\n\n"
TABLE = "| rune | share |\n|---|---:|\n| DOG | 0.4 |\n| RSIC | 0.2 |\n\n"
FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
REWRITE = "html => { document.getElementById('peer').innerHTML = html; }"


def tokens(count: int) -> list[str]:
    """Prose with marks, lists, code and tables, as models write it, in pieces of a few letters."""
    chance = random.Random(SEED)
    text, pieces = "", []
    while len(pieces) < count:
        text = " ".join(chance.choices(WORDS, k=chance.randint(20, 60)))
        text = text.replace("premine", "**premine**", 1).replace("minted", "`minted`", 1) + ".\n\n"
        text += chance.choice([CODE, TABLE, "- one thing\n- another one\n\n", "", ""])
        pieces += [text[at : at + 5] for at in range(0, len(text), 5)]
    return pieces[:count]


class Sending(ChatWidget):
    """A chat widget that hands its messages to a page and counts their bytes."""

    def __init__(self, page: Page | None = None) -> None:
        self.page, self.bytes = page, 0
        super().__init__(connection={"state": "connected", "url": ""})

    def send(self, content: Any, buffers: Any = None) -> None:
        text = json.dumps(content, ensure_ascii=False)
        self.bytes += len(text.encode())
        if self.page is not None and content["kind"] != "pong":
            self.page.evaluate("text => model.say(JSON.parse(text))", text)


@dataclass
class Cost:
    """What some tokens took."""

    tokens: int
    bytes: int
    kernel_s: float
    browser_s: float


class Chromium:
    """A page whose work can be read off."""

    def __init__(self, browser: Browser) -> None:
        self.page = browser.new_page()
        state = {"traits": {"connection": {"state": "connected"}}, "messages": [], "earlier": 0}
        BarePage(self.page, page_files(ChatWidget(), state, "light")).open("?lang=en")
        self._cdp = self.page.context.new_cdp_session(self.page)
        self._cdp.send("Performance.enable")

    def worked_s(self) -> float:
        metrics = self._cdp.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def frame(self) -> None:
        self.page.evaluate(FRAME)


def message(number: int, content: str, status: str = "done") -> dict[str, Any]:
    role = "assistant" if number % 2 else "user"
    return {"id": number, "role": role, "content": content, "status": status}


def batches(pieces: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(pieces), BATCH):
        yield pieces[at : at + BATCH]


def stream(chromium: Chromium, widget: Sending, pieces: list[str], number: int) -> Cost:
    """Each batch is flushed and drawn; the kernel's seconds leave out the hand-over to the page."""
    widget.page, widget.bytes = chromium.page, 0
    widget.add(message(number, "", "streaming"))
    before, kernel_s = chromium.worked_s(), 0.0
    for batch in batches(pieces):
        began = time.process_time()
        for piece in batch:
            widget.chunk(number, piece)
        delta = widget.state.take_delta()
        kernel_s += time.process_time() - began
        widget.tell("delta", delta)
        chromium.frame()
    widget.end(message(number, "".join(pieces)))
    widget.flush()
    return Cost(len(pieces), widget.bytes, kernel_s, chromium.worked_s() - before)


def rewrite(chromium: Chromium, pieces: list[str]) -> Cost:
    """The peer, with a frame as often as ours has one."""
    chromium.page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<p id=peer>')")
    before, kernel_s, sent, source = chromium.worked_s(), 0.0, 0, ""
    for place, piece in enumerate(pieces):
        began = time.process_time()
        source += piece
        value = "".join(render(source))
        kernel_s += time.process_time() - began
        sent += len(json.dumps(value, ensure_ascii=False).encode())
        chromium.page.evaluate(REWRITE, value)
        if place % BATCH == 0:
            chromium.frame()
    return Cost(len(pieces), sent, kernel_s, chromium.worked_s() - before)


def peer_bytes(pieces: list[str]) -> int:
    """What the peer would send for all tokens: a drawn text is about linear in its source."""
    whole = len("".join(render("".join(pieces))).encode())
    return sum(whole * place // len(pieces) for place in range(1, len(pieces) + 1))


def line(name: str, cost: Cost) -> None:
    each = 1000 / cost.tokens
    print(
        f"{name:<42} {cost.bytes / 1e3:>12,.0f} kB  kernel {cost.kernel_s:6.2f} s "
        f"({cost.kernel_s * each:.3f} ms/token)  browser {cost.browser_s:6.2f} s "
        f"({cost.browser_s * each:.3f} ms/token)"
    )


def memory(answers: list[str]) -> tuple[float, float]:
    """MB that the kernel holds for the messages, and MB that their text alone takes."""
    process = psutil.Process()
    before = process.memory_info().rss
    messages = [message(n, answers[n % len(answers)] + str(n)) for n in range(1, MESSAGES + 1)]
    text = sum(len(one["content"]) for one in messages)
    widget = Sending()
    widget.receive({"kind": "ping"})
    widget.show(messages)
    first = messages[-1]["id"]
    for _ in range(MESSAGES // 40):
        widget.state.earlier(first)
        first = max(1, first - 40)
    return (process.memory_info().rss - before) / 1e6, text / 1e6


def main() -> None:
    pieces = tokens(TOKENS)
    answers = ["".join(pieces[at : at + 300]) for at in range(0, TOKENS, 300)]
    held, text = memory(answers)  # first: later the process has memory to use again
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(FLAGS))
        chromium, widget = Chromium(browser), Sending()
        widget.receive({"kind": "ping"})
        stream(chromium, widget, pieces[:500], 1)  # warm
        short = stream(chromium, widget, pieces[:PEER_TOKENS], 3)
        line(f"console, {PEER_TOKENS:,} tokens", short)
        peer = rewrite(Chromium(browser), pieces[:PEER_TOKENS])
        line(f"HTML rewritten, {PEER_TOKENS:,} tokens", peer)
        whole = stream(chromium, widget, pieces, 5)
        line(f"console, {TOKENS:,} tokens", whole)
        widget.page = chromium.page
        widget.show(
            [message(n, answers[n % len(answers)]) for n in range(100, 100 + MESSAGES)],
        )
        chromium.frame()
        late = stream(chromium, widget, pieces[:PEER_TOKENS], 100_001)
        line(f"console, {PEER_TOKENS:,} tokens after {MESSAGES:,} messages", late)
        browser.close()
    everything = peer_bytes(pieces)
    print(f"HTML rewritten, {TOKENS:,} tokens (summed)     {everything / 1e3:>12,.0f} kB")
    print(
        f"the peer at {PEER_TOKENS:,} tokens: {peer.bytes / short.bytes:.0f}x the bytes, "
        f"{peer.browser_s / short.browser_s:.1f}x the browser's work, "
        f"{peer.kernel_s / short.kernel_s:.1f}x the kernel's; "
        f"at {TOKENS:,}: {everything / whole.bytes:.0f}x the bytes (it is quadratic)"
    )
    kernel, drawing = late.kernel_s / short.kernel_s, late.browser_s / short.browser_s
    print(
        f"after {MESSAGES:,} messages a token costs {kernel:.2f}x the kernel's "
        f"and {drawing:.2f}x the browser's work of one at the start"
    )
    print(
        f"kernel memory for {MESSAGES:,} messages: {held:.1f} MB; their text alone: {text:.1f} MB"
    )


if __name__ == "__main__":
    main()
