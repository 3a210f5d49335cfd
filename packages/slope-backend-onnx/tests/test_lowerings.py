"""Every operator on ONNX Runtime gives what the NumPy backend gives, in every dtype."""

from __future__ import annotations

import threading

import ml_dtypes
import numpy as np
import onnxruntime
import pytest

import slope
from slope import dtypes
from slope.core.operator import OPERATORS
from slope.dtypes import ALL, DType, as_dtype
from slope.extend import (
    CPU,
    CompileError,
    Device,
    DeviceError,
    Operator,
    Splat,
    TensorType,
    UnsupportedOperatorError,
    ops,
    trace_program,
)
from slope_backend_numpy.backend import NumpyBackend
from slope_backend_onnx.backend import OnnxRuntimeBackend
from slope_backend_onnx.lower.kernels import channel_block
from slope_backend_onnx.lower.program import work
from slope_backend_onnx.runtime import SMALL_WORK

# Relative and absolute, by result dtype. ONNX Runtime's exp, tanh, erf and sigmoid are polynomials
# of a few units of rounding.
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-6, "float64": 1e-13}


@pytest.fixture(scope="module")
def backend():
    return OnnxRuntimeBackend()


@pytest.fixture(scope="module")
def reference():
    return NumpyBackend()


def traced(function, args):
    return trace_program(function, [TensorType(x.shape, as_dtype(x.dtype)) for x in args])


def run(backend, program, args):
    handles = [backend.from_host(x, CPU) for x in args]
    with np.errstate(all="ignore"):
        return [backend.to_host(x) for x in backend.compile(program, CPU, {})(handles)]


def assert_same(got, wanted, tolerance=None):
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    near = TOLERANCE.get(got.dtype.name, 0) if tolerance is None else tolerance
    if near:
        got, wanted = got.astype(np.float64), wanted.astype(np.float64)
        np.testing.assert_allclose(got, wanted, rtol=near, atol=near)
    else:
        np.testing.assert_array_equal(got, wanted)


def as_array(values, dtype: DType):
    array = np.asarray(values)
    if dtype.is_integer and array.dtype.kind not in "biu":
        array = np.nan_to_num(array, posinf=100, neginf=-100)
    if dtype.kind == "u":
        array = np.abs(array.astype(np.float64) if array.dtype.kind == "b" else array)
    with np.errstate(all="ignore"):
        return np.array(array.astype(dtype.numpy), order="C")


def arguments(op, sample, dtype: DType | None):
    """A sample's arguments in another dtype, but for indices and conditions."""
    kept = {
        "gather_slices": (1,),
        "scatter_slices": (1,),
        "where": (0,),
        "dynamic_slice": range(1, 9),
        "dynamic_update_slice": range(2, 9),
    }.get(op.name, ())
    return [
        np.asarray(x) if dtype is None or number in kept else as_array(x, dtype)
        for number, x in enumerate(sample.args)
    ]


def programs(op, dtype: DType | None, supports):
    """Programs for each sample that the operator takes in this dtype."""
    for sample in op.samples():
        if dtype is not None and (not sample.args or sample.params.get("value") == float("-inf")):
            continue

        def call(*xs, params=sample.params):
            out = op(*xs, **params)
            return out if op.multiple else (out,)

        args = arguments(op, sample, dtype)
        try:
            program = traced(call, args)
        except (dtypes.DTypeError, ValueError):  # the operator takes other dtypes
            continue
        if supports(op, as_dtype(args[-1].dtype) if args else dtypes.float32):
            yield program, args


LOWERED = [name for name in OPERATORS if name in OnnxRuntimeBackend().lowerings]


@pytest.mark.parametrize("name", LOWERED)
def test_operator_agrees_with_numpy_in_every_dtype(name, backend, reference):
    op = OPERATORS[name]
    if not reference.lowers(op):
        pytest.skip(f"{name} is expanded for numpy")
    count = 0
    for dtype in (None, *ALL):
        for program, args in programs(op, dtype, backend.supports):
            wanted = run(reference, program, args)
            for got, want in zip(run(backend, program, args), wanted, strict=True):
                assert_same(got, want)
            count += 1
    assert count or not backend.supports(op, dtypes.float32)


def test_every_operator_is_lowered_or_expanded(backend):
    missing = [
        name for name, op in OPERATORS.items() if not backend.lowers(op) and not op.has("expand")
    ]
    assert set(missing) <= {"call"}  # a call is inlined before


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


# --- meanings that ONNX or ONNX Runtime would give differently


def unary(backend, op, values, kind: type[np.generic] = np.float32, **params):
    args = [np.array(values, kind)]
    return run(backend, traced(lambda x: (op(x, **params),), args), args)[0]


def binary(backend, op, xs, ys, dtype):
    args = [np.array(xs, dtype), np.array(ys, dtype)]
    return run(backend, traced(lambda x, y: (op(x, y),), args), args)[0]


@pytest.mark.parametrize("length", [2, 5, 40])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_nan_wins_in_extrema_wherever_it_stands(backend, length, dtype, place):
    values = np.arange(length).astype(dtype)
    values[place] = np.nan
    assert np.isnan(unary(backend, ops.amax, values, dtype, dim=(0,)).astype(float))
    assert np.isnan(unary(backend, ops.amin, values, dtype, dim=(0,)).astype(float))
    assert unary(backend, ops.argmax, values, dtype, dim=0) == place % length
    assert unary(backend, ops.argmin, values, dtype, dim=0) == place % length


def test_infinities_are_no_nan_in_extrema(backend):
    values = [np.inf, -np.inf, 3e38, 3e38]
    assert unary(backend, ops.amax, values, dim=(0,)) == np.inf
    assert unary(backend, ops.amin, values, dim=(0,)) == -np.inf
    assert unary(backend, ops.argmin, values, dim=0) == 1


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_division_that_would_end_the_process(backend, dtype):
    low = np.iinfo(dtype).min
    xs, ys = [7, -7, low, low, 0, low], [0, 0, 0, -1, 0, 3]
    third = -(-int(low) // 3)
    assert binary(backend, ops.truncate_divide, xs, ys, dtype).tolist() == [
        0,
        0,
        0,
        low,
        0,
        third,
    ]
    floor = int(low) // 3
    assert binary(backend, ops.floor_divide, xs, ys, dtype).tolist() == [
        0,
        0,
        0,
        low,
        0,
        floor,
    ]
    rest = int(low) - third * 3
    assert binary(backend, ops.fmod, xs, ys, dtype).tolist() == [0, 0, 0, 0, 0, rest]
    assert binary(backend, ops.remainder, xs, ys, dtype).tolist() == [
        0,
        0,
        0,
        0,
        0,
        int(low) % 3,
    ]


def test_remainders_of_large_integers_are_exact(backend):
    assert binary(
        backend, ops.fmod, [2**62 + 1, -(2**62) - 1], [2**61, 2**61], np.int64
    ).tolist() == [1, -1]
    assert binary(backend, ops.fmod, [2**64 - 1], [2**63], np.uint64).tolist() == [2**63 - 1]


@pytest.mark.parametrize("number", [0, -1, 3, -3])
def test_division_by_a_literal(backend, number, reference):
    x = np.array([7, -7, 0, -(2**63), 2**63 - 1], np.int64)
    for op in (ops.truncate_divide, ops.floor_divide, ops.fmod, ops.remainder):
        program = traced(lambda x, op=op: (op(x, Splat(number, x.type)),), [x])
        if reference.lowers(op):
            assert_same(run(backend, program, [x])[0], run(reference, program, [x])[0])


@pytest.mark.parametrize("target", [each for each in ALL if each.is_integer])
@pytest.mark.parametrize("source", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_casts_to_integers_saturate(backend, source, target):
    with np.errstate(over="ignore"):
        values = np.array(
            [
                np.nan,
                np.inf,
                -np.inf,
                1e30,
                -1e30,
                -1.5,
                1.5,
                2.0**31,
                2.0**32,
                2.0**63,
            ],
            source,
        )
    limits = np.iinfo(target.numpy)
    wanted = [0 if np.isnan(x) else int(np.clip(x, -1e30, 1e30)) for x in values.astype(np.float64)]
    got = unary(backend, ops.cast, values, source, dtype=target)
    assert got.tolist() == [min(max(each, limits.min), limits.max) for each in wanted]


def test_int64_where_only_the_lower_halves_differ(backend):
    a, b = [1, 2**31 + 5, 2**33], [2**31, 7, 2**33 + 2**31]
    assert binary(backend, ops.maximum, a, b, np.int64).tolist() == [
        2**31,
        2**31 + 5,
        2**33 + 2**31,
    ]
    assert binary(backend, ops.minimum, a, b, np.int64).tolist() == [1, 7, 2**33]
    mixed = np.array([[2**31 + 5, 3, 2**32 - 1, 9]] * 2, np.int64)
    for dtype in (np.int64, np.uint64, np.uint32):
        assert unary(backend, ops.amax, mixed, dtype, dim=(1,)).tolist() == [2**32 - 1] * 2
        assert unary(backend, ops.amin, mixed, dtype, dim=(1,)).tolist() == [3, 3]
        assert unary(backend, ops.amax, mixed, dtype, dim=(0, 1)) == 2**32 - 1
        assert unary(backend, ops.argmax, mixed, dtype, dim=1).tolist() == [2, 2]
    assert unary(backend, ops.sign, [2**31, -(2**31) - 1, 0], np.int64).tolist() == [
        1,
        -1,
        0,
    ]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint32, np.uint64])
def test_sums_and_products_of_integers_wrap_around(backend, dtype):
    values = np.full((2, 5), np.iinfo(dtype).max - 2, dtype)
    for dim in ((0,), (1,), (0, 1)):
        assert_same(
            unary(backend, ops.sum_, values, dtype, dim=dim),
            values.sum(axis=dim, dtype=dtype),
        )
        assert_same(
            unary(backend, ops.prod, values, dtype, dim=dim),
            values.prod(axis=dim, dtype=dtype),
        )


@pytest.mark.parametrize("mode", ["set", "add", "max", "min"])
def test_scatter_combines_repeated_places_on_many_threads(backend, reference, mode):
    random = np.random.default_rng(0)
    args = [
        np.zeros((3, 64), np.float32),
        random.integers(0, 3, (20_000, 1)),
        np.round(random.normal(size=(20_000, 64)) * 8).astype(
            np.float32
        ),  # whole numbers add up exactly
    ]
    program = traced(lambda x, i, u: (ops.scatter(x, i, u, axis=0, batch_dims=0, mode=mode),), args)
    assert_same(run(backend, program, args)[0], run(reference, program, args)[0], tolerance=0)


@pytest.mark.parametrize("dtype", [each for each in ALL if each.is_integer])
def test_shifts_by_the_width_and_more(backend, reference, dtype):
    xs = (
        as_array([1, 5, 100, -1, -100, -3, 7, 1], dtype)
        if dtype.kind == "i"
        else as_array([1, 5, 100, 255, 128, 3, 7, 1], dtype)
    )
    ys = as_array([0, 1, dtype.bits - 1, dtype.bits, dtype.bits + 1, 1, 3, dtype.bits - 1], dtype)
    for op in (ops.shift_left, ops.shift_right_logical, ops.shift_right_arithmetic):
        program = traced(lambda x, y, op=op: (op(x, y),), [xs, ys])
        assert_same(run(backend, program, [xs, ys])[0], run(reference, program, [xs, ys])[0])
        for amount in (0, 3, dtype.bits):
            literal = traced(lambda x, op=op, amount=amount: (op(x, Splat(amount, x.type)),), [xs])
            assert_same(run(backend, literal, [xs])[0], run(reference, literal, [xs])[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_that_onnx_lacks(backend, dtype):
    near = {np.float32: 1e-6, np.float64: 1e-14}[dtype]
    x = np.array([-0.9, -1e-10, 0, 1e-20, 1e-10, 1e-5, 0.3, 1, 50, 1e30, np.inf, np.nan], dtype)
    with np.errstate(all="ignore"):
        assert_same(unary(backend, ops.log1p, x, dtype), np.log1p(x), tolerance=near)
        assert_same(
            unary(backend, ops.log1p, [-1, -2], dtype),
            np.array([-np.inf, np.nan], dtype),
            tolerance=near,
        )
        for each in (ops.expm1,):
            got, wanted = unary(backend, each, x, dtype), np.expm1(x)
            np.testing.assert_allclose(got, wanted, rtol=near * 3)
    assert unary(backend, ops.sign, [np.nan, -2, 0, 3], dtype).tolist()[1:] == [
        -1,
        0,
        1,
    ]
    assert np.isnan(unary(backend, ops.sign, [np.nan, 1], dtype)[0])
    assert unary(backend, ops.round_, [0.5, 1.5, -2.5], dtype).tolist() == [0, 2, -2]
    assert unary(backend, ops.trunc, [-1.7, 1.7, -np.inf], dtype).tolist() == [
        -1,
        1,
        -np.inf,
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_atan2_and_erf_in_every_region(backend, dtype):
    import math

    special = [0.0, -0.0, 1.0, -1.0, 1e-30, 3.0, -3.0, 1e30, np.inf, -np.inf]
    y, x = (
        np.array(each, dtype)
        for each in zip(*[(a, b) for a in special for b in special], strict=True)
    )
    near = {np.float32: 5e-7, np.float64: 2e-15}[dtype]
    assert_same(binary(backend, ops.atan2, y, x, dtype), np.arctan2(y, x), tolerance=near)
    values = np.array([*np.linspace(-7, 7, 57), 1e-8, np.inf, -np.inf], dtype)
    wanted = np.array([math.erf(each) for each in values], dtype)
    assert_same(unary(backend, ops.erf, values, dtype), wanted, tolerance=near)


def test_indices_are_clamped(backend):
    x = np.arange(4, dtype=np.float32)
    for dtype, indices in (
        (np.int64, [-(2**40), 2**40, 3]),
        (np.uint64, [0, 2**64 - 1, 3]),
        (np.uint32, [0, 2**32 - 1, 3]),
    ):
        args = [x, np.array(indices, dtype)[:, None]]
        program = traced(lambda x, i: (ops.gather(x, i, axis=0, batch_dims=0),), args)
        assert run(backend, program, args)[0].tolist() == [0, 3, 3]


def test_contractions_need_no_transpose(backend):
    x, dy, w = (TensorType(shape, dtypes.float32) for shape in ((8, 5), (8, 3), (5, 3)))
    none = ((), ())
    program = trace_program(
        lambda x, dy, w: (
            ops.dot_general(x, dy, contract=((0,), (0,)), batch=none),
            ops.dot_general(dy, w, contract=((1,), (1,)), batch=none),
        ),
        [x, dy, w],
    )
    nodes = [node.op_type for node in backend.compile(program, CPU, {}).model().graph.node]
    assert nodes == ["Gemm", "Gemm"]


def test_broadcasts_are_not_repeated(backend):
    program = trace_program(
        lambda x, b: (
            ops.mul(
                ops.add(x, ops.broadcast(b, shape=(4, 3), dims=(1,))),
                Splat(2.0, x.type),
            ),
        ),
        [TensorType((4, 3), dtypes.float32), TensorType((3,), dtypes.float32)],
    )
    nodes = [node.op_type for node in backend.compile(program, CPU, {}).model().graph.node]
    assert nodes == ["Add", "Mul"]


# --- programs as a whole


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


def test_a_result_shares_no_memory_with_an_input(backend):
    x = np.arange(6, dtype=np.float32)
    program = traced(
        lambda x: (
            ops.reshape(x, shape=(2, 3)),
            ops.reshape(ops.reshape(x, shape=(2, 3)), shape=(6,)),
        ),
        [x],
    )
    first, second = run(backend, program, [x])
    assert not np.shares_memory(first, x)
    assert second.tolist() == x.tolist()


def test_code_is_the_graph_as_text(backend):
    x = np.ones((2, 3), np.float32)
    executable = backend.compile(traced(lambda x: (ops.exp(x),), [x]), CPU, {})
    assert "Exp" in executable.code
    assert "float[2,3]" in executable.code


def test_threads_may_call_at_once(backend):
    x = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    program = traced(lambda x: (ops.dot_general(x, x, contract=((1,), (0,)), batch=((), ())),), [x])
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


# --- refusals


def test_an_unknown_option_is_refused(backend):
    x = np.ones(3, np.float32)
    with pytest.raises(CompileError, match="no options speed; it has threads, optimize"):
        backend.compile(traced(lambda x: (ops.exp(x),), [x]), CPU, {"speed": 1})


def test_a_device_that_is_not_there_is_refused(backend):
    x = np.ones(3, np.float32)
    with pytest.raises(DeviceError, match="metal:0"):
        backend.from_host(x, Device("metal", 0))
    with pytest.raises(DeviceError, match="metal:0"):
        backend.compile(traced(lambda x: (ops.exp(x),), [x]), Device("metal", 0), {})


def test_an_operator_without_a_rule_is_refused(backend):
    x = np.ones(3, np.float32)
    program = traced(lambda x: (ops.exp(x),), [x])
    rule = backend.lowerings.pop("exp")
    try:
        with pytest.raises(
            UnsupportedOperatorError, match="no lowering rule for the operator 'exp'"
        ):
            backend.compile(program, CPU, {})
    finally:
        backend.lowerings["exp"] = rule


def test_a_rule_that_builds_nonsense_is_named(backend):
    x = np.ones(3, np.float32)
    program = traced(lambda x: (ops.exp(x),), [x])
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


# --- composites that ONNX Runtime has whole


class Relu(Operator):
    name = "relu"

    def infer(self, x):
        return x


class Softmax(Operator):
    name = "softmax"

    def infer(self, x, *, dim):
        return x


class LogSoftmax(Operator):
    name = "log_softmax"

    def infer(self, x, *, dim):
        return x


class LogSumExp(Operator):
    name = "logsumexp"

    def infer(self, x, *, dim):
        return x.with_shape(x.shape[:dim] + x.shape[dim + 1 :])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("dim", [0, 1])
def test_composites(backend, dtype, dim):
    x = np.array(
        [[1, -2, 3], [1e3, 1e3, -1e3], [-np.inf, 0, 2], [-np.inf, -np.inf, -np.inf]], dtype
    )
    x = x if dim else x.T.copy()
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        top = wide.max(dim, keepdims=True)
        log_sum = np.log(np.exp(wide - np.where(np.isinf(top), 0, top)).sum(dim, keepdims=True))
        log_sum += np.where(np.isinf(top), 0, top)
        wanted = {
            Softmax(): np.exp(wide - log_sum),
            LogSoftmax(): wide - log_sum,
            LogSumExp(): log_sum.squeeze(dim),
        }
    for op, values in wanted.items():
        assert_same(unary(backend, op, x, dtype, dim=dim), values.astype(dtype))
    assert_same(unary(backend, Relu(), x, dtype), np.maximum(x, np.array(0, dtype)))


def test_logsumexp_keeps_infinities_and_nan(backend):
    x = [
        [np.inf, 0, 0],
        [-np.inf] * 3,
        [0, np.nan, 1],
        [3.3e38, 3.3e38, 0],
        [np.inf, np.inf, -np.inf],
    ]
    wanted = np.array([np.inf, -np.inf, np.nan, 3.3e38, np.inf], np.float32)
    assert_same(unary(backend, LogSumExp(), x, dim=1), wanted)


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("negated", [False, True])
def test_large_masks_hide_what_is_not_finite(backend, bad, negated):
    rng = np.random.default_rng(0)
    mask, x = rng.random((128, 128)) < 0.5, rng.standard_normal((128, 128)).astype("f4")
    if bad is not None:
        x[mask if negated else ~mask] = bad

    def chosen(m, x):
        zero = Splat(0.0, TensorType(x.shape, dtypes.float32))
        return ops.sum_(ops.where(m, *((zero, x) if negated else (x, zero))), dim=(1,))

    program = traced(lambda m, x: (chosen(m, x),), [mask, x])
    (got,) = run(backend, program, [mask, x])
    wanted = np.where(mask, *((0, x) if negated else (x, 0))).sum(1, dtype="f4")
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    executable = backend.compile(program, CPU, {})
    assert "If" in executable.code
    assert [node.op_type for node in executable.model().graph.node] == ["Where", "ReduceSum"]


def test_masked_zeros_keep_their_sign_where_it_is_seen(backend):
    x = -np.ones((128, 128), "f4")
    for read in (lambda y: y, lambda y: ops.div(Splat(1.0, y.type), y)):
        program = traced(
            lambda m, x, read=read: (read(ops.where(m, x, Splat(0.0, x.type))),), [x > 0, x]
        )
        assert not np.signbit(run(backend, program, [x > 0, x])[0]).any()


def test_blocked_convolutions_run_and_are_not_exported(backend, reference):
    shapes = ((2, 32, 9, 8), (16, 32, 3, 3))
    args = [np.random.default_rng(0).standard_normal(shape).astype("f4") for shape in shapes]

    def both(x, w):
        y = ops.conv(x, w, stride=(1, 1), padding=((1, 1), (0, 1)), dilation=(1, 1), groups=1)
        again = ops.conv_input_grad(
            y,
            w,
            input_size=(9, 8),
            stride=(1, 1),
            padding=((1, 1), (0, 1)),
            dilation=(1, 1),
            groups=1,
        )
        return y, again

    program = traced(both, args)
    for got, wanted in zip(run(backend, program, args), run(reference, program, args), strict=True):
        assert_same(got, wanted, 1e-3)
    model = backend.compile(program, CPU, {}).model()
    assert {node.domain for node in model.graph.node} == {""}
    if channel_block():
        assert "ReorderInput" in backend.compile(program, CPU, {}).code


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "size", "fits"),
    [
        ((1, 1), ((1, 1), (1, 1)), (1, 1), (7, 5), True),
        ((2, 2), ((1, 1), (1, 1)), (1, 1), (8, 8), True),
        ((2, 1), ((0, 1), (2, 0)), (1, 2), (9, 8), True),
        ((3, 3), ((0, 0), (0, 0)), (1, 1), (11, 8), False),  # windows leave rows out
    ],
)
def test_blocked_weight_gradients(backend, reference, stride, padding, dilation, size, fits):
    rng = np.random.default_rng(0)
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
    x, w = (rng.standard_normal(shape).astype("f4") for shape in ((16, 3, *size), (16, 3, 3, 3)))
    forward = traced(lambda x, w: (ops.conv(x, w, **params),), [x, w])
    (y,) = run(reference, forward, [x, w])
    program = traced(
        lambda x, y: (ops.conv_weight_grad(x, y, kernel_size=(3, 3), **params),), [x, y]
    )
    assert_same(run(backend, program, [x, y])[0], run(reference, program, [x, y])[0], 2e-4)
    if channel_block():
        assert ("ReorderInput" in backend.compile(program, CPU, {}).code) == fits


@pytest.mark.parametrize(
    ("channels", "groups", "kernel", "padding", "dilation", "size", "apart"),
    [
        ((4, 4), 1, (3, 3), ((1, 1), (1, 1)), (1, 1), (13, 12), True),
        ((8, 8), 2, (3, 2), ((2, 0), (1, 3)), (1, 1), (14, 13), True),
        ((8, 8), 4, (3, 3), ((1, 2), (0, 1)), (2, 3), (17, 18), True),
        ((6, 6), 6, (5, 5), ((2, 2), (2, 2)), (1, 1), (13, 13), True),
        ((3, 16), 1, (3, 3), ((1, 1), (1, 1)), (1, 1), (13, 12), False),  # few inputs
        ((5, 4), 1, (1, 1), ((0, 0), (0, 0)), (1, 1), (12, 12), False),
    ],
)
def test_weight_gradients_by_rows_and_columns(
    backend, reference, channels, groups, kernel, padding, dilation, size, apart
):
    rng = np.random.default_rng(0)
    params = {"stride": (1, 1), "padding": padding, "dilation": dilation, "groups": groups}
    into, outs = channels
    x = rng.standard_normal((2, into, *size)).astype("f4")
    w = rng.standard_normal((outs, into // groups, *kernel)).astype("f4")
    (y,) = run(reference, traced(lambda x, w: (ops.conv(x, w, **params),), [x, w]), [x, w])
    program = traced(
        lambda x, y: (ops.conv_weight_grad(x, y, kernel_size=kernel, **params),), [x, y]
    )
    assert_same(run(backend, program, [x, y])[0], run(reference, program, [x, y])[0], 2e-4)
    nodes = [node.op_type for node in backend.compile(program, CPU, {}).model().graph.node]
    assert nodes.count("Conv") == (2 if apart else int(kernel != (1, 1)))


@pytest.mark.parametrize(
    ("shape", "dim", "sums"),
    [((3, 2, 8, 8), (0, 2, 3), 2), ((3, 2, 64), (0, 2), 2), ((3, 2, 4), (0, 2), 1),
     ((3, 64), (0, 1), 1), ((3, 64), (1,), 1), ((64, 3, 2), (0,), 1)],
)  # fmt: skip
def test_sums_of_runs_come_first(backend, reference, shape, dim, sums):
    x = np.random.default_rng(0).standard_normal(shape).astype("f4")
    program = traced(lambda x: (ops.sum_(x, dim=dim),), [x])
    assert_same(run(backend, program, [x])[0], run(reference, program, [x])[0], 1e-5)
    nodes = [node.op_type for node in backend.compile(program, CPU, {}).model().graph.node]
    assert nodes == ["ReduceSum"] * sums


def test_threads_are_for_heavy_instructions():
    def step(length):
        x = np.zeros((length, length), "f4")
        return traced(lambda x: (ops.dot_general(x, x, contract=((1,), (0,))),), [x])

    small, large = step(32), step(256)
    assert work(small) == 2 * 32**3 < SMALL_WORK < work(large)

    def loop(x):
        return (scan_of(x, 10_000),)

    program = traced(loop, [np.zeros(4, "f4")])
    assert work(program) < SMALL_WORK  # many light instructions, one after the other


def scan_of(x, length):
    """A loop of so many light instructions."""
    return slope.fori_loop(0, length, lambda _, value: value * 2 + 1, x)


def test_a_normalization_its_scale_and_shift_are_one_node(backend):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype("f4") for shape in ((5, 3, 4), (3, 4), (3, 4)))
    step = slope.jit(
        lambda x, w, b: (slope.layer_norm(x, (3, 4), w, b), slope.rms_norm(x, (3, 4), w)),
        backend="onnxruntime",
    )
    lowered = step.lower(*map(slope.tensor, (x, w, b)))
    got = [each.numpy() for each in step(*map(slope.tensor, (x, w, b)))]
    mean, square = x.mean((1, 2), keepdims=True), (x * x).mean((1, 2), keepdims=True)
    deviation = np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(got[0], (x - mean) / deviation * w + b, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(got[1], x / np.sqrt(square) * w, rtol=2e-5, atol=2e-6)
    assert lowered.code.count("LayerNormalization") == 2
    assert "Mul" not in lowered.code


def test_a_normalization_with_another_shape_of_scale(backend):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype("f4") for shape in ((5, 4), (5, 4)))
    step = slope.jit(lambda x, w: slope.layer_norm(x, 4) * w + x, backend="onnxruntime")
    deviation = np.sqrt(x.var(1, keepdims=True) + 1e-5)
    wanted = (x - x.mean(1, keepdims=True)) / deviation * w + x
    got = step(slope.tensor(x), slope.tensor(w)).numpy()
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)


def test_a_gradient_shares_the_parts_of_gelu(backend):
    x = slope.tensor(np.linspace(-3, 3, 7, dtype="f4"))
    inference = slope.jit(slope.gelu, backend="onnxruntime").lower(x)
    training = slope.jit(
        slope.value_and_grad(lambda x: slope.gelu(x).sum()), backend="onnxruntime"
    ).lower(x)
    assert "Gelu" in inference.code
    assert "Gelu" not in training.code


@pytest.mark.parametrize("name", ["window_max", "window_sum"])
@pytest.mark.parametrize("bad", [None, np.nan, -np.inf, np.inf])
@pytest.mark.parametrize(
    ("window", "stride", "padding", "dilation"),
    [
        ((1, 1, 2, 2), (1, 1, 2, 2), ((0, 0),) * 4, (1, 1, 1, 1)),
        ((1, 1, 3, 2), (1, 1, 2, 1), ((0, 0), (0, 0), (1, 2), (0, 1)), (1, 1, 1, 1)),
        ((1, 1, 1, 2), (1, 1, 1, 2), ((0, 0),) * 4, (1, 1, 1, 2)),
        ((1, 2, 2, 1), (1, 2, 1, 1), ((0, 0),) * 4, (1, 1, 1, 1)),
        ((2, 2, 2, 2), (1, 1, 1, 1), ((0, 0),) * 4, (1, 1, 1, 1)),
        ((1, 1, 1, 2), (1, 1, 1, 1), ((0, 0), (0, 0), (0, 0), (2, 0)), (1, 1, 1, 1)),
    ],
)
def test_large_pools(backend, name, bad, window, stride, padding, dilation):
    x = np.random.default_rng(0).standard_normal((4, 8, 17, 16)).astype("f4")
    if bad is not None:
        x[:, 0, :3, 4:8] = bad
        x[1, 2, 3, 4] = bad
    params = {"window": window, "stride": stride, "padding": padding, "dilation": dilation}
    op = OPERATORS[name]
    program = traced(lambda x: (op(x, **params),), [x])
    plain = traced(lambda x: (op.expand(x, **params),), [x])
    with np.errstate(all="ignore"):
        assert_same(run(backend, program, [x])[0], run(backend, plain, [x])[0], 1e-5)


def test_pooling_takes_the_kernels(backend):
    x = slope.ones(2, 8, 32, 32)
    largest = slope.jit(lambda x: slope.max_pool2d(x, 2), backend="onnxruntime").lower(x)
    mean = slope.jit(lambda x: slope.avg_pool2d(x, 2), backend="onnxruntime").lower(x)
    assert "MaxPool" in largest.code
    assert "AveragePool" in mean.code


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_masks_hide_by_the_lowest_number(backend, bad, negated, dtype):
    rng = np.random.default_rng(0)
    mask, x = np.tri(64, dtype=bool), rng.standard_normal((4, 64, 64)).astype(dtype)
    x[0, 5, 3:9] = -0.0
    if bad is not None:
        x[1, 2] = bad
    lowest = float(np.finfo(dtype).min)

    def hide(m, x):
        sees, hidden = ops.broadcast(m, shape=x.shape, dims=(1, 2)), Splat(lowest, x.type)
        return (ops.where(sees, *((hidden, x) if negated else (x, hidden))),)

    program = traced(hide, [mask, x])
    (got,) = run(backend, program, [mask, x])
    wanted = np.where(mask, *((lowest, x) if negated else (x, lowest)))
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == dtype
    if bad is None:  # else Where does it, which makes -0.0 to 0.0
        np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))
    assert "Min" in backend.compile(program, CPU, {}).code
