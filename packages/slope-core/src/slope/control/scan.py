"""The operator that runs a program once for each slice of its operands: what ``scan`` binds.

Linearization follows partial evaluation: what the linear part needs of the forward part is stacked,
one slice an iteration, unless it is there already: operands are used as they are, and what depends
on constants alone is computed once, before the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from slope import ops
from slope.control._fixpoints import cotangents_given, linear_inputs, moving_inputs
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
from slope.passes.effects import program_has_effect
from slope.transforms.jvp import jvp_program
from slope.transforms.linearize import linearize_program
from slope.transforms.transpose import transpose_program


class _Loop(NamedTuple):
    """The parameters of :class:`RunScan`."""

    body: Program
    consts: int
    carries: int
    length: Any
    reverse: bool = False

    @property
    def first(self) -> int:
        """The place of the first operand that it goes through."""
        return self.consts + self.carries

    def split(self, items: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """What stands for the operands, apart: for constants, carries and slices."""
        consts, first = self.consts, self.first
        return list(items[:consts]), list(items[consts:first]), list(items[first:])


class RunScan(Operator):
    """Run a program ``length`` times; carries go from one iteration to the next.

    Operands: the constants, the first carries, the tensors to go through along dimension 0.
    Results: the last carries, then what the iterations gave, stacked along dimension 0 at the place
    of the slices that it came from.

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

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        loop = _Loop(**params)
        body, carries, count = loop.body, loop.carries, len(loop.body.outputs)
        moving = moving_inputs(
            [tangent is not None for tangent in tangents],
            loop.consts,
            carries,
            lambda flags: jvp_program(body, flags)[1],
        )
        made, moved = jvp_program(body, moving)
        _, moving_carries, _ = loop.split(moving)
        wanted = (*moving_carries, *moved[carries:])
        pushed = padded(made.outputs[count:], moved, wanted, body.outputs)
        total = carries + sum(moving_carries)  # primal and tangent carries
        inputs = _side_by_side(
            loop.split(made.inputs[: len(primals)]),
            loop.split(spread(made.inputs[len(primals) :], moving)),
        )
        outputs = [
            *made.outputs[:carries],
            *pushed[: total - carries],
            *made.outputs[carries:count],
            *pushed[total - carries :],
        ]
        program = with_inputs(made, [*inputs[0], *inputs[1], *inputs[2]], outputs)
        constants, init, xs = _side_by_side(
            loop.split(primals), loop.split(instantiated(primals, tangents, moving))
        )
        results = call_scan(constants, init, xs, program, loop.length, loop.reverse)
        last = total + count - carries
        outs = [*results[:carries], *results[total:last]]
        return outs, tuple(spread([*results[carries:total], *results[last:]], wanted))

    def linearize(
        self, primals: Sequence[Tensor], tangents: Sequence[Tangent], **params: Any
    ) -> Any:
        """The results and stacked residuals by a scan; tangents by a scan of the linear program."""
        loop = _Loop(**params)
        body, carries, count = loop.body, loop.carries, len(loop.body.outputs)
        moving = moving_inputs(
            [tangent is not None for tangent in tangents],
            loop.consts,
            carries,
            lambda flags: linearize_program(body, flags)[2],
        )
        forward, linear, moved = linearize_program(body, moving)
        kept = sort_residuals(forward, linear, loop.consts, carries, count)
        constants, init, xs = loop.split(primals)
        hoisted = evaluated_once(forward, kept.once, [*constants, *init])
        made = with_inputs(forward, forward.inputs, [*forward.outputs[:count], *kept.stacked])
        results = call_scan(constants, init, xs, made, loop.length, loop.reverse)

        variables = spread(linear.inputs[len(linear.inputs) - sum(moving) :], moving)
        inputs = [not_none(part) for part in loop.split(variables)]
        program = substituted(
            linear,
            kept.replaced,
            [*kept.const_vars, *inputs[0], *inputs[1], *kept.slice_vars, *inputs[2]],
        )
        wanted = (*loop.split(moving)[1], *moved[carries:])
        program = with_inputs(program, program.inputs, selected(program.outputs, wanted))
        given = loop.split(instantiated(primals, tangents, moving))
        pushed = [not_none(part) for part in given]
        slices = [
            *(primals[place] for place in kept.slices),
            *(results[place] for place in kept.outputs),
            *results[count:],
        ]
        out_tangents = call_scan(
            [*hoisted, *pushed[0]],
            pushed[1],
            [*slices, *pushed[2]],
            program,
            loop.length,
            loop.reverse,
        )
        return results[:count], tuple(spread(out_tangents, wanted))

    def transpose(self, cotangent: Any, *operands: Any, **params: Any) -> Sequence[Tangent]:
        """A scan the other way: it carries cotangents of carries, and sums of the constants'."""
        loop = _Loop(**params)
        body, consts, carries = loop.body, loop.consts, loop.carries
        linear = linear_inputs(body, operands, consts, carries)
        given = cotangents_given(
            body, linear, [each is not None for each in cotangent], carries, loop.first
        )
        made, present = transpose_program(body, linear, given)
        count = len(linear) - sum(linear)
        known_vars = loop.split(spread(made.inputs[:count], [not each for each in linear]))
        pulled = spread(made.inputs[count:], given)
        results = spread(made.outputs, present)
        sums = [place for place in range(consts) if present[place]]
        totals, next_totals, instrs = _accumulated(made, [results[place] for place in sums])
        carried = [place for place in range(carries) if given[place]]
        back = [results[consts + place] or zero(body.inputs[consts + place]) for place in carried]
        through = [place for place in range(loop.first, len(operands)) if present[place]]
        inputs = [
            *not_none(known_vars[0]),
            *(pulled[place] for place in carried),
            *totals,
            *not_none(known_vars[2]),
            *not_none(pulled[carries:]),
        ]
        outputs = [*back, *next_totals, *(results[place] for place in through)]
        program = Program(inputs, made.constants, instrs, outputs, body.name)

        known = loop.split([None if isinstance(each, Linear) else each for each in operands])
        init = [
            Splat(0, body.outputs[place].type) if cotangent[place] is None else cotangent[place]
            for place in carried
        ]
        init += [Splat(0, var.type) for var in totals]
        slices = [*not_none(known[2]), *not_none(cotangent[carries:])]
        outs = call_scan(not_none(known[0]), init, slices, program, loop.length, not loop.reverse)
        places = [*(consts + place for place in carried), *sums, *through]
        found: dict[int, Tensor] = dict(zip(places, outs, strict=True))
        return [
            found.get(place) if isinstance(operand, Linear) else None
            for place, operand in enumerate(operands)
        ]

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        loop = _Loop(**params)
        fixed, carry_dims, sliced = loop.split(in_dims)
        carried = tuple(at is not None for at in carry_dims)
        while True:  # until the carries that depend on the batch are all known
            dims = (
                *fixed,
                *(0 if each else None for each in carried),
                *(None if at is None else 0 for at in sliced),
            )
            moved = batched_outputs(loop.body, size, dims)
            more = tuple(a or b for a, b in zip(carried, moved[: loop.carries], strict=True))
            if more == carried:
                break
            carried = more
        constants, init, xs = loop.split(args)
        init = [
            batched_at(arg, at, size, 0) if each else arg
            for arg, at, each in zip(init, carry_dims, carried, strict=True)
        ]
        xs = [
            arg if at is None else batched_at(arg, at, size, 1)
            for arg, at in zip(xs, sliced, strict=True)
        ]
        stacked = moved[loop.carries :]
        made = batch_to(loop.body, size, dims, (*carried, *stacked))
        outs = call_scan(constants, init, xs, made, loop.length, loop.reverse)
        return outs, (
            *(0 if each else None for each in carried),
            *(1 if each else None for each in stacked),
        )

    def prune(self, instr: Instr, live: Sequence[bool]) -> Instr | None:
        """The instruction without unneeded outputs and operands; ``None`` if all are needed."""
        body = instr.params["body"]
        consts = instr.params["consts"]
        carries = instr.params["carries"]
        if program_has_effect(body):
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
            # Equal loops stay equal, so that one of them is left out.
            "body": intern(cut(body, selected(body.inputs, flags), selected(body.outputs, wanted))),
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


def _side_by_side(own: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Constants, carries and slices, each followed by those of their tangents that are there."""
    return [[*first, *not_none(second)] for first, second in zip(own, new, strict=True)]


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
    if not body.outputs and not program_has_effect(body):
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
