"""Arguments as PyTorch spells them: names, ``None`` for a default, and what changes nothing."""

import numpy as np
import pytest

import slope
from slope import errors

pytestmark = pytest.mark.usefixtures("on_numpy")


MADE = {
    "zeros": (slope.zeros, slope.float32),
    "ones": (slope.ones, slope.float32),
    "full": (lambda **given: slope.full(fill_value=2, **given), slope.int64),
    "full, then a number": (lambda size, dtype: slope.full(size, 2, dtype=dtype), slope.int64),
    "rand": (slope.rand, slope.float32),
    "randn": (slope.randn, slope.float32),
    "randint": (lambda **given: slope.randint(5, **given), slope.int64),
    "randint, low": (lambda **given: slope.randint(-3, 5, **given), slope.int64),
    "randint, high=": (lambda **given: slope.randint(-3, high=5, **given), slope.int64),
    "randint, all named": (lambda **given: slope.randint(low=4, high=5, **given), slope.int64),
}


@pytest.mark.parametrize("name", MADE)
def test_a_shape_may_be_called_size_and_no_dtype_is_the_default(name):
    make, dtype = MADE[name]
    made = make(size=(2, 3), dtype=None)
    assert made.shape == (2, 3)
    assert made.dtype is dtype
    assert make(
        size=(2,), dtype=slope.float64 if dtype.is_floating_point else slope.int8
    ).shape == (2,)


def test_randint_keeps_to_the_bounds_that_are_named():
    drawn = slope.randint(low=-2, high=3, size=(200,)).numpy()
    assert set(drawn.tolist()) == {-2, -1, 0, 1, 2}
    with pytest.raises(errors.ArgumentError, match=r"takes \(high, size\)"):
        slope.randint(low=0, size=(2,))
    with pytest.raises(errors.ArgumentError, match=r"takes \(high, size\)"):
        slope.randint(0, 1, 2, size=(2,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: slope.eye(2, dtype=None),
        lambda: slope.linspace(0, 1, 3, dtype=None),
        lambda: slope.logspace(0, 1, 3, dtype=None),
        lambda: slope.ones(2).to("cpu", None),
    ],
)
def test_none_is_the_default_dtype(make):
    assert make().dtype is slope.float32


@pytest.mark.parametrize("mode", ["constant", "replicate"])
def test_none_pads_with_zeros(mode):
    x = slope.ones(1, 1, 2)
    np.testing.assert_array_equal(
        slope.pad(x, (1, 1), mode, None).numpy(), slope.pad(x, (1, 1), mode).numpy()
    )


def test_none_alone_is_no_target():
    assert slope.randperm(3, dtype=None).dtype is slope.int64
    with pytest.raises(errors.ArgumentError, match="None is neither a dtype nor a device"):
        slope.ones(2).to(None)


def test_a_range_is_data():
    made = slope.tensor(range(1, 4))
    assert (made.tolist(), made.dtype) == ([1, 2, 3], slope.int64)
    assert slope.as_tensor(range(2), dtype=slope.float32).dtype is slope.float32


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, ()) for name in ("relu", "relu6", "selu", "silu", "mish", "elu", "celu")]
    + [("hardsigmoid", ()), ("hardswish", ())]
    + [("leaky_relu", (0.2,)), ("hardtanh", (-0.5, 0.5)), ("threshold", (0.1, 7.0))]
    + [("dropout", (0.0, True)), ("dropout2d", (0.0,)), ("alpha_dropout", (0.0,))],
)
def test_inplace_changes_nothing(name, arguments):
    function, x = getattr(slope, name), slope.linspace(-2, 2, 24).reshape(1, 2, 3, 4)
    plain, inplace = function(x, *arguments), function(x, *arguments, inplace=True)
    np.testing.assert_array_equal(inplace.numpy(), plain.numpy())
    np.testing.assert_array_equal(x.numpy().ravel(), slope.linspace(-2, 2, 24).numpy())


def test_view_of_a_dtype_is_the_bits():
    x = slope.tensor([1.0, -2.0])
    assert x.view(slope.int32).tolist() == np.array([1.0, -2.0], np.float32).view(np.int32).tolist()
    assert slope.view(x, 2, 1).shape == x.view(-1, 1).shape == x.view((2, 1)).shape == (2, 1)
    with pytest.raises(errors.DTypeError, match="differ in width"):
        x.view(slope.int8)


def test_where_without_values_names_nonzero():
    with pytest.raises(errors.ArgumentError, match=r"slope.nonzero\(condition, as_tuple=True\)"):
        slope.where(slope.ones(2) > 0)
    with pytest.raises(errors.ArgumentError, match="takes a condition, x and y"):
        slope.where(slope.ones(2) > 0, 1.0)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_covariances_of_nothing(shape):
    with np.errstate(invalid="ignore"):
        assert slope.cov(slope.ones(shape)).shape == (shape[0], shape[0])
        assert slope.corrcoef(slope.ones(shape)).shape == (shape[0], shape[0])


@pytest.mark.parametrize(
    ("dtypes", "shapes", "expected"),
    [
        (("int32", "float64", "float32"), ((3,), (), (3,)), "float32"),
        (("int32", "float64", "float32"), ((3,), (), ()), "float64"),
        (("uint8", "int64", "int16"), ((3,), (), (3,)), "int16"),
        (("float16", "float32", "float64"), ((3,), (), ()), "float16"),
    ],
)
def test_the_bounds_of_clamp_promote_together(dtypes, shapes, expected):
    x, low, high = (
        slope.full(shape, 2, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)
    )
    assert slope.clamp(x, low, high).dtype.name == expected
