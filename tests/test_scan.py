"""scan: values, derivatives, batching, unrolling, and the programs that it makes."""

import numpy as np
import pytest
from array_checks import close, draw
from hypothesis import given, settings
from hypothesis import strategies as st

import slope

W, XS, H0 = draw(3, 3) * 0.5, draw(5, 3, seed=1), slope.ones(3)


def rnn(w, xs, h, **options):
    def step(h, x):
        h = slope.tanh(w @ h + x)
        return h, (h * h).sum()

    return slope.scan(step, h, xs, **options)


def unrolled(w, xs, h, reverse=False):
    outs = {}
    for i in reversed(range(xs.shape[0])) if reverse else range(xs.shape[0]):
        h = slope.tanh(w @ h + xs[i])
        outs[i] = (h * h).sum()
    return h, slope.stack([outs[i] for i in sorted(outs)])


def loss(run, **options):
    def value(w, xs, h):
        last, outs = run(w, xs, h, **options)
        return last.sum() + (outs * slope.arange(1, 6)).sum()

    return value


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_and_its_derivatives(backend, reverse):
    def everything(run):
        value = loss(run, reverse=reverse)

        def f(w, xs, h):
            tangents = (w * 0.3, xs * 0.2, h)
            return (
                run(w, xs, h, reverse=reverse),
                slope.grad(value, argnums=(0, 1, 2))(w, xs, h),
                slope.jvp(value, (w, xs, h), tangents),
                slope.hessian(value, argnums=2)(w, xs, h),
                slope.grad(lambda h: (slope.grad(value, argnums=2)(w, xs, h) ** 2).sum())(h),
                slope.vmap(slope.grad(value), in_dims=(None, 1, 0))(
                    w, slope.stack([xs, xs * 2], 1), slope.stack([h, -h])
                ),
            )

        return slope.jit(f)(W, XS, H0)

    found, wanted = everything(rnn), everything(unrolled)
    for one, two in zip(slope.tree_leaves(found), slope.tree_leaves(wanted), strict=True):
        close(one, two, 2e-4)
    for one, two in zip(
        rnn(W, XS, H0, reverse=reverse), unrolled(W, XS, H0, reverse=reverse), strict=True
    ):
        close(one, two)


@pytest.mark.parametrize("unroll", [1, 2, 3, 5, 9, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_unrolling_changes_nothing(unroll, reverse):
    with slope.use_backend("numpy"):
        found = rnn(W, XS, H0, unroll=unroll, reverse=reverse)
        for one, two in zip(found, unrolled(W, XS, H0, reverse=reverse), strict=True):
            close(one, two)
        slope.scan(lambda c, _: (c + 1, None), 0, length=5, unroll=unroll)


def test_scan_forms(backend):
    @slope.jit
    def forms(xs):
        total, none = slope.scan(
            lambda c, x: (c + x.sum(), None), 0.0, xs
        )  # the number takes part as a float
        assert none is None
        powers = slope.scan(lambda c, _: (c * 2, c), 1, length=4)
        tree = slope.scan(
            lambda c, x: ({"a": c["a"] + x["u"], "n": c["n"] + 1}, (x["v"], c["n"])),
            {"a": xs[0], "n": 0},
            {"u": xs, "v": xs * 2},
        )
        empty = slope.scan(lambda c, x: (c * 2, (x, c)), xs, slope.zeros(0, 3))
        same = slope.scan(lambda c, x: (c, c), xs[0], xs)
        mixed = slope.scan(lambda c, x: (c + x.sum(), c), 0, xs)  # an int that becomes a float
        squares = slope.map(lambda x: (x * x).sum(), xs)
        return total, powers, tree, empty, same, mixed, squares

    x = np.asarray(XS)
    total, powers, tree, empty, same, mixed, squares = forms(XS)
    close(total, x.sum())
    assert powers[0].dtype is slope.int64
    assert powers[1].tolist() == [1, 2, 4, 8]
    close(tree[0]["a"], x[0] + x.sum(0))
    assert tree[0]["n"].item() == 5
    close(tree[1][0], x * 2)
    assert tree[1][1].tolist() == [0, 1, 2, 3, 4]
    close(empty[0], x)
    assert [each.shape for each in empty[1]] == [(0, 3), (0, 5, 3)]
    close(same[0], x[0])
    close(same[1], np.tile(x[0], (5, 1)))
    close(mixed[0], x.sum())
    close(squares, (x * x).sum(1))


def test_scan_of_scan_of_cond(backend):
    def inner(c, x):
        c = slope.cond((x > 0).all(), lambda c: slope.sin(c) * x, lambda c: c * c + x, c)
        return c, c

    def outer(c, row):
        c, ys = slope.scan(inner, c, row)
        return c, ys.sum()

    def looped(c, xs):
        outs = []
        for row in xs:
            total = 0.0
            for x in row:
                c = slope.sin(c) * x if float(x) > 0 else c * c + x
                total = c + total
            outs.append(total)
        return c, slope.stack(outs)

    xs, c = draw(3, 4, seed=3) * 0.7, slope.tensor(0.4)
    f = slope.jit(
        lambda c, xs: (
            slope.scan(outer, c, xs),
            slope.grad(lambda c, xs: slope.scan(outer, c, xs)[1].sum(), argnums=(0, 1))(c, xs),
        )
    )
    (last, outs), grads = f(c, xs)
    wanted = looped(c, xs.numpy())
    close(last, wanted[0])
    close(outs, wanted[1])

    def looped_tensor(c, xs):
        values, total = xs.numpy() if not isinstance(xs, slope.core.tensor.Tracer) else None, 0.0
        del values
        for i in range(3):
            for j in range(4):
                x = xs[i, j]
                c = slope.sin(c) * x if signs[i][j] else c * c + x
                total = total + c
        return total

    signs = (xs.numpy() > 0).tolist()
    for one, two in zip(grads, slope.grad(looped_tensor, argnums=(0, 1))(c, xs), strict=True):
        close(one, two, 1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 4), st.booleans(), st.integers(0, 2**31), st.sampled_from([1, 2, 3]))
def test_scans_agree_with_python_loops(length, reverse, seed, unroll):
    xs = draw(length, 2, seed=seed)

    def step(c, x):
        a, n = c
        return (slope.sin(a) * x + n, n + 1), (a * x, n)

    def looped(a, xs):
        n, outs = 0, [None] * length
        for i in reversed(range(length)) if reverse else range(length):
            outs[i] = a * xs[i]
            a, n = slope.sin(a) * xs[i] + n, n + 1
        return a.sum() + sum([(out * (i + 1)).sum() for i, out in enumerate(outs)])

    def scanned(a, xs):
        (a, _), (outs, numbers) = slope.scan(step, (a, 0), xs, reverse=reverse, unroll=unroll)
        assert numbers.dtype is slope.int64
        return a.sum() + (outs * slope.arange(1, length + 1)[:, None]).sum()

    with slope.use_backend("numpy"):
        a = draw(2, seed=seed + 1)
        close(scanned(a, xs), looped(a, xs), 1e-4)
        for one, two in zip(
            slope.grad(scanned, argnums=(0, 1))(a, xs),
            slope.grad(looped, argnums=(0, 1))(a, xs),
            strict=True,
        ):
            close(one, two, 1e-4)


def test_a_loop_that_is_traced_again_is_compiled_once():
    with slope.use_backend("numpy"):
        from slope import eager

        def loop():
            slope.scan(lambda c, x: (c + slope.sin(x), None), slope.zeros(3), XS)

        loop()
        count = len(eager._eager)
        for _ in range(3):
            loop()
        assert len(eager._eager) == count
