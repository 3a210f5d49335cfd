"""Windows as columns and back, and power means of windows."""

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")

WINDOWS = [
    ((6, 7), {"kernel_size": 3, "padding": 1, "stride": 2}),
    ((5, 5), {"kernel_size": (2, 3), "dilation": (2, 1)}),
    ((8, 8), {"kernel_size": 2, "stride": 2}),
]


@pytest.mark.parametrize(("size", "options"), WINDOWS, ids=str)
def test_fold_is_the_transpose_of_unfold(backend, size, options):
    generator = np.random.default_rng(0)
    image = slope.tensor(generator.standard_normal((2, 3, *size)).astype(np.float32))
    unfold, fold = nn.Unfold(**options), nn.Fold(size, **options)
    with slope.use_backend(backend):
        columns, pull = slope.vjp(unfold, image)
        given = slope.tensor(generator.standard_normal(columns.shape).astype(np.float32))
        made = slope.jit(fold)(given)
        np.testing.assert_allclose(made.numpy(), pull(given)[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(fold(given[0]).numpy(), made[0].numpy(), atol=1e-6)


def test_windows_that_do_not_overlap_fold_back():
    image = slope.tensor(np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8))
    back = nn.Fold(8, 2, stride=2)(nn.Unfold(2, stride=2)(image))
    np.testing.assert_array_equal(back.numpy(), image.numpy())


def test_columns_of_another_image_are_refused():
    with pytest.raises(errors.ShapeError, match=r"an image of \(8, 8\) has 4 x 4 windows"):
        slope.fold(slope.ones(1, 4, 9), 8, 2, stride=2)
    with pytest.raises(errors.ShapeError, match=r"fold: x must be \(batch, elements, windows\)"):
        slope.fold(slope.ones(4), 8, 2)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_power_sums_of_windows(ceil_mode):
    x = np.random.default_rng(0).standard_normal((1, 2, 7)).astype(np.float32)
    made = nn.LPPool1d(2, 3, 2, ceil_mode)(slope.tensor(x)).numpy()
    for at in range(3):
        part = x[..., 2 * at : 2 * at + 3]
        np.testing.assert_allclose(made[..., at], np.sqrt((part**2).sum(-1)), rtol=1e-5)
    square = nn.LPPool2d(2, (2, 1))(slope.tensor(x[None, 0, :, :6].reshape(1, 1, 2, 6))).numpy()
    np.testing.assert_allclose(square[0, 0, 0], np.sqrt((x[0, :, :6] ** 2).sum(0)), rtol=1e-5)
    assert nn.LPPool3d(1, 2)(slope.ones(1, 1, 2, 2, 2)).item() == pytest.approx(8)
    with pytest.raises(errors.ArgumentError, match="norm_type must not be 0"):
        nn.LPPool2d(0, 2)


def test_adaptive_pools_say_where_the_largest_are():
    x = slope.tensor(np.random.default_rng(1).standard_normal((2, 3, 5, 4)).astype(np.float32))
    largest, places = nn.AdaptiveMaxPool2d((2, 2), return_indices=True)(x)
    found = slope.take_along_dim(x.flatten(2), places.flatten(2), 2)
    np.testing.assert_array_equal(found.numpy(), largest.flatten(2).numpy())
