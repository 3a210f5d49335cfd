"""Elementary functions that lose no digits where plain formulas cancel or overflow.

Each is accurate to a few units in the last place in float32 and float64 (where its docstring does
not say else); half precision is computed in float32. A backend may have a rule of its own;
otherwise the expansion is lowered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.operator import Sample, register
from slope.core.tensor import Tensor
from slope.ops._family import draws, splat_like
from slope.ops._pointwise import Pointwise
from slope.ops.elementwise import Elementwise

LOG2 = math.log(2.0)


class Precise(Elementwise):
    """The family base: ``formula`` computes in float32 or float64, ``push`` is the derivative."""

    def formula(self, *xs: Tensor) -> Tensor:
        """The result, of operands that are not half precision."""
        raise NotImplementedError  # every subclass defines it

    def expand(self, *xs: Any) -> Any:
        dtype = xs[0].dtype
        wide = dtypes.accumulator(dtype)
        if wide is dtype:
            return self.formula(*xs)
        return ops.cast(self.formula(*(ops.cast(x, dtype=wide) for x in xs)), dtype=dtype)


class PreciseByExpansion(Pointwise):
    """The base of those whose derivative is their expansion's."""

    def formula(self, *xs: Tensor) -> Tensor:
        """The result, of operands that are not half precision."""
        raise NotImplementedError  # every subclass defines it

    expand = Precise.expand


def number(value: float, like: Tensor) -> Tensor:
    """A number as a tensor of ``like``'s type."""
    return splat_like(value, like)


def with_sign_of(size: Tensor, x: Tensor) -> Tensor:
    """``size`` with the sign of ``x``; ``x`` itself where it is 0, so that -0 stays."""
    zero = number(0.0, x)
    signed = ops.where(ops.lt(x, zero), ops.neg(size), size)
    return ops.where(ops.eq(x, zero), x, signed)


def polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Horner's scheme, the highest power first."""
    result = number(coefficients[0], x)
    for coefficient in coefficients[1:]:
        result = ops.add(ops.mul(result, x), number(coefficient, x))
    return result


def _edge(*values: float) -> Any:
    return np.array(values, np.float32)


# --- inverse trigonometry


class Asin(Precise):
    """The angle in radians, from -pi/2 to pi/2, whose sine is ``x``; NaN outside [-1, 1]."""

    name = "asin"

    def formula(self, *xs: Tensor) -> Tensor:
        return ops.atan2(xs[0], _leg(xs[0]))

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.div(tangent, _leg(xs[0]))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=-0.95, high=0.95),))
        yield Sample((_edge(-1, 0, 1, 1e-6, 0.9999999),), {}, False)


class Acos(Asin):
    """The angle in radians, from 0 to pi, whose cosine is ``x``; NaN outside [-1, 1]."""

    name = "acos"

    def formula(self, *xs: Tensor) -> Tensor:
        return ops.atan2(_leg(xs[0]), xs[0])

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.neg(ops.div(tangent, _leg(xs[0])))


def _leg(x: Tensor) -> Tensor:
    one = number(1.0, x)
    return ops.sqrt(ops.mul(ops.sub(one, x), ops.add(one, x)))


class Atan(Precise):
    """The angle in radians, from -pi/2 to pi/2, whose tangent is ``x``."""

    name = "atan"

    def formula(self, *xs: Tensor) -> Tensor:
        return ops.atan2(xs[0], number(1.0, xs[0]))

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.div(tangent, ops.add(number(1.0, xs[0]), ops.mul(xs[0], xs[0])))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_edge(-np.inf, 0, 1, 1e-6, np.inf, 1e10),), {}, False)


# --- hyperbolic functions


class Sinh(Precise):
    """``(exp(x) - exp(-x)) / 2``, exact near 0, without overflow before the result's own."""

    name = "sinh"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        size, half = ops.abs_(x), number(0.5, x)
        grown = ops.expm1(size)
        near = ops.mul(half, ops.add(grown, ops.div(grown, ops.add(grown, number(1.0, x)))))
        return with_sign_of(_unless_far(size, near), x)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, cosh(xs[0]))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_edge(-np.inf, 0, 1e-4, -1e-6, 89, np.inf, 20),), {}, False)


class Cosh(Sinh):
    """``(exp(x) + exp(-x)) / 2``, without overflow before the result's own."""

    name = "cosh"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        size = ops.abs_(x)
        grown = ops.mul(number(0.5, x), ops.exp(size))
        return _unless_far(size, ops.add(grown, ops.div(number(0.25, x), grown)))

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, sinh(xs[0]))


def _unless_far(size: Tensor, near: Tensor) -> Tensor:
    """``exp(size) / 2`` in two factors where ``exp`` may overflow though its half does not."""
    root = ops.exp(ops.mul(number(0.5, size), size))
    far = ops.mul(ops.mul(number(0.5, size), root), root)
    limit = 80.0 if size.dtype is dtypes.float32 else 700.0
    return ops.where(ops.gt(size, number(limit, size)), far, near)


class Asinh(Precise):
    """The inverse of the hyperbolic sine; exact near 0, without overflow."""

    name = "asinh"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        size, one = ops.abs_(x), number(1.0, x)
        huge = ops.gt(size, number(_huge(x), x))
        safe = ops.where(huge, one, size)
        square = ops.mul(safe, safe)
        root = ops.sqrt(ops.add(square, one))
        near = ops.log1p(ops.add(safe, ops.div(square, ops.add(one, root))))
        far = ops.add(ops.log(size), number(LOG2, x))
        return with_sign_of(ops.where(huge, far, near), x)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        (x,) = xs
        return ops.div(tangent, hypot(x, number(1.0, x)))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_edge(-np.inf, 0, 1e-4, -1e-6, 1e30, np.inf, -20),), {}, False)


def _huge(x: Tensor) -> float:
    """From here on ``x * x + 1`` is ``x * x``, and that does not overflow yet."""
    return 1e8 if x.dtype is dtypes.float32 else 1e16


class Acosh(Precise):
    """The inverse of the hyperbolic cosine; exact near 1, without overflow, NaN below 1."""

    name = "acosh"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        one = number(1.0, x)
        huge = ops.gt(x, number(_huge(x), x))
        over = ops.sub(ops.where(huge, one, x), one)
        # Two roots, each NaN below 1, where the root of a product could be real or infinite.
        root = ops.mul(ops.sqrt(over), ops.sqrt(ops.add(over, number(2.0, x))))
        near = ops.log1p(ops.add(over, root))
        return ops.where(huge, ops.add(ops.log(x), number(LOG2, x)), near)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        (x,) = xs
        one = number(1.0, x)
        root = ops.mul(ops.sqrt(ops.sub(x, one)), ops.sqrt(ops.add(x, one)))
        return ops.div(tangent, root)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=1.1, high=5),))
        yield Sample((_edge(1, 1.0001, 1e30, np.inf, 20, 0.5, -3, -1e30, -np.inf),), {}, False)


class Atanh(Precise):
    """The inverse of the hyperbolic tangent; exact near 0, NaN outside [-1, 1]."""

    name = "atanh"

    def formula(self, *xs: Tensor) -> Tensor:
        (x,) = xs
        size = ops.abs_(x)
        twice = ops.add(size, size)
        grown = ops.log1p(ops.div(twice, ops.sub(number(1.0, x), size)))
        return with_sign_of(ops.mul(number(0.5, x), grown), x)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        one = number(1.0, xs[0])
        return ops.div(tangent, ops.mul(ops.sub(one, xs[0]), ops.add(one, xs[0])))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=-0.95, high=0.95),))
        yield Sample((_edge(-1, 0, 1e-4, -1e-6, 0.999999, 1),), {}, False)


# --- two operands


class Hypot(Precise):
    """``sqrt(x^2 + y^2)`` without overflow or underflow; infinite if either is.

    The derivative at (0, 0) is NaN, as PyTorch's.
    """

    name = "hypot"
    arity = 2

    def formula(self, *xs: Tensor) -> Tensor:
        x, y = (ops.abs_(each) for each in xs)
        high, low = ops.maximum(x, y), ops.minimum(x, y)
        zero, one, top = number(0.0, x), number(1.0, x), number(math.inf, x)
        ratio = ops.div(low, ops.where(ops.eq(high, zero), one, high))
        out = ops.mul(high, ops.sqrt(ops.add(one, ops.mul(ratio, ratio))))
        return ops.where(ops.bitwise_or(ops.eq(x, top), ops.eq(y, top)), top, out)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, ops.div(xs[i], out))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_edge(0, 3e38, 1e-30, np.inf, -3), _edge(0, 1, 1e-30, 1, 4)), {}, False)


class LogAddExp(Precise):
    """``log(exp(x) + exp(y))`` without overflow; -inf of -inf twice, inf of inf twice."""

    name = "logaddexp"
    arity = 2

    def formula(self, *xs: Tensor) -> Tensor:
        x, y = xs
        high = ops.maximum(x, y)
        away = ops.neg(ops.abs_(ops.sub(x, y)))
        equal = ops.eq(x, y)  # also infinities, whose difference is NaN
        away = ops.where(equal, number(0.0, x), away)
        return ops.add(high, ops.log1p(ops.exp(away)))

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, ops.sigmoid(ops.sub(xs[i], xs[1 - i])))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        low = -np.inf
        yield Sample((_edge(low, np.inf, 1e30, low, 0), _edge(low, np.inf, 0, 1, -50)), {}, False)


class Xlogy(Precise):
    """``x * log(y)``; 0 where ``x`` is 0, unless ``y`` is NaN."""

    name = "xlogy"
    arity = 2

    def formula(self, *xs: Tensor) -> Tensor:
        x, y = xs
        zero = number(0.0, x)
        none = ops.bitwise_and(ops.eq(x, zero), ops.eq(y, y))
        return ops.where(none, zero, ops.mul(x, ops.log(y)))

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        x, y = xs
        if i == 1:
            return ops.mul(tangent, ops.div(x, y))
        zero = number(0.0, x)
        none = ops.bitwise_and(ops.eq(x, zero), ops.le(y, zero))
        return ops.mul(tangent, ops.where(none, zero, ops.log(y)))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3), draws(2, 3, seed=1, low=0.2)))
        yield Sample((_edge(0, 0, 2, 0, 0), _edge(0, 2, 0, np.nan, np.inf)), {}, False)


class CopySign(Pointwise):
    """The size of ``x`` with the sign of ``y``, of -0 and NaN, too.

    As PyTorch's, the derivative at ``x == 0`` is 0, and ``y``'s 0.
    """

    name = "copysign"
    arity = 2

    def expand(self, x: Any, y: Any) -> Any:
        whole = {2: dtypes.uint16, 4: dtypes.uint32, 8: dtypes.uint64}[x.dtype.itemsize]
        sign_bit = 1 << (x.dtype.bits - 1)
        bits, other = ops.bitcast(x, dtype=whole), ops.bitcast(y, dtype=whole)
        size = ops.bitwise_and(bits, splat_like(sign_bit - 1, bits))
        sign = ops.bitwise_and(other, splat_like(sign_bit, other))
        return ops.bitcast(ops.bitwise_or(size, sign), dtype=x.dtype)

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> Any:
        out = copysign(*primals)
        if tangents[0] is None:
            return out, None
        turned = ops.mul(ops.sign(primals[0]), ops.sign(out))
        return out, ops.mul(tangents[0], turned)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_edge(0, 2, -2, np.inf, -0.0), _edge(-1, -0.0, 1, -np.inf, 0)), {}, False)


# --- limits


class _Limit(Elementwise):
    arity = 2
    kinds = "iuf"

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3), draws(2, 3, seed=1)))
        yield Sample((draws(0, 2), draws(0, 2)))
        yield Sample((_edge(1, 2, np.nan, np.inf), _edge(1, 3, 0, -np.inf)), {}, False)
        yield Sample((np.array([3, -3]), np.array([1, 1])), {}, False)


class ClampMin(_Limit):
    """``x``, but at least ``min``; NaN of NaN.

    ``x`` has the whole derivative where it equals the bound, as in PyTorch.
    """

    name = "clamp_min"

    def expand(self, x: Any, bound: Any) -> Any:
        return ops.maximum(x, bound)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return _passing(ops.ge(*xs) if i == 0 else ops.lt(*xs), tangent)


class ClampMax(_Limit):
    """``x``, but at most ``max``; NaN of NaN.

    ``x`` has the whole derivative where it equals the bound, as in PyTorch.
    """

    name = "clamp_max"

    def expand(self, x: Any, bound: Any) -> Any:
        return ops.minimum(x, bound)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return _passing(ops.le(*xs) if i == 0 else ops.gt(*xs), tangent)


def _passing(condition: Tensor, tangent: Tensor) -> Tensor:
    return ops.where(condition, tangent, number(0.0, tangent))


asin = register(Asin())
acos = register(Acos())
atan = register(Atan())
sinh = register(Sinh())
cosh = register(Cosh())
asinh = register(Asinh())
acosh = register(Acosh())
atanh = register(Atanh())
hypot = register(Hypot())
logaddexp = register(LogAddExp())
xlogy = register(Xlogy())
copysign = register(CopySign())
clamp_min = register(ClampMin())
clamp_max = register(ClampMax())
