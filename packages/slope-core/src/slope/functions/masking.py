"""Filling, selecting and writing where a mask holds."""

from __future__ import annotations

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Tensor, Tracer
from slope.dims import is_static
from slope.errors import DTypeError, ShapeError
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    copied,
    expand_to,
    splat_like,
)
from slope.functions.data_dependent import require_known
from slope.functions.extremes import clamp
from slope.functions.indexing import getitem
from slope.functions.logic import where
from slope.functions.reductions import cumsum
from slope.functions.scattering import take, updates_of
from slope.functions.shapes import reshape

__all__ = [
    "masked_fill",
    "masked_scatter",
    "masked_select",
]


def _held(function: str, mask: TensorLike) -> Tensor:
    held = as_tensor(mask, function, "mask")
    if held.dtype is not dtypes.bool_:
        raise DTypeError(
            f"{function}: mask must be of bools, not {held.type}; compare it, for instance "
            f"mask != 0."
        )
    return held


def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """``x`` with a value where the mask holds; the mask broadcasts to ``x``.

    Raises:
        DTypeError: the mask is not of bools, or the value does not go into ``x``'s dtype.
        ShapeError: the mask does not broadcast to ``x``, or the value has dimensions.
    """
    given, held = as_tensor(x, "masked_fill", "x"), _held("masked_fill", mask)
    shape = broadcast_shapes("masked_fill", given.shape, held.shape)
    new = updates_of(value, given, (), "masked_fill", "value")
    if new.ndim:
        raise ShapeError(
            f"masked_fill: value must be a number or of shape (), not {new.type}; "
            f"slope.where(mask, value, x) takes any shape."
        )
    return ops.where(expand_to(held, shape), expand_to(new, shape), expand_to(given, shape))


def masked_select(x: TensorLike, mask: TensorLike) -> Tensor:
    """The elements where a mask holds, as a vector. Only for masks whose values are known.

    Raises:
        ConcretizationError: the mask is traced.
    """
    given, held = as_tensor(x, "masked_select", "x"), _held("masked_select", mask)
    shape = broadcast_shapes("masked_select", given.shape, held.shape)
    require_known(held, "masked_select", "slope.where(mask, x, 0) keeps the shape")
    held = copied(np.broadcast_to(held.numpy(), shape))
    given = expand_to(given, shape)
    if not shape:
        given, held = (ops.reshape(each, shape=(1,)) for each in (given, held))
    return getitem(given, held)


def masked_scatter(x: TensorLike, mask: TensorLike, source: TensorLike) -> Tensor:
    """``x``, but where a mask holds, the elements of ``source`` in their order.

    ``x`` and ``mask`` broadcast; ``source`` has one dtype with ``x`` and at least as many elements
    as the mask holds (which only a known mask can be checked for).

    Raises:
        DTypeError: the mask is not of bools, or the dtypes differ.
        ShapeError: ``source`` has too few elements.
    """
    given, held = as_tensor(x, "masked_scatter", "x"), _held("masked_scatter", mask)
    values = as_tensor(source, "masked_scatter", "source")
    if values.dtype is not given.dtype:
        raise DTypeError(
            f"masked_scatter: x is {given.type} and source is {values.type}; their dtypes must be "
            "equal."
        )
    shape = broadcast_shapes("masked_scatter", given.shape, held.shape)
    given, held = expand_to(given, shape), expand_to(held, shape)
    if not isinstance(held, Tracer) and is_static(values.shape):
        count = int(np.count_nonzero(held.numpy()))
        if count > values.type.size:
            raise ShapeError(
                f"masked_scatter: source is {values.type}, and the mask holds {count} times."
            )
    return _taken_in_order(given, held, values) if values.type.size else given


@at_once
def _taken_in_order(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    count = cumsum(reshape(mask, (mask.type.size,)), 0)
    place = clamp(ops.sub(count, splat_like(1, count)), 0, source.type.size - 1)
    return where(mask, reshape(take(source, place), x.shape), x)
