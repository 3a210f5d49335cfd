"""Convolutions compiled as others: over one dimension or three, of odd rows, in groups."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import slope
from slope import dtypes

Array = Any


CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "samples": ((2, 3, 20), (4, 3, 3), {"padding": 1}),
    "samples by strides": ((2, 3, 19), (4, 3, 4), {"stride": 2, "padding": 3}),
    "samples, dilated": ((2, 3, 40), (4, 3, 18), {"stride": 3, "dilation": 2}),
    "samples, a long kernel": ((2, 2, 90), (4, 2, 30), {"stride": 8, "padding": 5}),
    "samples, a longer kernel": ((2, 1, 700), (3, 1, 300), {"stride": 20}),
    "samples, the longest": ((1, 1, 300), (2, 1, 200), {}),
    "samples between gaps": ((2, 3, 21), (4, 3, 1), {"stride": 2}),
    "row of 13": ((2, 3, 6, 13), (4, 3, 3, 3), {"padding": 1}),
    "row of 9 by strides": ((2, 3, 7, 19), (4, 3, 3, 3), {"stride": 2}),
    "row of 11, dilated": ((1, 3, 8, 15), (4, 3, 3, 3), {"dilation": 2}),
    "row of 17, depthwise": ((2, 6, 5, 17), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    "row of 20": ((1, 3, 6, 20), (4, 3, 3, 3), {"padding": 1}),
    "17 channels": ((1, 2, 4, 6), (17, 2, 3, 3), {"padding": 1}),
    "of one channel": ((2, 1, 5, 8), (6, 1, 3, 3), {"padding": 1}),
    "to one channel": ((2, 6, 5, 8), (1, 6, 3, 3), {"padding": 1}),
    "5 channels by one tap": ((1, 2, 4, 6), (5, 2, 1, 1), {}),
    "planes": ((2, 3, 5, 6, 7), (4, 3, 3, 3, 3), {"padding": 1}),
    "planes by strides": ((2, 3, 7, 6, 9), (4, 3, 3, 2, 3), {"stride": (2, 1, 2)}),
    "planes, dilated": ((1, 2, 7, 6, 13), (3, 2, 2, 3, 3), {"dilation": (3, 1, 2)}),
    "planes, one tap": ((1, 2, 3, 4, 5), (3, 2, 1, 3, 3), {"padding": (1, 0, 1)}),
    "wide groups": ((2, 32, 5, 6), (32, 16, 3, 3), {"padding": 1, "groups": 2}),
    "narrow groups": ((2, 24, 5, 13), (36, 4, 3, 3), {"padding": 1, "groups": 6}),
    "groups by strides": ((2, 12, 9, 8), (8, 3, 3, 3), {"stride": 2, "groups": 4}),
    "many groups": ((1, 36, 4, 4), (72, 1, 1, 1), {"groups": 36}),
    "groups in planes": ((1, 4, 4, 4, 5), (4, 2, 3, 3, 3), {"padding": 1, "groups": 2}),
}


def convolution(case: str) -> Any:
    of_x, _, params = CASES[case]
    function = {3: slope.conv1d, 4: slope.conv2d, 5: slope.conv3d}[len(of_x)]
    return lambda x, w: function(x, w, **params)


def arrays_of(case: str, dtype: dtypes.DType = dtypes.float32) -> list[Array]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(dtype.numpy) for shape in CASES[case][:2]]


def agree(function: Any, arrays: list[Array], rtol: float) -> None:
    operands = [slope.tensor(array) for array in arrays]
    got, want = (
        [np.asarray(leaf, np.float64) for leaf in slope.tree_leaves(run(*operands))]
        for run in (slope.jit(function, backend=name) for name in ("iree", "numpy"))
    )
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(other).max())


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
    convolve = convolution(case)

    def function(x: Any, w: Any) -> Any:
        gradients = slope.grad(lambda x, w: (convolve(x, w) ** 2).sum(), argnums=(0, 1))(x, w)
        return (convolve(x, w), *gradients)

    agree(function, arrays_of(case), 1e-5)


@pytest.mark.parametrize("case", ["samples", "row of 13", "planes", "narrow groups"])
def test_half_precision(case):
    agree(convolution(case), arrays_of(case, dtypes.float16), 2e-3)


def results_of_convolutions(case: str) -> list[str]:
    """The types of convolutions' results in the compiled text."""
    lowered = slope.jit(convolution(case), backend="iree").lower(
        *map(slope.tensor, arrays_of(case))
    )
    return re.findall(r"stablehlo\.convolution.*-> tensor<(\S+)>", lowered.code)


def test_a_row_is_filled_up_to_whole_tiles():
    assert results_of_convolutions("row of 13") == ["2x6x14x16xf32"]
    assert results_of_convolutions("row of 9 by strides") == ["2x3x10x16xf32"]


def test_a_row_of_whole_tiles_stays():
    assert results_of_convolutions("row of 20") == ["1x6x20x16xf32"]


def test_channels_are_filled_up_to_whole_vectors():
    assert results_of_convolutions("17 channels") == ["1x4x6x32xf32"]
    assert results_of_convolutions("5 channels by one tap") == ["1x4x6x5xf32"]


def test_one_channel_becomes_two():
    lowered = slope.jit(convolution("of one channel"), backend="iree").lower(
        *map(slope.tensor, arrays_of("of one channel"))
    )
    (line,) = re.findall(r"stablehlo\.convolution.*", lowered.code)
    assert "(tensor<2x5x8x2xf32>, tensor<3x3x2x16xf32>)" in line


def test_transposed_weights_are_kept_out_of_the_convolution():
    @slope.jit(backend="iree")
    def function(x: Any, w: Any) -> Any:
        return slope.conv2d(x, w.transpose(0, 1), padding=1)

    arrays = [slope.ones(1, 16, 8, 8), slope.ones(16, 32, 3, 3)]
    code = function.lower(*arrays).code
    (weights,) = re.findall(r"stablehlo\.convolution\(%\w+, (%\w+)\)", code)
    assert f"{weights} = iree_tensor_ext.compute_barrier.start" in code


def test_planes_are_images():
    assert results_of_convolutions("planes") == ["10x6x7x16xf32"]


def test_groups_are_merged_to_sixteen_channels():
    assert results_of_convolutions("wide groups") == ["2x5x6x16xf32"] * 2
    assert results_of_convolutions("narrow groups") == ["2x5x14x48xf32"]
    assert results_of_convolutions("groups by strides") == ["2x4x3x16xf32"]


def test_samples_are_products():
    for case in ("samples", "samples, dilated", "samples, a longer kernel"):
        assert results_of_convolutions(case) == []
