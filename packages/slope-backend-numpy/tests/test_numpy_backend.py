"""The backend itself: handles, outputs, threads, long programs, errors, rules, the allocator."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from slope import dtypes
from slope.dims import Dim
from slope.extend import (
    CPU,
    CompileError,
    Device,
    DeviceError,
    Instr,
    Literal,
    Operator,
    Program,
    ShapeError,
    Splat,
    TensorType,
    UnsupportedOperatorError,
    Var,
    ops,
    trace_program,
)
from slope_backend_numpy import memory
from slope_backend_numpy.backend import NumpyBackend
from slope_backend_numpy.lower import kernels

F32 = dtypes.float32
VECTOR = TensorType((3,), F32)


def test_handles_are_the_arrays_themselves(backend):
    array = np.arange(6).reshape(2, 3).T
    assert backend.from_host(array, CPU) is array
    assert backend.to_host(array) is array
    scalar = backend.scalar(2, dtypes.bfloat16, CPU)
    assert (scalar.shape, scalar.dtype, float(scalar)) == ((), ml_dtypes.bfloat16, 2.0)


def test_outputs_of_every_kind(backend):
    x, out = Var(VECTOR), Var(VECTOR)
    number = Literal(1.5, TensorType((2, 2), F32))
    program = Program([x], [], [Instr(ops.neg, (x,), {}, (out,))], [x, out, out, number, number])
    array = np.arange(3, dtype=np.float32)
    same, first, again, literal, literal_again = backend.compile(program, CPU, {})([array])
    assert same is array
    np.testing.assert_array_equal(first, -array)
    np.testing.assert_array_equal(again, -array)
    np.testing.assert_array_equal(literal, np.full((2, 2), 1.5, np.float32))
    assert literal.flags.writeable
    assert not np.shares_memory(literal, literal_again)


def test_programs_without_inputs_instructions_or_outputs(backend):
    assert backend.compile(Program([], [], [], []), CPU, {})([]) == ()
    assert (
        len(backend.compile(Program([Var(VECTOR)], [], [], []), CPU, {})([np.zeros(3, np.float32)]))
        == 0
    )
    iota = trace_program(lambda: (ops.iota(shape=(2, 3), dim=0, dtype=dtypes.int64),), [])
    executable = backend.compile(iota, CPU, {})
    (first,), (second,) = executable([]), executable([])
    np.testing.assert_array_equal(first, [[0, 0, 0], [1, 1, 1]])
    first[...] = 7
    np.testing.assert_array_equal(second, [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(executable([])[0], second)


def test_constants_that_are_returned_are_copied(backend):
    program = trace_program(lambda: (ops.iota(shape=(3,), dim=0, dtype=dtypes.int64),), [])
    executable = backend.compile(program, CPU, {})
    executable([])[0][...] = 9
    np.testing.assert_array_equal(executable([])[0], [0, 1, 2])


def test_results_of_shape_nothing_are_arrays(compiled):
    x = np.arange(3, dtype=np.float32)

    def function(a):
        total = ops.sum_(a, dim=(0,))
        return (
            total,
            ops.add(total, total),
            ops.reshape(total, shape=(1, 1)),
            ops.cast(total, dtype=dtypes.int8),
        )

    results = compiled(function, x)([x])
    assert [type(each) for each in results] == [np.ndarray] * 4
    assert [each.tolist() for each in results] == [3.0, 6.0, [[3.0]], 3]


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_literals_keep_every_bit(backend, dtype):
    numbers = [0, 1, 100]
    if dtype.is_floating_point:
        numbers += [-0.0, 0.1, 1 / 3, 1e-5, 6e-8, 1e300, math.inf, -math.inf, math.nan]
    if dtype.is_integer:
        numbers += [-1, 255, 2**31, 2**63, 2**64 - 1]
    program = Program([], [], [], [Literal(each, TensorType((2,), dtype)) for each in numbers])
    for number, result in zip(numbers, backend.compile(program, CPU, {})([]), strict=True):
        assert result.tobytes() == Splat(number, TensorType((2,), dtype)).host().tobytes()


def test_the_code_is_short_and_runs(compiled):
    x = np.ones(3, np.float32)
    executable = compiled(lambda a: (ops.add(a, Splat(0.1, a.type)),), x)
    assert executable.code == (
        "float32_0p1_0d = np.asarray(np.float32(0.1))\n\n"
        '@np.errstate(all="ignore")\n'
        "def program(x0):\n"
        "    # x0: float32[3]\n"
        "    t1 = np.add(x0, float32_0p1_0d)  # float32[3]\n"
        "    return (t1,)\n"
    )
    namespace: dict[str, Any] = {"np": np}
    exec(executable.code, namespace)
    np.testing.assert_array_equal(namespace["program"](x)[0], executable([x])[0])


def test_broadcasts_are_not_written_out(compiled):
    x, y = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    executable = compiled(
        lambda a, b: (ops.add(a, ops.broadcast(b, shape=(4, 3), dims=(1,))),), x, y
    )
    assert "np.add(x0, x1)" in executable.code
    alone = compiled(lambda b: (ops.neg(ops.broadcast(b, shape=(4, 3), dims=(1,))),), y)
    (result,) = alone([y])
    assert (result.shape, result.flags.writeable, result.strides) == ((4, 3), True, (12, 4))


def test_equal_constants_are_kept_once(compiled):
    x = np.ones((4, 3), np.float32)
    executable = compiled(lambda a: (ops.sum_(a, dim=(0,)), ops.sum_(ops.neg(a), dim=(0,))), x)
    assert executable.code.count("# ones") == 1


def test_a_reshaped_broadcast_is_an_array_of_its_own(compiled):
    y = np.arange(4.0)
    executable = compiled(
        lambda b: (ops.reshape(ops.broadcast(b, shape=(3, 4), dims=(1,)), shape=(3, 2, 2)),), y
    )
    (result,) = executable([y])
    np.testing.assert_array_equal(result, np.tile(y.reshape(1, 2, 2), (3, 1, 1)))
    assert not np.shares_memory(result, y)


def test_threads_may_call_at_once(compiled):
    x = np.arange(10000, dtype=np.float64)
    executable = compiled(lambda a: (ops.sin(ops.add(ops.mul(a, a), a)),), x)
    wrong = []

    def work(seed):
        mine = x + seed
        wanted = np.sin(mine * mine + mine)
        wrong.extend(not np.array_equal(executable([mine])[0], wanted) for _ in range(30))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not any(wrong)


def test_a_program_of_50000_instructions(compiled):
    def function(x):
        kept = []
        for _ in range(25_000):
            x = ops.neg(x)
            kept.append(x)
        for each in reversed(kept):
            x = ops.maximum(x, each)
        return (x,)

    x = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(compiled(function, x)([x])[0], x)


def test_inputs_of_any_layout(compiled):
    x = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::-1, :, 1:]

    def function(a):
        moved = ops.bitcast(ops.reshape(a, shape=(4, 4)), dtype=dtypes.int64)
        return (
            ops.bitcast(moved, dtype=dtypes.float64),
            ops.sum_(a, dim=(0,)),
            ops.sum_(a, dim=(1, 2)),
        )

    first, second, third = compiled(function, x)([x])
    np.testing.assert_array_equal(first, x.reshape(4, 4))
    np.testing.assert_array_equal(second, x.sum(0))
    np.testing.assert_array_equal(third, x.sum((1, 2)))


# --- strangers' rules and errors


class Softplus(Operator):
    name = "softplus_of_a_stranger"

    def infer(self, *types, **params):
        return types[0]


def test_a_rule_of_a_strangers_operator():
    softplus = Softplus()
    program = trace_program(lambda x: (softplus(x),), [VECTOR])
    backend = NumpyBackend()
    assert not backend.lowers(softplus)
    with pytest.raises(
        UnsupportedOperatorError,
        match="no lowering for the operator 'softplus_of_a_stranger'; define its expand",
    ):
        backend.compile(program, CPU, {})

    def rule(context, x):
        return context.ufunc("np.logaddexp", x, context.scalar(0.0, x.dtype))

    backend.add_lowerings({"softplus_of_a_stranger": rule})
    assert backend.lowers(softplus)
    x = np.array([-1, 0, 1], np.float32)
    np.testing.assert_allclose(
        backend.compile(program, CPU, {})([x])[0], np.log1p(np.exp(x)), rtol=1e-6
    )


def test_symbolic_dimensions_are_taken_from_arguments(backend):
    program = trace_program(lambda x: (ops.neg(x),), [TensorType((Dim("batch"), 3), F32)])
    executable = backend.compile(program, CPU, {})
    for count in (1, 4):
        (out,) = executable([np.ones((count, 3), np.float32)])
        assert out.tolist() == [[-1.0] * 3] * count


def test_symbolic_dimensions_that_no_argument_has_are_refused(backend):
    batch = Dim("batch")
    program = trace_program(
        lambda x: (ops.reshape(x, shape=(batch, 2)),), [TensorType((2 * batch,), F32)]
    )
    with pytest.raises(ShapeError, match=r"the dimension batch is that of no input of 'program'"):
        backend.compile(program, CPU, {})


def test_other_devices_and_options_are_refused(backend):
    program = trace_program(lambda x: (ops.neg(x),), [VECTOR])
    with pytest.raises(DeviceError, match="runs on cpu:0 alone, and was asked for cuda:0"):
        backend.compile(program, Device("cuda"), {})
    with pytest.raises(DeviceError, match="runs on cpu:0 alone"):
        backend.from_host(np.zeros(3), Device("cuda"))
    with pytest.raises(CompileError, match="no options, and got fast"):
        backend.compile(program, CPU, {"fast": True})


def test_version_names_numpy(backend):
    assert backend.version().startswith(f"numpy {np.__version__}")


# --- kernels


def test_erf_is_exact_to_rounding():
    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 0, 300), [0.46875, 6.0, 40.0]])
    wanted = np.array([math.erf(each) for each in x])
    np.testing.assert_allclose(kernels.erf(x), wanted, rtol=1e-15)
    single = x[np.abs(x) > 1e-30].astype(np.float32)
    wanted = np.array([math.erf(each) for each in single.tolist()])
    np.testing.assert_allclose(kernels.erf(single), wanted, rtol=5e-7)
    ends = kernels.erf(np.array([math.inf, -math.inf, math.nan, -0.0]))
    np.testing.assert_array_equal(ends, [1, -1, math.nan, -0.0])
    assert np.signbit(ends[3])


def test_float64_to_bfloat16_rounds_once():
    halfway = (
        1 + 2.0**-8
    )  # between 1 and the next bfloat16; float32 rounds what lies a little above down to it
    x = np.array(
        [
            halfway,
            halfway + 2.0**-40,
            halfway - 2.0**-40,
            -halfway - 2.0**-40,
            1e300,
            -math.inf,
            math.nan,
            -0.0,
        ]
    )
    with np.errstate(all="ignore"):
        result = kernels.float64_to_bfloat16(x).astype(np.float64)
    above = 1 + 2.0**-7
    np.testing.assert_array_equal(
        result, [1, above, 1, -above, math.inf, -math.inf, math.nan, -0.0]
    )


def test_choices_by_bits_agree_with_where():
    rng = np.random.default_rng(0)
    for dtype in dtypes.ALL:
        condition = rng.integers(0, 2, (5, 4)).astype(bool)
        x, y = (rng.integers(0, 2, (5, 4)).astype(dtype.numpy) for _ in range(2))
        np.testing.assert_array_equal(kernels.select(condition, x, y), np.where(condition, x, y))
        np.testing.assert_array_equal(
            kernels.select(condition[0], x[:, :1], y[0]), np.where(condition[0], x[:, :1], y[0])
        )
        np.testing.assert_array_equal(
            kernels.masked(condition, x), np.where(condition, x, np.zeros((), dtype.numpy))
        )
        assert kernels.masked(condition, x, out=x) is not None
        np.testing.assert_array_equal(x[~condition], 0)


# --- the allocator


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the hint is glibc's")
@pytest.mark.parametrize(("setting", "wanted"), [("0", "False"), ("1", "True")])
def test_the_allocator_hint_can_be_turned_off(setting, wanted):
    code = "from slope_backend_numpy.memory import tune_allocator; print(tune_allocator())"
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "SLOPE_NUMPY_MALLOPT": setting, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == wanted


def test_the_allocator_is_tuned_once(monkeypatch):
    first = memory.tune_allocator()
    monkeypatch.setenv("SLOPE_NUMPY_MALLOPT", "0")
    assert memory.tune_allocator() is first
