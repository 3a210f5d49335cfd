"""Sorting, and the first few of the order.

Integer keys are computed that order as the elements do. No two of them are equal, since the
position takes part, so that every sort is stable; the elements are gathered afterwards.

IREE's own sort (3.13) exchanges neighbours until none is out of order: it takes quadratic time
one element after the other, is not stable, and works in place, in the memory of the program's own
input too. Nothing here uses it. In short rows every element is compared with every other, which
vectorizes: 4 times as fast for 16384 rows of 128. Longer ones are sorted by their digits, in a
kernel of our own; where there can be none, they go through a bitonic network (K. E. Batcher,
"Sorting networks and their applications", 1968), a loop of log2(n)^2 / 2 steps.

Where few of many are asked for, only the groups are looked into whose own firsts are among the
first: 100 times as fast as to sort for 40 of 49152.
"""

from __future__ import annotations

import math

from slope.extend import DType, TensorType, dtypes

from .context import Context, Rule, Value
from .index import gather
from .loop_kernels import sort_kernel

RANKED = 320  # elements up to which comparing all with all is faster than the network
GROUP = 4  # elements of which one stands for the others
FEW = 64  # elements that are not grouped

_MAXIMUM = {"int32": 2**31 - 1, "int64": 2**63 - 1}


def sort(ctx: Context, x: Value, *, dim: int, descending: bool) -> tuple[Value, Value]:
    return topk(ctx, x, k=x.shape[dim], dim=dim, largest=descending)


def topk(ctx: Context, x: Value, *, k: int, dim: int, largest: bool) -> tuple[Value, Value]:
    # Along the last dimension, where gathering comes out without exchanging dimensions.
    last = len(x.shape) - 1
    order = [each for each in range(last + 1) if each != dim]
    moved = ctx.transpose(x, [*order, dim])
    places = _places(ctx, moved, k, largest)
    places = ctx.convert(places, dtypes.int64)
    rows = ctx.reshape(places, (*places.shape, 1))
    values = gather(ctx, moved, rows, axis=last, batch_dims=last)
    back = [*range(dim), last, *range(dim, last)]
    return ctx.transpose(values, back), ctx.transpose(places, back)


def _part(ctx: Context, x: Value, start: int, stop: int) -> Value:
    """Some elements of the last dimension."""
    none = [0] * (len(x.shape) - 1)
    return ctx.slice(x, [*none, start], [*x.shape[:-1], stop])


def _places(ctx: Context, x: Value, k: int, descending: bool) -> Value:
    """Where the first ``k`` in the order of the last dimension stand, as int32."""
    keys = _keys(ctx, x, descending)
    if ctx.loop_kernels is not None and keys.type.size and _by_digits(keys.shape[-1], k):
        rows = ctx.reshape(keys, (math.prod(keys.shape[:-1]), keys.shape[-1]))
        return ctx.reshape(sort_kernel(ctx, rows, k), (*keys.shape[:-1], k))
    places = ctx.iota(keys.type.with_dtype(dtypes.int32), len(keys.shape) - 1)
    xs = [keys, places]
    if keys.dtype is dtypes.int32:  # key and place in one number
        wide = ctx.same(
            "multiply",
            ctx.convert(keys, dtypes.int64),
            ctx.constant(2**32, keys.type.with_dtype(dtypes.int64)),
        )
        xs = [ctx.same("add", wide, ctx.convert(places, dtypes.int64))]
    return _standing(ctx, _first(ctx, xs, k))


def _by_digits(length: int, k: int) -> bool:
    """Whether sorting by digits is faster than what else there is, by measurement."""
    return length > FEW and _comparisons(length, k) > 3500 + 7 * length


def _comparisons(length: int, k: int) -> int:
    """How many elements of a row are compared to find the first ``k``, see :func:`_first`."""
    if length > max(FEW, 2 * GROUP * k):
        return (GROUP * k) ** 2 + _comparisons(length // GROUP, k)
    return length * (length + k)


def _standing(ctx: Context, xs: list[Value]) -> Value:
    """The places that keys were given."""
    last = xs[-1]
    if len(xs) == 1:
        last = ctx.same("and", last, ctx.like(2**32 - 1, last))
    return ctx.convert(last, dtypes.int32)


def _keys(ctx: Context, x: Value, descending: bool) -> Value:
    """int32 or int64 numbers that are in ascending order when the elements are as wanted."""
    dtype = x.dtype
    if dtype.is_floating_point:
        keys = _float_keys(ctx, x)
    elif dtype.kind == "u" and dtype.bits >= 32:
        signed = dtypes.int32 if dtype.bits == 32 else dtypes.int64
        keys = ctx.bitcast(x, signed)
        keys = ctx.same("xor", keys, ctx.like(-_MAXIMUM[signed.name] - 1, keys))
    else:
        keys = x if dtype is dtypes.int64 else ctx.convert(x, dtypes.int32)
    return ctx.same("not", keys) if descending else keys


def _float_keys(ctx: Context, x: Value) -> Value:
    """The bits, which order positive numbers; those of negative ones are turned around."""
    wide: DType = dtypes.float64 if x.dtype is dtypes.float64 else dtypes.float32
    signed = dtypes.int64 if wide is dtypes.float64 else dtypes.int32
    nan = ctx.compare("NE", x, x)
    value = ctx.convert(x, wide)
    zero = ctx.compare("EQ", value, ctx.like(0.0, value))  # -0.0, too
    bits = ctx.bitcast(value, signed)
    top = ctx.like(_MAXIMUM[signed.name], bits)
    negative = ctx.compare("LT", bits, ctx.like(0, bits))
    keys = ctx.select(negative, ctx.same("xor", bits, top), bits)
    keys = ctx.select(zero, ctx.like(0, bits), keys)
    return ctx.select(nan, top, keys)


# Operands below are one number that holds key and place, or both apart, in rows.


def _first(ctx: Context, xs: list[Value], k: int) -> list[Value]:
    """The first ``k`` in ascending order of the last dimension."""
    shape = xs[0].shape
    levels = [[ctx.reshape(x, (math.prod(shape[:-1]), shape[-1])) for x in xs]]
    # The first k elements are in the first k groups, by the groups' own firsts: before any other
    # group stand k that are smaller. Groups are found by their firsts as elements are.
    while levels[-1][0].shape[1] > max(FEW, 2 * GROUP * k):
        levels.append(_leaders(ctx, levels[-1]))
    best = _ordered(ctx, levels.pop(), k)
    while levels:
        group = _standing(ctx, best)
        for level in levels:  # each time, place becomes the number of the group
            count = ctx.constant(level[0].shape[1] // GROUP, group.type)
            group = ctx.same("remainder", group, count)
        best = _ordered(ctx, _members(ctx, levels.pop(), group), k)
    return [ctx.reshape(x, (*shape[:-1], k)) for x in best]


def _leaders(ctx: Context, xs: list[Value]) -> list[Value]:
    """The first of each group; up to ``GROUP - 1`` last elements are in none.

    Of ``n`` groups the one with number ``i`` holds the elements ``i``, ``i + n``, ``i + 2 n``...
    """
    rows, length = xs[0].shape
    count = length // GROUP
    grouped = [ctx.reshape(_part(ctx, x, 0, count * GROUP), (rows, GROUP, count)) for x in xs]
    keys = grouped[0]
    best = ctx.reduce("minimum", keys, _MAXIMUM["int64"], (1,))
    if len(xs) == 1:
        return [best]
    hits = ctx.compare("EQ", keys, ctx.broadcast(best, keys.shape, (0, 2)))
    last = _MAXIMUM["int32"]
    places = ctx.select(hits, grouped[1], ctx.like(last, grouped[1]))
    return [best, ctx.reduce("minimum", places, last, (1,))]


def _members(ctx: Context, xs: list[Value], group: Value) -> list[Value]:
    """All elements of the groups with these numbers, and those that are in none."""
    (rows, length), k = xs[0].shape, group.shape[1]
    count = length // GROUP
    whole = group.type.with_shape((rows, GROUP, k))
    steps = ctx.iota(whole, 1)
    steps = ctx.same("multiply", steps, ctx.like(count, steps))
    places = ctx.same("add", steps, ctx.broadcast(group, whole.shape, (0, 2)))
    places = ctx.reshape(places, (rows, GROUP * k, 1))
    found = [gather(ctx, x, places, axis=1, batch_dims=1) for x in xs]
    if length % GROUP == 0:
        return found
    rest = [_part(ctx, x, count * GROUP, length) for x in xs]
    return [ctx.concatenate([x, y], 1) for x, y in zip(found, rest, strict=True)]


def _ordered(ctx: Context, xs: list[Value], k: int) -> list[Value]:
    """The first ``k`` in ascending order, by sorting all."""
    if xs[0].shape[1] <= RANKED:
        return _ranked(ctx, xs, k)
    return [_part(ctx, x, 0, k) for x in _network(ctx, xs)]


def _ranked(ctx: Context, xs: list[Value], k: int) -> list[Value]:
    """How many come before it tells where an element goes."""
    rows, length = xs[0].shape
    pairs = (rows, length, length)
    mine = [ctx.broadcast(x, pairs, (0, 1)) for x in xs]
    theirs = [ctx.broadcast(x, pairs, (0, 2)) for x in xs]
    before = _less(ctx, theirs, mine)
    rank = ctx.reduce("add", ctx.convert(before, dtypes.int32), 0, (2,))
    grid = rank.type.with_shape((rows, k, length))
    slots = ctx.iota(grid, 1)
    hits = ctx.compare("EQ", slots, ctx.broadcast(rank, grid.shape, (0, 2)))
    outs = []
    for x in xs:  # one hit in each slot
        each = ctx.broadcast(x, grid.shape, (0, 2))
        outs.append(ctx.reduce("add", ctx.select(hits, each, ctx.like(0, each)), 0, (2,)))
    return outs


# --- the network


def _network(ctx: Context, xs: list[Value]) -> list[Value]:
    """All in ascending order; rows are filled up to a power of two."""
    length = xs[0].shape[1]
    size = 1 << (length - 1).bit_length()
    fills = [_MAXIMUM["int64"], length]
    extra = [0, size - length]
    filled = [ctx.pad(x, [0, 0], extra, value=fill) for x, fill in zip(xs, fills, strict=False)]
    return [_part(ctx, x, 0, length) for x in _exchanged(ctx, filled)]


def _less(ctx: Context, first: list[Value], second: list[Value]) -> Value:
    """Whether the first operands come before the second ones: by keys, then by places."""
    less = ctx.compare("LT", first[0], second[0])
    if len(first) == 1:
        return less
    tied = ctx.compare("EQ", first[0], second[0])
    sooner = ctx.compare("LT", first[1], second[1])
    return ctx.same("or", less, ctx.same("and", tied, sooner))


def _exchanged(ctx: Context, xs: list[Value]) -> list[Value]:
    # Each element is compared with the one whose place differs in one bit, `stride`; blocks of
    # `block` elements are put in ascending and descending order in turn.
    size, number = xs[0].shape[1], dtypes.int32
    start = [ctx.scalar(2, number), ctx.scalar(1, number), *xs]
    types = [each.type for each in start]

    def unfinished(inner: Context, state: list[Value]) -> list[Value]:
        return [inner.compare("LE", state[0], inner.scalar(size, number))]

    def exchanged(inner: Context, state: list[Value]) -> list[Value]:
        block, stride, *mine = state
        place = inner.iota(TensorType((size,), number), 0)
        strides, blocks = (inner.broadcast(each, (size,), ()) for each in (stride, block))
        partner = inner.reshape(inner.same("xor", place, strides), (size, 1))
        theirs = [_columns(inner, x, partner) for x in mine]
        zero = inner.like(0, place)
        low = inner.compare("EQ", inner.same("and", place, strides), zero)
        up = inner.compare("EQ", inner.same("and", place, blocks), zero)
        wanted = inner.broadcast(inner.same("xor", low, up), xs[0].shape, (1,))
        kept = inner.same("xor", _less(inner, mine, theirs), wanted)
        two = inner.scalar(2, number)
        half = inner.same("divide", stride, two)
        through = inner.compare("EQ", half, inner.scalar(0, number))
        return [
            inner.select(through, inner.same("multiply", block, two), block),
            inner.select(through, block, half),
            *(inner.select(kept, *pair) for pair in zip(mine, theirs, strict=True)),
        ]

    test, step = ctx.region(unfinished, types), ctx.region(exchanged, types)
    names = ", ".join(each.name for each in start)
    return list(ctx.several(f'"stablehlo.while"({names}) ({test}, {step})', start, types)[2:])


def _columns(ctx: Context, x: Value, places: Value) -> Value:
    """The columns at places that are known to be there."""
    numbers = (
        "#stablehlo.gather<offset_dims = [0], collapsed_slice_dims = [1], "
        "start_index_map = [1], index_vector_dim = 1>"
    )
    return ctx.emit(
        f'"stablehlo.gather"({x}, {places}) <{{dimension_numbers = {numbers}, slice_sizes = '
        f"array<i64: {x.shape[0]}, 1>, indices_are_sorted = false}}> "
        f": ({x.mlir}, {places.mlir}) -> {x.mlir}",
        x.type,
    )


RULES: dict[str, Rule] = {"sort": sort, "topk": topk}
