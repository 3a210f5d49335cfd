"""Sorting.

IREE's sort exchanges neighbours until none is out of order: it takes quadratic time, is not stable, and
works in place, in the memory of the program's own input too. So integer keys are computed that
order as the elements do, no two of them equal since the position takes part, and are sorted alone.
"""

from __future__ import annotations

from slope.extend import dtypes
from slope.extend import DType, TensorType

from .context import Context, Rule, Value, listed, mlir_type
from .index import gather

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
            "multiply", ctx.convert(keys, dtypes.int64), ctx.constant(2**32, keys.type.with_dtype(dtypes.int64))
        )
        packed = ctx.same("add", wide, ctx.convert(places, dtypes.int64))
        (done,) = _sorted(ctx, [packed])
        return ctx.convert(ctx.same("and", done, ctx.like(2**32 - 1, done)), dtypes.int32)
    return _sorted(ctx, [keys, places], direction)[1]


def _iota(ctx: Context, result: TensorType) -> Value:
    return ctx.emit(f"stablehlo.iota dim = {len(result.shape) - 1} : {mlir_type(result)}", result)


def _keys(ctx: Context, x: Value, descending: bool) -> Value:
    """int32 or int64 numbers that are in ascending order when the elements are in the wanted one."""
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
    names, types = ", ".join(x.name for x in xs), ", ".join(x.mlir for x in xs)
    scalars = [mlir_type(TensorType((), x.dtype)) for x in xs]
    flag = mlir_type(TensorType((), dtypes.bool_))

    def less(direction: str, place: int) -> str:
        one = scalars[place]
        return (
            f"stablehlo.compare {direction}, %a{place}, %b{place}, SIGNED : ({one}, {one}) -> {flag}"
        )

    body = f"%l = {less(direction, 0)} stablehlo.return %l : {flag}"
    if len(xs) == 2:
        body = (
            f"%f = {less(direction, 0)} %e = {less('EQ', 0)} %s = {less('LT', 1)} "
            f"%t = stablehlo.and %e, %s : {flag} %l = stablehlo.or %f, %t : {flag} "
            f"stablehlo.return %l : {flag}"
        )
    arguments = ", ".join(
        f"%a{place}: {one}, %b{place}: {one}" for place, one in enumerate(scalars)
    )
    dim = len(xs[0].shape) - 1
    first = ctx.emit(
        f'"stablehlo.sort"({names}) <{{dimension = {dim} : i64, is_stable = false}}> '
        f"({{ ^bb0({arguments}): {body} }}) : ({types}) -> ({types})",
        xs[0].type,
    )
    if len(xs) == 1:
        return [first]
    ctx.lines[-1] = ctx.lines[-1].replace(f"{first} =", f"{first}:{len(xs)} =", 1)
    return [Value(f"{first}#{place}", x.type) for place, x in enumerate(xs)]


RULES: dict[str, Rule] = {"sort": sort, "topk": topk}
