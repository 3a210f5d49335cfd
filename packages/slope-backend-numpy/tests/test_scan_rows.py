"""What a scan stacks is made in the rows of its results, and carries may share them."""

import numpy as np
import pytest

import slope


@pytest.fixture(autouse=True)
def numpy_backend():
    with slope.use_backend("numpy"):
        yield


def by_hand(body, c, xs, reverse):
    outs = [None] * len(xs)
    for i in reversed(range(len(xs))) if reverse else range(len(xs)):
        c, outs[i] = body(c, xs[i])
    return c, outs


BODIES = {
    "the carry": lambda c, x: (slope.tanh(c * x), slope.tanh(c * x)),
    "the carry before": lambda c, x: (c * x + 1, c),
    "the carry twice": lambda c, x: ((new := c * x + 1), (new, new)),
    "a view of the carry": lambda c, x: ((new := (c * x + 1)), new.T),
    "the carry is a view": lambda c, x: ((new := slope.sin(c + x)).T, new),
    "a row set": lambda c, x: ((new := c.at[0].set(x[1])), new),
    "the slice": lambda c, x: (c + x, x),
    "a constant": lambda c, x: (c + x, slope.ones(3, 3)),
    "a broadcast row": lambda c, x: (c + x, (c + x)[0].expand(4, 3)),
    "numbers": lambda c, x: (c + x, (c.sum(), c > 0, (c * 10).long())),
    "a product": lambda c, x: ((new := c @ x), (new, slope.cat([new, x], 1))),
    "another dtype": lambda c, x: (c + x, ((c + x).double(), (c + x).half())),
    "sums": lambda c, x: (slope.sin(c) + x, (c.sum(0), c.amax(1))),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 5])
@pytest.mark.parametrize("name", BODIES)
def test_scans_agree_with_their_turns_one_by_one(name, length, reverse, monkeypatch):
    monkeypatch.setenv("SLOPE_DISABLE_PASSES", "turns")
    body = BODIES[name]
    c = slope.from_numpy(np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32))
    xs = slope.from_numpy(np.random.default_rng(1).normal(size=(5, 3, 3)).astype(np.float32))
    kept = c.numpy().copy(), xs.numpy().copy()

    @slope.jit
    def run(c, xs):
        last, outs = slope.scan(body, c, xs, reverse=reverse)
        return last * 2, last, outs  # what is computed from the last carry must not change outs

    twice, last, outs = run(c, xs[:length])
    wanted, rows = by_hand(body, c, xs[:length], reverse)
    np.testing.assert_allclose(last.numpy(), wanted.numpy(), 1e-5, 1e-6)
    np.testing.assert_allclose(twice.numpy(), wanted.numpy() * 2, 1e-5, 1e-6)
    columns = list(zip(*[slope.tree.tree_leaves(row) for row in rows], strict=True))
    for number, leaf in enumerate(slope.tree.tree_leaves(outs)):
        assert leaf.shape[0] == length
        if length:
            expected = np.stack([each.numpy() for each in columns[number]])
            assert leaf.numpy().dtype == expected.dtype
            np.testing.assert_allclose(leaf.numpy(), expected, 1e-3 if "dtype" in name else 1e-5)
    np.testing.assert_array_equal(c.numpy(), kept[0])
    np.testing.assert_array_equal(xs.numpy(), kept[1])


def test_a_state_that_is_stacked_is_made_in_its_row():
    def run(w, xs):
        def step(h, x):
            h = slope.tanh(h @ w + x)
            return h, h

        return slope.scan(step, xs[0], xs)[1]

    w, xs = slope.ones(4, 4), slope.ones(6, 2, 4)
    code = slope.jit(run).lower(w, xs).code
    assert "np.matmul(x1, x0, out=y1)" in code
    assert "y1[...]" not in code


def test_rows_are_let_go():
    code = (
        slope.jit(lambda xs: slope.scan(lambda c, x: (c + x, c * x), xs[0], xs))
        .lower(slope.ones(3, 2))
        .code
    )
    header = next(line for line in code.splitlines() if "zip(range" in line)
    names = header.split(" in ")[0].removeprefix("    for ").rstrip(",").split(", ")[1:]
    assert f"    del {', '.join(names)}\n" in code
