"""Algebra of masks such as ``iota <= bound``: which of the places are on one side of a bound.

Attention asks which rows of its mask see nothing. Along a dimension where the places count up from
0, the first or the last of them tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slope.core.program import Atom, Literal
from slope.core.types import TensorType
from slope.passes._rewriter import Call, Rewriter, Rule, number
from slope.passes._shape_rules import is_one

_MIRRORED: Final = {"le": "ge", "lt": "gt", "ge": "le", "gt": "lt"}
_OPPOSITE: Final = {"le": "gt", "lt": "ge", "ge": "lt", "gt": "le", "eq": "ne", "ne": "eq"}


def _one_place(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | None:
    """Counting to one is 0."""
    return Literal(0, out) if is_one(out.shape[call.params["dim"]]) else None


def _of_threshold(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """Whether any place along one dimension, or all, are on one side of a bound."""
    (x,), dims = call.inputs, call.params["dim"]
    made = rewriter.made_by(x, *_MIRRORED)
    if made is None or len(dims) != 1:
        return None
    (dim,) = dims
    for name, (places, bound) in (
        (made.op.name, made.inputs),
        (_MIRRORED[made.op.name], made.inputs[::-1]),
    ):
        length = x.type.shape[dim]
        if not (isinstance(length, int) and length and _counts_along(rewriter, places, dim)):
            continue
        narrow = _without(rewriter, bound, dim, out)
        if narrow is None:
            continue
        first = (name in ("le", "lt")) == (call.op == "any")
        return Call(name, (Literal(0 if first else length - 1, narrow.type), narrow))
    return None


def _counts_along(rewriter: Rewriter, atom: Atom, dim: int) -> bool:
    """Whether an element's place along a dimension is what an atom holds."""
    made = rewriter.made_by(atom, "iota", "broadcast", "reshape")
    if made is None:
        return False
    if made.op.name == "iota":
        return made.params["dim"] == dim
    (start,) = made.inputs
    if made.op.name == "broadcast":
        dims = made.params["dims"]
        return dim in dims and _counts_along(rewriter, start, dims.index(dim))
    shape = atom.type.shape  # all others have length 1
    return start.type.shape == (shape[dim],) and _counts_along(rewriter, start, 0)


def _without(rewriter: Rewriter, atom: Atom, dim: int, out: TensorType) -> Atom | None:
    """An atom that repeats its elements along a dimension, without that; else ``None``."""
    value = number(atom)
    if value is not None:
        return Literal(value, TensorType(out.shape, atom.type.dtype))
    made = rewriter.made_by(atom, "broadcast")
    if made is None or dim in made.params["dims"]:
        return None
    (start,) = made.inputs
    if start.type.shape == out.shape:
        return start
    dims = tuple(each - (each > dim) for each in made.params["dims"])
    return rewriter.emit("broadcast", start, shape=out.shape, dims=dims)


def _not_compared(rewriter: Rewriter, call: Call, out: TensorType) -> Call | None:
    """A comparison that does not hold is the opposite one, unless NaN may be compared."""
    made = rewriter.made_by(call.inputs[0], *_OPPOSITE)
    if made is None:
        return None
    ordered = made.op.name not in ("eq", "ne")
    if ordered and made.inputs[0].type.dtype.is_floating_point:
        return None
    return Call(_OPPOSITE[made.op.name], made.inputs)


THRESHOLD_RULES: Final[dict[str, Sequence[Rule]]] = {
    "iota": [_one_place],
    "any": [_of_threshold],
    "all": [_of_threshold],
    "bitwise_not": [_not_compared],
}
