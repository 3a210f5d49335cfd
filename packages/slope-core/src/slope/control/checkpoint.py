"""The operator that computes again instead of remembering: what ``checkpoint`` binds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.control._programs import intern, lifted, not_none, spread, without_effects
from slope.core.operator import Linear, Operator, Sample, Tangent, register
from slope.core.program import Program, ProgramTrace, evaluate, trace_program
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL
from slope.core.types import TensorType
from slope.dtypes import float64
from slope.errors import ProgramError
from slope.ops import optimization_barrier
from slope.passes.effects import program_has_effect
from slope.transforms.jvp import jvp_program
from slope.transforms.linearize import linearize_program
from slope.transforms.transpose import transpose_program
from slope.transforms.vmap import batch_program


class Rematerialize(Operator):
    """Run a program; its derivative keeps the operands alone and computes the rest again.

    Params:
        program: without constants.
        barrier: whether the operands go through an ``optimization_barrier``, so that nothing merges
            what is computed here with what was computed before. True in derivatives.
    """

    name = "rematerialize"
    multiple = True

    def infer(
        self, *types: TensorType, program: Program, barrier: bool = False
    ) -> tuple[TensorType, ...]:
        if program.input_types != types:
            raise ProgramError(
                f"rematerialize: operands {types} for a program of {program.input_types}."
            )
        return program.output_types

    def expand(self, *args: Any, program: Program, barrier: bool = False) -> Any:
        values = [arg for arg in args if not isinstance(arg, Splat)]
        if barrier and values:
            behind = iter(optimization_barrier(*values))
            args = tuple(arg if isinstance(arg, Splat) else next(behind) for arg in args)
        return evaluate(program, args)

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        program: Program,
        barrier: bool = False,
    ) -> Any:
        made, moved = jvp_program(program, tuple(tangent is not None for tangent in tangents))
        count = len(program.outputs)
        results = call_rematerialize([*primals, *not_none(tangents)], made, barrier)
        return results[:count], tuple(spread(results[count:], moved))

    def linearize(
        self,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        *,
        program: Program,
        barrier: bool = False,
    ) -> Any:
        """The results, and tangents by a program that begins with operands, not residuals."""
        moving = tuple(tangent is not None for tangent in tangents)
        again, moved = _derivative(program, moving)
        outs = rematerialize(*primals, program=program, barrier=barrier)
        pushed = call_rematerialize([*primals, *not_none(tangents)], again, True)
        return outs, tuple(out if moves else None for out, moves in zip(pushed, moved, strict=True))

    def transpose(
        self, cotangent: Any, *operands: Any, program: Program, barrier: bool = False
    ) -> Sequence[Tangent]:
        linear = tuple(isinstance(operand, Linear) for operand in operands)
        made, present = transpose_program(
            program, linear, tuple(each is not None for each in cotangent)
        )
        known = [operand for operand in operands if not isinstance(operand, Linear)]
        return spread(
            call_rematerialize([*known, *not_none(cotangent)], made, barrier),
            present,
        )

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        program: Program,
        barrier: bool = False,
    ) -> tuple[Any, Any]:
        made, out_dims = batch_program(program, size, tuple(in_dims))
        return call_rematerialize(args, made, barrier), out_dims

    def samples(self) -> Iterator[Sample]:
        types = [TensorType((3,), float64), TensorType((3,), float64)]
        program = trace_program(
            lambda x, y: (ops.mul(ops.sin(x), y), ops.exp(y)), types, name="waves"
        )
        for barrier in (False, True):
            yield Sample(
                (np.array([0.3, -1.2, 0.8]), np.array([1.0, 0.5, -0.5])),
                {"program": program, "barrier": barrier},
            )


def _derivative(program: Program, moving: tuple[bool, ...]) -> tuple[Program, tuple[bool, ...]]:
    """The program from operands and tangents to tangents, which computes its residuals itself."""
    key = ("rematerialized", moving)
    if key not in program.derived:
        # What is computed again is not printed again.
        forward, linear, moved = linearize_program(without_effects(program), moving)
        with ProgramTrace(EVAL, program.name) as trace:
            primals = [trace.new_input(each) for each in program.input_types]
            tangents = [
                trace.new_input(each)
                for each, moves in zip(program.input_types, moving, strict=True)
                if moves
            ]
            residuals = evaluate(forward, primals)[len(program.outputs) :]
            made = trace.finish(evaluate(linear, [*residuals, *tangents]), program.name)
        program.derived[key] = made, moved
    return program.derived[key]


def call_rematerialize(
    operands: Sequence[Tensor], program: Program, barrier: bool
) -> tuple[Tensor, ...]:
    """Bind :class:`Rematerialize`; constants of the program become operands."""
    (program,), values = lifted((program,))
    if not program.outputs and not program_has_effect(program):
        return ()
    return rematerialize(*values, *operands, program=intern(program), barrier=barrier)


rematerialize: Any = register(Rematerialize())
