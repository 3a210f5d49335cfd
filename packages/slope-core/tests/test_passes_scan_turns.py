"""What a scan need not do turn by turn moves in front of it or behind it."""

import numpy as np
import pytest

import slope
from slope.passes import move_out_of_scans, optimize

RANDOM = np.random.default_rng(0)
XS = slope.from_numpy(RANDOM.normal(size=(5, 4, 3)))
WIDE = slope.from_numpy(RANDOM.normal(size=(3, 7)))
SQUARE = slope.from_numpy(RANDOM.normal(size=(3, 3)) * 0.5)


def traced(f, *args):
    """The program of a function, without this pass."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOPE_DISABLE_PASSES", "turns")
        return slope.jit(f, backend="numpy").lower(*args).program


def scan_of(program):
    (scan,) = (instr for instr in program.instrs if instr.op.name == "run_scan")
    return scan


def body_of(program):
    return scan_of(program).params["body"]


def both(f, *args):
    """The leaves of a function's results with this pass, and without it."""
    found = slope.jit(f, backend="numpy")(*args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOPE_DISABLE_PASSES", "turns")
        expected = slope.jit(f, backend="numpy")(*args)
    leaves = slope.tree.tree_leaves
    return [x.numpy() for x in leaves(found)], [x.numpy() for x in leaves(expected)]


def start(x):
    return slope.zeros(x.shape[1], x.shape[2], dtype=x.dtype)


def inputs_first(w, xs):
    def step(h, x):
        h = slope.tanh(h + slope.sin(x) @ w)
        return h, h

    return slope.scan(step, start(xs), xs)


def outputs_last(w, xs):
    def step(h, x):
        h = slope.tanh(h + x)
        return h, (h @ w, slope.relu(h), h)

    return slope.scan(step, start(xs), xs)


def once_for_all(w, xs):
    def step(h, x):
        h = slope.tanh(h @ slope.exp(w) + x)
        return h, None

    return slope.scan(step, start(xs), xs)


def passed_on(w, xs):
    def step(h, x):
        h = h + x
        return h, (x, w, slope.ones(2), h, h, x.T, w.reshape(9))

    return slope.scan(step, start(xs), xs, reverse=True)


def each_alone(w, xs):
    return slope.map(lambda x: slope.sin(x @ w).sum(0), xs)


def view_at_both_places(w, xs):
    def step(h, x):
        turned = x.T
        return h * 0.5 + turned.T @ slope.cos(turned) @ x, turned

    return slope.scan(step, slope.zeros(4, 3, dtype=xs.dtype), xs)


CASES = {
    "inputs first": (inputs_first, SQUARE),
    "outputs last": (outputs_last, WIDE),
    "once for all": (once_for_all, SQUARE),
    "passed on": (passed_on, SQUARE),
    "each alone": (each_alone, SQUARE),
    "a view at both places": (view_at_both_places, SQUARE),
}


@pytest.mark.parametrize("length", [0, 1, 2, 5])
@pytest.mark.parametrize("name", CASES)
def test_values_stay(name, length):
    f, w = CASES[name]
    found, expected = both(f, w, XS[:length])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, 1e-13)
        assert one.dtype == other.dtype


@pytest.mark.parametrize("name", CASES)
def test_derivatives_stay(name):
    f, w = CASES[name]

    def loss(w, xs):
        return sum(slope.sin(each).sum() for each in slope.tree.tree_leaves(f(w, xs)))

    for transformed in (
        slope.grad(loss, (0, 1)),
        slope.grad(
            lambda w, xs: sum(
                (each**2).sum() for each in slope.tree.tree_leaves(slope.grad(loss, (0, 1))(w, xs))
            )
        ),
        slope.vmap(f, in_dims=(None, 1)),
    ):
        xs = slope.stack([XS, XS + 1], 1) if transformed.__name__ == f.__name__ else XS
        found, expected = both(transformed, w, xs)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, 1e-10, 1e-12)


def test_products_of_inputs_become_one():
    program = move_out_of_scans(traced(inputs_first, SQUARE, XS)).check()
    assert body_of(program).count("sin", "dot_general") == 0
    assert program.count("sin") == program.count("dot_general") == 1


def test_products_of_outputs_become_one():
    program = move_out_of_scans(traced(outputs_last, WIDE, XS)).check()
    assert [each.op.name for each in body_of(program).instrs] == ["add", "tanh"]
    assert len(scan_of(program).outputs) == 2  # the last state, and all of them


def test_what_is_alike_is_computed_once():
    program = move_out_of_scans(traced(once_for_all, SQUARE, XS)).check()
    assert body_of(program).count("exp") == 0
    assert [v.type.shape for i in program.instrs if i.op.name == "exp" for v in i.outputs] == [
        (3, 3)
    ]


def test_a_loop_of_independent_turns_is_none():
    assert optimize(traced(each_alone, SQUARE, XS)).count("run_scan") == 0


def test_what_is_passed_on_is_not_copied_turn_by_turn():
    program = move_out_of_scans(traced(passed_on, SQUARE, XS)).check()
    assert len(scan_of(program).outputs) == 2


def test_a_sigmoid_keeps_its_value_alone():
    def loss(xs):
        def step(h, x):
            h = slope.sigmoid(h + x)
            return h, h

        return slope.scan(step, start(xs), xs)[1].sum()

    better = optimize(traced(slope.value_and_grad(loss), XS)).check()
    forward, backward = (each for each in better.instrs if each.op.name == "run_scan")
    assert [each.op.name for each in forward.params["body"].instrs] == ["add", "sigmoid"]
    assert [each.op.name for each in backward.params["body"].instrs] == ["add", "mul"]


def scanned(step):
    return lambda w, xs: slope.scan(lambda h, x: step(h, x, w), start(xs), xs)


def carried(h, x, w):
    h = slope.tanh(h @ w)
    return h, h.sum(0)


STAYING = {
    "what depends on the carry": carried,
    "what would make the outputs larger": lambda h, x, w: (h + x, (h @ w).sum(0)),
}


@pytest.mark.parametrize("name", STAYING)
def test_other_instructions_stay(name):
    program = traced(scanned(STAYING[name]), SQUARE, XS)
    assert len(body_of(move_out_of_scans(program)).instrs) == len(body_of(program).instrs)


def test_a_checkpoint_computes_again_in_its_turn():
    def loss(w, xs):
        step = slope.checkpoint(lambda h, x: (slope.tanh(h @ w) * slope.sin(slope.cos(x)), None))
        return slope.scan(step, start(xs), xs)[0].sum()

    bodies = slope.jit(slope.grad(loss), backend="numpy").lower(SQUARE, XS).code.split("# body")
    assert [each.count("np.tanh") for each in bodies[1:3]] == [1, 1]
    found, expected = both(slope.grad(loss), SQUARE, XS)
    np.testing.assert_allclose(found[0], expected[0], 1e-12)


def test_random_numbers_stay():
    def f(w, xs):
        slope.manual_seed(3)
        return slope.scan(lambda h, x: (h + slope.rand(4, 3) * x, h), start(xs).float(), xs.float())

    for one, other in zip(*both(f, SQUARE, XS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_large_turns_stay_in_the_cache():
    xs = slope.ones(4, 300, 300)
    program = traced(lambda xs: slope.scan(lambda c, x: (c + slope.sin(x), None), xs[0], xs), xs)
    assert move_out_of_scans(program) is program


def test_what_would_not_fit_stays():
    xs = slope.ones(2000, 200)

    def outer(total, x):
        return total + (x[:, None] * x[None, :]).sum(0), None

    program = traced(lambda xs: slope.scan(outer, xs[0], xs), xs)
    assert body_of(move_out_of_scans(program)).count("mul") == 1
    few = traced(lambda xs: slope.scan(outer, xs[0], xs), xs[:20])
    assert body_of(move_out_of_scans(few)).count("mul") == 0
