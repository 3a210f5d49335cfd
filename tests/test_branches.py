"""cond and switch: values, derivatives, batching."""

from typing import Any

import numpy as np
from array_checks import close

import slope


def choice(p, x):
    return slope.cond(p, lambda x: (slope.sin(x), 1), lambda x: (x * x, 2.5), x)


def test_numbers_in_both_branches_stay_numbers(backend):
    @slope.jit
    def f(count, rate, half):
        count, rate, mixed = slope.cond(
            count > 2,
            lambda n, r: (n * 0, r / 2, 1.0),
            lambda n, r: (n + 1, r, half[0]),
            count,
            rate,
        )
        return count, rate, half * rate, mixed

    half = slope.ones(2, dtype=slope.float16)
    count: Any = 0
    rate: Any = 1.0
    for _ in range(4):
        count, rate, scaled, mixed = f(count, rate, half)
    assert (count.item(), rate.item(), f.compile_count) == (0, 0.5, 1)
    assert scaled.dtype is mixed.dtype is slope.float16
    assert not mixed.weak


def test_cond(backend):
    @slope.jit
    def everything(p, x):
        def first(x):
            return choice(p, x)[0]

        return (
            choice(p, x),
            slope.grad(first)(x),
            slope.grad(slope.grad(first))(x),
            slope.jvp(first, (x,), (x,)),
            slope.vmap(lambda q: slope.grad(lambda x: choice(q, x)[0])(x))(slope.stack([p, ~p])),
            slope.vmap(first)(slope.stack([x, x + 1])),
        )

    x = 0.7
    for p in (True, False):
        (out, number), first, second, (_, moved), both, batch = everything(
            slope.tensor(p), slope.tensor(x)
        )
        close(out, np.sin(x) if p else x * x)
        assert number.dtype is slope.float32
        close(number, 1 if p else 2.5)
        close(first, np.cos(x) if p else 2 * x)
        close(second, -np.sin(x) if p else 2)
        close(moved, (np.cos(x) if p else 2 * x) * x)
        close(both, [np.cos(x), 2 * x] if p else [2 * x, np.cos(x)])
        close(batch, np.sin([x, x + 1]) if p else np.square([x, x + 1]))
        close(choice(p, x)[0], np.sin(x) if p else x * x)


def test_only_the_chosen_branch_runs(backend):
    f = slope.jit(
        lambda n: slope.cond(
            n > 0, lambda: slope.while_loop(lambda c: c != 0, lambda c: c - 1, n), lambda: n
        )
    )
    assert f(slope.tensor(3)).item() == 0
    assert f(slope.tensor(-3)).item() == -3  # counting down from -3 would never end


def test_switch(backend):
    branches = [lambda x, k: x * k, lambda x, k: slope.exp(x), lambda x, k: x - 1]
    f = slope.jit(
        lambda i, x: (
            slope.switch(i, branches, x, 3.0),
            slope.grad(lambda x: slope.switch(i, branches, x, 3.0))(x),
        )
    )
    x = 0.5
    for index in (-7, 0, 1, 2, 9):
        value, gradient = f(slope.tensor(index), slope.tensor(x))
        at = min(max(index, 0), 2)
        close(value, [x * 3, np.exp(x), x - 1][at])
        close(gradient, [3, np.exp(x), 1][at])
    batch = slope.jit(slope.vmap(lambda i: slope.switch(i, branches, x, 3.0)))(
        slope.tensor([-7, 0, 1, 2, 9])
    )
    close(batch, [x * 3, x * 3, np.exp(x), x - 1, x - 1])
    close(slope.switch(0, [lambda x: x + 1], 1.0), 2.0)


def test_a_branch_may_return_its_operands(backend):
    f = slope.jit(lambda p, x, y: slope.cond(p, lambda: (x, y, x), lambda: (y, x, x + y)))
    x, y = slope.tensor([1.0, 2.0]), slope.tensor([3.0, 4.0])
    for p, wanted in (
        (True, ([1, 2], [3, 4], [1, 2])),
        (False, ([3, 4], [1, 2], [4, 6])),
        (True, ([1, 2], [3, 4], [1, 2])),
    ):
        outs = f(slope.tensor(p), x, y)
        for out, want in zip(outs, wanted, strict=True):
            close(out, want)
        assert not any(
            np.may_share_memory(out.numpy(), each.numpy()) for out in outs for each in (x, y)
        )


def test_a_branch_of_a_known_number_holds_loops(backend):
    def looped(n, x):
        total = n.sum()
        _, rows = slope.scan(lambda c, _: (c, x), slope.tensor(0.0), None, length=5)
        return slope.scan(lambda c, _: (total.expand(5), None), rows, None, length=2)[0][0]

    @slope.jit
    def f(n, x):
        known = slope.ones((), dtype=slope.int64)
        return slope.switch(known, [lambda n, x: x, looped, lambda n, x: x], n, x)

    assert f(slope.arange(4), slope.tensor(7)).item() == 6
