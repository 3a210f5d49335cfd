"""How much work one run of a program is: what compiler flags and threads are chosen by."""

from __future__ import annotations

import math
from typing import NamedTuple

from slope.extend import Instr, Program, Var, ops, programs_in

from .lower.loop_kernels import fits


class Work(NamedTuple):
    """An estimate of what one run of a program takes.

    Attributes:
        products: floating-point operations in matrix products of plain layers (two factors, no
            batch dimensions) that are worth packing their operands for.
        flops: all floating-point operations.
        moved: bytes of all results: what is written, were nothing fused.
    """

    products: float
    flops: float
    moved: float


def program_work(program: Program, fixed: frozenset[Var] = frozenset(), turns: int = 1) -> Work:
    """Count a program's work.

    Args:
        program: whose it is.
        fixed: those of its inputs that are the same in all turns of a loop.
        turns: how many turns that loop has.
    """
    products = flops = moved = 0.0
    for instr in program.instrs:
        size = float(sum(var.type.size for var in instr.outputs))
        times = float(instr.params.get("length", 1))
        own_kernel = instr.op.name in ("run_scan", "run_while") and fits(instr.params)
        for body in programs_in(instr.params):
            held = frozenset(body.inputs[: instr.params.get("consts", 0)])
            inner = program_work(body, held, instr.params.get("length", 1))
            products += 0.0 if own_kernel else times * inner.products
            flops += times * inner.flops
            moved += times * inner.moved
        moved += float(sum(var.type.nbytes for var in instr.outputs))
        types = [atom.type for atom in instr.inputs]
        own = instr.op.flops(*types, **instr.params)
        cost = float(max([size, *(each.size for each in types)]) if own is None else own)
        flops += cost
        if instr.op is ops.dot_general and _worth_packing(instr, fixed, turns):
            products += cost
    return Work(products, flops, moved)


def _worth_packing(product: Instr, fixed: frozenset[Var], turns: int) -> bool:
    """Whether a product of packed factors saves more time than it takes to pack them.

    A factor that stays the same in a loop is packed once.
    """
    if product.params["batch"][0]:
        return False
    (x, y), (of_x, _) = (atom.type for atom in product.inputs), product.params["contract"]
    inner = math.prod(x.shape[dim] for dim in of_x)
    rows, columns = x.size / max(inner, 1), y.size / max(inner, 1)
    # Measured on one thread: tiles multiplied at 177 GFLOP/s against 122 for operands as they are,
    # and packed at 0.2 ns an element. One row through a large matrix takes 2.7 times as long packed
    # (a decoder's step), 128 rows take 0.7 times as long; 45 rows break even.
    often = [1 / turns if atom in fixed else 1.0 for atom in product.inputs]
    packed = often[0] * rows * inner + often[1] * inner * columns + rows * columns
    return rows * inner * columns > 40 * packed
