"""A llama-style decoder, written with slope.nn: what gpt_text trains and llama_chat runs.

Source: H. Touvron et al., "LLaMA", arXiv:2302.13971: RMSNorm before each part, rotary positions,
SwiGLU, no biases; several heads of queries share one of keys and values.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import slope
from slope import nn
from slope.errors import ArgumentError

Rotation = tuple[slope.Tensor, slope.Tensor]
Caches = list[nn.KVCache]


@dataclass(frozen=True)
class Config:
    """The sizes of a model.

    Attributes:
        vocabulary: how many tokens there are.
        width: length of a token's vector.
        layers: how many blocks.
        heads: of queries; each has ``width / heads`` elements.
        kv_heads: of keys and values; a divisor of ``heads``.
        hidden: length of the vector inside each feed-forward part.
        rope_base: see :class:`slope.nn.RotaryEmbedding`.
        interleaved: whether rotations turn neighbouring elements.
        eps: added to the mean squares in normalizations.
        tied: whether the last linear map has the embedding's weight.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    rope_base: float = 10_000.0
    interleaved: bool = False
    eps: float = 1e-5
    tied: bool = True


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))``. Source: N. Shazeer, arXiv:2002.05202."""

    def __init__(self, config: Config) -> None:
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map (..., width) to the same shape."""
        return self.down(slope.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Attention and a feed-forward part, each normalized before and added after."""

    def __init__(self, config: Config, rotary: nn.RotaryEmbedding) -> None:
        self.attention_norm = nn.RMSNorm(config.width, config.eps)
        self.attention = nn.MultiheadAttention(
            config.width, config.heads, bias=False, num_kv_heads=config.kv_heads, rotary=rotary
        )
        self.feed_norm = nn.RMSNorm(config.width, config.eps)
        self.feed = SwiGLU(config)

    def __call__(
        self, x: slope.Tensor, rotation: Rotation, cache: nn.KVCache | None
    ) -> tuple[slope.Tensor, nn.KVCache | None]:
        """Map (batch, length, width) to the same shape, and extend the cache if there is one."""
        options: dict[str, Any] = {"rotation": rotation, "is_causal": True}
        seen = self.attention_norm(x)
        if cache is None:
            x = x + self.attention(seen, **options)
        else:
            attended, cache = self.attention(seen, cache=cache, **options)
            x = x + attended
        return x + self.feed(self.feed_norm(x)), cache


class Llama(nn.Module):
    """The decoder: tokens to logits of the token after each of them.

    Args:
        config: its sizes.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.embed = nn.Embedding(config.vocabulary, config.width)
        self.rotary = nn.RotaryEmbedding(
            config.width // config.heads, config.rope_base, config.interleaved
        )
        self.blocks = nn.ModuleList([Block(config, self.rotary) for _ in range(config.layers)])
        self.norm = nn.RMSNorm(config.width, config.eps)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tied:
            self.tie("head.weight", "embed.weight")

    def __call__(self, tokens: slope.Tensor) -> slope.Tensor:
        """Logits (batch, length, vocabulary) of tokens (batch, length)."""
        return self.head(self.features(tokens)[0])

    def features(
        self, tokens: slope.Tensor, caches: Caches | None = None
    ) -> tuple[slope.Tensor, Caches | None]:
        """What the last linear map takes, (batch, length, width), and the extended caches.

        Args:
            tokens: (batch, length).
            caches: what :meth:`caches` made, or gave here for the tokens before.
        """
        start: int | slope.Tensor = 0
        if caches is not None:
            start = caches[0].filled
            for cache in caches:  # one number for all: the angles and masks are worked out once
                cache.filled = start
        rotation = self.rotary.tables(tokens.shape[1], start)
        x = self.embed(tokens)
        extended: Caches = []
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks), strict=True):
            x, cache = block(x, rotation, cache)
            if cache is not None:
                extended.append(cache)
        return self.norm(x), extended or None

    def caches(self, length: int, batch: int = 1) -> Caches:
        """Empty caches for ``length`` positions: one for each block."""
        config = self.config
        size = config.width // config.heads
        dtype = self.embed.weight.dtype
        return [
            nn.KVCache(batch, config.kv_heads, length, size, dtype=dtype)
            for _ in range(config.layers)
        ]


def initialized(config: Config, scale: float = 0.02) -> Llama:
    """A model to train: normal weights of deviation ``scale``.

    Smaller where a block adds to the sum of all blocks, so that the sum's size does not depend on
    their number. Source: A. Radford et al., "Language models are unsupervised multitask learners",
    2019, section 2.3.
    """
    model = Llama(config)
    state = {}
    for name, old in model.state_dict().items():
        small = name.endswith(("out_proj.weight", "down.weight"))
        deviation = scale / math.sqrt(2 * config.layers) if small else scale
        state[name] = old if old.ndim < 2 else nn.init.normal(old.shape, std=deviation)
    return model.load_state_dict(state)


@slope.jit(static_argnames="top_k", donate="caches")
def advance(
    model: Llama,
    caches: Caches,
    tokens: slope.Tensor,
    count: int,
    temperature: float | None = None,
    top_p: float | None = None,
    *,
    top_k: int | None = None,
) -> tuple[slope.Tensor, Caches]:
    """Read tokens into the caches, and choose the one that comes next: one program.

    Args:
        model: its weights are inputs, as the caches are.
        caches: of the tokens before; given away, so that they are written in place.
        tokens: (batch, length).
        count: how many of them are real: what the others leave in the caches is overwritten by the
            tokens that come next, and nobody looks at it before.
        temperature: see :func:`slope.nn.sample_logits`; ``None`` takes the most likely token.
        top_p: likewise.
        top_k: likewise.

    Returns:
        The next token, (batch, 1), and the caches.
    """
    start = caches[0].filled
    features, extended = model.features(tokens, caches)
    assert extended is not None  # there were caches
    for cache in extended:
        cache.filled = start + count
    last = slope.dynamic_slice(
        features, (0, count - 1, 0), (tokens.shape[0], 1, model.config.width)
    )
    token = nn.sample_logits(model.head(last), temperature=temperature, top_k=top_k, top_p=top_p)
    return token, extended


class Writer:
    """A text that a model reads and continues, token by token.

    The prompt is read in chunks of one fixed size, and then each token is a step of another fixed
    program: two compilations, whatever the lengths are.

    Args:
        model: a trained model.
        length: the most tokens of the text, prompt included.
        chunk: tokens of a prompt that are read at once.
        temperature: see :func:`slope.nn.sample_logits`; ``None`` takes the most likely token.
        top_k: likewise.
        top_p: likewise.

    Attributes:
        used: how many tokens the caches hold.
        ended: whether the last text ended with a stop token.
        times: seconds (of ``time.perf_counter``) at which the last text began, and each of its
            tokens was there.
    """

    def __init__(
        self,
        model: Llama,
        length: int,
        *,
        chunk: int = 32,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.model, self.length, self.chunk = model, length, min(chunk, length)
        self.caches = model.caches(length)
        self.used, self.ended = 0, False
        self.times: list[float] = []
        self._choice = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self._unread: list[int] = []

    def write(self, prompt: Sequence[int], limit: int, stop: Iterable[int] = ()) -> Iterator[int]:
        """Read a prompt after all that was read and written so far, and yield what comes next.

        Args:
            prompt: tokens, at least one in the first call.
            limit: the most tokens to write; fewer if the caches are full before.
            stop: tokens that end the text; they are not yielded.

        Raises:
            ArgumentError: the prompt is empty, longer than the room that is left, or holds a token
                that the model does not know.
        """
        waiting = [*self._unread, *prompt]
        self._check(waiting)
        stop = frozenset(stop)
        self.times = [time.perf_counter()]
        token = self._read(waiting)
        for place in range(limit):
            number = int(token.item())
            self.times.append(time.perf_counter())
            self._unread, self.ended = [number], number in stop
            if self.ended:
                return
            yield number
            if place + 1 == limit or self.used == self.length:
                return
            token = self._advance(token, 1)

    def _check(self, tokens: Sequence[int]) -> None:
        if not tokens:
            raise ArgumentError(
                "write: there is nothing to continue; give a prompt of some tokens."
            )
        room = self.length - self.used
        if len(tokens) > room:
            raise ArgumentError(
                f"write: {len(tokens)} tokens do not fit into a cache of {self.length}, of which "
                f"{self.used} are used; shorten the prompt, or make the length at least "
                f"{self.used + len(tokens)}."
            )
        vocabulary = self.model.config.vocabulary
        strange = [token for token in tokens if not 0 <= token < vocabulary]
        if strange:
            raise ArgumentError(
                f"write: the token {strange[0]} is not among the model's {vocabulary}."
            )

    def _read(self, tokens: Sequence[int]) -> slope.Tensor:
        token: slope.Tensor | None = None
        while tokens:
            # A chunk that does not fit into what is left would be moved, so the end goes singly.
            size = self.chunk if self.used + self.chunk <= self.length and len(tokens) > 1 else 1
            part, tokens = tokens[:size], tokens[size:]
            padded = np.zeros((1, size), np.int64)
            padded[0, : len(part)] = part
            token = self._advance(padded, len(part))
        assert token is not None  # there are tokens
        return token

    def _advance(self, tokens: Any, count: int) -> slope.Tensor:
        token, self.caches = advance(self.model, self.caches, tokens, count, **self._choice)
        self.used += count
        return token
