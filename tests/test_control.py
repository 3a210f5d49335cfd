"""Branches and loops: their operators, random numbers, printed programs, messages."""

import functools

import numpy as np
import pytest
from array_checks import close, draw

import slope
from slope import errors
from slope.extend import ops
from slope.testing import check_operator


def optimized(function, *args):
    return slope.jit(function).lower(*args).program


OPERATORS = (
    slope.run_branch,
    slope.run_while,
    slope.run_scan,
    slope.rematerialize,
    ops.optimization_barrier,
)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test_operators_keep_their_contract(op):
    assert check_operator(op) > 0


def test_draws_in_loops_and_branches(backend):
    def drawing(p):
        def step(c, _):
            return c + slope.rand(()), slope.rand(2)

        total, rows = slope.scan(step, 0.0, length=3)
        chosen = slope.cond(p, lambda: slope.rand(2), lambda: slope.zeros(2))
        looped = slope.while_loop(
            lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] + slope.rand(2)), (0, slope.zeros(2))
        )[1]
        return total, rows, chosen, looped, slope.rand(2)

    compiled = slope.jit(drawing)
    slope.manual_seed(1)
    first, second = compiled(slope.tensor(True)), compiled(slope.tensor(True))
    slope.manual_seed(1)
    eager = drawing(slope.tensor(True))
    for one, two, three in zip(first, second, eager, strict=True):
        np.testing.assert_array_equal(one.numpy(), three.numpy())
        assert not np.array_equal(one.numpy(), two.numpy())
    assert len(set(first[1].numpy().ravel().tolist())) == 6
    slope.manual_seed(1)
    other = compiled(slope.tensor(False))
    close(other[2], [0, 0])
    rows = slope.jit(slope.vmap(lambda x: drawing(x > 0)[1], randomness="different"))(
        slope.tensor([1.0, -1.0])
    )
    assert len(set(rows.numpy().ravel().tolist())) == 12
    same = slope.jit(slope.vmap(lambda x: drawing(x > 0)[1], randomness="same"))(
        slope.tensor([1.0, -1.0])
    )
    np.testing.assert_array_equal(same.numpy()[0], same.numpy()[1])


def test_checkpoint_draws_the_same_again(backend):
    def noisy(x):
        mask = slope.rand(8) < 0.5
        return (slope.sin(x) * mask).sum(), mask

    for wrap in (lambda f: f, slope.checkpoint):
        slope.manual_seed(3)
        gradient, mask = slope.jit(slope.grad(wrap(noisy), has_aux=True))(slope.zeros(8))
        np.testing.assert_array_equal(gradient.numpy(), mask.numpy().astype(np.float32))


def test_printed_programs_run():
    def f(p, xs):
        def step(c, x):
            return slope.cond(x > p, lambda c: c * x, lambda c: c + 1.5, c), c

        c, ys = slope.scan(step, p, xs)
        return slope.while_loop(lambda c: c < 100.0, lambda c: c * 3.0, abs(c) + 1.0), ys

    xs = slope.tensor([0.5, -1.0, 2.0])
    with slope.use_backend("numpy"):
        for function in (
            f,
            slope.grad(
                lambda p, xs: (
                    f(slope.stop_gradient(p), xs)[1].sum() + slope.checkpoint(slope.sin)(p)
                )
            ),
        ):
            program = optimized(function, slope.tensor(0.3), xs)
            namespace = {}
            exec(str(program), namespace)  # the text is the program's
            made = namespace[program.name if program.name.isidentifier() else "lambda_"]
            for one, two in zip(
                made(slope.tensor(0.3), xs),
                slope.tree_leaves(function(slope.tensor(0.3), xs)),
                strict=True,
            ):
                close(one, two)
            program.check()
            assert program.cost().flops > 0


def _other_float(x):
    return x.to(slope.float64 if x.dtype is slope.float32 else slope.float32)


BAD = {
    "structure": (
        errors.TreeError,
        "true_fn.*must have one structure",
        lambda: slope.cond(True, lambda: (1, 2), lambda: 1),
    ),
    "type": (
        errors.DTypeError,
        r"leaf\['a'\] is float32\[2\].*float32\[3\]",
        lambda: slope.cond(True, lambda: {"a": slope.ones(2)}, lambda: {"a": slope.ones(3)}),
    ),
    "predicate shape": (
        errors.ShapeError,
        r"pred must have shape \(\), but is bool\[2\]",
        lambda: slope.cond(slope.tensor([True, False]), lambda: 1, lambda: 2),
    ),
    "predicate dtype": (
        errors.DTypeError,
        "pred must be a bool",
        lambda: slope.cond(slope.tensor(1.0), lambda: 1, lambda: 2),
    ),
    "no branches": (errors.ArgumentError, "at least one function", lambda: slope.switch(0, [])),
    "index dtype": (
        errors.DTypeError,
        "index must be an integer",
        lambda: slope.switch(0.5, [lambda: 1]),
    ),
    "not a function": (
        errors.ArgumentError,
        "cond takes a function",
        lambda: slope.cond(True, 1, lambda: 2),  # pyright: ignore[reportArgumentType]  # on purpose
    ),
    "carry type": (
        errors.DTypeError,
        r"float32\[2\] in init, and float32\[1, 2\]",
        lambda: slope.scan(lambda c, x: (c[None], None), slope.ones(2), length=2),
    ),
    "carry structure": (
        errors.TreeError,
        "the carry that",
        lambda: slope.scan(lambda c, x: ((c, c), None), slope.ones(2), length=2),
    ),
    "no pair": (
        errors.ArgumentError,
        "must return a pair",
        lambda: slope.scan(lambda c, x: c, slope.ones(2), length=2),
    ),
    "no length": (
        errors.ArgumentError,
        "length says how many",
        lambda: slope.scan(lambda c, x: (c, c), 0),
    ),
    "lengths": (
        errors.ShapeError,
        "one length along dimension 0",
        lambda: slope.scan(lambda c, x: (c, c), 0, (slope.ones(2), slope.ones(3))),
    ),
    "length and xs": (
        errors.ShapeError,
        "argument length",
        lambda: slope.scan(lambda c, x: (c, c), 0, slope.ones(2), length=3),
    ),
    "scalar xs": (
        errors.ShapeError,
        "no dimension to go along",
        lambda: slope.scan(lambda c, x: (c, c), 0, slope.tensor(1.0)),
    ),
    "unroll": (
        errors.ArgumentError,
        "unroll must be",
        lambda: slope.scan(lambda c, x: (c, c), 0, slope.ones(2), unroll=0),
    ),
    "while predicate": (
        errors.DTypeError,
        "one bool of shape",
        lambda: slope.while_loop(lambda c: c, lambda c: c, slope.ones(2)),
    ),
    "while draws": (
        errors.RandomnessError,
        "cond_fn",
        lambda: slope.while_loop(lambda c: slope.rand(()) < 0.5, lambda c: c, 0),
    ),
    "while carry": (
        errors.DTypeError,
        "while_loop: the result is int64",
        lambda: slope.while_loop(lambda c: c < 3, lambda c: c / 2, slope.tensor(1)),
    ),
    "carry that never settles": (
        errors.DTypeError,
        "types of the carries do not settle",
        lambda: slope.while_loop(lambda c: c < 3, _other_float, 0),
    ),
    "carry of a scan that never settles": (
        errors.DTypeError,
        "scan: the types of the carries do not settle",
        lambda: slope.scan(lambda c, x: (_other_float(c), x), 0, slope.ones(2)),
    ),
    "bounds": (
        errors.DTypeError,
        "upper must be an integer",
        lambda: slope.fori_loop(0, 1.5, lambda i, c: c, 0),
    ),
    "leaf": (
        errors.ArgumentError,
        "str",
        lambda: slope.scan(lambda c, x: (c, "text"), 0, slope.ones(2)),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_messages(case):
    kind, text, call = BAD[case]
    with slope.use_backend("numpy"), pytest.raises(kind, match=text):
        call()


def test_a_traced_value_that_leaves_a_body_is_refused():
    kept = []
    with slope.use_backend("numpy"):
        slope.scan(lambda c, x: (kept.append(c) or c, None), slope.ones(2), length=2)
        with pytest.raises(errors.EscapedTracerError, match="lambda"):
            _ = kept[0] + 1


def test_values_of_the_surroundings(backend):
    def f(scale, x):
        return slope.scan(
            lambda c, x: (c * scale + x, functools.reduce(lambda a, _: a * scale, range(2), c)),
            slope.zeros(2),
            x,
        )[1].sum()

    x = draw(3, 2)
    gradient = slope.jit(slope.grad(f))(slope.tensor(0.5), x)
    step = 1e-2
    close(
        gradient,
        (f(slope.tensor(0.5 + step), x) - f(slope.tensor(0.5 - step), x)) / (2 * step),
        1e-2,
    )
