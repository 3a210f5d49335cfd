"""The normal distribution's functions, the scaled error function, and terms of entropies."""

from __future__ import annotations

import math
from typing import Any

from slope import dtypes
from slope import functions as fn
from slope.api import custom_jvp
from slope.core.tensor import Tensor
from slope.special import _tables as tables
from slope.special._elements import chebyshev, elementwise, within

__all__ = [
    "entr",
    "erfcx",
    "kl_div",
    "log_ndtr",
    "ndtr",
    "ndtri",
    "rel_entr",
    "xlog1py",
]

_ROOT_HALF = math.sqrt(0.5)


# --- the error function


@custom_jvp
def _erfcx(x: Tensor) -> Tensor:
    size = fn.abs(x)
    finite = within(fn.isfinite(size), size, 1.0)
    t = (finite - 3.75) / (finite + 3.75)
    out = chebyshev(t, tables.ERFCX) / (1.0 + 2.0 * finite)
    out = fn.where(fn.isinf(size), 0.0, fn.where(fn.isnan(x), x, out))
    # exp(x^2) in two factors: the square of the rounded x is exact.
    below = within((x < 0) & fn.isfinite(x), x, 0.0)
    coarse = fn.trunc(below * 16.0) / 16.0
    bell = fn.exp(coarse * coarse) * fn.exp((below - coarse) * (below + coarse))
    return fn.where(x < 0, fn.where(fn.isinf(x), math.inf, 2.0 * bell - out), out)


@_erfcx.defjvp
def _erfcx_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    out = _erfcx(x)
    return out, (2.0 * x * out - 2.0 / math.sqrt(math.pi)) * dx


@elementwise
def erfcx(x: Any) -> Tensor:
    """``exp(x**2) * erfc(x)``, which neither overflows nor vanishes for large ``x``."""
    return _erfcx(x)


# --- the normal distribution


def _density(x: Tensor) -> Tensor:
    return fn.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


@custom_jvp
def _ndtr(x: Tensor) -> Tensor:
    return 0.5 * fn.erfc(-x * _ROOT_HALF)


@_ndtr.defjvp
def _ndtr_rule(primals: Any, tangents: Any) -> Any:
    return _ndtr(primals[0]), _density(primals[0]) * tangents[0]


@custom_jvp
def _log_ndtr(x: Tensor) -> Tensor:
    low = x < -1
    deep = within(low, x, -1.0)
    tail = fn.log(0.5 * _erfcx(-deep * _ROOT_HALF)) - 0.5 * deep * deep
    rest = fn.log1p(-0.5 * fn.erfc(within(~low, x, 0.0) * _ROOT_HALF))
    return fn.where(low, fn.where(fn.isinf(x), -math.inf, tail), rest)


@_log_ndtr.defjvp
def _log_ndtr_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    low = x < -1
    tail = math.sqrt(2 / math.pi) / _erfcx(-within(low, x, -1.0) * _ROOT_HALF)
    high = within(~low, x, 0.0)
    return _log_ndtr(x), fn.where(low, tail, _density(high) / _ndtr(high)) * dx


@custom_jvp
def _ndtri(p: Tensor) -> Tensor:
    """By ``erfinv``; in the tails by Newton's steps in the logarithm, from the leading terms."""
    upper = p > 0.5
    q = fn.where(upper, 1.0 - p, p)
    fine = (q > 0) & (q <= 0.5)
    q = within(fine, q, 0.25)
    depth = -2.0 * fn.log(q)
    far = -fn.sqrt(fn.maximum(depth - fn.log(2 * math.pi * fn.maximum(depth - 1.8, 1.0)), 0.0))
    middle = math.sqrt(2) * fn.erfinv(2.0 * fn.maximum(q, 0.01) - 1.0)
    x = fn.where(q < 0.01, far, middle)
    goal = fn.log(q)
    for _ in range(4 if p.dtype is dtypes.float64 else 3):
        level = _log_ndtr(x)
        rate = fn.exp(-0.5 * x * x - 0.5 * math.log(2 * math.pi) - level)
        x = x - fn.where(q < 0.2, (level - goal) / rate, 0.0)
    edge = fn.where(p == 0, -math.inf, fn.where(p == 1, math.inf, math.nan))
    return fn.where(fine, fn.where(upper, -x, x), edge)


@_ndtri.defjvp
def _ndtri_rule(primals: Any, tangents: Any) -> Any:
    out = _ndtri(primals[0])
    return out, tangents[0] / _density(out)


@elementwise
def ndtr(x: Any) -> Tensor:
    """The normal distribution's function: the part of the area below the bell left of ``x``."""
    return _ndtr(x)


@elementwise
def log_ndtr(x: Any) -> Tensor:
    """``log(ndtr(x))``, exact where that vanishes."""
    return _log_ndtr(x)


@elementwise
def ndtri(p: Any) -> Tensor:
    """The inverse of :func:`ndtr`; infinite at 0 and 1, NaN outside."""
    return _ndtri(p)


# --- entropies


@elementwise
def xlog1py(x: Any, y: Any) -> Tensor:
    """``x * log1p(y)``; 0 where ``x`` is 0, unless ``y`` is NaN."""
    none = (x == 0) & ((y <= -1) | fn.isinf(y))
    return fn.where(none, 0.0, x * fn.log1p(within(~none, y, 1.0)))


@elementwise
def entr(x: Any) -> Tensor:
    """``-x * log(x)``: 0 at 0, -inf of negative numbers."""
    some = within(~(x <= 0), x, 1.0)
    return fn.where(x > 0, -x * fn.log(some), fn.where(x == 0, 0.0, fn.where(x < 0, -math.inf, x)))


@elementwise
def rel_entr(x: Any, y: Any) -> Tensor:
    """``x * log(x / y)``; 0 where ``x`` is 0 and ``y`` is not negative, inf where either is."""
    return _rel_entr(x, y)


def _rel_entr(x: Tensor, y: Tensor) -> Tensor:
    both = (x > 0) & (y > 0)
    value = x * (fn.log(within(both, x, 1.0)) - fn.log(within(both, y, 1.0)))
    strange = fn.isnan(x) | fn.isnan(y)
    edge = fn.where((x == 0) & (y >= 0), 0.0, math.inf)
    return fn.where(both, value, fn.where(strange, math.nan, edge))


@elementwise
def kl_div(x: Any, y: Any) -> Tensor:
    """``x * log(x / y) - x + y``: what each element adds to a divergence.

    SciPy's; :func:`slope.kl_div` is the loss of that name.
    """
    return _rel_entr(x, y) + (y - x)
