"""Sorting.

Integer keys are computed that order as the elements do. No two of them are equal, since the
position takes part, so that every sort is stable; the elements are gathered afterwards.

IREE's own sort (3.13) exchanges neighbours until none is out of order: it takes quadratic time, is
not stable, and works in place, in the memory of the program's own input too. It sorts short rows
here. Longer ones go through a bitonic network (K. E. Batcher, "Sorting networks and their
applications", 1968), a loop of log2(n)^2 / 2 steps: 80 times as fast for 8192 elements.
"""

from __future__ import annotations

import math

from slope.extend import DType, TensorType, dtypes

from .context import Context, Rule, Value, listed, mlir_type
from .index import gather

SHORT = 128  # elements up to which IREE's own sort is faster

_MAXIMUM = {"int32": 2**31 - 1, "int64": 2**63 - 1}


def sort(ctx: Context, x: Value, *, dim: int, descending: bool) -> tuple[Value, Value]:
    return topk(ctx, x, k=x.shape[dim], dim=dim, largest=descending)


def topk(ctx: Context, x: Value, *, k: int, dim: int, largest: bool) -> tuple[Value, Value]:
    # Along the last dimension, where gathering comes out without exchanging dimensions.
    last = len(x.shape) - 1
    order = [each for each in range(last + 1) if each != dim]
    moved = _transpose(ctx, x, [*order, dim])
    places = _places(ctx, moved, largest)
    if k != moved.shape[last]:
        places = _head(ctx, places, k)
    places = ctx.convert(places, dtypes.int64)
    rows = ctx.reshape(places, (*places.shape, 1))
    values = gather(ctx, moved, rows, axis=last, batch_dims=last)
    back = [*range(dim), last, *range(dim, last)]
    return _transpose(ctx, values, back), _transpose(ctx, places, back)


def _transpose(ctx: Context, x: Value, order: list[int]) -> Value:
    if order == list(range(len(order))):
        return x
    result = x.type.with_shape(tuple(x.shape[each] for each in order))
    return ctx.op("transpose", [x], result, f"dims = {listed(order)}")


def _head(ctx: Context, x: Value, k: int) -> Value:
    """The first ``k`` elements of the last dimension."""
    result = x.type.with_shape((*x.shape[:-1], k))
    parts = ", ".join([*(f"0:{length}" for length in x.shape[:-1]), f"0:{k}"])
    return ctx.emit(f"stablehlo.slice {x} [{parts}] : ({x.mlir}) -> {mlir_type(result)}", result)


def _places(ctx: Context, x: Value, descending: bool) -> Value:
    """Where the elements stand in the order of the last dimension, as int32."""
    if x.dtype is dtypes.int64:  # not the elements themselves, which would be sorted in place
        keys, direction = ctx.same("not", x), "LT" if descending else "GT"
    else:
        keys, direction = _keys(ctx, x, descending), "LT"
    places = _iota(ctx, keys.type.with_dtype(dtypes.int32))
    if keys.dtype is dtypes.int32:  # key and place in one number
        wide = ctx.same(
            "multiply",
            ctx.convert(keys, dtypes.int64),
            ctx.constant(2**32, keys.type.with_dtype(dtypes.int64)),
        )
        packed = ctx.same("add", wide, ctx.convert(places, dtypes.int64))
        (done,) = _sorted(ctx, [packed])
        return ctx.convert(ctx.same("and", done, ctx.like(2**32 - 1, done)), dtypes.int32)
    return _sorted(ctx, [keys, places], direction)[1]


def _iota(ctx: Context, result: TensorType) -> Value:
    return ctx.emit(f"stablehlo.iota dim = {len(result.shape) - 1} : {mlir_type(result)}", result)


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
        keys = ctx.convert(x, dtypes.int32)
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


def _sorted(ctx: Context, xs: list[Value], direction: str = "LT") -> list[Value]:
    """Along the last dimension, by the first operand; where that is equal, by the second."""
    return (_short if xs[0].shape[-1] <= SHORT else _long)(ctx, xs, direction)


def _less(one: str, first: list[str], second: list[str], types: list[str], direction: str) -> str:
    """Lines that define ``%less``: whether the first operands come before the second ones."""
    flag = one

    def compared(result: str, how: str, place: int) -> str:
        pair = f"{first[place]}, {second[place]}"
        text = f"stablehlo.compare {how}, {pair}, SIGNED"
        return f"{result} = {text} : ({types[place]}, {types[place]}) -> {flag}"

    if len(first) == 1:
        return compared("%less", direction, 0)
    return "\n".join(
        [
            compared("%first", direction, 0),
            compared("%equal", "EQ", 0),
            compared("%second", "LT", 1),
            f"%tied = stablehlo.and %equal, %second : {flag}",
            f"%less = stablehlo.or %first, %tied : {flag}",
        ]
    )


def _named(ctx: Context, text: str, types: list[TensorType]) -> list[Value]:
    """Write one operation with several results."""
    first = ctx.emit(text, types[0])
    if len(types) == 1:
        return [first]
    ctx.lines[-1] = ctx.lines[-1].replace(f"{first} =", f"{first}:{len(types)} =", 1)
    return [Value(f"{first}#{place}", each) for place, each in enumerate(types)]


def _short(ctx: Context, xs: list[Value], direction: str) -> list[Value]:
    names, types = ", ".join(x.name for x in xs), ", ".join(x.mlir for x in xs)
    scalars = [mlir_type(TensorType((), x.dtype)) for x in xs]
    flag = mlir_type(TensorType((), dtypes.bool_))
    firsts, seconds = ([f"%{side}{place}" for place in range(len(xs))] for side in "ab")
    pairs = zip(firsts, seconds, scalars, strict=True)
    arguments = ", ".join(f"{a}: {one}, {b}: {one}" for a, b, one in pairs)
    body = _less(flag, firsts, seconds, scalars, direction)
    return _named(
        ctx,
        f'"stablehlo.sort"({names}) <{{dimension = {len(xs[0].shape) - 1} : i64, '
        f"is_stable = false}}> ({{ ^bb0({arguments}):\n{body}\n"
        f"stablehlo.return %less : {flag} }}) : ({types}) -> ({types})",
        [x.type for x in xs],
    )


def _long(ctx: Context, xs: list[Value], direction: str) -> list[Value]:
    """A bitonic network on rows that are filled up to a power of two."""
    shape, length = xs[0].shape, xs[0].shape[-1]
    rows, size = math.prod(shape[:-1]), 1 << (length - 1).bit_length()
    last = -(2**63) if direction == "GT" else 2**63 - 1
    fills = [last, length]
    filled = [
        _filled(ctx, ctx.reshape(x, (rows, length)), size, fill)
        for x, fill in zip(xs, fills, strict=False)
    ]
    done = _network(ctx, filled, direction)
    whole = [f"0:{rows}", f"0:{length}"]
    outs = []
    for x in done:
        cut = x.type.with_shape((rows, length))
        text = f"stablehlo.slice {x} [{', '.join(whole)}] : ({x.mlir}) -> {mlir_type(cut)}"
        outs.append(ctx.reshape(x if size == length else ctx.emit(text, cut), shape))
    return outs


def _filled(ctx: Context, x: Value, size: int, value: int) -> Value:
    extra = size - x.shape[-1]
    if not extra:
        return x
    attributes = f"low = [0, 0], high = [0, {extra}], interior = [0, 0]"
    zero = ctx.scalar(value, x.dtype)
    return ctx.op("pad", [x, zero], x.type.with_shape((x.shape[0], size)), attributes)


def _network(ctx: Context, xs: list[Value], direction: str) -> list[Value]:
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
        _less(flags, mine, theirs, types, direction),
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
    return _named(ctx, text, [step, step, *(x.type for x in xs)])[2:]


RULES: dict[str, Rule] = {"sort": sort, "topk": topk}
