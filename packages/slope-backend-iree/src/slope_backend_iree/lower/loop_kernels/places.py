"""Reading and writing at computed places. Coordinates out of range count as the nearest in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from slope_backend_iree.lower.context import Value

from .arrays import Array, Expression, Index, Operand, reshaped, sliced
from .elements import RULES as ELEMENTWISE
from .kernel import Kernel

Dims = Sequence[int]


def _clamped(kernel: Kernel, value: Value, last: int) -> Index:
    """An index between 0 and ``last``."""
    body = kernel.body
    limit = (1 << (value.dtype.bits - (value.dtype.kind == "i"))) - 1
    if value.dtype.kind == "i":
        value = body.same("maximum", value, body.like(0, value))
    if last < limit:
        value = body.same("minimum", value, body.like(last, value))
    return kernel.index(value)


def dynamic_slice(kernel: Kernel, x: Operand, *starts: Operand, sizes: Dims) -> Operand:
    x = kernel.force(x)
    return sliced(x, _starts(kernel, x, starts, sizes), sizes, [1] * len(sizes))


def _starts(kernel: Kernel, x: Operand, starts: Sequence[Operand], sizes: Dims) -> list[Index]:
    room = [length - size for length, size in zip(x.type.shape, sizes, strict=True)]
    return [
        _clamped(kernel, kernel.scalar(each), last) if last else Index()
        for each, last in zip(starts, room, strict=True)
    ]


def dynamic_update_slice(kernel: Kernel, x: Operand, update: Operand, *starts: Operand) -> Operand:
    return update_in(kernel, kernel.copy(x), update, *starts)


def update_in(kernel: Kernel, x: Array, update: Operand, *starts: Operand) -> Array:
    """A window of ``x`` replaced, in place."""
    sizes = update.type.shape
    target = sliced(x, _starts(kernel, x, starts, sizes), sizes, [1] * len(sizes))
    assert isinstance(target, Array)
    kernel.fill(target, update)
    return x


def gather(
    kernel: Kernel, x: Operand, indices: Operand, *, axis: int = 0, batch_dims: int = 0
) -> Operand:
    x = kernel.force(x)
    own, count = indices.type.shape, indices.type.shape[-1]
    shape = (*x.type.shape[:axis], *own[batch_dims:-1], *x.type.shape[axis + count :])
    made = kernel.scratch(x.type.with_shape(shape))
    with _windows(kernel, x, indices, made, axis, batch_dims) as (window, target):
        kernel.fill(target, window)
    return made


def scatter(
    kernel: Kernel,
    x: Operand,
    indices: Operand,
    updates: Operand,
    *,
    axis: int = 0,
    batch_dims: int = 0,
    mode: str = "set",
) -> Operand:
    return scatter_in(
        kernel, kernel.copy(x), indices, updates, axis=axis, batch_dims=batch_dims, mode=mode
    )


_MODES = {"add": "add", "mul": "mul", "min": "minimum", "max": "maximum"}
_BOOL_MODES = {"add": "maximum", "mul": "minimum", "min": "minimum", "max": "maximum"}


def scatter_in(
    kernel: Kernel,
    x: Array,
    indices: Operand,
    updates: Operand,
    *,
    axis: int = 0,
    batch_dims: int = 0,
    mode: str = "set",
) -> Array:
    """Windows of ``x`` replaced by updates, or combined with them, in place and in order."""
    names = _BOOL_MODES if x.type.dtype.kind == "b" else _MODES
    updates = kernel.force(updates)
    with _windows(kernel, x, indices, updates, axis, batch_dims) as (target, update):
        if mode == "set":
            kernel.fill(target, update)
        else:
            rule = ELEMENTWISE[names[mode]]
            both = Expression(names[mode], rule, {}, (target, update), target.type, 1)
            kernel.fill(target, both)
    return x


@contextlib.contextmanager
def _windows(
    kernel: Kernel, x: Array, indices: Operand, gathered: Array, axis: int, batch_dims: int
) -> Iterator[tuple[Array, Array]]:
    """In a loop over the indices: the window of ``x`` that they mean, and its place in a gather."""
    indices = kernel.force(indices)
    *own, count = indices.type.shape
    shape = x.type.shape
    with kernel.loops(own) as place:
        along = [
            _clamped(kernel, kernel.load(indices, [*place, Index((), k)]), shape[axis + k] - 1)
            for k in range(count)
        ]
        batch, places = place[:batch_dims], place[batch_dims:]
        between = [Index()] * (axis - batch_dims)
        after = shape[axis + count :]
        kept = (*shape[batch_dims:axis], *after)
        ends = [Index()] * len(after)
        yield (
            _window(x, [*batch, *between, *along, *ends], axis, batch_dims, count, kept),
            _window(
                gathered, [*batch, *between, *places, *ends], axis, batch_dims, len(places), kept
            ),
        )


def _window(
    x: Array, start: Sequence[Index], axis: int, batch_dims: int, count: int, kept: Dims
) -> Array:
    """One position of the batch and of the ``count`` dimensions from ``axis`` on, without them."""
    single = {*range(batch_dims), *range(axis, axis + count)}
    sizes = [1 if dim in single else length for dim, length in enumerate(x.type.shape)]
    made = reshaped(sliced(x, start, sizes, [1] * len(sizes)), kept)
    assert isinstance(made, Array)
    return made
