"""Meanings that ONNX or ONNX Runtime would give differently."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from slope import dtypes
from slope.dtypes import ALL
from slope.extend import (
    CPU,
    Splat,
    TensorType,
    known_operators,
    ops,
    trace_program,
)


@pytest.mark.parametrize("length", [2, 5, 40])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_nan_wins_in_extrema_wherever_it_stands(bench, backend, length, dtype, place):
    values = np.arange(length).astype(dtype)
    values[place] = np.nan
    assert np.isnan(bench.unary(backend, ops.amax, values, dtype, dim=(0,)).astype(float))
    assert np.isnan(bench.unary(backend, ops.amin, values, dtype, dim=(0,)).astype(float))
    assert bench.unary(backend, ops.argmax, values, dtype, dim=0) == place % length
    assert bench.unary(backend, ops.argmin, values, dtype, dim=0) == place % length


def test_infinities_are_no_nan_in_extrema(bench, backend):
    values = [np.inf, -np.inf, 3e38, 3e38]
    assert bench.unary(backend, ops.amax, values, dim=(0,)) == np.inf
    assert bench.unary(backend, ops.amin, values, dim=(0,)) == -np.inf
    assert bench.unary(backend, ops.argmin, values, dim=0) == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_infinity_leaves_no_logarithms_of_probabilities(bench, backend, dtype):
    log_softmax = known_operators()["log_softmax"]
    values = [[np.inf, 1, -np.inf], [1, 2, -np.inf]]
    found = bench.unary(backend, log_softmax, values, dtype, dim=1).astype(float)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], [-1.3132617, -0.3132617, -np.inf], rtol=1e-3)


def test_the_error_function_is_one_far_away(bench, backend):
    values = [-np.inf, -1e300, -6.5, 0.5, 6.0, np.inf, np.nan]
    found = bench.unary(backend, ops.erf, values, np.float64)
    np.testing.assert_array_equal(found[[0, 1, 2, 4, 5, 6]], [-1, -1, -1, 1, 1, np.nan])
    assert found[3] == pytest.approx(0.5204998778130465, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_division_that_would_end_the_process(bench, backend, dtype):
    low = np.iinfo(dtype).min
    xs, ys = [7, -7, low, low, 0, low], [0, 0, 0, -1, 0, 3]
    third = -(-int(low) // 3)
    assert bench.binary(backend, ops.truncate_divide, xs, ys, dtype).tolist() == [
        0,
        0,
        0,
        low,
        0,
        third,
    ]
    floor = int(low) // 3
    assert bench.binary(backend, ops.floor_divide, xs, ys, dtype).tolist() == [
        0,
        0,
        0,
        low,
        0,
        floor,
    ]
    rest = int(low) - third * 3
    assert bench.binary(backend, ops.fmod, xs, ys, dtype).tolist() == [0, 0, 0, 0, 0, rest]
    assert bench.binary(backend, ops.remainder, xs, ys, dtype).tolist() == [
        0,
        0,
        0,
        0,
        0,
        int(low) % 3,
    ]


def test_remainders_of_large_integers_are_exact(bench, backend):
    assert bench.binary(
        backend, ops.fmod, [2**62 + 1, -(2**62) - 1], [2**61, 2**61], np.int64
    ).tolist() == [1, -1]
    assert bench.binary(backend, ops.fmod, [2**64 - 1], [2**63], np.uint64).tolist() == [2**63 - 1]


@pytest.mark.parametrize("number", [0, -1, 3, -3])
def test_division_by_a_literal(bench, backend, number, reference):
    x = np.array([7, -7, 0, -(2**63), 2**63 - 1], np.int64)
    for op in (ops.truncate_divide, ops.floor_divide, ops.fmod, ops.remainder):
        program = bench.traced(lambda x, op=op: (op(x, Splat(number, x.type)),), [x])
        if reference.lowers(op):
            bench.assert_same(
                bench.run(backend, program, [x])[0], bench.run(reference, program, [x])[0]
            )


@pytest.mark.parametrize("target", [each for each in ALL if each.is_integer])
@pytest.mark.parametrize("source", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_casts_to_integers_saturate(bench, backend, source, target):
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
    got = bench.unary(backend, ops.cast, values, source, dtype=target)
    assert got.tolist() == [min(max(each, limits.min), limits.max) for each in wanted]


def test_int64_where_only_the_lower_halves_differ(bench, backend):
    a, b = [1, 2**31 + 5, 2**33], [2**31, 7, 2**33 + 2**31]
    assert bench.binary(backend, ops.maximum, a, b, np.int64).tolist() == [
        2**31,
        2**31 + 5,
        2**33 + 2**31,
    ]
    assert bench.binary(backend, ops.minimum, a, b, np.int64).tolist() == [1, 7, 2**33]
    mixed = np.array([[2**31 + 5, 3, 2**32 - 1, 9]] * 2, np.int64)
    for dtype in (np.int64, np.uint64, np.uint32):
        assert bench.unary(backend, ops.amax, mixed, dtype, dim=(1,)).tolist() == [2**32 - 1] * 2
        assert bench.unary(backend, ops.amin, mixed, dtype, dim=(1,)).tolist() == [3, 3]
        assert bench.unary(backend, ops.amax, mixed, dtype, dim=(0, 1)) == 2**32 - 1
        assert bench.unary(backend, ops.argmax, mixed, dtype, dim=1).tolist() == [2, 2]
    assert bench.unary(backend, ops.sign, [2**31, -(2**31) - 1, 0], np.int64).tolist() == [
        1,
        -1,
        0,
    ]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint32, np.uint64])
def test_sums_and_products_of_integers_wrap_around(bench, backend, dtype):
    values = np.full((2, 5), np.iinfo(dtype).max - 2, dtype)
    for dim in ((0,), (1,), (0, 1)):
        bench.assert_same(
            bench.unary(backend, ops.sum_, values, dtype, dim=dim),
            values.sum(axis=dim, dtype=dtype),
        )
        bench.assert_same(
            bench.unary(backend, ops.prod, values, dtype, dim=dim),
            values.prod(axis=dim, dtype=dtype),
        )


@pytest.mark.parametrize("mode", ["set", "add", "max", "min"])
def test_scatter_combines_repeated_places_on_many_threads(bench, backend, reference, mode):
    random = np.random.default_rng(0)
    args = [
        np.zeros((3, 64), np.float32),
        random.integers(0, 3, (20_000, 1)),
        np.round(random.normal(size=(20_000, 64)) * 8).astype(
            np.float32
        ),  # whole numbers add up exactly
    ]
    program = bench.traced(
        lambda x, i, u: (ops.scatter(x, i, u, axis=0, batch_dims=0, mode=mode),), args
    )
    bench.assert_same(
        bench.run(backend, program, args)[0], bench.run(reference, program, args)[0], tolerance=0
    )


@pytest.mark.parametrize("mode", ["set", "add", "max", "min"])
@pytest.mark.parametrize(
    ("shape", "count", "axis", "batch_dims"),
    [((4, 5, 3, 2), 9, 1, 0), ((4, 5, 3, 2), 9, 1, 1), ((5, 3), 3, 0, 0), ((2, 5, 3), 9, 0, 0)],
)
def test_scatter_along_every_dimension(
    bench, backend, reference, mode, shape, count, axis, batch_dims
):
    random = np.random.default_rng(1)
    places = random.integers(-1, shape[axis] + 1, (*shape[:batch_dims], count, 1))
    new = random.normal(size=(*shape[:axis], count, *shape[axis + 1 :])).astype("f4")
    new.flat[3] = np.nan
    args = [random.normal(size=shape).astype("f4"), places, new]
    program = bench.traced(
        lambda x, i, u: (ops.scatter(x, i, u, axis=axis, batch_dims=batch_dims, mode=mode),), args
    )
    bench.assert_same(
        bench.run(backend, program, args)[0], bench.run(reference, program, args)[0], 1e-6
    )


@pytest.mark.parametrize("dtype", [each for each in ALL if each.is_integer])
def test_shifts_by_the_width_and_more(bench, backend, reference, dtype):
    xs = (
        bench.as_array([1, 5, 100, -1, -100, -3, 7, 1], dtype)
        if dtype.kind == "i"
        else bench.as_array([1, 5, 100, 255, 128, 3, 7, 1], dtype)
    )
    ys = bench.as_array(
        [0, 1, dtype.bits - 1, dtype.bits, dtype.bits + 1, 1, 3, dtype.bits - 1], dtype
    )
    for op in (ops.shift_left, ops.shift_right_logical, ops.shift_right_arithmetic):
        program = bench.traced(lambda x, y, op=op: (op(x, y),), [xs, ys])
        bench.assert_same(
            bench.run(backend, program, [xs, ys])[0], bench.run(reference, program, [xs, ys])[0]
        )
        for amount in (0, 3, dtype.bits):
            literal = bench.traced(
                lambda x, op=op, amount=amount: (op(x, Splat(amount, x.type)),), [xs]
            )
            bench.assert_same(
                bench.run(backend, literal, [xs])[0], bench.run(reference, literal, [xs])[0]
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_that_onnx_lacks(bench, backend, dtype):
    near = {np.float32: 1e-6, np.float64: 1e-14}[dtype]
    x = np.array([-0.9, -1e-10, 0, 1e-20, 1e-10, 1e-5, 0.3, 1, 50, 1e30, np.inf, np.nan], dtype)
    with np.errstate(all="ignore"):
        bench.assert_same(bench.unary(backend, ops.log1p, x, dtype), np.log1p(x), tolerance=near)
        bench.assert_same(
            bench.unary(backend, ops.log1p, [-1, -2], dtype),
            np.array([-np.inf, np.nan], dtype),
            tolerance=near,
        )
        for each in (ops.expm1,):
            got, wanted = bench.unary(backend, each, x, dtype), np.expm1(x)
            np.testing.assert_allclose(got, wanted, rtol=near * 3)
    assert bench.unary(backend, ops.sign, [np.nan, -2, 0, 3], dtype).tolist()[1:] == [
        -1,
        0,
        1,
    ]
    assert np.isnan(bench.unary(backend, ops.sign, [np.nan, 1], dtype)[0])
    assert bench.unary(backend, ops.round_, [0.5, 1.5, -2.5], dtype).tolist() == [0, 2, -2]
    assert bench.unary(backend, ops.trunc, [-1.7, 1.7, -np.inf], dtype).tolist() == [
        -1,
        1,
        -np.inf,
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_atan2_and_erf_in_every_region(bench, backend, dtype):
    import math

    special = [0.0, -0.0, 1.0, -1.0, 1e-30, 3.0, -3.0, 1e30, np.inf, -np.inf]
    y, x = (
        np.array(each, dtype)
        for each in zip(*[(a, b) for a in special for b in special], strict=True)
    )
    near = {np.float32: 5e-7, np.float64: 2e-15}[dtype]
    bench.assert_same(
        bench.binary(backend, ops.atan2, y, x, dtype), np.arctan2(y, x), tolerance=near
    )
    values = np.array([*np.linspace(-7, 7, 57), 1e-8, np.inf, -np.inf], dtype)
    wanted = np.array([math.erf(each) for each in values], dtype)
    bench.assert_same(bench.unary(backend, ops.erf, values, dtype), wanted, tolerance=near)


def test_indices_are_clamped(bench, backend):
    x = np.arange(4, dtype=np.float32)
    for dtype, indices in (
        (np.int64, [-(2**40), 2**40, 3]),
        (np.uint64, [0, 2**64 - 1, 3]),
        (np.uint32, [0, 2**32 - 1, 3]),
    ):
        args = [x, np.array(indices, dtype)[:, None]]
        program = bench.traced(lambda x, i: (ops.gather(x, i, axis=0, batch_dims=0),), args)
        assert bench.run(backend, program, args)[0].tolist() == [0, 3, 3]


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
