"""Algebra of reductions and contractions: what they undo is never done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from slope.core.program import Atom, Instr, Literal
from slope.core.types import TensorType
from slope.dims import bounds, same
from slope.passes._rewriter import Call, Rewriter, Rule, number
from slope.passes._shape_rules import dims_between, is_one


def _kept(ndim: int, dim: Sequence[int]) -> list[int]:
    return [each for each in range(ndim) if each not in dim]


def _over_nothing(
    rewriter: Rewriter, call: Call, out: TensorType
) -> Atom | Call | None:
    """A reduction over no dimensions, or over dimensions of length 1 only."""
    (x,) = call.inputs
    dim = call.params["dim"]
    if not dim:
        return x
    if all(is_one(x.type.shape[each]) for each in dim):
        return Call("reshape", (x,), {"shape": out.shape})
    return None


def _of_itself(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """A reduction of a reduction is one over the dimensions of both."""
    (x,) = call.inputs
    made = rewriter.made_by(x, call.op)
    if made is None or not rewriter.only_use(x):
        return None
    (start,) = made.inputs
    inner = made.params["dim"]
    kept = _kept(start.type.ndim, inner)
    dim = tuple(sorted((*inner, *(kept[each] for each in call.params["dim"]))))
    return Call(call.op, (start,), {"dim": dim})


def _of_moved(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """A reduction of a permuted operand, or of one with dimensions of length 1 put in or left out, needs no moving first."""
    (x,) = call.inputs
    made = rewriter.made_by(x, "permute", "reshape")
    if made is None:
        return None
    (start,) = made.inputs
    dim = call.params["dim"]
    if made.op.name == "permute":
        order = made.params["dims"]
        kept = [order[each] for each in _kept(x.type.ndim, dim)]
        if kept != sorted(kept):
            return None
        return Call(
            call.op, (start,), {"dim": tuple(sorted(order[each] for each in dim))}
        )
    places = dims_between(x.type.shape, start.type.shape)
    if places is None:
        return None
    reduced = tuple(sorted(places[each] for each in dim if each in places))
    shape = [
        length for each, length in enumerate(start.type.shape) if each not in reduced
    ]
    return Call(call.op, (start,), {"dim": reduced}) if same(shape, out.shape) else None


def _of_broadcast(
    rewriter: Rewriter, call: Call, out: TensorType
) -> Atom | Call | None:
    """A reduction of repeated elements: of the elements, times how often they are repeated where it is a sum."""
    (x,) = call.inputs
    made = rewriter.made_by(x, "broadcast")
    if made is None:
        return None
    dims, dim = made.params["dims"], call.params["dim"]
    times = math.prod((x.type.shape[each] for each in dim if each not in dims), start=1)
    if not _repeats(call.op, times, out):
        return None
    (result,) = made.inputs
    inner = tuple(place for place, each in enumerate(dims) if each in dim)
    if inner:
        result = rewriter.emit(call.op, result, dim=inner)
    if call.op == "sum" and times != 1:
        result = rewriter.emit("mul", result, Literal(times, result.type))
    kept = _kept(x.type.ndim, dim)
    places = tuple(place for place, each in enumerate(kept) if each in dims)
    if len(places) == len(kept):
        return result
    return Call("broadcast", (result,), {"shape": out.shape, "dims": places})


def _repeats(op: str, times: Any, out: TensorType) -> bool:
    """Whether reducing so many equal elements is known to give the element (times their number for a sum)."""
    if op != "sum":
        return bounds(times)[0] > 0
    # A number of times that the dtype cannot hold would be rounded before it multiplies.
    return (
        isinstance(times, int)
        and times > 0
        and (out.dtype.kind != "f" or number(Literal(times, out)) == times)
    )


# --- contractions


def _contraction(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """A contraction reads a permuted operand in place, if the operand's free dimensions keep their order."""
    for side in (0, 1):
        made = rewriter.made_by(call.inputs[side], "permute")
        if made is None:
            continue
        params = _unpermuted(made, side, call.params)
        if params is not None:
            inputs = (
                (made.inputs[0], call.inputs[1])
                if side == 0
                else (call.inputs[0], made.inputs[0])
            )
            return Call("dot_general", inputs, params)
    return None


def _unpermuted(
    made: Instr, side: int, params: dict[str, Any]
) -> dict[str, Any] | None:
    order = made.params["dims"]
    used = {*params["contract"][side], *params["batch"][side]}
    free = [order[each] for each in range(len(order)) if each not in used]
    if free != sorted(free):
        return None
    changed = {}
    for name in ("contract", "batch"):
        pair = list(params[name])
        pair[side] = tuple(order[each] for each in pair[side])
        changed[name] = tuple(pair)
    return changed


_SHARED: Final[Sequence[Rule]] = [_over_nothing, _of_itself, _of_moved, _of_broadcast]

REDUCTION_RULES: Final[dict[str, Sequence[Rule]]] = {
    "sum": _SHARED,
    "amax": _SHARED,
    "amin": _SHARED,
    "any": _SHARED,
    "all": _SHARED,
    "prod": [_over_nothing, _of_itself, _of_moved],
    "dot_general": [_contraction],
}
