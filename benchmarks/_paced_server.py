"""A server of OpenAI's protocol for chat_stream.py: tokens at a pace, each the instant it was sent.

The pace, in seconds, is the request's temperature. Prints its port.
"""

from __future__ import annotations

import asyncio
import json
import time

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
JSON = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
MODELS = json.dumps({"object": "list", "data": [{"id": "paced"}]}).encode()


def chunk(text: str, finish: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {"object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\n".encode()


async def answer(writer: asyncio.StreamWriter, pace_s: float, tokens: int) -> None:
    writer.write(EVENTS)
    due = time.monotonic()
    for _ in range(tokens):
        due += pace_s
        if pace_s:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.write(chunk(f"{time.monotonic():.6f} "))
        await writer.drain()
    writer.write(chunk("", "stop") + b"data: [DONE]\n\n")
    await writer.drain()
    writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            lengths = [x for x in head.split(b"\r\n") if x.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
            first = head.split(b"\r\n")[0]
            if b"chat/completions" in first:
                asked = json.loads(body)
                await answer(writer, asked.get("temperature") or 0.0, asked["max_tokens"])
                return
            found = b"/v1/models" in first
            status, said = (b"200 OK", MODELS) if found else (b"404 Not Found", b"{}")
            writer.write(JSON % (status, len(said), said))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
