"""Ctrl-C at any moment: the next call finds slope as it was."""

import gc
import itertools
import sys

import pytest

import slope
from slope.core.trace import EVAL, current_trace
from slope.functions.random import current_scope, default_generator

X = slope.tensor([[0.5, -1.0], [2.0, 1.5]])


def loss(w, x):
    return (slope.tanh(x @ w) * slope.rand(2, 2)).sum()


WORK = {
    "jit of a gradient": lambda: slope.jit(slope.grad(loss))(X, X),
    "vmap": lambda: slope.vmap(slope.grad(lambda v: (slope.exp(v) * v).sum()))(X),
    "draws in vmap": lambda: slope.vmap(lambda v: v + slope.randn(2), randomness="different")(X),
    "scan and cond": lambda: slope.scan(
        lambda c, x: (slope.cond(x[0] > 0, lambda: c * x, lambda: c), c), slope.ones(2), X
    )[0],
    "a function that eager calls remember": lambda: slope.softmax(X.reshape(2, 2, 1), 1),
    "jvp of a checkpoint": lambda: slope.jvp(slope.checkpoint(slope.sin), (X,), (X,)),
}


def interrupted(work, at):
    """Whether the work ends before it enters or leaves the ``at``-th block of slope's."""
    events = itertools.count()

    def watch(frame, event, _):
        code = frame.f_code
        if code.co_name in ("__enter__", "__exit__") and "/slope/" in code.co_filename:
            if event in ("call", "return") and next(events) == at:
                raise KeyboardInterrupt
            return watch
        return None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        work()
    except KeyboardInterrupt:
        return False
    finally:
        sys.settrace(before)
    return True


@pytest.mark.parametrize("name", WORK)
def test_an_interrupt_leaves_nothing_behind(name):
    with slope.use_backend("numpy"):
        for at in itertools.count():
            done = interrupted(WORK[name], at)
            assert current_trace() is EVAL, at
            assert current_scope() is default_generator, at
            assert gc.isenabled(), at
            if done:
                break
        assert at > 1
        WORK[name]()
