"""Programs in files: named inputs and outputs, constants in the text, nothing but StableHLO."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from slope.extend import ExportedProgram, ExportError, Instr, Program, TensorType, dtypes

from .context import Context, Value, mlir_type

_NAME: Final = "slope.name"
"""The attribute of arguments and results that holds their names; compilers pass over it."""

_FOREIGN: Final = re.compile(r"(?<![\w.])(?!stablehlo\.)([a-z_]+(?:\.[a-z_]+)+)")
"""An operation, type or attribute of another dialect."""
_LITERALS: Final = re.compile(r"dense<[^>]*>|\"[^\"\n]*\"(?! *\()")


def named_types(program: Program, exported: ExportedProgram) -> tuple[str, str]:
    """The arguments and the results of the function as MLIR writes them, with names, by line."""
    arguments = [
        f"%arg{place}: {mlir_type(program.inputs[place].type)} {_named(name)}"
        for place, name in enumerate(exported.inputs)
    ]
    results = [
        f"{mlir_type(atom.type)} {_named(name)}"
        for atom, name in zip(program.outputs, exported.outputs, strict=True)
    ]
    return _listed(arguments), _listed(results)


def _listed(lines: Sequence[str]) -> str:
    return ",".join(f"\n      {line}" for line in lines)


def _named(name: str) -> str:
    return f"{{{_NAME} = {json.dumps(name)}}}"


def write_constants(ctx: Context, program: Program, exported: ExportedProgram) -> None:
    """Define what would be arguments behind the named ones as constants."""
    start = len(exported.inputs)
    for place, (_, array) in enumerate(exported.constants, start):
        _write_constant(ctx, f"%arg{place}", array, program.inputs[place].type)


def _write_constant(
    ctx: Context, name: str, array: np.ndarray[Any, Any], tensor_type: TensorType
) -> None:
    if tensor_type.dtype is dtypes.bool_:  # MLIR would have them packed
        bits = Value(f"{name}_bits", tensor_type.with_dtype(dtypes.uint8))
        _write_constant(ctx, bits.name, array.view(np.uint8), bits.type)
        zero = ctx.like(0, bits)
        ctx.lines.append(
            f"{name} = stablehlo.compare NE, {bits}, {zero}, UNSIGNED "
            f": ({bits.mlir}, {bits.mlir}) -> {mlir_type(tensor_type)}"
        )
        return
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes().hex().upper()
    elements = f'"0x{data}"' if data else ""
    ctx.lines.append(f"{name} = stablehlo.constant dense<{elements}> : {mlir_type(tensor_type)}")


def require_portable(instr: Instr, lines: Sequence[str]) -> None:
    """Refuse a rule that writes operations of other dialects.

    Raises:
        ExportError: naming the operator and the operation.
    """
    found = _FOREIGN.search(_LITERALS.sub("", "\n".join(lines)))
    if found is not None:
        place = f" (from {instr.source})" if instr.source else ""
        raise ExportError(
            f"the lowering rule of {instr.op.name!r}{place} writes {found.group(1)!r}, which is "
            f"not StableHLO. Have the rule write StableHLO where ctx.portable is True, or leave "
            f"the operator to its expand."
        )


# --- the error function, which StableHLO lacks ---------------------------------------------------

# W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
# 23 (1969): up to 0.46875, and from there to where it is 1.
_NEAR_P: Final = (
    1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
    3.20937758913846947e3,
)  # fmt: skip
_NEAR_Q: Final = (
    1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3,
)  # fmt: skip
_FAR_P: Final = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
_FAR_Q: Final = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip


def plain_erf(ctx: Context, x: Value) -> Value:
    """The error function in arithmetic."""
    size = ctx.same("abs", x)
    square = ctx.same("multiply", x, x)
    near = ctx.same("multiply", x, _quotient(ctx, _NEAR_P, _NEAR_Q, square))
    far = ctx.same("minimum", size, ctx.like(6.0, x))
    falling = ctx.same("exponential", ctx.same("negate", ctx.same("multiply", far, far)))
    tail = ctx.same("multiply", falling, _quotient(ctx, _FAR_P, _FAR_Q, far))
    outside = ctx.same("multiply", ctx.same("sign", x), ctx.same("subtract", ctx.like(1, x), tail))
    return ctx.select(ctx.compare("LE", size, ctx.like(0.46875, x)), near, outside)


def _quotient(ctx: Context, above: Sequence[float], below: Sequence[float], x: Value) -> Value:
    return ctx.same("divide", _polynomial(ctx, above, x), _polynomial(ctx, below, x))


def _polynomial(ctx: Context, coefficients: Sequence[float], x: Value) -> Value:
    """Horner's scheme, the highest power first."""
    result = ctx.like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        result = ctx.same("add", ctx.same("multiply", result, x), ctx.like(coefficient, x))
    return result
