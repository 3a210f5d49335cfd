"""Branches whose results lie in buffers of their own in one branch, and in one buffer in another.

IREE 3.13 loses such a buffer, unless the results are written anew.
"""

import numpy as np
import pytest

import slope

STATE = [np.full(shape, number, np.float32) for number, shape in enumerate([64, (20, 64), 64], 3)]

CASES = {
    "an operand each": lambda state: state,
    "numbers": lambda state: [1.0, 2.0, 3.0],
}


def doubled(state):
    return [x * 2.0 for x in state]


def summed(state):
    return [x.sum() for x in state]


@pytest.mark.parametrize("case", CASES)
def test_a_branch_that_computes_beside_one_that_does_not(case):
    computes = summed if case == "numbers" else doubled

    def update(state, number):
        return slope.cond(number % 3 == 0, computes, CASES[case], state)

    for number in range(2):
        mine = slope.jit(update, backend="iree")(STATE, slope.tensor(number))
        theirs = slope.jit(update, backend="numpy")(STATE, slope.tensor(number))
        for one, two in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-5)


def test_what_follows_such_branches():
    @slope.jit(backend="iree")
    def update(state, number):
        return [x + 1.0 for x in slope.cond(number > 0, doubled, lambda state: state, state)]

    for number, factor in ((0, 1), (1, 2)):
        for x, before in zip(update(STATE, slope.tensor(number)), STATE, strict=True):
            np.testing.assert_array_equal(x.numpy(), before * factor + 1)


def test_a_step_that_is_skipped_where_the_gradient_is_not_finite():
    @slope.jit(backend="iree", donate=("state",))
    def step(state, gradient):
        finite = slope.isfinite(gradient).all()
        return slope.cond(finite, lambda s: [x - gradient for x in s], lambda s: s, state)

    state = [slope.full((4,), float(number)) for number in range(4)]
    for value in (1.0, float("nan"), 2.0):
        state = step(state, slope.full((4,), value))
    assert [x.tolist() for x in state] == [[each] * 4 for each in (-3.0, -2.0, -1.0, 0.0)]
