"""Reading and writing at computed places.

Batch dimensions become coordinates like others, counted by an iota. Coordinates are clamped here:
StableHLO's gather does that itself, its scatter would drop what is out of range.
"""

from __future__ import annotations

import math

from slope.extend import DType, TensorType, dtypes

from .context import Context, Rule, Value, is_half, listed, mlir_type


def _coordinates(
    ctx: Context, x: Value, indices: Value, axis: int, batch_dims: int
) -> tuple[Value, list[int]]:
    """Clamped coordinates, those of batch dimensions included, and the dimensions they are for."""
    count = indices.shape[-1]
    dims = [*range(batch_dims), *range(axis, axis + count)]
    longest = max((x.shape[dim] for dim in dims), default=0)
    narrow = dtypes.int32 if longest < 2**31 else dtypes.int64
    lead = indices.shape[:-1]
    counted = TensorType((*lead, 1), narrow)
    parts = [ctx.iota(counted, dim) for dim in range(batch_dims)]
    for k in range(count):
        part = ctx.slice(indices, [0] * len(lead) + [k], [*lead, k + 1])
        parts.append(clamped(ctx, part, x.shape[axis + k] - 1, narrow))
    return (ctx.concatenate(parts, len(lead)) if parts else ctx.convert(indices, narrow)), dims


def clamped(ctx: Context, place: Value, last: int, dtype: DType) -> Value:
    """Places within ``0 .. last``, as another integer dtype, which holds ``last``."""
    own = place.dtype
    if own.kind == "i":
        place = ctx.same("maximum", place, ctx.like(0, place))
    if last < (1 << (own.bits - (own.kind == "i"))) - 1:
        place = ctx.same("minimum", place, ctx.like(last, place))
    return ctx.convert(place, dtype)


def _window(x: Value, indices: Value, axis: int, batch_dims: int) -> list[int]:
    """Where the dimensions of ``x`` that are not indexed stand in the gathered shape."""
    places = len(indices.shape) - 1 - batch_dims
    after = len(x.shape) - axis - indices.shape[-1]
    first = axis + places
    return [*range(batch_dims, axis), *range(first, first + after)]


def gather(ctx: Context, x: Value, indices: Value, *, axis: int, batch_dims: int) -> Value:
    places = indices.shape[batch_dims:-1]
    result = x.type.with_shape((*x.shape[:axis], *places, *x.shape[axis + indices.shape[-1] :]))
    window = _window(x, indices, axis, batch_dims)
    at, dims = _coordinates(ctx, x, indices, axis, batch_dims)
    sizes = [1 if dim in dims else length for dim, length in enumerate(x.shape)]
    numbers = (
        f"#stablehlo.gather<offset_dims = {listed(window)}, collapsed_slice_dims = {listed(dims)}, "
        f"start_index_map = {listed(dims)}, index_vector_dim = {len(at.shape) - 1}>"
    )
    return ctx.emit(
        f'"stablehlo.gather"({x}, {at}) <{{dimension_numbers = {numbers}, '
        f"slice_sizes = array<i64: {', '.join(map(str, sizes))}>, indices_are_sorted = false}}> "
        f": ({x.mlir}, {at.mlir}) -> {mlir_type(result)}",
        result,
    )


_COMBINE = {"add": "add", "mul": "multiply", "min": "minimum", "max": "maximum"}
_COMBINE_BOOLS = {"add": "or", "mul": "and", "min": "and", "max": "or"}


def scatter(
    ctx: Context, x: Value, indices: Value, updates: Value, *, axis: int, batch_dims: int, mode: str
) -> Value:
    if updates.type.size == 0:
        return x
    if axis > batch_dims:
        # IREE wants the indexed dimensions first. The ones before them become coordinates too: to
        # change their order would move all of x there and back.
        own = indices.shape
        dims = (*range(batch_dims), *range(axis, axis + len(own) - batch_dims))
        indices = ctx.broadcast(indices, (*x.shape[:axis], *own[batch_dims:]), dims)
        batch_dims = axis
    if mode in ("add", "mul") and is_half(x.dtype):
        wide = _in_float32(ctx, x, updates)
        made = scatter(ctx, wide[0], indices, wide[1], axis=axis, batch_dims=batch_dims, mode=mode)
        return ctx.convert(made, x.dtype)
    at, dims = _coordinates(ctx, x, indices, axis, batch_dims)
    x = copied(ctx, x, at)
    count = math.prod(at.shape[:-1])
    at = ctx.reshape(at, (count, len(dims)))
    shape = x.shape
    if updates.type.size == 1:  # IREE refuses an element of a slice there, with dimensions of one
        x = ctx.reshape(x, shape[: len(dims)])
    updates = ctx.reshape(updates, (count, *x.shape[len(dims) :]))
    numbers = (
        f"#stablehlo.scatter<update_window_dims = {listed(range(1, len(updates.shape)))}, "
        f"inserted_window_dims = {listed(range(len(dims)))}, "
        f"scatter_dims_to_operand_dims = {listed(range(len(dims)))}, index_vector_dim = 1>"
    )
    one = mlir_type(x.type.with_shape(()))
    names = _COMBINE_BOOLS if x.dtype is dtypes.bool_ else _COMBINE
    combine = (
        f"%s = stablehlo.{names[mode]} %a, %b : {one} stablehlo.return %s : {one}"
        if mode != "set"
        else f"stablehlo.return %b : {one}"
    )
    made = ctx.emit(
        f'"stablehlo.scatter"({x}, {at}, {updates}) <{{scatter_dimension_numbers = {numbers}, '
        f"indices_are_sorted = false, unique_indices = false}}> "
        f"({{ ^bb0(%a: {one}, %b: {one}): {combine} }}) "
        f": ({x.mlir}, {at.mlir}, {updates.mlir}) -> {x.mlir}",
        x.type,
    )
    return ctx.reshape(made, shape)


def _in_float32(ctx: Context, x: Value, updates: Value) -> tuple[Value, Value]:
    # A literal stays one: two scatters into one converted zero write into the same memory.
    single = x.type.with_dtype(dtypes.float32)
    start = ctx.convert(x, single.dtype) if x.literal is None else ctx.constant(x.literal, single)
    added = ctx.convert(updates, single.dtype)
    if ctx.loop_kernels is None:  # IREE 3.13 for cuda fails to convert within the scatter
        added = ctx.apart(added)
    return start, added


_OWN = ("scatter", "dynamic_update_slice", "constant", "dot_general", "while")


def copied(ctx: Context, x: Value, at: Value) -> Value:
    """A copy of ``x`` to write in, made by what IREE cannot see to be one; ``x`` if it is given.

    ``at`` has no negative element.
    """
    # IREE scatters in place, into the memory of the program's own input too (its issue 16168). No
    # coordinate is negative, but IREE does not know, and so has to write x elsewhere first. Where x
    # is computed here, this fuses into that; what is written to already is no input.
    if x.literal is not None or not at.type.size or ctx.origin(x) in _OWN or x.name in ctx.given:
        return x
    if at.shape:
        at = ctx.reshape(ctx.slice(at, [0] * len(at.shape), [1] * len(at.shape)), ())
    always = ctx.compare("GE", at, ctx.like(0, at))
    return ctx.select(ctx.broadcast(always, x.shape, ()), x, ctx.like(0, x))


RULES: dict[str, Rule] = {"gather_slices": gather, "scatter_slices": scatter}
