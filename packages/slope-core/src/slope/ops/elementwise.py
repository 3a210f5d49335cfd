"""Arithmetic and transcendental operators.

Each result element depends on the operand elements at its place alone.

All operands have one shape and one dtype; ``slope.functions`` broadcasts and promotes before. A
differentiable operator says what it does to one operand's tangent in ``push``; the family base sums
over the operands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope.core.operator import Linear, Operand, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import DTypeError
from slope.ops._family import draws, ints, splat_like
from slope.ops._pointwise import NotDifferentiable, Pointwise
from slope.ops.logic import bitwise_and, eq, ge, gt, lt, where


class Elementwise(Pointwise):
    """The base of differentiable elementwise operators."""

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor, **params: Any) -> Tensor:
        """What operand ``i``'s tangent adds to the result's; ``out`` is the result."""
        raise NotImplementedError  # every subclass with differentiable = True defines it or jvp

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        out = self(*primals, **params)
        total: Tangent = None
        for i, tangent in enumerate(tangents):
            if tangent is not None:
                term = self.push(i, tangent, out, *primals, **params)
                total = term if total is None else add(total, term)
        return out, total


# --- linear in each operand or in all


class Neg(Elementwise):
    """``-x``; unsigned integers wrap around."""

    name = "neg"
    kinds = "iuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return neg(tangent)

    def transpose(self, cotangent: Any, x: Operand) -> Sequence[Tangent]:
        return (neg(cotangent),)


class Add(Elementwise):
    """``x + y``."""

    name = "add"
    arity = 2
    kinds = "iuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return tangent

    def transpose(self, cotangent: Any, *operands: Operand) -> Sequence[Tangent]:
        return tuple(cotangent if isinstance(operand, Linear) else None for operand in operands)


class Sub(Elementwise):
    """``x - y``."""

    name = "sub"
    arity = 2
    kinds = "iuf"

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        out, (first, second) = self(*primals), tangents
        if second is None:
            return out, first
        return out, neg(second) if first is None else sub(first, second)

    def transpose(self, cotangent: Any, x: Operand, y: Operand) -> Sequence[Tangent]:
        return cotangent if isinstance(x, Linear) else None, neg(cotangent) if isinstance(
            y, Linear
        ) else None


class Mul(Elementwise):
    """``x * y``."""

    name = "mul"
    arity = 2
    kinds = "iuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, xs[1 - i])

    def transpose(self, cotangent: Any, x: Any, y: Any) -> Sequence[Tangent]:
        return (mul(cotangent, y), None) if isinstance(x, Linear) else (None, mul(cotangent, x))


class Div(Elementwise):
    """``x / y`` of floating-point operands; by zero it gives inf or NaN, as IEEE 754 says."""

    name = "div"
    arity = 2

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        _, y = xs
        return div(tangent, y) if i == 0 else neg(mul(tangent, div(out, y)))

    def transpose(self, cotangent: Any, x: Any, y: Any) -> Sequence[Tangent]:
        return div(cotangent, y), None

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3), draws(2, 3, seed=1, low=0.5)))
        yield Sample((np.array([1, -1, 0], np.float32), np.zeros(3, np.float32)), {}, False)


# --- powers, exponentials, logarithms


class Pow(Elementwise):
    """``x ** y`` of floating-point operands.

    ``0 ** 0`` is 1; the derivatives at ``x == 0`` are PyTorch's.
    """

    name = "pow"
    arity = 2

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        x, y = xs
        zero = splat_like(0.0, x)
        if i == 0:
            slope = mul(y, pow_(x, sub(y, splat_like(1.0, y))))
            return mul(tangent, where(eq(y, zero), zero, slope))
        flat = bitwise_and(eq(x, zero), ge(y, zero))
        safe = where(flat, splat_like(1.0, x), x)
        return mul(tangent, where(flat, zero, mul(out, log(safe))))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=0.2), draws(2, 3, seed=1)))
        yield Sample(
            (np.array([0, 0, -2, 4], np.float32), np.array([0, 2, 3, -0.5], np.float32)), {}, False
        )


class IntegerPow(Elementwise):
    """``x ** exponent`` for an integer known beforehand, by repeated squaring.

    Params:
        exponent: an int; negative ones need a floating-point operand.
    """

    name = "integer_pow"
    kinds = "iuf"

    def infer(self, *xs: TensorType, exponent: int) -> TensorType:
        if exponent < 0 and not xs[0].dtype.is_floating_point:
            raise DTypeError(
                f"integer_pow: the exponent {exponent} is negative, and {xs[0]} is no "
                f"floating-point tensor."
            )
        return super().infer(*xs)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor, exponent: int) -> Tensor:
        (x,) = xs
        if exponent == 0:
            return mul(tangent, splat_like(0.0, x))
        if exponent == 1:
            return tangent
        power = x if exponent == 2 else integer_pow(x, exponent=exponent - 1)
        return mul(tangent, mul(splat_like(float(exponent), x), power))

    def expand(self, x: Any, *, exponent: int) -> Any:
        if exponent < 0:
            return div(splat_like(1.0, x), self.expand(x, exponent=-exponent))
        result: Any = None
        square, left = x, exponent
        while left:
            if left & 1:
                result = square if result is None else mul(result, square)
            left >>= 1
            if left:
                square = mul(square, square)
        return splat_like(1, x) if result is None else result

    def samples(self) -> Iterator[Sample]:
        for exponent in (0, 1, 2, 3, 7, -1, -2):
            yield Sample((draws(2, 3, low=0.5),), {"exponent": exponent})
        yield Sample((ints(4),), {"exponent": 3}, False)


class Exp(Elementwise):
    """e to the power of ``x``."""

    name = "exp"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, out)


class Expm1(Elementwise):
    """``exp(x) - 1``, exact near 0."""

    name = "expm1"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, add(out, splat_like(1.0, out)))


class _Positive(Elementwise):
    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=0.2),))
        yield Sample((np.array([0, np.inf], np.float32),), {}, False)


class Log(_Positive):
    """The natural logarithm; -inf at 0, NaN below."""

    name = "log"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return div(tangent, xs[0])


class Log1p(_Positive):
    """``log(1 + x)``, exact near 0."""

    name = "log1p"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return div(tangent, add(xs[0], splat_like(1.0, xs[0])))


class Sqrt(_Positive):
    """The square root; NaN below 0."""

    name = "sqrt"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return div(mul(tangent, splat_like(0.5, out)), out)


class Rsqrt(Elementwise):
    """``1 / sqrt(x)``."""

    name = "rsqrt"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, mul(splat_like(-0.5, out), div(out, xs[0])))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=0.2),))


# --- trigonometry and sigmoids


class Sin(Elementwise):
    """The sine of ``x`` in radians."""

    name = "sin"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, cos(xs[0]))


class Cos(Elementwise):
    """The cosine of ``x`` in radians."""

    name = "cos"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return neg(mul(tangent, sin(xs[0])))


class Tan(Elementwise):
    """The tangent of ``x`` in radians."""

    name = "tan"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, add(splat_like(1.0, out), mul(out, out)))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=-1.2, high=1.2),))


class Atan2(Elementwise):
    """The angle of the point ``(y, x)`` in radians, from -pi to pi; operands in that order."""

    name = "atan2"
    arity = 2

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        y, x = xs
        norm = add(mul(x, x), mul(y, y))
        return mul(tangent, div(x, norm)) if i == 0 else neg(mul(tangent, div(y, norm)))


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    name = "tanh"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, sub(splat_like(1.0, out), mul(out, out)))


class Sigmoid(Elementwise):
    """``1 / (1 + exp(-x))``, without overflow."""

    name = "sigmoid"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, mul(out, sub(splat_like(1.0, out), out)))


class Erf(Elementwise):
    """The error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    name = "erf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        (x,) = xs
        return mul(tangent, mul(splat_like(2.0 / math.sqrt(math.pi), x), exp(neg(mul(x, x)))))


# --- signs and extremes


class Abs(Elementwise):
    """The absolute value; its derivative at 0 is 0. The lowest signed integer stays as it is."""

    name = "abs"
    kinds = "iuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return mul(tangent, sign(xs[0]))


class Sign(NotDifferentiable):
    """-1, 0 or 1; NaN of NaN."""

    name = "sign"
    kinds = "iuf"


class _Extremum(Elementwise):
    arity = 2
    kinds = "biuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        mine, other = xs[i], xs[1 - i]
        half, zero, one = (splat_like(value, out) for value in (0.5, 0.0, 1.0))
        wins = gt(mine, other) if self.name == "maximum" else lt(mine, other)
        return mul(tangent, where(eq(mine, other), half, where(wins, one, zero)))


class Maximum(_Extremum):
    """The larger operand; NaN if either is NaN.

    Equal operands share the derivative, half each, as in PyTorch.
    """

    name = "maximum"


class Minimum(_Extremum):
    """The smaller operand; NaN if either is NaN.

    Equal operands share the derivative, half each, as in PyTorch.
    """

    name = "minimum"


neg = register(Neg())
add = register(Add())
sub = register(Sub())
mul = register(Mul())
div = register(Div())
pow_ = register(Pow())
integer_pow = register(IntegerPow())
exp = register(Exp())
expm1 = register(Expm1())
log = register(Log())
log1p = register(Log1p())
sqrt = register(Sqrt())
rsqrt = register(Rsqrt())
sin = register(Sin())
cos = register(Cos())
tan = register(Tan())
atan2 = register(Atan2())
tanh = register(Tanh())
sigmoid = register(Sigmoid())
erf = register(Erf())
abs_ = register(Abs())
sign = register(Sign())
maximum = register(Maximum())
minimum = register(Minimum())
