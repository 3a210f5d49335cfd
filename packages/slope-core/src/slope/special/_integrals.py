"""Exponential integrals and Spence's function."""

from __future__ import annotations

import math
from typing import Any, Final

from slope import functions as fn
from slope.api import custom_jvp
from slope.core.tensor import Tensor
from slope.special import _tables as tables
from slope.special._elements import chebyshev, elementwise, horner, within

__all__ = ["exp1", "expi", "spence"]

_EULER: Final = 0.5772156649015329


@custom_jvp
def _exp1(x: Tensor) -> Tensor:
    near = x <= 2
    low = within(near & (x > 0), x, 1.0)
    first = low * chebyshev(low - 1.0, tables.E1_NEAR) - fn.log(low) - _EULER
    high = within(~near, x, 2.0)
    second = chebyshev(4.0 / high - 1.0, tables.E1_FAR) * fn.exp(-high) / high
    edge = fn.where(x == 0, math.inf, math.nan)
    return fn.where(near, fn.where(x > 0, first, edge), second)


@_exp1.defjvp
def _exp1_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _exp1(x), -fn.exp(-x) / x * dx


@custom_jvp
def _expi(x: Tensor) -> Tensor:
    near = x <= 6
    low = within(near & (x > 0), x, 1.0)
    first = _EULER + fn.log(low)
    first = first + low * fn.exp(low) * chebyshev(low / 3.0 - 1.0, tables.EI_NEAR)
    size = within(x > 6, x, 6.0)
    pieces = ((6.0, 14.0, tables.EI_MIDDLE), (14.0, 34.0, tables.EI_OUTER))
    amplitude = chebyshev(68.0 / fn.maximum(size, 34.0) - 1.0, tables.EI_FAR)
    for start, end, series in reversed(pieces):
        inside = fn.clamp(size, start, end)
        t = (2.0 / inside - (1 / start + 1 / end)) / (1 / start - 1 / end)
        amplitude = fn.where(size < end, chebyshev(t, series), amplitude)
    root = fn.exp(0.5 * size)
    second = fn.where(x > 6, amplitude * root / size * root, x)
    second = fn.where(fn.isinf(x), math.inf, second)
    negative = -_exp1(within(x < 0, -x, 1.0))
    first = fn.where(x > 0, first, fn.where(x == 0, -math.inf, negative))
    return fn.where(near, first, second)


@_expi.defjvp
def _expi_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _expi(x), fn.exp(x) / x * dx


@elementwise
def exp1(x: Any) -> Tensor:
    """The integral of ``exp(-t) / t`` from ``x`` on; infinite at 0, NaN of negative numbers."""
    return _exp1(x)


@elementwise
def expi(x: Any) -> Tensor:
    """The integral of ``exp(t) / t`` up to ``x``, past 0 as its principal value; -inf at 0."""
    return _expi(x)


# Spence's function: D. Zagier, "The dilogarithm function" (2007): Li2(z) = sum of
# B_n u^(n + 1) / (n + 1)! for u = -log(1 - z), and here it is wanted at z = 1 - x.
_BERNOULLI: Final = (
    1.0, 1 / 36, -1 / 3600, 1 / 211680, -1 / 10886400, 1 / 526901760,
    -4.064761645144226e-11, 8.921691020456453e-13, -1.9939295860721074e-14,
    4.518980029619918e-16, -1.0356517612182470e-17,
)  # fmt: skip


@custom_jvp
def _spence(x: Tensor) -> Tensor:
    zero = x == 0
    place = within(x > 0, x, 1.0)
    large = place > 2
    y = fn.where(large, 1.0 / place, place)
    small = y < 0.5
    u = -fn.log(fn.where(small, 1.0 - y, y))  # at most log 2 in size
    value = u * horner(u * u, _BERNOULLI) - 0.25 * u * u
    turned = math.pi**2 / 6 - fn.log(y) * fn.log1p(-within(small, y, 0.25)) - value
    value = fn.where(small, turned, value)
    value = fn.where(large, -0.5 * fn.square(fn.log(place)) - value, value)
    return fn.where(x > 0, value, fn.where(zero, math.pi**2 / 6, fn.where(x < 0, math.nan, x)))


@_spence.defjvp
def _spence_rule(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    apart = x - 1.0
    small = fn.abs(apart) < 1e-3
    series = -1.0 + apart * (0.5 - apart * (1 / 3 - apart * (0.25 - apart * 0.2)))
    far = within(~small, apart, 1.0)
    return _spence(x), fn.where(small, series, -fn.log(x) / far) * dx


@elementwise
def spence(x: Any) -> Tensor:
    """The integral of ``log(t) / (1 - t)`` from 1 to ``x``: the dilogarithm of ``1 - x``.

    NaN of negative numbers.
    """
    return _spence(x)
