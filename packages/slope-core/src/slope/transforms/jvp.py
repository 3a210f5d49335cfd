"""Forward mode: each traced tensor carries its primal and its tangent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slope.core import rules
from slope.core.operator import Operator, Tangent
from slope.core.program import Program, ProgramTrace, evaluate, expand
from slope.core.tensor import Tensor, Tracer
from slope.core.trace import EVAL, Trace, current_trace, use_trace
from slope.errors import MissingRuleError, Source


class JVPTracer(Tracer):
    """A tensor with its tangent, which has the same type."""

    __slots__ = ("primal", "tangent")

    def __init__(self, trace: JVPTrace, primal: Tensor, tangent: Tensor) -> None:
        super().__init__(trace, primal.type)
        self.primal = primal
        self.tangent = tangent
        self.weak = primal.weak
        self.device = primal.device


class JVPTrace(Trace):
    """Runs ``jvp`` rules; an operator without one is expanded."""

    name = "jvp"

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        primals: list[Tensor] = []
        tangents: list[Tangent] = []
        moving = False
        for arg in args:
            if isinstance(arg, JVPTracer) and arg.owner is self:
                primals.append(arg.primal)
                tangents.append(arg.tangent)
                moving = True
            else:
                self.check(arg, op)
                primals.append(arg)
                tangents.append(None)
        assert self.parent is not None
        if not moving or not op.differentiable:
            with use_trace(self.parent):
                return self.parent.process(op, primals, params)
        if not self.has_rule(op):
            if not op.has("expand"):
                raise MissingRuleError(
                    f"operator {op.name!r} cannot take part in {self.name}: it defines neither jvp "
                    f"nor vjp nor expand. Write {type(op).__qualname__}.jvp, or "
                    f"{type(op).__qualname__}.expand, which serves every transform."
                )
            return expand(op, args, params)
        with use_trace(self.parent):
            outs, out_tangents = self.rule(op, primals, tangents, params)
        return tuple(
            [self.wrap(out, tangent) for out, tangent in zip(outs, out_tangents, strict=True)]
        )

    def has_rule(self, op: Operator) -> bool:
        """Whether the operator has a rule for this mode."""
        return op.has("jvp")

    def rule(
        self,
        op: Operator,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        params: dict[str, Any],
    ) -> tuple[Sequence[Tensor], Sequence[Tangent]]:
        """The results and their tangents, as tuples."""
        return rules.pushed(op, rules.call(op, "jvp", (primals, tangents), params))

    def wrap(self, primal: Tensor, tangent: Tangent) -> Tensor:
        """A primal with its tangent; the primal alone where there is none."""
        if tangent is None or not primal.dtype.is_floating_point:
            return primal
        return JVPTracer(self, primal, tangent)

    def unwrap(self, value: Tensor) -> tuple[Tensor, Tangent]:
        """The primal and the tangent of a result of the traced function."""
        if isinstance(value, JVPTracer) and value.owner is self:
            return value.primal, value.tangent
        self.check(value, f"the result of {self.function or 'the function'}")
        return value, None


def jvp_flat(
    function: Callable[..., Sequence[Tensor]],
    primals: Sequence[Tensor],
    tangents: Sequence[Tangent],
    name: str = "",
    source: Source | None = None,
) -> tuple[list[Tensor], list[Tangent]]:
    """The results of a function of tensors and their tangents; ``None`` is a zero tangent."""
    with JVPTrace(current_trace(), name, source) as trace:
        args = [trace.wrap(p, t) for p, t in zip(primals, tangents, strict=True)]
        outs = function(*args)
    pairs = [trace.unwrap(out) for out in outs]
    return [primal for primal, _ in pairs], [tangent for _, tangent in pairs]


def jvp_program(program: Program, moving: tuple[bool, ...]) -> tuple[Program, tuple[bool, ...]]:
    """The program that also computes tangents.

    Args:
        program: without constants.
        moving: which inputs have a tangent.

    Returns:
        A program from ``(*inputs, *tangents of the moving inputs)`` to ``(*outputs, *tangents)``,
        and which outputs have one.
    """
    key = ("jvp", moving)
    if key not in program.derived:
        with ProgramTrace(EVAL, program.name) as trace:
            primals = [trace.new_input(each) for each in program.input_types]
            tangents = [
                trace.new_input(each) if moves else None
                for each, moves in zip(program.input_types, moving, strict=True)
            ]
            outs, out_tangents = jvp_flat(
                lambda *args: evaluate(program, args), primals, tangents, program.name
            )
            made = trace.finish(
                [*outs, *(tangent for tangent in out_tangents if tangent is not None)], program.name
            )
        program.derived[key] = made, tuple(tangent is not None for tangent in out_tangents)
    return program.derived[key]
