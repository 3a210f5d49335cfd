"""A GGUF file with a toy llama model of random weights, for tests."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Kind
from gguf.quants import quantize
from tokenizers import pre_tokenizers

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}...{% endfor %}"
CONTROL, NORMAL = 3, 1


def write_tiny_gguf(
    path: Path,
    *,
    arch: str = "llama",
    pre: str = "smollm",
    tied: bool = True,
    kind: Kind = Kind.Q8_0,
    leave_out: str = "",
    template: str = TEMPLATE,
) -> dict[str, np.ndarray]:
    """Write the file; gives the weights that a reader should find, float32.

    Two blocks of width 32, 4 heads of queries and 2 of keys and values. Matrices are quantized.
    """
    writer = gguf.GGUFWriter(path, arch)
    count = _describe(writer, pre, template)
    random = np.random.default_rng(0)
    shapes = {"token_embd": (count, 32), "output_norm": (32,)}
    for block in range(2):
        parts = {"attn_norm": (32,), "attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32),
                 "attn_output": (32, 32), "ffn_norm": (32,), "ffn_gate": (64, 32),
                 "ffn_up": (64, 32), "ffn_down": (32, 64)}  # fmt: skip
        shapes.update({f"blk.{block}.{name}": shape for name, shape in parts.items()})
    if not tied:
        shapes["output"] = shapes["token_embd"]
    weights = {}
    for name, shape in shapes.items():
        full = f"{name}.weight"
        if full == leave_out:
            continue
        value = random.standard_normal(shape).astype(np.float32) * np.float32(0.3)
        if len(shape) == 1:
            weights[full] = value + 1
            writer.add_tensor(full, weights[full])
        else:
            packed = quantize(value, kind)
            weights[full] = gguf.quants.dequantize(packed, kind)
            writer.add_tensor(full, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def _describe(writer: gguf.GGUFWriter, pre: str, template: str) -> int:
    """Write sizes and tokenizer; gives the number of tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = ["t h", "th e", "Ġ the", "i n"]
    words = ["th", "the", "Ġthe", "in"]
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*marks, *letters, *words]
    writer.add_block_count(2)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(1000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL] * 3 + [NORMAL] * (len(tokens) - 3))
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    if template:
        writer.add_chat_template(template)
    return len(tokens)
