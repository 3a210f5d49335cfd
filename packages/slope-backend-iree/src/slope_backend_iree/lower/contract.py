"""Contraction."""

from __future__ import annotations

import math

from slope.extend import TensorType, dtypes

from .context import Context, Rule, Value, is_half, listed
from .sums import is_long, summed
from .tiles import tiled_product

Dims = tuple[int, ...]

TINY = 64
"""Up to so many multiplications a pair of matrices is not worth packing them for."""


def dot_general(
    ctx: Context, x: Value, y: Value, *, contract: tuple[Dims, Dims], batch: tuple[Dims, Dims]
) -> Value:
    """Half-precision products are summed in float32, and rounded once."""
    shape = [x.shape[dim] for dim in batch[0]]
    for operand, contracted, along in ((x, contract[0], batch[0]), (y, contract[1], batch[1])):
        shape += [
            length
            for dim, length in enumerate(operand.shape)
            if dim not in contracted and dim not in along
        ]
    result = x.type.with_shape(tuple(shape))
    if x.type.size == 0:  # nothing to sum over: results without elements do not come here
        return ctx.constant(0, result)
    wide = result.with_dtype(dtypes.float32) if is_half(x.dtype) else result
    if not wide.shape[len(batch[0]) :] and is_long(ctx, x, contract[0]):
        x, y = (
            ctx.transpose(each, [*along, *gone])
            for each, along, gone in zip((x, y), batch, contract, strict=True)
        )
        return summed(ctx, ctx.same("multiply", x, y), range(len(shape), len(x.shape)))
    if _is_row_by_rows(x, y, contract, batch):
        # IREE takes four times as long for the row times the transposed matrix: 24 ms, not 6, with
        # 51864 rows of 384.
        row = ctx.reshape(x, (x.type.size,))
        column = wide.with_shape(y.shape[:-1])
        dims = f"contracting_dims = {listed(contract[1])} x [0]"
        made = ctx.reshape(ctx.op("dot_general", [y, row], column, dims), result.shape)
        return ctx.convert(made, result.dtype)
    if _are_tiny(x, y, contract, batch):
        return ctx.convert(_dots(ctx, x, y, wide, contract, batch), result.dtype)
    # What every turn of a loop multiplies by, IREE packs once before it.
    if ctx.steady.isdisjoint((x.name, y.name)):
        tiled = tiled_product(ctx, x, y, contract, batch)
        if tiled is not None:
            return tiled
    batching = f"batching_dims = {listed(batch[0])} x {listed(batch[1])}, " if batch[0] else ""
    contracting = f"contracting_dims = {listed(contract[0])} x {listed(contract[1])}"
    return ctx.convert(ctx.op("dot_general", [x, y], wide, batching + contracting), result.dtype)


def _are_tiny(x: Value, y: Value, contract: tuple[Dims, Dims], batch: tuple[Dims, Dims]) -> bool:
    """Whether many tiny matrices are multiplied with a vector each.

    IREE packs each of them into tiles: 65,536 products of 8 numbers took 20 ms, not 0.3.
    """
    pairs = math.prod(x.shape[dim] for dim in batch[0])
    length = math.prod(x.shape[dim] for dim in contract[0])
    if pairs < TINY or length == 1:
        return False
    rows, columns = x.type.size // (pairs * length), y.type.size // (pairs * length)
    return 1 in (rows, columns) and rows * columns * length <= TINY


def _dots(
    ctx: Context,
    x: Value,
    y: Value,
    result: TensorType,
    contract: tuple[Dims, Dims],
    batch: tuple[Dims, Dims],
) -> Value:
    """All products of elements, summed: (batch, free of x, free of y, contracted)."""
    lead, behind = len(batch[0]), len(contract[0])
    total, placed = len(result.shape) + behind, []
    start = lead
    for operand, contracted, along in ((x, contract[0], batch[0]), (y, contract[1], batch[1])):
        free = [
            dim for dim in range(len(operand.shape)) if dim not in contracted and dim not in along
        ]
        moved = ctx.transpose(ctx.convert(operand, result.dtype), (*along, *free, *contracted))
        places = (
            *range(lead),
            *range(start, start + len(free)),
            *range(total - behind, total),
        )
        start += len(free)
        placed.append((moved, places))
    shape = (*result.shape, *(x.shape[dim] for dim in contract[0]))
    products = ctx.same("multiply", *[ctx.broadcast(each, shape, at) for each, at in placed])
    # Apart, as IREE would join the sum with others, to loops that give something else.
    return ctx.apart(ctx.reduce("add", products, 0, range(total - behind, total)))


def _is_row_by_rows(
    x: Value, y: Value, contract: tuple[Dims, Dims], batch: tuple[Dims, Dims]
) -> bool:
    """Whether one row is multiplied with each row of a matrix that is no row itself."""
    last = len(y.shape) - 1
    return (
        not batch[0]
        and contract[1] == (last,)
        and x.type.size == y.shape[last]
        and y.type.size > y.shape[last]
    )


RULES: dict[str, Rule] = {"dot_general": dot_general}
