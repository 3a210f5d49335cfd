"""The gamma function's kin: factorials, beta functions, derivatives of its logarithm, zeta."""

from __future__ import annotations

import math
from typing import Any, Final

from slope import dtypes
from slope import functions as fn
from slope.api import custom_jvp
from slope.core.tensor import Tensor
from slope.errors import ArgumentError
from slope.functions._arguments import whole_of
from slope.functions._base import floating, to_dtype
from slope.special._elements import elementwise, horner, within

__all__ = [
    "beta",
    "betaln",
    "factorial",
    "gamma",
    "gammasgn",
    "multigammaln",
    "poch",
    "polygamma",
    "zeta",
]


# --- values


def _sign(x: Tensor) -> Tensor:
    """The sign of gamma: it turns at each of the negative whole numbers."""
    below = fn.floor(x)
    odd = fn.remainder(below, 2.0) == 1
    sign = fn.where((x < 0) & odd, -1.0, 1.0)
    return fn.where(x == 0, fn.where(fn.signbit(x), -1.0, 1.0), sign)


@elementwise
def gammasgn(x: Any) -> Tensor:
    """The sign of :func:`gamma`: 1 or -1; -1 at -0, and NaN at the negative whole numbers."""
    return fn.where(_poles(x) | fn.isnan(x), math.nan, _sign(x))


@elementwise
def gamma(x: Any) -> Tensor:
    """The gamma function; NaN at the negative whole numbers, infinite at 0."""
    return _gamma(x)


def _gamma(x: Tensor) -> Tensor:
    return fn.where(_poles(x), math.nan, _sign(x) * fn.exp(fn.lgamma(x)))


def _poles(x: Tensor) -> Tensor:
    """Where gamma has no value and no one-sided limit from the right, either."""
    return (x < 0) & (fn.floor(x) == x)


@elementwise
def factorial(n: Any) -> Tensor:
    """``gamma(n + 1)``, of fractions, too; 0 of negative numbers."""
    return fn.where(n < 0, 0.0, _gamma(within(~(n < 0), n, 1.0) + 1.0))


@elementwise
def poch(z: Any, m: Any) -> Tensor:
    """Pochhammer's symbol ``gamma(z + m) / gamma(z)``; 1 where ``m`` is 0.

    Where both have a pole, its limit, ``(-1)**m * gamma(1 - z) / gamma(1 - z - m)``.
    """
    both = _whole_below(z) & _whole_below(z + m)
    top, bottom = fn.where(both, 1.0 - z, z + m), fn.where(both, 1.0 - z - m, z)
    turns = fn.where(fn.remainder(m, 2.0) == 1, -1.0, 1.0)
    sign = fn.where(both, turns, _sign(z) * _sign(z + m))
    return fn.where(m == 0, 1.0, sign * fn.exp(fn.lgamma(top) - fn.lgamma(bottom)))


def _whole_below(x: Tensor) -> Tensor:
    """Where gamma has a pole: at 0 and the negative whole numbers."""
    return (x <= 0) & (fn.floor(x) == x)


def multigammaln(x: Any, p: int) -> Tensor:
    """The logarithm of the gamma function of ``p`` dimensions.

    ``p (p - 1) / 4 log(pi) + lgamma(x) + lgamma(x - 1/2) + ...``, of ``p`` terms.

    Raises:
        ArgumentError: ``p`` is no int of at least 1.
    """
    given = floating(x, "special.multigammaln", "x")
    count = whole_of(p, "special.multigammaln", "p", 1)
    total = fn.lgamma(given) + count * (count - 1) / 4 * math.log(math.pi)
    for step in range(1, count):
        total = total + fn.lgamma(given - step / 2)
    return total


# --- the beta function

# What log gamma adds to Stirling's formula, times x, in 1 / x^2 (Abramowitz and Stegun 6.1.40).
_STIRLING: Final = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400,
)  # fmt: skip


def stirling(x: Tensor) -> Tensor:
    """``lgamma(x)`` less Stirling's formula, for ``x`` of at least 10."""
    return horner(1.0 / (x * x), _STIRLING) / x


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """``log(abs(beta(a, b)))``."""
    low, high = fn.minimum(a, b), fn.maximum(a, b)
    far = high >= 10
    total = low + high
    plain = fn.lgamma(low) + (fn.lgamma(high) - fn.lgamma(total))
    # gamma(high) / gamma(total), without taking large logarithms apart.
    top = within(far, high, 10.0)
    bottom = within(far, low, 1.0)
    rest = stirling(top) - stirling(top + bottom) + bottom
    rest = rest - (top - 0.5) * fn.log1p(bottom / top) - bottom * fn.log(top + bottom)
    return fn.where(far & (low > 0), fn.lgamma(low) + rest, plain)


@elementwise
def betaln(a: Any, b: Any) -> Tensor:
    """``lgamma(a) + lgamma(b) - lgamma(a + b)``, exact where these are large and cancel."""
    return log_beta(a, b)


@elementwise
def beta(a: Any, b: Any) -> Tensor:
    """``gamma(a) * gamma(b) / gamma(a + b)``."""
    return _sign(a) * _sign(b) * _sign(a + b) * fn.exp(log_beta(a, b))


# --- zeta
#
# Euler and Maclaurin's sum (NIST handbook of mathematical functions, 25.11.5 with 2.10.1).

_TERMS: Final = 10
_BERNOULLI: Final = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000,
)  # fmt: skip


def _zeta(s: Tensor, q: Tensor) -> Tensor:
    fine = (s > 1) & (q > 0) & (q < math.inf)
    s_, q_ = within(fine, s, 2.0), within(fine, q, 1.0)
    total = q_**-s_
    for k in range(1, _TERMS):
        total = total + (q_ + float(k)) ** -s_
    w = q_ + float(_TERMS)
    last = w**-s_
    total = total + last * (w / (s_ - 1.0) + 0.5)
    factor = s_ * last / w
    inverse = 1.0 / (w * w)
    for k, coefficient in enumerate(_BERNOULLI):
        total = total + coefficient * factor
        factor = factor * (s_ + (2.0 * k + 1.0)) * (s_ + (2.0 * k + 2.0)) * inverse
    pole = ((s == 1) & (q > 0)) | ((s > 1) & (q <= 0) & (fn.floor(q) == q))
    far = (s > 1) & (q == math.inf)
    return fn.where(fine, total, fn.where(pole, math.inf, fn.where(far, 0.0, math.nan)))


@elementwise
def zeta(s: Any, q: Any) -> Tensor:
    """Hurwitz' zeta function, the sum of ``(q + k) ** -s`` over all k from 0 on.

    ``q = 1`` gives Riemann's. Infinite at ``s = 1`` and where q is 0 or a negative whole number;
    NaN for ``s`` below 1 and for other negative ``q``.
    """
    return _zeta(s, q)


# --- derivatives of digamma

_MOST: Final = 170  # float64 holds no larger factorial
_NARROW: Final = 30  # float32 holds those up to 34, which leaves orders to differentiate


def polygamma(n: int, x: Any) -> Tensor:
    """The ``n``-th derivative of :func:`slope.digamma`, of negative numbers, too.

    Infinite at 0 and the negative whole numbers if ``n`` is odd, else NaN there.

    Raises:
        ArgumentError: ``n`` is no int from 0 to 170.
    """
    if isinstance(n, Tensor):
        raise ArgumentError(
            "special.polygamma: n is a tensor, and must be an int: the order decides the program."
        )
    order = whole_of(n, "special.polygamma", "n", 0)
    given = floating(x, "special.polygamma", "x")
    if order == 0:
        return fn.digamma(given)
    if order > _MOST:
        raise ArgumentError(f"special.polygamma: n={order} must be at most {_MOST}.")
    dtype = dtypes.float64 if order > _NARROW else dtypes.accumulator(given.dtype)
    return to_dtype(_polygamma(order, to_dtype(given, dtype)), given.dtype)


def _polygamma_value(n: int, x: Tensor) -> Tensor:
    low = x < 0.5
    odd = bool(n % 2)
    upper = fn.where(low, 1.0 - x, x)
    out = _as_float(math.factorial(n)) * _zeta(fn.full_like(x, n + 1.0), upper)
    out = out if odd else -out
    # Reflection: psi_n(x) = (-1)^n psi_n(1 - x) - pi d^n/dx^n cot(pi x).
    part = x - fn.round(x)
    whole = part == 0
    angle = math.pi * within(low & ~whole, part, 0.25)
    cotangent = fn.cos(angle) / fn.sin(angle)
    rest = -(math.pi ** (n + 1)) * horner(cotangent, _of_cotangent(n))
    # It is the larger part, so where it overflows, so does the sum, whatever the other does.
    turned = fn.where(fn.isinf(rest), rest, (-out if odd else out) + rest)
    turned = fn.where(whole, math.inf if odd else math.nan, turned)
    return fn.where(low, turned, out)


def _of_cotangent(n: int) -> tuple[float, ...]:
    """The ``n``-th derivative of the cotangent as a polynomial of it, the lowest power first."""
    powers = [0, 1]
    for _ in range(n):
        down = [k * each for k, each in enumerate(powers)][1:]  # the derivative
        powers = [0] * (len(down) + 2)
        for k, each in enumerate(down):  # times -(1 + c^2)
            powers[k] -= each
            powers[k + 2] -= each
    return tuple(map(_as_float, powers))


def _as_float(whole: int) -> float:
    """The nearest float; infinite beyond the largest."""
    try:
        return float(whole)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf


def _polygamma_rule(n: int, primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _polygamma(n, x), _polygamma(n + 1, x) * dx


_polygamma = custom_jvp(_polygamma_value, nondiff_argnums=(0,))
_polygamma.defjvp(_polygamma_rule)
