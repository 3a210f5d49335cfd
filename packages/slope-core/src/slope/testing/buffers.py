"""The buffer rules: what a backend must hold about memory, results and threads."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from slope.core.operator import OPERATORS, Operator
from slope.core.program import Instr, Literal, Program, Var, trace_program
from slope.core.types import TensorType
from slope.dtypes import ALL, DType, float32
from slope.plugins.backend import Backend, Executable
from slope.plugins.selection import backend as backend_named
from slope.testing.cases import Array
from slope.testing.runner import FAILED, PASSED, UNSUPPORTED, Outcome, told

CALLS: Final = 10_000
LEAK: Final = 24 << 20  # bytes: less than a sixth of what one forgotten array a call would leave
_ARRAY: Final = 4096  # elements of the arrays in the search for leaks: 16 KiB

Rule = Callable[["Bench"], None]


class Unsupported(Exception):  # noqa: N818  # no error: the backend declares it
    """A rule cannot be checked with what the backend declares."""


class Bench:
    """A backend with the few programs that the rules are checked with.

    Attributes:
        backend: the backend.
        device: its first device.
        op: an elementwise operator of float32 that it supports.
        operands: how many operands that takes.
    """

    def __init__(self, backend: Backend, calls: int = CALLS) -> None:
        self.backend = backend
        self.device = backend.devices()[0]
        self.calls = calls
        self._op: Operator | None = None
        for name in ("add", "mul", "sub", "maximum", "neg", "exp", "tanh"):
            op = OPERATORS[name]
            if backend.lowers(op) and backend.supports(op, float32):
                self._op = op
                break

    @property
    def op(self) -> Operator:
        """An elementwise operator of float32."""
        if self._op is None:
            raise Unsupported("the backend supports no common elementwise operator of float32")
        return self._op

    def apply(self, *xs: Any) -> Any:
        """The operator on as many operands as it takes."""
        return self.op(*(xs * 2)[: getattr(self.op, "arity", 1)])

    def value(self, x: Array) -> Array:
        """What :meth:`apply` of one array is, by NumPy."""
        known: dict[str, Callable[[Array], Array]] = {
            "add": lambda x: x + x, "mul": lambda x: x * x, "sub": lambda x: x - x,
            "maximum": lambda x: x, "neg": lambda x: -x, "exp": np.exp, "tanh": np.tanh,
        }  # fmt: skip
        return known[self.op.name](x)

    def compile(self, program: Program) -> Executable:
        """The executable of a program."""
        return self.backend.compile(program, self.device, {})

    def simple(self, shape: tuple[int, ...]) -> Executable:
        """The executable of the operator."""
        return self.compile(
            trace_program(lambda x: (self.apply(x),), [TensorType(shape, float32)], name="simple")
        )

    def up(self, array: Array) -> Any:
        """A handle for an array."""
        return self.backend.from_host(array, self.device)

    def down(self, handle: Any, shape: Sequence[int] | None = None) -> Array:
        """The array of a handle."""
        host = self.backend.to_host(handle)
        assert isinstance(host, np.ndarray), f"to_host returned {host!r:.60}, no NumPy array"
        return host if shape is None else host.reshape(tuple(shape))


def close(found: Array, wanted: Array, what: str) -> None:
    """Demand that an array has the right type and elements.

    Raises:
        AssertionError: it has not; says what.
    """
    assert found.dtype == wanted.dtype, f"{what}: dtype {found.dtype} instead of {wanted.dtype}"
    assert found.shape == wanted.shape, f"{what}: shape {found.shape} instead of {wanted.shape}"
    if wanted.dtype.kind == "f" and wanted.dtype.itemsize >= 4:
        np.testing.assert_allclose(found, wanted, rtol=3e-5, atol=3e-5, err_msg=what)
    else:
        assert found.tobytes() == wanted.tobytes(), f"{what}: {found} instead of {wanted}"


# --- arrays in and out


def _holds(bench: Bench, dtype: DType) -> bool:
    return any(bench.backend.supports(op, dtype) for op in OPERATORS.values())


def _shape(bench: Bench, array: Array, what: str) -> None:
    close(bench.down(bench.up(array), array.shape), array, what)


def round_trip(dtype: DType) -> Rule:
    """Arrays of a dtype come back as they were, whatever their shape, layout and flags."""

    def rule(bench: Bench) -> None:
        if not _holds(bench, dtype):
            raise Unsupported(f"no operator supports {dtype}")
        for shape in ((), (1,), (5,), (2, 3), (0,), (3, 0, 2)):
            size = int(np.prod(shape, dtype=int))
            array = (np.arange(size) % 2 if dtype.kind == "b" else np.arange(size)).reshape(shape)
            _shape(bench, array.astype(dtype.numpy), f"{dtype}{list(shape)}")
        grid = (np.arange(24) % 2 if dtype.kind == "b" else np.arange(24)).astype(dtype.numpy)
        _shape(bench, grid.reshape(4, 6).T, "a transposed array")
        _shape(bench, grid[::-3], "an array with negative strides")
        _shape(bench, grid[1:], "an array that is not aligned")
        frozen = grid.copy()
        frozen.flags.writeable = False
        _shape(bench, frozen, "a read-only array")

    return rule


def big_arrays(bench: Bench) -> None:
    """Four million elements go in, through a program, and out."""
    array = np.linspace(-1, 1, 1 << 22, dtype=np.float32)
    (out,) = bench.simple(array.shape)([bench.up(array)])
    close(bench.down(out, array.shape), bench.value(array), "the result")


def empty_arrays(bench: Bench) -> None:
    """Programs take and give arrays without elements."""
    for shape in ((0,), (3, 0, 2)):
        array = np.zeros(shape, np.float32)
        (out,) = bench.simple(shape)([bench.up(array)])
        close(bench.down(out, shape), array, f"the result of shape {shape}")


# --- programs of unusual form


def same_output_twice(bench: Bench) -> None:
    """A variable may be an output twice."""
    x = Var(TensorType((3,), float32))
    y = Var(x.type)
    instr = Instr(bench.op, (x,) * getattr(bench.op, "arity", 1), {}, (y,))
    outs = bench.compile(Program([x], (), [instr], [y, y, x, y]))([bench.up(_three())])
    wanted = [bench.value(_three())] * 4
    wanted[2] = _three()
    assert len(outs) == 4, f"{len(outs)} results instead of 4"
    for number, (out, want) in enumerate(zip(outs, wanted, strict=True)):
        close(bench.down(out, (3,)), want, f"output {number}")


def input_as_output(bench: Bench) -> None:
    """An input may be an output, also of a program without instructions."""
    x, y = (Var(TensorType((3,), float32)) for _ in range(2))
    outs = bench.compile(Program([x, y], (), [], [y, x, y]))(
        [bench.up(_three()), bench.up(_three() + 1)]
    )
    for number, (out, want) in enumerate(zip(outs, (1, 0, 1), strict=True)):
        close(bench.down(out, (3,)), _three() + want, f"output {number}")


def literal_as_output(bench: Bench) -> None:
    """A literal may be an output, and a program may have no inputs."""
    atoms = [Literal(2.5, TensorType((2, 2), float32)), Literal(-0.0, TensorType((), float32))]
    outs = bench.compile(Program([], (), [], atoms))([])
    close(bench.down(outs[0], (2, 2)), np.full((2, 2), 2.5, np.float32), "output 0")
    close(bench.down(outs[1], ()), np.array(-0.0, np.float32), "output 1")


def unused_inputs(bench: Bench) -> None:
    """Inputs that nothing uses do not disturb."""
    xs = [Var(TensorType((3,), float32)) for _ in range(3)]
    y = Var(xs[0].type)
    instr = Instr(bench.op, (xs[1],) * getattr(bench.op, "arity", 1), {}, (y,))
    handles = [bench.up(_three() + k) for k in range(3)]
    (out,) = bench.compile(Program(xs, (), [instr], [y]))(handles)
    close(bench.down(out, (3,)), bench.value(_three() + 1), "the result")


def _three() -> Array:
    return np.array([0.25, -0.5, 1.5], np.float32)


# --- who owns what


def inputs_never_written(bench: Bench) -> None:
    """A call leaves its inputs as they were, also those that go out as they came."""
    array = np.linspace(-1, 1, 1000, dtype=np.float32)
    before = array.copy()
    handle = bench.up(array)
    run = bench.simple(array.shape)
    for _ in range(3):
        run([handle])
    close(array, before, "the host array")
    close(bench.down(handle, array.shape), before, "the handle")


def results_outlive_inputs(bench: Bench) -> None:
    """Results and host arrays stay valid after the inputs and the executable are gone."""
    wanted, kept, hosts = [], [], []
    run = bench.simple((1000,))
    for number in range(20):
        array = np.full(1000, number / 20, np.float32)
        wanted.append(bench.value(array))
        (out,) = run([bench.up(array)])
        kept.append(out)
        hosts.append(bench.down(out, (1000,)))
        del array, out
    del run
    gc.collect()
    _churn()
    for number, (out, host, want) in enumerate(zip(kept, hosts, wanted, strict=True)):
        close(host, want, f"the host array of call {number}")
        close(bench.down(out, (1000,)), want, f"the result of call {number}")
    del kept, out
    gc.collect()
    _churn()
    for number, (host, want) in enumerate(zip(hosts, wanted, strict=True)):
        close(host, want, f"the host array of call {number} after its handle died")


def _churn() -> None:
    # Writes over memory that was given back too early.
    junk = [np.full(1000, np.nan, np.float32) for _ in range(100)]
    del junk


def handles_outlive_arrays(bench: Bench) -> None:
    """A handle keeps what it needs of the host array that it was made of."""
    handles = [bench.up(np.full(1000, number, np.float32)) for number in range(20)]
    gc.collect()
    _churn()
    for number, handle in enumerate(handles):
        want = np.full(1000, number, np.float32)
        close(bench.down(handle, (1000,)), want, f"handle {number}")


def chained_calls(bench: Bench) -> None:
    """Results are inputs of further calls, many times over, and earlier ones stay as they were."""
    run = bench.simple((8,))
    array = np.full(8, 0.5, np.float32)
    handle, kept = bench.up(array), []
    for _ in range(50):
        (handle,) = run([handle])
        array = bench.value(array)
        kept.append((handle, array))
    for number, (each, want) in enumerate(kept):
        assert np.array_equal(bench.down(each, (8,)), want) or np.allclose(
            bench.down(each, (8,)), want, rtol=1e-3
        ), f"the result of call {number}: {bench.down(each, (8,))} instead of {want}"


def donated_inputs(bench: Bench) -> None:
    """A donated input may be written to: results are right, and what others hold stays as it was.

    Raises:
        Unsupported: the backend does not take donated inputs.
    """
    if not bench.backend.donates:
        raise Unsupported("the backend does not take donated inputs")
    x, y, z, w = (Var(TensorType((1000,), float32)) for _ in range(4))
    arity = getattr(bench.op, "arity", 1)
    instrs = [
        Instr(bench.op, (x,) * arity, {}, (z,)),
        Instr(bench.op, (y,) * arity, {}, (w,)),
    ]
    program = Program([x, y], (), instrs, [z, w, y])
    run = bench.backend.compile(program, bench.device, {}, donated=frozenset((0,)))
    first, second = (np.linspace(low, 1, 1000, dtype=np.float32) for low in (-1, 0))
    hosts = first.copy(), second.copy()
    handles = [bench.up(each) for each in hosts]
    kept: list[tuple[Array, Array]] = [(hosts[0], first), (hosts[1], second)]
    for _ in range(6):
        if not bench.backend.exclusive(handles[0]):
            handles[0] = bench.backend.copied(handles[0], bench.device)
        out = list(run(handles))
        first = bench.value(first)
        close(bench.down(out[1], (1000,)), bench.value(second), "the other result")
        close(bench.down(out[2], (1000,)), second, "the input that is not donated")
        handles = [out[0], handles[1]]
        del out
        kept.append((bench.down(handles[0], (1000,)), first))  # somebody looks at the state
        again = list(run([bench.backend.copied(handles[0], bench.device), handles[1]]))
        close(bench.down(again[0], (1000,)), bench.value(first), "the result")
    for number, (host, want) in enumerate(kept):
        close(host, want, f"the host array {number}, which somebody holds")


# --- threads and leaks


def two_threads(bench: Bench) -> None:
    """Two threads call one executable at once, each with inputs of its own."""
    run = bench.simple((256,))
    errors: list[str] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for number in range(200):
            array = random.uniform(-1, 1, 256).astype(np.float32)
            try:
                (out,) = run([bench.up(array)])
                close(bench.down(out, (256,)), bench.value(array), f"call {number}")
            except Exception as error:  # noqa: BLE001  # handed to the thread that asked
                errors.append(told(error))
                return

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


def resident_bytes() -> int:
    """The memory that this process holds.

    Raises:
        Unsupported: the system does not say.
    """
    status = Path("/proc/self/statm")
    if not status.exists():
        raise Unsupported("this system does not tell the memory of a process")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def give_back_memory() -> None:
    """Have the allocator return what is free to the system, so that a leak cannot hide in it."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def no_leak(bench: Bench) -> None:
    """Ten thousand calls, each with a fresh input that is read back, leave no memory behind."""
    run = bench.simple((_ARRAY,))

    def calls(count: int) -> None:
        for number in range(count):
            array = np.full(_ARRAY, number, np.float32)
            (out,) = run([bench.up(array)])
            bench.down(out)

    calls(bench.calls // 5)
    gc.collect()
    give_back_memory()
    before = resident_bytes()
    calls(bench.calls)
    gc.collect()
    grown = resident_bytes() - before
    each = grown / bench.calls
    limit = max(LEAK * bench.calls // CALLS, LEAK // 4)
    assert grown < limit, (
        f"{bench.calls} calls left {grown / 2**20:.0f} MiB behind, {each:.0f} bytes each"
    )


RULES: Final[dict[str, Rule]] = {
    **{f"round trip of {dtype}": round_trip(dtype) for dtype in ALL},
    "big arrays": big_arrays,
    "empty arrays": empty_arrays,
    "the same output twice": same_output_twice,
    "an input as an output": input_as_output,
    "a literal as an output": literal_as_output,
    "unused inputs": unused_inputs,
    "inputs are never written": inputs_never_written,
    "results outlive inputs": results_outlive_inputs,
    "handles outlive host arrays": handles_outlive_arrays,
    "chained calls": chained_calls,
    "donated inputs": donated_inputs,
    "two threads": two_threads,
    "no leak": no_leak,
}


def run_buffer_rules(name: str, *, fast: bool = False) -> Iterator[Outcome]:
    """Check every buffer rule on a backend.

    Args:
        name: the backend's name.
        fast: look for leaks in a tenth of the calls.
    """
    bench = Bench(backend_named(name), CALLS // 10 if fast else CALLS)
    for label, rule in RULES.items():
        yield run_rule(bench, label, rule)


def run_rule(bench: Bench, label: str, rule: Rule) -> Outcome:
    """Check one rule."""
    try:
        rule(bench)
    except Unsupported as reason:
        return Outcome("buffers", "buffers", "", label, UNSUPPORTED, str(reason))
    except Exception as error:  # noqa: BLE001  # whatever a backend raises is the finding
        return Outcome("buffers", "buffers", "", label, FAILED, told(error))
    return Outcome("buffers", "buffers", "", label, PASSED)
