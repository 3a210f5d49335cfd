"""A whole Program as the text of a StableHLO module, and what is needed besides to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from slope.extend import (
    Atom,
    ExportedProgram,
    Instr,
    Literal,
    Program,
    UnsupportedOperatorError,
    Var,
    ops,
    programs_in,
)

from .apart import values_apart
from .context import Context, Rule, Value, mlir_type
from .contracted import refused_sums, set_apart
from .fused import write_fused
from .fusion import Plan, plan
from .later import later
from .loop_kernels import cluster_kernel, clusters
from .own_kernels import Cluster, LoopKernels
from .portable import named_types, require_portable, write_constants

ENTRY = "main"
CONVOLUTIONS = (ops.conv, ops.conv_input_grad, ops.conv_weight_grad)


class Lowered(NamedTuple):
    """A program as text.

    Attributes:
        text: a StableHLO module with one function, ``main``.
        results: how many values the function returns.
        sources: for each output of the program where it comes from: ``("input", number)``,
            ``("result", number)`` or ``("literal", atom)``. Inputs and literals pass by the module,
            and it returns nothing twice.
        kernels: the names of kernels that are written out, with what each start of one computes.
    """

    text: str
    results: int
    sources: tuple[tuple[str, Any], ...]
    kernels: Mapping[str, Instr | Cluster] = {}  # never written to


def lower_program(
    program: Program,
    rules: Mapping[str, Rule],
    donated: frozenset[int] = frozenset(),
    *,
    cpu: bool = True,
    lanes: int = 0,
    portable: bool = False,
    exported: ExportedProgram | None = None,
) -> Lowered:
    """Write a program as StableHLO.

    Args:
        program: what to write.
        rules: by operator name.
        donated: positions of inputs whose memory the function may write to.
        cpu: whether it is to run on a CPU.
        lanes: see :class:`Context`.
        portable: likewise; then it is for no CPU in particular.
        exported: names for all inputs and outputs, each of which the function then has, and
            constants.

    Raises:
        UnsupportedOperatorError: there is no rule for an operator.
        ExportError: a rule writes what is not StableHLO, and that is asked for.
        ShapeError: a dimension is symbolic.
    """
    for var in program.inputs:
        mlir_type(var.type)  # refuses symbolic shapes before anything compares them
    writer, kernels = _Writer(rules, cpu), LoopKernels()
    ctx = Context(
        writer.nested,
        convolves=_convolves(program),
        given=frozenset(f"%arg{i}" for i in donated if _uses(program, program.inputs[i]) == 1),
        lanes=lanes,
        loop_kernels=kernels if cpu else None,
        portable=portable,
    )
    if exported is not None:
        write_constants(ctx, program, exported)
    values: dict[Var, Value] = {
        var: Value(f"%arg{i}", var.type) for i, var in enumerate(program.inputs)
    }
    writer.write(ctx, program, values)
    if exported is None:
        results, sources = _outputs(program, values)
        arguments = ", ".join(f"%arg{i}: {mlir_type(v.type)}" for i, v in enumerate(program.inputs))
        given = ", ".join(each.mlir for each in results)
    else:
        results, sources = [_value(ctx, atom, values) for atom in program.outputs], ()
        arguments, given = named_types(program, exported)
    types = ", ".join(value.mlir for value in results)
    ending = (
        f"return {', '.join(value.name for value in results)} : {types}" if results else "return"
    )
    body = "\n".join(f"    {line}" for line in [*ctx.lines, ending])
    text = (
        f"module @slope {{\n{''.join(kernels.texts)}"
        f"  func.func @{ENTRY}({arguments}) -> ({given}) {{\n{body}\n  }}\n}}\n"
    )
    return Lowered(text, len(results), sources, kernels.computed)


class _Writer:
    """Writes programs, and those that their instructions hold, by rules and in loops of our own.

    Args:
        rules: by operator name.
        cpu: whether the programs are to run on a CPU.
    """

    def __init__(self, rules: Mapping[str, Rule], cpu: bool) -> None:
        self._rules = rules
        self._cpu = cpu
        self._refused: frozenset[int] = frozenset()

    def nested(self, ctx: Context, program: Program, operands: Sequence[Value]) -> list[Value]:
        """Write a program on these values; its results."""
        known = dict(zip(program.inputs, operands, strict=True))
        self.write(ctx, program, known)
        return [_value(ctx, atom, known) for atom in program.outputs]

    def write(self, ctx: Context, program: Program, known: dict[Var, Value]) -> None:
        """Write a program's instructions; the values of its variables join the known ones."""
        steady = frozenset(var for var, value in known.items() if value.name in ctx.steady)
        self._refused |= refused_sums(program)
        apart = values_apart(program, cpu=self._cpu, lanes=ctx.lanes, steady=steady)
        loops, absent = _planned(program, ctx.convolves) if self._cpu else Plan({}, frozenset())
        found = clusters(program, loops.keys() | absent) if ctx.loop_kernels is not None else ()
        held = {id(instr): cluster for cluster in found for instr in cluster.instrs}
        for instr in program.instrs:
            cluster, loop = held.get(id(instr)), loops.get(id(instr))
            if cluster is not None:
                if instr is cluster.instrs[-1]:
                    made = cluster_kernel(ctx, cluster, [known[var] for var in cluster.inputs])
                    known.update(zip(cluster.outputs, made, strict=True))
            elif loop is not None:
                made = write_fused(ctx, loop, known, self._one)
                for root, value in zip(loop.roots, made, strict=True):
                    known.update(_kept(ctx, root, [value], apart))
            elif id(instr) not in absent:
                operands = [_value(ctx, atom, known) for atom in instr.inputs]
                known.update(_kept(ctx, instr, self._lower(ctx, instr, operands), apart))

    def _one(self, ctx: Context, instr: Instr, operands: Sequence[Value]) -> Value:
        (result,) = self._lower(ctx, instr, operands)
        return result

    def _lower(self, ctx: Context, instr: Instr, operands: Sequence[Value]) -> list[Value]:
        if all(var.type.size == 0 for var in instr.outputs) and not instr.op.effect:
            return [ctx.constant(0, var.type) for var in instr.outputs]
        rule = self._rules.get(instr.op.name)
        if rule is None:
            raise UnsupportedOperatorError(
                f"the iree backend has no lowering for operator {instr.op.name!r}, which has no "
                f"expand. Give its class an expand, add a rule through the hook "
                f"slope_lowerings(backend), or choose a backend that has one (SLOPE_BACKEND=numpy)."
            )
        if ctx.loop_kernels is not None:
            ctx.loop_kernels.work = instr
        if id(instr) in self._refused:
            operands = [set_apart(ctx, x) for x in operands]
        start = len(ctx.lines)
        result = rule(ctx, *operands, **instr.params)
        if ctx.portable:
            require_portable(instr, ctx.lines[start:])
        return list(result) if instr.op.multiple else [result]


def _planned(program: Program, convolves: bool) -> Plan:
    """The loops that are written as such."""
    loops, absent = plan(program) if convolves else Plan({}, frozenset())
    inside = {id(instr) for loop in loops.values() for instr in (*loop.body, *loop.roots)}
    late = later(program, inside | absent)
    return Plan({**loops, **late.loops}, absent | late.absent)


def _uses(program: Program, var: Var) -> int:
    """How often a variable is an operand or an output."""
    operands = sum(atom is var for instr in program.instrs for atom in instr.inputs)
    return operands + sum(atom is var for atom in program.outputs)


def _convolves(program: Program) -> bool:
    return any(
        instr.op in CONVOLUTIONS or any(map(_convolves, programs_in(instr.params)))
        for instr in program.instrs
    )


def _kept(
    ctx: Context, instr: Instr, results: list[Value], apart: frozenset[Var]
) -> dict[Var, Value]:
    """What an instruction computes, by variable; computed in loops of its own if it is apart."""
    if not apart.isdisjoint(instr.outputs):
        results = [ctx.apart(result) for result in results]
    return dict(zip(instr.outputs, results, strict=True))


def _value(ctx: Context, atom: Atom, values: Mapping[Var, Value]) -> Value:
    return ctx.constant(atom.value, atom.type) if isinstance(atom, Literal) else values[atom]


def _outputs(
    program: Program, values: Mapping[Var, Value]
) -> tuple[list[Value], tuple[tuple[str, Any], ...]]:
    inputs = {f"%arg{i}": i for i in range(len(program.inputs))}
    places: dict[Value, int] = {}
    sources: list[tuple[str, Any]] = []
    for atom in program.outputs:
        if isinstance(atom, Literal):
            sources.append(("literal", atom))
        elif values[atom].name in inputs:
            sources.append(("input", inputs[values[atom].name]))
        else:
            sources.append(("result", places.setdefault(values[atom], len(places))))
    return list(places), tuple(sources)
