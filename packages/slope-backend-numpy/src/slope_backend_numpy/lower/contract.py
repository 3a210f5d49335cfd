"""Contraction as matrix products. BLAS reads transposed matrices, so transposes stay views."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from slope.extend import dtypes
from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.sizes import known, same

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value

Dims = tuple[int, ...]


def dot_general(
    context: Context, x: Value, y: Value, *, contract: tuple[Dims, Dims], batch: tuple[Dims, Dims]
) -> Value:
    wide = dtypes.accumulator(x.dtype)
    if not contract[0]:
        return _product(context, x, y, batch)
    result_type = context.type.with_dtype(wide)
    x, y = context.cast(x, wide), context.cast(y, wide)
    # The pairs in the order of the larger operand, whose dimensions then need no permuting.
    sizes = (x.type.size, y.type.size)
    lead = contract[1] if known(sizes) and sizes[0] < sizes[1] else contract[0]
    pairs = sorted(range(len(lead)), key=lambda k: lead[k])
    contract = tuple(contract[0][k] for k in pairs), tuple(contract[1][k] for k in pairs)
    left, rows = _matrix(context, x, contract[0], batch[0], columns=False)
    right, columns = _matrix(context, y, contract[1], batch[1], columns=True)
    product = f"np.matmul({left}, {right})"
    natural = tuple(x.type.shape[dim] for dim in batch[0]) + rows + columns
    turned = not same(natural, context.type.shape)
    if turned:
        product = f"{product}.reshape({context.type.shape})"
    made = context.fresh(product, result_type, takes_out=not turned)
    return context.cast(made, context.type.dtype)


def _matrix(
    context: Context, x: Value, contract: Dims, batch: Dims, *, columns: bool
) -> tuple[str, Dims]:
    """An operand as a stack of matrices (free, contracted), or (contracted, free) for ``columns``.

    Returns:
        Its code, and what it leaves of the product's shape for its free dimensions. Without batch
        dimensions an operand with no free dimension stays a vector, and leaves none.
    """
    code, shape = context.full(x), x.type.shape
    free = tuple(dim for dim in range(len(shape)) if dim not in contract and dim not in batch)
    length, count = math.prod(shape[dim] for dim in contract), math.prod(shape[dim] for dim in free)
    batch_shape = tuple(shape[dim] for dim in batch)
    vector = not free and not batch
    wanted, other = (
        ((*batch, *contract, *free), (*batch, *free, *contract))
        if columns
        else ((*batch, *free, *contract), (*batch, *contract, *free))
    )
    natural = tuple(range(len(shape)))
    merges = len(contract) != 1 or len(free) != 1
    order = other if other == natural or (not merges and wanted != natural) else wanted
    turned = order != wanted  # the matrices come out transposed, and a view turns them
    if order != natural:
        code = f"{code}.transpose({order})"
    if vector:
        return (code if len(shape) == 1 else f"{code}.reshape({(length,)})"), ()
    contracted_first = order[len(batch) : len(batch) + len(contract)] == contract
    if merges:
        matrix = (length, count) if contracted_first else (count, length)
        code = f"{code}.reshape({(*batch_shape, *matrix)})"
    if turned and free:
        code = f"{code}.T" if not batch else f"{code}.swapaxes(-1, -2)"
    elif contracted_first != columns:
        code = f"{code}.swapaxes(-1, -2)"
    return code, (count,)


def _product(context: Context, x: Value, y: Value, batch: tuple[Dims, Dims]) -> Value:
    """Without contracted dimensions: every element of one with every element of the other."""
    nb, total = len(batch[0]), context.type.ndim
    free_x = [dim for dim in range(x.type.ndim) if dim not in batch[0]]
    free_y = [dim for dim in range(y.type.ndim) if dim not in batch[1]]
    places_x = (*range(nb), *range(nb, nb + len(free_x)))
    places_y = (*range(nb), *range(nb + len(free_x), total))
    left = _placed(context, x, (*batch[0], *free_x), places_x, total)
    right = _placed(context, y, (*batch[1], *free_y), places_y, total)
    return context.ufunc("np.multiply", left, right)


def _placed(context: Context, x: Value, order: Dims, places: Dims, total: int) -> Value:
    if x.number is not None:
        return x
    code = context.full(x)
    if order != tuple(range(len(order))):
        code = f"{code}.transpose({order})"
    shape = [1] * total
    for dim, place in zip(order, places, strict=True):
        shape[place] = x.type.shape[dim]
    if same(shape, x.type.shape) and code == x.code:
        return x
    return context.view(x, f"{code}.reshape({tuple(shape)})", whole=x.is_full, shape=tuple(shape))


LOWERINGS: Final[dict[str, Rule]] = {"dot_general": dot_general}
