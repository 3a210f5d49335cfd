"""Reading and writing at computed places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.sizes import never_zero

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value


def gather(context: Context, x: Value, indices: Value, *, axis: int, batch_dims: int) -> Value:
    k = indices.type.shape[-1]
    if (
        k == 1
        and batch_dims == 0
        and indices.dtype.name != "uint64"
        and never_zero(x.type.shape[axis])
    ):
        places = f"{context.full(indices)}[..., 0]"
        return context.fresh(f"{context.full(x)}.take({places}, axis={axis}, mode='clip')")
    order, back = _orders(x, indices, axis, batch_dims)
    operands = f"{context.array(x)}, {context.array(indices)}"
    return context.fresh(
        f"kernels.gather({operands}, {order}, {batch_dims + k}, {batch_dims}, {back})"
    )


def scatter(
    context: Context,
    x: Value,
    indices: Value,
    updates: Value,
    *,
    axis: int,
    batch_dims: int,
    mode: str,
) -> Value:
    order, back = _orders(x, indices, axis, batch_dims)
    operands = ", ".join(context.array(each) for each in (x, indices, updates))
    lead = batch_dims + indices.type.shape[-1]
    options = f"{order}, {lead}, {batch_dims}, {back}, '{mode}'"
    alone = x.buffer is not None and x.buffer.reads == 1  # the updates are not views of it
    if alone and order == tuple(range(x.type.ndim)) and context.reusable(x, x.dtype, x.type.shape):
        return context.write(x, f"{x.code} = kernels.scatter({operands}, {options}, into=True)")
    return context.fresh(f"kernels.scatter({operands}, {options})")


def _orders(
    x: Value, indices: Value, axis: int, batch_dims: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two orders of dimensions.

    ``x``'s as batch, indexed, before, after; and the one that turns (batch, places, before, after)
    into the result.
    """
    k, rank = indices.type.shape[-1], x.type.ndim
    places, before = indices.type.ndim - 1 - batch_dims, axis - batch_dims
    order = (
        *range(batch_dims),
        *range(axis, axis + k),
        *range(batch_dims, axis),
        *range(axis + k, rank),
    )
    first = batch_dims + places  # where "before" begins among (batch, places, before, after)
    back = (
        *range(batch_dims),
        *range(first, first + before),
        *range(batch_dims, first),
        *range(first + before, rank - k + places),
    )
    return order, back


LOWERINGS: Final[dict[str, Rule]] = {"gather_slices": gather, "scatter_slices": scatter}
