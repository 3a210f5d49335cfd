"""The conformance kit: everything that a backend has to hold, in one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from slope import ops
from slope.compile import Options, compile_program
from slope.core.program import trace_program
from slope.core.tensor import Splat
from slope.core.types import TensorType
from slope.dtypes import float32
from slope.errors import ArgumentError
from slope.plugins.backend import Backend
from slope.plugins.selection import backend as backend_named
from slope.testing.buffers import Bench, run_buffer_rules
from slope.testing.cases import MODES, Broken, Case, all_operators, cases
from slope.testing.meaning import meaning_cases
from slope.testing.report import Report
from slope.testing.runner import Outcome, run_cases, show_progress

SLOW: Final = 0.1  # seconds for a program of one instruction: IREE takes 0.3, ONNX Runtime 0.003
FAST_DTYPES: Final = frozenset({"float32", "int32", "int64", "bool", "uint8", "bfloat16"})


def conformance(
    backend: str,
    operators: Sequence[str] = (),
    *,
    fast: bool = False,
    rules: bool = True,
    thorough: bool | None = None,
    verbose: bool = False,
) -> Report:
    """Run the kit on a backend.

    Every operator's samples are run in every dtype that it takes, eagerly, compiled, and under
    every transform, and compared with the numpy backend. Where compiling is slow, derivatives and
    batching are left out in dtypes other than a sample's own, but for the floating-point ones of
    each operator's first sample.

    Args:
        backend: its name.
        operators: names; none stands for all registered ones and those of installed operator
            packages.
        fast: the first sample of each operator in its own dtype, and eager and compiled calls in
            a few more.
        rules: whether to check the meaning and buffer rules, too, where no operators are named.
        thorough: whether nothing is left out; by default, as one small compilation takes less
            than :data:`SLOW`.
        verbose: whether to say each case before it runs, one at a time: for a backend that crashes.

    Returns:
        What was found; ``.failures`` is empty for a backend that conforms.

    Raises:
        BackendError: the backend, or the numpy backend, is not installed.
        ArgumentError: there is no operator of a name.
    """
    started = time.perf_counter()
    chosen = backend_named(backend)
    backend_named("numpy")
    known = {op.name: op for op in all_operators()}
    for name in operators:
        if name not in known:
            raise ArgumentError(f"there is no operator {name!r}; there are {', '.join(known)}.")
    if thorough is None:
        thorough = not fast and not is_slow(chosen)
    selected = [known[name] for name in operators] or list(known.values())
    made = [case for op in selected for case in cases(op, MODES, thorough=thorough)]
    if fast:
        made = _few(made)
    with_rules = rules and not operators
    if with_rules:
        made += list(meaning_cases())
    progress = show_progress(len(made), backend)
    outcomes = run_cases(made, backend, progress, verbose=verbose)
    if with_rules:
        outcomes += run_buffer_rules(backend, fast=fast)
    scope = (
        "fast: a few cases of each operator"
        if fast
        else "thorough: every sample, dtype and transform"
        if thorough
        else "all samples and dtypes; transforms in own dtypes, of first samples in all floats"
    )
    seconds = time.perf_counter() - started
    return Report(chosen.name, chosen.version(), _ordered(outcomes), seconds, scope)


def is_slow(backend: Backend) -> bool:
    """Whether the backend takes long for a program of one instruction that it has not seen."""
    return compile_seconds(backend) > SLOW


def compile_seconds(backend: Backend) -> float:
    """The seconds that the backend takes for such a program; 0 where it fails."""
    try:
        bench = Bench(backend)
        value = time.time() % 1000.0  # so that no cache on disk knows it
        program = trace_program(
            lambda x: (bench.apply(x), ops.add(x, Splat(value, x.type))),
            [TensorType((3,), float32)],
        )
        started = time.perf_counter()
        compile_program(program, bench.device, Options(backend.name))
        return time.perf_counter() - started
    except Exception:  # noqa: BLE001  # what is wrong with it, the run itself finds
        return 0.0


def _few(made: Sequence[Case | Broken]) -> list[Case | Broken]:
    """The first case of each operator, mode and dtype, among a few dtypes."""
    kept: dict[tuple[str, str, str], Case | Broken] = {}
    for case in made:
        key = (case.group, case.mode, case.dtype)
        if isinstance(case, Broken):
            kept[(*key[:2], case.label)] = case
        elif case.dtype in FAST_DTYPES:
            kept.setdefault(key, case)
    return list(kept.values())


def _ordered(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Rows in the order of operators' names, rules behind."""
    rules = {"meaning", "buffers"}
    return sorted(outcomes, key=lambda o: (o.mode in rules, "" if o.mode in rules else o.group))
