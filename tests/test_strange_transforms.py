"""Corners of transforms that strangers find: empty batches, static arguments, draws, closures."""

import numpy as np
import pytest
from array_checks import close

import slope
from slope.extend import TensorType, trace_program

EMPTY = {
    # name: (function of one example, the example's shape, the shape of the result)
    "conv": (lambda x: slope.conv2d(x, slope.ones(2, 1, 2, 2)), (1, 1, 4, 4), (1, 2, 3, 3)),
    "conv weight": (lambda w: slope.conv2d(slope.ones(1, 1, 4, 4), w), (2, 1, 2, 2), (1, 2, 3, 3)),
    "gradient": (slope.grad(lambda x: (x * x).sum()), (3,), (3,)),
    "scan": (lambda x: slope.scan(lambda c, y: (c + y, c), 0.0, x)[1], (3,), (3,)),
    "cond": (lambda x: slope.cond(x.sum() > 0, lambda x: x * 2, lambda x: x, x), (3,), (3,)),
    "while": (lambda x: slope.while_loop(lambda c: c.sum() < 3, lambda c: c + 1, x), (3,), (3,)),
    "sort": (lambda x: slope.sort(x)[1], (3,), (3,)),
    "draw": (lambda x: x + slope.randn(2), (2,), (2,)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_vmap_over_no_examples(name):
    function, shape, result = EMPTY[name]
    mapped = slope.vmap(function, randomness="different")
    outer = slope.vmap(mapped, randomness="different")
    with slope.use_backend("numpy"):
        assert mapped(slope.zeros(0, *shape)).shape == (0, *result)
        assert slope.jit(mapped)(slope.zeros(0, *shape)).shape == (0, *result)
        assert outer(slope.zeros(3, 0, *shape)).shape == (3, 0, *result)
        assert outer(slope.zeros(0, 3, *shape)).shape == (0, 3, *result)


def test_no_keys():
    assert slope.random.split(slope.random.key(0), 0).shape == (0, 2)


def test_what_is_not_batched_reaches_the_function_as_it_is():
    def f(x, how, size, flag):
        assert flag is True
        return x.reshape(size, 2) if how == "pairs" else x

    with slope.use_backend("numpy"):
        out = slope.vmap(f, in_dims=(0, None, None, None))(slope.ones(3, 4), "pairs", 2, True)
        assert out.shape == (3, 2, 2)


def test_checkpoint_draws_alike_however_it_is_called():
    f = slope.checkpoint(lambda x: x * slope.rand(3))
    x = slope.ones(3)
    ways = (
        f,
        slope.jit(f),
        lambda x: slope.vjp(f, x)[0],
        lambda x: slope.jvp(f, (x,), (x,))[0],
        lambda x: slope.vjp(f, x)[1](x)[0],
        slope.jit(lambda x: slope.vjp(f, x)[1](x)[0]),
        lambda x: slope.vmap(f, randomness="same")(x[None])[0],
    )
    drawn = []
    with slope.use_backend("numpy"):
        for way in ways:
            slope.manual_seed(0)
            drawn.append((way(x).tolist(), slope.rand(2).tolist()))
    assert all(each == drawn[0] for each in drawn)
    assert drawn[0][0] != drawn[0][1]


def test_the_gradient_of_a_slice_of_a_symbolic_length():
    n = slope.Dim("n")
    gradient = slope.grad(lambda x: (x[1:] * x[:-1]).sum())
    program = trace_program(lambda x: (gradient(x),), [TensorType((n, 3), slope.float32)])
    program.check()
    assert program.output_types == (TensorType((n, 3), slope.float32),)


def test_the_gradient_of_a_loop_over_a_switch(backend):
    """IREE refuses it at first: "circular dependency"."""
    start = slope.tensor([0.5, -0.2, 0.9])

    def f(x, y):
        def body(i, v):
            index = slope.floor(v.max() + y.sum()).to(slope.int64)
            chosen = slope.switch(index, [lambda u: slope.abs(y), slope.relu, lambda u: v + v], v)
            return 0.3 * v + slope.sin(chosen)

        return (slope.fori_loop(0, 3, body, start) * slope.sin(y)).sum()

    x, y = slope.tensor([0.1, 0.2, 0.3]), slope.tensor([0.3, 0.1, -0.2])
    by_x, by_y = slope.jit(slope.grad(f, argnums=(0, 1)), backend=backend)(x, y)
    close(by_x, np.zeros(3))
    close(by_y, [0.893045, -0.005422, 1.256534], 1e-4)


def test_functions_of_constants_in_float64(backend):
    """IREE would evaluate them while it compiles, and finds no sine then."""
    x = slope.ones(3, dtype=slope.float64)
    f = slope.jit(lambda x: x + slope.sin(slope.arange(3, dtype=slope.float64) + 0.3))
    with slope.use_backend(backend):
        close(f(x), 1 + np.sin(np.arange(3) + 0.3), 1e-12)


def test_setting_one_element_is_linear_without_a_contest(backend):
    def f(x, v, i):
        return (x.at[i % 3].set(v * v) ** 3).sum()

    x, i = slope.tensor([1.0, 2.0, 3.0]), slope.tensor(4)
    by_x, by_v = slope.jit(slope.grad(f, argnums=(0, 1)), backend=backend)(x, 2.0, i)
    close(by_x, [3.0, 0.0, 27.0])
    close(by_v, 192.0)
    batched = slope.vmap(slope.grad(f, argnums=1), in_dims=(None, None, 0))
    close(batched(x, 2.0, slope.tensor([0, 1])), [192.0, 192.0])
    second = slope.hessian(lambda v: f(x, v, i))(slope.tensor(2.0))
    close(second, 30 * 2.0**4)
