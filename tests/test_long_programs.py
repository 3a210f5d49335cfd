"""Long programs: nothing recurses over their length, and time grows linearly."""

import math
import sys
import time

import numpy as np
import pytest

import slope

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


def test_tracing_time_grows_linearly():
    def seconds(length):
        best = math.inf
        for _ in range(3):
            f = slope.jit(slope.grad(chain(length)), backend="numpy")
            started = time.perf_counter()
            f.trace(slope.tensor(0.5))
            best = min(best, time.perf_counter() - started)
        return best

    seconds(1_000)
    assert seconds(16_000) / seconds(2_000) < 8 * 2.5
