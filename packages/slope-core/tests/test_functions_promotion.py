"""Promotion, PyTorch's table; operators of tensors with tensors, numbers and arrays."""

import operator

import numpy as np
import pytest

import slope.eager  # noqa: F401  fills the executor
from slope import functions as fn
from slope.core.tensor import Tensor

pytestmark = pytest.mark.usefixtures("on_numpy")


def rng(seed=0):
    return np.random.default_rng(seed)


def close(actual, expected, rtol=1e-5, atol=1e-6):
    assert isinstance(actual, Tensor), actual
    np.testing.assert_allclose(actual.numpy(), expected, rtol=rtol, atol=atol)
    assert actual.shape == np.shape(expected)


def of(dtype, *shape):
    return fn.ones(*shape, dtype=dtype)


PROMOTED = [
    # dtype, other (dtype and shape, or a number), result of x + other
    ("float32", ("int64", (2,)), "float32"),
    ("float16", ("int64", (2,)), "float16"),
    ("float16", ("bfloat16", (2,)), "float32"),
    ("int32", ("int64", (2,)), "int64"),
    ("uint8", ("int8", (2,)), "int16"),
    ("int32", ("int64", ()), "int32"),  # 0-d yields within a kind
    ("float32", ("float64", ()), "float32"),
    ("int32", ("float64", ()), "float64"),  # but not between kinds
    ("bool", ("int32", ()), "int32"),
    ("int8", 1, "int8"),
    ("int8", 1.0, "float32"),
    ("bool", 1, "int64"),
    ("bool", True, "bool"),
    ("float16", 2.5, "float16"),
    ("float64", 2.5, "float64"),
    ("float32", np.float64(2.5), "float32"),  # NumPy scalars are weak
    ("float32", np.ones(2), "float64"),  # NumPy arrays are not
]


@pytest.mark.parametrize(("dtype", "other", "expected"), PROMOTED, ids=str)
def test_promotion(dtype, other, expected):
    y = of(other[0], *other[1]) if isinstance(other, tuple) else other
    for result in (of(dtype, 2) + y, y + of(dtype, 2)):
        assert result.dtype.name == expected


def test_dtypes_of_results():
    i, f, h, b = of("int32", 2, 3), of("float32", 2, 3), of("float16", 2, 3), of("bool", 2, 3)
    table = {
        "int64": [
            i.sum(),
            b.sum(),
            i.prod(),
            i.cumsum(0),
            b.sum(0),
            f.argmax(),
            f.count_nonzero(),
            fn.arange(3),
            fn.tensor([1]),
        ],
        "int32": [
            i + 1,
            i // 2,
            i % 2,
            i**2,
            -i,
            i.abs(),
            i.max(),
            i.floor(),
            i & 1,
            i << 1,
            i.int(),
        ],
        "float32": [
            i / 2,
            b / 2,
            i.exp(),
            b.sin(),
            i**0.5,
            i + 0.5,
            f.mean(),
            i.mean(dtype="float32"),
            fn.arange(0.5),
            fn.tensor(1.0),
            fn.zeros(2),
        ],
        "float16": [h.mean(), h.sum(), h.var(), h + 1, h.softmax(1), h * f.sum()],
        "bool": [
            i == 1,
            f < 2,
            i.any(),
            b & b,
            ~b,
            b + b,
            fn.isnan(i),
            fn.logical_not(f),
            fn.tensor(True),
        ],
    }
    for name, results in table.items():
        for number, result in enumerate(results):
            assert result.dtype.name == name, (name, number)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
@pytest.mark.parametrize("kind", ["float", "int"])
def test_operators_and_their_reflections(name, kind):
    function = getattr(operator, name)
    x = (
        rng().uniform(0.5, 3, (2, 3)).astype(np.float32)
        if kind == "float"
        else rng().integers(1, 5, (2, 3))
    )
    number = 2.5 if kind == "float" else 3
    close(function(fn.tensor(x), number), function(x, number))
    close(function(number, fn.tensor(x)), function(number, x))
    close(function(fn.tensor(x), x[0]), function(x, x[0]))
    close(function(x[0], fn.tensor(x)), function(x[0], x))  # an array on the left gives a tensor


def test_operators_of_other_kinds():
    x = fn.tensor([1, -2, 3])
    assert (2 ** x.abs()).tolist() == [2, 4, 8]
    assert divmod(x, 2)[0].tolist() == [0, -1, 1]
    assert divmod(7, fn.tensor(2))[1].item() == 1
    assert (-x).tolist() == abs(x).mul(-x.sign()).tolist()
    assert (~x).tolist() == [-2, 1, -4]
    assert (x ^ 1).tolist() == [0, -1, 2]
    assert (x >> 1).tolist() == [0, -1, 1]
    assert round(fn.tensor([0.5, 1.5, 2.5])).tolist() == [0, 2, 2]
    assert (x == 3).tolist() == [False, False, True]
    assert [float(row) for row in x] == [1, -2, 3]
    assert hash(x) == id(x)
    assert 3 in x
    assert float(fn.tensor(2)) == 2.0
    assert len(x) == 3
    with pytest.raises(TypeError):
        _ = x + "text"
