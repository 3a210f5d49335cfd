"""Equations with square matrices, inverses, determinants and powers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from slope import functions as fn
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import same
from slope.functions._arguments import flag_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import as_tensor
from slope.linalg._arguments import fitting, square_of
from slope.linalg._family import MatrixOperator, Solver, SquareOperator, require_matrix, samples_of
from slope.linalg._lu import by_factors, lu_factors
from slope.ops._family import draws

__all__ = ["SlogDet", "det", "inv", "logdet", "matrix_power", "slogdet", "solve"]


class SolveMatrix(Solver):
    """The solution of ``a @ out == b``, by elimination; linear in ``b``.

    ``a`` (..., n, n); ``b`` (..., n, k), of the same batches. Where ``a`` is singular, the solution
    is not finite. ``dX = A^-1 (dB - dA X)``.

    Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation" (2008), 2.3.1.

    Params:
        transposed: solve with ``a.mT``.
    """

    name = "solve_matrix"

    def infer(self, a: TensorType, b: TensorType, *, transposed: bool = False) -> TensorType:
        return self.solution_type(a, b)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], *, transposed: bool) -> Any:
        (a, b), (da, db) = primals, tangents
        out = self(a, b, transposed=transposed)
        change = db
        if da is not None:
            moved = (da.mT if transposed else da) @ out
            change = -moved if db is None else db - moved
        assert change is not None
        return out, self(a, change, transposed=transposed)

    def transpose(self, cotangent: Any, a: Any, b: Any, *, transposed: bool) -> Sequence[Tangent]:
        self.refuse_linear(a)
        return None, self(a, cotangent, transposed=not transposed)

    def expand(self, a: Any, b: Any, *, transposed: bool = False) -> Any:
        both, _, order = lu_factors(a)
        return by_factors(both, order, b, transposed)

    def flops(self, a: TensorType, b: TensorType, **_params: Any) -> Any:
        return 2 * a.size * a.shape[-1] // 3 + 2 * b.size * a.shape[-1]

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(3, 3), draws(3, 2)), {"transposed": False})
        yield Sample((samples_of(2, 3, 3, seed=1), draws(2, 3, 1)), {"transposed": True})
        yield Sample((samples_of(1, 1), draws(1, 2)), {"transposed": False})
        yield Sample((draws(0, 0), draws(0, 2)), {"transposed": False})


class Inverse(SquareOperator):
    """The inverses of matrices (..., n, n); not finite where there are none.

    ``d(A^-1) = -A^-1 dA A^-1``.

    Source: M. Giles (2008), 2.2.3.
    """

    name = "inverse_matrix"

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        out = self(x)
        return out, -(out @ dx @ out)

    def expand(self, x: Any) -> Any:
        unit = fn.eye(x.shape[-1], dtype=x.dtype).expand(*x.shape)
        return solve_matrix(x, unit, transposed=False)

    def flops(self, x: TensorType) -> Any:
        return 2 * x.size * x.shape[-1]

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(3, 3),))
        yield Sample((samples_of(2, 2, 2),))
        yield Sample((draws(0, 0),))


class SignLogDet(MatrixOperator):
    """Sign and logarithm of the size of the determinants of matrices (..., n, n).

    Results of shape (...): 1, -1 or 0, and numbers, -inf where the determinant is 0. The sign has
    no derivative; that of the logarithm is ``trace(A^-1 dA)``.

    Source: M. Giles (2008), 2.2.4.
    """

    name = "sign_log_det"
    multiple = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        require_matrix(self, x, square=True)
        made = x.with_shape(x.shape[:-2])
        return made, made

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        sign, size = self(x)
        return (sign, size), (None, (inverse_matrix(x).mT * dx).sum((-2, -1)))

    def expand(self, x: Any) -> Any:
        both, pivots, _ = lu_factors(x)
        unit = fn.eye(x.shape[-1], dtype=x.dtype)
        diagonal = fn.where(unit != 0, both, 0.0).sum(-1)
        exchanged = (pivots != fn.arange(x.shape[-1])).sum(-1)
        turns = fn.where((exchanged & 1) == 0, 1.0, -1.0).to(x.dtype)
        return turns * fn.sign(diagonal).prod(-1), fn.log(fn.abs(diagonal)).sum(-1)

    def flops(self, x: TensorType) -> Any:
        return 2 * x.size * x.shape[-1] // 3

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(3, 3),))
        yield Sample((draws(2, 3, 3, seed=3),))
        yield Sample((draws(2, 0, 0),))


solve_matrix = register(SolveMatrix())
inverse_matrix = register(Inverse())
sign_log_det = register(SignLogDet())


# --- what users call


@at_once
def solve(x: Any, y: Any, *, left: bool = True) -> Tensor:
    """The solution s of ``x @ s == y`` (``s @ x == y`` without ``left``), by elimination.

    Rows are exchanged so that each divides by the largest of its column. Where ``x`` is singular,
    the solution is not finite.

    Args:
        x: shape (..., n, n).
        y: shape (..., n, k); for one equation each (n,), or (..., n) with the batches of ``x``.
        left: on which side x stands.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: half precision.
    """
    matrix, right = square_of("solve", x), as_tensor(y, "linalg.solve", "y")
    left = flag_of(left, "linalg.solve", "left")
    if right.ndim == 1 or same(right.shape, matrix.shape[:-1]):
        at = -1 if left else -2
        return solve(matrix, right.unsqueeze(at), left=left).squeeze(at)
    if left:
        return solve_matrix(*fitting("solve", matrix, right), transposed=False)
    turned, right = fitting("solve", matrix.mT, right.mT)
    return solve_matrix(turned.mT, right, transposed=True).mT


@at_once
def inv(x: Any) -> Tensor:
    """The inverses of matrices of shape (..., n, n); see :func:`solve`, which is better than them.

    Where there is none, what is given is not finite.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
    """
    return inverse_matrix(square_of("inv", x))


class SlogDet(NamedTuple):
    """What :func:`slogdet` gives: ``det(x) == sign * exp(logabsdet)``."""

    sign: Tensor
    logabsdet: Tensor


@at_once
def slogdet(x: Any) -> SlogDet:
    """Signs and logarithms of sizes of the determinants of matrices of shape (..., n, n).

    Returns:
        A named tuple, sign and logabsdet, of shape (...): 1, -1 or 0, and numbers, -inf where the
        determinant is 0.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
    """
    return SlogDet(*sign_log_det(square_of("slogdet", x)))


@at_once
def det(x: Any) -> Tensor:
    """The determinants of matrices of shape (..., n, n).

    The derivative is ``det(x) * inv(x).mT``, so it is not finite where x is singular.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
    """
    sign, size = sign_log_det(square_of("det", x))
    return sign * fn.exp(size)


@at_once
def logdet(x: Any) -> Tensor:
    """The logarithms of determinants of matrices (..., n, n): -inf of 0, NaN of negative ones.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
    """
    sign, size = sign_log_det(square_of("logdet", x))
    return fn.where(sign < 0, fn.full_like(size, float("nan")), size)


def matrix_power(x: Any, n: int) -> Tensor:
    """Matrices of shape (..., n, n) multiplied ``n`` times, by repeated squaring.

    Args:
        x: whole numbers stay whole, but for negative powers.
        n: 0 gives unit matrices, a negative one powers of the inverse.

    Raises:
        ShapeError: ``x`` holds no square matrices.
    """
    count = whole_of(n, "linalg.matrix_power", "n")
    given = as_tensor(x, "linalg.matrix_power", "x")
    factor = square_of("matrix_power", given)
    if count < 0:
        factor, count = inv(factor), -count
    elif given.dtype.is_integer:
        factor = given
    if not count:
        return fn.eye(factor.shape[-1], dtype=factor.dtype).expand(*factor.shape)
    result: Tensor | None = None
    while count:
        if count & 1:
            result = factor if result is None else result @ factor
        count >>= 1
        factor = factor @ factor if count else factor
    assert result is not None
    return result
