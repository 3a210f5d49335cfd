"""Which loops become kernels, and how the program around them starts one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slope.extend import DType, Instr, Program, TensorType, dtypes, programs_in
from slope_backend_iree.lower.context import Context, Value, mlir_type
from slope_backend_iree.lower.linear import SIGNED

from .arrays import Array, Memory, Operand, Splat, within
from .kernel import Kernel
from .programs import CONTROL, run_scan, run_while
from .rules import RULES, dot_general, reshape

# A kernel runs on one thread, and sums products there at 50 to 150 GFLOP/s; without it every turn
# costs some 5 us for each of its dispatches, whose small products reach 60 GFLOP/s on two threads.
# An LSTM of width 128 over 32 rows (8 million operations a turn) takes 55 us a turn instead of 136,
# of width 256 over 16 rows (17 million) 221 instead of 181.
_MOST_WORK = 1 << 24  # operations in a turn

# Compile time grows faster than programs do: 400 instructions take 2.4 s instead of 1.7, and 1,000
# take 10 instead of 4.
_MOST_INSTRUCTIONS = 600

# IREE's runtime takes 32 arrays a kernel. What many lie in, of one dtype each, counts as one.
_MOST_RESULTS = 8
_MOST_BINDINGS = 24
_SPARE = 4  # dtypes

Dims = tuple[int, ...]

_LOOPS = {"run_scan": run_scan, "run_while": run_while}
_LONG = frozenset(
    ("exp", "expm1", "log", "log1p", "pow", "sin", "cos", "tan", "atan2", "tanh", "sigmoid", "erf")
)
_VIEWS = frozenset(("reshape", "permute", "broadcast", "slice", "flip", "dynamic_slice"))


def fits(params: dict[str, Any]) -> bool:
    """Whether a loop with these parameters is one that a kernel runs faster, and can run."""
    programs = list(programs_in(params))
    turns = params.get("length", 1)
    if not isinstance(turns, int) or turns < 1:
        return False
    try:
        works = [_work(each) for each in programs]
    except _UnfitError:
        return False
    sizes = [_instructions(each) for each in programs]
    return sum(works) <= _MOST_WORK and sum(sizes) <= _MOST_INSTRUCTIONS


class _UnfitError(Exception):
    """A program holds what kernels do not."""


def _instructions(program: Program) -> int:
    return len(program.instrs) + sum(
        _instructions(each) for instr in program.instrs for each in programs_in(instr.params)
    )


def _work(program: Program) -> float:
    """About how many operations one run of a program takes."""
    for var in program.inputs:
        _check(var.type)
    carried = frozenset(program.inputs)  # may be written to in place
    return sum(_cost(instr, carried) for instr in program.instrs)


def _check(tensor_type: TensorType) -> None:
    half = tensor_type.dtype.is_floating_point and tensor_type.dtype.bits == 16
    if half or not all(isinstance(each, int) and each > 0 for each in tensor_type.shape):
        raise _UnfitError


def _cost(instr: Instr, carried: frozenset[Any]) -> float:
    name = instr.op.name
    for atom in (*instr.inputs, *instr.outputs):
        _check(atom.type)
    if name in CONTROL:
        inner = sum(_work(each) for each in programs_in(instr.params))
        return inner * instr.params.get("length", 1)
    if name not in RULES or (name == "erf" and instr.inputs[0].type.dtype is dtypes.float64):
        raise _UnfitError
    (made,) = instr.outputs
    if name == "dot_general":
        x = instr.inputs[0].type
        return 2.0 * made.type.size * math.prod(x.shape[dim] for dim in instr.params["contract"][0])
    if name in _VIEWS:
        return 0.0
    if name == "gather_slices":
        return float(made.type.size)
    if name in ("dynamic_update_slice", "scatter_slices") and instr.inputs[0] in carried:
        return float(instr.inputs[1 if name == "dynamic_update_slice" else 2].type.size)
    most = max([made.type.size, *(atom.type.size for atom in instr.inputs)])
    return float(most * (10 if name in _LONG else 1))


def loop_kernel(
    ctx: Context,
    name: str,
    operands: Sequence[Value],
    results: Sequence[TensorType],
    params: dict[str, Any],
) -> list[Value]:
    """Write a loop as a kernel, and what starts it; the loop's results.

    Args:
        ctx: where the start is written.
        name: of the loop's operator.
        operands: of the loop.
        results: their types.
        params: of the operator.
    """
    kernels = ctx.loop_kernels
    assert kernels is not None  # for a CPU
    kernel = Kernel(ctx.lanes)
    packed = len(results) > _MOST_RESULTS
    passed, given = _passed(ctx, kernel, operands, 0 if packed else len(results))
    outputs = [(kernel.part if packed else kernel.output)(each) for each in results]
    _LOOPS[name](kernel, *given, **params, outputs=outputs)
    types = [
        *([] if packed else results),
        *(TensorType((length,), memory.dtype) for memory, length in kernel.shared.items()),
    ]
    made = _started(ctx, kernel, passed, types)
    if not packed:
        return [_restored(ctx, x, each.dtype) for x, each in zip(made, results, strict=False)]
    places = dict(zip(kernel.shared, made, strict=True))
    return [_unpacked(ctx, places[each.memory], each) for each in outputs]


def _started(
    ctx: Context, kernel: Kernel, passed: Sequence[Value], results: Sequence[TensorType]
) -> Sequence[Value]:
    """What starts a kernel; its results as they are stored."""
    assert ctx.loop_kernels is not None
    title, names = ctx.loop_kernels.title(kernel.text), ", ".join(each.name for each in passed)
    text = f"flow.dispatch @{title}::@{title}({names})"
    return ctx.several(text, passed, [_stored_type(each) for each in results])


# A row times a matrix is bound by reading the matrix: a kernel of ours reads 80 GB a second from
# the cache, one of IREE's 50. From the memory both are as fast, and IREE's takes all threads.
_MATRIX = range(1 << 14, 1 << 22)  # elements


def is_row_product(x: Value, y: Value, contract: tuple[Dims, Dims], batch: Dims) -> bool:
    """Whether a product is one of a row and a matrix that a kernel multiplies faster."""
    length = math.prod(x.shape[dim] for dim in contract[0])
    row, matrix = sorted((x.type.size, y.type.size))
    whole = x.dtype in (dtypes.float32, dtypes.float64)
    return whole and not batch and row == length < matrix and matrix in _MATRIX


def row_product(ctx: Context, x: Value, y: Value, contract: tuple[Dims, Dims]) -> Value:
    """Write the product of a row and a matrix as a kernel, and what starts it.

    The result is flat.
    """
    kernel = Kernel()
    length = math.prod(x.shape[dim] for dim in contract[0])
    result = x.type.with_shape((max(x.type.size, y.type.size) // length,))
    passed, given = _passed(ctx, kernel, (x, y), 1)
    target = kernel.output(result)
    kernel.fill(
        target, reshape(kernel, dot_general(kernel, *given, contract=contract), shape=result.shape)
    )
    return _started(ctx, kernel, passed, [result])[0]


def _passed(
    ctx: Context, kernel: Kernel, operands: Sequence[Value], others: int
) -> tuple[list[Value], list[Operand]]:
    """What the kernel is given, and what stands for each operand in it."""
    assert ctx.loop_kernels is not None
    parts = dict(ctx.loop_kernels.parts)
    own = {each for each in operands if each.literal is None}
    loose = sorted((each for each in own if each.name not in parts), key=lambda x: x.type.nbytes)
    count = len(loose) + len({parts[x.name][0] for x in own if x.name in parts}) + others
    if count > _MOST_BINDINGS:
        parts |= _together(ctx, loose[: count - _MOST_BINDINGS + _SPARE])
    memories: dict[str, Memory] = {}
    passed: list[Value] = []
    given: list[Operand] = []
    for each in operands:
        if each.literal is not None:
            given.append(Splat(each.literal, each.type))
            continue
        held, first = parts.get(each.name, (None, 0))
        name = each.name if held is None else held.name
        if name not in memories:
            held = _stored(ctx, each) if held is None else held
            memories[name] = kernel.input(each.dtype, held.type.size)
            passed.append(held)
        given.append(within(memories[name], each.shape, first))
    return passed, given


def _together(ctx: Context, values: Sequence[Value]) -> dict[str, tuple[Value, int]]:
    """Values of one dtype behind one another in one, which is written for it: where each lies."""
    found: dict[str, tuple[Value, int]] = {}
    for dtype in {each.dtype: None for each in values}:
        own = [each for each in values if each.dtype is dtype]
        flat = [ctx.reshape(_stored(ctx, each), (each.type.size,)) for each in own]
        total = TensorType((sum(each.type.size for each in own),), flat[0].dtype)
        held = ctx.op("concatenate", flat, total, "dim = 0")
        first = 0
        for each in own:
            found[each.name] = held, first
            first += each.type.size
    return found


def _unpacked(ctx: Context, held: Value, part: Array) -> Value:
    """A result out of what many lie in; other kernels read it from there."""
    assert ctx.loop_kernels is not None
    first, made = part.offset.constant, part.type
    flat = held.type.with_shape((made.size,))
    text = f"stablehlo.slice {held} [{first}:{first + made.size}:1] : ({held.mlir}) -> "
    one = ctx.reshape(ctx.emit(text + mlir_type(flat), flat), made.shape)
    result = _restored(ctx, one, made.dtype)
    ctx.loop_kernels.parts[result.name] = held, first
    return result


def _stored_type(tensor_type: TensorType) -> TensorType:
    """As kernels keep it: integers without a sign, bools as bytes."""
    dtype = tensor_type.dtype
    return tensor_type.with_dtype(dtypes.int8 if dtype.kind == "b" else SIGNED.get(dtype, dtype))


def _stored(ctx: Context, x: Value) -> Value:
    if x.dtype.kind == "b":
        return ctx.convert(x, dtypes.int8)
    return ctx.bitcast(x, SIGNED.get(x.dtype, x.dtype))


def _restored(ctx: Context, x: Value, dtype: DType) -> Value:
    if dtype.kind == "b":
        return ctx.compare("NE", x, ctx.like(0, x))
    return ctx.bitcast(x, dtype)
