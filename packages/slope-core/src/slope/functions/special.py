"""Operators: the error function's complement and inverse; log-gamma and its derivative."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.operator import Sample, register
from slope.core.tensor import Tensor
from slope.functions.precise import Precise, PreciseByExpansion, number, polynomial, with_sign_of
from slope.ops._family import draws

# --- the error function
#
# erfc: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23
# (1969), with the coefficients of his SPECFUN routine CALERF. erfinv: M. Giles, "Approximating the
# erfinv function" (2010), then Halley's steps.

_MIDDLE_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
_MIDDLE_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_TAIL_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_TAIL_Q = (
    1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
    6.05183413124413191e-2, 2.33520497626869185e-3,
)  # fmt: skip
_CENTER = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
    -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_OUTER = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
    0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def _edge(*values: float) -> Any:
    return np.array(values, np.float32)


class Erfc(Precise):
    """``1 - erf(x)``, exact to a few units in the last place in its tail, too."""

    name = "erfc"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        one, two = number(1.0, x), number(2.0, x)
        size = ops.abs_(x)
        beyond = ops.minimum(ops.maximum(size, number(0.46875, x)), number(30.0, x))
        middle = ops.div(polynomial(beyond, _MIDDLE_P), polynomial(beyond, _MIDDLE_Q))
        inverse = ops.div(one, ops.mul(beyond, beyond))
        series = ops.mul(
            inverse, ops.div(polynomial(inverse, _TAIL_P), polynomial(inverse, _TAIL_Q))
        )
        tail = ops.div(ops.sub(number(1.0 / math.sqrt(math.pi), x), series), beyond)
        scaled = ops.where(ops.le(beyond, number(4.0, x)), middle, tail)
        # exp(-x^2) in two factors: the square of the rounded x is exact.
        coarse = ops.div(ops.trunc(ops.mul(beyond, number(16.0, x))), number(16.0, x))
        rest = ops.mul(ops.sub(beyond, coarse), ops.add(beyond, coarse))
        bell = ops.mul(ops.exp(ops.neg(ops.mul(coarse, coarse))), ops.exp(ops.neg(rest)))
        outside = ops.mul(bell, scaled)
        outside = ops.where(ops.lt(x, number(0.0, x)), ops.sub(two, outside), outside)
        near = ops.sub(one, ops.erf(x))  # NaN of NaN
        return ops.where(ops.gt(size, number(0.46875, x)), outside, near)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        bell = ops.exp(ops.neg(ops.mul(xs[0], xs[0])))
        return ops.mul(tangent, ops.mul(number(-2.0 / math.sqrt(math.pi), xs[0]), bell))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_edge(-np.inf, -7, -1, 0, 0.3, 3, 4.5, 9, 30, np.inf),), {}, False)


class ErfInv(Precise):
    """The inverse of the error function; infinite at -1 and 1, NaN outside."""

    name = "erfinv"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        one, zero = number(1.0, x), number(0.0, x)
        size = ops.abs_(x)
        left = ops.sub(one, size)  # exact from 1/2 on
        inside = ops.bitwise_and(ops.gt(left, zero), ops.le(left, one))
        rest = ops.where(inside, left, one)
        place = ops.where(inside, size, zero)
        out = _giles(place, rest)
        for _ in range(2 if x.dtype is dtypes.float64 else 1):
            out = _halley(out, place, rest)
        limit = ops.where(ops.eq(left, zero), number(math.inf, x), number(math.nan, x))
        return with_sign_of(ops.where(inside, out, limit), x)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(
            tangent, ops.mul(number(math.sqrt(math.pi) / 2.0, out), ops.exp(ops.mul(out, out)))
        )

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=-0.95, high=0.95),))
        yield Sample((_edge(-1, 0, 1e-4, -1e-6, 0.99999, 1),), {}, False)


def _giles(size: Tensor, left: Tensor) -> Tensor:
    """The inverse to 7 digits, and to 2 beyond ``1 - 1e-7``, where the leading terms serve."""
    w = ops.neg(ops.log(ops.mul(left, ops.add(number(1.0, size), size))))
    center = ops.mul(size, polynomial(ops.sub(w, number(2.5, w)), _CENTER))
    root = ops.sqrt(ops.maximum(w, number(5.0, w)))
    outer = ops.mul(
        size, polynomial(ops.sub(ops.minimum(root, number(4.1, w)), number(3.0, w)), _OUTER)
    )
    depth = ops.neg(ops.log(left))
    deep = ops.maximum(depth, number(1.0, w))
    far = ops.sqrt(
        ops.sub(deep, ops.mul(number(0.5, w), ops.log(ops.mul(number(math.pi, w), deep))))
    )
    near = ops.where(ops.lt(w, number(5.0, w)), center, outer)
    return ops.where(ops.lt(w, number(16.0, w)), near, far)


def _halley(z: Tensor, size: Tensor, left: Tensor) -> Tensor:
    """One step toward ``erf(z) == size``; measured by ``erfc`` where that is the smaller."""
    off = ops.where(ops.gt(z, number(0.5, z)), ops.sub(left, erfc(z)), ops.sub(ops.erf(z), size))
    newton = ops.mul(off, ops.mul(number(math.sqrt(math.pi) / 2.0, z), ops.exp(ops.mul(z, z))))
    return ops.sub(z, ops.div(newton, ops.add(number(1.0, z), ops.mul(z, newton))))


# --- the gamma function
#
# lgamma: C. Lanczos, "A precision approximation of the gamma function" (1964), with Godfrey's
# coefficients for g = 7. Its derivative: the recurrence up to 10, then Bernoulli's asymptotic
# series (Abramowitz and Stegun 6.3.18).

_LANCZOS = (
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip
_SHIFT = 10


class Lgamma(Precise):
    """The logarithm of the size of the gamma function; inf at 0 and the negative whole numbers.

    The absolute error is a few units in the last place of 1, or of the result where that is larger.
    """

    name = "lgamma"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        half, one = number(0.5, x), number(1.0, x)
        low = ops.lt(x, half)
        z = ops.sub(ops.where(low, ops.sub(one, x), x), one)
        total = one
        for k, coefficient in enumerate(_LANCZOS):
            total = ops.add(total, ops.div(number(coefficient, x), ops.add(z, number(k + 1.0, x))))
        # log(t) and the rest are taken together, so that large terms do not cancel.
        t = ops.add(z, number(7.5, x))
        log_t = ops.add(number(math.log(7.5), x), ops.log1p(ops.div(z, number(7.5, x))))
        body = ops.mul(ops.sub(ops.add(z, half), ops.div(t, log_t)), log_t)
        upper = ops.add(ops.add(number(0.5 * math.log(2 * math.pi), x), body), ops.log(total))
        # Reflection: |gamma(x) gamma(1 - x)| = pi / |sin(pi x)|, with the sine of the fraction
        # alone.
        part = ops.abs_(ops.sub(x, ops.round_(x)))
        sine = ops.log(ops.sin(ops.mul(number(math.pi, x), part)))
        lower = ops.sub(ops.sub(number(math.log(math.pi), x), sine), upper)
        out = ops.where(low, lower, upper)
        infinite = ops.eq(ops.abs_(x), number(math.inf, x))
        return ops.where(infinite, number(math.inf, x), out)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, digamma(xs[0]))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=0.2, high=6),))
        yield Sample((draws(4, low=-3.4, high=-2.6),))
        yield Sample((_edge(1, 2, 0, -1, 1e-3, 30, 1e6, np.inf),), {}, False)


class Digamma(PreciseByExpansion):
    """The derivative of :class:`Lgamma`.

    NaN at the negative whole numbers, -inf at 0 (inf at -0), as PyTorch's.
    """

    name = "digamma"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        one, zero = number(1.0, x), number(0.0, x)
        low = ops.lt(x, number(0.5, x))
        z = ops.where(low, ops.sub(one, x), x)
        out = zero
        for _ in range(_SHIFT):
            small = ops.lt(z, number(float(_SHIFT), x))
            out = ops.sub(out, ops.where(small, ops.div(one, z), zero))
            z = ops.where(small, ops.add(z, one), z)
        inverse = ops.div(one, ops.mul(z, z))
        bernoulli = (-1 / 12, 691 / 32760, -1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12)
        series = ops.mul(inverse, polynomial(inverse, bernoulli))
        out = ops.add(out, ops.add(ops.sub(ops.log(z), ops.div(number(0.5, x), z)), series))
        part = ops.sub(x, ops.round_(x))
        whole = ops.eq(part, zero)
        safe = ops.where(ops.bitwise_and(low, ops.bitwise_not(whole)), part, number(0.25, x))
        turned = ops.div(number(math.pi, x), ops.tan(ops.mul(number(math.pi, x), safe)))
        pole = ops.where(ops.eq(x, zero), ops.div(number(-1.0, x), x), number(math.nan, x))
        reflected = ops.where(whole, pole, ops.sub(out, turned))
        return ops.where(low, reflected, out)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=0.6, high=6),))
        yield Sample((draws(4, low=-3.4, high=-2.6),))
        yield Sample((_edge(1, 2, 0, -1, 1e-3, 30, 1e6, np.inf),), {}, False)


erfc = register(Erfc())
erfinv = register(ErfInv())
digamma = register(Digamma())
lgamma = register(Lgamma())
