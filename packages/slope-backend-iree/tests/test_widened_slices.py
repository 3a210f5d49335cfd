"""Slices of what is made wider, which IREE must not compute in the loops of their readers."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope_backend_iree.lower import RULES
from slope_backend_iree.lower.program import lower_program

PIXELS = np.arange(14, dtype=np.uint8)
ROW = np.arange(1, 8, dtype=np.float32)


def scaled(x):
    return x.to(slope.float32) / 4


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x.to(slope.float32)[::2] * y,
        lambda x, y: (x.to(slope.int64)[::2] * 2 + 1, x.to(slope.int64).sum()),
        lambda x, y: scaled(x)[::2][::2] * y[:4],
        lambda x, y: (x > 4).to(slope.float32)[::2] * y,
        lambda x, y: y.to(slope.float64)[::3].sqrt(),
        lambda x, y: scaled(x).reshape(2, 7)[:, 1:2] + y,
    ],
    ids=["bytes", "whole numbers", "twice", "mask", "float64", "unit steps"],
)
def test_they_are_right(function):
    x, y = slope.tensor(PIXELS), slope.tensor(ROW)
    found, wanted = (slope.jit(function, backend=name)(x, y) for name in ("iree", "numpy"))
    for got, want in zip(slope.tree_leaves(found), slope.tree_leaves(wanted), strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


@pytest.mark.parametrize(
    ("function", "barriers"),
    [
        (lambda x, y: scaled(x).reshape(-1)[3] * y, 1),
        (lambda x, y: (scaled(x)[3] * y, scaled(x)[::2]), 1),
        (lambda x, y: (x.to(slope.float32) * y.sum())[3] * y, 1),
        (lambda x, y: scaled(x)[3:9].sum() * y, 0),
        (lambda x, y: (scaled(x)[:7] * y)[3] * y, 0),
        (lambda x, y: y[3] * y, 0),
    ],
    ids=["one", "two slices", "repeated factor", "several", "wide factor", "wide"],
)
def test_what_is_kept_apart(function, barriers):
    """Without, IREE's compiler takes all memory, so it is the text that is looked at first."""
    x, y = slope.tensor(PIXELS), slope.tensor(ROW)
    program = slope.jit(function, backend="numpy").lower(x, y).program
    assert lower_program(program, RULES).text.count("compute_barrier") == barriers
    found, wanted = (slope.jit(function, backend=name)(x, y) for name in ("iree", "numpy"))
    for got, want in zip(slope.tree_leaves(found), slope.tree_leaves(wanted), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)
