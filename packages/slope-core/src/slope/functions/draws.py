"""Draws from keys: even ones, normal ones, whole numbers, truths."""

from __future__ import annotations

import math
from typing import Any

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import Shape, TensorType
from slope.dims import is_static
from slope.dims import size as count_of
from slope.dtypes import DTypeLike, as_dtype, float32, int64
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import number_of, shape_of, whole_of
from slope.functions._base import TensorLike, broadcast_shapes, expand_to, floating, splat, to_dtype
from slope.functions.keys import checked_key, pairs, require_floating, unit_draws


def uniform(
    key: TensorLike, *size: Any, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = float32
) -> Tensor:
    """Uniform floats in ``[low, high)``, with all digits of the dtype (24 bits in float32).

    Raises:
        DTypeError: not a floating-point dtype.
    """
    given = checked_key(key, "uniform")
    shape = shape_of(size, "random.uniform", "size")
    wanted = as_dtype(dtype)
    require_floating("uniform", wanted)
    low = number_of(low, "random.uniform", "low")
    high = number_of(high, "random.uniform", "high")
    unit = ops.reshape(unit_draws(given, count_of(shape), wanted), shape=shape)
    if high - low != 1.0:
        unit = ops.mul(unit, splat(high - low, unit.type))
    return unit if low == 0.0 else ops.add(unit, splat(low, unit.type))


def normal(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws from the standard normal distribution, by the Box-Muller method.

    Two uniform draws make a radius ``sqrt(-2 log(1 - u))`` and an angle, and these two normal
    draws. In float32 the largest size is 5.77. Half precision is drawn in float32.

    Source: G. Box, M. Muller, "A note on the generation of random normal deviates" (1958).

    Raises:
        DTypeError: not a floating-point dtype.
    """
    given = checked_key(key, "normal")
    shape = shape_of(size, "random.normal", "size")
    wanted = as_dtype(dtype)
    require_floating("normal", wanted)
    wide = dtypes.accumulator(wanted)
    count = count_of(shape)
    half = (count + 1) // 2
    unit = unit_draws(given, 2 * half, wide)
    one = Splat(1.0, TensorType((half,), wide))
    radius_part = ops.sub(one, ops.slice_(unit, start=(0,), stop=(half,), step=(1,)))
    radius = ops.sqrt(ops.mul(splat(-2.0, one.type), ops.log(radius_part)))
    angle = ops.mul(
        splat(2.0 * math.pi, one.type), ops.slice_(unit, start=(half,), stop=(2 * half,), step=(1,))
    )
    out = ops.cat(ops.mul(radius, ops.cos(angle)), ops.mul(radius, ops.sin(angle)), dim=0)
    if not is_static((count,)) or count % 2:
        out = ops.slice_(out, start=(0,), stop=(count,), step=(1,))
    return to_dtype(ops.reshape(out, shape=shape), wanted)


def randint(key: TensorLike, size: Any, low: int, high: int, dtype: DTypeLike = int64) -> Tensor:
    """Uniform integers from ``low`` to ``high - 1``.

    63 random bits modulo ``high - low``: no number is more likely than another by more than ``(high
    - low) / 2**63``.

    Raises:
        ArgumentError: there is no number in the range.
        DTypeError: not an integer dtype.
    """
    given = checked_key(key, "randint")
    shape = shape_of((size,), "random.randint", "size")
    wanted = as_dtype(dtype)
    if not wanted.is_integer:
        raise DTypeError(f"random.randint: dtype must be an integer dtype, not {wanted}.")
    low, high = (
        whole_of(each, "random.randint", name) for each, name in ((low, "low"), (high, "high"))
    )
    if not -(2**63) <= low < high <= 2**63 or high - low >= 2**63:
        raise ArgumentError(
            f"random.randint: low={low} and high={high} must span at least one and less than "
            "2**63 numbers."
        )
    first, second = pairs(given, count_of(shape))
    top = ops.cast(ops.shift_right_logical(first, splat(1, first.type)), dtype=int64)
    whole = ops.add(ops.mul(top, splat(2**32, top.type)), ops.cast(second, dtype=int64))
    place = ops.remainder(whole, splat(high - low, whole.type))
    return ops.cast(
        ops.reshape(ops.add(place, splat(low, place.type)) if low else place, shape=shape),
        dtype=wanted,
    )


def bernoulli(key: TensorLike, p: TensorLike = 0.5, shape: Shape | None = None) -> Tensor:
    """True with probability ``p``, of ``p``'s shape or one that ``p`` broadcasts to."""
    given, chance = checked_key(key, "bernoulli"), floating(p, "random.bernoulli", "p")
    wanted = chance.shape if shape is None else shape_of((shape,), "random.bernoulli")
    if broadcast_shapes("random.bernoulli", chance.shape, wanted) != wanted:
        raise ShapeError(f"random.bernoulli: p {chance.type} does not broadcast to shape {wanted}.")
    unit = ops.reshape(unit_draws(given, count_of(wanted), chance.dtype), shape=wanted)
    return ops.lt(unit, expand_to(chance, wanted))
