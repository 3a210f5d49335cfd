"""Options of normalizations as PyTorch has them."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import nn

pytestmark = pytest.mark.usefixtures("on_numpy")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.BatchNorm1d(3, bias=False), (4, 3)),
        (lambda: nn.InstanceNorm1d(3, affine=True, bias=False), (4, 3, 5)),
        (lambda: nn.GroupNorm(3, 6, bias=False), (4, 6)),
    ],
)
def test_a_normalization_without_a_bias(layer, shape):
    made = layer()
    assert made.bias is None
    assert [name for name, _ in made.named_parameters()] == ["weight"]
    x = slope.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    assert made(x).shape == shape


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_without_momentum_statistics_are_means_over_all_batches(kind):
    layer = kind(3, momentum=None, track_running_stats=True)
    batches = np.random.default_rng(0).standard_normal((5, 4, 3, 6)).astype(np.float32)

    @slope.jit
    def step(layer, x):
        layer(x)
        return layer

    for batch in batches:
        layer = step(layer, slope.tensor(batch))
    over = (1, 3) if kind is nn.BatchNorm1d else (3,)
    means, variances = batches.mean(over), batches.var(over, ddof=1)
    while means.ndim > 1:
        means, variances = means.mean(0), variances.mean(0)
    np.testing.assert_allclose(layer.running_mean.numpy(), means, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), variances, atol=1e-6)
    assert layer.num_batches_tracked.item() == 5


def test_an_empty_batch_leaves_the_statistics():
    layer: Any = nn.BatchNorm1d(3)
    assert layer(slope.zeros(0, 3)).shape == (0, 3)
    np.testing.assert_array_equal(layer.running_mean.numpy(), np.zeros(3))
    np.testing.assert_array_equal(layer.running_var.numpy(), np.ones(3))


@pytest.mark.parametrize("tracked", [False, True])
def test_instance_normalization_of_one_example(tracked):
    x = slope.tensor(np.random.default_rng(0).standard_normal((3, 4, 4)).astype(np.float32))
    single = nn.InstanceNorm2d(3, track_running_stats=tracked)
    batch = nn.InstanceNorm2d(3, track_running_stats=tracked)
    np.testing.assert_array_equal(single(x).numpy(), batch(x.unsqueeze(0))[0].numpy())
    for (name, mine), (_, other) in zip(single.named_buffers(), batch.named_buffers(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy(), err_msg=name)
