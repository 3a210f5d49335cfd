"""The operator that calls a compiled program: what ``jit`` binds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.control._programs import not_none, spread
from slope.core.operator import Linear, Operator, Tangent, register
from slope.core.program import Program, evaluate
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.transforms.jvp import jvp_program
from slope.transforms.linearize import linearize_program
from slope.transforms.transpose import transpose_program
from slope.transforms.vmap import batch_program


class Call(Operator):
    """Run a program on its inputs, compiled as a whole.

    Transforms transform the program; another program inlines it.

    Params:
        program: without constants.
        options: how to compile it (:class:`slope.compile.Options`).
    """

    name = "call"
    multiple = True
    inline = True
    transparent = True

    def infer(self, *types: TensorType, program: Program, options: Any) -> tuple[TensorType, ...]:
        return program.output_types

    def expand(self, *args: Any, program: Program, options: Any) -> Any:
        return evaluate(program, args)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, program: Program, options: Any
    ) -> Any:
        moving = tuple(tangent is not None for tangent in tangents)
        made, moved = jvp_program(program, moving)
        results = call(
            *primals,
            *not_none(tangents),
            program=made,
            options=options,
        )
        count = len(program.outputs)
        return results[:count], tuple(spread(results[count:], moved))

    def linearize(
        self,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        *,
        program: Program,
        options: Any,
    ) -> Any:
        """The results with residuals by one call; tangents by a call of the linear program."""
        moving = tuple(tangent is not None for tangent in tangents)
        forward, linear, moved = linearize_program(program, moving)
        results = call(*primals, program=forward, options=options)
        outs, residuals = results[: len(program.outputs)], results[len(program.outputs) :]
        out_tangents = call(*residuals, *not_none(tangents), program=linear, options=options)
        return outs, tuple(
            tangent if moves else None for tangent, moves in zip(out_tangents, moved, strict=True)
        )

    def transpose(
        self, cotangent: Any, *operands: Any, program: Program, options: Any
    ) -> Sequence[Tangent]:
        linear = tuple(isinstance(operand, Linear) for operand in operands)
        given = tuple(each is not None for each in cotangent)
        made, present = transpose_program(program, linear, given)
        known = [operand for operand in operands if not isinstance(operand, Linear)]
        results = call(*known, *not_none(cotangent), program=made, options=options)
        return spread(results, present)

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        program: Program,
        options: Any,
    ) -> tuple[Any, Any]:
        made, out_dims = batch_program(program, size, tuple(in_dims))
        return call(*args, program=made, options=options), out_dims


call = register(Call())
