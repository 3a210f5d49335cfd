"""Writing with brackets: ``x.at[index].set(value)`` and its kin make changed copies."""

from __future__ import annotations

from typing import Any, NoReturn

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.dims import same
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._base import (
    TensorLike,
    broadcast_shapes,
    materialize,
    operand,
    result_dtype,
    splat_like,
)
from slope.functions._index import Plan, coordinates, plan
from slope.functions.indexing import (
    array_dims,
    front_order,
    getitem,
    in_front,
    reshaped,
    sliced,
)
from slope.ops.linear import inverse


class At:
    """``x.at[index]``: where :meth:`set`, :meth:`add`, ... make a changed copy of a tensor."""

    __slots__ = ("_x",)

    def __init__(self, x: Tensor) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self._x, index)

    def __repr__(self) -> str:
        return f"<{self._x.type}.at: write x.at[index].set(value)>"


class AtIndex:
    """Places of a tensor. Each method returns a new tensor, in which these places are changed.

    Values broadcast to the shape of ``x[index]``. Where places repeat, all updates take part, and
    of ``set`` the last wins.
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any) -> None:
        self._x = x
        self._index = index

    def get(self) -> Tensor:
        """What stands at these places: ``x[index]``."""
        return getitem(self._x, self._index)

    def set(self, value: TensorLike) -> Tensor:
        """The value at these places."""
        return _updated(self._x, self._index, value, "set")

    def add(self, value: TensorLike) -> Tensor:
        """The sum of what is there and the value."""
        return _updated(self._x, self._index, value, "add")

    def mul(self, value: TensorLike) -> Tensor:
        """The product of what is there and the value."""
        return _updated(self._x, self._index, value, "mul")

    def min(self, value: TensorLike) -> Tensor:
        """The smaller of what is there and the value."""
        return _updated(self._x, self._index, value, "min")

    def max(self, value: TensorLike) -> Tensor:
        """The larger of what is there and the value."""
        return _updated(self._x, self._index, value, "max")


def at(x: Tensor) -> At:
    """``x.at[index].set(value)`` and its kin: a changed copy, since tensors never change."""
    return At(x)


def _updated(x: Tensor, index: Any, value: Any, mode: str) -> Tensor:
    function = f"x.at[...].{mode}"
    found = plan(index, x.shape)
    given = operand(value, function, "value")
    dtype = result_dtype(function, (x, given))
    if dtype is not x.dtype and isinstance(given, Tensor):
        raise DTypeError(
            f"{function}: a value {given.type} does not go into {x.type}; cast it with "
            f".to(slope.{x.dtype.name})."
        )
    if dtype is not x.dtype and not isinstance(given, Tensor) and given != int(given):
        raise DTypeError(
            f"{function}: {given} does not go into {x.type}; cast the tensor first, for instance "
            "with x.to(slope.float32)."
        )
    shape = given.shape if isinstance(given, Tensor) else ()
    if not same(broadcast_shapes(function, shape, found.result), found.result):
        raise ShapeError(
            f"{function}: a value of shape {shape} does not broadcast to {found.result}, the "
            "shape of x[index]."
        )
    update = materialize(given, x.dtype, found.result)
    return reshaped(_changed(reshaped(x, found.shape), found, update, mode), x.shape)


def _changed(x: Tensor, found: Plan, update: Tensor, mode: str) -> Tensor:
    if not found.arrays:
        return _write(x, found, update, mode)
    whole = sliced(x, found)
    inner = reshaped(
        whole, tuple(length for at_, length in enumerate(whole.shape) if at_ not in found.dropped)
    )
    changed = reshaped(_scattered(inner, found, update, mode), whole.shape)
    if same(whole.shape, x.shape) and not found.flips:
        return changed
    return _write(x, found, changed, "set")


def _scattered(x: Tensor, found: Plan, update: Tensor, mode: str) -> Tensor:
    dims = array_dims(found)
    axis = dims[0]
    order = tuple(range(x.ndim))
    if in_front(found, dims):
        order, axis = front_order(x, dims), 0
    moved = x if order == tuple(range(x.ndim)) else ops.permute(x, dims=order)
    rest = moved.shape[axis + len(dims) :]
    shape = (*moved.shape[:axis], *found.places, *rest)
    update = update if same(update.shape, shape) else ops.reshape(update, shape=shape)
    out = ops.scatter(moved, coordinates(found), update, axis=axis, batch_dims=0, mode=mode)
    return out if order == tuple(range(x.ndim)) else ops.permute(out, dims=inverse(order))


_COMBINE = {"add": ops.add, "mul": ops.mul, "min": ops.minimum, "max": ops.maximum}
_NEUTRAL = {"add": 0, "mul": 1}


def _write(x: Tensor, found: Plan, update: Tensor, mode: str) -> Tensor:
    """Change a strided window: the update is padded with what leaves the rest alone."""
    update = reshaped(update, found.lengths)
    if found.flips:
        update = ops.flip(update, dims=found.flips)
    if same(update.shape, x.shape):
        return update if mode == "set" else _COMBINE[mode](x, update)
    outside = splat_like(_NEUTRAL.get(mode, 0), x).value
    update = _padded(update, x, found, outside)
    changed = update if mode == "set" else _COMBINE[mode](x, update)
    if mode in _NEUTRAL:
        return changed
    window = Splat(True, x.type.with_dtype(dtypes.bool_).with_shape(found.lengths))
    return ops.where(_padded(window, x, found, False), changed, x)


def _padded(part: Tensor, x: Tensor, found: Plan, value: Any) -> Tensor:
    """The window's elements at their places in ``x``'s shape, ``value`` everywhere else."""
    if isinstance(part, Splat) and part.value == value:
        return Splat(part.value, part.type.with_shape(x.shape))
    high = tuple(
        total - first - ((length - 1) * step + 1 if length != 0 else 0)
        for total, first, length, step in zip(
            x.shape, found.start, part.shape, found.step, strict=True
        )
    )
    interior = tuple(step - 1 for step in found.step)
    return ops.pad(part, low=found.start, high=high, interior=interior, value=value)


def setitem(x: Tensor, index: Any, value: Any) -> NoReturn:
    """Refuse ``x[index] = value``.

    Raises:
        ArgumentError: always; it names the way out.
    """
    raise ArgumentError(
        "tensors do not change; write x = x.at[index].set(value) (or .add, .mul, .min, .max) "
        "instead of x[index] = value."
    )
