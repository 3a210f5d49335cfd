"""The exponential of matrices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from slope import functions as fn
from slope.api import while_loop
from slope.core.operator import Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static
from slope.dtypes import int64
from slope.functions._at_once import at_once
from slope.linalg._arguments import square_of
from slope.linalg._family import SquareOperator, samples_of
from slope.ops._family import draws

__all__ = ["matrix_exp"]

_DEGREE: Final = 18  # whose error is below float64's precision for norms of at most 1
_MOST: Final = 1022  # halvings that a float64 has


class MatrixExp(SquareOperator):
    """The exponentials of matrices (..., n, n): ``1 + x + x @ x / 2 + ...``.

    The matrix is divided by a power of 2 until its norm is at most 1; Taylor's polynomial of degree
    18 of that is squared as often. NaN and infinities make the whole matrix NaN.

    The derivative in a direction E is the upper right block of the exponential of
    ``[[x, E], [0, x]]``; the pullback is that of ``x.mT``.

    Sources: P. Bader, S. Blanes, F. Casas, "Computing the matrix exponential with an optimized
    Taylor polynomial approximation" (2019), for the degree; R. Mathias, "A chain rule for matrix
    functions and applications" (1996), for the derivative.
    """

    name = "matrix_exponential"

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        (x,), (dx,) = primals, tangents
        assert dx is not None
        return self(x), self._along(x, dx)

    def vjp(self, *primals: Any) -> Any:
        return self(*primals), primals

    def pullback(self, residuals: tuple[Any, ...], cotangent: Any) -> Sequence[Tangent]:
        (x,) = residuals
        return (self._along(x.mT, cotangent),)

    def _along(self, x: Tensor, direction: Tensor) -> Tensor:
        count = x.shape[-1]
        above = fn.cat([x, direction], -1)
        below = fn.cat([fn.zeros_like(x), x], -1)
        return self(fn.cat([above, below], -2))[..., :count, count:]

    def expand(self, x: Any) -> Any:
        if any(is_static((length,)) and not length for length in x.shape):
            return x
        size = fn.amax(fn.abs(x).sum(-2), -1)
        halvings = fn.clamp(fn.ceil(fn.log2(fn.maximum(size, 1.0))), 0, _MOST)
        known = fn.isfinite(size)
        halvings = fn.where(known, halvings, 0.0)
        shrunk = x * fn.exp2(-halvings)[..., None, None]
        times = halvings.to(int64)
        most = fn.amax(times)

        def step(state: Any) -> Any:
            done, made = state
            more = (done < times)[..., None, None]
            return done + 1, fn.where(more, made @ made, made)

        start = (fn.zeros_like(most), _taylor(shrunk))
        made = while_loop(lambda state: state[0] < most, step, start)[1]
        return fn.where(known[..., None, None], made, float("nan"))

    def flops(self, x: TensorType) -> Any:
        return 14 * x.size * x.shape[-1]

    def samples(self) -> Iterator[Sample]:
        yield Sample((samples_of(2, 2),))
        yield Sample((0.3 * draws(2, 3, 3),))
        yield Sample((draws(1, 1),))
        yield Sample((draws(0, 2, 2),))


def _taylor(x: Tensor) -> Tensor:
    """Taylor's polynomial, as one of degree 6 in the third power (M. Paterson, L. Stockmeyer)."""
    square = x @ x
    cube = square @ x
    unit = fn.eye(x.shape[-1], dtype=x.dtype)

    def part(low: int) -> Tensor:
        first, second, third = (1 / math.factorial(low + each) for each in range(3))
        return first * unit + second * x + third * square

    made = part(_DEGREE - 3) + cube / math.factorial(_DEGREE)
    for low in range(_DEGREE - 6, -1, -3):
        made = made @ cube + part(low)
    return made


matrix_exponential = register(MatrixExp())


@at_once
def matrix_exp(x: Any) -> Tensor:
    """The exponentials of matrices (..., n, n): ``1 + x + x @ x / 2 + ...``.

    Raises:
        ShapeError: ``x`` holds no square matrices.
        DTypeError: half precision.
    """
    return matrix_exponential(square_of("matrix_exp", x))
