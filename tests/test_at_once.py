"""Functions outside transforms run as one remembered program: what is remembered, and what not."""

import math

import numpy as np
import pytest

import slope
from slope import errors
from slope.extend import Operator, Splat, ops
from slope.functions._at_once import at_once, with_numbers_at_once


@pytest.fixture
def made(monkeypatch):
    """The names of the programs that are specialized."""
    from slope.functions import _at_once

    names, specialize = [], _at_once.specialize
    assert specialize is not None
    monkeypatch.setattr(
        _at_once, "specialize", lambda f, *rest: names.append(f.__name__) or specialize(f, *rest)
    )
    return names


def test_a_second_call_makes_nothing(backend, made):
    @at_once
    def doubled(x, n):
        return slope.cat([x] * n)

    for value in (1.0, 2.0, 3.0):
        assert doubled(slope.full((2,), value), 2).tolist() == [value] * 4
    assert made.count("doubled") == 1
    assert doubled(slope.ones(2), 3).shape == (6,)
    assert doubled(slope.ones(3), 2).shape == (6,)
    assert made.count("doubled") == 3


def test_numbers_are_inputs(backend, made):
    @with_numbers_at_once
    def scaled(x, y):
        return x * y

    x = slope.tensor([1.0, -2.0])
    for number in (2, 0.5, -1.0, 3):
        np.testing.assert_array_equal(
            scaled(x, number).numpy(), np.array([1, -2], np.float32) * number
        )
    assert scaled(2.0, x).tolist() == [2, -4]
    assert made.count("scaled") == 2
    assert scaled(x, float("inf")).tolist() == [np.inf, -np.inf]
    assert np.signbit(scaled(x, -0.0).numpy()).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [slope.float16, slope.bfloat16, slope.float32, slope.float64])
@pytest.mark.parametrize("number", [0.1, 3, 1e30, -7, 2**60])
def test_numbers_do_not_widen_and_are_rounded_once(backend, dtype, number):
    x = slope.tensor([1.5, -2.25]).to(dtype)
    for function in (slope.add, slope.mul, slope.maximum, slope.lt):
        got = function(x, number)
        want = slope.jit(lambda x, f=function: f(x, number))(x)
        assert got.dtype is want.dtype
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_ints_beside_integers_keep_their_meaning(backend):
    x = slope.tensor([1, 2], dtype=slope.int32)
    assert (x * 3).tolist() == [3, 6]
    assert (x * 3).dtype is slope.int32
    assert (x * 0.5).tolist() == [0.5, 1.0]
    assert (x * 0.5).dtype is slope.float32
    assert (x // 2).tolist() == [0, 1]


def test_arguments_that_compare_equal_are_told_apart(backend):
    @at_once
    def described(x, what):
        return x + (10 if what is True else 20 if type(what) is tuple else 30)

    x = slope.zeros(1)
    for what, want in ((1, 30), (True, 10), ((1,), 20), ([1], 30), (1, 30), (True, 10)):
        assert described(x, what).item() == want


class _Sign(Operator):
    """``x`` by the sign of the first of its parameters, of zero, too; 3 for a bool."""

    name = "sign_of_first"

    def expand(self, x, *, of):
        (first,) = of
        sign = 3.0 if isinstance(first, bool) else math.copysign(1.0, first)
        return ops.mul(x, Splat(sign * (2.0 if isinstance(first, float) else 1.0), x.type))


def test_parameters_of_operators_that_compare_equal_are_told_apart(backend):
    op, x = _Sign(), slope.ones(1)
    results = [op(x, of=(of,)).item() for of in (0.0, -0.0, 1, 1.0, True)]
    assert results == [2, -2, 1, 2, 3]


def test_an_int_is_not_taken_for_a_type(backend):
    @at_once
    def kind(x, y):
        return x + (1 if isinstance(y, int) else 2)

    x, y = slope.zeros(3), slope.ones(3)
    assert kind(x, y).tolist() == [2, 2, 2]
    assert kind(x, y.type.number).tolist() == [1, 1, 1]


def test_results_of_every_form(backend):
    x = slope.tensor([[3.0, 1.0], [2.0, 4.0]])
    for _ in range(2):
        found = slope.sort(x, dim=1)
        assert found.values.tolist() == [[1, 3], [2, 4]]
        assert found.indices.tolist() == [[1, 0], [0, 1]]
        first, second = slope.unbind(x)
        assert (first.tolist(), second.tolist()) == ([3, 1], [2, 4])
        assert x.reshape(2, 2).tolist() == x.tolist()
        assert slope.cat([x, x]).shape == (4, 2)
        assert [each.shape for each in slope.split(x, [1, 1], dim=1)] == [(2, 1), (2, 1)]


def test_errors_stay_the_same(backend):
    x, y = slope.ones(2, 3), slope.ones(2, 3)
    messages = []
    for _ in range(2):
        with pytest.raises(errors.ShapeError, match="matmul") as caught:
            slope.matmul(x, y)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    for _ in range(2):
        with pytest.raises(errors.IndexingError, match="index 5"):
            slope.take_along_dim(slope.ones(3), slope.tensor([5]), 0)


def test_masks_and_rows_need_no_program(backend, made):
    x = slope.arange(12).reshape(4, 3)
    made.clear()
    assert [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert made == []
    assert x[x > 8].tolist() == [9, 10, 11]


def test_each_backend_has_its_own():
    x = slope.tensor([1.0, 2.0])
    for name in ("numpy", "onnxruntime", "numpy"):
        with slope.use_backend(name):
            assert slope.softmax(x * 0, 0).tolist() == [0.5, 0.5]
    traced = slope.jit(lambda x: slope.softmax(x, 0).sum())(x)
    assert abs(traced.item() - 1) < 1e-6
    assert slope.grad(lambda x: slope.softmax(x, 0)[0])(x).shape == (2,)
