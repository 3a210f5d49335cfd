"""Comparisons, choices, bits and tests of single elements; none has a derivative but ``where``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import dtypes
from slope.core.operator import Linear, Operand, Operator, Sample, Tangent, register
from slope.core.types import TensorType
from slope.dtypes import DType, bool_
from slope.errors import DTypeError, ShapeError
from slope.ops._family import draws, flags, ints, splat_like
from slope.ops._pointwise import NotDifferentiable, Pointwise


class Comparison(NotDifferentiable):
    """The base of comparisons: two operands of one type, a bool result.

    Comparisons with NaN are False, ``ne`` True.
    """

    arity = 2
    kinds = "biuf"

    def infer(self, *xs: TensorType, **params: Any) -> TensorType:
        return super().infer(*xs).with_dtype(bool_)

    def samples(self) -> Iterator[Sample]:
        yield Sample((ints(3, 4, low=-1, high=1), ints(3, 4, seed=1, low=-1, high=1)), {}, False)
        yield Sample(
            (np.array([1, np.nan, 0.0], np.float32), np.array([1, np.nan, -0.0], np.float32)),
            {},
            False,
        )
        yield Sample((flags(5), flags(5, seed=1)), {}, False)


class Eq(Comparison):
    """``x == y``."""

    name = "eq"


class Ne(Comparison):
    """``x != y``."""

    name = "ne"


class Lt(Comparison):
    """``x < y``."""

    name = "lt"


class Le(Comparison):
    """``x <= y``."""

    name = "le"


class Gt(Comparison):
    """``x > y``."""

    name = "gt"


class Ge(Comparison):
    """``x >= y``."""

    name = "ge"


class Where(Pointwise):
    """``x`` where the condition holds, else ``y``.

    What is not chosen never reaches result or derivative.
    """

    name = "where"
    arity = 3

    def infer(self, *xs: TensorType, **params: Any) -> TensorType:
        condition, x, y = xs
        if condition.dtype is not bool_:
            raise DTypeError(f"where takes a bool condition, and got {condition}.")
        if x != y or condition.shape != x.shape:
            raise ShapeError(
                f"operator where takes operands of one shape and dtype, and got {condition}, {x} "
                f"and {y}."
            )
        return x

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        condition, x, y = primals
        _, first, second = tangents
        out = where(condition, x, y)
        if first is None and second is None:
            return out, None
        zero = splat_like(0, out)
        return out, where(
            condition, zero if first is None else first, zero if second is None else second
        )

    def transpose(self, cotangent: Any, *operands: Operand) -> Sequence[Tangent]:
        condition, x, y = operands
        zero = splat_like(0, cotangent)
        return (
            None,
            where(condition, cotangent, zero) if isinstance(x, Linear) else None,
            where(condition, zero, cotangent) if isinstance(y, Linear) else None,
        )

    def samples(self) -> Iterator[Sample]:
        yield Sample((flags(2, 3), draws(2, 3), draws(2, 3, seed=1)))
        yield Sample((flags(4), ints(4), ints(4, seed=1)), {}, False)


class _Bitwise(NotDifferentiable):
    arity = 2
    kinds = "biu"

    def samples(self) -> Iterator[Sample]:
        yield Sample((flags(4), flags(4, seed=1)), {}, False)
        yield Sample((ints(6), ints(6, seed=1)), {}, False)
        yield Sample(
            (ints(6, low=0, dtype=np.uint32), ints(6, low=0, seed=1, dtype=np.uint32)), {}, False
        )


class BitwiseAnd(_Bitwise):
    """Bits set in both; for bools, logical and."""

    name = "bitwise_and"


class BitwiseOr(_Bitwise):
    """Bits set in either; for bools, logical or."""

    name = "bitwise_or"


class BitwiseXor(_Bitwise):
    """Bits set in exactly one; for bools, ``!=``."""

    name = "bitwise_xor"


class BitwiseNot(NotDifferentiable):
    """All bits flipped; for bools, logical not."""

    name = "bitwise_not"
    kinds = "biu"

    def samples(self) -> Iterator[Sample]:
        yield Sample((flags(4),), {}, False)
        yield Sample((ints(6),), {}, False)
        yield Sample((ints(6, low=0, dtype=np.uint32),), {}, False)


class _Shift(NotDifferentiable):
    arity = 2
    kinds = "iu"

    def samples(self) -> Iterator[Sample]:
        yield Sample(
            (
                ints(6, low=0, high=2**31 - 1, dtype=np.uint32),
                ints(6, low=0, high=31, dtype=np.uint32),
            ),
            {},
            False,
        )
        yield Sample((ints(6), ints(6, low=0, high=63)), {}, False)
        yield Sample((np.full(2, -1, np.int32), np.array([32, 40], np.int32)), {}, False)


class ShiftLeft(_Shift):
    """``x`` moved up by ``y`` bits. Shifting by the width or more gives 0."""

    name = "shift_left"


class ShiftRightLogical(_Shift):
    """``x`` moved down by ``y`` bits, zeros coming in. Shifting by the width or more gives 0."""

    name = "shift_right_logical"


class ShiftRightArithmetic(_Shift):
    """``x`` moved down by ``y`` bits, the sign coming in.

    Shifting by the width or more leaves the sign alone.
    """

    name = "shift_right_arithmetic"


class _Test(NotDifferentiable):
    def infer(self, *xs: TensorType, **params: Any) -> TensorType:
        return super().infer(*xs).with_dtype(bool_)

    def samples(self) -> Iterator[Sample]:
        yield Sample((np.array([1.0, np.nan, np.inf, -np.inf, 0.0], np.float32),), {}, False)


class IsNan(_Test):
    """Whether an element is NaN."""

    name = "isnan"


class IsFinite(_Test):
    """Whether an element is neither NaN nor infinite."""

    name = "isfinite"


class Bitcast(NotDifferentiable):
    """The same bits as another dtype of the same width.

    Params:
        dtype: the new dtype; not bool.
    """

    name = "bitcast"
    kinds = "iuf"

    def infer(self, *xs: TensorType, dtype: DType) -> TensorType:
        x = super().infer(*xs)
        if dtype.itemsize != x.dtype.itemsize or dtype is bool_:
            raise DTypeError(f"bitcast: {x} and {dtype} differ in width.")
        return x.with_dtype(dtype)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(4),), {"dtype": dtypes.uint32}, False)
        yield Sample((ints(4, dtype=np.int32),), {"dtype": dtypes.float32}, False)


class StopGradient(NotDifferentiable):
    """The operand itself, as a constant: no derivative passes."""

    name = "stop_gradient"
    kinds = "biuf"

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3),), {}, False)


eq: Operator = register(Eq())
ne: Operator = register(Ne())
lt: Operator = register(Lt())
le: Operator = register(Le())
gt: Operator = register(Gt())
ge: Operator = register(Ge())
where: Operator = register(Where())
bitwise_and: Operator = register(BitwiseAnd())
bitwise_or: Operator = register(BitwiseOr())
bitwise_xor: Operator = register(BitwiseXor())
bitwise_not: Operator = register(BitwiseNot())
shift_left: Operator = register(ShiftLeft())
shift_right_logical: Operator = register(ShiftRightLogical())
shift_right_arithmetic: Operator = register(ShiftRightArithmetic())
isnan: Operator = register(IsNan())
isfinite: Operator = register(IsFinite())
bitcast: Operator = register(Bitcast())
stop_gradient: Operator = register(StopGradient())
