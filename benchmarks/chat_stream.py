"""What the hub adds to a streamed answer: latency per token, and CPU per 1,000 tokens.

A server of its own process speaks OpenAI's protocol and sends tokens at a steady pace, each
holding the instant at which it was sent (CLOCK_MONOTONIC is one clock for all processes).
The same client reads it once directly over HTTP and once through a real hub's `/ws`, in turn.
Then as fast as it goes, for the CPU. At last the pace again in a conversation of 500 messages.
Aim: at most 2 ms added at p99, whatever the length of the conversation.

    python benchmarks/chat_stream.py [tokens]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.hub_process import HubProcess
from workbench.core.llm import ChatRequest, Sampling, Token, Turn
from workbench.http import Http
from workbench.llm.openai import OpenAI

PACE_S = 0.01
ROUNDS = 3
LONG = 500
AIM_MS = 2.0
SERVER = Path(__file__).parent / "_paced_server.py"


def sampling(tokens: int, pace_s: float) -> dict[str, Any]:
    """The pace travels as the temperature: a parameter that every layer hands on."""
    return {"maxTokens": tokens, "temperature": pace_s}


def late_ms(text: str, now: float) -> list[float]:
    """How long ago the tokens of a piece were sent."""
    return [(now - float(word)) * 1000 for word in text.split()]


async def direct(url: str, tokens: int, pace_s: float) -> list[float]:
    found: list[float] = []
    async with Http(private_addresses=True) as http:
        server = OpenAI("paced", url, None, http=http)
        request = ChatRequest(
            model="paced",
            turns=(Turn(role="user", content="go"),),
            sampling=Sampling(max_tokens=tokens, temperature=pace_s),
        )
        async for event in server.chat(request):
            if isinstance(event, Token):
                found += late_ms(event.text, time.monotonic())
    return found


async def through_the_hub(
    raw: ClientConnection, tokens: int, pace_s: float, conversation: int
) -> list[float]:
    found: list[float] = []
    said = {
        "message": "go",
        "conversationId": conversation,
        "parameters": sampling(tokens, pace_s),
    }
    await raw.send(json.dumps({"type": "chat:send", "data": said}))
    while True:
        frame = await raw.recv()
        now = time.monotonic()
        message = json.loads(frame)
        if message["type"] == "chat:streaming":
            found += late_ms(message["data"]["chunk"], now)
        elif message["type"] == "chat:message" and message["data"]["role"] == "assistant":
            return found


def p(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000)[round(share * 1000) - 1]


def line(name: str, values: list[float]) -> str:
    return f"{name:<34} p50 {p(values, 0.5):6.2f} ms   p99 {p(values, 0.99):6.2f} ms"


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(url: str, hub: HubProcess, said: dict[str, Any], tokens: int) -> None:
    address = f"{said['ws']}?token={said['token']}"
    assert hub.process is not None
    hub_process, own = psutil.Process(hub.process.pid), psutil.Process()
    async with connect(address, proxy=None, compression=None, max_size=None) as raw:
        await through_the_hub(raw, 50, 0, 1)  # the first use looks for servers
        straight: list[float] = []
        hubbed: list[float] = []
        for _ in range(ROUNDS):
            straight += await direct(url, tokens, PACE_S)
            hubbed += await through_the_hub(raw, tokens, PACE_S, 2)
        print(line("directly", straight))
        print(line("through the hub", hubbed))
        added = p(hubbed, 0.99) - p(straight, 0.99)
        print(
            f"added at p50 {p(hubbed, 0.5) - p(straight, 0.5):.2f} ms, "
            f"at p99 {added:.2f} ms (aim {AIM_MS} ms)"
        )

        fast = tokens * 10
        began = cpu_s(own)
        await direct(url, fast, 0)
        alone = (cpu_s(own) - began) / fast * 1000
        began = cpu_s(hub_process)
        await through_the_hub(raw, fast, 0, 3)
        ours = (cpu_s(hub_process) - began) / fast * 1000
        print(
            f"CPU per 1,000 tokens: direct client {alone * 1000:.1f} ms, "
            f"the hub {ours * 1000:.1f} ms: {ours / alone:.1f}x"
        )

        for _ in range(LONG // 2):
            await through_the_hub(raw, 20, 0, 4)
        long = await through_the_hub(raw, tokens, PACE_S, 4)
        print(line(f"in a conversation of {LONG} messages", long))
        print(f"over a new conversation: {p(long, 0.5) / p(hubbed, 0.5):.2f}x at p50")


def main() -> None:
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    server = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with tempfile.TemporaryDirectory() as folder:
            settings = {
                "WORKBENCH_LLM_SERVERS": f"paced={url}",
                "WORKBENCH_LLM_DISCOVER": "0",
                "WORKBENCH_LLM_RATE": "100000/minute",
            }
            hub = HubProcess(Path(folder), **settings)
            said = hub.start()
            try:
                print(f"{tokens} tokens at {1 / PACE_S:.0f}/s, {ROUNDS} rounds in turn")
                asyncio.run(measure(url, hub, said, tokens))
            finally:
                hub.stop()
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
