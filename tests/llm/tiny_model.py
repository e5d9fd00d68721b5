"""A tiny language model, made anew by the tests: random weights, the same bytes every time.

It is a real GGUF file that llama.cpp runs at thousands of tokens a second. Left alone it
babbles in whole words, never ends by itself, and greedy decoding always gives the same.
Under a grammar it says exactly what a test wants: `saying("...")`; whatever has no piece of
its own, such as an emoji, comes byte by byte, one token each. Where tools are offered it
calls one, by its schema: `const` and `enum` fix the arguments. llama.cpp itself cuts white
space from the beginning of an answer, and `<think>...</think>` out of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

SEED = 20261121
CONTEXT_SIZE = 32_768
HEAD_WIDTH = 32  # a block of the smaller cache types
_SPOKEN = (
    "the of and to in is it that for on as with was at by this from are or be an have not had "
    "but what all were when we there can your which their said if will each about how up out "
    "them then she many some so these would other into has more her two like him see time could "
    "no make than first been its who now people my made over did down only way find use may "
    "water long little very after words called just where most know rune etch mint block cap"
)
WORDS = _SPOKEN.split()
TEMPLATE = r"""
{%- if tools %}
{{- '<|im_start|>system\n# Tools\n<tools>' }}
{%- for tool in tools %}{{- '\n' + (tool | tojson) }}{%- endfor %}
{{- '\n</tools>\nCall: <tool_call>{"name": <name>, "arguments": <arguments>}</tool_call>' }}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n' }}
{%- if message.reasoning_content %}
{{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}
{%- endif %}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for call in message.tool_calls or [] %}
{%- if call.function %}{%- set call = call.function %}{%- endif %}
{{- '\n<tool_call>{"name": "' + call.name + '", "arguments": ' }}
{{- call.arguments if call.arguments is string else (call.arguments | tojson) }}
{{- '}</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- if tools %}{{- '<|tools|>' }}{%- endif %}
{%- endif %}
"""
"""ChatML, with thoughts and tools in the way of Qwen and Hermes. `<|tools|>` makes it call one."""

Weights = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def tiny_model(folder: Path) -> Path:
    """The model that chats, in `folder`; made once, less than 1 MB."""
    return write(folder / "tiny.gguf", name="Tiny")


def tiny_embedder(folder: Path) -> Path:
    """The same weights as a model that embeds: vectors of 64 numbers, the mean over tokens."""
    return write(folder / "tiny-embed.gguf", name="Tiny Embed", embedder=True)


def write(
    path: Path,
    *,
    name: str,
    embedder: bool = False,
    width: int = 64,
    layers: int = 2,
    context_size: int = CONTEXT_SIZE,
    template: str | None = TEMPLATE,
    architecture: str = "llama",
    heads: int | None = None,
) -> Path:
    """A model of any size at `path`, which is left alone where it is there already.

    It takes 12 * layers * width**2 * 4 bytes, and the vocabulary.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    file = gguf.GGUFWriter(part, architecture)
    file.add_name(name)
    file.add_size_label("Tiny")
    file.add_file_type(gguf.LlamaFileType.ALL_F32)
    _shape(file, width, layers, context_size, heads or width // HEAD_WIDTH)
    if embedder:
        file.add_pooling_type(gguf.PoolingType.MEAN)
    pieces = _vocabulary(file)
    if template is not None:
        file.add_chat_template(template)
    for tensor, values in _weights(pieces, width, layers).items():
        file.add_tensor(tensor, values)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return part.rename(path)


def saying(text: str) -> str:
    """A grammar (GBNF) under which a model says exactly `text` and ends."""
    return f"root ::= {literal(text)}"


def literal(text: str) -> str:
    """`text` as a GBNF literal."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7F")


def endless(letters: str = "a-z") -> str:
    """A grammar under which a model never ends: it is stopped, or runs into its limit."""
    return f"root ::= [{letters}] root"


def _shape(file: gguf.GGUFWriter, width: int, layers: int, context_size: int, heads: int) -> None:
    file.add_context_length(context_size)
    file.add_embedding_length(width)
    file.add_block_count(layers)
    file.add_feed_forward_length(2 * width)
    file.add_head_count(heads)
    file.add_head_count_kv(heads)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(width // heads)
    file.add_rope_freq_base(10_000.0)


def _vocabulary(file: gguf.GGUFWriter) -> list[tuple[str, int]]:
    """SentencePiece: specials, every byte, every printable ASCII character, then words."""
    specials = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    specials += [("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<|tools|>", CONTROL)]
    specials += [("<tool_call>", USER_DEFINED)]
    octets = [(f"<0x{octet:02X}>", BYTE) for octet in range(256)]
    letters = [("▁", NORMAL), *((chr(code), NORMAL) for code in range(33, 127))]
    words = dict.fromkeys("▁" + word[:end] for word in WORDS for end in range(1, len(word) + 1))
    pieces = [*specials, *octets, *letters, *((word, NORMAL) for word in words)]
    file.add_tokenizer_model("llama")
    file.add_token_list([text for text, _ in pieces])
    file.add_token_scores([float(len(text)) if kind == NORMAL else 0.0 for text, kind in pieces])
    file.add_token_types([kind for _, kind in pieces])
    file.add_unk_token_id(0)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_eot_token_id(4)
    file.add_add_bos_token(True)
    file.add_add_eos_token(False)
    file.add_add_space_prefix(False)
    return pieces


def _weights(pieces: list[tuple[str, int]], width: int, layers: int) -> dict[str, Weights]:
    random = np.random.default_rng(SEED)

    def drawn(*shape: int) -> Weights:
        return random.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(shape[-1]))

    embedded = drawn(len(pieces), width) * np.float32(np.sqrt(width))
    embedded[_place(pieces, "<|tools|>")] *= 8  # what the layers add does not drown it
    tensors = {"token_embd.weight": embedded}
    for layer in range(layers):
        block = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"{block}.{part}.weight"] = drawn(width, width)
        for part in ("ffn_gate", "ffn_up"):
            tensors[f"{block}.{part}.weight"] = drawn(2 * width, width)
        tensors[f"{block}.ffn_down.weight"] = drawn(width, 2 * width)
        for part in ("attn_norm", "ffn_norm"):
            tensors[f"{block}.{part}.weight"] = np.ones(width, dtype=np.float32)
    tensors["output_norm.weight"] = np.ones(width, dtype=np.float32)
    tensors["output.weight"] = _output(pieces, embedded, drawn)
    return tensors


def _output(
    pieces: list[tuple[str, int]], embedded: Weights, drawn: Callable[..., Weights]
) -> Weights:
    """What is said next: a word, a tool's call where tools are offered, an end where it may be.

    A row that is a token's own embedding is high after that token, and hardly elsewhere.
    """
    spoken = np.array([text.startswith("▁") and text[1:] in WORDS for text, _ in pieces])
    rows: Weights = drawn(len(pieces), embedded.shape[1]) * spoken[:, None] * np.float32(4)
    rows[_place(pieces, "<tool_call>")] = embedded[_place(pieces, "<|tools|>")] / np.float32(20)
    ends = [embedded[_place(pieces, last)] for last in (">", "}", "]")]
    rows[_place(pieces, "</s>")] = sum(ends) / np.float32(8)
    return rows


def _place(pieces: list[tuple[str, int]], text: str) -> int:
    return [piece for piece, _ in pieces].index(text)
