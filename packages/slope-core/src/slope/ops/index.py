"""Reading and writing at computed places: gather and scatter.

Both use the same coordinates. ``indices`` holds, in its last dimension, ``k`` coordinates into the
``k`` dimensions of ``x`` that begin at ``axis``; its other dimensions take their place in the
gathered shape::

    x        [batch...,  before...,  indexed (k)...,  after...]
    indices  [batch...,  places...,  k]
    result   [batch...,  before...,  places...,       after...]

With ``axis == batch_dims`` that is ONNX's GatherND; with ``k == 1`` and no batch dimensions,
NumPy's ``take``. Coordinates are clamped into range, in both operators, so that each is the other's
transpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope.core.operator import Linear, Operand, Operator, Sample, Tangent, register
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dtypes import int64
from slope.errors import DTypeError, ShapeError
from slope.ops._family import draws, ints, splat_like
from slope.ops.create import iota
from slope.ops.elementwise import div, mul
from slope.ops.linear import batched_at, cast, move_dim, reshape
from slope.ops.logic import eq, where


def gathered_shape(
    op: Operator, x: TensorType, indices: TensorType, axis: int, batch_dims: int
) -> tuple[Any, ...]:
    """The shape that gathering gives, and scattering takes.

    Raises:
        DTypeError, ShapeError: the operands do not fit.
    """
    if not indices.dtype.is_integer:
        raise DTypeError(f"{op.name} takes integer indices, and got {indices}.")
    k = indices.shape[-1] if indices.ndim else 0
    if not isinstance(k, int) or indices.ndim < batch_dims + 1:
        raise ShapeError(
            f"{op.name}: indices {indices} need a last dimension of coordinates behind "
            f"{batch_dims} batch dimensions."
        )
    if not batch_dims <= axis <= axis + k <= x.ndim:
        raise ShapeError(
            f"{op.name}: {k} coordinates from axis={axis} on, behind {batch_dims} batch "
            f"dimensions, do not fit {x}."
        )
    if x.shape[:batch_dims] != indices.shape[:batch_dims]:
        raise ShapeError(
            f"{op.name}: the first {batch_dims} dimensions of {x} and of the indices {indices} "
            f"must be equal."
        )
    places = indices.shape[batch_dims:-1]
    if any(length == 0 for length in x.shape[axis : axis + k]) and all(
        length != 0 for length in places
    ):
        raise ShapeError(
            f"{op.name}: {x} has an empty dimension among the indexed ones, so no index is in "
            f"range."
        )
    return (*x.shape[:axis], *places, *x.shape[axis + k :])


class Gather(Operator):
    """Elements (or slices) of ``x`` at computed coordinates; see the module for their layout.

    Params:
        axis: the first indexed dimension.
        batch_dims: how many leading dimensions ``x`` and ``indices`` share.
    """

    name = "gather_slices"

    def infer(
        self, x: TensorType, indices: TensorType, *, axis: int = 0, batch_dims: int = 0
    ) -> TensorType:
        return x.with_shape(gathered_shape(self, x, indices, axis, batch_dims))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        x, indices = primals
        tangent = tangents[0]
        return gather(x, indices, **params), None if tangent is None else gather(
            tangent, indices, **params
        )

    def transpose(
        self, cotangent: Any, x: Operand, indices: Any, **params: Any
    ) -> Sequence[Tangent]:
        return scatter(splat_like(0, x), indices, cotangent, mode="add", **params), None

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        axis: int = 0,
        batch_dims: int = 0,
    ) -> tuple[Any, Any]:
        (x, indices), (at_x, at_i) = args, in_dims
        if at_i is None:  # the batch dimension goes along before the indexed ones
            assert at_x is not None
            x = batched_at(x, at_x, size, batch_dims)
            return gather(x, indices, axis=axis + 1, batch_dims=batch_dims), batch_dims
        if at_x is None:  # more places
            indices = batched_at(indices, at_i, size, batch_dims)
            return gather(x, indices, axis=axis, batch_dims=batch_dims), axis
        x, indices = batched_at(x, at_x, size, 0), batched_at(indices, at_i, size, 0)
        return gather(x, indices, axis=axis + 1, batch_dims=batch_dims + 1), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(5, 3), ints(4, 1, low=0, high=4)), {"axis": 0, "batch_dims": 0})
        yield Sample((draws(2, 5, 3), ints(4, 2, 1, low=0, high=4)), {"axis": 1, "batch_dims": 0})
        yield Sample((draws(4, 5), ints(3, 2, low=0, high=3)), {"axis": 0, "batch_dims": 0})
        yield Sample((draws(2, 5, 3), ints(2, 4, 1, low=0, high=4)), {"axis": 1, "batch_dims": 1})
        yield Sample((draws(2, 3, 5), ints(2, 4, 1, low=0, high=4)), {"axis": 2, "batch_dims": 1})
        yield Sample((draws(4), np.array([[-3], [9], [1]])), {"axis": 0, "batch_dims": 0})
        yield Sample((draws(3), np.zeros((2, 0), np.int64)), {"axis": 0, "batch_dims": 0})
        yield Sample(
            (ints(4), ints(2, 2, 1, low=0, high=3, dtype=np.int32)),
            {"axis": 0, "batch_dims": 0},
            False,
        )


class Scatter(Operator):
    """``x`` with updates combined into computed places; see the module for the layout.

    The updates have the gathered shape.

    Where places repeat, ``add``, ``mul``, ``min`` and ``max`` combine all of them; of ``set`` the
    last wins (in row-major order of the places).

    Params:
        axis: the first indexed dimension.
        batch_dims: how many leading dimensions ``x`` and ``indices`` share.
        mode: ``"set"``, ``"add"``, ``"mul"``, ``"min"`` or ``"max"``.
    """

    name = "scatter_slices"

    def infer(
        self,
        x: TensorType,
        indices: TensorType,
        updates: TensorType,
        *,
        axis: int = 0,
        batch_dims: int = 0,
        mode: str = "set",
    ) -> TensorType:
        shape = gathered_shape(self, x, indices, axis, batch_dims)
        if updates.shape != shape or updates.dtype is not x.dtype:
            raise ShapeError(
                f"scatter_slices: updates for {x} at indices {indices} must be "
                f"{x.with_shape(shape)}, and are {updates}."
            )
        if mode not in ("set", "add", "mul", "min", "max"):
            raise ShapeError(
                f"scatter_slices: mode={mode!r} is none of 'set', 'add', 'mul', 'min', 'max'."
            )
        return x

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        mode: str = "set",
        **where_: Any,
    ) -> Any:
        x, indices, updates = primals
        dx, _, du = tangents
        out = scatter(x, indices, updates, mode=mode, **where_)
        if dx is None and du is None:
            return out, None
        zero_x, zero_u = splat_like(0, x), splat_like(0, updates)
        dx, du = zero_x if dx is None else dx, zero_u if du is None else du
        if mode == "add":
            return out, scatter(dx, indices, du, mode="add", **where_)
        if mode == "set":
            return out, self._set_tangent(x, indices, dx, du, where_)
        if mode == "mul":
            return out, self._mul_tangent(out, x, indices, updates, dx, du, where_)
        return out, self._extreme_tangent(out, x, indices, updates, dx, du, where_)

    def _set_tangent(
        self, x: Tensor, indices: Tensor, dx: Tensor, du: Tensor, where_: dict[str, Any]
    ) -> Tensor:
        places = indices.shape[where_["batch_dims"] : -1]
        if all(isinstance(length, int) and length == 1 for length in places):
            return scatter(dx, indices, du, mode="set", **where_)  # one place: it always wins
        # Only the update that won moves the result: the one whose number is found at its place
        # afterwards.
        numbers, written = _write_numbers(x, indices, du, where_)
        won = eq(gather(written, indices, **where_), numbers)
        kept = scatter(dx, indices, splat_like(0, du), mode="set", **where_)
        return scatter(kept, indices, where(won, du, splat_like(0, du)), mode="add", **where_)

    def _mul_tangent(
        self, out: Any, x: Any, indices: Any, updates: Any, dx: Any, du: Any, where_: dict[str, Any]
    ) -> Tensor:
        # Each factor's derivative is the product of the others: of those that are not zero, unless
        # a zero is among them.
        safe_x, zero_x = _without_zeros(x)
        safe_u, zero_u = _without_zeros(updates)
        product = scatter(safe_x, indices, safe_u, mode="mul", **where_)
        zeros = scatter(zero_x, indices, zero_u, mode="add", **where_)
        others_x = where(eq(zeros, zero_x), div(product, safe_x), splat_like(0, x))
        placed, zeros_u = gather(product, indices, **where_), gather(zeros, indices, **where_)
        others_u = where(eq(zeros_u, zero_u), div(placed, safe_u), splat_like(0, updates))
        return scatter(mul(dx, others_x), indices, mul(du, others_u), mode="add", **where_)

    def _extreme_tangent(
        self, out: Any, x: Any, indices: Any, updates: Any, dx: Any, du: Any, where_: dict[str, Any]
    ) -> Tensor:
        # Ties share evenly, as in amax.
        best_x = cast(eq(out, x), dtype=x.dtype)
        best_u = cast(eq(gather(out, indices, **where_), updates), dtype=x.dtype)
        count = scatter(best_x, indices, best_u, mode="add", **where_)
        total = scatter(mul(dx, best_x), indices, mul(du, best_u), mode="add", **where_)
        return div(total, count)

    def transpose(
        self,
        cotangent: Any,
        x: Operand,
        indices: Any,
        updates: Operand,
        *,
        mode: str = "set",
        **where_: Any,
    ) -> Sequence[Tangent]:
        to_x, to_updates = cotangent, None
        if mode == "set":  # what was there is erased (recorded with one place, or zero updates)
            to_x = scatter(cotangent, indices, splat_like(0, updates), mode="set", **where_)
        if isinstance(updates, Linear):
            to_updates = gather(cotangent, indices, **where_)
        return to_x if isinstance(x, Linear) else None, None, to_updates

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        axis: int = 0,
        batch_dims: int = 0,
        mode: str = "set",
    ) -> tuple[Any, Any]:
        x, indices, updates = args
        if in_dims[1] is None:
            x = batched_at(x, in_dims[0], size, batch_dims)
            updates = batched_at(updates, in_dims[2], size, batch_dims)
            return scatter(
                x, indices, updates, axis=axis + 1, batch_dims=batch_dims, mode=mode
            ), batch_dims
        x, indices, updates = (
            batched_at(arg, at, size, 0) for arg, at in zip(args, in_dims, strict=True)
        )
        return scatter(x, indices, updates, axis=axis + 1, batch_dims=batch_dims + 1, mode=mode), 0

    def samples(self) -> Iterator[Sample]:
        for mode in ("add", "set", "mul", "min", "max"):
            base = {"axis": 0, "batch_dims": 0, "mode": mode}
            yield Sample((draws(5, 3), np.array([[1], [3]]), draws(2, 3, seed=1)), base)
            yield Sample((draws(4, 5), np.array([[0, 1], [3, 3], [0, 1]]), draws(3, seed=1)), base)
            yield Sample(
                (draws(2, 5, 3), np.array([[[0], [4]], [[2], [2]]]), draws(2, 2, 3, seed=1)),
                {**base, "axis": 1, "batch_dims": 1},
            )
            yield Sample(
                (draws(2, 5), np.array([[1], [1], [4]]), draws(2, 3, seed=1)), {**base, "axis": 1}
            )
        yield Sample(
            (ints(4), np.array([[0], [0]]), ints(2, seed=1)),
            {"axis": 0, "batch_dims": 0, "mode": "add"},
            False,
        )
        yield Sample(
            (draws(4), np.array([[-3], [9]]), draws(2, seed=1)),
            {"axis": 0, "batch_dims": 0, "mode": "add"},
        )


def _without_zeros(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` with ones instead of zeros, and ones where the zeros were."""
    is_zero = eq(x, splat_like(0, x))
    return where(is_zero, splat_like(1, x), x), cast(is_zero, dtype=x.dtype)


def _write_numbers(
    x: Tensor, indices: Tensor, updates: Tensor, where_: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """The running number of each update, and which update is written last at each place.

    The latter has the shape of ``x``.
    """
    numbers = reshape(iota(shape=(updates.type.size,), dim=0, dtype=int64), shape=updates.shape)
    blank = Splat(-1, x.type.with_dtype(int64))
    return numbers, scatter(blank, indices, numbers, mode="set", **where_)


gather = register(Gather())
scatter = register(Scatter())


def take_along(x: Tensor, indices: Tensor, dim: int) -> Tensor:
    """For every place of ``indices``, the element of ``x`` there, but at ``indices`` along ``dim``.

    All lengths but those along ``dim`` are equal.
    """
    last = x.ndim - 1
    places = move_dim(indices, dim, last)
    out = gather(
        move_dim(x, dim, last),
        reshape(places, shape=(*places.shape, 1)),
        axis=last,
        batch_dims=last,
    )
    return move_dim(out, last, dim)


def put_along(x: Tensor, indices: Tensor, updates: Tensor, dim: int, mode: str) -> Tensor:
    """``x`` with updates combined into the places that :func:`take_along` reads."""
    last = x.ndim - 1
    places = move_dim(indices, dim, last)
    coordinates = reshape(places, shape=(*places.shape, 1))
    out = scatter(
        move_dim(x, dim, last),
        coordinates,
        move_dim(updates, dim, last),
        axis=last,
        batch_dims=last,
        mode=mode,
    )
    return move_dim(out, last, dim)
