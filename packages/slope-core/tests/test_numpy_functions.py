"""NumPy's operators and functions with tensors, and NumPy's names of arguments."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors

pytestmark = [pytest.mark.usefixtures("on_numpy"), pytest.mark.filterwarnings("error")]
ARRAY: Any = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.mark.parametrize(
    "operate",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a // b,
        lambda a, b: a % b,
        lambda a, b: a**b,
        lambda a, b: a @ b,
        lambda a, b: a == b,
        lambda a, b: a < b,
        lambda a, b: a >= b,
    ],
)
def test_operators_with_an_array_on_the_left_give_tensors(operate):
    other = ARRAY[::-1].copy()
    x = slope.tensor(other)
    for run in (operate, slope.jit(lambda a, b: operate(ARRAY, b))):
        made = run(ARRAY, x)
        assert isinstance(made, slope.Tensor)
        np.testing.assert_allclose(made.numpy(), operate(ARRAY, other), rtol=1e-6)


def test_integer_operators_and_scalars_on_the_left():
    array: Any = np.array([4, 5, 6])
    x: Any = slope.tensor([1, 2, 3])
    np.testing.assert_array_equal((array & x).numpy(), [4, 5, 6] & np.array([1, 2, 3]))
    np.testing.assert_array_equal((array << x).numpy(), [8, 20, 48])
    half = np.float64(0.5) * slope.tensor([1.0])  # NumPy's scalars are weak
    assert half.dtype == slope.float32


def test_functions_of_numpy_take_the_arrays_that_tensors_hold():
    x = slope.tensor(ARRAY)
    np.testing.assert_array_equal(np.sin(x), np.sin(ARRAY))
    np.testing.assert_array_equal(np.mean(x, axis=0), ARRAY.mean(0))
    np.testing.assert_array_equal(np.concatenate([x, ARRAY]), np.concatenate([ARRAY, ARRAY]))
    np.testing.assert_array_equal(np.add.reduce(x), ARRAY.sum(0))
    total = np.zeros((2, 2))
    total += x
    np.testing.assert_array_equal(total, ARRAY)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (np.sin, r"NumPy's sin got a traced tensor float32\[2, 2\] .* Use slope\.sin\."),
        (np.mean, r"NumPy's mean got a traced tensor .* Use slope\.mean\."),
        (lambda x: np.stack([x, x]), r"NumPy's stack got a traced tensor .* Use slope\.stack\."),
        (np.diff, r"NumPy's diff got"),
        (np.linalg.norm, r"NumPy's norm got"),
    ],
)
@pytest.mark.parametrize("transform", [slope.jit, lambda f: slope.grad(lambda x: f(x).sum())])
def test_functions_of_numpy_refuse_traced_tensors(function, told, transform):
    with pytest.raises(errors.ConcretizationError, match=told):
        transform(function)(slope.tensor(ARRAY))


def test_shapes_of_traced_tensors_are_known_to_numpy():
    made = slope.jit(lambda x: x * (np.shape(x)[0] + np.ndim(x) + np.size(x)))(slope.ones(3, 2))
    np.testing.assert_array_equal(made.numpy(), np.full((3, 2), 11))


@pytest.mark.parametrize("jitted", [False, True])
def test_axis_and_keepdims_are_dim_and_keepdim(jitted):
    def run(x: Any) -> Any:
        softmax: Any = slope.softmax
        cumsum: Any = slope.cumsum
        return (
            x.sum(axis=0),
            x.mean(axis=-1, keepdims=True),
            softmax(x, axis=1),
            cumsum(x, axis=0),
        )

    made = (slope.jit(run) if jitted else run)(slope.tensor(ARRAY))
    np.testing.assert_allclose(made[0].numpy(), ARRAY.sum(0))
    np.testing.assert_allclose(made[1].numpy(), ARRAY.mean(-1, keepdims=True))
    np.testing.assert_allclose(made[2].numpy().sum(1), [1, 1], rtol=1e-6)
    np.testing.assert_allclose(made[3].numpy(), ARRAY.cumsum(0))
    with pytest.raises(TypeError, match="axis"):
        slope.sum(slope.tensor(ARRAY), axis=0, dim=1)  # pyright: ignore[reportCallIssue]  # on purpose
