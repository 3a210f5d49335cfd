"""Values that are computed apart from what reads them, as one loop for both is slow or wrong.

IREE computes elementwise operators, reductions and products in few loops. What stands apart here is
written with a barrier behind it (:meth:`Context.barrier`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping

from slope.extend import Instr, Literal, Program, Var, ops

from .crossed import crossed
from .fusion import LARGE
from .later import LONG
from .tiles import tiling_of
from .widened import sliced_after_widening

_REDUCTIONS = frozenset(("sum", "prod", "amax", "amin"))


def values_apart(
    program: Program, *, cpu: bool, lanes: int, steady: Container[object]
) -> frozenset[Var]:
    """The values that a program's text sets apart, besides those that rules do.

    Args:
        program: where to look.
        cpu: whether it is to run on a CPU.
        lanes: see :class:`Context`.
        steady: variables of values that :class:`Context` knows as such.
    """
    wrong = crossed(program) | sliced_after_widening(program)
    return wrong | _slow(program, lanes, steady) if cpu else wrong


def _slow(program: Program, lanes: int, steady: Container[object]) -> frozenset[Var]:
    made = {var: instr for instr in program.instrs for var in instr.outputs}
    several = (
        _before_exponentials(program, made, lanes, steady),
        _sums_of_rows(program, made),
        _read_by_products(program, made),
    )
    return frozenset(instr.outputs[0] for instrs in several for instr in instrs)


def _before_exponentials(
    program: Program, made: Mapping[Var, Instr], lanes: int, steady: Container[object]
) -> list[Instr]:
    """Large products which only elementwise operators lie between and an exponential or the like.

    IREE fuses these into the loops that unpack the product's tiles, and they then run many times
    slower than in loops of their own: a gelu of 8 x 128 x 1024 products takes 3.1 ms instead of 1.
    Products in tiles of our own are fused as they should be.
    """
    exponentials = (instr for instr in program.instrs if instr.op.name in LONG)
    return [
        instr
        for instr in _behind(exponentials, made)
        if instr.op is ops.dot_general
        and instr.outputs[0].type.size >= LARGE
        and not _is_tiled(instr, lanes, steady)
    ]


def _is_tiled(product: Instr, lanes: int, steady: Container[object]) -> bool:
    x, y = product.inputs
    if x in steady or y in steady:
        return False
    return tiling_of(x.type, y.type, **product.params, lanes=lanes) is not None


def _sums_of_rows(program: Program, made: Mapping[Var, Instr]) -> list[Instr]:
    """Reductions of gathered rows that elementwise operators take to a product.

    IREE 3.13 fuses the rows' reading with the packing of the product's operand, and refuses the
    vectors that this needs.
    """
    products = (instr for instr in program.instrs if instr.op is ops.dot_general)
    return [
        instr
        for instr in _behind(products, made)
        if instr.op.name in _REDUCTIONS
        and any(each.op is ops.gather for each in _behind([instr], made))
    ]


def _read_by_products(program: Program, made: Mapping[Var, Instr]) -> list[Instr]:
    """What elementwise operators make of reductions, and several products read.

    As a softmax's gradient: IREE gives each product a tensor of its own, and has one loop write
    them, 8.9 ms for 24 x 197 x 197 elements instead of 0.5.
    """
    readers = Counter(
        atom
        for instr in program.instrs
        if instr.op is ops.dot_general
        for atom in instr.inputs
        if isinstance(atom, Var) and atom.type.size >= LARGE
    )
    several = (made[var] for var, count in readers.items() if count > 1 and var in made)
    return [
        instr
        for instr in several
        if instr.op.elementwise
        and any(each.op.name in _REDUCTIONS for each in _behind([instr], made))
    ]


def _behind(ends: Iterable[Instr], made: Mapping[Var, Instr]) -> list[Instr]:
    """What computes the operands, through elementwise operators and others like them."""
    waiting = [atom for instr in ends for atom in instr.inputs]
    seen: set[Var] = set()
    found: list[Instr] = []
    while waiting:
        atom = waiting.pop()
        if isinstance(atom, Literal) or atom in seen or atom not in made:
            continue
        seen.add(atom)
        instr = made[atom]
        if instr.op.elementwise or instr.op is ops.reshape:
            waiting += instr.inputs
        else:
            found.append(instr)
    return found
