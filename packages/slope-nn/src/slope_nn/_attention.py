"""Attention with grouped heads, rotary positions, and a cache of keys and values."""

from __future__ import annotations

import copy
from typing import Any

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn import init
from slope_nn._checks import positive, probability, real, tensors
from slope_nn._keys import split_key
from slope_nn._linear import Linear
from slope_nn._lost import is_traced
from slope_nn._module import Module
from slope_nn._node import Node


class RotaryEmbedding(Module):
    """Positions as rotations of pairs of elements.

    Pair i at position t turns by the angle ``t * base**(-2 i / dim)``. Source: J. Su et al.,
    "RoFormer", arXiv:2104.09864.

    Args:
        dim: length of the last dimension; even.
        base: the slowest wave's length is near ``2 pi base``.
        interleaved: pairs are neighbours (2i, 2i + 1) as in the paper; else (i, i + dim / 2), as in
            llama models on the Hugging Face hub.
    """

    def __init__(self, dim: int, base: float = 10000.0, interleaved: bool = False) -> None:
        positive("RotaryEmbedding", dim=dim)
        if dim % 2:
            raise ArgumentError(f"RotaryEmbedding: dim must be even, not {dim}.")
        if not real("RotaryEmbedding", "base", base) > 0:
            raise ArgumentError(f"RotaryEmbedding: base must be above 0, not {base!r}.")
        self.dim, self.base, self.interleaved = dim, float(base), interleaved

    def tables(
        self, length: int, start: int | slope.Tensor = 0
    ) -> tuple[slope.Tensor, slope.Tensor]:
        """Cosines and sines of the angles at ``length`` positions, the first of them ``start``.

        All layers of a model turn by the same angles: work them out once, and give them to each.

        Returns:
            Two tensors of shape (length, dim / 2), float32.
        """
        steps = slope.arange(length, dtype=slope.float32) + start
        rates = slope.tensor([self.base ** (-2 * i / self.dim) for i in range(self.dim // 2)])
        angles = steps.unsqueeze(-1) * rates
        return slope.cos(angles), slope.sin(angles)

    def __call__(
        self,
        x: slope.Tensor,
        start: int | slope.Tensor = 0,
        *,
        tables: tuple[slope.Tensor, slope.Tensor] | None = None,
    ) -> slope.Tensor:
        """Turn ``x`` of shape (..., length, dim).

        Args:
            x: vectors.
            start: the position of the first one.
            tables: what :meth:`tables` gives for these positions, in place of ``start``.
        """
        tensors("RotaryEmbedding", x=x)
        if x.ndim < 2 or x.shape[-1] != self.dim:
            raise ShapeError(f"RotaryEmbedding takes (..., length, {self.dim}), and got {x.type}.")
        length, half = x.shape[-2], self.dim // 2
        cos, sin = (
            each.astype(x.dtype)
            for each in (self.tables(length, start) if tables is None else tables)
        )
        if self.interleaved:
            pairs = slope.reshape(x, (*x.shape[:-1], half, 2))
            first, second = pairs[..., 0], pairs[..., 1]
        else:
            first, second = x[..., :half], x[..., half:]
        turned = (first * cos - second * sin, second * cos + first * sin)
        if self.interleaved:
            return slope.reshape(slope.stack(turned, -1), x.shape)
        return slope.cat(turned, -1)


class KVCache(Node):
    """The keys and values of the positions so far: a pytree of fixed shapes.

    Args:
        batch: how many sequences.
        heads: of keys and values.
        length: the most positions.
        head_dim: length of a head's vectors.
        dtype: of keys and values.

    Attributes:
        keys: shape (batch, heads, length, head_dim).
        values: likewise.
        filled: how many positions are in use, int64, shape ().
    """

    def __init__(
        self, batch: int, heads: int, length: int, head_dim: int, dtype: Any = slope.float32
    ) -> None:
        positive("KVCache", batch=batch, heads=heads, length=length, head_dim=head_dim)
        self.keys = slope.zeros(batch, heads, length, head_dim, dtype=dtype)
        self.values = slope.zeros(batch, heads, length, head_dim, dtype=dtype)
        self.filled = slope.tensor(0)

    @property
    def length(self) -> int:
        """The most positions."""
        return self.keys.shape[2]

    def extended(self, keys: slope.Tensor, values: slope.Tensor) -> KVCache:
        """The cache with new positions after those that are filled.

        Inside a transformed function ``filled`` is not known: there the caller sees to it that the
        new positions fit, else they are written over the last ones.

        Args:
            keys: shape (batch, heads, new, head_dim).
            values: likewise.

        Raises:
            ArgumentError: there is no room for them.
        """
        count = keys.shape[2]
        used = 0 if is_traced(self.filled, slope.Tensor) else self.filled.item()
        if used + count > self.length:
            taken = f", of which {used} are filled" if used else ""
            raise ArgumentError(
                f"KVCache: {count} positions do not fit into a cache of {self.length}{taken}; make "
                f"one longer."
            )
        start = (0, 0, self.filled, 0)
        new = copy.copy(self)
        new.keys = slope.dynamic_update_slice(self.keys, keys.astype(self.keys.dtype), start)
        new.values = slope.dynamic_update_slice(
            self.values, values.astype(self.values.dtype), start
        )
        new.filled = self.filled + count
        return new


class MultiheadAttention(Module):
    """``softmax(q k^T / sqrt(d)) v`` in several heads, with projections before and after.

    The batch comes first. Keys and values may have fewer heads than queries: each serves a group of
    them (J. Ainslie et al., "GQA", arXiv:2305.13245). Source: A. Vaswani et al., "Attention is all
    you need", 2017.

    Args:
        embed_dim: length of the input's and the output's last dimension.
        num_heads: of the queries.
        dropout: the probability of dropping an attention weight in training.
        bias: whether the projections have biases.
        num_kv_heads: heads of keys and values; a divisor of num_heads, which is the default.
        head_dim: length of a head's vectors; ``embed_dim / num_heads`` by default.
        rotary: turns queries and keys by their positions.
        key: draws the initial values: weights by Glorot's rule, biases zero.

    Attributes:
        q_proj: embed_dim to num_heads * head_dim.
        k_proj: embed_dim to num_kv_heads * head_dim.
        v_proj: likewise.
        out_proj: num_heads * head_dim to embed_dim.

    Example:
        >>> attention = nn.MultiheadAttention(64, 8, num_kv_heads=2)
        >>> attention(slope.ones(2, 10, 64), is_causal=True).shape
        (2, 10, 64)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        rotary: RotaryEmbedding | None = None,
        key: slope.Tensor | None = None,
    ) -> None:
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        positive(
            "MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads, num_kv_heads=kv_heads
        )
        if num_heads % kv_heads or (head_dim is None and embed_dim % num_heads):
            raise ArgumentError(
                f"MultiheadAttention: {num_heads} heads must divide embed_dim {embed_dim}, and "
                f"{kv_heads} heads of keys and values must divide them."
            )
        if head_dim is not None:
            positive("MultiheadAttention", head_dim=head_dim)
        if rotary is not None and not callable(rotary):
            raise ArgumentError(
                f"MultiheadAttention: rotary must be a RotaryEmbedding, not {rotary!r:.60}."
            )
        self.num_heads, self.num_kv_heads = num_heads, kv_heads
        self.head_dim = head_dim or embed_dim // num_heads
        self.dropout = probability("MultiheadAttention", dropout)
        keys = split_key(key, 4)
        wide, narrow = num_heads * self.head_dim, kv_heads * self.head_dim
        self.q_proj = _projection(embed_dim, wide, bias, keys[0])
        self.k_proj = _projection(embed_dim, narrow, bias, keys[1])
        self.v_proj = _projection(embed_dim, narrow, bias, keys[2])
        self.out_proj = _projection(wide, embed_dim, bias, keys[3])
        self.rotary = rotary

    def __call__(
        self,
        query: slope.Tensor,
        key: slope.Tensor | None = None,
        value: slope.Tensor | None = None,
        *,
        mask: slope.Tensor | None = None,
        is_causal: bool = False,
        cache: KVCache | None = None,
        rotation: tuple[slope.Tensor, slope.Tensor] | None = None,
    ) -> Any:
        """Attend.

        Args:
            query: shape (n, l, embed_dim).
            key: shape (n, s, embed_dim); the query by default.
            value: likewise; the key by default.
            mask: broadcasts to (n, heads, l, s): True where a query sees a key, or floats to add.
            is_causal: a query sees the keys up to its own position alone.
            cache: keys and values of the positions before; the query's positions follow them, and
                a query sees those up to its own.
            rotation: ``rotary.tables(l, start)`` of the query's positions, for layers that share
                them; worked out here by default.

        Returns:
            Shape (n, l, embed_dim); with a cache, that and the cache with the new positions.
        """
        key = query if key is None else key
        value = key if value is None else value
        tensors("MultiheadAttention", query=query, key=key, value=value)
        if not query.ndim == key.ndim == value.ndim == 3:
            raise ShapeError(
                f"MultiheadAttention takes a query, keys and values (n, length, size), and got "
                f"{query.type}, {key.type} and {value.type}."
            )
        q = self._heads(self.q_proj(query), self.num_heads)
        k = self._heads(self.k_proj(key), self.num_kv_heads)
        v = self._heads(self.v_proj(value), self.num_kv_heads)
        start = 0 if cache is None else cache.filled
        if self.rotary is not None:
            q = self.rotary(q, start, tables=rotation)
            k = self.rotary(k, start, tables=rotation)
        elif rotation is not None:
            raise ArgumentError("MultiheadAttention: a rotation needs a layer made with rotary=.")
        if cache is not None:
            if mask is not None:
                raise ArgumentError(
                    "MultiheadAttention: a cache makes its own mask; give one or the other."
                )
            places = cache.filled + slope.arange(q.shape[2])
            cache = cache.extended(k, v)
            k, v = cache.keys.astype(q.dtype), cache.values.astype(q.dtype)
            mask = slope.arange(k.shape[2]) <= places.unsqueeze(-1)
        out = slope.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=is_causal and cache is None,
            enable_gqa=self.num_heads != self.num_kv_heads,
        )
        n, _, length, _ = out.shape
        joined = slope.reshape(
            slope.permute(out, (0, 2, 1, 3)), (n, length, self.num_heads * self.head_dim)
        )
        projected = self.out_proj(joined)
        return projected if cache is None else (projected, cache)

    def _heads(self, x: slope.Tensor, heads: int) -> slope.Tensor:
        n, length, _ = x.shape
        return slope.permute(slope.reshape(x, (n, length, heads, self.head_dim)), (0, 2, 1, 3))


def _projection(wide: int, out: int, bias: bool, key: slope.Tensor | None) -> Linear:
    layer = Linear(wide, out, bias, key=key)
    layer.weight = init.glorot_uniform((out, wide), key=key)
    if layer.bias is not None:
        layer.bias = slope.zeros(out)
    return layer
