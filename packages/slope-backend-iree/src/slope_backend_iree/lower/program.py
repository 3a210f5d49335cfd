"""A whole Program as the text of a StableHLO module, and what is needed besides to run it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from slope.extend import (
    Atom,
    Instr,
    Literal,
    Program,
    UnsupportedOperatorError,
    Var,
    ops,
    programs_in,
)

from .context import Cluster, Context, LoopKernels, Rule, Value, mlir_type
from .fused import write_fused
from .fusion import Plan, plan
from .loop_kernels import cluster_kernel, clusters
from .widened import sliced_after_widening

ENTRY = "main"
CONVOLUTIONS = (ops.conv, ops.conv_input_grad, ops.conv_weight_grad)

# What takes dozens of instructions an element.
_LONG = frozenset(("exp", "expm1", "log", "log1p", "pow", "tanh", "sigmoid", "erf", "sin", "cos"))
_LARGE = 1 << 14  # elements
_REDUCTIONS = frozenset(("sum", "prod", "amax", "amin"))


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
) -> Lowered:
    """Write a program as StableHLO.

    Args:
        program: what to write.
        rules: by operator name.
        donated: positions of inputs whose memory the function may write to.
        cpu: whether it is to run on a CPU.
        lanes: see :class:`Context`.

    Raises:
        UnsupportedOperatorError: there is no rule for an operator.
        ShapeError: a dimension is symbolic.
    """
    arguments = ", ".join(f"%arg{i}: {mlir_type(var.type)}" for i, var in enumerate(program.inputs))

    def nested(ctx: Context, inner: Program, operands: Sequence[Value]) -> list[Value]:
        known = dict(zip(inner.inputs, operands, strict=True))
        write(ctx, inner, known)
        return [_value(ctx, atom, known) for atom in inner.outputs]

    def one(ctx: Context, instr: Instr, operands: Sequence[Value]) -> Value:
        (result,) = _lower(ctx, instr, operands, rules)
        return result

    def write(ctx: Context, program: Program, known: dict[Var, Value]) -> None:
        apart = sliced_after_widening(program) | (_apart(program) if cpu else frozenset[Var]())
        loops, absent = plan(program) if cpu and ctx.convolves else Plan({}, frozenset())
        found = clusters(program, loops.keys() | absent) if ctx.loop_kernels is not None else ()
        held = {id(instr): cluster for cluster in found for instr in cluster.instrs}
        for instr in program.instrs:
            cluster = held.get(id(instr))
            if cluster is not None:
                if instr is cluster.instrs[-1]:
                    made = cluster_kernel(ctx, cluster, [known[var] for var in cluster.inputs])
                    known.update(zip(cluster.outputs, made, strict=True))
                continue
            loop = loops.get(id(instr))
            if loop is not None:
                made = write_fused(ctx, loop, known, one)
                for root, value in zip(loop.roots, made, strict=True):
                    known.update(zip(root.outputs, [value], strict=True))
                continue
            if id(instr) in absent:
                continue
            results = _lower(ctx, instr, [_value(ctx, atom, known) for atom in instr.inputs], rules)
            if not apart.isdisjoint(instr.outputs):
                results = [ctx.barrier(result) for result in results]
            known.update(zip(instr.outputs, results, strict=True))

    given = frozenset(f"%arg{i}" for i in donated if _uses(program, program.inputs[i]) == 1)
    loops = LoopKernels()
    ctx = Context(
        nested,
        convolves=_convolves(program),
        given=given,
        lanes=lanes,
        loop_kernels=loops if cpu else None,
    )
    values: dict[Var, Value] = {
        var: Value(f"%arg{i}", var.type) for i, var in enumerate(program.inputs)
    }
    write(ctx, program, values)
    results, sources = _outputs(program, values)
    types = ", ".join(value.mlir for value in results)
    ending = (
        f"return {', '.join(value.name for value in results)} : {types}" if results else "return"
    )
    body = "\n".join(f"    {line}" for line in [*ctx.lines, ending])
    text = (
        f"module @slope {{\n{''.join(loops.texts)}"
        f"  func.func @{ENTRY}({arguments}) -> ({types}) {{\n{body}\n  }}\n}}\n"
    )
    return Lowered(text, len(results), sources, loops.computed)


def _apart(program: Program) -> frozenset[Var]:
    """What is computed in loops of its own, besides what rules say.

    Sums of rows, and large products which only elementwise operators lie between and an exponential
    or the like. IREE fuses these into the loops that unpack the product's tiles, and they then run
    many times slower than in loops of their own: a gelu of 8 x 128 x 1024 products takes 3.1 ms
    instead of 1.
    """
    made = {var: instr for instr in program.instrs for var in instr.outputs}
    exponentials = (instr for instr in program.instrs if instr.op.name in _LONG)
    large = (
        instr
        for instr in _behind(exponentials, made)
        if instr.op is ops.dot_general and instr.outputs[0].type.size >= _LARGE
    )
    return frozenset(instr.outputs[0] for instr in (*large, *_sums_of_rows(program, made)))


def _sums_of_rows(program: Program, made: Mapping[Var, Instr]) -> list[Instr]:
    """Reductions of gathered rows that elementwise operators take to a product.

    IREE 3.13 fuses the rows' reading with the packing of the product's operand, and refuses the
    vectors that this needs.
    """
    products = (instr for instr in program.instrs if instr.op is ops.dot_general)
    return [
        instr
        for instr in _behind(products, made)
        if instr.op.name in _REDUCTIONS
        and any(each.op is ops.gather for each in _behind([instr], made))
    ]


def _behind(ends: Iterable[Instr], made: Mapping[Var, Instr]) -> list[Instr]:
    """What computes the operands, through elementwise operators and others like them."""
    waiting = [atom for instr in ends for atom in instr.inputs]
    seen: set[Var] = set()
    found: list[Instr] = []
    while waiting:
        atom = waiting.pop()
        if isinstance(atom, Literal) or atom in seen or atom not in made:
            continue
        seen.add(atom)
        instr = made[atom]
        if instr.op.elementwise or instr.op is ops.reshape:
            waiting += instr.inputs
        else:
            found.append(instr)
    return found


def _uses(program: Program, var: Var) -> int:
    """How often a variable is an operand or an output."""
    operands = sum(atom is var for instr in program.instrs for atom in instr.inputs)
    return operands + sum(atom is var for atom in program.outputs)


def _convolves(program: Program) -> bool:
    return any(
        instr.op in CONVOLUTIONS or any(map(_convolves, programs_in(instr.params)))
        for instr in program.instrs
    )


def _lower(
    ctx: Context, instr: Instr, operands: Sequence[Value], rules: Mapping[str, Rule]
) -> list[Value]:
    if all(var.type.size == 0 for var in instr.outputs) and not instr.op.effect:
        return [ctx.constant(0, var.type) for var in instr.outputs]
    rule = rules.get(instr.op.name)
    if rule is None:
        raise UnsupportedOperatorError(
            f"the iree backend has no lowering for operator {instr.op.name!r}, which has no "
            f"expand. Give its class an expand, add a rule through the hook "
            f"slope_lowerings(backend), or choose a backend that has one (SLOPE_BACKEND=numpy)."
        )
    if ctx.loop_kernels is not None:
        ctx.loop_kernels.work = instr
    result = rule(ctx, *operands, **instr.params)
    return list(result) if instr.op.multiple else [result]


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
