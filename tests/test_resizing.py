"""Cubic interpolation, other modes of resizing, and where the largest elements of windows are."""

import itertools

import numpy as np
import pytest

import slope
from slope import errors

IMAGE = np.random.default_rng(3).standard_normal((2, 2, 5, 6)).astype(np.float32)


def cubic_matrix(length, wanted, align_corners):
    """The weights of Keys's kernel with a = -0.75, edges repeated, as a dense matrix."""

    def kernel(t):
        t, a = abs(t), -0.75
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    matrix = np.zeros((wanted, length))
    for row in range(wanted):
        at = (
            row * (length - 1) / (wanted - 1)
            if align_corners
            else (row + 0.5) * length / wanted - 0.5
        )
        for place in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            matrix[row, min(max(place, 0), length - 1)] += kernel(at - place)
    return matrix


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(10, 12), (7, 4), (3, 13)])
def test_bicubic(size, align_corners):
    rows, columns = (cubic_matrix(n, m, align_corners) for n, m in zip((5, 6), size, strict=True))

    def resized(x):
        return slope.interpolate(x, size, mode="bicubic", align_corners=align_corners)

    with slope.use_backend("numpy"):
        found = slope.jit(resized)(IMAGE).numpy()
        pulled = slope.grad(lambda x: (resized(x) * slope.tensor(found)).sum())(slope.tensor(IMAGE))
    np.testing.assert_allclose(found, rows @ IMAGE @ columns.T, atol=2e-5)
    np.testing.assert_allclose(pulled.numpy(), rows.T @ found @ columns, atol=1e-4)


def stretched_matrix(length, wanted, mode):
    """The weights of a kernel as wide as samples are apart, as a dense matrix; Pillow's filters."""
    step = length / wanted
    centres = (np.arange(wanted)[:, None] + 0.5) * step
    t = np.abs(np.arange(length) + 0.5 - centres) / max(step, 1.0)
    if mode == "bilinear":
        matrix = np.where(t < 1, 1 - t, 0)
    else:
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        matrix = np.where(t < 1, near, np.where(t < 2, far, 0))
    return matrix / matrix.sum(1, keepdims=True)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(2, 3), (1, 9), (3, 1)])
def test_antialias(mode, size, monkeypatch):
    rows, columns = (stretched_matrix(n, m, mode) for n, m in zip((5, 6), size, strict=True))
    for elements in (1 << 20, 0):  # matrices, gathers
        monkeypatch.setattr("slope.functions.resizing._MATRIX", elements)
        with slope.use_backend("numpy"):
            x = slope.tensor(IMAGE)
            found = slope.interpolate(x, size, mode=mode, antialias=True)
            again = slope.interpolate(x, size, mode=mode, antialias=True, align_corners=True)
        np.testing.assert_allclose(found.numpy(), rows @ IMAGE @ columns.T, atol=1e-5)
        assert not slope.allclose(found, again)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_long_dimensions_need_no_matrix(mode, monkeypatch):
    def everything(x):
        out = slope.interpolate(x, (8, 5), mode=mode)
        return out, slope.grad(lambda x: (slope.interpolate(x, (8, 5), mode=mode) ** 3).sum())(x)

    with slope.use_backend("numpy"):
        short = slope.jit(everything)(IMAGE)
        monkeypatch.setattr("slope.functions.resizing._MATRIX", 30)
        step = slope.jit(everything)
        long = step(IMAGE)
        program = step.trace(IMAGE)
    assert "dot_general" not in str(program)
    for one, other in zip(short, long, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-5)


def test_other_modes(backend):
    found = slope.jit(
        lambda x: (
            slope.interpolate(x, (7, 4), mode="nearest-exact"),
            slope.interpolate(x, (2, 3), mode="area"),
            slope.interpolate(x, scale_factor=2.0, mode="bicubic"),
        )
    )(IMAGE)
    rows = [0, 1, 1, 2, 3, 3, 4]  # floor((i + 0.5) * 5 / 7)
    np.testing.assert_array_equal(found[0].numpy(), IMAGE[:, :, rows][..., [0, 2, 3, 5]])
    windows = [IMAGE[:, :, a:b] for a, b in ((0, 3), (2, 5))]
    area = [w.mean(2).reshape(2, 2, 3, 2).mean(-1) for w in windows]
    np.testing.assert_allclose(found[1].numpy(), np.stack(area, 2), atol=1e-6)
    matrices = cubic_matrix(5, 10, False), cubic_matrix(6, 12, False).T
    np.testing.assert_allclose(found[2].numpy(), matrices[0] @ IMAGE @ matrices[1], atol=2e-5)


@pytest.mark.parametrize(
    ("mode", "options", "told"),
    [
        ("cubic", {}, "mode='cubic' for 2 spatial dimensions; there are 'nearest'.*'bicubic'"),
        ("linear", {}, "mode='linear' for 2 spatial dimensions"),
        ("area", {"align_corners": True}, "align_corners goes with the linear and cubic modes"),
        ("area", {"antialias": True}, "antialias goes with mode='bilinear' and 'bicubic', not 'a"),
    ],
)
def test_modes_that_do_not_fit_are_refused(mode, options, told):
    with pytest.raises(errors.ArgumentError, match=told):
        slope.interpolate(slope.tensor(IMAGE), (2, 2), mode=mode, **options)


def test_places_of_the_largest(backend):
    x = np.round(IMAGE[0] * 2)
    x[0, 1, 2] = np.nan
    largest, places = slope.jit(
        lambda x: slope.max_pool2d(x, (3, 2), 2, (1, 0), return_indices=True)
    )(x)
    assert (places.dtype, places.shape) == (slope.int64, largest.shape)
    for channel, row, column in itertools.product(range(2), range(3), range(3)):
        lines = range(max(2 * row - 1, 0), min(2 * row + 2, 5))
        inside = [n * 6 + m for n in lines for m in range(2 * column, 2 * column + 2)]
        values = x[channel].reshape(-1)[inside]
        first = int(np.argmax(np.isnan(values) if np.isnan(values).any() else values))
        assert places.numpy()[channel, row, column] == inside[first]
        np.testing.assert_allclose(largest.numpy()[channel, row, column], values[first])


def test_places_go_with_gradients_and_batches():
    x = slope.tensor(IMAGE)
    with slope.use_backend("numpy"):
        largest, places = slope.vmap(lambda x: slope.max_pool2d(x, 2, return_indices=True))(x)
        taken = slope.gather(x.reshape(2, 2, 30), -1, places.reshape(2, 2, -1))
        assert slope.equal(taken, largest.reshape(2, 2, -1))
        pulled = slope.grad(lambda x: slope.max_pool2d(x, 2, return_indices=True)[0].sum())(x)
        assert pulled.numpy().sum() == largest.numel()
        whole = slope.max_pool1d(slope.tensor([[3, 5, 5, -9]]), 2, 1, 1, return_indices=True)
        assert [each.tolist() for each in whole] == [[[3, 5, 5, 5, -9]], [[0, 1, 1, 2, 3]]]


def test_dropout_of_volumes_and_of_selus():
    key = slope.random.key(0)
    with slope.use_backend("numpy"):
        dropped = slope.dropout3d(slope.ones(3, 40, 2, 2, 2), key=key).numpy()
        assert set(np.unique(dropped)) == {0.0, 2.0}
        assert (dropped.std((2, 3, 4)) == 0).all()
        x = slope.random.normal(slope.random.key(1), (40000,))
        kept = slope.alpha_dropout(x, 0.3, key=key).numpy()
        assert abs(kept.mean()) < 0.02
        assert kept.std() == pytest.approx(1, abs=0.02)
        assert slope.alpha_dropout(x, 0.3, training=False) is x
        assert not slope.any(slope.alpha_dropout(x, 1.0)).item()
        with pytest.raises(errors.ArgumentError, match=r"alpha_dropout: p=2\.0 must be a probab"):
            slope.alpha_dropout(x, 2.0)
        with pytest.raises(errors.ShapeError, match="dropout3d: x must have 4 or 5 dimensions"):
            slope.dropout3d(x)
