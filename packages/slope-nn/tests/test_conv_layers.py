"""Convolution, pooling, resizing and padding layers beyond the stored references."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


def test_a_transposed_convolution_takes_the_size_of_its_output():
    down, up = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ConvTranspose2d(3, 2, 3, 2, 1)
    for size in ((7, 8), (8, 7), (8, 8)):
        x = slope.ones(1, 2, *size)
        assert up(down(x), output_size=size).shape == x.shape
        assert up(down(x), output_size=x.shape).shape == x.shape
    with pytest.raises(errors.ShapeError, match=r"output_size \(9, 7\).*from \(7, 7\) to \(8, 8\)"):
        up(down(slope.ones(1, 2, 7, 7)), output_size=(9, 7))
    assert nn.ConvTranspose1d(2, 4, 3)(slope.ones(2, 5)).shape == (4, 7)


def test_initial_values_of_transposed_convolutions_have_pytorchs_bound():
    layer: Any = nn.ConvTranspose2d(40, 30, 3, groups=2, key=slope.random.key(0))
    assert layer.weight.shape == (40, 15, 3, 3)
    bound = 1 / np.sqrt(15 * 9)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert 0.8 * bound < np.abs(values).max() <= bound
    assert repr(layer) == "ConvTranspose2d(40, 30, kernel_size=(3, 3), bias=True)"


def test_max_pool_tells_places():
    x = slope.tensor(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4))
    largest, places = slope.jit(nn.MaxPool2d(2, return_indices=True))(x)
    assert largest.tolist() == [[[[5, 7], [13, 15]]]]
    assert places.tolist() == [[[[5, 7], [13, 15]]]]


def test_repr_of_padding():
    assert repr(nn.ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))"
    assert repr(nn.ConstantPad1d((1, 2), 3.0)) == "ConstantPad1d((1, 2), 3.0)"


def test_dropouts():
    slope.manual_seed(0)
    dropped = nn.Dropout3d(0.5)(slope.ones(2, 30, 2, 2, 2)).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped.std((2, 3, 4)) == 0).all()
    x = slope.randn(40000)
    out = nn.AlphaDropout(0.2)(x).numpy()
    assert abs(out.mean()) < 0.02
    assert out.std() == pytest.approx(1, abs=0.02)
    assert nn.AlphaDropout(0.2).eval()(x) is x


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nn.Conv2d(2, 2, 3, padding_mode="mirror"), "padding_mode must be one of zeros"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, groups=2), "2 groups must divide 3 and 4 channels"),
        (lambda: nn.ConvTranspose1d(2, 2, (3, 3)), "ConvTranspose1d: kernel_size takes 1 lengths"),
        (
            lambda: nn.ConvTranspose1d(2, 2, 3, output_padding=1)(slope.ones(1, 2, 3)),
            "output_padding=.* must be less than stride",
        ),
        (nn.Upsample, "give either size or scale_factor, and not both"),
        (lambda: nn.Upsample(2, mode="x")(slope.ones(1, 1, 2, 2)), "mode='x' for 2 spatial"),
        (lambda: nn.ZeroPad2d((1, 2)), "ZeroPad2d: padding must be one width or 4"),
        (lambda: nn.LocalResponseNorm(0), "size must be a positive int"),
        (lambda: nn.LocalResponseNorm(2)(slope.ones(2, 3)), r"takes \(n, channels, ...\)"),
        (lambda: nn.PixelUnshuffle(0), "downscale_factor must be a positive int"),
        (lambda: nn.AdaptiveMaxPool2d((2, 2, 2))(slope.ones(1, 1, 4, 4)), "output_size=.* or 2 of"),
    ],
)
def test_bad_arguments_are_refused(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make()


def test_upsampling_takes_its_steps_from_the_factor_or_from_the_lengths():
    x = slope.random.normal(slope.random.key(0), (1, 2, 5))
    for given in (None, True):
        layer = nn.Upsample(scale_factor=1.7, mode="linear", recompute_scale_factor=given)
        wanted = slope.interpolate(x, 8 if given else None, None if given else 1.7, "linear")
        np.testing.assert_array_equal(layer(x).numpy(), wanted.numpy())
    assert not slope.allclose(wanted, slope.interpolate(x, None, 1.7, "linear"))
