"""Branches and loops: values, derivatives, batching, random numbers, memory, messages."""

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slope
from slope import errors
from slope.core.printer import programs_in
from slope.extend import Program, ops
from slope.testing import check_operator


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(
        np.asarray(actual), np.asarray(expected), rtol=tolerance, atol=tolerance
    )


def draw(*shape, seed=0):
    return slope.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def all_instrs(program: Program):
    """The instructions of a program and of those that it holds."""
    for instr in program.instrs:
        yield instr
        for nested in programs_in(list(instr.params.values())):
            yield from all_instrs(nested)


def optimized(function, *args):
    return slope.jit(function).lower(*args).program


def of(program, name):
    return [instr for instr in program.instrs if instr.op.name == name]


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


# --- a recurrent network against its unrolled self


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


# --- memory


def test_the_gradient_of_a_scan_stacks_what_it_needs_alone():
    def value(w, xs, h):
        def step(h, x):
            return slope.sin(h) @ (w @ w) + x * slope.exp(w[0]), None

        return slope.scan(step, h, xs)[0].sum()

    program = optimized(slope.grad(value, argnums=(0, 2)), W, XS, H0)
    forward, back = of(program, "run_scan")
    stacked = [each.type.shape for each in forward.outputs[forward.params["carries"] :]]
    assert sorted(stacked) == [(5, 3), (5, 3)]  # sin(h) and cos(h); neither w, w @ w nor exp(w[0])
    assert back.params["reverse"]
    assert (
        sum(1 for instr in all_instrs(program) if instr.op.name == "exp") <= 2
    )  # once in the loop, once before it


def test_a_scan_of_cotangents_stacks_nothing_for_linear_bodies():
    program = optimized(
        slope.grad(lambda h: slope.scan(lambda h, x: (W @ h + x, h), h, XS)[0].sum()), H0
    )
    assert [len(instr.outputs) for instr in of(program, "run_scan")] == [
        1
    ]  # the loop back alone: no residuals, no forward loop


def test_results_that_nothing_reads_are_not_stacked():
    program = optimized(
        lambda h: slope.scan(lambda c, x: ((c[0] + x, c[1] * 2), (c[0], c[1])), (h, h), XS)[0][0],
        H0,
    )
    (instr,) = of(program, "run_scan")
    assert len(instr.outputs) == 1
    assert len(list(instr.params["body"].outputs)) == 1


def test_checkpoint_computes_again(backend):
    def layer(x):
        return slope.sin(slope.sin(slope.sin(x)))

    plain = lambda x: layer(layer(x)).sum()  # noqa: E731  # two short functions side by side
    saving = lambda x: slope.checkpoint(layer)(slope.checkpoint(layer)(x)).sum()  # noqa: E731  # as above
    x = draw(4)
    close(slope.jit(slope.grad(saving))(x), slope.grad(plain)(x))
    close(slope.grad(saving)(x), slope.grad(plain)(x))
    close(slope.jit(slope.hessian(saving))(x), slope.hessian(plain)(x), 1e-4)
    close(
        slope.jit(slope.vmap(slope.grad(saving)))(draw(2, 4)),
        slope.vmap(slope.grad(plain))(draw(2, 4)),
    )

    def sines(f):
        return sum(
            1
            for instr in all_instrs(optimized(slope.value_and_grad(f), x))
            if instr.op.name == "sin"
        )

    assert sines(plain) == 6
    assert sines(saving) == 6 + 4  # each derivative computes two sines of its layer again
    from slope.compile import lower_program

    lowered = lower_program(
        slope.jit(slope.value_and_grad(saving)).trace(x), slope.backend(backend)
    )
    assert lowered.count("sin") == 10
    assert lowered.count("optimization_barrier") == 2


def test_checkpoint_in_a_scan_keeps_the_carries_alone():
    def step(h, x):
        return slope.tanh(slope.tanh(W @ h + x) * x), None

    def stacked(f):
        program = optimized(slope.grad(lambda h: slope.scan(f, h, XS)[0].sum()), H0)
        forward = of(program, "run_scan")[0]
        return len(forward.outputs) - forward.params["carries"]

    assert stacked(step) >= 2
    assert stacked(slope.checkpoint(step)) == 1
    close(
        slope.jit(slope.grad(lambda h: slope.scan(slope.checkpoint(step), h, XS)[0].sum()))(H0),
        slope.grad(lambda h: slope.scan(step, h, XS)[0].sum())(H0),
    )


# --- branches


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


# --- loops whose length is not known


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


# --- random numbers


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


# --- properties


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


# --- programs


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


# --- messages


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
        r"pred must have shape \(\), and is bool\[2\]",
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
