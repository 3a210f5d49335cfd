"""Running sums, products and extrema over dimensions that are long enough to go by halves."""

import numpy as np
import pytest

import slope

LENGTHS = [40, 131]


def draws(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("f4")


@pytest.mark.parametrize("dim", [0, 1])
def test_values(backend, dim):
    for length in LENGTHS:
        x = draws(length, 3) if dim == 0 else draws(2, length)
        largest, log_sums, products = slope.jit(
            lambda x: (slope.cummax(x, dim), slope.logcumsumexp(x, dim), slope.cumprod(x, dim))
        )(slope.tensor(x))
        np.testing.assert_array_equal(largest.values.numpy(), np.maximum.accumulate(x, dim))
        found = np.take_along_axis(x, largest.indices.numpy(), dim)
        np.testing.assert_array_equal(found, largest.values.numpy())
        exact = x.astype("f8")
        wanted = np.logaddexp.accumulate(exact, dim)
        np.testing.assert_allclose(log_sums.numpy(), wanted, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(products.numpy(), np.cumprod(exact, dim), rtol=1e-4, atol=1e-6)


def test_derivatives(backend):
    x, weights = draws(2, 77), draws(2, 77)

    @slope.jit
    def gradient(x):
        return slope.grad(lambda x: (slope.logcumsumexp(x, 1) * weights).sum())(x)

    exact = x.astype("f8")
    sums = np.logaddexp.accumulate(exact, 1)
    share = np.tril(np.exp(exact[:, None, :] - sums[:, :, None]))  # of each element in each sum
    wanted = np.einsum("bs,bsi->bi", weights, share)
    np.testing.assert_allclose(gradient(slope.tensor(x)).numpy(), wanted, rtol=1e-4, atol=1e-5)
    far = slope.logcumsumexp(slope.tensor([-np.inf, 1e4, -1e4] * 20), 0).numpy()
    assert far[0] == -np.inf
    assert (np.abs(far[1:] - 1e4) < 4).all()
