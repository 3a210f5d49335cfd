"""Loops, each written as a region of its own, which IREE leaves as it is.

Values computed anew in several regions stay apart: what stands in two regions is never merged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from slope.extend import Atom, Instr, Literal, TensorType, Var, dtypes

from .context import Context, Value, is_half
from .fusion import LARGE, NARROW, Loop, sums_rows
from .parts import parts_of

_PARTS = 32  # of a sum over short rows: enough for as many threads

Dims = tuple[int, ...]
LowerInstr = Callable[[Context, Instr, Sequence[Value]], Value]


def write_fused(
    ctx: Context, loop: Loop, known: Mapping[Var, Value], lower: LowerInstr
) -> list[Value]:
    """Write a loop.

    Args:
        ctx: where to write it.
        loop: the instructions.
        known: values of the program's variables so far.
        lower: writes one instruction, given its operands.

    Returns:
        What its roots compute.
    """
    first = loop.roots[0]
    if sums_rows(first):
        return _write_sums(ctx, loop, known, lower)
    result = first.outputs[0].type
    values = _operands(ctx, loop, known, result.shape)

    def write(inner: Context) -> list[Value]:
        _write_body(inner, loop, values, lower, result.shape, 0)
        return [lower(inner, first, _given(inner, first, values, result.shape))]

    return ctx.fused(write, [result])


def _write_sums(
    ctx: Context, loop: Loop, known: Mapping[Var, Value], lower: LowerInstr
) -> list[Value]:
    # One loop adds up the rows of each part, as many threads as there are parts, and another one
    # the parts: rows of 16 elements take a third of the time of a single sum.
    (x,), dim = loop.roots[0].inputs, loop.roots[0].params["dim"]
    row = x.type.shape[len(dim) :]
    rows = math.prod(x.type.shape[: len(dim)])
    count = parts_of(rows, _PARTS) if math.prod(row) <= NARROW else 1
    shape = (count, rows // count, *row)
    values = _operands(ctx, loop, known, shape)
    wide = dtypes.float32 if is_half(x.type.dtype) else x.type.dtype
    partial = TensorType((count, *row), wide)

    def write(inner: Context) -> list[Value]:
        _write_body(inner, loop, values, lower, shape, len(dim))
        terms = [_given(inner, root, values, shape)[0] for root in loop.roots]
        return list(_added(inner, [inner.convert(term, wide) for term in terms], partial))

    made = ctx.fused(write, [partial] * len(loop.roots))
    return [ctx.convert(ctx.reduce("add", each, 0, (0,)), x.type.dtype) for each in made]


def _added(ctx: Context, terms: Sequence[Value], result: TensorType) -> tuple[Value, ...]:
    """Tensors of one shape, each summed over dimension 1, in one loop."""
    zero = ctx.scalar(0, result.dtype)
    count, one = len(terms), zero.mlir
    names = [[f"{side}{place}" for place in range(count)] for side in ("%a", "%b")]
    arguments = ", ".join(f"{name}: {one}" for name in (*names[0], *names[1]))
    sums = "\n".join(
        f"%s{place} = stablehlo.add {a}, {b} : {one}"
        for place, (a, b) in enumerate(zip(*names, strict=True))
    )
    given = ", ".join(f"%s{place}" for place in range(count))
    operands = ", ".join([*(term.name for term in terms), *[zero.name] * count])
    return ctx.several(
        f'"stablehlo.reduce"({operands}) <{{dimensions = array<i64: 1>}}> ({{\n^bb0({arguments}):\n'
        f"{sums}\nstablehlo.return {given} : {', '.join([one] * count)}\n}})",
        [*terms, *[zero] * count],
        [result] * count,
    )


def _operands(
    ctx: Context, loop: Loop, known: Mapping[Var, Value], shape: Dims
) -> MutableMapping[Var, Value]:
    """What the loop reads, large tensors in its shape."""
    inside = {var for instr in loop.body for var in instr.outputs}
    values: MutableMapping[Var, Value] = {}
    for instr in (*loop.body, *loop.roots):
        for atom in instr.inputs:
            if not isinstance(atom, Var) or atom in inside or atom in values:
                continue
            if atom.type.size >= LARGE:
                values[atom] = ctx.reshape(known[atom], shape)
            elif instr.op.name == "broadcast" and known[atom].literal is None:
                # Else a broadcast outside would be read instead of the few elements.
                values[atom] = ctx.barrier(known[atom])
    return _Values(values, known)


class _Values(dict[Var, Value]):
    """Values of a loop's variables; those of others are the program's."""

    def __init__(self, own: Mapping[Var, Value], known: Mapping[Var, Value]) -> None:
        super().__init__(own)
        self._known = known

    def __missing__(self, var: Var) -> Value:
        return self._known[var]


def _write_body(
    ctx: Context,
    loop: Loop,
    values: MutableMapping[Var, Value],
    lower: LowerInstr,
    shape: Dims,
    summed: int,
) -> None:
    for instr in loop.body:
        (var,) = instr.outputs
        given = _given(ctx, instr, values, shape)
        if instr.op.name == "broadcast":
            values[var] = _broadcast(ctx, given[0], instr, shape, summed)
        else:
            values[var] = lower(ctx, instr, given)


def _broadcast(ctx: Context, x: Value, instr: Instr, shape: Dims, summed: int) -> Value:
    """An operand repeated in the shape of the loop; the first dimensions may be taken together."""
    dims, whole = instr.params["dims"], instr.outputs[0].type.shape
    if shape == whole:
        return ctx.broadcast(x, shape, dims)
    if all(dim >= summed for dim in dims):
        return ctx.broadcast(x, shape, [dim - summed + 2 for dim in dims])
    return ctx.reshape(ctx.broadcast(x, whole, dims), shape)


def _given(ctx: Context, instr: Instr, values: Mapping[Var, Value], shape: Dims) -> list[Value]:
    return [_value(ctx, atom, values, shape) for atom in instr.inputs]


def _value(ctx: Context, atom: Atom, values: Mapping[Var, Value], shape: Dims) -> Value:
    if not isinstance(atom, Literal):
        return values[atom]
    of_loop = atom.type.size >= LARGE
    return ctx.constant(atom.value, atom.type.with_shape(shape) if of_loop else atom.type)
