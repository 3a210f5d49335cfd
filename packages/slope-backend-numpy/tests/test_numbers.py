"""Arithmetic on tensors of shape () is that of larger ones, and as silent."""

import numpy as np
import pytest

import slope

DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "int64"]
FUNCTIONS = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - y,
    "product": lambda x, y: x * y,
    "quotient": lambda x, y: x / y,
    "order": lambda x, y: slope.stack([x < y, x <= y, x > y, x >= y, x == y, x != y]),
    "choice": lambda x, y: slope.where(x < y, x, y),
    "minus": lambda x, y: -x - y,
}
VALUES = [0, 3, 127, -128]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_agree_with_arrays(name, dtype, inside):
    function = FUNCTIONS[name]
    values = np.array(VALUES).astype("uint8" if dtype == "uint8" else "int8")
    left, right = (part.ravel() for part in np.meshgrid(values, values))
    x, y = (slope.from_numpy(part).astype(dtype) for part in (left, right))

    def each(x, y):
        if inside:
            return slope.scan(lambda c, now: (c, function(*now)), 0.0, (x, y))[1]
        found = [function(x[i], y[i]) for i in range(x.shape[0])]
        return slope.stack(found)

    with slope.use_backend("numpy"):
        expected = slope.vmap(function)(x, y)
        found = slope.jit(each)(x, y)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.double().numpy(), expected.double().numpy())


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_loops_over_numbers(dtype):
    def run(n):
        def more(state):
            i, _, _ = state
            return i < n

        def turn(state):
            i, x, flag = state
            return i + 1, slope.where(flag, x * 2 + i, x - 1), ~flag

        start = slope.zeros((), dtype="int64"), slope.ones((), dtype="float64"), n > 2
        i, x, flag = slope.while_loop(more, turn, start)
        return i, x.astype(dtype), slope.cond(flag, lambda: x * 2, lambda: 1.0 - x)

    with slope.use_backend("numpy"):
        x, flag = 1.0, True
        for i in range(5):
            x, flag = x * 2 + i if flag else x - 1, not flag
        found = slope.jit(run)(slope.tensor(5))
        assert [each.item() for each in found] == [
            5, np.array(x).astype(dtype).item(), 2 * x if flag else 1 - x
        ]  # fmt: skip
        assert [each.dtype.name for each in found] == ["int64", dtype, "float64"]
        kept = slope.jit(lambda x: slope.fori_loop(0, 0, lambda i, c: c + 1, x))
        start = slope.tensor(3.0)
        assert kept(start).item() == start.item() == 3.0


def test_a_loop_over_numbers_calls_no_ufunc():
    code = (
        slope.jit(lambda x: slope.scan(lambda c, x: (c * 0.9 + x, c < x), 0.0, x), backend="numpy")
        .lower(slope.ones(3))
        .code
    )
    assert "np.multiply" not in code
    assert "np.less" not in code
