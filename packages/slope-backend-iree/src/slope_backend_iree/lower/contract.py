"""Contraction."""

from __future__ import annotations

from slope.extend import dtypes

from .context import Context, Rule, Value, is_half, listed
from .sums import is_long, summed
from .tiles import tiled_product

Dims = tuple[int, ...]


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
    # What every turn of a loop multiplies by, IREE packs once before it.
    if ctx.steady.isdisjoint((x.name, y.name)):
        tiled = tiled_product(ctx, x, y, contract, batch)
        if tiled is not None:
            return tiled
    batching = f"batching_dims = {listed(batch[0])} x {listed(batch[1])}, " if batch[0] else ""
    contracting = f"contracting_dims = {listed(contract[0])} x {listed(contract[1])}"
    return ctx.convert(ctx.op("dot_general", [x, y], wide, batching + contracting), result.dtype)


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
