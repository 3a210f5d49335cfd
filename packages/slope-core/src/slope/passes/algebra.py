"""Algebra: identities that save instructions.

Integers (which wrap around) and bools follow every identity of their ring. For floating-point
numbers, NaN, infinities and the sign of zero are part of the meaning:

- Applied, since exact for every operand: ``x + -0.0``, ``x - 0.0``, ``x * 1``, ``x / 1``,
  ``-(-x)``, ``x + (-y)``, ``x * -1``, ``x / 2`` to ``x * 0.5`` (powers of two), signs drawn into
  products and quotients.
- Not applied, since wrong for some operand: ``x + 0.0`` (it makes 0.0 of -0.0), ``x * 0`` and ``x -
  x`` (NaN), ``-(x - y)`` to ``y - x`` (the sign of zero).
- Applied although the last bit may differ, never for the worse on average: ``x * a * b`` to ``x *
  (a * b)`` where ``a * b`` is a normal number, ``pow(x, 2)`` to ``x * x``, sums of repeated
  elements to products, sums of sums to one sum (of zeros alone, the sign of their sum is not
  specified), sums of parts that zeros surround and that do not overlap to one concatenation (a
  part's -0.0 stays -0.0).

The derivative of ``stop_gradient`` is spent when passes run, so it is removed as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import ml_dtypes
import numpy as np

from slope.core.program import Atom, Literal, Program, Var
from slope.core.tensor import splat_scalar
from slope.core.types import TensorType
from slope.dtypes import DType
from slope.passes._index_rules import INDEX_RULES
from slope.passes._reduction_rules import REDUCTION_RULES
from slope.passes._rewriter import (
    Call,
    Rewriter,
    Rule,
    apply_rules,
    is_number,
    negative_zero,
    number,
    python_number,
)
from slope.passes._shape_rules import SHAPE_RULES, joined_pads
from slope.passes._threshold_rules import THRESHOLD_RULES


def simplify_algebra(program: Program) -> Program:
    """Apply the identities; see the module for those of floating-point numbers."""
    return apply_rules(program, RULES)


def _negated(atom: Literal) -> Literal:
    value = number(atom)
    assert value is not None
    return Literal(-value, atom.type)


def _neutral_in_sum(atom: Atom) -> bool:
    """Whether adding this literal changes nothing, for every operand."""
    return negative_zero(atom) if atom.type.dtype.kind == "f" else is_number(atom, 0)


def _operand(rewriter: Rewriter, atom: Atom, name: str) -> Atom | None:
    """The operand of the one-operand call that an atom comes from."""
    made = rewriter.made_by(atom, name)
    return None if made is None else made.inputs[0]


# --- sums and differences


def _add(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    for x, y in (call.inputs, call.inputs[::-1]):
        if _neutral_in_sum(y):
            return x
        negated = _operand(rewriter, y, "neg")
        if negated is not None:
            return Call("sub", (x, negated))
    return None


def _sub(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    x, y = call.inputs
    floating = out.dtype.kind == "f"
    if is_number(y, 0) and not (floating and negative_zero(y)):
        return x
    if _neutral_in_sum(x):
        return Call("neg", (y,))
    if x is y and not floating:
        return Literal(0, out)
    negated = _operand(rewriter, y, "neg")
    return None if negated is None else Call("add", (x, negated))


def _neg(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    made = rewriter.made_by(x, "neg", "mul", "div", "sub")
    if made is None:
        return None
    if made.op.name == "neg":
        return made.inputs[0]
    if not rewriter.only_use(x):
        return None
    first, second = made.inputs
    if made.op.name == "sub":
        return None if out.dtype.kind == "f" else Call("sub", (second, first))
    if isinstance(second, Literal):
        return Call(made.op.name, (first, _negated(second)))
    if isinstance(first, Literal):
        return Call(made.op.name, (_negated(first), second))
    return None


# --- products and powers


def _mul(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    for x, y in (call.inputs, call.inputs[::-1]):
        if not isinstance(y, Literal):
            continue
        if is_number(y, 1):
            return x
        if is_number(y, 0) and out.dtype.kind != "f":
            return Literal(0, out)
        if out.dtype.kind != "u" and is_number(y, -1):
            return Call("neg", (x,))
        negated = _operand(rewriter, x, "neg")
        if negated is not None:
            return Call("mul", (negated, _negated(y)))
        merged = _merged_factors(rewriter, x, y)
        if merged is not None:
            return merged
    return _signs_cancel(rewriter, call)


def _signs_cancel(rewriter: Rewriter, call: Call) -> Call | None:
    x, y = (_operand(rewriter, atom, "neg") for atom in call.inputs)
    return None if x is None or y is None else Call(call.op, (x, y))


def _merged_factors(rewriter: Rewriter, x: Atom, factor: Literal) -> Call | None:
    made = rewriter.made_by(x, "mul")
    if made is None or not rewriter.only_use(x):
        return None
    for rest, other in (made.inputs, made.inputs[::-1]):
        if isinstance(other, Literal):
            dtype = factor.type.dtype
            with np.errstate(all="ignore"):
                value = splat_scalar(other.value, dtype) * splat_scalar(factor.value, dtype)
            if dtype.kind != "f" or _is_normal(python_number(value), dtype):
                return Call("mul", (rest, Literal(python_number(value), factor.type)))
    return None


def _is_normal(value: float, dtype: DType) -> bool:
    limits = ml_dtypes.finfo(dtype.numpy)
    return float(limits.smallest_normal) <= abs(value) <= float(limits.max)


def _div(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    x, y = call.inputs
    value = number(y)
    if value is None or not isinstance(y, Literal):
        return _signs_cancel(rewriter, call)
    if value == 1:
        return x
    if (
        value != 0
        and math.isfinite(value)
        and abs(math.frexp(value)[0]) == 0.5
        and _is_normal(1 / value, out.dtype)
    ):
        return Call("mul", (x, Literal(1 / value, y.type)))
    negated = _operand(rewriter, x, "neg")
    return None if negated is None else Call("div", (negated, _negated(y)))


def _pow(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    x, y = call.inputs
    if is_number(y, 1):
        return x
    return Call("mul", (x, x)) if is_number(y, 2) else None


def _integer_pow(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    exponent = call.params["exponent"]
    if exponent == 0:
        return Literal(1, out)
    if exponent == 1:
        return x
    return Call("mul", (x, x)) if exponent == 2 else None


# --- casts


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every value of ``narrow`` is one of ``wide``, too."""
    if wide is narrow or narrow.kind == "b":
        return True
    if wide.kind == "b":
        return False
    if narrow.kind == "f":
        if wide.kind != "f":
            return False
        limits = ml_dtypes.finfo(wide.numpy), ml_dtypes.finfo(narrow.numpy)
        return limits[0].nmant >= limits[1].nmant and float(limits[0].max) >= float(limits[1].max)
    value_bits = narrow.bits - (narrow.kind == "i")
    if wide.kind == "f":
        limits = ml_dtypes.finfo(wide.numpy)
        return limits.nmant + 1 >= value_bits and float(limits.max) >= 2.0**value_bits
    return (
        not (narrow.kind == "i" and wide.kind == "u")
        and wide.bits - (wide.kind == "i") >= value_bits
    )


def _cast(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    (x,) = call.inputs
    if x.type.dtype is out.dtype:
        return x
    made = rewriter.made_by(x, "cast")
    if made is None or not _holds(x.type.dtype, made.inputs[0].type.dtype):
        return None
    start = made.inputs[0]
    # Integers wrap around where floats saturate: between integers, no float may have stood unless
    # nothing is lost.
    if (
        start.type.dtype.is_integer
        and x.type.dtype.kind == "f"
        and out.dtype.is_integer
        and not _holds(out.dtype, start.type.dtype)
    ):
        return None
    return Call("cast", (start,), {"dtype": out.dtype})


# --- choices and bits


def _where(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    condition, x, y = call.inputs
    if _same_atom(x, y):
        return x
    inverted = _operand(rewriter, condition, "bitwise_not")
    if inverted is not None:
        return Call("where", (inverted, y, x))
    made = rewriter.made_by(x, "where")
    if made is not None and made.inputs[0] is condition:
        return Call("where", (condition, made.inputs[1], y))
    made = rewriter.made_by(y, "where")
    if made is not None and made.inputs[0] is condition:
        return Call("where", (condition, x, made.inputs[2]))
    return None


def _same_atom(x: Atom, y: Atom) -> bool:
    if isinstance(x, Var) or isinstance(y, Var):
        return x is y
    return x.key() == y.key()


def _not(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    made = rewriter.made_by(call.inputs[0], "bitwise_not")
    return None if made is None else made.inputs[0]


def _ones(dtype: DType) -> int:
    """The number whose bits are all set."""
    return {"b": 1, "i": -1}.get(dtype.kind, (1 << dtype.bits) - 1)


def _bitwise(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    for x, y in (call.inputs, call.inputs[::-1]):
        if call.op == "bitwise_and":
            if is_number(y, _ones(out.dtype)) or _same_atom(x, y):
                return x
            if is_number(y, 0):
                return y
        elif is_number(y, 0) or (call.op == "bitwise_or" and _same_atom(x, y)):
            return x
        elif is_number(y, _ones(out.dtype)):
            return y if call.op == "bitwise_or" else Call("bitwise_not", (x,))
    return None


def _extremum(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    x, y = call.inputs
    return x if _same_atom(x, y) else None


def _operand_itself(rewriter: Rewriter, call: Call, out: TensorType) -> Atom | Call | None:
    return call.inputs[0]


def _together(*tables: dict[str, Sequence[Rule]]) -> dict[str, Sequence[Rule]]:
    merged: dict[str, Any] = {}
    for table in tables:
        for name, rules in table.items():
            merged[name] = [*merged.get(name, ()), *rules]
    return merged


RULES: Final = _together(
    {
        "add": [_add, joined_pads],
        "sub": [_sub],
        "neg": [_neg],
        "mul": [_mul],
        "div": [_div],
        "pow": [_pow],
        "integer_pow": [_integer_pow],
        "cast": [_cast],
        "where": [_where],
        "bitwise_not": [_not],
        "bitwise_and": [_bitwise],
        "bitwise_or": [_bitwise],
        "bitwise_xor": [_bitwise],
        "maximum": [_extremum],
        "minimum": [_extremum],
        "stop_gradient": [_operand_itself],
    },
    SHAPE_RULES,
    REDUCTION_RULES,
    THRESHOLD_RULES,
    INDEX_RULES,
)
"""The rules of each operator, tried in order."""
