"""Softmax, reductions and losses as operators, with shorter or stabler rules than their parts'.

A backend may lower one whole; otherwise its ``expand`` is lowered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.core.operator import Operator, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import is_static
from slope.errors import DTypeError, ShapeError
from slope.ops._family import draws, require_dim, require_kind, shifted, splat_like
from slope.ops.linear import batched_at, move_dim
from slope.ops.reduce import Reduction, spread

__all__ = [
    "cross_entropy_of_classes",
    "l2_norm",
]

# --- along one dimension


class _Along(Operator):
    """The base of operators that keep the shape and work along one dimension, ``dim``."""

    def infer(self, x: TensorType, *, dim: int) -> TensorType:
        require_kind(self, x, "f")
        require_dim(self, x, dim)
        return x

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], *, dim: int
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return self(args[0], dim=shifted(dim, at)), at

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, 4),), {"dim": 1})
        yield Sample((draws(5),), {"dim": 0})
        yield Sample(
            (np.array([[1e30, -1e30, 0], [-np.inf, 0, 1]], np.float32),), {"dim": 1}, False
        )


def _spread_sum(x: Tensor, dim: int) -> Tensor:
    return spread(ops.sum_(x, dim=(dim,)), x, (dim,))


def _shifted(x: Tensor, dim: int) -> Tensor:
    """``x`` less its largest element along ``dim``, so that ``exp`` cannot overflow."""
    if is_static(x.shape[dim : dim + 1]) and x.shape[dim] == 0:
        return x  # nothing has no largest element
    return ops.sub(x, spread(ops.stop_gradient(ops.amax(x, dim=(dim,))), x, (dim,)))


class Softmax(_Along):
    """``exp(x) / sum(exp(x))`` along a dimension, without overflow.

    Params:
        dim: the dimension.
    """

    name = "softmax"

    def expand(self, x: Any, *, dim: int) -> Any:
        weights = ops.exp(_shifted(x, dim))
        return ops.div(weights, _spread_sum(weights, dim))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: int) -> Any:
        (x,), (tangent,) = primals, tangents
        out = softmax(x, dim=dim)
        if tangent is None:
            return out, None
        (pushed,) = self.pullback((out,), tangent, dim=dim)  # diag(p) - p p' is symmetric
        return out, pushed

    def vjp(self, *primals: Any, dim: int) -> Any:
        out = softmax(primals[0], dim=dim)
        return out, (out,)

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, dim: int
    ) -> Sequence[Tangent]:
        (out,) = residuals
        weighted = ops.mul(cotangent, out)
        return (ops.sub(weighted, ops.mul(out, _spread_sum(weighted, dim))),)


class LogSoftmax(_Along):
    """``x - log(sum(exp(x)))`` along a dimension, without overflow.

    Params:
        dim: the dimension.
    """

    name = "log_softmax"

    def expand(self, x: Any, *, dim: int) -> Any:
        shifted = _shifted(x, dim)
        return ops.sub(shifted, spread(ops.log(ops.sum_(ops.exp(shifted), dim=(dim,))), x, (dim,)))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: int) -> Any:
        (x,), (tangent,) = primals, tangents
        out = log_softmax(x, dim=dim)
        if tangent is None:
            return out, None
        return out, ops.sub(tangent, _spread_sum(ops.mul(tangent, ops.exp(out)), dim))

    def vjp(self, *primals: Any, dim: int) -> Any:
        out = log_softmax(primals[0], dim=dim)
        return out, (out,)

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, dim: int
    ) -> Sequence[Tangent]:
        (out,) = residuals
        return (ops.sub(cotangent, ops.mul(ops.exp(out), _spread_sum(cotangent, dim))),)


# --- reductions


class LogSumExp(Reduction):
    """``log(sum(exp(x)))``, without overflow; -inf where all is -inf, with the derivative 0 there.

    Params:
        dim: the dimensions to reduce, ascending; not empty ones.
    """

    name = "logsumexp"
    kinds = "f"

    def expand(self, x: Any, *, dim: tuple[int, ...]) -> Any:
        top = ops.stop_gradient(ops.amax(x, dim=dim))
        top = ops.where(ops.isfinite(top), top, splat_like(0.0, top))
        return ops.add(ops.log(ops.sum_(ops.exp(ops.sub(x, spread(top, x, dim))), dim=dim)), top)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: tuple[int, ...]
    ) -> Any:
        (x,), (tangent,) = primals, tangents
        out = logsumexp(x, dim=dim)
        if tangent is None:
            return out, None
        safe = ops.where(ops.eq(out, splat_like(-math.inf, out)), splat_like(0.0, out), out)
        return out, ops.sum_(ops.mul(tangent, ops.exp(ops.sub(x, spread(safe, x, dim)))), dim=dim)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        low = -np.inf
        yield Sample(
            (np.array([[1e30, -1e30, 0], [low, 0, 1], [low, low, low]], np.float32),),
            {"dim": (1,)},
            False,
        )


class L2Norm(Reduction):
    """``sqrt(sum(x * x))``; its derivative at 0 is 0.

    Params:
        dim: the dimensions to reduce, ascending.
    """

    name = "l2_norm"
    kinds = "f"
    empty = True

    def expand(self, x: Any, *, dim: tuple[int, ...]) -> Any:
        return ops.sqrt(ops.sum_(ops.mul(x, x), dim=dim))

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, dim: tuple[int, ...]
    ) -> Any:
        (x,), (tangent,) = primals, tangents
        out = l2_norm(x, dim=dim)
        if tangent is None:
            return out, None
        # At 0 all of x is 0, so any divisor but 0 gives the derivative 0.
        safe = ops.where(ops.eq(out, splat_like(0.0, out)), splat_like(1.0, out), out)
        return out, ops.sum_(ops.mul(tangent, ops.div(x, spread(safe, x, dim))), dim=dim)


# --- losses


class CrossEntropyOfClasses(Operator):
    """``-log_softmax(x)`` at the true class of each row.

    Operands: ``x``, scores with the classes along ``dim``; ``target``, whole numbers of ``x``'s
    shape without ``dim``, from 0 to the number of classes less one. The derivative is ``softmax(x)
    - one_hot(target)``.

    Params:
        dim: the dimension of the classes.
        smoothing: the share of the target that is spread evenly over all classes.
    """

    name = "cross_entropy_of_classes"

    def infer(
        self, x: TensorType, target: TensorType, *, dim: int, smoothing: float = 0.0
    ) -> TensorType:
        require_kind(self, x, "f")
        require_dim(self, x, dim)
        if not target.dtype.is_integer:
            raise DTypeError(f"{self.name} takes classes of an integer dtype, and got {target}.")
        rows = (*x.shape[:dim], *x.shape[dim + 1 :])
        if target.shape != rows:
            raise ShapeError(
                f"{self.name}: for scores {x} with the classes along dim={dim}, the classes must "
                f"be {target.with_shape(rows)}, and are {target}."
            )
        return x.with_shape(rows)

    def expand(self, x: Any, target: Any, *, dim: int, smoothing: float = 0.0) -> Any:
        return self._forward(x, target, dim, smoothing)[0]

    def _forward(
        self, x: Tensor, target: Tensor, dim: int, smoothing: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses, and the weights ``exp(x - max)`` with their sums."""
        shifted = _shifted(x, dim)
        weights = ops.exp(shifted)
        total = ops.sum_(weights, dim=(dim,))
        true = _picked(shifted, target, dim)
        if smoothing:
            even = ops.div(
                ops.sum_(shifted, dim=(dim,)), ops.sum_(splat_like(1.0, shifted), dim=(dim,))
            )
            true = ops.add(
                ops.mul(splat_like(1.0 - smoothing, true), true),
                ops.mul(splat_like(smoothing, true), even),
            )
        return ops.sub(ops.log(total), true), weights, total

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        dim: int,
        smoothing: float = 0.0,
    ) -> Any:
        x, target = primals
        out, weights, total = self._forward(x, target, dim, smoothing)
        if tangents[0] is None:
            return out, None
        return out, ops.sum_(
            ops.mul(tangents[0], self._slope(target, weights, total, dim, smoothing)), dim=(dim,)
        )

    def vjp(self, *primals: Any, dim: int, smoothing: float = 0.0) -> Any:
        x, target = primals
        out, weights, total = self._forward(x, target, dim, smoothing)
        return out, (target, weights, total)

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, dim: int, smoothing: float = 0.0
    ) -> Sequence[Tangent]:
        target, weights, total = residuals
        slope = self._slope(target, weights, total, dim, smoothing)
        return ops.mul(slope, spread(cotangent, weights, (dim,))), None

    def _slope(
        self, target: Tensor, weights: Tensor, total: Tensor, dim: int, smoothing: float
    ) -> Tensor:
        """``softmax(x)`` less the target distribution."""
        share = ops.div(weights, spread(total, weights, (dim,)))
        here = at_class(target, weights, dim)
        if not smoothing:
            return ops.sub(share, ops.cast(here, dtype=weights.dtype))
        even = smoothing / weights.shape[dim]
        on, off = splat_like(1.0 - smoothing + even, weights), splat_like(even, weights)
        return ops.sub(share, ops.where(here, on, off))

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        dim: int,
        smoothing: float = 0.0,
    ) -> tuple[Any, Any]:
        x, target = (batched_at(arg, at, size, 0) for arg, at in zip(args, in_dims, strict=True))
        return cross_entropy_of_classes(x, target, dim=dim + 1, smoothing=smoothing), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(4, 3), np.array([0, 2, 1, 1])), {"dim": 1, "smoothing": 0.0})
        yield Sample((draws(2, 3, 2), np.array([[0, 2], [1, 1]])), {"dim": 1, "smoothing": 0.1})
        yield Sample((draws(3), np.array(2, np.int32)), {"dim": 0, "smoothing": 0.0})
        yield Sample(
            (np.array([[1e30, -1e30, 0], [-np.inf, 0, 1]], np.float32), np.array([1, 2])),
            {"dim": 1, "smoothing": 0.0},
            False,
        )


def at_class(target: Tensor, like: Tensor, dim: int) -> Tensor:
    """Whether a position along ``dim`` of ``like``'s shape is the class that ``target`` names."""
    places = ops.iota(shape=like.shape, dim=dim, dtype=target.dtype)
    return ops.eq(places, spread(target, like, (dim,)))


def _picked(x: Tensor, target: Tensor, dim: int) -> Tensor:
    """The elements of ``x`` at the true classes."""
    last = move_dim(x, dim, x.ndim - 1)
    places = ops.reshape(target, shape=(*target.shape, 1))
    return ops.gather(last, places, axis=x.ndim - 1, batch_dims=x.ndim - 1)


softmax = register(Softmax())
log_softmax = register(LogSoftmax())
logsumexp = register(LogSumExp())
l2_norm = register(L2Norm())
cross_entropy_of_classes = register(CrossEntropyOfClasses())
