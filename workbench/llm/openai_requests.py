"""A question as the OpenAI-compatible servers want it; pure.

Source: OpenAI's "create chat completion" and "create completion". `top_k`, `min_p` and
`repeat_penalty` are additions of llama.cpp and LM Studio; vLLM calls the last one
`repetition_penalty`. They are sent only where they are set.
"""

from __future__ import annotations

import base64
from typing import Any

from workbench.core.llm import ChatRequest, CompletionRequest, Image, Sampling, Tool, Turn
from workbench.errors import InputError

_SAME = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty"),
    *("presence_penalty", "frequency_penalty", "max_tokens", "seed"),
)


def chat_body(request: ChatRequest) -> dict[str, Any]:
    """The body for /v1/chat/completions."""
    body = {
        "model": request.model,
        "messages": [_message(turn) for turn in request.turns],
        **_common(request.sampling),
    }
    if request.tools:
        body["tools"] = [tool_body(tool) for tool in request.tools]
    return body


def completion_body(request: CompletionRequest) -> dict[str, Any]:
    """The body for /v1/completions."""
    return {"model": request.model, "prompt": request.prompt, **_common(request.sampling)}


def tool_body(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI and Ollama describe one."""
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def refuse_grammar(sampling: Sampling, backend: str) -> None:
    """InputError where a grammar is asked of a server that would silently pass it over."""
    if sampling.grammar is not None:
        raise InputError(
            "{backend} does not follow a grammar; allowed: a JSON schema, or a llama.cpp server",
            backend=backend,
        )


def _common(sampling: Sampling) -> dict[str, Any]:
    body: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    for name in _SAME:
        if (value := getattr(sampling, name)) is not None:
            body[name] = value
    if sampling.repeat_penalty is not None:
        body["repetition_penalty"] = sampling.repeat_penalty
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": sampling.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": _content(turn)}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.tool_calls
        ]
    if turn.role == "tool":
        message["tool_call_id"] = turn.tool_call_id
    return message


def _content(turn: Turn) -> Any:
    if turn.images:
        text = [{"type": "text", "text": turn.content}] if turn.content else []
        return [*text, *map(_picture, turn.images)]
    return None if turn.tool_calls and not turn.content else turn.content


def _picture(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}
