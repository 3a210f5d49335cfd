"""Operators on long arrays of short rows, which NumPy alone would compute a few at a time."""

from __future__ import annotations

import numpy as np
import pytest

import slope

SHAPES = [(500, 40, 2), (6, 300, 9), (40, 7, 5, 3), (1, 90, 50), (900, 4, 33), (3, 1, 4), (64, 2)]


def draws(*shape, dtype="f4"):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["sum", "amax", "amin"])
def test_reductions(shape, name):
    x = draws(*shape)
    x[0, -1] = np.nan
    for dim in [(each,) for each in range(len(shape))] + [(0, 1), tuple(range(1, len(shape)))]:
        made = slope.jit(lambda x, dim=dim: getattr(slope, name)(x, dim), backend="numpy")
        want = getattr(np, name)(x, axis=dim)
        np.testing.assert_allclose(made(slope.tensor(x)).numpy(), want, rtol=1e-4, atol=1e-4)


PAIRS = {
    "crossed": ((90, 1, 2), (90, 2)),
    "a row": ((4000, 3), (3,)),
    "a column": ((4000, 1), (4000, 4)),
    "both": ((1, 700, 1), (5, 1, 4)),
    "numbers": ((3000, 2), ()),
    "points": ((300, 1, 3), (70, 3)),
    "two dimensions at once": ((50, 1, 1, 5), (50, 20, 4, 5)),
    "apart": ((1, 60, 1, 5), (30, 60, 4, 5)),
    "leading": ((2, 3), (2000, 2, 3)),
    "columns of rows": ((40, 50, 1), (40, 50, 7)),
}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8"])
@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name, dtype):
    x, y = (draws(*shape, dtype=dtype) for shape in PAIRS[name])

    @slope.jit(backend="numpy")
    def several(x, y):
        least = slope.minimum(x, y)
        return least, (least + x) * y, slope.maximum(y, x) > least

    least = np.minimum(x, y)
    wanted = least, (least + x) * y, np.maximum(x, y) > least
    for got, want in zip(several(slope.tensor(x), slope.tensor(y)), wanted, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


def test_what_is_repeated_few_elements_at_a_time_is_written_out_and_over():
    x, y = slope.tensor(draws(300, 1, 3)), slope.tensor(draws(70, 3))
    code = slope.jit(lambda x, y: (x - y) ** 2, backend="numpy").lower(x, y).code
    assert code.count("kernels.repeated") == 1  # three elements of x; y has runs of 210
    assert "out=" in code.split("np.subtract")[1].split("\n")[0]


@pytest.mark.parametrize("size", [2, 4000])
def test_symbolic_sizes(size):
    sizes = {"x": {0: slope.Dim("n")}, "y": {0: slope.Dim("n")}}

    @slope.jit(backend="numpy", dynamic=sizes)
    def centered(x, y):
        return x - y, x[:, None] * y

    x, y = draws(size, 3), draws(size, 1)
    got = centered(slope.tensor(x), slope.tensor(y))
    np.testing.assert_array_equal(got[0], x - y)
    np.testing.assert_array_equal(got[1][:5], x[:5, None] * y)
    assert centered.compile_count == 1


@pytest.mark.parametrize("shape", [(2, 30, 600), (30, 4, 300), (5, 1, 2000), (2, 0, 2000)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "i4"])
def test_running_results(shape, dtype):
    x = (draws(*shape) * 2).astype(dtype)
    for dim in (0, 1):
        total, back, product = (
            slope.jit(function, backend="numpy")(slope.tensor(x)).numpy()
            for function in (
                lambda x, dim=dim: slope.cumsum(x, dim),
                lambda x, dim=dim: slope.flip(slope.cumsum(slope.flip(x, (dim,)), dim), (dim,)),
                lambda x, dim=dim: slope.cumprod(x, dim),
            )
        )
        wide = x.astype("f4" if dtype == "f2" else dtype)
        kind = "f4" if dtype == "f2" else total.dtype
        for got, want in (
            (total, np.cumsum(wide, dim, kind)),
            (back, np.flip(np.cumsum(np.flip(wide, dim), dim, kind), dim)),
            (product, np.cumprod(wide, dim, kind)),
        ):
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(got, want.astype(got.dtype))
