"""Sums of products with repeated factors, which IREE takes for contractions and refuses."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope_backend_iree.lower.contracted import refused_sums


def draws(*shape):
    return slope.tensor(np.random.default_rng(0).standard_normal(shape).astype("f4"))


X, ROW = draws(6, 16), draws(16)

REFUSED = {
    "a row": lambda x, w: (x * w).sum(),
    "some dimensions": lambda x, w: (x.reshape(2, 3, 16) * w).sum((0, 2)),
    "of what comes before": lambda x, w: (x * slope.exp(w.expand(6, 16))).sum(),
    "views": lambda x, w: (x * w).T[1:].reshape(-1, 2, 3).sum(),
    "split": lambda x, w: (x.reshape(6, 4, 4) * w.expand(6, 16).reshape(6, 4, 4)).sum((0, 2)),
    "sum by sum": lambda x, w: (x.reshape(2, 3, 16) * w).sum(2).T.sum(1),
    "whole numbers": lambda x, w: ((4 * x).to(slope.int64) * (4 * w).to(slope.int64)).sum(),
}


def wanted(function):
    return slope.jit(function, backend="numpy")(X, ROW).numpy()


@pytest.mark.parametrize("function", REFUSED.values(), ids=REFUSED)
def test_they_are_found(function):
    program = slope.jit(function).lower(X, ROW).program
    (sums,) = [[i for i in program.instrs if i.op.name == "sum"]]
    assert refused_sums(program) & set(map(id, sums))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: (x * w).sum(0),
        lambda x, w: (x * w).sum(1),
        lambda x, w: ((x * w) + x).sum(),
        lambda x, w: (x * x).sum(),
        lambda x, w: (x * w[0]).sum(),
        lambda x, w: (x * slope.softmax(x, 1)).sum(),
    ],
    ids=["along it", "across it", "an addition between", "no repetition", "one number", "ratios"],
)
def test_others_are_left_alone(function):
    assert not refused_sums(slope.jit(function).lower(X, ROW).program)


def test_they_are_right():
    everything = list(REFUSED.values())
    found = slope.jit(lambda x, w: [f(x, w) for f in everything], backend="iree")(X, ROW)
    for function, got in zip(everything, found, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted(function), rtol=1e-5, atol=1e-5)
