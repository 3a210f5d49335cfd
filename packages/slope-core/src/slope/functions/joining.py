"""Tensors beside and above each other, differences, and channels taken in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, dim_of, shown, whole_of
from slope.functions.arithmetic import ne, sub
from slope.functions.shapes import cat, cut, reshape, transpose

__all__ = [
    "channel_shuffle",
    "column_stack",
    "diff",
    "dstack",
    "hstack",
    "vstack",
]


def _given(function: str, tensors: Sequence[TensorLike]) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise ArgumentError(
            f"{function}: takes a list or tuple of tensors, and got {type(tensors).__name__}."
        )
    if not tensors:
        raise ShapeError(f"{function}: takes at least one tensor, and got none.")
    return [as_tensor(x, function, f"tensors[{number}]") for number, x in enumerate(tensors)]


def _joined(function: str, tensors: list[Tensor], dim: int) -> Tensor:
    try:
        return cat(tensors, dim)
    except ShapeError as error:
        raise ShapeError(f"{function}: {error}") from None


def _deep(x: Tensor, ndim: int) -> Tensor:
    """With at least so many dimensions: a vector is a row, a matrix stands in front."""
    if x.ndim >= ndim:
        return x
    if ndim == 3:
        return reshape(_deep(x, 2), (*_deep(x, 2).shape, 1))
    return reshape(x, (1,) * (ndim - x.ndim) + x.shape)


@at_once
def hstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors beside each other: along the second dimension, vectors along their only one.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    given = [_deep(x, 1) for x in _given("hstack", tensors)]
    return _joined("hstack", given, 0 if given[0].ndim == 1 else 1)


@at_once
def vstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors above each other: along the first dimension, vectors as rows.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    return _joined("vstack", [_deep(x, 2) for x in _given("vstack", tensors)], 0)


@at_once
def dstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors behind each other: along the third dimension, vectors as rows, matrices in front.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    return _joined("dstack", [_deep(x, 3) for x in _given("dstack", tensors)], 2)


@at_once
def column_stack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors beside each other, vectors as columns.

    Raises:
        ShapeError: no tensors, or other lengths that differ.
    """
    given = _given("column_stack", tensors)
    return _joined("column_stack", [x if x.ndim > 1 else reshape(x, (-1, 1)) for x in given], 1)


@at_once
def diff(
    x: TensorLike,
    n: int = 1,
    dim: int = -1,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """Each element less the one before, ``n`` times; of bools, whether they differ.

    Args:
        x: a tensor with dimensions.
        n: how often; each time the dimension loses an element, as long as it has one.
        dim: the dimension.
        prepend: joined in front of ``x`` along ``dim`` first.
        append: joined behind ``x``.

    Raises:
        ShapeError: no dimensions, or those of ``prepend`` and ``append`` do not fit.
    """
    given, times = as_tensor(x, "diff", "x"), whole_of(n, "diff", "n", 0)
    if not given.ndim:
        raise ShapeError(f"diff: takes a tensor with dimensions, and got {given.type}.")
    at = dim_of(dim, given.ndim, "diff", shape=given.shape)
    parts: list[Any] = [("prepend", prepend), ("x", given), ("append", append)]
    joined = [as_tensor(part, "diff", name) for name, part in parts if part is not None]
    out = _joined("diff", joined, at)
    for _ in range(times):
        length = out.shape[at]
        later, earlier = cut(out, at, min(1, length), length), cut(out, at, 0, max(length - 1, 0))
        out = ne(later, earlier) if out.dtype is dtypes.bool_ else sub(later, earlier)
    return out


@at_once
def channel_shuffle(x: TensorLike, groups: int) -> Tensor:
    """The channels of ``(n, channels, ...)`` taken from each of ``groups`` groups in turn.

    Source: X. Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network for
        mobile devices" (2018).

    Raises:
        ShapeError: fewer than 3 dimensions, or channels that are no multiple of ``groups``.
    """
    given, count = (
        as_tensor(x, "channel_shuffle", "x"),
        whole_of(groups, "channel_shuffle", "groups", 1),
    )
    if given.ndim < 3 or given.shape[1] % count:
        raise ShapeError(
            f"channel_shuffle: groups={count} needs x of shape (n, channels, ...) with a multiple "
            f"of {count} channels, and x has the shape {shown(given.shape)}."
        )
    first, channels, *rest = given.shape
    split = ops.reshape(given, shape=(first, count, channels // count, *rest))
    return ops.reshape(transpose(split, 1, 2), shape=given.shape)
