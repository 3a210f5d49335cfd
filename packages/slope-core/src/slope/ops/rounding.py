"""Rounding to whole numbers, and division with a remainder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from slope.core.operator import Sample, register
from slope.core.tensor import Tensor
from slope.ops._family import draws, splat_like
from slope.ops._pointwise import NotDifferentiable
from slope.ops.elementwise import Elementwise, add, div, mul, neg, sub
from slope.ops.logic import bitwise_and, eq, lt, ne, where


class Floor(NotDifferentiable):
    """The largest whole number not above ``x``."""

    name = "floor"


class Ceil(NotDifferentiable):
    """The smallest whole number not below ``x``."""

    name = "ceil"


class Round(NotDifferentiable):
    """The nearest whole number; halves go to the even one."""

    name = "round"


class Trunc(NotDifferentiable):
    """``x`` without its fraction."""

    name = "trunc"


class TruncateDivide(NotDifferentiable):
    """Integer division rounding toward zero.

    By zero it gives 0; the lowest integer by -1 wraps to itself.
    """

    name = "truncate_divide"
    arity = 2
    kinds = "iu"

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        low = np.iinfo(np.int32).min
        yield Sample(
            (
                np.array([7, -7, 7, -7, 5, 0, low], np.int32),
                np.array([2, 2, -2, -2, 0, 0, -1], np.int32),
            ),
            {},
            False,
        )


class FloorDivide(NotDifferentiable):
    """Division rounding down. Integers by zero give 0; the lowest integer by -1 wraps to itself.

    Of floats it is the whole number that :class:`Remainder` leaves a remainder to, as in Python:
    1.0 by 0.1 gives 9.0, since 0.1 is a little more than a tenth. By zero it is ``x / y``.
    """

    name = "floor_divide"
    arity = 2
    kinds = "iuf"

    def expand(self, x: Any, y: Any) -> Any:
        if x.dtype.is_floating_point:
            return self._floating(x, y)
        quotient = truncate_divide(x, y)
        if x.dtype.kind == "u":
            return quotient
        zero, one = splat_like(0, x), splat_like(1, x)
        inexact = ne(mul(quotient, y), x)
        opposite = ne(lt(x, zero), lt(y, zero))
        divides = ne(y, zero)
        return where(
            bitwise_and(bitwise_and(inexact, opposite), divides), sub(quotient, one), quotient
        )

    def _floating(self, x: Any, y: Any) -> Any:
        zero, one = splat_like(0.0, x), splat_like(1.0, x)
        rest = fmod(x, y)
        below = bitwise_and(ne(rest, zero), ne(lt(rest, zero), lt(y, zero)))
        exact = round_(div(sub(x, rest), y))  # whole, but for the rounding of the division
        return where(eq(y, zero), div(x, y), where(below, sub(exact, one), exact))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3), draws(2, 3, seed=1, low=0.5)), {}, False)
        tenths = np.array([1.0, -1.0, 1.0, 6.0, -0.3], np.float32)
        yield Sample((tenths, np.array([0.1, 0.1, -0.1, 0.1, 0.1], np.float32)), {}, False)
        yield from truncate_divide.samples()


class Fmod(Elementwise):
    """The remainder with the sign of the dividend, ``x - y * trunc(x / y)``, exact.

    Integers modulo zero give 0.
    """

    name = "fmod"
    arity = 2
    kinds = "iuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        x, y = xs
        return tangent if i == 0 else neg(mul(tangent, trunc(div(x, y))))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, low=-5, high=5), draws(2, 3, seed=1, low=0.6)))
        yield from truncate_divide.samples()


class Remainder(Elementwise):
    """The remainder with the sign of the divisor, ``x - y * floor(x / y)``, as Python's ``%``.

    Integers modulo zero give 0.
    """

    name = "remainder"
    arity = 2
    kinds = "iuf"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        x, y = xs
        return tangent if i == 0 else neg(mul(tangent, floor(div(x, y))))

    def expand(self, x: Any, y: Any) -> Any:
        rest = fmod(x, y)
        if x.dtype.kind == "u":
            return rest
        zero = splat_like(0, x)
        wrong = bitwise_and(ne(rest, zero), ne(lt(rest, zero), lt(y, zero)))
        return where(wrong, add(rest, y), rest)

    def samples(self) -> Iterator[Sample]:
        yield from fmod.samples()


floor = register(Floor())
ceil = register(Ceil())
round_ = register(Round())
trunc = register(Trunc())
truncate_divide = register(TruncateDivide())
floor_divide = register(FloorDivide())
fmod = register(Fmod())
remainder = register(Remainder())
