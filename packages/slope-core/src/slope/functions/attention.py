"""Scaled dot-product attention."""

from __future__ import annotations

import math

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import composites
from slope.functions._arguments import flag_of, number_of
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    expand_to,
    floating,
    result_dtype,
    splat_like,
    to_dtype,
)
from slope.functions.dropouts import dropout

__all__ = [
    "scaled_dot_product_attention",
]


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    generator_key: TensorLike | None = None,
) -> Tensor:
    """``softmax(query @ key^T * scale + mask) @ value``: means of the values, by likeness of keys.

    Args:
        query: ``[..., heads, L, E]`` (the heads are just one more batch dimension unless
            ``enable_gqa``).
        key: ``[..., heads, S, E]``.
        value: ``[..., heads, S, V]``.
        attn_mask: broadcasts to ``[..., L, S]``: bools, True where a query sees a key, or floats to
            be added.
        dropout_p: the probability of dropping a weight.
        is_causal: a query sees the keys up to its own position alone.
        scale: ``1 / sqrt(E)`` by default.
        enable_gqa: keys and values may have fewer heads than queries: each serves as many
            consecutive heads of queries.
        generator_key: a key for the dropout; the default generator draws otherwise.

    Returns:
        ``[..., heads, L, V]``. A query that sees no key gets zeros, as in PyTorch.

    Source: A. Vaswani and others, "Attention is all you need" (2017).

    Raises:
        ShapeError, DTypeError, ArgumentError: operands that do not fit.
    """
    name = "scaled_dot_product_attention"
    q, k, v = _operands(name, query, key, value)
    is_causal = flag_of(is_causal, name, "is_causal")
    enable_gqa = flag_of(enable_gqa, name, "enable_gqa")
    if is_causal and attn_mask is not None:
        raise ArgumentError(f"{name}: give either attn_mask or is_causal=True, not both.")
    factor = (
        1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else number_of(scale, name, "scale")
    )
    q, k, v, heads = _grouped(name, q, k, v) if enable_gqa else (*_joint(name, q, k, v), None)
    lead = q.ndim - 2
    along = tuple(range(lead))
    scores = ops.dot_general(
        ops.mul(q, splat_like(factor, q)),
        k,
        contract=((lead + 1,), (lead + 1,)),
        batch=(along, along),
    )
    rows = scores.shape
    if heads is not None:
        scores = ops.reshape(scores, shape=(*heads, scores.shape[-1]))
    scores, hidden = _masked(name, scores, attn_mask, is_causal)
    weights = composites.softmax(scores, dim=scores.ndim - 1)
    weights = dropout(weights, dropout_p, key=generator_key)
    out = ops.dot_general(
        ops.reshape(weights, shape=rows) if heads is not None else weights,
        v,
        contract=((lead + 1,), (lead,)),
        batch=(along, along),
    )
    if heads is not None:
        out = ops.reshape(out, shape=(*heads, v.shape[-1]))
    if hidden is None:
        return out
    nothing = expand_to(ops.reshape(hidden, shape=(*hidden.shape, 1)), out.shape)
    return ops.where(nothing, splat_like(0.0, out), out)


def _operands(name: str, query: object, key: object, value: object) -> list[Tensor]:
    given = {
        argument: floating(each, name, argument)
        for argument, each in (("query", query), ("key", key), ("value", value))
    }
    for argument, each in given.items():
        if each.ndim < 2:
            raise ShapeError(
                f"{name}: {argument} must be [..., length, features], not {each.type}."
            )
    dtype = result_dtype(name, list(given.values()))
    q, k, v = (to_dtype(each, dtype) for each in given.values())
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{name}: query {q.type} and key {k.type} must have equally many features, key and "
            f"value {v.type} equal lengths."
        )
    return [q, k, v]


def _joint(name: str, *operands: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The operands with one batch shape."""
    lead = broadcast_shapes(name, *(each.shape[:-2] for each in operands))
    q, k, v = (expand_to(each, (*lead, *each.shape[-2:])) for each in operands)
    return q, k, v


def _grouped(
    name: str, q: Tensor, k: Tensor, v: Tensor
) -> tuple[Tensor, Tensor, Tensor, tuple[object, ...]]:
    """Operands with queries that share a key's head one after another; the leading shape."""
    if min(q.ndim, k.ndim, v.ndim) < 3 or k.shape[-3] != v.shape[-3] or q.shape[-3] % k.shape[-3]:
        raise ShapeError(
            f"{name}: enable_gqa needs [..., heads, length, features] with query's heads a "
            f"multiple of key's and value's: query is {q.type}, key {k.type}, value {v.type}."
        )
    heads, shared = q.shape[-3], k.shape[-3]
    lead = broadcast_shapes(name, q.shape[:-3], k.shape[:-3], v.shape[:-3])
    length, features = q.shape[-2:]
    q = expand_to(q, (*lead, heads, length, features))
    q = ops.reshape(q, shape=(*lead, shared, heads // shared * length, features))
    k, v = (expand_to(each, (*lead, *each.shape[-3:])) for each in (k, v))
    return q, k, v, (*lead, heads, length)


def _masked(
    name: str, scores: Tensor, mask: object, is_causal: bool
) -> tuple[Tensor, Tensor | None]:
    """Scores, the hidden ones at the lowest finite number; which rows see nothing (None: none)."""
    lowest = splat_like(float(dtypes.finfo(scores.dtype).min), scores)
    if is_causal:
        flat = scores.shape[-2:]
        row, column = (ops.iota(shape=flat, dim=dim, dtype=dtypes.int32) for dim in (0, 1))
        sees = ops.ge(row, column)
        return ops.where(expand_to(sees, scores.shape), scores, lowest), None
    if mask is None:
        return scores, None
    given = as_tensor(mask, name, "attn_mask")
    if given.dtype.is_integer:
        raise DTypeError(f"{name}: attn_mask must be bool or floating-point, not {given.type}.")
    if given.ndim < 2 or broadcast_shapes(name, given.shape, scores.shape) != scores.shape:
        raise ShapeError(
            f"{name}: attn_mask {given.type} does not broadcast to the scores' shape "
            f"{scores.shape}."
        )
    if given.dtype.kind == "b":
        out = ops.where(expand_to(given, scores.shape), scores, lowest)
        return out, ops.bitwise_not(ops.any_(given, dim=(given.ndim - 1,)))
    bias = to_dtype(given, scores.dtype)
    unseen = ops.eq(bias, splat_like(-math.inf, bias))
    out = ops.add(scores, expand_to(bias, scores.shape))
    out = ops.maximum(out, lowest)
    return out, ops.all_(unseen, dim=(given.ndim - 1,))
