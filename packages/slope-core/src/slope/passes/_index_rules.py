"""Algebra of gathers and scatters whose places are repeated.

``x.gather(0, index[:, None].expand(-1, d))`` and its kin read whole rows, one place each; written
with a place for every element they are batches over the columns. These rules find that out: the
arithmetic on repeated integers moves before the repetition, a batch dimension along which places
repeat becomes one of whole slices, and slices are taken along the first dimension where ``x`` was
only turned around for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slope.core.program import Atom, Instr, Literal
from slope.core.types import TensorType
from slope.dims import same
from slope.passes._rewriter import Call, Rewriter, Rule
from slope.passes._shape_rules import is_one


def _of_repeated(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """Integers that are repeated alike are computed with before."""
    if out.dtype.kind == "f" or any(x.type.dtype.kind == "f" for x in call.inputs):
        return None
    made = [
        None if isinstance(x, Literal) else rewriter.made_by(x, "broadcast") for x in call.inputs
    ]
    repeated = [each for each in made if each is not None]
    if not repeated or not all(
        each is not None or isinstance(x, Literal)
        for each, x in zip(made, call.inputs, strict=True)
    ):
        return None
    first = repeated[0]
    shape, dims = first.inputs[0].type.shape, first.params["dims"]
    if not all(_repeats(each, shape, dims) for each in repeated):
        return None
    inputs = [
        x if each is None else each.inputs[0] for each, x in zip(made, call.inputs, strict=True)
    ]
    narrow = [
        Literal(x.value, TensorType(shape, x.type.dtype)) if isinstance(x, Literal) else x
        for x in inputs
    ]
    result = rewriter.emit(call.op, *narrow, **call.params)
    return Call("broadcast", (result,), {"shape": out.shape, "dims": dims})


def _repeats(made: Instr, shape: Sequence[object], dims: tuple[int, ...]) -> bool:
    return made.params["dims"] == dims and same(made.inputs[0].type.shape, shape)


def _whole_slices(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """A last batch dimension along which all places are the same needs none of its own."""
    x, indices, *updates = call.inputs
    last = call.params["batch_dims"] - 1
    made = rewriter.made_by(indices, "broadcast")
    if last < 0 or made is None or last in made.params["dims"]:
        return None
    shape = (*indices.type.shape[:last], *indices.type.shape[last + 1 :])
    dims = tuple(dim - (dim > last) for dim in made.params["dims"])
    (source,) = made.inputs
    if all(is_one(length) for dim, length in enumerate(shape) if dim not in dims):
        shared = rewriter.emit("reshape", source, shape=shape)
    else:
        shared = rewriter.emit("broadcast", source, shape=shape, dims=dims)
    return Call(call.op, (x, shared, *updates), {**call.params, "batch_dims": last})


def _along_the_first(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """Of ``x`` with its first dimension (behind the batch) moved to ``axis``: of ``x`` itself."""
    x, indices, *updates = call.inputs
    axis, batch = call.params["axis"], call.params["batch_dims"]
    if axis == batch or not is_one(indices.type.shape[-1]):
        return None
    lead, between = range(batch), range(batch, axis)
    behind = range(axis + 1, x.type.ndim)
    moved = (*lead, *range(batch + 1, axis + 1), batch, *behind)
    made = rewriter.made_by(x, "permute")
    if not (updates and isinstance(x, Literal)) and (made is None or made.params["dims"] != moved):
        return None
    params = {**call.params, "axis": batch}
    source = _permuted(rewriter, x, (*lead, axis, *between, *behind))
    places = indices.type.ndim - 1 - batch
    rest = range(axis + places, x.type.ndim - 1 + places)
    if updates:
        order = (*lead, *range(axis, axis + places), *between, *rest)
        new = _permuted(rewriter, updates[0], order)
        result = rewriter.emit(call.op, source, indices, new, **params)
        return Call("permute", (result,), {"dims": moved})
    result = rewriter.emit(call.op, source, indices, **params)
    first = range(batch, batch + places)
    order = (*lead, *range(batch + places, axis + places), *first, *rest)
    return Call("permute", (result,), {"dims": order})


def _permuted(rewriter: Rewriter, x: Atom, dims: tuple[int, ...]) -> Atom:
    """An atom with its dimensions in another order; what it was made of where that undoes it."""
    if isinstance(x, Literal):
        shape = tuple(x.type.shape[dim] for dim in dims)
        return Literal(x.value, TensorType(shape, x.type.dtype))
    made = rewriter.made_by(x, "permute")
    if made is not None:
        x, dims = made.inputs[0], tuple(made.params["dims"][dim] for dim in dims)
    return x if dims == tuple(range(len(dims))) else rewriter.emit("permute", x, dims=dims)


INDEX_RULES: Final[dict[str, Sequence[Rule]]] = {
    **{
        name: [_of_repeated]
        for name in (
            "add", "sub", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge",
            "where", "cast", "bitwise_and", "bitwise_or", "bitwise_not",
        )
    },
    "gather_slices": [_whole_slices, _along_the_first],
    "scatter_slices": [_whole_slices, _along_the_first],
}  # fmt: skip
