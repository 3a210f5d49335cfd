"""Algebra of operators that only move elements: chains merge, and what moves nothing vanishes.

Symbolic dimensions are compared by form alone (:func:`slope.dims.same`), which never raises; what
is not known to be equal stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from slope.core.program import Atom
from slope.core.types import Shape, TensorType
from slope.dims import is_static, same
from slope.passes._rewriter import Call, Rewriter, Rule

# A slice looks through so many operands of a concatenation, so that passes stay linear.
MOST_PIECES: Final = 64


def is_one(length: Any) -> bool:
    """Whether a length is known to be 1."""
    return isinstance(length, int) and length == 1


def long_dims(shape: Shape) -> list[int]:
    """The dimensions that are not known to be of length 1."""
    return [dim for dim, length in enumerate(shape) if not is_one(length)]


def dims_between(old: Shape, new: Shape) -> dict[int, int] | None:
    """Where the dimensions of ``old`` stand in ``new``, if only lengths of 1 come or go.

    Dimensions of length 1 have no place of their own and are left out.
    """
    before, after = long_dims(old), long_dims(new)
    if not same([old[dim] for dim in before], [new[dim] for dim in after]):
        return None
    return dict(zip(before, after, strict=True))


def _unchanged(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | None:
    # For reshape, broadcast, slice and pad: the same shape means the same elements.
    (x,) = call.inputs
    return x if same(x.type.shape, out.shape) else None


def _reshape(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    made = rewriter.made_by(x, "reshape")
    if made is not None:
        return Call("reshape", made.inputs, {"shape": out.shape})
    made = rewriter.made_by(x, "broadcast")
    if made is None:
        return None
    places = dims_between(x.type.shape, out.shape)
    dims = made.params["dims"]
    if places is None or any(dim not in places for dim in dims):
        return None
    return Call(
        "broadcast",
        made.inputs,
        {"shape": out.shape, "dims": tuple(places[dim] for dim in dims)},
    )


def _permute(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    order = call.params["dims"]
    if _ascending(order):
        return x
    if _ascending([dim for dim in order if not is_one(x.type.shape[dim])]):
        return Call("reshape", (x,), {"shape": out.shape})
    made = rewriter.made_by(x, "permute", "broadcast")
    if made is None:
        return _swapped_contraction(rewriter, x, order)
    inner = made.params["dims"]
    if made.op.name == "permute":
        return Call("permute", made.inputs, {"dims": tuple(inner[dim] for dim in order)})
    dims = tuple(order.index(dim) for dim in inner)
    return (
        Call("broadcast", made.inputs, {"shape": out.shape, "dims": dims})
        if _ascending(dims)
        else None
    )


def _ascending(dims: Sequence[int]) -> bool:
    return all(first < second for first, second in pairwise(dims))


def _swapped_contraction(rewriter: Rewriter, x: Atom, order: tuple[int, ...]) -> Call | None:
    """The transposed result of a contraction is that of its operands in the other order."""
    made = rewriter.made_by(x, "dot_general")
    if made is None or not rewriter.only_use(x):
        return None
    contract_x, contract_y = made.params["contract"]
    batch_x, batch_y = made.params["batch"]
    shared = len(batch_x)
    # So many are the batch and free dimensions of the first operand.
    split = made.inputs[0].type.ndim - len(contract_x)
    if order != (*range(shared), *range(split, len(order)), *range(shared, split)):
        return None
    params = {"contract": (contract_y, contract_x), "batch": (batch_y, batch_x)}
    return Call("dot_general", made.inputs[::-1], params)


def _broadcast(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    dims = call.params["dims"]
    if all(is_one(length) for dim, length in enumerate(out.shape) if dim not in dims):
        return Call("reshape", (x,), {"shape": out.shape})
    made = rewriter.made_by(x, "broadcast", "reshape")
    if made is None:
        return None
    (start,) = made.inputs
    if made.op.name == "broadcast":
        inner = made.params["dims"]
    else:
        places = dims_between(start.type.shape, x.type.shape)
        if places is None or len(places) < start.type.ndim:
            return None
        inner = tuple(places.values())
    return Call(
        "broadcast",
        (start,),
        {"shape": out.shape, "dims": tuple(dims[dim] for dim in inner)},
    )


def _flip(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    dims = set(call.params["dims"])
    made = rewriter.made_by(x, "flip", "broadcast")
    turned = {dim for dim in dims if not is_one(out.shape[dim])}
    if made is not None and made.op.name == "broadcast":
        turned &= set(made.params["dims"])  # along the others all elements are equal
    if not turned:
        return x
    if made is not None and made.op.name == "flip":
        return Call(
            "flip",
            made.inputs,
            {"dims": tuple(sorted(turned ^ set(made.params["dims"])))},
        )
    return Call("flip", (x,), {"dims": tuple(sorted(turned))}) if turned != dims else None


def _slice(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    made = rewriter.made_by(x, "slice", "interior_pad", "concatenate")
    if made is None:
        return None
    start, stop, step = (call.params[name] for name in ("start", "stop", "step"))
    if made.op.name == "slice":
        return _merged_slices(made.params, call, made.inputs, out)
    if made.op.name == "interior_pad":
        undone = same(start, made.params["low"]) and step == tuple(
            between + 1 for between in made.params["interior"]
        )
        (inner,) = made.inputs
        return inner if undone and same(inner.type.shape, out.shape) else None
    return _piece(made.inputs, made.params["dim"], start, stop, step, out)


def _merged_slices(
    inner: dict[str, Any], call: Call, inputs: tuple[Atom, ...], out: TensorType
) -> Call | None:
    outer = call.params
    parts = [inner["start"], inner["step"], outer["start"], outer["step"], out.shape]
    if not all(is_static(part) for part in parts):
        return None
    start = tuple(a + b * stride for a, stride, b in zip(parts[0], parts[1], parts[2], strict=True))
    step = tuple(a * b for a, b in zip(parts[1], parts[3], strict=True))
    stop = tuple(
        first + (length - 1) * stride + 1 if length else first
        for first, stride, length in zip(start, step, out.shape, strict=True)
    )
    limit = inputs[0].type.shape
    if not is_static(limit):
        return None
    # Empty slices may begin and end beyond the operand.
    start = tuple(min(first, length) for first, length in zip(start, limit, strict=True))
    stop = tuple(min(last, length) for last, length in zip(stop, limit, strict=True))
    return Call("slice", inputs, {"start": start, "stop": stop, "step": step})


def _piece(
    pieces: tuple[Atom, ...],
    along: int,
    start: Any,
    stop: Any,
    step: Any,
    out: TensorType,
) -> Atom | None:
    """The operand of a concatenation that a slice cuts out exactly."""
    if len(pieces) > MOST_PIECES or any(stride != 1 for stride in step):
        return None
    offset: Any = 0
    for piece in pieces:
        after = offset + piece.type.shape[along]
        if same((offset, after), (start[along], stop[along])) and same(piece.type.shape, out.shape):
            return piece
        offset = after
    return None


def _concatenate(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    along = call.params["dim"]
    kept = tuple(x for x in call.inputs if not _is_zero(x.type.shape[along])) or call.inputs[:1]
    if len(kept) == 1:
        return kept[0]
    return Call("concatenate", kept, call.params) if len(kept) < len(call.inputs) else None


def joined_pads(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    """A sum of tensors padded with zeros to stand beside each other: they are concatenated.

    So end the gradients of a tensor of which several slices are taken, such as the queries, keys
    and values of one product.
    """
    pads = [rewriter.made_by(x, "interior_pad") for x in call.inputs]
    if not all(rewriter.only_use(x) for x in call.inputs):
        return None
    placed = []
    for made in pads:
        if made is None or any(made.params["interior"]) or made.params.get("value", 0) != 0:
            return None
        low, high = made.params["low"], made.params["high"]
        if not is_static(low) or not is_static(high):
            return None
        placed.append((low, high, made.inputs[0]))
    moved = {dim for low, high, _ in placed for dim in range(out.ndim) if low[dim] or high[dim]}
    if len(moved) != 1:
        return None
    (along,) = moved
    (low, _, first), (start, high, second) = sorted(placed, key=lambda each: each[0][along])
    length = first.type.shape[along]
    if not isinstance(length, int) or low[along] + length != start[along]:
        return None
    pieces = *_pieces(rewriter, first, along), *_pieces(rewriter, second, along)
    if not low[along] and not high[along]:
        return Call("concatenate", pieces, {"dim": along})
    whole = rewriter.emit("concatenate", *pieces, dim=along)
    around = {"low": low, "high": high, "interior": (0,) * out.ndim, "value": 0}
    return Call("interior_pad", (whole,), around)


def _pieces(rewriter: Rewriter, x: Atom, along: int) -> tuple[Atom, ...]:
    """The operands of the concatenation that an atom is, if it is one; else itself."""
    made = rewriter.made_by(x, "concatenate")
    if made is None or made.params["dim"] != along or len(made.inputs) > MOST_PIECES:
        return (x,)
    return made.inputs


def _is_zero(length: Any) -> bool:
    return isinstance(length, int) and length == 0


SHAPE_RULES: Final[dict[str, Sequence[Rule]]] = {
    "reshape": [_unchanged, _reshape],
    "permute": [_permute],
    "broadcast": [_unchanged, _broadcast],
    "flip": [_flip],
    "slice": [_unchanged, _slice],
    "interior_pad": [_unchanged],
    "concatenate": [_concatenate],
}
