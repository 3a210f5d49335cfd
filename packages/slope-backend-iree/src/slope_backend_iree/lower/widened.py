"""Slices of what is made wider, such as pixels of bytes as floats: these are kept apart."""

from __future__ import annotations

from typing import Final

from slope.extend import Atom, DType, Instr, Literal, Program, Var, ops

_VIEWS: Final = frozenset((ops.reshape, ops.permute, ops.slice_))


def sliced_after_widening(program: Program) -> frozenset[Var]:
    """What slices read that IREE must not compute in the loops of the slices' readers.

    IREE computes anew, in each loop that reads it, what is made of narrower elements, and looks
    through slices to find it. Where a slice then takes one element, its compiler (3.13) tiles
    without end, until no memory is left; where a slice takes each second element of a short row or
    the like, the loop reads neighbours instead. The rest it compiles rightly.
    """
    widened: set[Var] = set()
    repeated: set[Atom] = set()
    apart: set[Var] = set()
    for instr in program.instrs:
        if instr.op is ops.broadcast:
            repeated.update(instr.outputs)
        source = instr.inputs[0] if instr.op is ops.slice_ else None
        if source in widened and _is_sparse(instr):
            assert isinstance(source, Var)
            apart.add(source)
        elif _widens(instr, widened, repeated):
            widened.update(instr.outputs)
    return frozenset(apart)


def _is_sparse(instr: Instr) -> bool:
    """Whether a slice takes one element, or not all that lie side by side."""
    return instr.outputs[0].type.size == 1 or any(step != 1 for step in instr.params["step"])


def _widens(instr: Instr, widened: set[Var], repeated: set[Atom]) -> bool:
    """Whether all elements that a result is made of are narrower, but for repeated ones."""
    if not (instr.op.elementwise or instr.op in _VIEWS or instr.op is ops.broadcast):
        return False
    width = _width(instr.outputs[0].type.dtype)
    operands = [atom for atom in instr.inputs if not isinstance(atom, Literal)]
    narrow = [x for x in operands if x in widened or _width(x.type.dtype) < width]
    return bool(narrow) and all(x in narrow or x in repeated for x in operands)


def _width(dtype: DType) -> int:
    return 1 if dtype.kind == "b" else dtype.bits
