"""Llama models in GGUF files: sizes, weights as float32, and the tokenizer.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from common.llama import Config, Llama
from slope import nn

# llama.cpp's names of the parts, and ours.
NAMES = [
    (r"^token_embd\.", "embed."),
    (r"^output_norm\.", "norm."),
    (r"^output\.", "head."),
    (r"^blk\.(\d+)\.attn_norm\.", r"blocks.\1.attention_norm."),
    (r"^blk\.(\d+)\.attn_output\.", r"blocks.\1.attention.out_proj."),
    (r"^blk\.(\d+)\.attn_([qkv])\.", r"blocks.\1.attention.\2_proj."),
    (r"^blk\.(\d+)\.ffn_norm\.", r"blocks.\1.feed_norm."),
    (r"^blk\.(\d+)\.ffn_(gate|up|down)\.", r"blocks.\1.feed.\2."),
]
# How text is cut before pairs are merged, by the name that the file gives.
CUTS = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
}
CONTROL, USER_DEFINED = 3, 4  # types of tokens that no merge makes


class Loaded(NamedTuple):
    """What a file holds.

    Attributes:
        model: in evaluation mode.
        tokenizer: of text.
        stop: the tokens that end a text.
        chat_template: as Jinja, or "".
    """

    model: Llama
    tokenizer: Tokenizer
    stop: frozenset[int]
    chat_template: str


def load_gguf(path: str | os.PathLike[str]) -> Loaded:
    """Read a model and its tokenizer; quantized weights become float32.

    Raises:
        DataError: The file is damaged, or holds something that this cannot read.
        TreeError: It lacks weights, or holds strange ones; the message names them all.
    """
    reader = open_gguf(path)
    name = Path(path).name
    fields = {key: field.contents() for key, field in reader.fields.items()}
    weights = {
        each.name: dequantize(each.data, each.tensor_type).astype(np.float32, copy=False)
        for each in reader.tensors
    }
    config = config_of(fields, tied="output.weight" not in weights, name=name)
    with nn.init.skip():
        model = Llama(config)
    model.load_state_dict(nn.rename(weights, NAMES)).eval()
    stop = frozenset(
        fields[key]
        for key in ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
        if key in fields
    )
    return Loaded(
        model, tokenizer_of(fields, name), stop, fields.get("tokenizer.chat_template", "")
    )


def open_gguf(path: str | os.PathLike[str]) -> gguf.GGUFReader:
    """Open a file.

    Raises:
        DataError: It is missing, no GGUF file, or cut short.
    """
    try:
        reader = gguf.GGUFReader(path)
    except FileNotFoundError:
        raise nn.data.DataError(f"there is no file {path}.") from None
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise nn.data.DataError(
            f"{Path(path).name} is no whole GGUF file ({Path(path).stat().st_size} bytes): {error}."
        ) from error
    return reader


def config_of(fields: dict[str, Any], *, tied: bool, name: str) -> Config:
    """The sizes that a file's fields give.

    Raises:
        DataError: It holds no llama model, or one with parts that are not known here.
    """
    kind = _field(fields, "general.architecture", name)
    if kind != "llama":
        raise nn.data.DataError(
            f"{name} holds a model of architecture {kind!r}; this reads 'llama' alone."
        )
    scaling = fields.get("llama.rope.scaling.type", "none")
    if scaling != "none" or "llama.expert_count" in fields:
        what = f"scaled positions ({scaling})" if scaling != "none" else "a mixture of experts"
        raise nn.data.DataError(
            f"{name} holds a llama model with {what}, which this does not read."
        )
    width, heads = (
        _field(fields, f"llama.{key}", name) for key in ("embedding_length", "attention.head_count")
    )
    turned = fields.get("llama.rope.dimension_count", width // heads)
    if turned != width // heads:
        raise nn.data.DataError(
            f"{name} turns {turned} of {width // heads} elements of each head; this turns all."
        )
    return Config(
        vocabulary=len(_field(fields, "tokenizer.ggml.tokens", name)),
        width=width,
        layers=_field(fields, "llama.block_count", name),
        heads=heads,
        kv_heads=fields.get("llama.attention.head_count_kv", heads),
        hidden=_field(fields, "llama.feed_forward_length", name),
        rope_base=fields.get("llama.rope.freq_base", 10_000.0),
        interleaved=True,  # the order of rows that llama.cpp's converter writes for llama models
        eps=_field(fields, "llama.attention.layer_norm_rms_epsilon", name),
        tied=tied,
    )


def tokenizer_of(fields: dict[str, Any], name: str) -> Tokenizer:
    """The byte-pair tokenizer of a file's vocabulary and merges.

    Raises:
        DataError: The file's tokenizer is of another kind.
    """
    kind, cut = (_field(fields, f"tokenizer.ggml.{key}", name) for key in ("model", "pre"))
    if kind != "gpt2" or cut not in CUTS:
        raise nn.data.DataError(
            f"{name} holds a tokenizer of kind {kind!r} with cuts {cut!r}; this reads 'gpt2' with "
            f"{' or '.join(map(repr, CUTS))}."
        )
    tokens = _field(fields, "tokenizer.ggml.tokens", name)
    merges = [tuple(pair.split(" ")) for pair in _field(fields, "tokenizer.ggml.merges", name)]
    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = CUTS[cut]
    tokenizer.decoder = decoders.ByteLevel()
    types = fields.get("tokenizer.ggml.token_type", [])
    for wanted, special in ((CONTROL, True), (USER_DEFINED, False)):
        tokenizer.add_tokens(
            [
                AddedToken(token, special=special, normalized=False)
                for token, each in zip(tokens, types, strict=False)
                if each == wanted
            ]
        )
    return tokenizer


def _field(fields: dict[str, Any], key: str, name: str) -> Any:
    if key not in fields:
        raise nn.data.DataError(f"{name} has no field {key}.")
    return fields[key]
