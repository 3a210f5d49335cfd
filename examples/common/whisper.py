"""Whisper: an encoder of sound and a decoder of text, to be run one token at a time.

Source: A. Radford et al., "Robust speech recognition via large-scale weak supervision",
arXiv:2212.04356, and https://github.com/openai/whisper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import slope
from common.speech import HOP, LogMel
from slope import nn
from slope.nn import data

Memory = tuple[slope.Tensor, slope.Tensor]  # keys and values, (n, heads, positions, features)


@dataclass(frozen=True)
class WhisperSizes:
    """The sizes of a model; those of tiny.en by default.

    Attributes:
        width: Length of the vectors in between.
        heads: Of each attention.
        layers: Of the encoder, and of the decoder.
        tokens: In the vocabulary.
        positions: The most tokens of a text, prompt included.
        sounds: Positions of the encoder's output, one for 20 ms of sound.
        mels: Bands of the spectrogram.
    """

    width: int = 384
    heads: int = 6
    layers: int = 4
    tokens: int = 51_864
    positions: int = 448
    sounds: int = 1500
    mels: int = 80

    @property
    def samples(self) -> int:
        """How many samples at 16 kHz the encoder hears at once."""
        return 2 * HOP * self.sounds


class Encoder(nn.Module):
    """From a log-mel spectrogram to one vector for each 20 ms."""

    def __init__(self, sizes: WhisperSizes) -> None:
        width = sizes.width
        self.conv1 = nn.Conv1d(sizes.mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positions = nn.init.normal((sizes.sounds, width), std=0.02)
        self.layers = [
            nn.TransformerEncoderLayer(
                width, sizes.heads, 4 * width, dropout=0.0, activation="gelu", norm_first=True
            )
            for _ in range(sizes.layers)
        ]
        self.norm = nn.LayerNorm(width)

    def __call__(self, mel: slope.Tensor) -> slope.Tensor:
        """Map ``mel`` of shape (n, mels, 2 * sounds) to (n, sounds, width)."""
        x = slope.gelu(self.conv2(slope.gelu(self.conv1(mel))))
        x = x.permute(0, 2, 1) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class CrossAttention(nn.Module):
    """Attention to sound whose keys and values are made once, and that shows where it looks."""

    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.q_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.k_proj, self.v_proj = nn.Linear(width, width), nn.Linear(width, width)

    def memory(self, sound: slope.Tensor) -> Memory:
        """The keys and values of ``sound``, shape (n, sounds, width)."""
        return self._heads(self.k_proj(sound)), self._heads(self.v_proj(sound))

    def __call__(self, x: slope.Tensor, memory: Memory) -> tuple[slope.Tensor, slope.Tensor]:
        """Map ``x`` of shape (n, l, width) to that shape, and the weights (n, heads, l, sounds)."""
        keys, values = memory
        query = self._heads(self.q_proj(x)) * keys.shape[-1] ** -0.5
        weights = slope.softmax(query @ keys.permute(0, 1, 3, 2), dim=-1)
        joined = slope.reshape((weights @ values).permute(0, 2, 1, 3), x.shape)
        return self.out_proj(joined), weights

    def _heads(self, x: slope.Tensor) -> slope.Tensor:
        count, length, width = x.shape
        split = slope.reshape(x, (count, length, self.heads, width // self.heads))
        return split.permute(0, 2, 1, 3)


class DecoderLayer(nn.Module):
    """Attention to the text so far, attention to the sound, and two linear maps."""

    def __init__(self, width: int, heads: int) -> None:
        self.self_attn = nn.MultiheadAttention(width, heads)
        self.cross_attn = CrossAttention(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def __call__(
        self, x: slope.Tensor, memory: Memory, cache: nn.KVCache | None
    ) -> tuple[slope.Tensor, nn.KVCache | None, slope.Tensor]:
        """The next ``x``, the longer cache, and the weights of the attention to the sound."""
        attended = self.self_attn(self.norm1(x), is_causal=True, cache=cache)
        attended, cache = (attended, None) if cache is None else attended
        x = x + attended
        seen, weights = self.cross_attn(self.norm2(x), memory)
        x = x + seen
        return x + self.linear2(slope.gelu(self.linear1(self.norm3(x)))), cache, weights


class Decoder(nn.Module):
    """From tokens so far, and the sound, to scores of the token that follows each."""

    def __init__(self, sizes: WhisperSizes) -> None:
        self.embedding = nn.Embedding(sizes.tokens, sizes.width)
        self.positions = nn.init.normal((sizes.positions, sizes.width), std=0.02)
        self.layers = [DecoderLayer(sizes.width, sizes.heads) for _ in range(sizes.layers)]
        self.norm = nn.LayerNorm(sizes.width)

    def __call__(
        self,
        tokens: slope.Tensor,
        memories: Sequence[Memory],
        caches: Sequence[nn.KVCache] | None = None,
    ) -> tuple[slope.Tensor, list[nn.KVCache], list[slope.Tensor]]:
        """Read on.

        Args:
            tokens: shape (n, l), after those in the caches.
            memories: of each layer.
            caches: likewise; None: the text starts here, and nothing is kept.

        Returns:
            The scores, shape (n, l, tokens); the caches with the new positions (empty without);
            and each layer's weights of the attention to the sound, shape (n, heads, l, sounds).
        """
        start = 0 if caches is None else caches[0].filled
        places = start + slope.arange(tokens.shape[1])
        x = self.embedding(tokens) + slope.embedding(places, self.positions)
        grown: list[nn.KVCache] = []
        looks: list[slope.Tensor] = []
        for layer, memory, cache in zip(
            self.layers, memories, caches or [None] * len(self.layers), strict=True
        ):
            x, cache, weights = layer(x, memory, cache)
            looks.append(weights)
            if cache is not None:
                grown.append(cache)
        return self.embedding.attend(self.norm(x)), grown, looks


class Whisper(nn.Module):
    """Spectrogram, encoder and decoder, with random weights until some are loaded.

    Args:
        sizes: of all parts.
    """

    def __init__(self, sizes: WhisperSizes) -> None:
        self.sizes = sizes
        self.log_mel = LogMel(sizes.mels)
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)

    def caches(self, count: int = 1) -> list[nn.KVCache]:
        """Empty caches of the decoder's layers for that many texts."""
        sizes = self.sizes
        head = sizes.width // sizes.heads
        return [nn.KVCache(count, sizes.heads, sizes.positions, head) for _ in range(sizes.layers)]


@slope.jit
def listen(model: Whisper, sound: slope.Tensor) -> tuple[slope.Tensor, list[Memory]]:
    """The spectrogram (n, mels, 2 * sounds) of ``sound`` (n, samples), and what the decoder reads.

    The latter are keys and values of the encoded sound for each layer.
    """
    mel = model.log_mel(sound)
    heard = model.encoder(mel)
    return mel, [layer.cross_attn.memory(heard) for layer in model.decoder.layers]


class Said(NamedTuple):
    """What one step of the decoder gives.

    Attributes:
        token: The likeliest next one, shape (n, 1).
        caches: Of the layers, one token longer.
        looks: Mean weights of the attention to each position of the sound, shape (n, sounds).
    """

    token: slope.Tensor
    caches: list[nn.KVCache]
    looks: slope.Tensor


@slope.jit
def say(
    model: Whisper,
    token: slope.Tensor,
    memories: list[Memory],
    caches: list[nn.KVCache],
    penalty: slope.Tensor,
    watched: slope.Tensor,
) -> Said:
    """One more token.

    Args:
        model: The model.
        token: The last one, shape (n, 1).
        memories: From :func:`listen`.
        caches: Of the tokens before.
        penalty: What to add to the tokens' scores, shape (tokens,).
        watched: How much each head's attention counts in `looks`, shape (layers, heads).
    """
    scores, caches, weights = model.decoder(token, memories, caches)
    looks = slope.stack([each[:, :, 0] for each in weights], dim=1)  # (n, layers, heads, sounds)
    looks = slope.sum(looks * watched.unsqueeze(-1), dim=(1, 2))
    return Said(slope.argmax(scores + penalty, dim=-1), caches, looks)


# --- weights

# CTranslate2's names of a layer's parts, and ours. Some of its linear maps are several in one.
_LAYER_PARTS = {
    "self_attention/layer_norm": ("norm1",),
    "self_attention/linear_0": tuple(f"self_attn.{letter}_proj" for letter in "qkv"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("norm2",),
    "attention/linear_0": ("cross_attn.q_proj",),
    "attention/linear_1": ("cross_attn.k_proj", "cross_attn.v_proj"),
    "attention/linear_2": ("cross_attn.out_proj",),
    "ffn/layer_norm": ("norm3",),
    "ffn/linear_0": ("linear1",),
    "ffn/linear_1": ("linear2",),
}
_LEAVES = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}
_OTHERS = {
    "encoder/position_encodings/encodings": "encoder.positions",
    "decoder/position_encodings/encodings": "decoder.positions",
    "decoder/embeddings/weight": "decoder.embedding.weight",
}


def load_whisper(arrays: Mapping[str, np.ndarray]) -> Whisper:
    """A model in float32 with the weights of CTranslate2's WhisperSpec.

    Args:
        arrays: by the names in `model.bin`; see :func:`common.ctranslate2.read_ctranslate2`.

    Raises:
        DataError: A variable that tells the sizes is missing, or the model is of another kind.
        TreeError: Weights are missing or of another shape; the message lists them.
    """
    sizes = _sizes_of(arrays)
    with nn.init.skip():
        model = Whisper(sizes)
    state: dict[str, Any] = {
        f"log_mel.{name}": tensor for name, tensor in model.log_mel.state_dict().items()
    }
    for name, values in arrays.items():
        if np.ndim(values) and name != "decoder/projection/weight":  # it is the embedding
            if not np.issubdtype(values.dtype, np.floating):
                raise data.DataError(
                    f"whisper: {name!r} is {values.dtype}; quantized is not supported."
                )
            state.update(_renamed(name, values.astype(np.float32)))
    return model.load_state_dict(state).eval()


def _renamed(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    if name in _OTHERS:
        return {_OTHERS[name]: values}
    side, _, rest = name.partition("/")
    owner, _, leaf = rest.rpartition("/")
    leaf = _LEAVES.get(leaf, leaf)
    layer = re.fullmatch(r"layer_(\d+)/(.+)", owner)
    if layer is None:  # the encoder's convolutions, and the last normalization of both
        return {f"{side}.{owner.replace('layer_norm', 'norm')}.{leaf}": values}
    parts = _LAYER_PARTS.get(layer[2], (layer[2],))
    if side == "encoder" and parts == ("norm3",):  # without an attention in between
        parts = ("norm2",)
    split = np.split(values, len(parts))
    return {
        f"{side}.layers.{layer[1]}.{part}.{leaf}": piece
        for part, piece in zip(parts, split, strict=True)
    }


def _sizes_of(arrays: Mapping[str, np.ndarray]) -> WhisperSizes:
    try:
        tokens, width = arrays["decoder/embeddings/weight"].shape
        layers = {re.match(r"decoder/layer_\d+/|", name)[0] for name in arrays} - {""}  # pyright: ignore[reportOptionalSubscript]  # an empty match at least
        sizes = WhisperSizes(
            width=width,
            heads=int(arrays["decoder/num_heads"]),
            layers=len(layers),
            tokens=tokens,
            positions=len(arrays["decoder/position_encodings/encodings"]),
            sounds=len(arrays["encoder/position_encodings/encodings"]),
            mels=arrays["encoder/conv1/weight"].shape[1],
        )
        gelu, first = int(arrays["decoder/activation"]) == 3, bool(arrays["decoder/pre_norm"])
    except KeyError as error:
        raise data.DataError(
            f"whisper: the weights have no {error}; are they of a WhisperSpec?"
        ) from None
    if not gelu or not first:
        raise data.DataError(
            "whisper: only models with GELU and normalization first are supported."
        )
    return sizes
