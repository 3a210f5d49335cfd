"""Draws from keys, of distributions beyond the uniform and normal ones of :mod:`.draws`.

They go through logarithms and roots, so backends agree to rounding (relative 1e-4 in float32, 1e-10
in float64; where rounding decides between candidates, as in :func:`gamma` and :func:`categorical`,
a few draws in a million may differ). Permutations are the same everywhere. Half precision is drawn
in float32.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Tensor, Tracer
from slope.core.types import Shape, TensorType
from slope.dims import size as count_of
from slope.dtypes import DType, DTypeLike, as_dtype, float32, int32, int64
from slope.errors import ArgumentError, ShapeError
from slope.functions import special
from slope.functions._arguments import dim_of, flag_of, number_of, shape_of, shown, whole_of
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    expand_to,
    floating,
    operands_of,
    result_dtype,
    splat,
    splat_like,
    to_dtype,
)
from slope.functions.draws import normal
from slope.functions.indexing import index_select
from slope.functions.keys import checked_key, pairs, require_floating, split, unit_draws
from slope.ops.reduce import spread

GAMMA_ROUNDS: Final = 8  # the chance that all are rejected is below 1e-10 for any concentration


def units_of(key: object, size: Any, dtype: DTypeLike, function: str) -> tuple[Tensor, DType]:
    """Floats in [0, 1) of a shape, in the dtype to compute in; and the dtype wanted."""
    given, wanted = checked_key(key, function), as_dtype(dtype)
    require_floating(function, wanted)
    shape = shape_of(size, f"random.{function}", "size")
    unit = unit_draws(given, count_of(shape), dtypes.accumulator(wanted))
    return ops.reshape(unit, shape=shape), wanted


def exponential_of(unit: Tensor) -> Tensor:
    """Exponential draws from floats in [0, 1)."""
    return ops.neg(ops.log1p(ops.neg(unit)))


def exponential(
    key: TensorLike, *size: Any, rate: float = 1.0, dtype: DTypeLike = float32
) -> Tensor:
    """Draws of density ``rate * exp(-rate * x)``.

    Raises:
        ArgumentError: ``rate`` is not positive.
    """
    factor = number_of(rate, "random.exponential", "rate")
    if factor <= 0:
        raise ArgumentError(f"random.exponential: rate={factor} must be positive.")
    unit, wanted = units_of(key, size, dtype, "exponential")
    out = exponential_of(unit)
    if factor != 1.0:
        out = ops.mul(out, splat_like(1.0 / factor, out))
    return to_dtype(out, wanted)


def gumbel(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws of the distribution function ``exp(-exp(-x))``."""
    unit, wanted = units_of(key, size, dtype, "gumbel")
    return to_dtype(_gumbel(unit), wanted)


def _gumbel(unit: Tensor) -> Tensor:
    least = 2.0**-54 if unit.dtype.bits == 64 else 2.0**-25  # half a step: 0 has no logarithm
    return ops.neg(ops.log(ops.maximum(exponential_of(unit), splat_like(least, unit))))


def laplace(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws of density ``exp(-abs(x)) / 2``."""
    unit, wanted = units_of(key, size, dtype, "laplace")
    low = ops.lt(unit, splat_like(0.5, unit))
    twice = ops.add(unit, unit)
    share = ops.where(low, twice, ops.sub(splat_like(2.0, unit), twice))
    least = 2.0**-53 if unit.dtype.bits == 64 else 2.0**-24  # half a step
    away = ops.neg(ops.log(ops.maximum(share, splat_like(least, share))))
    return to_dtype(ops.where(low, ops.neg(away), away), wanted)


def truncated_normal(
    key: TensorLike, low: float, high: float, *size: Any, dtype: DTypeLike = float32
) -> Tensor:
    """Normal draws of mean 0 and deviation 1 that lie in ``[low, high]``, by inversion.

    Raises:
        ArgumentError: ``low`` is not below ``high``, or both are beyond 7 on one side.
    """
    given = checked_key(key, "truncated_normal")
    bottom = number_of(low, "random.truncated_normal", "low")
    top = number_of(high, "random.truncated_normal", "high")
    if not bottom < top:
        raise ArgumentError(f"random.truncated_normal: low={bottom} must be less than high={top}.")
    if bottom > 7 or top < -7:
        raise ArgumentError(
            f"random.truncated_normal: low={bottom} and high={top} are both more than 7 deviations "
            "from the mean, where no digits are left to draw by."
        )
    unit, wanted = units_of(given, size, dtype, "truncated_normal")
    if bottom > 2 or top < -2:  # float32 has few numbers next to 1 and -1, where the areas lie
        unit = to_dtype(unit, dtypes.float64)
    first, last = (math.erf(each / math.sqrt(2.0)) for each in (bottom, top))
    place = ops.add(ops.mul(unit, splat_like(last - first, unit)), splat_like(first, unit))
    out = ops.mul(special.erfinv(place), splat_like(math.sqrt(2.0), unit))
    out = ops.minimum(ops.maximum(out, splat_like(bottom, out)), splat_like(top, out))
    return to_dtype(out, wanted)


# --- gamma and what follows from it


def gamma(key: TensorLike, concentration: TensorLike, shape: Shape | None = None) -> Tensor:
    """Draws of density proportional to ``x**(a - 1) * exp(-x)``.

    No derivative passes to the concentration ``a``.

    Of ``shape``, which ``concentration`` broadcasts to, or of its own shape. Candidates are all
    drawn at once, and the first accepted one is taken.

    Source: G. Marsaglia, W. Tsang, "A simple method for generating gamma variables" (2000).
    """
    given = checked_key(key, "gamma")
    wanted, a = parameters_of("gamma", shape, concentration=concentration)
    return to_dtype(gamma_of(given, a[0]), wanted)


def parameters_of(function: str, shape: Any, **values: object) -> tuple[DType, list[Tensor]]:
    """Parameters in the dtype to compute in, broadcast to the shape of the draw."""
    name = f"random.{function}"
    given = {argument: floating(each, name, argument) for argument, each in values.items()}
    dtype = result_dtype(name, list(given.values()))
    made = operands_of(name, dtypes.accumulator(dtype), **given)
    made = [ops.stop_gradient(each) for each in made]
    if shape is None:
        return dtype, made
    wanted = shape_of((shape,), name)
    if broadcast_shapes(name, made[0].shape, wanted) != wanted:
        raise ShapeError(
            f"{name}: parameters of shape {shown(made[0].shape)} do not broadcast to "
            f"{shown(wanted)}."
        )
    return dtype, [expand_to(each, wanted) for each in made]


def gamma_of(key: Tensor, a: Tensor) -> Tensor:
    """Gamma draws of checked concentrations."""
    chosen, boost = _gamma_factors(key, a)
    return ops.where(ops.lt(a, splat_like(1.0, a)), ops.mul(chosen, ops.exp(boost)), chosen)


def log_gamma_of(key: Tensor, a: Tensor) -> Tensor:
    """The logarithms of :func:`gamma_of`."""
    chosen, boost = _gamma_factors(key, a)
    large = ops.log(chosen)
    return ops.where(ops.lt(a, splat_like(1.0, a)), ops.add(large, boost), large)


def _gamma_factors(key: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """A draw for ``a``, or ``a + 1`` where that is below 1; and the logarithm of what it lacks."""
    keys = split(key, 3)
    one, third = splat_like(1.0, a), splat_like(1.0 / 3.0, a)
    small = ops.lt(a, one)
    d = ops.sub(ops.where(small, ops.add(a, one), a), third)
    shape = (GAMMA_ROUNDS, *a.shape)
    many = ops.broadcast(d, shape=shape, dims=tuple(range(1, len(shape))))
    x = normal(keys[0], shape, dtype=a.dtype)
    unit = ops.reshape(unit_draws(keys[1], count_of(shape), a.dtype), shape=shape)
    c = ops.rsqrt(ops.mul(splat_like(9.0, many), many))
    root = ops.add(splat_like(1.0, x), ops.mul(c, x))
    v = ops.mul(ops.mul(root, root), root)
    zero = splat_like(0.0, v)
    positive = ops.gt(v, zero)
    safe = ops.where(positive, v, splat_like(1.0, v))
    bound = ops.add(
        ops.mul(splat_like(0.5, x), ops.mul(x, x)),
        ops.mul(many, ops.add(ops.sub(splat_like(1.0, v), safe), ops.log(safe))),
    )
    log_unit = ops.log1p(ops.neg(unit))
    accepted = ops.bitwise_and(positive, ops.lt(log_unit, bound))
    first = ops.argmax(ops.cast(accepted, dtype=int32), dim=0)
    here = ops.eq(ops.iota(shape=shape, dim=0, dtype=int64), spread(first, x, (0,)))
    chosen = ops.mul(d, ops.sum_(ops.where(here, safe, zero), dim=(0,)))
    # Below 1: a draw for a + 1 times a uniform draw to the power 1 / a.
    power = ops.reshape(unit_draws(keys[2], count_of(a.shape), a.dtype), shape=a.shape)
    return chosen, ops.div(ops.log1p(ops.neg(power)), ops.where(small, a, one))


def beta(key: TensorLike, a: TensorLike, b: TensorLike, shape: Shape | None = None) -> Tensor:
    """Draws of density proportional to ``x**(a - 1) * (1 - x)**(b - 1)``.

    No derivative passes to ``a`` and ``b``.

    Of ``shape``, which both broadcast to, or of their own. A gamma draw over the sum of two.
    """
    given = checked_key(key, "beta")
    wanted, (first, second) = parameters_of("beta", shape, a=a, b=b)
    keys = split(given)
    x, y = gamma_of(keys[0], first), gamma_of(keys[1], second)
    total = ops.add(x, y)
    safe = ops.where(ops.eq(total, splat_like(0.0, total)), splat_like(1.0, total), total)
    return to_dtype(ops.div(x, safe), wanted)


# --- choices


def categorical(
    key: TensorLike, logits: TensorLike, dim: int = -1, shape: Shape | None = None
) -> Tensor:
    """Classes (int64) drawn with probabilities ``softmax(logits)`` along ``dim``.

    Each is the place of the largest logit, with Gumbel draws added. They are of ``logits``' shape
    without ``dim``, or of ``shape``, whose last dimensions those are.

    Raises:
        ShapeError: ``shape`` does not end so.
    """
    given = checked_key(key, "categorical")
    scores = floating(logits, "random.categorical", "logits")
    at = dim_of(dim, scores.ndim, "random.categorical", shape=scores.shape)
    rest = (*scores.shape[:at], *scores.shape[at + 1 :])
    wanted = rest if shape is None else shape_of((shape,), "random.categorical")
    if len(wanted) < len(rest) or wanted[len(wanted) - len(rest) :] != rest:
        raise ShapeError(
            f"random.categorical: shape={shown(wanted)} must end with {shown(rest)}, which is "
            f"logits {scores.type} without dimension {dim}."
        )
    extra = len(wanted) - len(rest)
    wide = to_dtype(scores, dtypes.accumulator(scores.dtype))
    full = (*wanted[:extra], *scores.shape)
    noise = _gumbel(ops.reshape(unit_draws(given, count_of(full), wide.dtype), shape=full))
    return ops.argmax(ops.add(expand_to(wide, full), noise), dim=at + extra)


def multinomial(
    key: TensorLike, probabilities: TensorLike, num_samples: int, replacement: bool = False
) -> Tensor:
    """``num_samples`` classes (int64) for each row, in proportion to its elements.

    Args:
        key: a key.
        probabilities: ``[classes]`` or ``[rows, classes]``, finite and not negative, and not all 0
            in any row; rows need not sum to 1. Of others the draws mean nothing where nobody can
            see their values, inside of :func:`slope.jit` and on other devices than the CPU.
        num_samples: how many.
        replacement: whether a class may be drawn twice.

    Raises:
        ShapeError: other dimensions.
        ArgumentError: more samples than classes without replacement, or probabilities that are
            none.
    """
    given = checked_key(key, "multinomial")
    name = "random.multinomial"
    weights = floating(probabilities, name, "probabilities")
    count = whole_of(num_samples, name, "num_samples", 1)
    if weights.ndim not in (1, 2):
        raise ShapeError(
            f"{name}: probabilities must be [classes] or [rows, classes], and are {weights.type}."
        )
    if not isinstance(weights, Tracer) and weights.device.kind == "cpu":
        _refuse_improbable(name, weights.host())
    logits = ops.log(to_dtype(weights, dtypes.accumulator(weights.dtype)))
    if flag_of(replacement, name, "replacement"):
        drawn = categorical(given, logits, -1, (count, *weights.shape[:-1]))
        return ops.permute(drawn, dims=(1, 0)) if weights.ndim == 2 else drawn
    if count > weights.shape[-1]:
        raise ArgumentError(
            f"{name}: num_samples={count} exceeds the {weights.shape[-1]} classes; give "
            "replacement=True, or fewer."
        )
    unit = unit_draws(given, count_of(logits.shape), logits.dtype)
    noisy = ops.add(logits, _gumbel(ops.reshape(unit, shape=logits.shape)))
    return ops.topk(noisy, k=count, dim=weights.ndim - 1, largest=True)[1]


def _refuse_improbable(function: str, weights: np.ndarray[Any, Any]) -> None:
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        place = tuple(map(int, np.argwhere(wrong)[0]))
        raise ArgumentError(
            f"{function}: probabilities[{', '.join(map(str, place))}] is {weights[place]}; they "
            "must be finite and not negative."
        )
    nothing = ~weights.any(-1)
    if nothing.any():
        where = f" of row {int(np.argmax(nothing))}" if weights.ndim == 2 else ""
        raise ArgumentError(f"{function}: the probabilities{where} are all 0, so nothing is drawn.")


def permutation(key: TensorLike, x: int | TensorLike, dim: int = 0) -> Tensor:
    """The numbers from 0 to ``x`` less one, or a tensor's parts along ``dim``, in random order.

    The order is the same on every backend: that of 63 random bits each.
    """
    given = checked_key(key, "permutation")
    if not isinstance(x, Tensor) and isinstance(x, int):
        return _order(given, whole_of(x, "random.permutation", "x", 0))
    made = as_tensor(x, "random.permutation", "x")
    at = dim_of(dim, made.ndim, "random.permutation", shape=made.shape)
    return index_select(made, at, _order(given, made.shape[at]))


def _order(key: Tensor, count: Any) -> Tensor:
    shape_of((count,), "random.permutation", "x")
    if count == 0:
        return splat(0, TensorType((0,), int64))
    first, second = pairs(key, count)
    top = ops.cast(ops.shift_right_logical(first, splat(1, first.type)), dtype=int64)
    whole = ops.add(ops.mul(top, splat(2**32, top.type)), ops.cast(second, dtype=int64))
    return ops.sort(whole, dim=0, descending=False)[1]


def shuffle(key: TensorLike, x: TensorLike, dim: int = 0) -> Tensor:
    """A tensor's parts along ``dim`` in random order."""
    given = checked_key(key, "shuffle")
    made = as_tensor(x, "random.shuffle", "x")
    return permutation(given, made, dim_of(dim, made.ndim, "random.shuffle", shape=made.shape))
