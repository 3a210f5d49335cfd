"""Long sums, which lose little of what they add up."""

from __future__ import annotations

import numpy as np
import pytest

import slope

SUMS = {
    "everything": ((1000, 100), (0, 1)),
    "numbers side by side": ((1, 65_536), (1,)),
    "very many": ((4_400_000,), (0,)),
    "of many rows": ((40, 8192), (1,)),
    "columns": ((3, 50_000, 2), (1,)),
    "odd rows": ((2, 999, 13), (1, 2)),
    "a prime": ((10_007,), (0,)),
    "columns of a prime": ((10_007, 3), (0,)),
    "all but one": ((8, 3, 32, 32), (0, 2, 3)),
    "between": ((4, 1, 70, 3, 80), (0, 1, 2, 4)),
}


def squares_of(x, dim):
    return ((x - 0.5) ** 2).sum(dim)


def test_they_are_nearly_exact():
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(size=shape).astype("f4") for shape, _ in SUMS.values()]
    dims = [dim for _, dim in SUMS.values()]

    def everything(xs):
        return [(x.sum(dim), squares_of(x, dim)) for x, dim in zip(xs, dims, strict=True)]

    found = slope.jit(everything, backend="iree")([slope.tensor(each) for each in arrays])
    for array, dim, (plain, squares) in zip(arrays, dims, found, strict=True):
        wide = array.astype("f8")
        np.testing.assert_allclose(plain.numpy(), wide.sum(dim), rtol=2e-6)
        np.testing.assert_allclose(squares.numpy(), ((wide - 0.5) ** 2).sum(dim), rtol=2e-6)


@pytest.mark.parametrize(("length", "reductions"), [(4095, 1), (4096, 2)])
def test_only_long_ones_take_stages(length, reductions):
    lowered = slope.jit(slope.sum, backend="iree").lower(slope.zeros(length))
    assert lowered.code.count("stablehlo.reduce(") == reductions


def test_sums_of_products():
    x, y = (np.random.default_rng(n).uniform(size=(30, 4, 300)).astype("f4") for n in range(2))

    def products(x, y):
        along = slope.einsum("abc,bac->b", x, y.permute(1, 0, 2))
        return along, slope.dot(x.reshape(-1), y.reshape(-1)), slope.softmax(x.reshape(-1), 0)

    found = slope.jit(products, backend="iree")(slope.tensor(x), slope.tensor(y))
    wide = x.astype("f8") * y
    weights = np.exp(x.astype("f8")).ravel()
    for got, want in zip(
        found, (wide.sum((0, 2)), wide.sum(), weights / weights.sum()), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), want, rtol=2e-6)


def test_half_precision_and_whole_numbers():
    x = slope.arange(10_000) % 7
    found = slope.jit(lambda x: (x.sum(), x.to(slope.bfloat16).sum()), backend="iree")(x)
    total = (np.arange(10_000) % 7).sum()
    assert found[0].item() == total
    assert found[1].item() == pytest.approx(total, rel=2**-8)
