"""What the operators on matrices share: their types, their batches and their samples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import functions as fn
from slope.core.operator import Linear, Operator
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static, same
from slope.dtypes import DType
from slope.errors import DTypeError, MissingRuleError, ShapeError
from slope.ops.linear import batched_at

LEAF = 64  # rows that a loop goes through one by one; what is larger is cut into products


class MatrixOperator(Operator):
    """The base of operators on matrices (..., m, n), whose operands have the same batches."""

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        moved = [batched_at(arg, at, size, 0) for arg, at in zip(args, in_dims, strict=True)]
        out = self(*moved, **params)
        return out, (0,) * len(out) if self.multiple else 0


class SquareOperator(MatrixOperator):
    """The base of operators from square matrices (..., n, n) to such matrices."""

    def infer(self, x: TensorType) -> TensorType:
        require_matrix(self, x, square=True)
        return x


class Solver(MatrixOperator):
    """The base of operators that solve with a matrix, linear in their second operand."""

    def solution_type(self, a: TensorType, b: TensorType) -> TensorType:
        """The type of the solution.

        Raises:
            ShapeError, DTypeError: the operands do not fit.
        """
        require_matrix(self, a, square=True)
        require_matrix(self, b)
        if b.dtype is not a.dtype or not same(b.shape[:-1], a.shape[:-1]):
            raise ShapeError(f"{self.name}: a right side {b} does not fit {a}.")
        return b

    def refuse_linear(self, a: Tensor | Linear) -> None:
        """Refuse to transpose with respect to the matrix.

        Raises:
            MissingRuleError: it is not linear in it.
        """
        if isinstance(a, Linear):
            raise MissingRuleError(
                f"{self.name} is linear in its right side alone, not in the matrix {a.type}."
            )

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        if in_dims[0] is not None:
            return super().batch(size, args, in_dims, **params)
        a, b = args[0], batched_at(args[1], in_dims[1], size, args[1].ndim - 2)
        *rows, count, columns = b.shape  # the examples are columns of one right side
        out = self(a, b.reshape(*rows, count * columns), **params)
        return out.reshape(*b.shape), b.ndim - 2


def require_matrix(op: Operator, x: TensorType, *, square: bool = False) -> None:
    """Refuse what is no matrix of float32 or float64, or not square.

    Raises:
        DTypeError: another dtype.
        ShapeError: another shape.
    """
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        raise DTypeError(
            f"{op.name} takes float32 or float64, and got {x}; cast it, for instance with "
            f"x.to(slope.float32)."
        )
    if x.ndim < 2 or (square and not same(x.shape[-1:], x.shape[-2:-1])):
        raise ShapeError(f"{op.name} takes {'square ' * square}matrices, and got {x}.")


def cuts(length: Any, size: int = LEAF) -> list[tuple[int, int]]:
    """Where panels of a dimension begin and end; one panel for a symbolic length.

    All have about the same length, ``size`` at most; long dimensions have longer ones, since a
    program grows with their number.
    """
    if not is_static((length,)):
        return [(0, length)]
    count = -(-length // max(size, length // 16))
    ends = [length * each // count for each in range(count + 1)] if count else [0, 0]
    return list(itertools.pairwise(ends))


def permuted(x: Tensor, order: Tensor) -> Tensor:
    """Some rows of matrices, in some order: ``x[..., order, :]``.

    As a product, which is cheap beside what else is done with the rows: IREE 3.13 crashes, or does
    not compile, where gathers and small loops meet.
    """
    return picking(order, x.shape[-2], x.dtype) @ x


def picking(order: Tensor, count: Any, dtype: DType) -> Tensor:
    """The matrices that pick rows: (..., k, count) for numbers of rows (..., k)."""
    return (order[..., None] == fn.arange(count)).to(dtype)


def samples_of(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    """Matrices that are far from singular, the same at every run."""
    values = np.random.default_rng(seed).uniform(-1.0, 1.0, shape)
    return (values + 2 * np.eye(shape[-2], shape[-1])).astype(dtype)


def definite(*shape: int, seed: int = 0) -> Any:
    """Symmetric positive definite matrices with eigenvalues far apart, the same at every run."""
    n = shape[-1]
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal(shape))
    values = 0.5 + np.arange(n)
    return np.asarray((basis * values) @ np.swapaxes(basis, -1, -2), np.float32)
