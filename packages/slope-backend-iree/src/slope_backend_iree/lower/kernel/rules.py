"""How first-order operators are written in a kernel: ``rule(kernel, *operands, **params)``.

What only moves elements gives a view; an elementwise operator gives an expression, evaluated where
it is needed; all else writes its result to memory, in loops of its own.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from slope.extend import DType, TensorType, dtypes
from slope_backend_iree.lower.context import Value
from slope_backend_iree.lower.reduce import highest, lowest

from .arrays import (
    Array,
    Expression,
    Index,
    Operand,
    Splat,
    broadcasted,
    permuted,
    reshaped,
    sliced,
)
from .elements import RULES as ELEMENTWISE
from .kernel import Kernel
from .reduction import Combination, reduce

Dims = Sequence[int]
KernelRule = Callable[..., Operand]

_LARGEST = 64  # operators in one expression; longer chains are written to memory in between


# --- one element from one element


def elementwise(name: str) -> KernelRule:
    """The rule of an elementwise operator."""

    def lowered(kernel: Kernel, *xs: Operand, **params: Any) -> Operand:
        size = 1 + sum(x.size for x in xs if isinstance(x, Expression))
        if size > _LARGEST:
            xs, size = tuple(kernel.force(x) for x in xs), 1
        dtype = _result(name, xs, params)
        rule = ELEMENTWISE[name]
        return Expression(name, rule, params, xs, xs[0].type.with_dtype(dtype), size)

    return lowered


_TESTS = frozenset(("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isfinite"))


def _result(name: str, xs: Sequence[Operand], params: dict[str, Any]) -> DType:
    if name in ("cast", "bitcast"):
        return params["dtype"]
    if name in _TESTS:
        return dtypes.bool_
    return xs[-1].type.dtype  # of ``where`` the last; of all others they are the same


def stop_gradient(kernel: Kernel, x: Operand) -> Operand:
    return x


# --- views, and what is put together


def reshape(kernel: Kernel, x: Operand, *, shape: Dims) -> Operand:
    made = reshaped(x, shape)
    if made is None:
        made = reshaped(kernel.copy(x), shape)
    assert made is not None
    return made


def permute(kernel: Kernel, x: Operand, *, dims: Dims) -> Operand:
    return permuted(x, dims)


def broadcast(kernel: Kernel, x: Operand, *, shape: Dims, dims: Dims) -> Operand:
    if isinstance(x, Expression) and math.prod(shape) > x.type.size:
        x = kernel.force(x)  # else every copy would compute it again
    return broadcasted(x, shape, dims)


def slice_(kernel: Kernel, x: Operand, *, start: Dims, stop: Dims, step: Dims) -> Operand:
    sizes = [-(-(b - a) // c) for a, b, c in zip(start, stop, step, strict=True)]
    return sliced(x, start, sizes, step)


def flip(kernel: Kernel, x: Operand, *, dims: Dims) -> Operand:
    shape = x.type.shape
    start = [length - 1 if dim in dims else 0 for dim, length in enumerate(shape)]
    return sliced(x, start, shape, [-1 if dim in dims else 1 for dim in range(len(shape))])


def pad(
    kernel: Kernel, x: Operand, *, low: Dims, high: Dims, interior: Dims, value: bool | float
) -> Operand:
    shape, first, last = [], [], []
    for length, before, after, gap in zip(x.type.shape, low, high, interior, strict=True):
        total = before + length + max(length - 1, 0) * gap + after
        shape.append(total)
        # Negative padding cuts: which elements stay?
        first.append(max(0, -(before // (gap + 1))) if before < 0 else 0)
        last.append(min(length, -(-(total - before) // (gap + 1))))
    made = kernel.scratch(x.type.with_shape(tuple(shape)))
    kernel.fill(made, Splat(value, made.type))
    sizes = [b - a for a, b in zip(first, last, strict=True)]
    if min(sizes, default=1) <= 0:
        return made
    steps = [gap + 1 for gap in interior]
    start = [b + a * step for a, b, step in zip(first, low, steps, strict=True)]
    target = sliced(made, start, sizes, steps)
    assert isinstance(target, Array)
    kernel.fill(target, sliced(x, first, sizes, [1] * len(sizes)))
    return made


def concatenate(kernel: Kernel, *xs: Operand, dim: int) -> Operand:
    shape = list(xs[0].type.shape)
    shape[dim] = sum(x.type.shape[dim] for x in xs)
    made = kernel.scratch(xs[0].type.with_shape(tuple(shape)))
    first = [0] * len(shape)
    for x in xs:
        target = sliced(made, first, x.type.shape, [1] * len(shape))
        assert isinstance(target, Array)
        kernel.fill(target, x)
        first[dim] += x.type.shape[dim]
    return made


def iota(kernel: Kernel, *, shape: Dims, dim: int, dtype: DType) -> Operand:
    made = kernel.scratch(TensorType((shape[dim],), dtype))
    with kernel.loops(made.type.shape) as index:
        kernel.store(_counted(kernel, index[0], dtype), made, index)
    return broadcasted(made, shape, (dim,))


def _counted(kernel: Kernel, index: Index, dtype: DType) -> Value:
    count = kernel.body.emit(
        f"arith.index_cast {kernel.at(index)} : index to i64", TensorType((), dtypes.int64)
    )
    return kernel.body.convert(count, dtype)


# --- reductions


def _reduction(name: str, start: Callable[[DType], bool | int | float]) -> KernelRule:
    def lowered(kernel: Kernel, x: Operand, *, dim: Dims) -> Operand:
        return reduce(kernel, x, dim, Combination(name, start(x.type.dtype))) if dim else x

    return lowered


_ADD = Combination("add", 0)


def argument(name: str) -> KernelRule:
    """The rule of argmax (``"GT"``) and argmin (``"LT"``): the first best one, or the first NaN."""

    def lowered(kernel: Kernel, x: Operand, *, dim: int) -> Operand:
        x = kernel.force(x)
        shape = x.type.shape
        outer = [length for each, length in enumerate(shape) if each != dim]
        made = kernel.scratch(TensorType(tuple(outer), dtypes.int64))
        best = kernel.scratch(x.type.with_shape(()))
        with kernel.loops(outer) as index:
            place = [*index[:dim], Index(), *index[dim:]]
            kernel.store(kernel.load(x, place), best, [])
            kernel.store(kernel.body.scalar(0, dtypes.int64), made, index)
            with kernel.loop(shape[dim]) as along:
                value, old = (
                    kernel.load(x, [*index[:dim], along, *index[dim:]]),
                    kernel.load(best, []),
                )
                better = _better(kernel, name, value, old)
                count = _counted(kernel, along, dtypes.int64)
                chosen = kernel.body.select(better, count, kernel.load(made, index))
                kernel.store(chosen, made, index)
                kernel.store(kernel.body.select(better, value, old), best, [])
        return made

    return lowered


def _better(kernel: Kernel, name: str, value: Value, old: Value) -> Value:
    body = kernel.body
    better = body.compare(name, value, old)
    if not value.dtype.is_floating_point:
        return better
    first = body.same("and", body.compare("NE", value, value), body.compare("EQ", old, old))
    return body.same("or", better, first)


def cumsum(kernel: Kernel, x: Operand, *, dim: int, reverse: bool = False) -> Operand:
    shape = x.type.shape
    made, total = kernel.scratch(x.type), kernel.scratch(x.type.with_shape(()))
    source: Operand = x
    target: Operand = made
    if reverse:
        source, target = flip(kernel, source, dims=(dim,)), flip(kernel, target, dims=(dim,))
    assert isinstance(target, Array)
    with kernel.loops([length for each, length in enumerate(shape) if each != dim]) as index:
        kernel.store(kernel.body.scalar(0, x.type.dtype), total, [])
        with kernel.loop(shape[dim]) as along:
            here = [*index[:dim], along, *index[dim:]]
            value = kernel.body.same("add", kernel.load(total, []), kernel.evaluate(source, here))
            kernel.store(value, total, [])
            kernel.store(value, target, here)
    return made


def softmax(kernel: Kernel, x: Operand, *, dim: int) -> Operand:
    x = kernel.force(x)
    others = [each for each in range(len(x.type.shape)) if each != dim]
    spread = functools.partial(broadcast, kernel, shape=x.type.shape, dims=others)
    top = reduce(kernel, x, (dim,), Combination("maximum", -math.inf))
    moved = elementwise("sub")(kernel, x, spread(top))
    weights = kernel.force(elementwise("exp")(kernel, moved))
    return elementwise("div")(kernel, weights, spread(reduce(kernel, weights, (dim,), _ADD)))


def dot_general(
    kernel: Kernel,
    x: Operand,
    y: Operand,
    *,
    contract: tuple[Dims, Dims],
    batch: tuple[Dims, Dims] = ((), ()),
) -> Operand:
    """The sum of the products, both operands repeated along the other's own dimensions."""
    x, y = kernel.force(x), kernel.force(y)
    own = [
        [d for d in range(len(each.type.shape)) if d not in along and d not in inner]
        for each, along, inner in zip((x, y), batch, contract, strict=True)
    ]
    counts = len(batch[0]), len(own[0]), len(own[1]), len(contract[0])
    ends = [sum(counts[:i]) for i in range(5)]
    groups = [range(a, b) for a, b in itertools.pairwise(ends)]
    shape = [
        *(x.type.shape[d] for d in (*batch[0], *own[0])),
        *(y.type.shape[d] for d in own[1]),
        *(x.type.shape[d] for d in contract[0]),
    ]
    first = permuted(x, (*batch[0], *own[0], *contract[0]))
    second = permuted(y, (*batch[1], *own[1], *contract[1]))
    product = elementwise("mul" if x.type.dtype.kind != "b" else "bitwise_and")(
        kernel,
        broadcasted(first, shape, (*groups[0], *groups[1], *groups[3])),
        broadcasted(second, shape, (*groups[0], *groups[2], *groups[3])),
    )
    return reduce(kernel, product, tuple(groups[3]), _ADD) if counts[3] else product


# --- computed places


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
            kernel.fill(target, elementwise(names[mode])(kernel, target, update))
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


RULES: dict[str, KernelRule] = {
    **{name: elementwise(name) for name in ELEMENTWISE},
    "stop_gradient": stop_gradient,
    "reshape": reshape,
    "permute": permute,
    "broadcast": broadcast,
    "slice": slice_,
    "flip": flip,
    "interior_pad": pad,
    "concatenate": concatenate,
    "iota": iota,
    "sum": _reduction("add", lambda dtype: 0),
    "prod": _reduction("multiply", lambda dtype: 1),
    "amax": _reduction("maximum", lowest),
    "amin": _reduction("minimum", highest),
    "any": _reduction("or", lambda dtype: False),
    "all": _reduction("and", lambda dtype: True),
    "argmax": argument("GT"),
    "argmin": argument("LT"),
    "cumsum": cumsum,
    "softmax": softmax,
    "dot_general": dot_general,
    "gather_slices": gather,
    "scatter_slices": scatter,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
}
