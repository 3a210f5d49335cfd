"""Runs cases on a backend, many in one program, and compares with the numpy backend.

Compilers take their time for each program, so cases are joined into programs with many results. A
program that fails is divided until the case that fails is found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np

from slope.api._compare import difference as elementwise_difference
from slope.api._compare import tolerance
from slope.compile import Options, compile_program
from slope.core.operator import Operator
from slope.core.program import Instr, Program, ProgramTrace, Var, run_instrs
from slope.core.tensor import Tensor
from slope.core.trace import use_trace
from slope.core.types import type_of_array
from slope.dtypes import as_dtype
from slope.errors import BackendError, UnsupportedOperatorError
from slope.lowering import LoweringTrace, expand_unknown
from slope.passes import remove_dead_code
from slope.plugins.backend import Backend
from slope.plugins.selection import backend as backend_named
from slope.plugins.selection import use_backend
from slope.supported import unsupported
from slope.testing.cases import DERIVATIVES, Array, Broken, Case

PASSED: Final = "passed"
UNSUPPORTED: Final = "declared unsupported"
FAILED: Final = "failed"
STATUSES: Final = (PASSED, UNSUPPORTED, FAILED)
JOINED: Final = 250  # instructions in one program


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        group, mode, dtype, label: of the case.
        status: ``PASSED``, ``UNSUPPORTED`` or ``FAILED``.
        message: why, if it did not pass.
    """

    group: str
    mode: str
    dtype: str
    label: str
    status: str
    message: str = ""


def outcome(case: Case | Broken, status: str, message: str = "") -> Outcome:
    """What became of a case."""
    return Outcome(case.group, case.mode, case.dtype, case.label, status, message)


def told(error: BaseException) -> str:
    """An error in one short paragraph."""
    return f"{type(error).__name__}: {str(error).strip()[:1500]}"


# --- joining


def join(cases: Sequence[Case]) -> tuple[Program, list[Array]]:
    """One program that runs all cases, and its inputs; equal inputs are one."""
    shared: dict[Any, Var] = {}
    inputs: list[Var] = []
    arrays: list[Array] = []
    instrs: list[Instr] = []
    outputs: list[Any] = []
    for case in cases:
        known: dict[Any, Any] = {}
        for var, array in zip(case.program.inputs, case.args, strict=True):
            key = (var.type, array.tobytes())
            if key not in shared:
                shared[key] = Var(var.type)
                inputs.append(shared[key])
                arrays.append(array)
            known[var] = shared[key]
        for instr in case.program.instrs:
            operands = tuple(known.get(atom, atom) for atom in instr.inputs)
            instrs.append(Instr(instr.op, operands, instr.params, instr.outputs, instr.source))
        outputs += [known.get(atom, atom) for atom in case.program.outputs]
    name = cases[0].group if len(cases) == 1 else "cases"
    return Program(inputs, (), instrs, outputs, name), arrays


def tensors(arrays: Sequence[Array]) -> list[Tensor]:
    """Host arrays as tensors."""
    return [Tensor(type_of_array(array), host=array) for array in arrays]


Run = Callable[[Program, Sequence[Array]], list[Array]]


def run_joined(cases: Sequence[Case], run: Run) -> Iterator[tuple[Case, list[Array] | Exception]]:
    """The results of each case, or its error; joined programs that fail are divided."""
    try:
        program, arrays = join(cases)
        outs = iter(run(program, arrays))
        results = [[next(outs) for _ in case.program.outputs] for case in cases]
    except Exception as error:  # noqa: BLE001  # whatever a backend raises is the finding
        if len(cases) == 1:
            yield cases[0], error
            return
        half = len(cases) // 2
        yield from run_joined(cases[:half], run)
        yield from run_joined(cases[half:], run)
        return
    yield from zip(cases, results, strict=True)


def define(program: Program, arrays: Sequence[Array]) -> list[Array]:
    """What the numpy backend computes, without passes: the definition."""
    backend = backend_named("numpy")
    expanded = expand_unknown(program, backend)
    executable = backend.compile(expanded, backend.devices()[0], {})
    handles = [backend.from_host(array, backend.devices()[0]) for array in arrays]
    return [backend.to_host(handle) for handle in executable(handles)]


def runner(backend: Backend) -> Run:
    """Runs programs as ``jit`` does: improved by the passes, compiled by the backend."""

    def run(program: Program, arrays: Sequence[Array]) -> list[Array]:
        compiled = compile_program(program, backend.devices()[0], Options(backend.name))
        handles = [backend.from_host(tensor.host(), compiled.device) for tensor in tensors(arrays)]
        return [np.array(out.numpy()) for out in compiled.run(handles)]

    return run


def run_eagerly(case: Case, backend: Backend) -> list[Array]:
    """The operator called outside every transform."""
    assert case.op is not None
    with use_backend(backend.name):
        result = case.op(*tensors(case.args), **case.params)
        outs = result if case.op.multiple else (result,)
        return [np.array(out.numpy()) for out in outs]


# --- what a backend declares


class _DeclaredTrace(LoweringTrace):
    """Expands what a backend does not lower, as compiling does, but keeps what has no expansion."""

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        if op.has("expand") or self.backend.lowers(op):
            return super().process(op, args, params)
        return ProgramTrace.process(self, op, args, params)


def undeclared(program: Program, backend: Backend) -> str:
    """The operators of a program that the backend says it lacks; empty if there are none.

    Asked for each instruction that is left when operators without a lowering are expanded.
    """
    trace = _DeclaredTrace(backend, program.name)
    with use_trace(trace):
        args = [trace.new_input(each) for each in program.input_types]

        def step(instr: Instr, operands: list[Tensor]) -> Sequence[Tensor]:
            return trace.process(instr.op, operands, instr.params)

        try:
            outs = run_instrs(program, args, step)
        except UnsupportedOperatorError as error:  # in a program that an instruction holds
            return str(error)
        expanded = trace.finish(outs, program.name)
    missing = unsupported(remove_dead_code(expanded), backend)
    return ", ".join(sorted(f"{op.name} of {dtype}" for op, dtype in missing))


# --- comparing


def difference(wanted: Sequence[Array], found: Sequence[Array], case: Case) -> str:
    """In words, how results differ from those that are wanted; empty if they agree."""
    for number, (want, got) in enumerate(zip(wanted, found, strict=True)):
        place = f"result {number}: " if len(wanted) > 1 else ""
        if type_of_array(want) != type_of_array(got):
            return f"{place}has the type {type_of_array(got)} instead of {type_of_array(want)}"
        bound = tolerance(as_dtype(want.dtype)) * case.slack
        text = array_difference(want, got, bound, case.args, scaled=case.mode in DERIVATIVES)
        if text:
            return place + text
    return ""


def array_difference(
    want: Array, got: Array, bound: float, args: Sequence[Array] = (), *, scaled: bool = False
) -> str:
    """In words, where two arrays of one type differ; empty if they agree.

    Args:
        want: what is right.
        got: what was computed.
        bound: the relative and absolute tolerance; 0 asks for equality. NaN equals NaN.
        args: what it was computed from; if all have this shape, their elements there are told.
        scaled: count the absolute tolerance in units of the largest element.
    """
    scale = 1.0
    if scaled and bound:
        sizes = np.abs(want.astype(np.float64))
        scale = max(1.0, float(sizes[np.isfinite(sizes)].max(initial=0.0)))
    gap = elementwise_difference(want, got, bound, bound * scale)
    if gap is None:
        return ""
    where = f" at {list(gap.index)}" if gap.index else ""
    if args and all(arg.shape == want.shape for arg in args):
        where += f", where the operands are {', '.join(str(arg[gap.index]) for arg in args)}"
    more = f"; {gap.count} of {want.size} elements differ" if want.size > 1 else ""
    return (
        f"gives {gap.found} instead of {gap.wanted}{where}{more}, by at most {gap.absolute:.3g}, "
        f"relative {gap.relative:.3g} (tolerance {bound:.1e})"
    )


# --- running


def chunks(cases: Iterable[Case], limit: int = JOINED) -> Iterator[list[Case]]:
    """Cases in lists whose programs hold about ``limit`` instructions together."""
    chunk: list[Case] = []
    total = 0
    for case in cases:
        chunk.append(case)
        total += 1 + len(case.program.instrs)
        if total >= limit:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


def run_cases(
    cases: Iterable[Case | Broken],
    name: str,
    progress: Callable[[int], None] = lambda _: None,
    *,
    verbose: bool = False,
) -> list[Outcome]:
    """Run cases on a backend.

    Args:
        cases: any.
        name: the backend's name.
        progress: told the number of cases each time that some are done.
        verbose: run one after the other, and say which before it runs: the last one said is what
            ended the process, where a backend's own code crashes.

    Returns:
        What became of each.
    """
    backend = backend_named(name)
    outcomes: list[Outcome] = []
    whole: list[Case] = []
    for case in cases:
        if isinstance(case, Broken):
            message = f"a rule of the operator raises: {told(case.error)}"
            outcomes.append(outcome(case, FAILED, message))
        else:
            whole.append(case)

    def check(chunk: list[Case]) -> list[Outcome]:
        if verbose:
            print(*[each.label for each in chunk], file=sys.stderr, flush=True)  # noqa: T201  # as asked
        found = _check_chunk(chunk, backend)
        progress(len(chunk))
        return found

    # Compilers let go of Python's lock.
    with ThreadPoolExecutor(1 if verbose else 2) as pool:
        for found in pool.map(check, chunks(whole, 1 if verbose else JOINED)):
            outcomes += found
    return outcomes


def _check_chunk(chunk: list[Case], backend: Backend) -> list[Outcome]:
    outcomes: list[Outcome] = []
    declared: list[Case] = []
    for case in chunk:
        try:
            missing = undeclared(case.program, backend)
        except Exception as error:  # noqa: BLE001  # whatever an expansion raises is the finding
            text = f"its expansion raises, though infer takes the dtype: {told(error)}"
            outcomes.append(outcome(case, FAILED, text))
            continue
        if missing:
            outcomes.append(outcome(case, UNSUPPORTED, f"not supported: {missing}"))
        else:
            declared.append(case)
    wanted: dict[int, list[Array]] = {}
    ready: list[Case] = []
    for case, result in _wanted(declared):
        if isinstance(result, Exception):
            message = f"the numpy backend, which defines the result, fails: {told(result)}"
            outcomes.append(outcome(case, FAILED, message))
        else:
            wanted[id(case)] = result
            ready.append(case)
    eager = [case for case in ready if case.op is not None]
    joined = [case for case in ready if case.op is None]
    outcomes += [_judge(case, wanted[id(case)], *run_alone(case, backend)) for case in eager]
    if joined:
        for case, result in run_joined(joined, runner(backend)):
            error = result if isinstance(result, Exception) else None
            outcomes.append(_judge(case, wanted[id(case)], [] if error else result, error))  # pyright: ignore[reportArgumentType]  # an error is no result
    return outcomes


def _wanted(cases: Sequence[Case]) -> Iterator[tuple[Case, list[Array] | Exception]]:
    for case in cases:
        if case.expected is not None:
            yield case, list(case.expected)
    open_cases = [case for case in cases if case.expected is None]
    if open_cases:
        yield from run_joined(open_cases, define)


def run_alone(case: Case, backend: Backend) -> tuple[list[Array], Exception | None]:
    """The results of an eager case, and the error if there was one."""
    try:
        return run_eagerly(case, backend), None
    except Exception as error:  # noqa: BLE001  # whatever a backend raises is the finding
        return [], error


def _judge(case: Case, wanted: list[Array], found: list[Array], error: Exception | None) -> Outcome:
    if error is not None:
        by_dtype = isinstance(error, UnsupportedOperatorError | BackendError)
        way = " (it declares support: mend the lowering, or let supports() answer False)"
        return outcome(case, FAILED, told(error) + (way if by_dtype else ""))
    text = difference(wanted, found, case)
    return outcome(case, FAILED, text) if text else outcome(case, PASSED)


def show_progress(total: int, what: str) -> Callable[[int], None]:
    """Counts on a terminal; says nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        end = "\n" if done >= total else ""
        sys.stderr.write(f"\r{what}: {done} of {total} cases{end}")
        sys.stderr.flush()

    return step
