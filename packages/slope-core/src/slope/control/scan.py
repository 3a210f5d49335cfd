"""The operator that runs a program once for each slice of its operands: what ``scan`` binds.

Linearization follows partial evaluation: what the linear part needs of the forward part is stacked,
one slice an iteration, unless it is
there already: operands are used as they are, and what depends on constants alone is computed once,
before the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.control._fixpoints import cotangents_given, linear_inputs, moving_inputs
from slope.control._programs import (
    batch_to,
    batched_outputs,
    cut,
    has_effect,
    instantiated,
    intern,
    lifted,
    needed_inputs,
    not_none,
    padded,
    selected,
    spread,
    substituted,
    with_inputs,
    zero,
)
from slope.control._scan_residuals import evaluated_once, sort_residuals
from slope.core.operator import Linear, Operator, Sample, Tangent, register
from slope.core.program import Instr, Program, Var, trace_program
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dims import same
from slope.dtypes import float64
from slope.errors import ProgramError
from slope.ops.linear import batched_at
from slope.transforms.jvp import jvp_program
from slope.transforms.linearize import linearize_program
from slope.transforms.transpose import transpose_program


class RunScan(Operator):
    """Run a program ``length`` times; carries go from one iteration to the next.

    Operands: the constants, the first carries, the tensors to go through along dimension 0.
    Results: the last carries, then what the
    iterations gave, stacked along dimension 0 at the place of the slices that it came from.

    Params:
        body: a program from ``(*constants, *carries, *slices)`` to ``(*carries, *outputs)``.
        consts, carries: how many of the operands are constants and carries.
        length: how many iterations.
        reverse: whether the last slices come first.
    """

    name = "run_scan"
    multiple = True
    whole = True

    def infer(
        self,
        *types: TensorType,
        body: Program,
        consts: int,
        carries: int,
        length: Any,
        reverse: bool = False,
    ) -> tuple[TensorType, ...]:
        first = consts + carries
        for each in types[first:]:
            if not each.shape or not same(each.shape[:1], (length,)):
                raise ProgramError(
                    f"run_scan: {length} iterations through an operand {each}; its dimension 0 "
                    "must have that length."
                )
        slices = (*types[:first], *(each.with_shape(each.shape[1:]) for each in types[first:]))
        if body.input_types != slices or body.output_types[:carries] != types[consts:first]:
            raise ProgramError(
                f"run_scan: the body goes from {body.input_types} to {body.output_types}; the "
                f"operands' slices are {slices}, {carries} of them carries."
            )
        stacked = [each.with_shape((length, *each.shape)) for each in body.output_types[carries:]]
        return (*body.output_types[:carries], *stacked)

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        body: Program,
        consts: int,
        carries: int,
        length: Any,
        reverse: bool = False,
    ) -> Any:
        moving = moving_inputs(
            [tangent is not None for tangent in tangents],
            consts,
            carries,
            lambda flags: jvp_program(body, flags)[1],
        )
        made, moved = jvp_program(body, moving)
        first, count = consts + carries, len(body.outputs)
        wanted = (*moving[consts:first], *moved[carries:])
        pushed = padded(made.outputs[count:], moved, wanted, body.outputs)
        inputs = _split(made.inputs[: len(primals)], consts, carries)
        more = _split(spread(made.inputs[len(primals) :], moving), consts, carries)
        carried = sum(moving[consts:first])
        parts = [[*own, *not_none(new)] for own, new in zip(inputs, more, strict=True)]
        outputs = [
            *made.outputs[:carries],
            *pushed[:carried],
            *made.outputs[carries:count],
            *pushed[carried:],
        ]
        full = instantiated(primals, tangents, moving)
        values = [
            [*own, *not_none(new)]
            for own, new in zip(
                _split(primals, consts, carries), _split(full, consts, carries), strict=True
            )
        ]
        program = with_inputs(made, [var for part in parts for var in part], outputs)
        results = call_scan(values[0], values[1], values[2], program, length, reverse)
        total, ys = carries + carried, count - carries
        outs = [*results[:carries], *results[total : total + ys]]
        out_tangents = spread([*results[carries:total], *results[total + ys :]], wanted)
        return outs, tuple(out_tangents)

    def linearize(
        self,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        *,
        body: Program,
        consts: int,
        carries: int,
        length: Any,
        reverse: bool = False,
    ) -> Any:
        """The results and stacked residuals by a scan; tangents by a scan of the linear program."""
        moving = moving_inputs(
            [tangent is not None for tangent in tangents],
            consts,
            carries,
            lambda flags: linearize_program(body, flags)[2],
        )
        forward, linear, moved = linearize_program(body, moving)
        first, count = consts + carries, len(body.outputs)
        kept = sort_residuals(forward, linear, consts, carries, count)
        values = _split(primals, consts, carries)
        hoisted = evaluated_once(forward, kept.once, [*values[0], *values[1]])
        made = with_inputs(forward, forward.inputs, [*forward.outputs[:count], *kept.stacked])
        results = call_scan(*values, made, length, reverse)
        given = _split(instantiated(primals, tangents, moving), consts, carries)
        pushed = [not_none(part) for part in given]
        variables = _split(
            spread(linear.inputs[len(linear.inputs) - sum(moving) :], moving), consts, carries
        )
        inputs = [not_none(part) for part in variables]
        wanted = (*moving[consts:first], *moved[carries:])
        program = substituted(
            linear,
            kept.replaced,
            [*kept.const_vars, *inputs[0], *inputs[1], *kept.slice_vars, *inputs[2]],
        )
        program = with_inputs(program, program.inputs, selected(program.outputs, wanted))
        slices = [
            *(primals[place] for place in kept.slices),
            *(results[place] for place in kept.outputs),
            *results[count:],
        ]
        out_tangents = call_scan(
            [*hoisted, *pushed[0]], pushed[1], [*slices, *pushed[2]], program, length, reverse
        )
        return results[:count], tuple(spread(out_tangents, wanted))

    def transpose(
        self,
        cotangent: Any,
        *operands: Any,
        body: Program,
        consts: int,
        carries: int,
        length: Any,
        reverse: bool = False,
    ) -> Sequence[Tangent]:
        """A scan the other way: it carries cotangents of carries, and sums of the constants'."""
        first = consts + carries
        linear = linear_inputs(body, operands, consts, carries)
        given = cotangents_given(
            body, linear, [each is not None for each in cotangent], carries, first
        )
        made, present = transpose_program(body, linear, given)
        known = _split(
            [None if isinstance(operand, Linear) else operand for operand in operands],
            consts,
            carries,
        )
        known_vars = _split(
            spread(made.inputs[: len(linear) - sum(linear)], [not each for each in linear]),
            consts,
            carries,
        )
        pulled = spread(made.inputs[len(linear) - sum(linear) :], given)
        results = spread(made.outputs, present)
        sums = [place for place in range(consts) if present[place]]
        totals, next_totals, instrs = _accumulated(made, [results[place] for place in sums])
        carried = [place for place in range(carries) if given[place]]
        back = [results[consts + place] or zero(body.inputs[consts + place]) for place in carried]
        through = [place for place in range(first, len(operands)) if present[place]]
        inputs = [
            *not_none(known_vars[0]),
            *(pulled[place] for place in carried),
            *totals,
            *not_none(known_vars[2]),
            *not_none(pulled[carries:]),
        ]
        outputs = [*back, *next_totals, *(results[place] for place in through)]
        program = Program(inputs, made.constants, instrs, outputs, body.name)
        init = [
            Splat(0, body.outputs[place].type) if cotangent[place] is None else cotangent[place]
            for place in carried
        ]
        init += [Splat(0, var.type) for var in totals]
        constants = not_none(known[0])
        slices = [
            *not_none(known[2]),
            *not_none(cotangent[carries:]),
        ]
        outs = call_scan(constants, init, slices, program, length, not reverse)
        found: dict[int, Tensor] = dict(
            zip([*(consts + place for place in carried), *sums, *through], outs, strict=True)
        )
        return [
            found.get(place) if isinstance(operand, Linear) else None
            for place, operand in enumerate(operands)
        ]

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        body: Program,
        consts: int,
        carries: int,
        length: Any,
        reverse: bool = False,
    ) -> tuple[Any, Any]:
        first = consts + carries
        fixed, sliced = (
            tuple(in_dims[:consts]),
            tuple(None if at is None else 0 for at in in_dims[first:]),
        )
        carried = tuple(at is not None for at in in_dims[consts:first])
        while True:
            dims = (*fixed, *(0 if each else None for each in carried), *sliced)
            moved = batched_outputs(body, size, dims)
            more = tuple(a or b for a, b in zip(carried, moved[:carries], strict=True))
            if more == carried:
                break
            carried = more
        init = [
            batched_at(arg, at, size, 0) if each else arg
            for arg, at, each in zip(
                args[consts:first], in_dims[consts:first], carried, strict=True
            )
        ]
        xs = [
            arg if at is None else batched_at(arg, at, size, 1)
            for arg, at in zip(args[first:], in_dims[first:], strict=True)
        ]
        made = batch_to(body, size, dims, (*carried, *moved[carries:]))
        outs = call_scan(args[:consts], init, xs, made, length, reverse)
        return outs, (
            *(0 if each else None for each in carried),
            *(1 if each else None for each in moved[carries:]),
        )

    def prune(self, instr: Instr, live: Sequence[bool]) -> Instr | None:
        """The instruction without unneeded outputs and operands; ``None`` if all are needed."""
        body, consts, carries = (
            instr.params["body"],
            instr.params["consts"],
            instr.params["carries"],
        )
        if has_effect(body):
            return None
        wanted = list(live)
        while True:
            need = needed_inputs(body, selected(body.outputs, wanted))
            more = [
                a or var in need
                for a, var in zip(wanted, body.inputs[consts : consts + carries], strict=False)
            ]
            more += wanted[carries:]
            if more == wanted:
                break
            wanted = more
        flags = [var in need for var in body.inputs]
        flags[consts : consts + carries] = wanted[:carries]
        if all(flags) and all(wanted):
            return None
        params = {
            **instr.params,
            "body": cut(body, selected(body.inputs, flags), selected(body.outputs, wanted)),
            "consts": sum(flags[:consts]),
            "carries": sum(wanted[:carries]),
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
        """The same call with a program without constants."""
        (body,), values = lifted((params["body"],))
        return [*values, *operands], {
            **params,
            "body": body,
            "consts": params["consts"] + len(values),
        }

    def samples(self) -> Iterator[Sample]:
        types = [TensorType((), float64), TensorType((2,), float64), TensorType((2,), float64)]

        def step(a: Tensor, c: Tensor, x: Tensor) -> tuple[Tensor, ...]:
            new = ops.add(ops.mul(ops.sin(c), ops.broadcast(a, shape=(2,), dims=())), x)
            return new, ops.mul(new, c)

        body = trace_program(step, types, name="step")
        for length, reverse in ((3, False), (3, True), (0, False)):
            xs = np.linspace(-1.0, 1.0, length * 2).reshape(length, 2)
            params = {"body": body, "consts": 1, "carries": 1, "length": length, "reverse": reverse}
            yield Sample((np.array(0.9), np.array([0.3, -1.1]), xs), params)


def _split(
    items: Sequence[Any], consts: int, carries: int
) -> tuple[list[Any], list[Any], list[Any]]:
    """The items for constants, carries and slices."""
    first = consts + carries
    return list(items[:consts]), list(items[consts:first]), list(items[first:])


def _accumulated(
    program: Program, terms: Sequence[Any]
) -> tuple[list[Var], list[Var], list[Instr]]:
    """Running sums: their inputs and outputs, and the program's instructions with additions."""
    before = [Var(term.type) for term in terms]
    after = [Var(term.type) for term in terms]
    sums = [
        Instr(ops.add, (old, term), {}, (new,))
        for old, term, new in zip(before, terms, after, strict=True)
    ]
    return before, after, [*program.instrs, *sums]


def call_scan(
    constants: Sequence[Tensor],
    init: Sequence[Tensor],
    xs: Sequence[Tensor],
    body: Program,
    length: Any,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """Bind :class:`RunScan`; constants of the body become operands."""
    (body,), values = lifted((body,))
    if not body.outputs and not has_effect(body):
        return ()
    consts = len(values) + len(constants)
    return run_scan(
        *values,
        *constants,
        *init,
        *xs,
        body=intern(body),
        consts=consts,
        carries=len(init),
        length=length,
        reverse=reverse,
    )


run_scan: Any = register(RunScan())
