"""Activations that limit their operand: values and derivatives at the ends and beyond."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import slope

INFINITY = float("inf")
X = np.array([-INFINITY, -4, -3, -1, -0.5, 0, 0.5, 1, 3, 5, 6, 7, INFINITY, np.nan], np.float32)


class Limited(NamedTuple):
    """What a function gives, and between which ends it grows."""

    function: Callable[[Any], Any]
    values: Callable[[Any], Any]
    ends: tuple[float, float]
    rise: float


CASES = {
    "relu6": Limited(slope.relu6, lambda x: np.clip(x, 0, 6), (0, 6), 1),
    "hardtanh": Limited(slope.hardtanh, lambda x: np.clip(x, -1, 1), (-1, 1), 1),
    "other ends": Limited(
        lambda x: slope.hardtanh(x, -0.5, 3), lambda x: np.clip(x, -0.5, 3), (-0.5, 3), 1
    ),
    "hardsigmoid": Limited(slope.hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6, (-3, 3), 1 / 6),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name, backend):
    case, x = CASES[name], slope.tensor(X)
    rise = slope.jit(slope.grad(lambda x: case.function(x).sum()))(x).numpy()
    np.testing.assert_allclose(slope.jit(case.function)(x).numpy(), case.values(X), rtol=1e-6)
    inside = ~((case.ends[0] >= X) | (case.ends[1] <= X))  # as PyTorch's: NaN is inside
    np.testing.assert_allclose(rise, np.where(inside, case.rise, 0), rtol=1e-6)


def test_hardswish_at_its_ends(backend):
    x = slope.tensor([-4.0, -3.0, 0.0, 3.0, 4.0])
    values, rise = slope.jit(slope.hardswish)(x), slope.jit(slope.vmap(slope.grad(slope.hardswish)))
    np.testing.assert_allclose(values.numpy(), [0, 0, 0, 3, 4], rtol=1e-6)
    np.testing.assert_allclose(rise(x).numpy(), [0, 0, 0.5, 1, 1], rtol=1e-6)
