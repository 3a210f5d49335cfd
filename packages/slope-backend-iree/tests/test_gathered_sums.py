"""Sums of gathered rows that go into products, which IREE must not fuse."""

from __future__ import annotations

import numpy as np
import pytest

import slope


@pytest.mark.parametrize("reduce", [slope.mean, slope.amax], ids=["mean", "amax"])
def test_they_compile(reduce):
    random = np.random.default_rng(0)
    table = slope.tensor(random.standard_normal((1000, 128)).astype("f4"))
    weights = slope.tensor(random.standard_normal((128, 256)).astype("f4"))
    places = slope.tensor(random.integers(0, 1000, (256, 32)))

    def scores(table, weights, places):
        return slope.relu(reduce(table[places], dim=1) @ weights)

    got, want = (
        slope.jit(scores, backend=name)(table, weights, places).numpy()
        for name in ("iree", "numpy")
    )
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
