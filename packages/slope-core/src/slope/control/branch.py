"""The operator that runs one of several programs: what ``cond`` and ``switch`` bind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.control._one_by_one import one_by_one
from slope.control._programs import (
    batch_to,
    batched_outputs,
    cut,
    intern,
    lifted,
    needed_inputs,
    not_none,
    padded,
    selected,
    spread,
    substituted,
    with_inputs,
)
from slope.core.operator import Linear, Operator, Sample, Tangent, register
from slope.core.program import Atom, Instr, Literal, Program, Var, evaluate, trace_program
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dtypes import bool_, float64
from slope.errors import ProgramError
from slope.ops.linear import batched_at
from slope.passes.effects import program_has_effect
from slope.transforms.jvp import jvp_program
from slope.transforms.linearize import linearize_program
from slope.transforms.transpose import transpose_program

Branches = tuple[Program, ...]


class RunBranch(Operator):
    """Run the program that an index selects, on the other operands; no other program runs.

    The index has shape ``()``: a bool (``False`` selects the first of two programs, ``True`` the
    second) or an integer, which is clamped to the programs there are. The programs take and give
    the same types. With a batch of indices all programs run on the whole batch, and each example's
    results are selected; but where a program has an effect, each example runs its own in turn.

    Params:
        branches: the programs, without constants.
    """

    name = "run_branch"
    multiple = True
    whole = True

    def infer(
        self, index: TensorType, *types: TensorType, branches: Branches
    ) -> tuple[TensorType, ...]:
        if index.shape != () or index.dtype.kind == "f":
            raise ProgramError(
                f"run_branch: the index must be a bool or an integer of shape (), not {index}."
            )
        for branch in branches:
            if branch.input_types != types or branch.output_types != branches[0].output_types:
                raise ProgramError(
                    f"run_branch: the branch {branch.name!r} goes from {branch.input_types} to "
                    f"{branch.output_types}; the operands are {types}, and the first branch gives "
                    f"{branches[0].output_types}."
                )
        return branches[0].output_types

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Tangent], *, branches: Branches
    ) -> Any:
        index, *operands = primals
        moving = tuple(tangent is not None for tangent in tangents[1:])
        pairs = [jvp_program(branch, moving) for branch in branches]
        moved = _any([each for _, each in pairs])
        count = len(branches[0].outputs)
        made = [
            with_inputs(
                each,
                each.inputs,
                [
                    *each.outputs[:count],
                    *padded(each.outputs[count:], own, moved, branches[0].outputs),
                ],
            )
            for each, own in pairs
        ]
        results = call_branch(index, [*operands, *not_none(tangents)], made)
        return results[:count], tuple(spread(results[count:], moved))

    def linearize(
        self, primals: Sequence[Tensor], tangents: Sequence[Tangent], *, branches: Branches
    ) -> Any:
        """The results with all branches' residuals; tangents by a branch of linear programs."""
        index, *operands = primals
        moving = tuple(tangent is not None for tangent in tangents[1:])
        split = [linearize_program(branch, moving) for branch in branches]
        count = len(branches[0].outputs)
        moved = _any([each for _, _, each in split])
        shared = _Residuals(len(operands))
        linears = [shared.take(forward, linear, count) for forward, linear, _ in split]
        forwards = shared.forwards([forward for forward, _, _ in split], count)
        results = call_branch(index, operands, forwards)
        kept = [*results[count:], *[operands[place] for place in shared.operands]]
        given = not_none(tangents)
        made = shared.linears(linears, operands, moved)
        out_tangents = call_branch(index, [*kept, *given], made)
        return results[:count], tuple(spread(out_tangents, moved))

    def transpose(self, cotangent: Any, *operands: Any, branches: Branches) -> Sequence[Tangent]:
        index, *rest = operands
        linear = tuple(isinstance(operand, Linear) for operand in rest)
        given = tuple(each is not None for each in cotangent)
        pairs = [transpose_program(branch, linear, given) for branch in branches]
        wanted = _any([present for _, present in pairs])
        like = selected(branches[0].inputs, linear)
        # transpose_program says presence by input; only linear inputs can be present
        made = []
        for each, present in pairs:
            own = selected(present, linear)
            made.append(
                with_inputs(
                    each, each.inputs, padded(each.outputs, own, selected(wanted, linear), like)
                )
            )
        known = [operand for operand in rest if not isinstance(operand, Linear)]
        results = call_branch(index, [*known, *not_none(cotangent)], made)
        return [None, *spread(results, wanted)]

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        branches: Branches,
    ) -> tuple[Any, Any]:
        index, *operands = args
        at, *rest = in_dims
        dims = tuple(rest)
        if at is None:
            wanted = _any([batched_outputs(branch, size, dims) for branch in branches])
            made = [batch_to(branch, size, dims, wanted) for branch in branches]
            return call_branch(index, operands, made), tuple(0 if want else None for want in wanted)
        if any(program_has_effect(branch) for branch in branches):
            return one_by_one(self, size, args, in_dims, {"branches": branches})
        every = tuple(True for _ in branches[0].outputs)
        results = [evaluate(batch_to(branch, size, dims, every), operands) for branch in branches]
        index = batched_at(index, at, size, 0)
        chosen = list(results[-1])
        for number in range(len(branches) - 2, -1, -1):
            first = (
                ops.bitwise_not(index)
                if index.dtype is bool_
                else ops.le(index, Splat(number, index.type))
            )
            chosen = [
                select(first, out, other)
                for out, other in zip(results[number], chosen, strict=True)
            ]
        return tuple(chosen), (0,) * len(chosen)

    def prune(self, instr: Instr, live: Sequence[bool]) -> Instr | None:
        """The instruction without unneeded outputs and operands; ``None`` if all are needed."""
        branches: Branches = instr.params["branches"]
        if any(program_has_effect(branch) for branch in branches):
            return None
        kept = [cut(branch, branch.inputs, selected(branch.outputs, live)) for branch in branches]
        needed = [needed_inputs(branch, branch.outputs) for branch in kept]
        flags = [
            any(branch.inputs[place] in need for branch, need in zip(kept, needed, strict=True))
            for place in range(len(instr.inputs) - 1)
        ]
        if all(live) and all(flags):
            return None
        made = tuple(cut(branch, selected(branch.inputs, flags)) for branch in kept)
        inputs = (instr.inputs[0], *selected(instr.inputs[1:], flags))
        return Instr(
            instr.op, inputs, {"branches": made}, tuple(selected(instr.outputs, live)), instr.source
        )

    def with_closed(
        self, operands: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """The same call with programs without constants."""
        branches, values = lifted(params["branches"])
        return [operands[0], *values, *operands[1:]], {"branches": tuple(branches)}

    def samples(self) -> Iterator[Sample]:
        types = [TensorType((3,), float64), TensorType((), float64)]
        first = trace_program(lambda x, y: (ops.sin(x), ops.mul(y, y)), types, name="first")
        second = trace_program(lambda x, y: (ops.mul(x, x), y), types, name="second")
        third = trace_program(lambda x, y: (x, Splat(2.0, y.type)), types, name="third")
        x, y = np.array([0.3, -1.2, 0.8]), np.array(0.7)
        yield Sample((np.array(True), x, y), {"branches": (first, second)})
        yield Sample((np.array(False), x, y), {"branches": (first, second)})
        yield Sample((np.array(1), x, y), {"branches": (first, second, third)})
        yield Sample((np.array(9), x, y), {"branches": (first, second, third)})
        yield Sample((np.array(-9), x, y), {"branches": (first,)})


class _Residuals:
    """What linear branches need of the forward ones: slots that all fill, and operands."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.types: list[TensorType] = []  # of the slots
        self.filled: list[dict[int, Atom]] = []  # for each branch, by slot
        self.operands: list[int] = []

    def take(
        self, forward: Program, linear: Program, outs: int
    ) -> tuple[Program, dict[Var, tuple[str, Any]]]:
        """Find a place for the residuals of one branch."""
        residuals = forward.outputs[outs:]
        own: dict[int, Atom] = {}
        places: dict[Var, tuple[str, Any]] = {}
        positions = {var: place for place, var in enumerate(forward.inputs)}
        for atom, var in zip(residuals, linear.inputs, strict=False):
            if isinstance(atom, Literal):
                places[var] = ("literal", atom)
            elif atom in positions and positions[atom] < self.count:
                if positions[atom] not in self.operands:
                    self.operands.append(positions[atom])
                places[var] = ("operand", positions[atom])
            else:
                slot = next(
                    (
                        slot
                        for slot, each in enumerate(self.types)
                        if each == atom.type and slot not in own
                    ),
                    len(self.types),
                )
                if slot == len(self.types):
                    self.types.append(atom.type)
                own[slot] = atom
                places[var] = ("slot", slot)
        self.filled.append(own)
        return linear, places

    def forwards(self, programs: Sequence[Program], outs: int) -> list[Program]:
        """The forward programs, which fill every slot."""
        return [
            with_inputs(
                program,
                program.inputs,
                [
                    *program.outputs[:outs],
                    *(own.get(slot) or Literal(0, each) for slot, each in enumerate(self.types)),
                ],
            )
            for program, own in zip(programs, self.filled, strict=True)
        ]

    def linears(
        self, pairs: Sequence[Any], operands: Sequence[Tensor], moved: Sequence[bool]
    ) -> list[Program]:
        """The linear programs, from ``(*slots, *operands, *tangents)`` to moving tangents."""
        made: list[Program] = []
        for linear, places in pairs:
            slots = [Var(each) for each in self.types]
            direct = {place: Var(operands[place].type) for place in self.operands}
            replaced: dict[Var, Atom] = {}
            for var, (kind, what) in places.items():
                replaced[var] = (
                    slots[what] if kind == "slot" else direct[what] if kind == "operand" else what
                )
            given = linear.inputs[len(places) :]
            program = substituted(linear, replaced, [*slots, *direct.values(), *given])
            made.append(with_inputs(program, program.inputs, selected(program.outputs, moved)))
        return made


def _any(flags: Sequence[Sequence[bool]]) -> tuple[bool, ...]:
    return tuple(any(column) for column in zip(*flags, strict=True))


def select(first: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``x`` for the examples (along dimension 0) where ``first`` holds, else ``y``."""
    if x is y or x.type.size == 0:
        return y
    mask = first if x.ndim == 1 else ops.broadcast(first, shape=x.shape, dims=(0,))
    return ops.where(mask, x, y)


def call_branch(
    index: Tensor, operands: Sequence[Tensor], branches: Sequence[Program]
) -> tuple[Tensor, ...]:
    """Bind :class:`RunBranch`; constants of the branches become operands."""
    closed, values = lifted(branches)
    if not closed[0].outputs and not any(program_has_effect(branch) for branch in closed):
        return ()
    return run_branch(
        index, *values, *operands, branches=tuple(intern(branch) for branch in closed)
    )


run_branch: Any = register(RunBranch())
