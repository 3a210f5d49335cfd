"""Sorting, and the first few of the order.

Integer keys are computed that order as the elements do. No two of them are equal, since the
position takes part, so that every sort is stable; the elements are gathered afterwards.

IREE's own sort (3.13) exchanges neighbours until none is out of order: it takes quadratic time
one element after the other, is not stable, and works in place, in the memory of the program's own
input too. Nothing here uses it. In short rows every element is compared with every other, which
vectorizes: 4 times as fast for 16384 rows of 128. Longer ones go through a bitonic network (K. E.
Batcher, "Sorting networks and their applications", 1968), a loop of log2(n)^2 / 2 steps.

Where few of many are asked for, only the groups are looked into whose own firsts are among the
first: 100 times as fast as to sort for 40 of 49152.
"""

from __future__ import annotations

import math

from slope.extend import DType, TensorType, dtypes

from .context import Context, Rule, Value, mlir_type
from .index import gather

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
    before = ctx.compare("LT", theirs[0], mine[0])
    if len(xs) == 2:
        tied = ctx.compare("EQ", theirs[0], mine[0])
        sooner = ctx.compare("LT", theirs[1], mine[1])
        before = ctx.same("or", before, ctx.same("and", tied, sooner))
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


def _less(flags: str, first: list[str], second: list[str], types: list[str]) -> str:
    """Lines that define ``%less``: whether the first operands come before the second ones."""

    def compared(result: str, how: str, place: int) -> str:
        pair = f"{first[place]}, {second[place]}"
        text = f"stablehlo.compare {how}, {pair}, SIGNED"
        return f"{result} = {text} : ({types[place]}, {types[place]}) -> {flags}"

    if len(first) == 1:
        return compared("%less", "LT", 0)
    return "\n".join(
        [
            compared("%first", "LT", 0),
            compared("%equal", "EQ", 0),
            compared("%second", "LT", 1),
            f"%tied = stablehlo.and %equal, %second : {flags}",
            f"%less = stablehlo.or %first, %tied : {flags}",
        ]
    )


def _exchanged(ctx: Context, xs: list[Value]) -> list[Value]:
    # Each element is compared with the one whose place differs in one bit, `stride`; blocks of
    # `block` elements are put in ascending and descending order in turn.
    rows, size = xs[0].shape
    step = TensorType((), dtypes.int32)
    along, grid = (mlir_type(TensorType((size,), each)) for each in (dtypes.int32, dtypes.bool_))
    flags = mlir_type(TensorType((rows, size), dtypes.bool_))
    one, bit = mlir_type(step), mlir_type(step.with_dtype(dtypes.bool_))
    zero, unit, two, end = (ctx.scalar(value, dtypes.int32) for value in (0, 1, 2, size))
    none = ctx.constant(0, TensorType((size,), dtypes.int32))
    mine = [f"%mine{place}" for place in range(len(xs))]
    theirs = [f"%theirs{place}" for place in range(len(xs))]
    types = [x.mlir for x in xs]
    numbers = (
        "#stablehlo.gather<offset_dims = [0], collapsed_slice_dims = [1], "
        "start_index_map = [1], index_vector_dim = 1>"
    )
    places = f"tensor<{size}x1xi32>"
    lines = [
        f"%place = stablehlo.iota dim = 0 : {along}",
        f"%strides = stablehlo.broadcast_in_dim %stride, dims = [] : ({one}) -> {along}",
        f"%blocks = stablehlo.broadcast_in_dim %block, dims = [] : ({one}) -> {along}",
        f"%partner = stablehlo.xor %place, %strides : {along}",
        f"%column = stablehlo.reshape %partner : ({along}) -> {places}",
        *(
            f'{other} = "stablehlo.gather"({own}, %column) <{{dimension_numbers = {numbers}, '
            f"slice_sizes = array<i64: {rows}, 1>, indices_are_sorted = false}}> "
            f": ({each}, {places}) -> {each}"
            for own, other, each in zip(mine, theirs, types, strict=True)
        ),
        f"%side = stablehlo.and %place, %strides : {along}",
        f"%turn = stablehlo.and %place, %blocks : {along}",
        f"%low = stablehlo.compare EQ, %side, {none}, SIGNED : ({along}, {along}) -> {grid}",
        f"%up = stablehlo.compare EQ, %turn, {none}, SIGNED : ({along}, {along}) -> {grid}",
        f"%later = stablehlo.xor %low, %up : {grid}",
        f"%wanted = stablehlo.broadcast_in_dim %later, dims = [1] : ({grid}) -> {flags}",
        _less(flags, mine, theirs, types),
        f"%kept = stablehlo.xor %less, %wanted : {flags}",
        *(
            f"%next{place} = stablehlo.select %kept, {own}, {other} : {flags}, {each}"
            for place, (own, other, each) in enumerate(zip(mine, theirs, types, strict=True))
        ),
        f"%half = stablehlo.divide %stride, {two} : {one}",
        f"%through = stablehlo.compare EQ, %half, {zero}, SIGNED : ({one}, {one}) -> {bit}",
        f"%double = stablehlo.multiply %block, {two} : {one}",
        f"%block_next = stablehlo.select %through, %double, %block : {bit}, {one}",
        f"%stride_next = stablehlo.select %through, %block, %half : {bit}, {one}",
    ]
    carried = ", ".join([one, one, *types])
    starts = "".join(f", {own} = {x}" for own, x in zip(mine, xs, strict=True))
    ends = "".join(f", %next{place}" for place in range(len(xs)))
    text = (
        f"stablehlo.while(%block = {two}, %stride = {unit}{starts}) : {carried}\ncond {{\n"
        f"%more = stablehlo.compare LE, %block, {end}, SIGNED : ({one}, {one}) -> {bit}\n"
        f"stablehlo.return %more : {bit}\n}} do {{\n"
        + "\n".join(lines)
        + f"\nstablehlo.return %block_next, %stride_next{ends} : {carried}\n}}"
    )
    name = ctx.name()
    ctx.lines.append(f"{name}:{len(xs) + 2} = {text}")
    return [Value(f"{name}#{place}", x.type) for place, x in enumerate(xs, 2)]


RULES: dict[str, Rule] = {"sort": sort, "topk": topk}
