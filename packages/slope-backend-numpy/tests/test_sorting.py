"""The order that sorting gives: stable, with NaN the last, whatever the dtype and its width."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import slope

DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "bfloat16", "float32", "float64",
]  # fmt: skip


def numbers(dtype: str) -> Any:
    """Many that are equal, the extremes, and what floats have besides."""
    kind: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    made = np.random.default_rng(0).integers(-3 if kind.kind in "ifV" else 0, 4, (3, 50, 2))
    made = made.astype(kind)
    if dtype == "bool":
        return made
    if kind.kind in "iu":
        limits = np.iinfo(kind.name)
        made[0, 5:9, 0] = limits.max
        made[1, 7:9, 1] = limits.min
        return made
    special = [np.nan, np.inf, -np.inf, -0.0, 0.0, -np.nan, np.nan, 1e-7, -1e-7]
    made[0, 3:12, 0] = special
    made[2, 20:29, 1] = special
    return made


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_stable_order(dtype, descending):
    x = numbers(dtype)
    values, places = slope.jit(
        lambda x: slope.sort(x, dim=1, descending=descending, stable=True), backend="numpy"
    )(slope.tensor(x))

    def key(number: float) -> tuple[bool, float]:
        if np.isnan(number):
            return not descending, 0.0
        return descending, -number if descending else number

    wanted = np.empty(x.shape, np.int64)
    for row, column in np.ndindex(3, 2):
        exact = x[row, :, column].astype(np.float64 if x.dtype.kind in "fV" else object)
        wanted[row, :, column] = sorted(range(50), key=lambda at, exact=exact: key(exact[at]))
    np.testing.assert_array_equal(places.numpy(), wanted)
    got, want = (
        each.astype("f8") if x.dtype.kind == "V" else each
        for each in (values.numpy(), np.take_along_axis(x, wanted, 1))
    )  # NaN is none to bfloat16
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("length", [0, 1, 3000])
def test_lengths(length):
    x = np.random.default_rng(0).standard_normal((2, length)).astype("f4")
    values, places = slope.jit(lambda x: slope.sort(x, dim=-1), backend="numpy")(slope.tensor(x))
    np.testing.assert_array_equal(values.numpy(), np.sort(x, -1))
    np.testing.assert_array_equal(places.numpy(), np.argsort(x, -1, kind="stable"))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("length", [70, 805])
def test_the_first_few_are_those_of_the_whole_order(dtype, largest, length):
    random = np.random.default_rng(0)
    for odd in (0, 1):
        x = (random.standard_normal((2, length, 3)) * 3).round()  # many are equal
        if odd and dtype.startswith("float"):
            x[0, [0, 9, -1], 0] = np.nan, np.inf, -np.inf
            x[1, -1, 1] = np.nan
        given = slope.tensor(abs(x).astype(dtype))

        def first(x, k):
            return slope.topk(x, k, dim=1, largest=largest)

        order = slope.sort(given, dim=1, descending=largest)
        for k in (1, 12, length // 2):
            found = slope.jit(lambda x, k=k: first(x, k), backend="numpy")(given)
            for got, want in zip(found, order, strict=True):
                np.testing.assert_array_equal(got.numpy(), want.numpy()[:, :k])
