"""Draws from keys of families of continuous distributions, made of the simpler ones.

As in :mod:`.distributions`, backends agree to rounding, and no derivative passes to parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.core.types import Shape
from slope.dims import size as count_of
from slope.dtypes import DTypeLike, float32
from slope.errors import ShapeError
from slope.functions._arguments import number_of, shape_of, whole_of
from slope.functions._base import TensorLike, floating, to_dtype
from slope.functions.distributions import (
    exponential_of,
    gamma_of,
    log_gamma_of,
    parameters_of,
    units_of,
)
from slope.functions.draws import normal
from slope.functions.elementwise import abs, cos, exp, log, log1p, sign, sin, sqrt
from slope.functions.keys import checked_key, split, unit_draws
from slope.functions.logic import where
from slope.functions.reductions import logsumexp

__all__ = [
    "ball",
    "cauchy",
    "chisquare",
    "dirichlet",
    "f",
    "generalized_normal",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "pareto",
    "rayleigh",
    "t",
    "triangular",
    "wald",
    "weibull_min",
]


def _units(key: Tensor, like: Tensor) -> Tensor:
    """Floats in [0, 1) of another tensor's shape and dtype."""
    return ops.reshape(unit_draws(key, count_of(like.shape), like.dtype), shape=like.shape)


# --- without parameters


def cauchy(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws of density ``1 / (pi * (1 + x**2))``."""
    unit, wanted = units_of(key, size, dtype, "cauchy")
    angle = math.pi * (unit - 0.5)
    return to_dtype(sin(angle) / cos(angle), wanted)


def logistic(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws of the distribution function ``1 / (1 + exp(-x))``."""
    unit, wanted = units_of(key, size, dtype, "logistic")
    least = 2.0**-54 if unit.dtype.bits == 64 else 2.0**-25  # half a step: 0 has no logarithm
    return to_dtype(log(where(unit == 0, least, unit)) - log1p(-unit), wanted)


def maxwell(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws of density ``sqrt(2 / pi) * x**2 * exp(-x**2 / 2)``: lengths of three normal draws."""
    given = checked_key(key, "maxwell")
    drawn = normal(given, (*shape_of(size, "random.maxwell", "size"), 3), dtype=dtype)
    return sqrt((drawn * drawn).sum(-1))


# --- with parameters


def lognormal(key: TensorLike, sigma: TensorLike = 1.0, shape: Shape | None = None) -> Tensor:
    """Draws whose logarithms are normal, of deviation ``sigma``.

    Of ``shape``, which ``sigma`` broadcasts to, or of its own shape.
    """
    given = checked_key(key, "lognormal")
    wanted, (deviation,) = parameters_of("lognormal", shape, sigma=sigma)
    drawn = normal(given, deviation.shape, dtype=deviation.dtype)
    return to_dtype(exp(deviation * drawn), wanted)


def pareto(key: TensorLike, b: TensorLike, shape: Shape | None = None) -> Tensor:
    """Draws of density ``b / x**(b + 1)`` from 1 on; ``shape`` as in :func:`lognormal`."""
    given = checked_key(key, "pareto")
    wanted, (power,) = parameters_of("pareto", shape, b=b)
    return to_dtype(exp(exponential_of(_units(given, power)) / power), wanted)


def rayleigh(key: TensorLike, scale: TensorLike = 1.0, shape: Shape | None = None) -> Tensor:
    """Lengths of two normal draws of deviation ``scale``; ``shape`` as in :func:`lognormal`."""
    given = checked_key(key, "rayleigh")
    wanted, (size,) = parameters_of("rayleigh", shape, scale=scale)
    return to_dtype(size * sqrt(2.0 * exponential_of(_units(given, size))), wanted)


def weibull_min(
    key: TensorLike, scale: TensorLike, concentration: TensorLike, shape: Shape | None = None
) -> Tensor:
    """Draws of the distribution function ``1 - exp(-(x / scale)**concentration)``.

    Of ``shape``, which both broadcast to, or of their own.
    """
    given = checked_key(key, "weibull_min")
    parameters = parameters_of("weibull_min", shape, scale=scale, concentration=concentration)
    wanted, (size, power) = parameters
    return to_dtype(size * exponential_of(_units(given, size)) ** (1.0 / power), wanted)


def triangular(
    key: TensorLike,
    left: TensorLike,
    mode: TensorLike,
    right: TensorLike,
    shape: Shape | None = None,
) -> Tensor:
    """Draws whose density rises in a line from ``left`` to ``mode`` and falls to ``right``.

    Of ``shape``, which all three broadcast to, or of their own.
    """
    given = checked_key(key, "triangular")
    wanted, (low, top, high) = parameters_of("triangular", shape, left=left, mode=mode, right=right)
    unit = _units(given, low)
    rising = low + sqrt(unit * (high - low) * (top - low))
    falling = high - sqrt((1.0 - unit) * (high - low) * (high - top))
    return to_dtype(where(unit * (high - low) < top - low, rising, falling), wanted)


def wald(key: TensorLike, mean: TensorLike, shape: Shape | None = None) -> Tensor:
    """Draws of the inverse Gaussian distribution of scale 1; ``shape`` as in :func:`lognormal`.

    Source: J. Michael, W. Schucany, R. Haas, "Generating random variates using transformations with
    multiple roots" (1976).
    """
    given = checked_key(key, "wald")
    wanted, (center,) = parameters_of("wald", shape, mean=mean)
    keys = split(given)
    drawn = normal(keys[0], center.shape, dtype=center.dtype)
    y = drawn * drawn
    away = 0.5 * center * center * y
    # The smaller root, mean + away - sqrt(...), written without its cancellation.
    root = center + away + 0.5 * center * sqrt(4.0 * center * y + center * center * y * y)
    first = center * center / root
    kept = _units(keys[1], center) * (center + first) <= center
    return to_dtype(where(kept, first, center * center / first), wanted)


# --- by gamma draws


def loggamma(key: TensorLike, concentration: TensorLike, shape: Shape | None = None) -> Tensor:
    """Logarithms of :func:`gamma` draws, exact where these vanish, of small concentrations."""
    given = checked_key(key, "loggamma")
    wanted, (a,) = parameters_of("loggamma", shape, concentration=concentration)
    return to_dtype(log_gamma_of(given, a), wanted)


def chisquare(key: TensorLike, df: TensorLike, shape: Shape | None = None) -> Tensor:
    """Sums of ``df`` squared normal draws; ``shape`` as in :func:`lognormal`."""
    given = checked_key(key, "chisquare")
    wanted, (freedom,) = parameters_of("chisquare", shape, df=df)
    return to_dtype(2.0 * gamma_of(given, 0.5 * freedom), wanted)


def t(key: TensorLike, df: TensorLike, shape: Shape | None = None) -> Tensor:
    """Draws of Student's distribution of ``df`` degrees of freedom.

    ``shape`` as in :func:`lognormal`.
    """
    given = checked_key(key, "t")
    wanted, (freedom,) = parameters_of("t", shape, df=df)
    keys = split(given)
    half = 0.5 * freedom
    drawn = normal(keys[0], half.shape, dtype=half.dtype)
    return to_dtype(drawn * sqrt(half / gamma_of(keys[1], half)), wanted)


def f(key: TensorLike, dfnum: TensorLike, dfden: TensorLike, shape: Shape | None = None) -> Tensor:
    """Ratios of two means of squares, of ``dfnum`` and of ``dfden`` normal draws.

    Of ``shape``, which both broadcast to, or of their own.
    """
    given = checked_key(key, "f")
    wanted, (above, below) = parameters_of("f", shape, dfnum=dfnum, dfden=dfden)
    keys = split(given)
    top = gamma_of(keys[0], 0.5 * above) / above
    return to_dtype(top * below / gamma_of(keys[1], 0.5 * below), wanted)


def dirichlet(key: TensorLike, concentration: TensorLike, shape: Shape | None = None) -> Tensor:
    """Probabilities along the last dimension, of density proportional to ``prod(x**(a - 1))``.

    Gamma draws over their sum, by their logarithms, so that small concentrations a do no harm.

    Args:
        key: a key.
        concentration: a, of shape (..., classes).
        shape: of the result without its last dimension; that of ``concentration`` by default.

    Raises:
        ShapeError: ``concentration`` has no dimension.
    """
    given = checked_key(key, "dirichlet")
    many = floating(concentration, "random.dirichlet", "concentration")
    if not many.ndim:
        raise ShapeError("random.dirichlet: concentration must be (..., classes), and is a scalar.")
    whole = None if shape is None else (*shape_of((shape,), "random.dirichlet"), many.shape[-1])
    wanted, (a,) = parameters_of("dirichlet", whole, concentration=many)
    logs = log_gamma_of(given, a)
    return to_dtype(exp(logs - logsumexp(logs, -1, keepdim=True)), wanted)


def generalized_normal(key: TensorLike, p: float, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Draws of density proportional to ``exp(-abs(x)**p)``."""
    keys = split(checked_key(key, "generalized_normal"))
    power = number_of(p, "random.generalized_normal", "p")
    unit, wanted = units_of(keys[1], size, dtype, "generalized_normal")
    share = 0.0 * unit + 1.0 / power
    return to_dtype(sign(unit - 0.5) * exp(log_gamma_of(keys[0], share) / power), wanted)


def ball(
    key: TensorLike,
    d: int,
    p: float = 2.0,
    shape: Shape | Sequence[int] = (),
    dtype: DTypeLike = float32,
) -> Tensor:
    """Points of the unit ball of ``d`` dimensions, evenly spread, shape (*shape, d).

    Source: F. Barthe et al., "A probabilistic approach to the geometry of the l_p^n-ball" (2005).

    Args:
        key: a key.
        d: how many dimensions.
        p: which norm is at most 1.
        shape: how many points.
        dtype: of the result.
    """
    keys = split(checked_key(key, "ball"))
    count, power = whole_of(d, "random.ball", "d", 1), number_of(p, "random.ball", "p")
    lead = shape_of((shape,), "random.ball")
    drawn = generalized_normal(keys[0], power, (*lead, count), dtype=dtype)
    unit, wanted = units_of(keys[1], ((*lead, 1),), dtype, "ball")
    total = (abs(drawn) ** power).sum(-1, keepdim=True) + exponential_of(unit)
    return to_dtype(drawn / total ** (1.0 / power), wanted)
