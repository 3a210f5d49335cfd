"""How a program starts a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slope.extend import DType, TensorType, dtypes
from slope_backend_iree.lower.context import Context, Value
from slope_backend_iree.lower.linear import SIGNED
from slope_backend_iree.lower.own_kernels import Cluster

from .arrays import Array, Memory, Operand, Splat, within
from .kernel import Kernel
from .programs import run, run_scan, run_while
from .radix import first_places
from .work import MOST_ARRAYS

_MOST_RESULTS = 8  # more lie in one array
_SPARE = 4  # dtypes

_LOOPS = {"run_scan": run_scan, "run_while": run_while}

Write = Callable[[Kernel, Sequence[Operand], Sequence[Array]], object]


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

    def write(kernel: Kernel, given: Sequence[Operand], outputs: Sequence[Array]) -> None:
        _LOOPS[name](kernel, *given, **params, outputs=outputs)

    return _kernel(ctx, operands, results, write)


def cluster_kernel(ctx: Context, cluster: Cluster, operands: Sequence[Value]) -> list[Value]:
    """Write instructions as a kernel, and what starts it; the results.

    Args:
        ctx: where the start is written.
        cluster: the instructions.
        operands: of the cluster.
    """
    assert ctx.loop_kernels is not None  # for a CPU
    program = cluster.program
    first, *others = cluster.instrs
    ctx.loop_kernels.work = cluster if others else first

    def write(kernel: Kernel, given: Sequence[Operand], outputs: Sequence[Array]) -> None:
        results = run(kernel, program, dict(zip(cluster.inputs, given, strict=True)))
        for output, result in zip(outputs, results, strict=True):
            kernel.fill(output, result)

    return _kernel(ctx, operands, program.output_types, write)


def sort_kernel(ctx: Context, keys: Value, k: int) -> Value:
    """Write a kernel that sorts, and what starts it; where the first elements of rows stand.

    Args:
        ctx: where the start is written.
        keys: int32 or int64, of shape (rows, n); equal ones keep their order.
        k: how many are asked for.

    Returns:
        int32, of shape (rows, k), in ascending order of the keys.
    """
    made = TensorType((keys.shape[0], k), dtypes.int32)
    return _kernel(ctx, [keys], [made], first_places)[0]


def _kernel(
    ctx: Context, operands: Sequence[Value], results: Sequence[TensorType], write: Write
) -> list[Value]:
    kernel = Kernel(ctx.lanes)
    packed = len(results) > _MOST_RESULTS
    passed, given = _passed(ctx, kernel, operands, 0 if packed else len(results))
    outputs = [(kernel.part if packed else kernel.output)(each) for each in results]
    write(kernel, given, outputs)
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
    if not passed:
        # IREE starts what reads nothing anew for each reader, and 3.13 then takes the first of its
        # results for every other.
        passed = [ctx.constant(0, TensorType((1,), dtypes.int8))]
        kernel.input(dtypes.int8, 1)
    title, names = ctx.loop_kernels.title(kernel.text), ", ".join(each.name for each in passed)
    text = f"flow.dispatch @{title}::@{title}({names})"
    return ctx.several(text, passed, [_stored_type(each) for each in results])


def _passed(
    ctx: Context, kernel: Kernel, operands: Sequence[Value], others: int
) -> tuple[list[Value], list[Operand]]:
    """What the kernel is given, and what stands for each operand in it."""
    assert ctx.loop_kernels is not None
    parts = dict(ctx.loop_kernels.parts)
    # In order, not a set: the text of a program, its key on disk, is the same in every process.
    own = dict.fromkeys(each for each in operands if each.literal is None)
    loose = sorted((each for each in own if each.name not in parts), key=lambda x: x.type.nbytes)
    count = len(loose) + len({parts[x.name][0] for x in own if x.name in parts}) + others
    if count > MOST_ARRAYS:
        parts |= _together(ctx, loose[: count - MOST_ARRAYS + _SPARE])
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
        held = ctx.concatenate(flat, 0)
        first = 0
        for each in own:
            found[each.name] = held, first
            first += each.type.size
    return found


def _unpacked(ctx: Context, held: Value, part: Array) -> Value:
    """A result out of what many lie in; other kernels read it from there."""
    assert ctx.loop_kernels is not None
    first, made = part.offset.constant, part.type
    one = ctx.reshape(ctx.slice(held, [first], [first + made.size]), made.shape)
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
