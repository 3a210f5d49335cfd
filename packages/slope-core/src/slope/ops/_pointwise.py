"""The family base of operators that work element by element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from slope.core.operator import Operator, Sample
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.ops._family import draws, ints, require_kind
from slope.ops.linear import batched_at


class Pointwise(Operator):
    """The family base: operands of one shape and one dtype, and a result of that shape.

    Class attributes:
        arity: how many operands.
        kinds: the kinds of dtype it takes, of ``b i u f``.
    """

    elementwise = True
    arity: ClassVar[int] = 1
    kinds: ClassVar[str] = "f"

    def infer(self, *xs: TensorType, **params: Any) -> TensorType:
        if len(xs) != self.arity:
            raise ArgumentError(f"{self.name} takes {self.arity} operands, and got {len(xs)}.")
        first = xs[0]
        for x in xs[1:]:
            require_same(self, first, x)
        require_kind(self, first, self.kinds)
        return first

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        target = next(dim for dim in in_dims if dim is not None)
        moved = [batched_at(x, dim, size, target) for x, dim in zip(args, in_dims, strict=True)]
        return self(*moved, **params), target

    def samples(self) -> Iterator[Sample]:
        if "f" in self.kinds:
            yield Sample(tuple(draws(2, 3, seed=i) for i in range(self.arity)))
            yield Sample(tuple(draws(high=2.0 + i) for i in range(self.arity)))  # no ties
            yield Sample(tuple(draws(0, 2) for _ in range(self.arity)))
        if "i" in self.kinds:
            yield Sample(tuple(ints(7, seed=i) for i in range(self.arity)), {}, False)
            yield Sample(
                tuple(ints(7, seed=i, dtype=np.int32) for i in range(self.arity)), {}, False
            )


class NotDifferentiable(Pointwise):
    """The base of those whose derivative is zero wherever it exists."""

    differentiable = False


def require_same(op: Operator, x: TensorType, y: TensorType) -> None:
    """Refuse operands of different shapes or dtypes.

    Raises:
        ShapeError, DTypeError: names both types.
    """
    if x.dtype is not y.dtype:
        raise DTypeError(
            f"operator {op.name} takes operands of one dtype, and got {x} and {y}; the function "
            f"slope.{op.name} promotes."
        )
    if x.shape != y.shape:
        raise ShapeError(
            f"operator {op.name} takes operands of one shape, and got {x} and {y}; the function "
            f"slope.{op.name} broadcasts."
        )
