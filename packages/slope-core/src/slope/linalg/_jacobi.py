"""Jacobi's rotations: pairs of rows and columns that are made orthogonal, half of them at once.

All pairs meet in turns, as in a tournament: the first half of the columns is rotated with the
second, and all but the first move on by one place. Rotations end when no pair has needed one for a
whole tournament.

Sources: R. Brent, F. Luk, "The solution of singular-value and symmetric eigenvalue problems on
multiprocessor arrays" (1985); J. Demmel, K. Veselić, "Jacobi's method is more accurate than QR"
(1992).
"""

from __future__ import annotations

from typing import Any, Final

from slope import functions as fn
from slope.api import while_loop
from slope.core.tensor import Tensor
from slope.dtypes import finfo

_TOURNAMENTS: Final = 20  # at most; from 5 to 10 are enough for most matrices


def diagonalized(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of symmetric matrices and their vectors as columns, in no order.

    Args:
        x: shape (..., n, n), n even.
    """
    half, vectors = x.shape[-1] // 2, fn.eye(x.shape[-1], dtype=x.dtype).expand(*x.shape)
    size = fn.sqrt((x * x).sum((-2, -1), keepdim=True))
    bound = 0.5 * finfo(x.dtype).eps * size[..., 0]

    def step(state: Any) -> Any:
        rest, vectors, quiet, count = state
        first = fn.diagonal(rest[..., :half, :half], 0, -2, -1)
        second = fn.diagonal(rest[..., half:, half:], 0, -2, -1)
        both = fn.diagonal(rest[..., :half, half:], 0, -2, -1)
        needed = fn.abs(both) > bound
        cosine, sine = _rotation(first, second, both, needed)
        rest = _turned(rest, cosine, sine, half)
        rest = _turned(rest.mT, cosine, sine, half).mT
        vectors = _turned(vectors, cosine, sine, half)
        return rest, vectors, fn.where(needed.any(), 0, quiet + 1), count + 1

    _, vectors = _until_quiet(step, x, vectors)
    vectors = vectors / _lengths(vectors)
    # Nearer than what rotations, each of them rounded, have left on the diagonal.
    return (vectors * (x @ vectors)).sum(-2), vectors


def orthogonalized(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x @ V`` with orthogonal columns, and the rotation V.

    Args:
        x: shape (..., m, n), n even.
    """
    rows, columns = x.shape[-2:]
    half = columns // 2
    bound = 2 * finfo(x.dtype).eps * rows**0.5
    unit = fn.eye(columns, dtype=x.dtype).expand(*x.shape[:-2], columns, columns)

    def step(state: Any) -> Any:
        rest, vectors, quiet, count = state
        left, right = rest[..., :half], rest[..., half:]
        first, second = (left * left).sum(-2), (right * right).sum(-2)
        both = (left * right).sum(-2)
        needed = fn.abs(both) > bound * fn.sqrt(first) * fn.sqrt(second)
        cosine, sine = _rotation(first, second, both, needed)
        rest = _turned(rest, cosine, sine, half)
        vectors = _turned(vectors, cosine, sine, half)
        return rest, vectors, fn.where(needed.any(), 0, quiet + 1), count + 1

    made, vectors = _until_quiet(step, x, unit)
    lengths = _lengths(vectors)  # rounding has lengthened both alike
    return made / lengths, vectors / lengths


def _lengths(x: Tensor) -> Tensor:
    return fn.sqrt((x * x).sum(-2, keepdim=True))


def _until_quiet(step: Any, x: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    turns = x.shape[-1] - 1

    def goes_on(state: Any) -> Tensor:
        _, _, quiet, count = state
        return (quiet < turns) & (count < _TOURNAMENTS * turns)

    start = (x, vectors, fn.tensor(0), fn.tensor(0))
    return while_loop(goes_on, step, start)[:2]


def _rotation(first: Tensor, second: Tensor, both: Tensor, needed: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the smaller angle that makes pairs orthogonal."""
    ratio = (second - first) / fn.where(needed, 2 * both, 1.0)
    tangent = fn.where(ratio < 0, -1.0, 1.0) / (fn.abs(ratio) + fn.sqrt(1 + ratio * ratio))
    tangent = fn.where(needed, tangent, 0.0)
    cosine = fn.rsqrt(1 + tangent * tangent)
    return cosine, tangent * cosine


def _turned(x: Tensor, cosine: Tensor, sine: Tensor, half: int) -> Tensor:
    """Rotate the first half of the columns with the second; then all but the first move on."""
    cosine, sine = cosine.unsqueeze(-2), sine.unsqueeze(-2)
    left, right = x[..., :half], x[..., half:]
    first, second = cosine * left - sine * right, sine * left + cosine * right
    if half == 1:
        return fn.cat([first, second], -1)
    return fn.cat(
        [
            first[..., :1],
            second[..., :1],
            first[..., 1:-1],
            second[..., 1:],
            first[..., -1:],
        ],
        -1,
    )
