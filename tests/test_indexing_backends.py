"""Sorting, searching, scattering and windows agree on all backends, in values and derivatives."""

import numpy as np
import pytest

import slope

BACKENDS = ("onnxruntime", "iree")
NAN, INF = float("nan"), float("inf")


def functions(x, y, i, at):
    """Many results out of one program: a compile costs more than all of them."""
    return [
        *slope.sort(x, 1), *slope.sort(x, 0, descending=True), *slope.topk(x, 3, largest=False),
        *slope.median(x, 1), slope.quantile(x, 0.3, 1), slope.cumprod(x, 1),
        *slope.cummax(x, 1), *slope.cummin(x, 0), slope.logcumsumexp(x, 1),
        slope.searchsorted(slope.sort(y).values, x), x.index_add(0, i, x),
        x.scatter_add(1, i[None], x),
        x.scatter_reduce(1, i[None], x, "amax", include_self=False), slope.gather_nd(x, i[:, None]),
        slope.dynamic_slice(x, (at, 1), (1, 3)), slope.dynamic_update_slice(x, x[:1, :2], (at, at)),
        slope.narrow(x, 1, at, 2), x.masked_fill(x > 0, 0), slope.one_hot(i, 4),
        slope.pad(x, (2, 1), "reflect"), slope.diag_embed(y, 1), slope.rot90(x), x.take(i),
        slope.embedding(i, x, 1), slope.bincount(i, y[:3], 4),
    ]  # fmt: skip


def arguments():
    x = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    odd = x.copy()
    odd[0, 1], odd[1, 2], odd[2, 0] = NAN, INF, -INF
    y = np.array([0.5, -1, 0.5, 2, 0], np.float32)
    return x, odd, y, np.array([2, 0, 2], np.int32), np.array(2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_values(backend):
    x, odd, y, i, at = arguments()
    for each in (x, odd):
        wanted = slope.jit(functions, backend="numpy")(each, y, i, at)
        found = slope.jit(functions, backend=backend)(each, y, i, at)
        for number, (got, want) in enumerate(zip(found, wanted, strict=True)):
            assert got.type == want.type, number
            np.testing.assert_allclose(
                got.numpy(), want.numpy(), rtol=1e-5, atol=1e-6, err_msg=str(number)
            )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_not_lost_where_extremes_are_scattered(backend, mode):
    def scattered(x, y, i):
        return [getattr(x.at[at], mode)(u) for at, u in ((0, y[0]), (1, y[1]), (2, y[0]), (i, y))]

    x, y = slope.tensor([NAN, 1.0, INF]), slope.tensor([2.0, NAN, -1.0, 3.0])
    i = slope.tensor([0, 1, 1, 2])
    wanted = slope.jit(scattered, backend="numpy")(x, y, i)
    for got, want in zip(slope.jit(scattered, backend=backend)(x, y, i), wanted, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_element_of_a_slice_is_scattered(backend):
    def scattered(x, y):
        return [x.at[1].set(y[1:].reshape(1)), x.at[0].add(y[:1].reshape(1)), x.at[0].mul(y[0])]

    x, y = slope.tensor([[1.0], [2.0], [3.0]]), slope.tensor([5.0, 7.0])
    found = [each.tolist() for each in slope.jit(scattered, backend=backend)(x, y)]
    assert found == [[[1], [7], [3]], [[6], [2], [3]], [[5], [2], [3]]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_derivatives(backend):
    def loss(x, y, i, at):
        parts = [each for each in functions(x, y, i, at) if each.dtype is slope.float32]
        return sum((part * part).sum() for part in parts)

    x, _, y, i, at = arguments()
    wanted = slope.jit(slope.grad(loss, argnums=(0, 1)), backend="numpy")(x, y, i, at)
    found = slope.jit(slope.grad(loss, argnums=(0, 1)), backend=backend)(x, y, i, at)
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4, atol=1e-5)


def test_a_cache_is_written_row_by_row():
    def decode(cache, row, at):
        cache = slope.dynamic_update_slice(cache, row, (0, at, 0))
        return cache, slope.dynamic_slice(cache, (0, at, 0), (2, 1, 3))

    for backend in ("numpy", *BACKENDS):
        step = slope.jit(decode, backend=backend)
        first = cache = slope.zeros(2, 4, 3)
        for at in range(5):
            cache, back = step(cache, slope.full((2, 1, 3), at + 1.0), at)
            assert back.tolist() == [[[at + 1.0] * 3]] * 2
        assert cache[0, :, 0].tolist() == [1, 2, 3, 5]  # the fifth was clamped to the last row
        assert first.tolist() == slope.zeros(2, 4, 3).tolist()
