"""Arguments of PyTorch's layers that change nothing here."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope import nn


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Mish, nn.Hardsigmoid, nn.Hardswish, nn.LeakyReLU,
        nn.ELU, nn.CELU, nn.Hardtanh,
    ],
)  # fmt: skip
def test_activations_take_inplace(layer):
    x = slope.linspace(-4, 4, 9)
    np.testing.assert_array_equal(layer(inplace=True)(x).numpy(), layer()(x).numpy())
    with pytest.raises(TypeError, match="in_place"):
        layer(in_place=True)


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout])
def test_dropout_takes_inplace(layer):
    x = slope.ones(2, 3, 4, 4)
    np.testing.assert_array_equal(layer(0.5, True).eval()(x).numpy(), x.numpy())


def test_encoders_take_what_concerns_nested_tensors():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False, mask_check=False)
    assert stack(slope.ones(2, 3, 8)).shape == (2, 3, 8)
