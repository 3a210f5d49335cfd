"""Branches and loops: StableHLO's if, case and while. A scan is a loop that counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slope.extend import Atom, Program, TensorType, Var, dtypes, programs_in

from .context import Context, Rule, Value, mlir_type
from .linear import SIGNED
from .loop_kernels import fits, loop_kernel

_DEVICE = "#hal.device.promise<@__device_0>"  # IREE's name for the first one, and here the only one


def run_branch(
    ctx: Context, index: Value, *operands: Value, branches: tuple[Program, ...]
) -> Sequence[Value]:
    types = branches[0].output_types
    if len(branches) == 1:
        return ctx.program(branches[0], operands)
    if index.dtype.kind == "b":
        name, branches = "if", branches[::-1]  # the first region is the one for true
    else:
        name = "case"
        limit = ctx.like(min(len(branches) - 1, (1 << (index.dtype.bits - 1)) - 1), index)
        index = ctx.same("minimum", ctx.same("maximum", index, ctx.like(0, index)), limit)
        index = ctx.convert(index, dtypes.int32)
    anew = len(types) > 1 and not all(all(map(_computes(each), each.outputs)) for each in branches)

    def results(inner: Context, branch: Program, number: int) -> list[Value]:
        made = inner.program(branch, operands)
        if not anew:
            return made
        here = index if name == "if" else inner.compare("EQ", index, inner.like(number, index))
        if name == "if" and number:
            here = inner.same("not", here)
        return [
            x if computed else inner.select(here, x, inner.like(0, x))
            for x, computed in zip(made, map(_computes(branch), branch.outputs), strict=True)
        ]

    regions = ", ".join(
        ctx.region(lambda inner, _, each=(branch, number): results(inner, *each), ())
        for number, branch in enumerate(branches)
    )
    return ctx.several(f'"stablehlo.{name}"({index}) ({regions})', [index], types)


def _computes(branch: Program) -> Callable[[Atom], bool]:
    """Whether a branch computes a result itself, and by no branch or loop within.

    IREE 3.13 keeps what a branch computes in one buffer, and loses that buffer where another branch
    gives several buffers: a use of it in a jump takes it from the others. So results that would
    have buffers of their own (operands, constants, results of loops) are written anew.
    """
    made = {
        var
        for instr in branch.instrs
        if any(isinstance(atom, Var) for atom in instr.inputs)
        and not any(programs_in(instr.params))
        for var in instr.outputs
    }
    return lambda atom: atom in made


def run_while(
    ctx: Context, *operands: Value, cond: Program, body: Program, consts: int
) -> Sequence[Value]:
    fixed, init = operands[:consts], operands[consts:]
    types = [each.type for each in init]
    params = {"cond": cond, "body": body, "consts": consts}
    if ctx.loop_kernels is not None and fits(params):
        return loop_kernel(ctx, "run_while", operands, types, params)
    ignored = _ignored(body, range(consts, len(operands)))

    def step(inner: Context, carried: list[Value]) -> list[Value]:
        inner.steady |= {x.name for x in fixed}
        if ctx.loop_kernels is not None:
            for place in ignored:
                x = carried[place - consts]
                inner.emit(f"util.optimization_barrier {x} : {x.mlir}", x.type)  # a use
        return inner.program(body, [*fixed, *carried])

    test = ctx.region(lambda inner, carried: inner.program(cond, [*fixed, *carried]), types)
    return _loop(ctx, init, test, ctx.region(step, types))


def _ignored(body: Program, carries: Sequence[int]) -> list[int]:
    """The carries that no instruction reads.

    IREE 3.13 takes ever more memory to compile an ``scf.while`` that has one.
    """
    read = {atom for instr in body.instrs for atom in instr.inputs}
    return [place for place in carries if body.inputs[place] not in read]


def _loop(ctx: Context, init: Sequence[Value], test: str, step: str) -> tuple[Value, ...]:
    names = ", ".join(each.name for each in init)
    text = f'"stablehlo.while"({names}) ({test}, {step})'
    return ctx.several(text, init, [each.type for each in init])


def run_scan(
    ctx: Context,
    *operands: Value,
    body: Program,
    consts: int,
    carries: int,
    length: int,
    reverse: bool,
) -> Sequence[Value]:
    first = consts + carries
    fixed, init, xs = operands[:consts], operands[consts:first], operands[first:]
    made = [each.with_shape((length, *each.shape)) for each in body.output_types[carries:]]
    params = {"body": body, "consts": consts, "carries": carries, "length": length}
    params["reverse"] = reverse
    if ctx.loop_kernels is not None and fits(params):
        types = [*(each.type for each in init), *made]
        return loop_kernel(ctx, "run_scan", operands, types, params)
    if length == 0:
        return [*init, *(ctx.constant(0, each) for each in made)]
    start = [*init, *(_new_stack(ctx, each) for each in made)]

    def step(inner: Context, count: Value, state: list[Value]) -> list[Value]:
        inner.steady |= {x.name for x in fixed}
        carried, stacked = state[:carries], state[carries:]
        place = count
        if reverse:
            place = inner.same("subtract", inner.scalar(length - 1, dtypes.int32), count)
        slices = [_slice(inner, x, place) for x in xs]
        outs = inner.program(body, [*fixed, *carried, *slices])
        new = [_put(inner, x, out, place) for x, out in zip(stacked, outs[carries:], strict=True)]
        return [*outs[:carries], *new]

    on_host = ctx.loop_kernels is not None and not _ignored(body, range(consts, first))
    ends = (_counted_on_host if on_host else _counted)(ctx, length, start, step)
    last, stacks = ends[:carries], ends[carries:]
    return [*last, *(ctx.bitcast(x, each.dtype) for x, each in zip(stacks, made, strict=True))]


def _counted(
    ctx: Context,
    length: int,
    init: Sequence[Value],
    step: Callable[[Context, Value, list[Value]], list[Value]],
) -> Sequence[Value]:
    """A loop of ``length`` turns from 0 on; the last values."""
    start = [ctx.scalar(0, dtypes.int32), *init]
    types = [each.type for each in start]

    def test(inner: Context, state: list[Value]) -> list[Value]:
        return [inner.compare("LT", state[0], inner.scalar(length, dtypes.int32))]

    def turn(inner: Context, state: list[Value]) -> list[Value]:
        following = inner.same("add", state[0], inner.scalar(1, dtypes.int32))
        return [following, *step(inner, state[0], state[1:])]

    return _loop(ctx, start, ctx.region(test, types), ctx.region(turn, types))[1:]


def _counted_on_host(
    ctx: Context,
    length: int,
    init: Sequence[Value],
    step: Callable[[Context, Value, list[Value]], list[Value]],
) -> Sequence[Value]:
    """The same in MLIR's ``scf`` dialect.

    IREE makes StableHLO's loops that count ``scf.for``, out of which it takes nothing that stays
    the same, while it does out of ``scf.while``: with this, weights that every turn multiplies by
    are packed once. The body has to read every carry, see :func:`_ignored`.
    """
    types = ", ".join(["i32", *(each.mlir for each in init)])
    before, after = (
        [(ctx.name(), "i32"), *((ctx.name(), each.mlir) for each in init)] for _ in range(2)
    )
    zero, one, turns, goes, following, result = (ctx.name() for _ in range(6))
    inner = ctx.inner()
    count = inner.emit(
        f"tensor.from_elements {after[0][0]} : tensor<i32>", TensorType((), dtypes.int32)
    )
    made = step(
        inner, count, [Value(name, x.type) for (name, _), x in zip(after[1:], init, strict=True)]
    )
    given = [zero, *(each.name for each in init)]
    ctx.lines += [
        *(f"{name} = arith.constant {value} : i32" for name, value in ((zero, 0), (one, 1))),
        f"{turns} = arith.constant {length} : i32",
        f"{result}:{len(given)} = scf.while ("
        + ", ".join(f"{name} = {x}" for (name, _), x in zip(before, given, strict=True))
        + f") : ({types}) -> ({types}) {{",
        f"  {goes} = arith.cmpi slt, {before[0][0]}, {turns} : i32",
        f"  scf.condition({goes}) {', '.join(name for name, _ in before)} : {types}",
        "} do {",
        f"^bb0({', '.join(f'{name}: {kind}' for name, kind in after)}):",
        *(f"  {line}" for line in inner.lines),
        f"  {following} = arith.addi {after[0][0]}, {one} : i32",
        f"  scf.yield {', '.join([following, *(each.name for each in made)])} : {types}",
        "}",
    ]
    return [Value(f"{result}#{place}", each.type) for place, each in enumerate(init, 1)]


def _new_stack(ctx: Context, tensor_type: TensorType) -> Value:
    """Memory of its own for what the turns of a loop make.

    Stacks that begin with the same constant would all be written where that lies. Where a program
    is to be StableHLO alone, they may, since they are copied in every turn then.
    """
    if tensor_type.size == 0 or ctx.loop_kernels is None:
        return ctx.constant(0, tensor_type)
    signed = tensor_type.with_dtype(SIGNED.get(tensor_type.dtype, tensor_type.dtype))
    return ctx.emit(f"flow.tensor.alloca : {mlir_type(signed)}", signed)


def _slice(ctx: Context, x: Value, place: Value) -> Value:
    """One slice along dimension 0."""
    inner = x.type.with_shape(x.shape[1:])
    if x.literal is not None or x.type.size == 0:
        return ctx.constant(x.literal or 0, inner)
    one = x.type.with_shape((1, *x.shape[1:]))
    zero = ctx.scalar(0, dtypes.int32)
    starts = [place, *[zero] * (len(x.shape) - 1)]
    names = ", ".join([x.name, *(each.name for each in starts)])
    types = ", ".join([x.mlir, *(each.mlir for each in starts)])
    sizes = ", ".join(map(str, one.shape))
    found = ctx.emit(
        f"stablehlo.dynamic_slice {names}, sizes = [{sizes}] : ({types}) -> {mlir_type(one)}", one
    )
    return ctx.reshape(found, inner.shape)


def _put(ctx: Context, stack: Value, part: Value, place: Value) -> Value:
    """``stack`` with one slice along dimension 0 replaced: in place, as nothing else reads it.

    IREE 3.13 does not find out that what a loop carries is on the device that all else is on, and
    would copy the whole stack to there in every turn.
    """
    if stack.type.size == 0:
        return stack
    if ctx.loop_kernels is not None:
        text = f"flow.tensor.transfer {stack} : {stack.mlir} to {_DEVICE}"
        stack = ctx.emit(text, stack.type)
    part = ctx.reshape(ctx.bitcast(part, stack.dtype), (1, *part.shape))
    zero = ctx.scalar(0, dtypes.int32)
    operands = [stack, part, place, *[zero] * (len(stack.shape) - 1)]
    return ctx.op("dynamic_update_slice", operands, stack.type)


def barrier(ctx: Context, *operands: Value) -> Sequence[Value]:
    names = ", ".join(each.name for each in operands)
    types = ", ".join(each.mlir for each in operands)
    result = ctx.name()
    many = f":{len(operands)}" if len(operands) > 1 else ""
    ctx.lines.append(f"{result}{many} = stablehlo.optimization_barrier {names} : {types}")
    if len(operands) == 1:
        return [Value(result, operands[0].type)]
    return [Value(f"{result}#{place}", each.type) for place, each in enumerate(operands)]


RULES: dict[str, Rule] = {
    "run_branch": run_branch,
    "run_while": run_while,
    "run_scan": run_scan,
    "optimization_barrier": barrier,
}
