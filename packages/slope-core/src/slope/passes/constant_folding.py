"""Constant folding: what is computed from literals alone is a literal.

A literal is one number in every element, so operators that move, repeat or select elements give the
same number under another shape, and a sum gives a multiple of it. Elementwise operators are
evaluated once, on scalars: by the caller's ``evaluate`` (any of them), or, for those whose result
IEEE 754 or modular arithmetic fixes to the last bit, here, by NumPy in the very dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from slope.core.operator import Operator, lookup
from slope.core.program import Atom, Literal, Program
from slope.core.tensor import splat_scalar
from slope.core.types import TensorType
from slope.dims import same
from slope.dtypes import DType
from slope.passes._rewriter import (
    Call,
    Rewriter,
    Rule,
    apply_rules,
    is_number,
    number,
    python_number,
)

Number = bool | int | float
Evaluate = Callable[
    [Operator, Sequence[Number], Sequence[TensorType], dict[str, Any]], Number | None
]
"""From an elementwise operator, its operands as numbers, their types (of shape ``()``) and its
parameters to the result, or to None where it cannot tell."""


def fold_constants(program: Program, evaluate: Evaluate | None = None) -> Program:
    """Replace calls by the literals that they give.

    Args:
        program: any program.
        evaluate: computes elementwise operators on numbers; without it only exact ones are folded.
    """
    if evaluate is None:
        return apply_rules(program, RULES)

    def elementwise(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
        return _exact(rewriter, call, out) or _evaluated(call, out, evaluate)

    names = {
        instr.op.name
        for instr in program.instrs
        if instr.op.elementwise and not instr.op.multiple and not instr.op.effect
    }
    rules = {name: [elementwise] for name in names - RULES.keys()}
    rules |= {name: [*given, elementwise] for name, given in RULES.items() if name in names}
    return apply_rules(program, {**RULES, **rules})


def _evaluated(call: Call, out: TensorType, evaluate: Evaluate) -> Literal | None:
    values = [number(atom) for atom in call.inputs]
    known = [value for value in values if value is not None]
    if not values or len(known) < len(values):
        return None
    types = [atom.type.with_shape(()) for atom in call.inputs]
    value = evaluate(lookup(call.op), known, types, call.params)
    return None if value is None else Literal(value, out)


# --- elementwise operators with one right answer

_EXACT: Final[dict[str, Callable[..., Any]]] = {
    "neg": np.negative,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "div": np.divide,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_not": np.invert,
}


def _exact(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    function = _EXACT.get(call.op)
    scalars = [_scalar(atom) for atom in call.inputs]
    if function is None or any(scalar is None for scalar in scalars):
        return None
    with np.errstate(all="ignore"):
        result = function(*scalars)
    return Literal(python_number(result.astype(out.dtype.numpy)), out)


def _scalar(atom: Atom) -> Any:
    return splat_scalar(atom.value, atom.type.dtype) if isinstance(atom, Literal) else None


def _cast(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    """Convert as :class:`slope.ops.linear.Cast` does; not where NumPy would round twice."""
    value, dtype = number(call.inputs[0]), out.dtype
    if value is None:
        return None
    if dtype.kind == "b":
        return Literal(value != 0, out)
    if dtype.is_integer:
        whole = _saturated(value, dtype) if isinstance(value, float) else int(value)
        return Literal(python_number(splat_scalar(whole, dtype)), out)
    if dtype.itemsize == 2:  # NumPy and ml_dtypes go through float32
        with np.errstate(over="ignore"):
            if not math.isnan(value) and float(np.float32(value)) != value:
                return None
    with np.errstate(over="ignore"):
        return Literal(python_number(_scalar(call.inputs[0]).astype(dtype.numpy)), out)


def _saturated(value: float, dtype: DType) -> int:
    limits = np.iinfo(dtype.numpy)
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return int(limits.max if value > 0 else limits.min)
    return min(max(math.trunc(value), int(limits.min)), int(limits.max))


# --- structure


def _same_number(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    """For operators that only move, repeat or select elements of their first operand."""
    x = call.inputs[0]
    return Literal(x.value, out) if isinstance(x, Literal) else None


def _concatenate(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    first = call.inputs[0]
    if not isinstance(first, Literal):
        return None
    alike = all(isinstance(x, Literal) and _equal(x, first) for x in call.inputs)
    return Literal(first.value, out) if alike else None


def _pad(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    (x,) = call.inputs
    if isinstance(x, Literal) and _equal(x, Literal(call.params.get("value", 0), x.type)):
        return Literal(x.value, out)
    return None


def _equal(x: Literal, y: Literal) -> bool:
    """Whether two literals of one dtype hold the same number, 0.0 and -0.0 told apart."""
    first, second = number(x), number(y)
    assert first is not None
    assert second is not None
    if math.isnan(first) or math.isnan(second):
        return math.isnan(first) and math.isnan(second)
    return first == second and math.copysign(1, first) == math.copysign(1, second)


def _where(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | None:
    condition, x, y = call.inputs
    chosen = number(condition)
    return None if chosen is None else x if chosen else y


# --- reductions


def _sum(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    (x,) = call.inputs
    value = number(x)
    if value is None:
        return None
    count = _reduced(call)
    # Whatever the count, which may be symbolic; of -0.0 the sign of the sum is not specified.
    if value == 0 or same([count], [0]):
        return Literal(0, out)
    if not isinstance(count, int):
        return None
    return Literal(python_number(splat_scalar(value * count, out.dtype)), out)


def _extreme(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    return _same_number(rewriter, call, out)  # inference has refused what is empty


def _product(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    x = call.inputs[0]
    return (
        Literal(1, out)
        if is_number(x, 1) or (isinstance(x, Literal) and same([_reduced(call)], [0]))
        else None
    )


def _truth(rewriter: Rewriter, call: Call, out: TensorType) -> Literal | None:
    value = number(call.inputs[0])
    if value is None:
        return None
    neutral = call.op == "all"  # what it is of nothing
    count = _reduced(call)
    if bool(value) == neutral or same([count], [0]):
        return Literal(neutral, out)
    return Literal(value, out) if isinstance(count, int) else None


def _reduced(call: Call) -> Any:
    shape = call.inputs[0].type.shape
    return math.prod((shape[each] for each in call.params["dim"]), start=1)


RULES: Final[dict[str, Sequence[Rule]]] = {
    **{name: [_exact] for name in _EXACT},
    **{
        name: [_same_number]
        for name in (
            "reshape",
            "permute",
            "broadcast",
            "slice",
            "flip",
            "gather_slices",
            "stop_gradient",
        )
    },
    "cast": [_cast],
    "concatenate": [_concatenate],
    "interior_pad": [_pad],
    "where": [_where],
    "sum": [_sum],
    "amax": [_extreme],
    "amin": [_extreme],
    "prod": [_product],
    "any": [_truth],
    "all": [_truth],
}
"""The rules of each operator, tried in order."""
