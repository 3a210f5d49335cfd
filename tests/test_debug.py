"""slope.debug.print and callback: what runs prints, once, in order, under every transform.

Everything on NumPy, which calls Python from the generated code; the ways that other backends need
(stages, loops outside of compiled parts) on all.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

import slope
from slope.errors import ArgumentError
from slope.passes import PASSES, optimize


@pytest.fixture
def seen():
    """A list, and a function that prints nothing but notes what it is called with."""
    return []


def noted(seen, *values):
    slope.debug.callback(lambda *arrays: seen.append([each.tolist() for each in arrays]), *values)


def shout(x):
    slope.debug.print("x = {}", x)
    return x * 2


X = slope.tensor([1.0, 2.5])


# --- what is printed


def test_eager_prints_at_once(capsys):
    assert shout(X).tolist() == [2.0, 5.0]
    assert capsys.readouterr().out == "x = [1.  2.5]\n"


def test_jit_prints_in_each_run(backend, capsys):
    f = slope.jit(shout)
    assert f(X).tolist() == [2.0, 5.0]
    f(X + 1)
    assert capsys.readouterr().out == "x = [1.  2.5]\nx = [2.  3.5]\n"


@pytest.mark.parametrize(
    ("form", "args", "kwargs", "text"),
    [
        ("{} and {}", (X, 3), {}, "[1.  2.5] and 3"),
        ("{1} {0}", (X, 0.5), {}, "0.5 [1.  2.5]"),
        ("{x:.3f}", (), {"x": X[0]}, "1.000"),
        ("{x:.1f}", (), {"x": X}, "[1.0 2.5]"),
        ("{x.shape} {x[1]}", (), {"x": X}, "(2,) 2.5"),
        ("{:d}%", (slope.tensor(7),), {}, "7%"),
        ("{}", (slope.tensor(True),), {}, "True"),
        ("{:.2f}", (slope.tensor(1.5, dtype=slope.bfloat16),), {}, "1.50"),
        ("{}", (np.arange(3),), {}, "[0 1 2]"),
        ("{{}} {!r}", ("text",), {}, "{} 'text'"),
        ("{} {a[w]}", (("t", None),), {"a": {"w": X}}, "('t', None) [1.  2.5]"),
        ("{}", (X.shape,), {}, "(2,)"),
        ("nothing", (), {}, "nothing"),
        ("{}", (2**70,), {}, str(2**70)),
    ],
)  # fmt: skip
def test_formats(form, args, kwargs, text, capsys):
    slope.debug.print(form, *args, **kwargs)
    slope.jit(lambda: slope.debug.print(form, *args, **kwargs))()
    assert capsys.readouterr().out == f"{text}\n{text}\n"


def test_python_numbers_among_the_arguments_of_jit_are_values(capsys):
    f = slope.jit(lambda i: slope.debug.print("{}", i))
    f(3)
    f(4)
    assert f.compile_count == 1
    assert capsys.readouterr().out == "3\n4\n"


@pytest.mark.parametrize(
    ("form", "args", "kwargs", "reason"),
    [
        ("{} {}", (X,), {}, "out of range"),
        ("{y}", (), {"x": X}, "there is no 'y'"),
        ("text", (X,), {}, "no field shows 0"),
        ("{:d}", (X,), {}, "format code 'd'"),
        ("{", (X,), {}, "Single '{'"),
    ],
)
def test_formats_that_do_not_fit_are_refused_before_anything_runs(form, args, kwargs, reason):
    def f():
        slope.debug.print(form, *args, **kwargs)

    for run in (f, lambda: slope.jit(f).trace()):
        with pytest.raises(
            ArgumentError, match=r"debug.print: the format .* does not fit"
        ) as caught:
            run()
        assert reason in str(caught.value)


def test_a_format_must_come_first():
    with pytest.raises(ArgumentError, match=r"takes a format with braces"):
        slope.debug.print(X)  # pyright: ignore[reportArgumentType]


# --- in order, and all of them


def test_equal_calls_stay_and_keep_their_order(backend, capsys):
    @slope.jit
    def f(x):
        slope.debug.print("a {}", x)
        slope.debug.print("a {}", x)
        y = slope.sin(x)
        slope.debug.print("b {:.1f}", y)
        slope.debug.print("a {}", x)

    assert f(slope.tensor(0.0)) is None
    assert capsys.readouterr().out == "a 0.0\na 0.0\nb 0.0\na 0.0\n"


@pytest.mark.parametrize("off", ["", *PASSES])
def test_passes_keep_them(off):
    def f(x):
        slope.debug.print("{}", x * 0)
        slope.debug.print("{}", x * 0)
        slope.fori_loop(0, 3, lambda i, c: (slope.debug.print("{}", i), c)[1], x)
        slope.cond(x > 0, lambda: slope.debug.print("yes"), lambda: None)
        return slope.tensor(1.0)

    program = optimize(slope.jit(f).trace(slope.tensor(1.0)), frozenset([off] if off else []))
    assert program.count("debug_print") == 2
    assert program.count("run_scan", "run_while") == 1
    assert program.count("run_branch") == 1


def test_programs_without_them_are_what_they_were():
    f = slope.jit(lambda x: slope.tanh(x) * 2)
    assert "host" not in f.lower(X).code
    assert f.lower(X).program.count() == 2


def test_the_printed_program_prints(capsys):
    def inner(x, y):
        slope.debug.print("{} {y:.1f}", x, y=y)
        slope.debug.callback(print, {"x": x}, "text")
        return slope.pure_callback(np.add, x, x, y)

    program = slope.jit(inner).trace(X, X)
    text = str(program)
    assert "slope.debug_print(x0, x1, format='{} {y:.1f}', names=('y',))" in text
    assert "c0,  # the host function print" in text
    space = {}
    exec(text, space)
    constants = dict(zip(("c0", "c1"), slope.core.printer.constants_of(program), strict=True))
    (total,) = space["inner"](X, X, **constants)
    assert total.tolist() == [2.0, 5.0]
    assert capsys.readouterr().out == (
        "[1.  2.5] [1.0 2.5]\n{'x': array([1. , 2.5], dtype=float32)} text\n"
    )


# --- transforms


def test_derivatives_see_primal_values_once(backend, seen):
    def f(x):
        noted(seen, x)
        return (slope.sin(x) * x).sum()

    transforms = {
        "grad": slope.grad(f),
        "jit grad": slope.jit(slope.grad(f)),
        "grad jit": slope.grad(slope.jit(f)),
        "value_and_grad": slope.jit(slope.value_and_grad(f)),
        "jvp": lambda x: slope.jvp(f, (x,), (x,)),
        "vjp": lambda x: slope.vjp(f, x)[1](slope.tensor(1.0)),
        "linearize": lambda x: slope.linearize(f, x)[1](x),
        "hessian": slope.hessian(f),
        "jit in jit": slope.jit(slope.jit(f)),
        "checkpoint": slope.jit(slope.grad(slope.checkpoint(f))),
        "eager checkpoint": slope.grad(slope.checkpoint(f)),
    }
    if backend != "numpy":  # each compiles anew
        transforms = {name: transforms[name] for name in ("jit grad", "checkpoint")}
    for name, transformed in transforms.items():
        transformed(X)
        assert seen == [[X.tolist()]], name
        seen.clear()


def test_a_gradient_can_be_printed_by_a_rule(seen):
    @slope.custom_vjp
    def watched(x):
        return x

    def backward(_, cotangent):
        noted(seen, cotangent)
        return (cotangent,)

    watched.defvjp(lambda x: (x, None), backward)
    slope.jit(slope.grad(lambda x: (watched(x) * 3).sum()))(X)
    assert seen == [[[3.0, 3.0]]]


def test_vmap_calls_once_for_each_example_in_order(backend, seen):
    xs = slope.tensor([[1.0, 2.0], [3.0, 4.0]])

    def f(x, scale):
        noted(seen, x, scale)
        return x * scale

    out = slope.jit(slope.vmap(f, in_dims=(0, None)))(xs, slope.tensor(2.0))
    assert out.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert seen == [[[1.0, 2.0], 2.0], [[3.0, 4.0], 2.0]]
    seen.clear()
    if backend == "numpy":
        slope.vmap(slope.vmap(f, in_dims=(0, None)), in_dims=(1, None))(xs, slope.tensor(1.0))
        assert [each for each, _ in seen] == [1.0, 2.0, 3.0, 4.0]  # the inner one counts slowest
        slope.vmap(lambda x: noted(seen, slope.tensor(5.0)))(xs)  # depends on no example
        assert seen[4:] == [[5.0]]
        seen.clear()
        slope.vmap(slope.grad(lambda x: f(x, x).sum()))(xs)
        assert len(seen) == 2


def test_cond_calls_the_taken_branch_alone(backend, seen):
    def f(x):
        return slope.cond(
            x > 0,
            lambda x: (noted(seen, x), x)[1],
            lambda x: (noted(seen, x, x), -x)[1],
            x,
        )

    g = slope.jit(f)
    assert [g(slope.tensor(1.0)).item(), g(slope.tensor(-2.0)).item()] == [1.0, 2.0]
    assert seen == [[1.0], [-2.0, -2.0]]
    seen.clear()
    assert slope.jit(slope.vmap(f))(slope.tensor([-1.0, 2.0])).tolist() == [1.0, 2.0]
    assert seen == [[-1.0, -1.0], [2.0]]
    seen.clear()
    if backend == "numpy":
        assert slope.grad(f)(slope.tensor(-2.0)).item() == -1.0
        assert seen == [[-2.0, -2.0]]


def test_loops_call_in_each_turn(backend, seen):
    def scanned(x):
        def step(total, each):
            noted(seen, total, each)
            return total + each, total * each

        return slope.scan(step, slope.tensor(0.0), x)

    total, products = slope.jit(scanned)(slope.tensor([1.0, 2.0, 3.0]))
    assert (total.item(), products.tolist()) == (6.0, [0.0, 2.0, 9.0])
    assert seen == [[0.0, 1.0], [1.0, 2.0], [3.0, 3.0]]
    seen.clear()
    x = slope.tensor([1.0, 2.0])
    assert slope.jit(slope.grad(lambda x: scanned(x)[1].sum()))(x).tolist() == [2.0, 1.0]
    assert seen == [[0.0, 1.0], [1.0, 2.0]]
    seen.clear()

    def doubled(x):
        return slope.while_loop(lambda c: c < 10, lambda c: (noted(seen, c), c * 2)[1], x)

    assert slope.jit(doubled)(slope.tensor(3.0)).item() == 12.0
    assert seen == [[3.0], [6.0]]


def test_loops_under_transforms(seen):
    def doubled(x):
        return slope.while_loop(lambda c: c < 10, lambda c: (noted(seen, c), c * 2)[1], x)

    out, tangent = slope.jit(lambda x: slope.jvp(doubled, (x,), (x,)))(slope.tensor(3.0))
    assert (out.item(), tangent.item(), seen) == (12.0, 12.0, [[3.0], [6.0]])
    seen.clear()
    _, push = slope.linearize(doubled, slope.tensor(3.0))
    assert (push(slope.tensor(1.0)).item(), seen) == (4.0, [[3.0], [6.0]])
    seen.clear()
    assert slope.vmap(doubled)(slope.tensor([3.0, 8.0])).tolist() == [12.0, 16.0]
    assert seen == [[3.0], [6.0], [8.0]]  # example by example
    seen.clear()
    count = slope.jit(lambda x: slope.fori_loop(0, 3, lambda i, c: (noted(seen, i), c)[1], x))
    count(X)
    assert seen == [[0], [1], [2]]
    seen.clear()
    slope.scan(lambda c, x: (noted(seen, x), (c, None))[1], None, X, reverse=True)
    assert seen == [[2.5], [1.0]]
    seen.clear()
    slope.jit(slope.vmap(lambda x: slope.scan(lambda c, y: (c + y, noted(seen, y)), 0.0, x)))(
        slope.tensor([[1.0, 2.0], [3.0, 4.0]])
    )
    assert seen == [[1.0], [3.0], [2.0], [4.0]]  # turn by turn


# --- what callbacks get, give and raise


def test_arrays_of_a_callback_are_its_own(backend, seen):
    step = slope.jit(lambda x: (slope.debug.callback(seen.append, x), x + 1)[1], donate=0)
    x = slope.zeros(4)
    for _ in range(3):
        x = step(x)
    seen[0][:] = 7
    assert [each.tolist() for each in seen[1:]] == [[1.0] * 4, [2.0] * 4]
    assert x.tolist() == [3.0] * 4


def test_an_exception_reaches_the_caller_as_it_is(backend):
    def stop(x):
        raise StopIteration("far enough")

    def f(x):
        slope.debug.callback(stop, x)
        return x

    with pytest.raises(StopIteration, match="far enough") as caught:
        slope.jit(f)(X)
    assert caught.value.__notes__[0].startswith("raised on the host, by debug_callback at ")
    assert "test_debug.py" in caught.value.__notes__[0]
    assert caught.value.__notes__[0].endswith("in f")


def test_a_failed_call_leaves_the_generator_as_it_was():
    slope.manual_seed(3)
    wanted = slope.jit(lambda: slope.rand(2))()
    slope.manual_seed(3)
    allowed = []

    @slope.jit
    def f():
        x = slope.rand(2)
        slope.debug.callback(lambda x: allowed[0], x)
        return x

    with pytest.raises(IndexError):
        f()
    allowed.append(True)
    assert f().tolist() == wanted.tolist()


def test_a_callback_may_call_slope(seen):
    norm = slope.jit(lambda x: (x * x).sum())
    f = slope.jit(lambda x: slope.debug.callback(lambda a: seen.append(norm(a).item()), x))
    f(X)
    slope.grad(lambda x: (slope.debug.callback(lambda a: seen.append(norm(a).item()), x), x)[1])(
        2.0
    )
    assert seen == [7.25, 4.0]


def test_threads_call_at_once():
    seen = {}
    f = slope.jit(lambda x: (slope.debug.callback(lambda a: seen.setdefault(a.item(), 0), x), x)[1])
    threads = [threading.Thread(target=f, args=(slope.tensor(float(n)),)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(seen) == [float(n) for n in range(8)]


def test_functions_are_refused_where_they_are_none():
    with pytest.raises(ArgumentError, match=r"debug.callback takes a function, and got a Tensor"):
        slope.debug.callback(X)  # pyright: ignore[reportArgumentType]


# --- beside other tools


def test_debug_nans_prints_nothing_twice(capsys):
    def f(x):
        slope.debug.print("once {}", x)
        return slope.fori_loop(0, 2, lambda i, c: (slope.debug.print("{}", i), slope.log(c))[1], x)

    with slope.debug.nans(), pytest.raises(ArithmeticError, match="'log' gave NaN"):
        slope.jit(f)(slope.tensor(0.5))
    assert capsys.readouterr().out == "once 0.5\n0\n1\n"


def test_profile_tells_of_stages():
    f = slope.jit(shout)
    assert "debug_print" in [row.name for row in slope.profile(f, X, backend="numpy", rounds=1)]
    with pytest.raises(ArgumentError, match=r"onnxruntime cannot do in the middle"):
        slope.profile(f, X, backend="onnxruntime", rounds=1)


def test_cost_counts_what_computes():
    assert slope.jit(shout).lower(X).program.cost().flops == 2


def test_the_old_name_stays():
    assert slope.debug.nans is slope.debug_nans
