"""Elementwise operations on large arrays that lie in memory in different orders."""

from __future__ import annotations

import numpy as np
import pytest

import slope


def together(x, y):
    turned = x.transpose(1, 2)
    total = slope.where(y > 0, turned, 0.0) + turned * y
    return total, slope.where(y > 0, turned, y), slope.exp(turned).transpose(1, 2) - x


def alone(x, y):
    turned = x.transpose(1, 2)
    return slope.tanh(turned * turned + 1.0), turned[:, :5] + y[:, :5]


def turned_back(x, y):
    """Turned, reshaped and turned back: in order again."""
    split = (x * 2.0).transpose(1, 2).reshape(3, 2, -1, 100) * slope.arange(2.0)[:, None, None]
    back = split.reshape(3, -1, 100).transpose(1, 2)
    return back * y.reshape(3, 100, -1), slope.exp(split)


def draws(*shape):
    return slope.tensor(np.random.default_rng(0).standard_normal(shape).astype("f4"))


@pytest.mark.parametrize("function", [together, alone, turned_back])
@pytest.mark.parametrize("length", [70, 200])
def test_results(function, length):
    x, y = draws(3, 100, length), draws(3, length, 100)
    got = slope.jit(function, backend="numpy")(x, y)
    for one, other in zip(got, function(x, y), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "length", "copies"),
    [(together, 200, 3), (together, 70, 0), (alone, 200, 0), (turned_back, 200, 0)],
)
def test_what_is_copied(function, length, copies):
    lowered = slope.jit(function, backend="numpy").lower(
        draws(3, 100, length), draws(3, length, 100)
    )
    assert lowered.code.count(".copy()") == copies
