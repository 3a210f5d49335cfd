"""Bessel functions of orders 0 and 1, by Chebyshev series; their derivatives are one another.

Accurate to a few units in the last place of the largest value nearby: at their zeros it is the
absolute error that is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from slope import functions as fn
from slope.api import custom_jvp
from slope.core.tensor import Tensor
from slope.special import _tables as tables
from slope.special._elements import chebyshev, elementwise, within
from slope.special._tables import Series

__all__ = [
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "spherical_bessel_j0",
]


def _over(y: Tensor, x: Tensor, limit: float) -> Tensor:
    """``y / x``, and its limit at 0."""
    none = x == 0
    return fn.where(none, limit, y / within(~none, x, 1.0))


def _scaled(x: Tensor, near: Series, far: Series) -> tuple[Tensor, Tensor, Tensor]:
    """Both series of a modified function of the first kind, and where the first holds."""
    size = fn.abs(x)
    inside = size <= 8
    first = chebyshev(within(inside, size, 0.0) / 4.0 - 1.0, near)
    beyond = within(~inside, size, 8.0)
    return inside, first, chebyshev(16.0 / beyond - 1.0, far) / fn.sqrt(beyond)


@custom_jvp
def _i0e(x: Tensor) -> Tensor:
    inside, near, far = _scaled(x, tables.I0_NEAR, tables.I0_FAR)
    return fn.where(inside, near, fn.where(fn.isnan(x), x, far))


@custom_jvp
def _i1e(x: Tensor) -> Tensor:
    inside, near, far = _scaled(x, tables.I1_NEAR, tables.I1_FAR)
    return fn.where(inside, near * x, fn.where(fn.isnan(x), x, fn.sign(x) * far))


@custom_jvp
def _i0(x: Tensor) -> Tensor:
    return _grown(_i0e(x), x, fn.abs(x))


@custom_jvp
def _i1(x: Tensor) -> Tensor:
    return _grown(_i1e(x), x, x)


def _grown(y: Tensor, x: Tensor, limit: Tensor) -> Tensor:
    """``y exp(|x|)`` in two steps, so that it overflows no sooner than it must."""
    root = fn.exp(fn.abs(x) / 2.0)
    return fn.where(fn.isinf(x), limit, y * root * root)


def _near(x: Tensor, inside: Tensor, coefficients: Series) -> Tensor:
    place = within(inside, x, 0.0)
    return chebyshev(place * place / 32.0 - 1.0, coefficients)


def _far(x: Tensor, inside: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """J and Y of an order beyond 8."""
    beyond = within(~inside & fn.isfinite(x), x, 9.0)
    t = 128.0 / (beyond * beyond) - 1.0
    p = chebyshev(t, tables.P1 if order else tables.P0)
    q = chebyshev(t, tables.Q1 if order else tables.Q0) / beyond
    # The angle less pi / 4 or 3 pi / 4, without taking that off a large number.
    sine, cosine = fn.sin(beyond), fn.cos(beyond)
    c, s = (sine - cosine, -sine - cosine) if order else (cosine + sine, sine - cosine)
    scale = 1.0 / fn.sqrt(math.pi * beyond)
    j, y = (p * c - q * s) * scale, (p * s + q * c) * scale
    nothing = fn.isinf(x)
    return fn.where(nothing, 0.0, j), fn.where(nothing, 0.0, y)


@custom_jvp
def _j0(x: Tensor) -> Tensor:
    size = fn.abs(x)
    inside = ~(size > 8)
    return fn.where(inside, _near(size, inside, tables.J0_NEAR), _far(size, inside, 0)[0])


@custom_jvp
def _j1(x: Tensor) -> Tensor:
    size = fn.abs(x)
    inside = ~(size > 8)
    near = _near(size, inside, tables.J1_NEAR) * x
    return fn.where(inside, near, fn.sign(x) * _far(size, inside, 1)[0])


@custom_jvp
def _y0(x: Tensor) -> Tensor:
    inside = ~(x > 8)
    logarithm = (2.0 / math.pi) * fn.log(x)
    near = logarithm * _j0(x) + _near(x, inside, tables.Y0_NEAR)
    return fn.where(inside, near, _far(x, inside, 0)[1])


@custom_jvp
def _y1(x: Tensor) -> Tensor:
    inside = ~(x > 8)
    some = within(x > 0, x, 1.0)
    near = (2.0 / math.pi) * (fn.log(some) * _j1(some) - 1.0 / some)
    near = near + some * _near(some, inside, tables.Y1_NEAR)
    edge = fn.where(x == 0, -math.inf, fn.log(fn.minimum(x, 1.0)) * math.inf)
    near = fn.where(x > 0, near, fn.where(x == 0, edge, math.nan))
    return fn.where(inside, near, _far(x, inside, 1)[1])


def _second(x: Tensor, inside: Tensor, far: Series) -> Tensor:
    """A scaled function of the second kind beyond 2."""
    beyond = within(~inside, x, 2.0)
    return chebyshev(4.0 / beyond - 1.0, far) / fn.sqrt(beyond)


@custom_jvp
def _k0e(x: Tensor) -> Tensor:
    inside = x <= 2
    some = within(inside & (x > 0), x, 1.0)
    near = chebyshev(some * some / 2.0 - 1.0, tables.K0_NEAR) - fn.log(some / 2.0) * _i0(some)
    near = fn.where(x == 0, math.inf, fn.where(x < 0, math.nan, near * fn.exp(some)))
    return fn.where(inside, near, _second(x, inside, tables.K0_FAR))


@custom_jvp
def _k1e(x: Tensor) -> Tensor:
    inside = x <= 2
    some = within(inside & (x > 0), x, 1.0)
    near = chebyshev(some * some / 2.0 - 1.0, tables.K1_NEAR) / some
    near = (near + fn.log(some / 2.0) * _i1(some)) * fn.exp(some)
    near = fn.where(x == 0, math.inf, fn.where(x < 0, math.nan, near))
    return fn.where(inside, near, _second(x, inside, tables.K1_FAR))


@custom_jvp
def _k0(x: Tensor) -> Tensor:
    return _k0e(x) * fn.exp(-x)


@custom_jvp
def _k1(x: Tensor) -> Tensor:
    return _k1e(x) * fn.exp(-x)


def _derive(function: custom_jvp, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Give a function its derivative, from the place and the value there."""

    def push(primals: Any, tangents: Any) -> Any:
        out = function(primals[0])
        return out, rule(primals[0], out) * tangents[0]

    function.defjvp(push)


_derive(_i0e, lambda x, out: _i1e(x) - fn.sign(x) * out)
_derive(_i1e, lambda x, out: _i0e(x) - _over(out, x, 0.5) - fn.sign(x) * out)
_derive(_i0, lambda x, out: _i1(x))
_derive(_i1, lambda x, out: _i0(x) - _over(out, x, 0.5))
_derive(_j0, lambda x, out: -_j1(x))
_derive(_j1, lambda x, out: _j0(x) - _over(out, x, 0.5))
_derive(_y0, lambda x, out: -_y1(x))
_derive(_y1, lambda x, out: _y0(x) - out / x)
_derive(_k0e, lambda x, out: out - _k1e(x))
_derive(_k1e, lambda x, out: out - _k0e(x) - out / x)
_derive(_k0, lambda x, out: -_k1(x))
_derive(_k1, lambda x, out: -_k0(x) - out / x)


@elementwise
def i0(x: Any) -> Tensor:
    """The modified Bessel function of the first kind, of order 0; it grows as ``exp(abs(x))``."""
    return _i0(x)


@elementwise
def i0e(x: Any) -> Tensor:
    """``exp(-abs(x)) * i0(x)``."""
    return _i0e(x)


@elementwise
def i1(x: Any) -> Tensor:
    """The modified Bessel function of the first kind, of order 1."""
    return _i1(x)


@elementwise
def i1e(x: Any) -> Tensor:
    """``exp(-abs(x)) * i1(x)``."""
    return _i1e(x)


@elementwise
def bessel_j0(x: Any) -> Tensor:
    """The Bessel function of the first kind, of order 0."""
    return _j0(x)


@elementwise
def bessel_j1(x: Any) -> Tensor:
    """The Bessel function of the first kind, of order 1."""
    return _j1(x)


@elementwise
def bessel_y0(x: Any) -> Tensor:
    """The Bessel function of the second kind, of order 0; -inf at 0, NaN of negative numbers."""
    return _y0(x)


@elementwise
def bessel_y1(x: Any) -> Tensor:
    """The Bessel function of the second kind, of order 1; -inf at 0, NaN of negative numbers."""
    return _y1(x)


@elementwise
def modified_bessel_k0(x: Any) -> Tensor:
    """The modified Bessel function of the second kind, of order 0.

    Infinite at 0, NaN of negative numbers.
    """
    return _k0(x)


@elementwise
def modified_bessel_k1(x: Any) -> Tensor:
    """The modified Bessel function of the second kind, of order 1.

    Infinite at 0, NaN of negative numbers.
    """
    return _k1(x)


@elementwise
def scaled_modified_bessel_k0(x: Any) -> Tensor:
    """``exp(x) * modified_bessel_k0(x)``."""
    return _k0e(x)


@elementwise
def scaled_modified_bessel_k1(x: Any) -> Tensor:
    """``exp(x) * modified_bessel_k1(x)``."""
    return _k1e(x)


@elementwise
def spherical_bessel_j0(x: Any) -> Tensor:
    """``sin(x) / x``; 1 at 0."""
    return fn.sinc(x / math.pi)


modified_bessel_i0, modified_bessel_i1 = i0, i1
