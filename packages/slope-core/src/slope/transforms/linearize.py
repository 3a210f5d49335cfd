"""Linearization: run the primal computation now, and record its derivative as a linear program.

A linearizing trace is a forward-mode trace whose tangents are variables of a program being
recorded. What a ``jvp`` rule computes from primals alone goes through to the trace below and is
computed once; what involves a tangent is recorded, with the primal values it needs as constants
(the residuals).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slope.core import rules
from slope.core.operator import Linear, Operator, Tangent
from slope.core.program import LineKeeper, Program, ProgramTrace, Var, evaluate, result_types
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, current_trace
from slope.core.types import TensorType
from slope.errors import Source, user_source
from slope.transforms.jvp import JVPTrace, jvp_flat


class LinearizeTrace(JVPTrace):
    """Prefers an operator's ``linearize`` and ``vjp`` over its ``jvp``."""

    name = "grad"

    def has_rule(self, op: Operator) -> bool:
        return op.has("linearize") or op.has("vjp") or op.has("jvp")

    def rule(
        self,
        op: Operator,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        params: dict[str, Any],
    ) -> tuple[Sequence[Tensor], Sequence[Tangent]]:
        recorder = self.parent
        assert isinstance(recorder, ProgramTrace)
        if recorder.instr_source is not None:  # an instruction that has a line is differentiated
            return self._rule(op, primals, tangents, params)
        source = user_source(3)
        if recorder.parent is not EVAL:
            with LineKeeper(recorder) as keeper:
                keeper.at(source)
                return self._rule(op, primals, tangents, params)
        recorder.instr_source = source  # the same, for the shortest stack of traces
        try:
            return self._rule(op, primals, tangents, params)
        finally:
            recorder.instr_source = None

    def _rule(
        self,
        op: Operator,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        params: dict[str, Any],
    ) -> tuple[Sequence[Tensor], Sequence[Tangent]]:
        if op.has("linearize"):
            return op.linearize(primals, tangents, **params)
        if not op.has("vjp"):
            return super().rule(op, primals, tangents, params)
        outs, residuals = rules.recorded(op, rules.call(op, "vjp", primals, params))
        moving = tuple(tangent is not None for tangent in tangents)
        given = [tangent for tangent in tangents if tangent is not None]
        out_tangents = pullback_call(
            *primals,
            *residuals,
            *given,
            op=op,
            params=tuple(params.items()),
            moving=moving,
            residuals=len(residuals),
        )
        rules.check_types(op, "vjp", outs, [tangent.type for tangent in out_tangents])
        return outs, out_tangents


class PullbackCall(Operator):
    """The linear part of an operator with ``vjp``.

    Its transpose is ``pullback``; run forward, it pushes tangents through the operator's ``jvp`` or
    ``expand``.

    Operands: the operator's operands, its residuals, the tangents of its moving operands.

    Params:
        op: the operator.
        params: its parameters, as pairs.
        moving: which of its operands have a tangent.
        residuals: how many residuals there are.
    """

    name = "pullback_call"
    multiple = True

    def infer(
        self,
        *types: TensorType,
        op: Operator,
        params: Any,
        moving: tuple[bool, ...],
        residuals: int,
    ) -> tuple[TensorType, ...]:
        return result_types(op, types[: len(moving)], dict(params))

    def expand(
        self, *args: Any, op: Operator, params: Any, moving: tuple[bool, ...], residuals: int
    ) -> Any:
        primals = args[: len(moving)]
        given = iter(args[len(moving) + residuals :])
        tangents = [next(given) if moves else None for moves in moving]
        outs, out_tangents = jvp_flat(
            lambda *xs: _call(op, xs, dict(params)), primals, tangents, op.name
        )
        return tuple(
            Splat(0, out.type) if tangent is None else tangent
            for out, tangent in zip(outs, out_tangents, strict=True)
        )

    def transpose(
        self,
        cotangent: Any,
        *operands: Any,
        op: Operator,
        params: Any,
        moving: tuple[bool, ...],
        residuals: int,
    ) -> Sequence[Tangent]:
        count = len(moving)
        kept = operands[count : count + residuals]
        outs = [
            Splat(0, each) if ct is None else ct
            for ct, each in zip(
                cotangent, self._out_types(operands, op, params, count), strict=True
            )
        ]
        given = rules.call(
            op, "pullback", (tuple(kept), tuple(outs) if op.multiple else outs[0]), dict(params)
        )
        cotangents = rules.pulled(op, "pullback", given, operands[:count], moving)
        moved = [ct for ct, moves in zip(cotangents, moving, strict=True) if moves]
        return (*[None] * (count + residuals), *moved)

    def _out_types(
        self, operands: Sequence[Tensor | Linear], op: Operator, params: Any, count: int
    ) -> Sequence[TensorType]:
        return result_types(op, [operand.type for operand in operands[:count]], dict(params))


def _call(op: Operator, args: Sequence[Tensor], params: dict[str, Any]) -> tuple[Tensor, ...]:
    # The trace runs the operator's jvp, if it has one, or else its expansion.
    result = op(*args, **params)
    return tuple(result) if op.multiple else (result,)


pullback_call = PullbackCall()


def linearize_flat(
    function: Callable[..., Sequence[Tensor]],
    primals: Sequence[Tensor],
    moving: Sequence[bool],
    name: str = "",
    source: Source | None = None,
) -> tuple[list[Tensor], Program, list[bool]]:
    """Run a function of tensors and record its derivative with respect to the moving inputs.

    Returns:
        The results; the linear program from the moving inputs' tangents to the results' tangents,
        whose constants are the residuals; and which results move (the others' tangents are zero
        literals).
    """
    with ProgramTrace(current_trace(), name, source, record_all=False) as recorder:
        with LinearizeTrace(recorder, name, source) as trace:
            args = [
                trace.wrap(primal, recorder.new_input(primal.type)) if moves else primal
                for primal, moves in zip(primals, moving, strict=True)
            ]
            outs = function(*args)
        pairs = [trace.unwrap(out) for out in outs]
        tangents = [Splat(0, out.type) if tangent is None else tangent for out, tangent in pairs]
        program = recorder.finish(tangents, name)
    return [out for out, _ in pairs], program, [tangent is not None for _, tangent in pairs]


def linearize_program(
    program: Program, moving: tuple[bool, ...]
) -> tuple[Program, Program, tuple[bool, ...]]:
    """Split a program into one that computes its results and residuals, and a linear one.

    Args:
        program: without constants.
        moving: which inputs have a tangent.

    Returns:
        ``forward`` from the inputs to ``(*outputs, *residuals)``; ``linear`` from
        ``(*residuals, *tangents of the moving inputs)`` to the outputs' tangents; which outputs
        move.
    """
    key = ("linearize", moving)
    if key not in program.derived:
        with ProgramTrace(EVAL, program.name) as trace:
            primals = [trace.new_input(each) for each in program.input_types]
            outs, linear, moved = linearize_flat(
                lambda *args: evaluate(program, args), primals, moving, program.name
            )
            used = _used(linear)
            residuals = [(var, value) for var, value in linear.constants if var in used]
            forward = trace.finish([*outs, *(value for _, value in residuals)], program.name)
        closed = Program(
            [*(var for var, _ in residuals), *linear.inputs],
            (),
            linear.instrs,
            linear.outputs,
            program.name,
        )
        program.derived[key] = forward, closed, tuple(moved)
    return program.derived[key]


def _used(program: Program) -> set[Var]:
    used = {atom for atom in program.outputs if isinstance(atom, Var)}
    for instr in program.instrs:
        used.update(atom for atom in instr.inputs if isinstance(atom, Var))
    return used
