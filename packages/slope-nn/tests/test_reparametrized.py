"""Weight and spectral normalization."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm(dim):
    slope.manual_seed(0)
    plain = nn.Linear(3, 4)
    layer = nn.WeightNorm(plain, dim=dim)
    x = slope.randn(5, 3)
    np.testing.assert_allclose(layer(x).numpy(), plain(x).numpy(), rtol=1e-5, atol=1e-6)
    assert layer.g.shape == {0: (4, 1), 1: (1, 3), -1: (1, 3), None: (1, 1)}[dim]
    assert [name for name, _ in layer.named_parameters()] == ["module.weight", "module.bias", "g"]
    layer.g = layer.g * 2.0
    np.testing.assert_allclose(layer.weight.numpy(), 2 * plain.weight.numpy(), rtol=1e-5)
    # The length of v does not count, so its gradient is at right angles to it.
    grads: Any = slope.jit(slope.grad(lambda m: (m(x) ** 2).sum()))(layer)
    over = tuple(each for each in range(2) if dim is None or each != dim % 2)
    along = (grads.module.weight * plain.weight).sum(over).numpy()
    np.testing.assert_allclose(along, 0, atol=2e-4)
    assert np.abs(grads.g.numpy()).min() > 0


def test_spectral_norm():
    slope.manual_seed(0)
    plain: Any = nn.Conv2d(2, 3, 2)
    layer: Any = nn.SpectralNorm(plain, key=slope.random.key(4))
    x = slope.randn(1, 2, 4, 4)
    before = layer.u
    plain.weight = slope.randn(3, 2, 2, 2)
    for _ in range(30):
        layer(x)
    assert not slope.equal(layer.u, before)
    matrix = plain.weight.numpy().reshape(3, -1)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(layer.weight.numpy(), plain.weight.numpy() / largest, rtol=1e-4)
    assert [name for name, _ in layer.named_buffers()] == ["u", "v"]
    kept = layer.eval().u
    layer(x)
    assert slope.equal(layer.u, kept)
    # d|w| / dw = u v^T, so scaling the weight changes nothing.
    grads: Any = slope.grad(lambda m: (m(x) ** 2).sum())(layer)
    along = (grads.module.weight * plain.weight).sum().item()
    assert along == pytest.approx(0, abs=1e-3)
    assert grads.u is None


def test_what_they_refuse():
    with pytest.raises(errors.ArgumentError, match="WeightNorm takes a module with a tensor 'wei"):
        nn.WeightNorm(nn.ReLU())
    with pytest.raises(errors.ArgumentError, match="tensor 'kernel', not Linear"):
        nn.SpectralNorm(nn.Linear(2, 2), "kernel")
