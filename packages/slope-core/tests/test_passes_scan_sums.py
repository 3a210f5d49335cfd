"""Sums of products that a scan carries become one product behind it."""

import numpy as np
import pytest

import slope
from slope.passes import optimize, sum_after_scans

RANDOM = np.random.default_rng(0)
XS = slope.from_numpy(RANDOM.normal(size=(6, 4, 3)))
YS = slope.from_numpy(RANDOM.normal(size=(6, 4, 5)))


def traced(f, *args):
    """The program of a function, without this pass and the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOPE_DISABLE_PASSES", "sums,turns")
        return slope.jit(f, backend="numpy").lower(*args).program


def carries(program):
    (scan,) = (instr for instr in program.instrs if instr.op.name == "run_scan")
    return scan.params["carries"]


def moments(start, xs, ys):
    return slope.scan(lambda total, now: (total + now[0].T @ now[1], None), start, (xs, ys))[0]


def test_slices_are_multiplied_at_once():
    start = slope.from_numpy(RANDOM.normal(size=(3, 5)))
    program = sum_after_scans(traced(moments, start, XS, YS)).check()
    assert carries(program) == 0
    assert program.count("dot_general") == 1
    expected = start.numpy() + np.einsum("tni,tnj->ij", XS.numpy(), YS.numpy())
    with slope.use_backend("numpy"):
        np.testing.assert_allclose(slope.jit(moments)(start, XS, YS).numpy(), expected, 1e-12)
    assert optimize(program).count("run_scan") == 0  # nothing is left to go through


def rnn(weights, xs):
    inner, outer = weights

    def step(h, x):
        h = slope.tanh(x @ inner + h @ outer)
        return h, h.sum()

    return slope.scan(step, slope.zeros(4, 5, dtype="float64"), xs)[1].sum()


def test_gradients_of_weights_leave_the_loop(monkeypatch):
    weights = [slope.from_numpy(RANDOM.normal(size=shape)) for shape in ((3, 5), (5, 5))]
    gradient = slope.grad(rnn)
    before = traced(gradient, weights, XS)
    after = optimize(before).check()
    scans = [[i for i in p.instrs if i.op.name == "run_scan"] for p in (before, after)]
    assert [each[1].params["carries"] for each in scans] == [3, 1]
    assert [each[1].params["body"].count("dot_general") for each in scans] == [3, 1]
    found = slope.jit(gradient, backend="numpy")(weights, XS)
    monkeypatch.setenv("SLOPE_DISABLE_PASSES", "sums")
    expected = slope.jit(slope.grad(rnn), backend="numpy")(weights, XS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-12)


@pytest.mark.parametrize("dim", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("reverse", [False, True])
def test_slices_are_summed_at_once(dim, reverse):
    def run(start, ys):
        return slope.scan(lambda c, y: (c + y.sum(dim), None), start, ys, reverse=reverse)[0]

    expected = 1 + YS.numpy().sum((0, *(each + 1 for each in dim)))
    start = slope.ones(*expected.shape, dtype="float64")
    program = sum_after_scans(traced(run, start, YS)).check()
    assert carries(program) == 0
    np.testing.assert_allclose(slope.jit(run, backend="numpy")(start, YS).numpy(), expected, 1e-12)


def test_gradients_of_biases_leave_the_loop(monkeypatch):
    def net(weights, xs):
        inner, outer, bias = weights

        def step(h, x):
            h = slope.tanh(x @ inner + h @ outer + bias)
            return h, h

        return slope.scan(step, slope.zeros(4, 5, dtype="float64"), xs)[1].sum()

    shapes = ((3, 5), (5, 5), (5,))
    weights = [slope.from_numpy(RANDOM.normal(size=shape)) for shape in shapes]
    gradient = slope.grad(net)
    after = optimize(traced(gradient, weights, XS)).check()
    backward = [each for each in after.instrs if each.op.name == "run_scan"][1]
    assert backward.params["carries"] == 1
    found = slope.jit(gradient, backend="numpy")(weights, XS)
    monkeypatch.setenv("SLOPE_DISABLE_PASSES", "sums,turns")
    expected = slope.jit(slope.grad(net), backend="numpy")(weights, XS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-12)


def test_a_small_factor_is_stacked():
    def run(xs):
        def step(state, x):
            h, total = state
            h = slope.tanh(h + x)
            return (h, total + h.T @ x), None

        start = slope.zeros(2, 8), slope.zeros(8, 8)
        return slope.scan(step, start, xs, reverse=True)[0]

    xs = slope.from_numpy(RANDOM.normal(size=(6, 2, 8)).astype(np.float32))
    program = sum_after_scans(traced(run, xs)).check()
    assert carries(program) == 1
    found = [each.numpy() for each in slope.jit(run, backend="numpy")(xs)]
    h, total = np.zeros((2, 8)), np.zeros((8, 8))
    for x in xs.numpy()[::-1]:
        h = np.tanh(h + x)
        total = total + h.T @ x
    np.testing.assert_allclose(found[0], h, 1e-5)
    np.testing.assert_allclose(found[1], total, 1e-4, 1e-5)


def add_up(made):
    """A scan that adds to a (3, 5) carry what ``made`` gives for it and the turn's slices."""

    def run(xs, ys):
        start = slope.zeros(3, 5, dtype="float64")
        return slope.scan(lambda total, now: made(total, *now), start, (xs, ys))

    return run


KEPT = {
    "read by others": lambda total, x, y: (total + x.T @ y, total.sum()),
    "given back in every turn": lambda total, x, y: ((made := total + x.T @ y), made),
    "not only added to": lambda total, x, y: (total * 0.5 + x.T @ y, None),
    "of one factor for all turns": lambda total, x, y: (
        total + slope.ones(3, 4).double() @ y,
        None,
    ),
    "of factors larger than all slices": lambda total, x, y: (
        total + slope.sin(slope.cat([x] * 9)).T @ slope.cos(slope.cat([y] * 9)),
        None,
    ),
    "of no products": lambda total, x, y: (total + y.amax(), None),
    "of what is too large to keep": lambda total, x, y: (total + slope.sin(y).sum(), None),
}


@pytest.mark.parametrize("name", KEPT)
def test_other_sums_stay(name):
    program = traced(add_up(KEPT[name]), XS, YS)
    assert sum_after_scans(program) is program


def test_whole_numbers_stay():
    def run(xs):
        start = slope.zeros(3, 3, dtype="int64")
        return slope.scan(lambda total, x: (total + x.T @ x, None), start, xs)[0]

    program = traced(run, slope.ones(6, 4, 3, dtype="int64"))
    assert sum_after_scans(program) is program
