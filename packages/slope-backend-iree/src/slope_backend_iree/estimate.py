"""How much work one run of a program is: what compiler flags and threads are chosen by."""

from __future__ import annotations

import math
from typing import NamedTuple

from slope.extend import Instr, Program, ops, programs_in


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


def program_work(program: Program) -> Work:
    """Count a program's work."""
    products = flops = moved = 0.0
    for instr in program.instrs:
        size = float(sum(var.type.size for var in instr.outputs))
        times = float(instr.params.get("length", 1))
        for inner in map(program_work, programs_in(instr.params)):
            products += times * inner.products
            flops += times * inner.flops
            moved += times * inner.moved
        moved += float(sum(var.type.nbytes for var in instr.outputs))
        types = [atom.type for atom in instr.inputs]
        own = instr.op.flops(*types, **instr.params)
        cost = float(max([size, *(each.size for each in types)]) if own is None else own)
        flops += cost
        if instr.op is ops.dot_general and _worth_packing(instr):
            products += cost
    return Work(products, flops, moved)


def _worth_packing(product: Instr) -> bool:
    if product.params["batch"][0]:
        return False
    (x, y), (of_x, _) = (atom.type for atom in product.inputs), product.params["contract"]
    inner = math.prod(x.shape[dim] for dim in of_x)
    rows, columns = x.size / max(inner, 1), y.size / max(inner, 1)
    # Measured on one thread: tiles multiplied at 177 GFLOP/s against 122 for operands as they are,
    # and packed at 0.2 ns an element. One row through a large matrix takes 2.7 times as long packed
    # (a decoder's step), 128 rows take 0.7 times as long; 45 rows break even.
    return rows * inner * columns > 40 * (rows * inner + inner * columns + rows * columns)
