"""Which inputs and outputs of a loop body take part in a transform.

What one iteration makes of a carry is what the next one starts from, so each of these goes around
until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.core.operator import Linear
from slope.core.program import Program
from slope.errors import GradientError
from slope.transforms.transpose import transpose_program


def moving_inputs(
    moving: Sequence[bool], consts: int, carries: int, moved: Any
) -> tuple[bool, ...]:
    """Which inputs have a tangent once all carries that depend on one that has one do."""
    flags, first = tuple(moving), consts + carries
    while True:
        outs = moved(flags)
        more = (
            *flags[:consts],
            *(a or b for a, b in zip(flags[consts:first], outs[:carries], strict=True)),
            *flags[first:],
        )
        if more == flags:
            return flags
        flags = more


def linear_inputs(
    body: Program, operands: Sequence[Any], consts: int, carries: int
) -> tuple[bool, ...]:
    """Which inputs the body is transposed for: linear ones and all carries that depend on them."""
    linear = [isinstance(operand, Linear) for operand in operands]
    while True:
        moving = {var for var, flag in zip(body.inputs, linear, strict=True) if flag}
        for instr in body.instrs:
            if any(atom in moving for atom in instr.inputs):
                moving.update(instr.outputs)
        more = list(linear)
        for place in range(carries):
            more[consts + place] = more[consts + place] or body.outputs[place] in moving
        if more == linear:
            break
        linear = more
    if not all(linear[consts : consts + carries]):
        raise GradientError(
            f"scan ({body.name}): it is transposed with respect to operands that not all of its "
            "carries depend on linearly. Differentiate the whole function with slope.grad or "
            "slope.vjp, which separates what is linear from what is not."
        )
    return tuple(linear)


def cotangents_given(
    body: Program, linear: tuple[bool, ...], given: Sequence[bool], carries: int, first: int
) -> tuple[bool, ...]:
    """Which outputs of the body have a cotangent, once those of the carries came around."""
    flags = tuple(given)
    while True:
        present = transpose_program(body, linear, flags)[1]
        more = (
            *(
                a or b
                for a, b in zip(flags[:carries], present[first - carries : first], strict=True)
            ),
            *flags[carries:],
        )
        if more == flags:
            return flags
        flags = more
