"""The operator that repeats a program as long as another one says so: what ``while_loop`` binds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.control._fixpoints import moving_inputs
from slope.control._one_by_one import one_by_one
from slope.control._programs import (
    batch_to,
    batched_outputs,
    cut,
    instantiated,
    intern,
    lifted,
    needed_inputs,
    not_none,
    padded,
    selected,
    spread,
    with_inputs,
    without_effects,
)
from slope.control.branch import select
from slope.core.operator import Operator, Sample, Tangent, register
from slope.core.program import Instr, Program, ProgramTrace, Var, evaluate, trace_program
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL
from slope.core.types import TensorType
from slope.dtypes import bool_, float64, int64
from slope.errors import GradientError, ProgramError
from slope.ops.linear import batched_at
from slope.passes.effects import program_has_effect
from slope.transforms.jvp import jvp_program


class RunWhile(Operator):
    """Replace the carries by what ``body`` makes of them, as long as ``cond`` gives true for them.

    Operands: the constants, then the carries. Results: the carries. Both programs take all
    operands. With a batch of examples it runs until all are done; those that are keep their
    carries. Where a program has an effect, each example has a loop of its own.

    Params:
        cond: a program to one bool of shape ``()``.
        body: a program to the next carries.
        consts: how many of the operands are constants.
    """

    name = "run_while"
    multiple = True
    whole = True

    def infer(
        self, *types: TensorType, cond: Program, body: Program, consts: int
    ) -> tuple[TensorType, ...]:
        carried = types[consts:]
        if cond.input_types != types or body.input_types != types or body.output_types != carried:
            raise ProgramError(
                f"run_while: operands {types}, but cond takes {cond.input_types}, and body goes "
                f"from {body.input_types} to {body.output_types}."
            )
        if cond.output_types != (TensorType((), bool_),):
            raise ProgramError(
                f"run_while: cond must give one bool of shape (), and gives {cond.output_types}."
            )
        return carried

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        cond: Program,
        body: Program,
        consts: int,
    ) -> Any:
        moving = moving_inputs(
            [tangent is not None for tangent in tangents],
            consts,
            len(body.outputs),
            lambda flags: jvp_program(body, flags)[1],
        )
        made, moved = jvp_program(body, moving)
        count = len(body.outputs)
        carried = moving[consts:]
        given = padded(made.outputs[count:], moved, carried, body.outputs)
        pushed = made.inputs[len(primals) :]
        still = sum(moving[:consts])
        inputs = [
            *made.inputs[:consts],
            *pushed[:still],
            *made.inputs[consts : len(primals)],
            *pushed[still:],
        ]
        body = with_inputs(made, inputs, [*made.outputs[:count], *given])
        types = [var.type for var in pushed]
        more = [Var(each) for each in types]
        cond = with_inputs(
            cond, [*cond.inputs[:consts], *more[:still], *cond.inputs[consts:], *more[still:]]
        )
        full = not_none(instantiated(primals, tangents, moving))
        constants, init = [*primals[:consts], *full[:still]], [*primals[consts:], *full[still:]]
        results = call_while(constants, init, cond, body)
        return results[:count], tuple(spread(results[count:], carried))

    def linearize(
        self,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        *,
        cond: Program,
        body: Program,
        consts: int,
    ) -> Any:
        """The results; tangents by a loop which runs all again and so cannot be transposed."""
        outs = run_while(*primals, cond=cond, body=body, consts=consts)
        cond, body = without_effects(cond), without_effects(body)
        return outs, self.jvp(primals, tangents, cond=cond, body=body, consts=consts)[1]

    def transpose(
        self, cotangent: Any, *operands: Any, cond: Program, body: Program, consts: int
    ) -> Sequence[Tangent]:
        raise GradientError(
            f"while_loop ({body.name}): reverse-mode differentiation (grad, vjp, jacrev) would "
            "have to remember every iteration, and their number is not known beforehand. Use "
            "slope.fori_loop with Python ints as bounds, or slope.scan, with a mask for the "
            "iterations that should not count; or differentiate in forward mode (slope.jvp, "
            "slope.jacfwd)."
        )

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        cond: Program,
        body: Program,
        consts: int,
    ) -> tuple[Any, Any]:
        fixed = tuple(in_dims[:consts])
        carried = tuple(at is not None for at in in_dims[consts:])
        together = False
        while True:
            dims = (*fixed, *(0 if each else None for each in carried))
            together = together or batched_outputs(cond, size, dims)[0]
            moved = (True,) * len(carried) if together else batched_outputs(body, size, dims)
            more = tuple(a or b for a, b in zip(carried, moved, strict=True))
            if more == carried:
                break
            carried = more
        if together and (program_has_effect(cond) or program_has_effect(body)):
            params = {"cond": cond, "body": body, "consts": consts}
            return one_by_one(self, size, args, in_dims, params)
        init = [
            batched_at(arg, at, size, 0) if each else arg
            for arg, at, each in zip(args[consts:], in_dims[consts:], carried, strict=True)
        ]
        made = batch_to(body, size, dims, carried)
        test = batch_to(cond, size, dims, (together,))
        if together:
            test, made = _masked(test, made, consts)
        return call_while(args[:consts], init, test, made), tuple(
            0 if each else None for each in carried
        )

    def prune(self, instr: Instr, live: Sequence[bool]) -> Instr | None:
        """The instruction without unneeded outputs and operands; ``None`` if all are needed."""
        cond, body, consts = instr.params["cond"], instr.params["body"], instr.params["consts"]
        if program_has_effect(cond) or program_has_effect(body):
            return None
        tested = needed_inputs(cond, cond.outputs)
        wanted = [
            alive or var in tested for alive, var in zip(live, cond.inputs[consts:], strict=True)
        ]
        while True:
            need = needed_inputs(body, selected(body.outputs, wanted))
            more = [
                want or var in need for want, var in zip(wanted, body.inputs[consts:], strict=True)
            ]
            if more == wanted:
                break
            wanted = more
        fixed = [
            a in tested or b in need
            for a, b in zip(cond.inputs[:consts], body.inputs[:consts], strict=True)
        ]
        flags = [*fixed, *wanted]
        if all(flags):
            return None
        params = {
            "cond": cut(cond, selected(cond.inputs, flags)),
            "body": cut(body, selected(body.inputs, flags), selected(body.outputs, wanted)),
            "consts": sum(fixed),
        }
        return Instr(
            instr.op,
            tuple(selected(instr.inputs, flags)),
            params,
            tuple(selected(instr.outputs, wanted)),
            instr.source,
        )

    def with_closed(
        self, operands: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """The same call with programs without constants."""
        (cond, body), values = lifted((params["cond"], params["body"]))
        return [*values, *operands], {
            "cond": cond,
            "body": body,
            "consts": params["consts"] + len(values),
        }

    def samples(self) -> Iterator[Sample]:
        types = [TensorType((), float64), TensorType((), int64), TensorType((2,), float64)]
        cond = trace_program(lambda a, i, x: (ops.lt(i, Splat(3, i.type)),), types, name="cond")
        body = trace_program(
            lambda a, i, x: (
                ops.add(i, Splat(1, i.type)),
                ops.mul(ops.sin(x), ops.broadcast(a, shape=(2,), dims=())),
            ),
            types,
            name="body",
        )
        for start in (0, 5):
            yield Sample(
                (np.array(0.9), np.array(start), np.array([0.3, -1.1])),
                {"cond": cond, "body": body, "consts": 1},
                False,  # there is no reverse mode, which checks of derivatives include
            )


def _masked(test: Program, body: Program, consts: int) -> tuple[Program, Program]:
    """Programs that go on while any example does, and change only those that do."""
    key = ("masked", test, consts)
    if key not in body.derived:
        with ProgramTrace(EVAL, test.name) as trace:
            (going,) = evaluate(test, [trace.new_input(each) for each in test.input_types])
            any_going = trace.finish([ops.any_(going, dim=(0,))], test.name)
        with ProgramTrace(EVAL, body.name) as trace:
            args = [trace.new_input(each) for each in body.input_types]
            (going,) = evaluate(test, args)
            steps = zip(evaluate(body, args), args[consts:], strict=True)
            masked = trace.finish([select(going, new, old) for new, old in steps], body.name)
        body.derived[key] = any_going, masked
    return body.derived[key]


def call_while(
    constants: Sequence[Tensor], init: Sequence[Tensor], cond: Program, body: Program
) -> tuple[Tensor, ...]:
    """Bind :class:`RunWhile`; constants of the programs become operands."""
    (cond, body), values = lifted((cond, body))
    consts = len(values) + len(constants)
    return run_while(
        *values, *constants, *init, cond=intern(cond), body=intern(body), consts=consts
    )


run_while: Any = register(RunWhile())
