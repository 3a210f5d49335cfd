"""Convolutions with one kernel a channel, against such with zeros between channels."""

from __future__ import annotations

import numpy as np
import pytest

import slope

CASES = {
    "row": ((2, 4, 9), (3,), {"padding": 1}),
    "image": ((3, 4, 7, 6), (3, 3), {"padding": 1}),
    "by strides": ((3, 4, 9, 8), (3, 2), {"stride": (2, 3), "padding": (1, 0)}),
    "by strides of rows": ((2, 4, 9, 8), (3, 3), {"stride": (2, 1)}),
    "dilated": ((2, 4, 9, 8), (3, 2), {"dilation": (1, 3), "padding": 2}),
    "planes": ((2, 3, 5, 4, 6), (2, 3, 3), {"padding": 1, "stride": (2, 1, 1)}),
    "many images": ((40, 8, 32, 33), (3, 3), {"padding": 1}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case, dtype):
    shape, kernel, params = CASES[case]
    channels, random = shape[1], np.random.default_rng(0)
    x = slope.tensor(random.standard_normal(shape).astype(dtype))
    w = slope.tensor(random.standard_normal((channels, 1, *kernel)).astype(dtype))
    function = {1: slope.conv1d, 2: slope.conv2d, 3: slope.conv3d}[len(kernel)]
    diagonal = slope.eye(channels).astype(w.dtype).reshape(channels, channels, *[1] * len(kernel))

    def depthwise(x, w):
        return function(x, w, groups=channels, **params)

    def dense(x, w):
        return function(x, w * diagonal, **params)

    def all_three(convolve):
        def both(x, w):
            return (convolve(x, w) ** 2).sum() / 2

        gradients = slope.grad(both, argnums=(0, 1))
        return slope.jit(lambda x, w: (convolve(x, w), *gradients(x, w)), backend="numpy")(x, w)

    tolerance = 1e-4 if dtype == "float32" else 1e-12
    for got, want in zip(all_three(depthwise), all_three(dense), strict=True):
        limit = tolerance * np.abs(want.numpy()).max()
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=tolerance, atol=limit)
