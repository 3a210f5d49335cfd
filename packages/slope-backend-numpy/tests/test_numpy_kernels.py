"""Operators where size, dtype or values decide how they are computed."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from slope.extend import Splat, ops

HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_sums_and_products_accumulate_in_float32(call, dtype):
    ones = np.ones(
        5000, dtype
    )  # adding one by one in half precision stops at 2048 (float16) or 256 (bfloat16)
    assert float(call(ops.sum_, ones, dim=(0,))[0]) == float(np.asarray(5000).astype(dtype))
    dot = call(ops.dot_general, ones, ones, contract=((0,), (0,)), batch=((), ()))[0]
    assert float(dot) == float(np.asarray(5000).astype(dtype))
    assert float(call(ops.cumsum, ones, dim=0, reverse=False)[0][-1]) == float(
        np.asarray(5000).astype(dtype)
    )
    many = call(
        ops.scatter,
        np.zeros(1, dtype),
        np.zeros((5000, 1), int),
        ones,
        axis=0,
        batch_dims=0,
        mode="add",
    )[0]
    assert float(many[0]) == float(np.asarray(5000).astype(dtype))


def test_where_lets_nothing_through_that_is_not_chosen(compiled):
    condition = np.arange(10000) % 3 == 0
    bad = np.where(condition, np.float32(np.nan), np.float32(np.inf))
    good = np.arange(10000, dtype=np.float32)

    def function(c, x, y):
        zero, minus = Splat(0.0, x.type), Splat(-0.0, x.type)
        return (
            ops.where(c, y, x),
            ops.where(c, zero, y),
            ops.where(c, y, zero),
            ops.where(c, minus, y),
        )

    first, second, third, fourth = compiled(function, condition, bad, good)([condition, bad, good])
    np.testing.assert_array_equal(first, np.where(condition, good, bad))
    np.testing.assert_array_equal(second, np.where(condition, 0, good))
    np.testing.assert_array_equal(third, np.where(condition, good, 0))
    np.testing.assert_array_equal(np.signbit(fourth), condition)


def test_large_unsigned_indices_are_clamped_to_the_end(call):
    indices = np.array([[2**63 + 5], [1]], np.uint64)
    np.testing.assert_array_equal(
        call(ops.gather, np.arange(4), indices, axis=0, batch_dims=0)[0], [3, 1]
    )


def test_a_single_element_is_gathered(call):
    """What is gathered has no dimensions."""
    (found,) = call(ops.gather, np.eye(3) * 5, np.array([2, 2]), axis=0, batch_dims=0)
    assert found.shape == ()
    assert found == 5


def test_sums_of_many_dtypes_and_dims(call):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5, 6))
    for count in range(5):
        for dim in itertools.combinations(range(4), count):
            np.testing.assert_allclose(call(ops.sum_, x, dim=dim)[0], x.sum(axis=dim), rtol=1e-13)
            np.testing.assert_allclose(
                call(ops.sum_, x.transpose(3, 1, 0, 2), dim=dim)[0],
                x.transpose(3, 1, 0, 2).sum(axis=dim),
                rtol=1e-13,
            )


@pytest.mark.parametrize("shape", [(40, 10), (5, 8, 4), (3, 100), (70, 2, 33), (100,)])
def test_extrema_of_short_and_long_rows(call, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x[x > 1.5] = np.nan
    for dim in range(len(shape)):
        np.testing.assert_array_equal(call(ops.amax, x, dim=(dim,))[0], np.max(x, axis=dim))
        np.testing.assert_array_equal(call(ops.amin, x, dim=(dim,))[0], np.min(x, axis=dim))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_extrema_with_a_number(compiled, dtype):
    x = np.random.default_rng(0).integers(-9, 9, (5, 80)).astype(dtype)
    executable = compiled(
        lambda a: (
            ops.maximum(a, Splat(2, a.type)),
            ops.minimum(Splat(-3, a.type), a),
            ops.maximum(Splat(1, a.type), Splat(0, a.type)),
        ),
        x,
    )
    for result, wanted in zip(
        executable([x]),
        (np.where(x > 2, x, 2), np.where(x < -3, x, -3), np.ones((5, 80))),
        strict=True,
    ):
        assert (result.dtype, result.shape) == (x.dtype, x.shape)
        np.testing.assert_array_equal(result, wanted)
