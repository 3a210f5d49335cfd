"""Long programs: nothing recurses over their length, and time grows linearly."""

import math
import sys

import numpy as np
import pytest

import slope
from slope.testing.counting import count_calls

LENGTH = 50_000


def chain(length):
    def f(x):
        for _ in range(length // 2):
            x = slope.sin(x) * 1.01
        return x

    return f


def expected(length, x):
    derivative = 1.0
    for _ in range(length // 2):
        derivative *= math.cos(x) * 1.01
        x = math.sin(x) * 1.01
    return x, derivative


@pytest.mark.parametrize("how", ["eager", "jit"])
def test_fifty_thousand_operators(how):
    f = slope.value_and_grad(chain(LENGTH))
    limit = sys.getrecursionlimit()
    with slope.use_backend("numpy"):
        value, gradient = (slope.jit(f) if how == "jit" else f)(
            slope.tensor(0.5, dtype=slope.float64)
        )
    assert sys.getrecursionlimit() == limit
    wanted = expected(LENGTH, 0.5)
    np.testing.assert_allclose([value.item(), gradient.item()], wanted, rtol=1e-6)


def test_printing_and_passes_of_a_long_program():
    program = slope.jit(chain(LENGTH), backend="numpy").trace(slope.tensor(0.5))
    assert len(program.instrs) == LENGTH
    assert str(program).count("slope.sin") == LENGTH // 2
    assert program.check() is program


@pytest.mark.parametrize("transform", ["trace", "gradient", "compile"])
def test_work_grows_linearly(transform):
    def work(length):
        f = chain(length) if transform == "trace" else slope.grad(chain(length))
        f = slope.jit(f, backend="numpy")
        call = f if transform == "compile" else f.trace
        return count_calls(lambda: call(slope.tensor(0.5)))

    work(100)
    few, many = work(1_000), work(8_000)
    assert many < 8.2 * few
