"""The incomplete gamma and beta functions.

Series and continued fractions are loops that end when all elements have settled. Derivatives with
respect to ``x`` have a closed form; those with respect to the parameters are the loops' own, so
they pass one derivative in reverse mode and no second one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from slope import dtypes
from slope import functions as fn
from slope.api import custom_jvp, jvp, while_loop
from slope.core.tensor import Splat, Tensor
from slope.special import _tables as tables
from slope.special._elements import chebyshev, elementwise, horner, within
from slope.special._gamma import log_beta, stirling

__all__ = ["betainc", "gammainc", "gammaincc"]

_LARGE: Final = 200.0  # from here on Temme's expansion serves around x = a
_MOST: Final = 2000  # turns of a loop
_TINY: Final = 1e-37  # whose root has a derivative


def _epsilon(x: Tensor) -> float:
    """What no longer counts beside 1."""
    return 1e-17 if x.dtype is dtypes.float64 else 1e-8


def _excess(u: Tensor, ratio: Tensor) -> Tensor:
    """``u - log(ratio)``, where ``ratio = 1 + u``; for r = u / (2 + u) it is ``u - 2 atanh(r)``."""
    near = fn.abs(u) < 0.35
    small = within(near, u, 0.0)
    r = small / (2.0 + small)
    series = horner(r * r, tuple(1.0 / (2 * k + 3) for k in range(12)))
    far = u - fn.log(within(~near, ratio, 1.0))
    return fn.where(near, small * r - 2.0 * r * r * r * series, far)


def _lgamma1p(a: Tensor) -> Tensor:
    """``lgamma(1 + a)``, exact near 0."""
    near = a <= 2
    small = within(near, a, 1.0)
    far = within(~near, a, 3.0)
    return fn.where(near, small * chebyshev(small - 1.0, tables.LGAMMA1P), fn.lgamma(far + 1.0))


# --- gamma


def _head(a: Tensor, x: Tensor) -> Tensor:
    """``x^a exp(-x) / gamma(1 + a)``."""
    large = a >= 10
    big = within(large, a, 10.0)
    place = within(large, x, 10.0)
    exponent = -big * _excess((place - big) / big, place / big) - stirling(big)
    shaped = fn.exp(exponent) / fn.sqrt(2 * math.pi * big)
    small = within(~large, a, 1.0)
    return fn.where(large, shaped, fn.exp(small * fn.log(x) - x - _lgamma1p(small)))


def _series(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``x^n / ((a + 1) ... (a + n))`` from 0, and ``(-x)^n / (n! (a + n))`` from 1 on."""
    least = _epsilon(x)

    def unsettled(state: Any) -> Any:
        n, term, total, other, _ = state
        moving = (fn.abs(term) > least * total).any() | (fn.abs(other) > least).any()
        return moving & (n < _MOST)

    def turn(state: Any) -> Any:
        n, term, total, other, alternating = state
        n = n + 1.0
        term = term * (x / (a + n))
        other = -other * fn.minimum(x, 2.0) / n  # used up to x = 1.1
        return n, term, total + term, other, alternating + other / (a + n)

    one, zero = fn.ones_like(x), fn.zeros_like(x)
    count = fn.zeros((), dtype=x.dtype)
    _, _, total, _, alternating = while_loop(unsettled, turn, (count, one, one, one, zero))
    return total, alternating


def _fraction(a: Tensor, x: Tensor, moves: bool) -> Tensor:
    """``gamma(a, x) exp(x) / x^a`` by its continued fraction, for ``x`` above ``a + 1`` and 1.

    NIST handbook of mathematical functions, 8.9.2.
    """

    def parts(n: Tensor) -> tuple[Tensor, Tensor]:
        return n * (a - n), x + (2.0 * n + 1.0) - a

    return 1.0 / _lentz(x + 1.0 - a, parts, _turns(a, moves))


def _turns(size: Tensor, moves: bool) -> Tensor | float:
    """The least number of turns.

    Where a parameter is a whole number, a fraction may end, and its derivative not.
    """
    return 24.0 + 5.0 * fn.sqrt(fn.stop_gradient(size)) if moves else 0.0


def _lentz(
    start: Tensor, parts: Callable[[Tensor], tuple[Tensor, Tensor]], turns: Tensor | float
) -> Tensor:
    """The continued fraction ``b0 + a1 / (b1 + a2 / (b2 + ...))``, by Lentz' method.

    Source: I. Thompson, A. Barnett, "Coulomb and Bessel functions of complex arguments and order",
    1986.

    Args:
        start: b0.
        parts: a and b of a place, counted from 1.
        turns: how many places are looked at in any case.
    """
    least = 60.0 * _epsilon(start)

    def not_zero(x: Tensor) -> Tensor:
        return fn.where(fn.abs(x) < 1e-30, 1e-30, x)

    def unsettled(state: Any) -> Any:
        return state[-1].any() & (state[0] < _MOST)

    def turn(state: Any) -> Any:
        n, c, d, value, moving = state
        n = n + 1.0
        numerator, b = parts(n)
        d = 1.0 / not_zero(b + numerator * d)
        c = not_zero(b + numerator / c)
        value = fn.where(moving, value * (c * d), value)
        return n, c, d, value, moving & ((fn.abs(c * d - 1.0) > least) | (n < turns))

    first = not_zero(start)
    count = fn.zeros((), dtype=start.dtype)
    begin = (count, first, fn.zeros_like(first), first, ~fn.isnan(first))
    return while_loop(unsettled, turn, begin)[3]


def _around(a: Tensor, u: Tensor, upper: bool) -> Tensor:
    """Temme's expansion around ``x = a (1 + u)``, of the lower or the upper function."""
    eta = fn.sign(u) * fn.sqrt(fn.maximum(2.0 * _excess(u, 1.0 + u), _TINY))
    eta = fn.where(u == 0, u, eta)
    powers = tuple(horner(eta, row) for row in tables.TEMME)
    total = powers[-1]
    for power in reversed(powers[:-1]):
        total = total / a + power
    rest = fn.exp(-0.5 * a * eta * eta) / fn.sqrt(2 * math.pi * a) * total
    place = eta * fn.sqrt(0.5 * a)
    return 0.5 * fn.erfc(place) + rest if upper else 0.5 * fn.erfc(-place) - rest


def _gamma_value(upper: bool, a: Tensor, x: Tensor, moves: bool = False) -> Tensor:
    """The value; if ``a`` moves, its derivative settles, too."""
    fine = (a > 0) & (x > 0) & fn.isfinite(a) & fn.isfinite(x)
    a_, x_ = within(fine, a, 1.0), within(fine, x, 1.0)
    u = (x_ - a_) / a_
    around = (a_ >= _LARGE) & (fn.abs(u) < 0.3)
    below = x_ < a_ + 1.0
    ordinary = fine & ~around
    lower_a, lower_x = within(ordinary & below, a_, 1.0), within(ordinary & below, x_, 0.5)
    total, alternating = _series(lower_a, lower_x)
    p = _head(lower_a, lower_x) * total
    upper_a, upper_x = within(ordinary & ~below, a_, 1.0), within(ordinary & ~below, x_, 3.0)
    # x^a exp(-x) / gamma(a) is _head times a.
    q = _head(upper_a, upper_x) * upper_a * _fraction(upper_a, upper_x, moves)
    near = _around(within(around, a_, _LARGE), within(around, u, 0.0), upper)
    if upper:
        # Where p is close to 1, 1 - p would leave few digits.
        logarithm = fn.log(lower_x)
        start = -fn.expm1(lower_a * logarithm - _lgamma1p(lower_a))
        weight = fn.exp(lower_a * logarithm - _lgamma1p(lower_a)) * lower_a
        small = (lower_x <= 1.1) & (
            fn.where(lower_x <= 0.5, -0.4 / logarithm, 1.1 * lower_x) > lower_a
        )
        value = fn.where(below, fn.where(small, start - weight * alternating, 1.0 - p), q)
    else:
        value = fn.where(below, p, 1.0 - q)
    value = fn.where(around, near, value)
    one, nothing = (0.0, 1.0) if upper else (1.0, 0.0)  # at the ends, x = inf and x = 0
    full = ((a == 0) & (x > 0)) | ((a >= 0) & fn.isfinite(a) & (x == math.inf))
    empty = ((a > 0) & (x == 0)) | ((a == math.inf) & (x >= 0) & fn.isfinite(x))
    edge = fn.where(full, one, fn.where(empty, nothing, math.nan))
    return fn.where(fine, value, edge)


def _gamma_rule(upper: bool, primals: Any, tangents: Any) -> Any:
    (a, x), (da, dx) = primals, tangents
    out = _gamma(upper, a, x)
    positive = x > 0
    place = within(positive, x, 1.0)
    safe = within(a > 0, a, 1.0)
    density = _head(safe, place) * safe / place
    edge = fn.where(a < 1, math.inf, fn.where(a == 1, 1.0, 0.0))
    density = fn.where(positive, density, fn.where(x == 0, edge, math.nan))
    change = (-density if upper else density) * dx
    if _moves(da):
        rate = jvp(lambda a: _gamma_value(upper, a, x, True), (a,), (fn.ones_like(a),))[1]
        change = change + rate * da
    return out, change


def _moves(tangent: Tensor) -> bool:
    return not (isinstance(tangent, Splat) and tangent.value == 0)


_gamma = custom_jvp(_gamma_value, nondiff_argnums=(0,))
_gamma.defjvp(_gamma_rule)


@elementwise
def gammainc(a: Any, x: Any) -> Tensor:
    """The lower incomplete gamma function, as a part of the whole one: from 0 to 1 in ``x``.

    The integral of ``t**(a - 1) * exp(-t)`` up to ``x``, over ``gamma(a)``. Negative numbers give
    NaN.
    Sources: the series and continued fraction of the NIST handbook of mathematical functions, 8.11
    and 8.9; N. Temme's expansion (1979) for large ``a``, where ``x`` is close to it.
    """
    return _gamma(False, a, x)


@elementwise
def gammaincc(a: Any, x: Any) -> Tensor:
    """``1 - gammainc(a, x)``, exact where that vanishes."""
    return _gamma(True, a, x)


# --- beta


def _beta_fraction(a: Tensor, b: Tensor, x: Tensor, moves: bool) -> Tensor:
    """The continued fraction 8.17.22 of the NIST handbook of mathematical functions."""

    def parts(n: Tensor) -> tuple[Tensor, Tensor]:
        half = fn.floor(0.5 * n)
        twice = a + 2.0 * half
        odd = -(a + half) * (a + b + half) * x / (twice * (twice + 1.0))
        even = half * (b - half) * x / ((twice - 1.0) * within(half > 0, twice, 1.0))
        return fn.where(half * 2.0 == n, even, odd), fn.ones_like(x)

    return 1.0 / _lentz(fn.ones_like(x), parts, _turns(a + b, moves))


def _power(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """``x^a (1 - x)^b / beta(a, b)``."""
    large = (a >= 10) & (b >= 10)
    a_, b_ = within(large, a, 10.0), within(large, b, 10.0)
    total = a_ + b_
    apart = a_ - total * x  # how far x is from the middle
    exponent = -a_ * _excess(-apart / a_, total * x / a_)
    exponent = exponent - b_ * _excess(apart / b_, total * (1.0 - x) / b_)
    exponent = exponent + stirling(total) - stirling(a_) - stirling(b_)
    shaped = fn.exp(exponent) * fn.sqrt(a_ * b_ / (2 * math.pi * total))
    a_, b_ = within(~large, a, 1.0), within(~large, b, 1.0)
    plain = fn.exp(a_ * fn.log(x) + b_ * fn.log1p(-x) - log_beta(a_, b_))
    return fn.where(large, shaped, plain)


def _beta_value(a: Tensor, b: Tensor, x: Tensor, moves: bool = False) -> Tensor:
    """The value; if ``a`` or ``b`` move, their derivatives settle, too."""
    fine = (a > 0) & (b > 0) & (x > 0) & (x < 1)
    a_, b_, x_ = within(fine, a, 1.0), within(fine, b, 1.0), within(fine, x, 0.5)
    turned = x_ > (a_ + 1.0) / (a_ + b_ + 2.0)
    p, q = fn.where(turned, b_, a_), fn.where(turned, a_, b_)
    place = fn.where(turned, 1.0 - x_, x_)
    value = _power(a_, b_, x_) * _beta_fraction(p, q, place, moves) / p
    value = fn.where(turned, 1.0 - value, value)
    sound = (a > 0) & (b > 0)
    edge = fn.where(sound & (x == 0), 0.0, fn.where(sound & (x == 1), 1.0, math.nan))
    return fn.where(fine, value, edge)


@custom_jvp
def _beta(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return _beta_value(a, b, x)


@_beta.defjvp
def _beta_rule(primals: Any, tangents: Any) -> Any:
    (a, b, x), (da, db, dx) = primals, tangents
    inside = (x > 0) & (x < 1)
    place = within(inside, x, 0.5)
    density = _power(a, b, place) / (place * (1.0 - place))
    change = fn.where(inside, density, 0.0) * dx
    if _moves(da):
        rate = jvp(lambda a: _beta_value(a, b, x, True), (a,), (fn.ones_like(a),))[1]
        change = change + rate * da
    if _moves(db):
        rate = jvp(lambda b: _beta_value(a, b, x, True), (b,), (fn.ones_like(b),))[1]
        change = change + rate * db
    return _beta(a, b, x), change


@elementwise
def betainc(a: Any, b: Any, x: Any) -> Tensor:
    """The incomplete beta function, as a part of the whole one: from 0 to 1 in ``x``.

    The integral of ``t**(a - 1) * (1 - t)**(b - 1)`` from 0 to ``x``, over ``beta(a, b)``; NaN for
    ``a`` or ``b`` that are not positive and ``x`` outside of [0, 1].
    """
    return _beta(a, b, x)
