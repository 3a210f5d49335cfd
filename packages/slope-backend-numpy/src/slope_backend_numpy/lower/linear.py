"""Moving, repeating, selecting and adding elements. Most of these are views."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slope.extend import dtypes
from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.sizes import at_least_zero, differ, known, large, never_zero, same

if TYPE_CHECKING:
    from slope.extend import DType
    from slope_backend_numpy.context import Context, Value

Dims = tuple[int, ...]

LARGE: Final = 1 << 15  # elements, from which the order in memory matters
LONGEST_DOT: Final = 16384
"""Elements up to which a sum is formed by BLAS as a product with ones: 1.5 to 4 times as fast as
``np.add.reduce``, whose pairwise sums are the more exact ones when there are many."""


def reshape(context: Context, x: Value, *, shape: Dims) -> Value:
    if x.number is not None or (x.is_full and same(shape, x.shape)):
        return context.same(x)
    if not x.is_full:
        return context.fresh(f"{context.full(x)}.copy().reshape({shape})")
    made = context.view(x, f"{x.code}.reshape({shape})", whole=True)
    made.turned = x.turned and shape[-1:] == x.shape[-1:]  # if NumPy copies it, it is not
    return made


def permute(context: Context, x: Value, *, dims: Dims) -> Value:
    if x.number is not None or dims == tuple(range(len(dims))):
        return context.same(x)
    turned, x = x.turned, context.aligned(x)
    shape = tuple(x.shape[dim] for dim in dims)
    made = context.view(x, f"{x.code}.transpose({dims})", whole=True, shape=shape)
    moves = dims[-1] != len(dims) - 1 and large(x.shape[-1], 2)
    made.turned = turned != moves and large(math.prod(shape), LARGE)
    return made


def broadcast(context: Context, x: Value, *, shape: Dims, dims: Dims) -> Value:
    """No elements are repeated: the result is narrow."""
    if x.number is not None or not dims:
        return context.same(x)
    x = context.aligned(x)
    places = [1] * len(shape)
    for dim, length in zip(dims, x.shape, strict=True):
        places[dim] = length
    narrow = tuple(places[dims[0] :])  # NumPy puts leading dimensions in front by itself
    if same(narrow, x.shape):
        return context.same(x)
    return context.view(x, f"{x.code}.reshape({narrow})", whole=True, shape=narrow)


def sum_(context: Context, x: Value, *, dim: Dims) -> Value:
    if not dim:
        return context.same(x)
    if x.number is not None and not known(x.type.shape):
        return _repeated(context, x, dim)
    fast = _sum_as_product(context, x, dim)
    if fast is not None:
        return fast
    wide = dtypes.accumulator(x.dtype)
    options = f"axis={axes(dim, x)}, dtype={context.dtype_code(wide)}"
    code = f"np.add.reduce({context.full(x)}, {options})"
    return context.cast(context.fresh(code, context.type.with_dtype(wide)), x.dtype)


def _repeated(context: Context, x: Value, dim: Dims) -> Value:
    """The sum of a number that is repeated as often as is known when the program runs."""
    count = math.prod(x.type.shape[each] for each in dim)
    factor = f"np.asarray({count}).astype({context.dtype_code(x.dtype)})"
    return context.fresh(f"{factor} * {x.code}", shape=())


def axes(dim: Dims, x: Value) -> Any:
    """The ``axis`` argument that reduces these dimensions."""
    return dim[0] if len(dim) == 1 else None if len(dim) == x.type.ndim else dim


def _sum_as_product(context: Context, x: Value, dim: Dims) -> Value | None:
    """Sums over neighbouring dimensions, in float32 or float64."""
    rank, count = x.type.ndim, len(dim)
    if (
        x.dtype.name not in ("float32", "float64")
        or not x.is_full
        or count == rank
        or not never_zero(x.type.size)
    ):
        return None
    length = math.prod(x.shape[each] for each in dim)
    leading, trailing = dim[0] == 0, dim[-1] == rank - 1
    if not known((length,)) or dim != tuple(range(dim[0], dim[0] + count)):
        return None
    if length > LONGEST_DOT:
        return _sum_of_sums(context, x, length) if leading else None
    ones = context.constant(np.ones(length, x.dtype.numpy), "ones")
    kept = context.type.shape
    before, after = ([] if leading else [math.prod(kept[: dim[0]])]), ([] if trailing else [-1])
    flat = (*before, length, *after)
    matrix = x.code if len(flat) == rank else f"{x.code}.reshape({flat})"
    code = f"np.matmul({matrix}, {ones})" if trailing else f"np.matmul({ones}, {matrix})"
    return context.fresh(code if len(flat) - 1 == len(kept) else f"{code}.reshape({kept})")


def _sum_of_sums(context: Context, x: Value, length: int) -> Value | None:
    """A long sum over leading dimensions, by BLAS in parts that are added afterwards."""
    part = next((each for each in range(4096, 63, -1) if length % each == 0), None)
    if part is None:
        return None
    ones = context.constant(np.ones(part, x.dtype.numpy), "ones")
    code = f"np.add.reduce(np.matmul({ones}, {x.code}.reshape({(-1, part, context.type.size)})))"
    kept = context.type.shape
    return context.fresh(code if len(kept) == 1 else f"{code}.reshape({kept})")


def cast(context: Context, x: Value, *, dtype: DType) -> Value:
    if dtype is x.dtype:
        return context.same(x)
    target = context.dtype_code(dtype)
    if x.dtype.is_floating_point and dtype.is_integer:
        code = f"kernels.float_to_integer({x.code}, np.dtype({target}))"
    elif x.dtype.name == "float64" and dtype.name == "bfloat16":
        code = f"kernels.float64_to_bfloat16({x.code})"
    elif dtype.kind == "b":
        code = f"np.not_equal({x.code}, {context.scalar(0, x.dtype).code})"
    else:
        code = f"{x.code}.astype({target})"
    return context.fresh(code, shape=x.shape)


def pad(context: Context, x: Value, *, low: Dims, high: Dims, interior: Dims, value: Any) -> Value:
    place = []
    for length, before, between in zip(x.type.shape, low, interior, strict=True):
        used = at_least_zero(length + (length - 1) * between)
        place.append(slice(before, before + used, between + 1))
    fill = context.scalar(value, x.dtype).code
    if known(x.type.shape):
        target = context.constant(tuple(place), "place")
    else:
        target = f"({', '.join(map(str, place))},)"
    return context.fresh(f"kernels.pad({x.code}, {context.type.shape}, {target}, {fill})")


def slice_(context: Context, x: Value, *, start: Dims, stop: Dims, step: Dims) -> Value:
    if x.number is not None or same(context.type.shape, x.type.shape):
        return context.same(x)
    x = context.aligned(x)
    parts, shape = [], []
    for first, last, stride, length, total, kept in zip(
        start, stop, step, x.shape, x.type.shape, context.type.shape, strict=True
    ):
        narrow = differ(length, total) and never_zero(kept)
        parts.append(
            ":"
            if narrow or same((first, last, stride), (0, total, 1))
            else f"{first}:{last}" + (f":{stride}" if stride > 1 else "")
        )
        shape.append(1 if narrow else kept)
    if any(
        differ(length, total) and not never_zero(kept)
        for length, total, kept in zip(x.shape, x.type.shape, context.type.shape, strict=True)
    ):
        return context.view(x, f"{context.full(x)}[{_slices(start, stop, step)}]", whole=False)
    return context.view(x, f"{x.code}[{', '.join(parts)}]", whole=False, shape=tuple(shape))


def _slices(start: Dims, stop: Dims, step: Dims) -> str:
    return ", ".join(
        f"{first}:{last}:{stride}" for first, last, stride in zip(start, stop, step, strict=True)
    )


def flip(context: Context, x: Value, *, dims: Dims) -> Value:
    if x.number is not None or not dims:
        return context.same(x)
    x = context.aligned(x)
    parts = [
        "::-1" if dim in dims and differ(x.shape[dim], 1) else ":" for dim in range(x.type.ndim)
    ]
    return context.view(x, f"{x.code}[{', '.join(parts)}]", whole=True, shape=x.shape)


def concatenate(context: Context, *xs: Value, dim: int) -> Value:
    code = f"np.concatenate(({', '.join(context.full(x) for x in xs)},), axis={dim})"
    return context.fresh(code, takes_out=True)


LOWERINGS: Final[dict[str, Rule]] = {
    "reshape": reshape,
    "permute": permute,
    "broadcast": broadcast,
    "sum": sum_,
    "cast": cast,
    "interior_pad": pad,
    "slice": slice_,
    "flip": flip,
    "concatenate": concatenate,
}
