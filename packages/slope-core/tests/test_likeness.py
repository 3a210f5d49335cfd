"""PyTorch's other names of methods and dtypes."""

from __future__ import annotations

import numpy as np
import pytest

import slope


def test_methods_named_after_another_tensor():
    x, other = slope.arange(6.0).reshape(1, 6), slope.zeros(3, 2)
    np.testing.assert_array_equal(x.view_as(other).numpy(), [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(x.reshape_as(other).numpy(), x.view_as(other).numpy())
    np.testing.assert_array_equal(x[:, :2].expand_as(other).numpy(), [[0, 1]] * 3)
    with pytest.raises(slope.errors.ShapeError, match=r"expand"):
        x.expand_as(other)


def test_dimensions():
    x = slope.arange(6.0).reshape(2, 3)
    assert x.t().shape == slope.t(x).shape == (3, 2)
    assert x[0].t().shape == (3,)
    assert x.ravel().shape == (6,)
    np.testing.assert_array_equal(x.select(1, -1).numpy(), [2, 5])
    np.testing.assert_array_equal(x.select(0, slope.tensor(1)).numpy(), [3, 4, 5])
    with pytest.raises(slope.errors.ShapeError, match=r"t takes matrices.*x\.mT exchanges"):
        slope.zeros(2, 3, 4).t()
    with pytest.raises(slope.errors.ShapeError, match=r"select: dim"):
        x.select(2, 0)


def test_new_tensors_have_the_dtype_of_the_old_one():
    x = slope.zeros(2, dtype=slope.float64)
    assert str(x.new_zeros(2, 3).type) == "float64[2, 3]"
    assert str(x.new_ones((2, 3)).type) == "float64[2, 3]"
    assert str(x.new_full((4,), 3).type) == "float64[4]"
    assert str(x.new_tensor([1, 2], dtype=slope.int32).type) == "int32[2]"
    total = slope.jit(lambda x: x + x.new_ones(2) + x.new_full((2,), 2) + x.new_tensor([1, 2]))
    np.testing.assert_array_equal(total(x).numpy(), [4, 5])


def test_where_tensors_are():
    x = slope.ones(2)
    assert x.cpu().device == slope.device("cpu")
    assert x.is_floating_point()
    assert not x.long().is_floating_point()


def test_names_of_dtypes():
    assert (slope.bool, slope.short, slope.int, slope.long) == (
        slope.bool_, slope.int16, slope.int32, slope.int64,
    )  # fmt: skip
    assert (slope.half, slope.float, slope.double) == (slope.float16, slope.float32, slope.float64)
    assert not {"bool", "float", "int"} & set(slope.__all__)
    assert {"bool", "float", "int"} <= set(dir(slope))
    assert slope.zeros(2, dtype=slope.long).dtype == slope.ones(1).to(slope.long).dtype


@pytest.mark.parametrize(
    "name",
    ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardswish"],
)
def test_inplace_changes_nothing(name):
    x = slope.linspace(-4, 4, 9)
    function = getattr(slope, name)
    np.testing.assert_array_equal(function(x, inplace=True).numpy(), function(x).numpy())
    np.testing.assert_array_equal(x.numpy(), np.linspace(-4, 4, 9, dtype="f4"))


@pytest.mark.parametrize("name", ["dropout", "dropout2d", "alpha_dropout"])
def test_dropout_takes_inplace(name):
    x = slope.ones(2, 3, 4, 4)
    np.testing.assert_array_equal(getattr(slope, name)(x, 0.5, False, True).numpy(), x.numpy())
