"""The operators of slope.linalg keep their contract, and mean the same on every backend."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import slope
from slope.linalg import operators
from slope.testing.operators import as_function, check_operator

NAMES = sorted(operators.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_operators_keep_their_contract(name):
    assert check_operator(getattr(operators, name), backends=("onnxruntime",)) > 0
    assert getattr(slope, name) is getattr(operators, name)


def test_values_on_iree():
    cases = [
        (op, sample.params, [slope.tensor(np.asarray(arg)) for arg in sample.args])
        for op in (getattr(operators, name) for name in NAMES)
        for sample in list(op.samples())[:1]
    ]

    def every(inputs):
        return [
            as_function(op, params)(*xs) for (op, params, _), xs in zip(cases, inputs, strict=True)
        ]

    inputs = [args for _, _, args in cases]
    wanted = slope.jit(every, backend="numpy")(inputs)
    found = slope.jit(every, backend="iree")(inputs)
    for (op, _, _), outs, expected in zip(cases, found, wanted, strict=True):
        for out, want in zip(outs, expected, strict=True):
            np.testing.assert_allclose(
                out.numpy(), want.numpy(), rtol=2e-5, atol=2e-5, err_msg=op.name
            )


@pytest.mark.parametrize("n", [65, 192])
@pytest.mark.parametrize("backend", ["numpy", "onnxruntime"])
def test_matrices_cut_into_panels(monkeypatch, backend, n):
    monkeypatch.setattr(slope.backend(backend), "left_to_numpy", lambda *_: False)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((n, n))
    s = x @ x.T / n + np.eye(n)
    y = generator.standard_normal((n, 2))

    def function(x, s, y):
        low = slope.linalg.cholesky(s)
        up = slope.linalg.solve_triangular(low.mT, y, upper=True)
        half = slope.linalg.solve_triangular(low, y, upper=False)
        weighted = (slope.linalg.cholesky(s) * x).sum()
        return low, up, half, slope.linalg.solve(x, y), slope.linalg.slogdet(x)[1], weighted

    given = [slope.tensor(each) for each in (x, s, y)]
    low, up, half, solved, size, _ = slope.jit(function, backend=backend)(*given)
    cholesky = np.linalg.cholesky(s)
    for got, want in (
        (low, cholesky),
        (up, np.linalg.solve(cholesky.T, y)),
        (half, np.linalg.solve(cholesky, y)),
        (solved, np.linalg.solve(x, y)),
        (size, np.linalg.slogdet(x)[1]),
    ):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-8, atol=1e-8)
    pull = slope.jit(slope.grad(lambda s: function(given[0], s, given[2])[-1]), backend=backend)
    move = x + x.T
    numeric = (
        (np.linalg.cholesky(s + 1e-6 * move) - np.linalg.cholesky(s - 1e-6 * move)) * x
    ).sum() / 2e-6
    np.testing.assert_allclose((pull(given[1]).numpy() * move).sum(), numeric, rtol=1e-6)


def test_programs_that_were_pickled_find_them():
    program = slope.jit(slope.linalg.inv).lower(slope.eye(3)).program
    load = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"
    run = subprocess.run(
        [sys.executable, "-c", load], input=pickle.dumps(program), capture_output=True, check=True
    )
    assert "slope.inverse_matrix(x0)" in run.stdout.decode()
