"""while_loop and fori_loop: values, derivatives, batching."""

import numpy as np
import pytest
from array_checks import close

import slope
from slope import errors


def newton(x):
    return slope.while_loop(lambda s: abs(s * s - x) > 1e-4, lambda s: (s + x / s) / 2, x + 1.0)


def test_while_loop(backend):
    @slope.jit
    def everything(x, xs):
        return (
            newton(x),
            slope.jvp(newton, (x,), (slope.ones_like(x),))[1],
            slope.vmap(newton)(xs),
            slope.jacfwd(slope.vmap(newton))(xs),
        )

    xs = np.array([2.0, 9.0, 0.5], np.float32)
    root, slope_, batch, jacobian = everything(slope.tensor(9.0), xs)
    close(root, 3.0, 1e-4)
    close(slope_, 1 / 6, 1e-3)
    close(batch, np.sqrt(xs), 1e-4)
    close(jacobian, np.diag(0.5 / np.sqrt(xs)), 1e-2)
    close(newton(slope.tensor(4.0)), 2.0, 1e-4)


def test_a_loop_that_never_runs_gives_what_it_began_with(backend):
    x = slope.tensor([1.0, 2.0])
    out = slope.jit(lambda x: slope.while_loop(lambda c: c.sum() < 0, lambda c: c * 2, x) + 0 * x)(
        x
    )
    close(out, [1.0, 2.0])
    (same,) = slope.jit(
        lambda x: slope.while_loop(lambda c: c[0].sum() < 0, lambda c: (c[0] * 2,), (x,))
    )(x)
    close(same, [1.0, 2.0])


def test_fori_loop(backend):
    x = slope.tensor(0.5)

    def powers(n):
        return lambda x: slope.fori_loop(0, n, lambda i, c: c * x + i, 1)

    def wanted(x):
        c = 1.0
        for i in range(4):
            c = c * x + i
        return c

    @slope.jit
    def everything(n, x):
        return (
            powers(4)(x),
            slope.grad(powers(4))(x),
            powers(n)(x),
            slope.jvp(powers(n), (x,), (slope.ones_like(x),))[1],
            powers(0)(x),
            slope.fori_loop(n, 0, lambda i, c: c + i, 5),
        )

    static, gradient, dynamic, tangent, none, backward = everything(slope.tensor(4), x)
    close(static, wanted(0.5))
    close(gradient, slope.grad(wanted)(x))
    close(dynamic, wanted(0.5))
    close(tangent, gradient)
    close(none, 1)
    close(backward, 5)


def test_reverse_mode_of_a_while_loop_says_what_to_use():
    with slope.use_backend("numpy"):
        with pytest.raises(errors.GradientError, match="fori_loop with Python ints"):
            slope.grad(newton)(2.0)
        with pytest.raises(errors.GradientError, match="scan"):
            slope.jit(slope.grad(newton))(2.0)
        counting = slope.grad(
            lambda x: slope.while_loop(lambda n: n * x < 10.0, lambda n: n + 1, 0) * x
        )
        close(
            counting(slope.tensor(3.0)), 4.0
        )  # nothing that has a derivative passes through the loop


def test_loops_do_not_write_to_their_operands(backend):
    x = slope.tensor(np.arange(6, dtype=np.float32).reshape(3, 2))
    before = x.numpy().copy()

    @slope.jit
    def f(x):
        set_rows = slope.scan(lambda c, i: (c.at[i].set(0.0), c.sum()), x, slope.arange(3))
        looped = slope.while_loop(
            lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1].at[s[0]].add(1.0)), (0, x)
        )
        return set_rows, looped, slope.scan(lambda c, r: (c + r, None), x, x[None] * 0)[0]

    for _ in range(2):
        (zeros, sums), (_, more), same = f(x)
        close(zeros, np.zeros((3, 2)))
        close(sums, [15, 14, 9])
        close(more, before + 1)
        close(same, before)
        np.testing.assert_array_equal(x.numpy(), before)


def test_numbers_that_a_loop_carries_stay_numbers():
    @slope.jit
    def train(rate, decay, count, w):
        def step(carry, x):
            rate, decay, count, w = carry
            return (rate, decay * 0.5, count + 1, w - rate * x), w.sum()

        xs = slope.ones(3, 2, dtype=slope.bfloat16)
        carry, _ = slope.scan(step, (rate, decay, count, w), xs)
        return slope.while_loop(lambda c: c[2] < 5, lambda c: step(c, 1.0)[0], carry)

    state = train(0.5, 1.0, 0, slope.ones(2, dtype=slope.bfloat16))
    for _ in range(2):
        state = train(*state)
    assert train.compile_count == 1
    rate, decay, count, w = state
    assert [float(each) for each in (rate, decay, count)] == [0.5, 2.0**-11, 11]
    assert (w.dtype, w.tolist()) == (slope.bfloat16, [-4.5, -4.5])
    assert (slope.ones(2, dtype=slope.float16) * decay).dtype is slope.float16


def test_a_number_that_meets_a_tensor_in_a_loop_is_none_behind_it():
    total, _ = slope.scan(lambda c, x: (c + x, None), 0.0, slope.ones(3))
    assert (slope.ones((), dtype=slope.float16) * total).dtype is slope.float32
    total = slope.fori_loop(0, 3, lambda i, c: c + slope.ones((), dtype=slope.float16), 0.0)
    assert (total.dtype, total.item()) == (slope.float16, 3.0)
