"""Attention with grouped heads, rotary positions, and a cache of keys and values."""

from __future__ import annotations

import copy
import math
from typing import Any

import slope
from slope.extend import ANYWHERE, ArgumentError, ShapeError
from slope_nn import init
from slope_nn._checks import positive, probability, real, tensor
from slope_nn._keys import split_key
from slope_nn._linear import Linear
from slope_nn._lost import is_traced
from slope_nn._masks import Mask, causal, merged, of_attention, of_padding, widened
from slope_nn._module import Module
from slope_nn._node import Node
from slope_nn._placing import place


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
        steps = slope.arange(length, dtype=slope.float32, device=ANYWHERE) + start
        powers = [self.base ** (-2 * i / self.dim) for i in range(self.dim // 2)]
        rates = slope.tensor(powers, device=ANYWHERE)
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
        x = tensor("RotaryEmbedding", "x", x)
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

    The batch comes first, unless ``batch_first=False``. Keys and values may have fewer heads than
    queries: each serves a group of them (J. Ainslie et al., "GQA", arXiv:2305.13245). Source: A.
    Vaswani et al., "Attention is all you need", 2017.

    Args:
        embed_dim: length of the input's and the output's last dimension.
        num_heads: of the queries.
        dropout: the probability of dropping an attention weight in training.
        bias: whether the projections have biases.
        add_bias_kv: whether a learned key and value stand behind the others.
        add_zero_attn: whether a key and a value of zeros stand behind the others.
        kdim: length of the keys' last dimension; embed_dim by default.
        vdim: of the values'; embed_dim by default.
        batch_first: inputs are (n, length, features), and (length, n, features) if not. True by
            default, which in PyTorch it is not.
        num_kv_heads: heads of keys and values; a divisor of num_heads, which is the default.
        head_dim: length of a head's vectors; ``embed_dim / num_heads`` by default.
        rotary: turns queries and keys by their positions.
        key: draws the initial values: weights by Glorot's rule, biases zero.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        q_proj: embed_dim to num_heads * head_dim.
        k_proj: kdim to num_kv_heads * head_dim.
        v_proj: vdim to num_kv_heads * head_dim.
        out_proj: num_heads * head_dim to embed_dim.
        bias_k: with ``add_bias_kv``, shape (1, 1, num_kv_heads * head_dim); else None.
        bias_v: likewise.

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
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        *,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        rotary: RotaryEmbedding | None = None,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
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
        self.batch_first, self.add_zero_attn = bool(batch_first), bool(add_zero_attn)
        keys = split_key(key, 6)
        wide, narrow = num_heads * self.head_dim, kv_heads * self.head_dim
        self.q_proj = _projection(embed_dim, wide, bias, keys[0])
        self.k_proj = _projection(kdim or embed_dim, narrow, bias, keys[1])
        self.v_proj = _projection(vdim or embed_dim, narrow, bias, keys[2])
        self.out_proj = _projection(wide, embed_dim, bias, keys[3])
        std = math.sqrt(1.0 / narrow)
        self.bias_k = init.normal((1, 1, narrow), 0.0, std, key=keys[4]) if add_bias_kv else None
        self.bias_v = init.normal((1, 1, narrow), 0.0, std, key=keys[5]) if add_bias_kv else None
        self.rotary = rotary
        place(self, dtype, device)

    def __call__(
        self,
        query: slope.Tensor,
        key: slope.Tensor | None = None,
        value: slope.Tensor | None = None,
        *,
        mask: slope.Tensor | None = None,
        is_causal: bool = False,
        key_padding_mask: slope.Tensor | None = None,
        need_weights: bool | None = None,
        attn_mask: slope.Tensor | None = None,
        average_attn_weights: bool = True,
        cache: KVCache | None = None,
        rotation: tuple[slope.Tensor, slope.Tensor] | None = None,
    ) -> Any:
        """Attend.

        Args:
            query: shape (n, l, embed_dim), or (l, embed_dim).
            key: shape (n, s, kdim), or (s, kdim); the query by default.
            value: shape (n, s, vdim), or (s, vdim); the key by default.
            mask: broadcasts to (n, heads, l, s): True where a query sees a key, as of
                :func:`slope.scaled_dot_product_attention`, or floats to add.
            is_causal: a query sees the keys up to its own position alone.
            key_padding_mask: as in PyTorch, shape (n, s): True at keys that nobody sees, or floats
                to add.
            need_weights: given at all, the result is a pair, as in PyTorch.
            attn_mask: as in PyTorch, shape (l, s) or (n * heads, l, s): True where a query does
                *not* see a key, or floats to add.
            average_attn_weights: whether weights are means over the heads.
            cache: keys and values of the positions before; the query's positions follow them, and
                a query sees those up to its own.
            rotation: ``rotary.tables(l, start)`` of the query's positions, for layers that share
                them; worked out here by default.

        Returns:
            Shape (n, l, embed_dim); with a cache, that and the cache with the new positions; with
            ``need_weights``, that and the weights, (n, l, s) or (n, heads, l, s), or ``None`` if
            they are not needed.
        """
        key = query if key is None else key
        value = key if value is None else value
        query, key, value = (
            tensor("MultiheadAttention", name, each)
            for name, each in (("query", query), ("key", key), ("value", value))
        )
        single = query.ndim == 2
        if not query.ndim == key.ndim == value.ndim or query.ndim not in (2, 3):
            raise ShapeError(
                f"MultiheadAttention takes a query, keys and values (n, length, size), or all of "
                f"them without n, and got {query.type}, {key.type} and {value.type}."
            )
        if single:
            query, key, value = (each.unsqueeze(0) for each in (query, key, value))
        elif not self.batch_first:
            query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        k = self._with_bias(self.k_proj(key), self.bias_k)
        v = self._with_bias(self.v_proj(value), self.bias_v)
        q = self._heads(self.q_proj(query), self.num_heads)
        k, v = self._heads(k, self.num_kv_heads), self._heads(v, self.num_kv_heads)
        q, k = self._turned(q, k, cache, rotation)
        mask = merged(mask, of_attention(attn_mask, self.num_heads), of_padding(key_padding_mask))
        if cache is not None:
            if mask is not None:
                raise ArgumentError(
                    "MultiheadAttention: a cache makes its own mask; give one or the other."
                )
            places = cache.filled + slope.arange(q.shape[2], device=ANYWHERE)
            cache = cache.extended(k, v)
            k, v = cache.keys.astype(q.dtype), cache.values.astype(q.dtype)
            mask = slope.arange(k.shape[2], device=ANYWHERE) <= places.unsqueeze(-1)
            is_causal = False
        k, v, mask, is_causal = self._lengthened(k, v, mask, is_causal, q.shape[2])
        out, weights = self._attend(q, k, v, mask, is_causal, bool(need_weights))
        out = self.out_proj(slope.flatten(slope.permute(out, (0, 2, 1, 3)), 2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if single:
            out, weights = out.squeeze(0), None if weights is None else weights.squeeze(0)
        elif not self.batch_first:
            out = out.transpose(0, 1)
        pair = (out,) if need_weights is None else (out, weights)
        results = pair if cache is None else (*pair, cache)
        return results if len(results) > 1 else out

    def _with_bias(self, x: slope.Tensor, bias: slope.Tensor | None) -> slope.Tensor:
        """Keys or values, (n, s, features), with what was learned behind them."""
        if bias is None:
            return x
        return slope.cat([x, bias.expand(x.shape[0], 1, x.shape[2])], 1)

    def _turned(
        self,
        q: slope.Tensor,
        k: slope.Tensor,
        cache: KVCache | None,
        rotation: tuple[slope.Tensor, slope.Tensor] | None,
    ) -> tuple[slope.Tensor, slope.Tensor]:
        """Queries and keys, turned by their positions where the layer is rotary."""
        if self.rotary is None:
            if rotation is not None:
                raise ArgumentError(
                    "MultiheadAttention: a rotation needs a layer made with rotary=."
                )
            return q, k
        start = 0 if cache is None else cache.filled
        return self.rotary(q, start, tables=rotation), self.rotary(k, start, tables=rotation)

    def _lengthened(
        self, k: slope.Tensor, v: slope.Tensor, mask: Mask, is_causal: bool, length: int
    ) -> tuple[slope.Tensor, slope.Tensor, Mask, bool]:
        """Keys, values and mask with the zeros behind them, and whether causality is left to do."""
        extra = (self.bias_k is not None) + self.add_zero_attn
        if is_causal and (extra or mask is not None):
            learned = self.bias_k is not None
            mask, is_causal = merged(mask, causal(length, k.shape[2] - learned)), False
        if self.add_zero_attn:
            n, heads, _, size = k.shape
            zeros = slope.zeros(n, heads, 1, size, dtype=k.dtype)
            k, v = slope.cat([k, zeros], 2), slope.cat([v, zeros], 2)
        return k, v, widened(mask, extra), is_causal

    def _attend(
        self,
        q: slope.Tensor,
        k: slope.Tensor,
        v: slope.Tensor,
        mask: Mask,
        is_causal: bool,
        need_weights: bool,
    ) -> tuple[slope.Tensor, slope.Tensor | None]:
        """Values for each query, (n, heads, l, head_dim), and the weights if they are needed."""
        rate = self.dropout if self.training else 0.0
        if not need_weights:
            grouped = self.num_heads != self.num_kv_heads
            return slope.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=rate, is_causal=is_causal, enable_gqa=grouped
            ), None
        group = self.num_heads // self.num_kv_heads
        if group > 1:
            k, v = (slope.repeat_interleave(each, group, 1) for each in (k, v))
        scores = (q / math.sqrt(self.head_dim)) @ k.transpose(-1, -2)
        if is_causal:
            mask = merged(mask, causal(q.shape[2], k.shape[2]))
        if mask is not None and mask.dtype == slope.bool_:
            scores = slope.where(mask, scores, -slope.inf)
        elif mask is not None:
            scores = scores + mask
        weights = slope.dropout(slope.softmax(scores, -1), rate)
        return weights @ v, weights

    def _heads(self, x: slope.Tensor, heads: int) -> slope.Tensor:
        n, length, _ = x.shape
        return slope.permute(slope.reshape(x, (n, length, heads, self.head_dim)), (0, 2, 1, 3))


def _projection(wide: int, out: int, bias: bool, key: slope.Tensor | None) -> Linear:
    layer = Linear(wide, out, bias, key=key)
    layer.weight = init.glorot_uniform((out, wide), key=key)
    if layer.bias is not None:
        layer.bias = slope.zeros(out)
    return layer
