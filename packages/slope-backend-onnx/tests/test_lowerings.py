"""Every operator on ONNX Runtime gives what the NumPy backend gives, in every dtype."""

from __future__ import annotations

import threading

import numpy as np
import onnxruntime
import pytest

from slope import dtypes
from slope.core.operator import OPERATORS
from slope.dtypes import ALL, DType, as_dtype
from slope.extend import (
    CPU,
    CompileError,
    Device,
    DeviceError,
    Splat,
    TensorType,
    UnsupportedOperatorError,
    ops,
    trace_program,
)
from slope.lowering import lower_program
from slope_backend_onnx.backend import OnnxRuntimeBackend


def arguments(bench, op, sample, dtype: DType | None):
    """A sample's arguments in another dtype, but for indices and conditions."""
    kept = {
        "gather_slices": (1,),
        "scatter_slices": (1,),
        "where": (0,),
        "dynamic_slice": range(1, 9),
        "dynamic_update_slice": range(2, 9),
    }.get(op.name, ())
    return [
        np.asarray(x) if dtype is None or number in kept else bench.as_array(x, dtype)
        for number, x in enumerate(sample.args)
    ]


def programs(bench, op, dtype: DType | None, supports):
    """Programs for each sample that the operator takes in this dtype."""
    for sample in op.samples():
        if dtype is not None and (not sample.args or sample.params.get("value") == float("-inf")):
            continue

        def call(*xs, params=sample.params):
            out = op(*xs, **params)
            return out if op.multiple else (out,)

        args = arguments(bench, op, sample, dtype)
        try:
            program = bench.traced(call, args)
        except (dtypes.DTypeError, ValueError):  # the operator takes other dtypes
            continue
        if supports(op, as_dtype(args[-1].dtype) if args else dtypes.float32):
            yield program, args


LOWERED = [name for name in OPERATORS if name in OnnxRuntimeBackend().lowerings]


@pytest.mark.parametrize("name", LOWERED)
def test_operator_agrees_with_numpy_in_every_dtype(bench, name, backend, reference):
    op = OPERATORS[name]
    count = 0
    for dtype in (None, *ALL):
        for program, args in programs(bench, op, dtype, backend.supports):
            wanted = bench.run(reference, lower_program(program, reference), args)
            for got, want in zip(bench.run(backend, program, args), wanted, strict=True):
                # The epsilon of ONNX's normalizations is a float32 in float64, too.
                coarse = "normalize" in name or name == "standardize"
                near = 1e-12 if coarse and got.dtype == np.float64 else None
                bench.assert_same(got, want, near)
            count += 1
    assert count or not backend.supports(op, dtypes.float32)


def test_every_operator_is_lowered_or_expanded(backend):
    missing = [
        name
        for name, op in OPERATORS.items()
        if not (backend.lowers(op) or op.has("expand") or op.runs_on_host())
    ]
    # A call is inlined before, and the host runs the others between programs.
    assert set(missing) <= {"call", "debug_callback", "debug_print", "host_call"}


def test_what_is_declared_unsupported_is_exactly_this(backend):
    denied = {
        (name, dtype.name)
        for name in LOWERED
        for dtype in ALL
        if not backend.supports(OPERATORS[name], dtype)
    }
    version = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
    divided = {(name, "uint64") for name in ("truncate_divide", "floor_divide")}
    cast = {("bitcast", dtype.name) for dtype in ALL}
    # Of the versions between these two it is not known where the kernels came in.
    assert denied == set() if version >= (1, 31) else denied <= divided | cast
    if version < (1, 21):
        assert denied == divided | cast


def test_results_that_are_not_computed(backend):
    kind = TensorType((2, 3), dtypes.float32)

    def function(x, y):
        total = ops.add(x, y)
        return (
            x,
            Splat(2.5, kind),
            total,
            total,
            y,
            ops.stop_gradient(x),
            ops.broadcast(ops.sum_(x, dim=(0, 1)), shape=(2,), dims=()),
        )

    x, y = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    out = backend.compile(trace_program(function, [kind, kind]), CPU, {})([x, y])
    assert out[0] is x
    assert out[4] is y
    assert out[5] is x
    assert out[1].tolist() == np.full((2, 3), 2.5).tolist()
    assert out[2].tolist() == out[3].tolist() == np.full((2, 3), 3).tolist()
    assert out[6].tolist() == [6, 6]


def test_programs_without_inputs_or_instructions(backend):
    kind = TensorType((3,), dtypes.int64)
    counted = trace_program(lambda: (ops.iota(shape=(2, 2000), dim=1, dtype=dtypes.int32),), [])
    assert backend.compile(counted, CPU, {})([])[0].tolist() == [list(range(2000))] * 2
    assert list(backend.compile(trace_program(lambda x: (), [kind]), CPU, {})([np.arange(3)])) == []
    x = np.arange(3)
    assert backend.compile(trace_program(lambda x: (x, x), [kind]), CPU, {})([x]) == [
        x,
        x,
    ]


def test_unused_inputs_do_not_enter_the_graph(backend):
    kind = TensorType((3,), dtypes.float32)
    executable = backend.compile(
        trace_program(lambda x, y, z: (ops.add(x, z),), [kind] * 3), CPU, {}
    )
    assert [each.name for each in executable.model().graph.input] == ["x0", "x2"]
    x = np.ones(3, np.float32)
    assert executable([x, None, x])[0].tolist() == [2, 2, 2]


def test_a_result_shares_no_memory_with_an_input(bench, backend):
    x = np.arange(6, dtype=np.float32)
    program = bench.traced(
        lambda x: (
            ops.reshape(x, shape=(2, 3)),
            ops.reshape(ops.reshape(x, shape=(2, 3)), shape=(6,)),
        ),
        [x],
    )
    first, second = bench.run(backend, program, [x])
    assert not np.shares_memory(first, x)
    assert second.tolist() == x.tolist()


def test_code_is_the_graph_as_text(bench, backend):
    x = np.ones((2, 3), np.float32)
    executable = backend.compile(bench.traced(lambda x: (ops.exp(x),), [x]), CPU, {})
    assert "Exp" in executable.code
    assert "float[2,3]" in executable.code


def test_threads_may_call_at_once(bench, backend):
    x = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    program = bench.traced(
        lambda x: (ops.dot_general(x, x, contract=((1,), (0,)), batch=((), ())),), [x]
    )
    executable = backend.compile(program, CPU, {})
    wrong: list[float] = []

    def work(scale):
        for _ in range(50):
            error = np.abs(executable([x * scale])[0] - (x * scale) @ (x * scale)).max()
            if error > 1e-2:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(np.float32(scale),)) for scale in (0.5, 1, 2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


@pytest.mark.parametrize("dtype", ALL)
def test_scalars(backend, dtype):
    value = {"b": True, "f": 1.5}.get(dtype.kind, 3)
    host = backend.to_host(backend.scalar(value, dtype, CPU))
    assert host.dtype == dtype.numpy
    assert host.shape == ()
    assert host == value


def test_an_unknown_option_is_refused(bench, backend):
    x = np.ones(3, np.float32)
    with pytest.raises(CompileError, match="no options speed; it has threads, optimize"):
        backend.compile(bench.traced(lambda x: (ops.exp(x),), [x]), CPU, {"speed": 1})


def test_a_device_that_is_not_there_is_refused(bench, backend):
    x = np.ones(3, np.float32)
    with pytest.raises(DeviceError, match="metal:0"):
        backend.from_host(x, Device("metal", 0))
    with pytest.raises(DeviceError, match="metal:0"):
        backend.compile(bench.traced(lambda x: (ops.exp(x),), [x]), Device("metal", 0), {})


def test_an_operator_without_a_rule_is_refused(bench, backend):
    x = np.ones(3, np.float32)
    program = bench.traced(lambda x: (ops.exp(x),), [x])
    rule = backend.lowerings.pop("exp")
    try:
        with pytest.raises(
            UnsupportedOperatorError, match="no lowering rule for the operator 'exp'"
        ):
            backend.compile(program, CPU, {})
    finally:
        backend.lowerings["exp"] = rule


def test_a_rule_that_builds_nonsense_is_named(bench, backend):
    x = np.ones(3, np.float32)
    program = bench.traced(lambda x: (ops.exp(x),), [x])
    rule = backend.lowerings["exp"]
    try:
        backend.add_lowerings({"exp": lambda cx, x: cx.op("Exp", "nowhere")})
        with pytest.raises(CompileError, match="the lowering rule of 'exp'"):
            backend.compile(program, CPU, {})
        backend.add_lowerings({"exp": lambda cx, x: cx.op("NoSuchOperator", cx.full(x))})
        with pytest.raises(CompileError, match="NoSuchOperator"):
            backend.compile(program, CPU, {})
    finally:
        backend.lowerings["exp"] = rule
