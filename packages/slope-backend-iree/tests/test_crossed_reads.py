"""Values that an elementwise loop reads along two dimensions, which IREE must not fuse."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope_backend_iree.lower.crossed import crossed


def draws(*shape):
    return slope.tensor(np.random.default_rng(0).standard_normal(shape).astype("f4"))


def wide_sums(x):
    rows = x.sum(1, keepdim=True)
    return rows * rows.T


def crossed_sums(x, dims):
    sums = x.sum(dims)
    return sums[:, None] - sums


def crossed_maxima(x):
    largest = slope.amax(x, 1)
    return largest[:, None] + largest


def turned(x):
    other = slope.flip(x, (0,))
    return other + other.T


def split(x):
    rows = x.sum(1)
    return rows.reshape(2, 4) + rows.reshape(4, 2).T


def apart_then_together(x):
    rows = x.sum(1)
    return slope.exp(rows[:, None]) + slope.sin(rows[None])


def distances(x):
    squares = (x * x).sum(-1)
    return squares[..., :, None] + squares[..., None, :] - 2 * x @ x.mT


def in_a_loop(x):
    def turn(carry, row):
        largest = slope.amax(carry * row, 1)
        return slope.tanh(largest[:, None] - largest), None

    return slope.scan(turn, x, x[:2])[0]


CASES = {
    "sums": (lambda x: crossed_sums(x, 1), draws(40, 4)),
    "sums of columns": (lambda x: crossed_sums(x, 0), draws(3, 40)),
    "kept dimensions": (wide_sums, draws(40, 4)),
    "maxima": (crossed_maxima, draws(40, 4)),
    "through functions": (apart_then_together, draws(40, 4)),
    "batches": (distances, draws(3, 40, 8)),
    "sums over two": (lambda x: crossed_sums(x, (0, 2)), draws(5, 40, 3)),
    "a loop": (in_a_loop, draws(40, 40)),
}


@pytest.mark.parametrize("name", CASES)
def test_both_reads_are_right(name):
    function, x = CASES[name]
    got, want = (slope.jit(function, backend=each)(x).numpy() for each in ("iree", "numpy"))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda x: x.sum(1)[:, None] - slope.softmax(x, 1), 0),
        (lambda x: x[:, :1] + x[:, :1].T, 1),
        (lambda x: slope.exp(x) + slope.exp(x).T, 0),
        (turned, 1),
        (lambda x: x.sum(1).reshape(2, 4)[:, :, None] + x.sum(1)[:2, None, None], 0),
        (split, 1),
    ],
    ids=["one way", "a slice", "inputs", "turned", "slices apart", "split two ways"],
)
def test_which_are_found(function, count):
    lowered = slope.jit(function, backend="numpy").lower(draws(8, 8))
    assert len(crossed(lowered.program)) == count
