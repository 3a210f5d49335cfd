"""Gradients of pooling by maxima, on all backends: ties, overlaps, NaN, second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import slope

CASES: dict[str, dict[str, Any]] = {
    "tiles": {"kernel_size": 2},
    "tiles that leave a rest": {"kernel_size": (2, 3), "stride": (2, 3)},
    "gaps": {"kernel_size": 2, "stride": 3},
    "overlaps": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 2, "stride": 1, "dilation": 2},
    "one element": {"kernel_size": 1, "stride": 2},
}


def by_hand(x: Any, cotangent: Any, params: dict[str, Any]) -> Any:
    """The cotangent of ``x``: of each window, to the first of its largest elements."""

    def pair(name: str, default: Any) -> tuple[int, int]:
        value = params.get(name, default)
        return value if isinstance(value, tuple) else (value, value)

    window, around = pair("kernel_size", None), pair("padding", 0)
    stride, gap = pair("stride", window), pair("dilation", 1)
    padded = np.pad(
        x, ((0, 0), (0, 0), *((each, each) for each in around)), constant_values=-np.inf
    )
    found = np.zeros(padded.shape, x.dtype)
    for image, channel, row, column in np.ndindex(*cotangent.shape):
        places = [
            (image, channel, row * stride[0] + i * gap[0], column * stride[1] + j * gap[1])
            for i, j in np.ndindex(*window)
        ]
        values = [padded[place] for place in places]
        best = len(values) - 1 if np.isnan(values).any() else int(np.argmax(values))
        found[places[best]] += cotangent[image, channel, row, column]
    (top, left), (height, width) = around, x.shape[2:]
    return found[:, :, top : top + height, left : left + width]


@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (2, 16, 20, 18)], ids=["small", "large"])
@pytest.mark.parametrize("bad", [None, np.nan, -np.inf])
@pytest.mark.parametrize("case", CASES)
def test_gradient(case, bad, shape, backend):
    random = np.random.default_rng(0)
    x = np.maximum(random.standard_normal(shape), 0).astype("f4")  # many are equal
    if bad is not None:
        x[0, 1, 2:5, 3] = bad
    params = CASES[case]

    def pooled(x: Any) -> Any:
        return slope.max_pool2d(x, **params)

    cotangent = random.standard_normal(pooled(slope.tensor(x)).shape).astype("f4")
    (got,) = slope.jit(lambda x, g: slope.vjp(pooled, x)[1](g))(
        slope.tensor(x), slope.tensor(cotangent)
    )
    np.testing.assert_allclose(got.numpy(), by_hand(x, cotangent, params), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["tiles", "overlaps"])
def test_second_derivatives_and_batches(case, backend):
    x = slope.tensor(np.random.default_rng(0).standard_normal((3, 1, 2, 6, 6)))

    def energy(x: Any) -> Any:
        return (slope.max_pool2d(x, **CASES[case]) ** 3).sum()

    # x's largest elements enter once for each window: the Hessian times x is twice the gradient.
    twice = slope.vmap(lambda x: slope.jvp(slope.grad(energy), (x,), (x,))[1])
    backward = slope.vmap(slope.grad(lambda x: (slope.grad(energy)(x) * x).sum()))
    gradient = slope.stack([slope.grad(energy)(each) for each in x])
    np.testing.assert_allclose(slope.jit(twice)(x).numpy(), 2 * gradient.numpy(), rtol=1e-6)
    np.testing.assert_allclose(slope.jit(backward)(x).numpy(), 3 * gradient.numpy(), rtol=1e-6)
