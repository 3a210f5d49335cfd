"""What jit promises: when it compiles, what it takes and returns; on every backend."""

import copy
import logging
import pickle
import sys

import numpy as np
import pytest

import slope
from slope import errors


def test_computes_and_compiles_once(backend):
    calls = []

    @slope.jit
    def f(x):
        calls.append(1)
        return x * 2 + 1

    for _ in range(3):
        np.testing.assert_array_equal(f(slope.ones(4)).numpy(), np.full(4, 3, np.float32))
    assert calls == [1]
    assert f.compile_count == 1


def test_new_python_numbers_compile_nothing(backend):
    f = slope.jit(lambda x, rate, count: (x * rate, count + 1))
    for number in range(5):
        y, count = f(slope.ones(2), 0.1 * number, number)
        np.testing.assert_allclose(y.numpy(), np.full(2, 0.1 * number, np.float32), rtol=1e-6)
        assert count.item() == number + 1
    assert f.compile_count == 1


def test_counters_and_rates_returned_go_back_in(backend):
    f = slope.jit(lambda state: {"count": state["count"] + 1, "rate": state["rate"] * 0.5})
    state = {"count": 0, "rate": 1.0}
    for _ in range(4):
        state = f(state)
    assert state["count"].item() == 4
    assert state["rate"].item() == 0.0625
    assert state["rate"].dtype is slope.float32
    assert f.compile_count == 1


def test_a_weak_number_does_not_widen(backend):
    f = slope.jit(lambda x, rate: x * rate)
    assert f(slope.ones(2, dtype=slope.float16), 0.5).dtype is slope.float16
    x = slope.tensor(np.array([3.0]))
    assert f(x, 0.1).dtype is slope.float64
    assert f(x, 0.1).item() == 3.0 * 0.1  # not rounded to float32 on the way


def test_static_values_differ_by_type(backend):
    f = slope.jit(
        lambda x, n: x + (10 if n is True else 20 if isinstance(n, float) else 30), static_argnums=1
    )
    x = slope.zeros(())
    assert [f(x, n).item() for n in (1, 1.0, True, 1)] == [30, 20, 10, 30]
    assert f.compile_count == 3


def test_static_numpy_numbers_differ_by_sign_and_type(backend):
    inverse = slope.jit(lambda x, n: x / float(n), static_argnums=1)
    for number in (np.float32(0.0), np.float32(-0.0), np.float64(-0.0)):
        assert inverse(slope.tensor(1.0), number).item() == np.copysign(np.inf, number)
    assert inverse.compile_count == 3


def test_static_by_name_and_number(backend):
    def power(x, n):
        assert isinstance(n, int)
        return x**n

    by_name = slope.jit(power, static_argnames="n")
    by_number = slope.jit(power, static_argnums=1)
    x = slope.tensor(3.0)
    assert (
        by_name(x, n=2).item()
        == by_name(x, 2).item()
        == by_number(x, 2).item()
        == by_number(x, n=2).item()
        == 9.0
    )


def test_keyword_arguments_and_pytrees(backend):
    f = slope.jit(lambda tree, *, scale: {"out": [tree["a"] * scale, (tree["b"][0],)]})
    out = f({"a": slope.ones(2), "b": (slope.zeros(3),)}, scale=slope.tensor(5.0))
    np.testing.assert_array_equal(out["out"][0].numpy(), [5.0, 5.0])
    np.testing.assert_array_equal(out["out"][1][0].numpy(), [0.0, 0.0, 0.0])


def test_outputs_of_every_kind(backend):
    x = slope.ones(3)

    @slope.jit
    def f(x, label):
        y = x + 1
        return y, y, x, 2.5, "text", None, label, slope.zeros(2), [slope.zeros(2)]

    y, again, same, number, text, none, label, zeros, (more,) = f(x, "name")
    np.testing.assert_array_equal(y.numpy(), again.numpy())
    assert same is x
    assert (number, text, none, label) == (2.5, "text", None, "name")
    np.testing.assert_array_equal(zeros.numpy(), more.numpy())


def test_numpy_arrays_keep_their_dtype(backend):
    f = slope.jit(lambda x: x + x)
    out = f(np.array([1.5, 2.5]))
    assert out.dtype is slope.float64
    np.testing.assert_array_equal(out.numpy(), [3.0, 5.0])


def test_arrays_and_tensors_in_any_order(backend):
    f = slope.jit(lambda x: x + 1)
    array = np.ones(2, np.float32)
    for x in (slope.tensor(array), array, slope.tensor(array), array):
        assert f(x).tolist() == [2.0, 2.0]
    assert f.compile_count == 2


def test_inside_jit_and_as_method_and_of_a_callable(backend):
    inner = slope.jit(lambda x: x * 3)

    class Scaler:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return inner(x) * self.factor

        @slope.jit
        def method(self, x):
            return inner(x)

    x = slope.ones(2)
    np.testing.assert_array_equal(slope.jit(Scaler(2.0))(x).numpy(), [6.0, 6.0])
    np.testing.assert_array_equal(slope.jit(Scaler(4.0).__call__)(x).numpy(), [12.0, 12.0])
    outer = slope.jit(lambda x: inner(inner(x)))
    assert outer(x).tolist() == [9.0, 9.0]
    assert outer.trace(x).count("call") == 0  # inlined


def test_a_failed_call_leaves_the_function_usable(backend):
    @slope.jit
    def f(x, y):
        return x @ y

    with pytest.raises(errors.ShapeError, match="matmul"):
        f(slope.ones(2, 3), slope.ones(2, 3))
    np.testing.assert_array_equal(
        f(slope.ones(2, 3), slope.ones(3, 2)).numpy(), np.full((2, 2), 3.0)
    )
    assert f.compile_count == 1


def test_many_shapes_are_all_kept():
    with slope.use_backend("numpy"):
        f = slope.jit(lambda x: x + 1)
        for length in range(300):
            assert f(slope.zeros(length)).shape == (length,)
        assert f.compile_count == 300
        for length in range(300):
            f(slope.zeros(length))
        assert f.compile_count == 300


def test_captured_tensors_are_constants(backend):
    weight = slope.tensor([1.0, 2.0])
    f = slope.jit(lambda x: x * weight)
    assert f(slope.ones(2)).tolist() == [1.0, 2.0]
    assert f(slope.ones(2) * 3).tolist() == [3.0, 6.0]


def test_captured_tracers_become_operands(backend):
    calls = []

    def outer(x):
        def inner(y):
            calls.append(1)
            return y * x

        return slope.jit(inner)(slope.ones(2)).sum()

    assert slope.grad(outer)(slope.tensor(3.0)).item() == 2.0
    assert slope.jit(slope.grad(outer))(slope.tensor(3.0)).item() == 2.0
    f = slope.jit(lambda y: y * scale[0])
    scale = [None]

    def captures(x):
        scale[0] = x
        return f(slope.ones(2)).sum()

    assert slope.grad(captures)(slope.tensor(2.0)).item() == 2.0
    assert slope.grad(captures)(slope.tensor(5.0)).item() == 2.0
    assert slope.jit(captures)(slope.tensor(7.0)).item() == 14.0


def test_lower_shows_program_and_code(backend):
    lowered = slope.jit(lambda x: slope.tanh(x) + 1).lower(slope.ones(2, 3))
    assert "slope.tanh" in str(lowered.program)
    assert "tanh" in lowered.code.lower()
    assert lowered.cost().flops == 12


def test_says_why_it_compiles_again(caplog):
    f = slope.jit(lambda x, flag: x * 2 if flag else x, backend="numpy")
    f(slope.ones(2), True)
    with caplog.at_level(logging.INFO, logger="slope.jit"):
        f(slope.ones(3), True)
        f(slope.ones(3), False)
        f([slope.ones(3)][0].to(slope.float64), False)
    text = caplog.text
    assert "float32[3] instead of float32[2]" in text
    assert "False instead of True" in text
    assert "float64[3] instead of float32[3]" in text


def test_a_terminal_hears_once_of_another_shape(monkeypatch, capsys):
    f = slope.jit(lambda x, flag: x * 2 if flag else x, backend="numpy")
    f(slope.ones(4), True)
    f(slope.ones(3), True)
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    f(slope.ones(3), False)  # another branch is no surprise
    assert capsys.readouterr().err == ""
    f(slope.ones(2), True)
    f(slope.ones(1), True)
    told = capsys.readouterr().err
    assert "compiles again" in told
    assert "float32[2] instead of float32[" in told
    assert told.count("\n") == 1


def test_log_jit_prints_program_and_code(backend, monkeypatch, capsys):
    monkeypatch.setenv("LOG_JIT", "1")
    slope.jit(lambda x: slope.exp(x) * 2)(slope.ones(2))
    printed = capsys.readouterr().err
    assert "slope.exp" in printed
    assert f"{backend} code" in printed


def test_log_jit_prints_what_the_compiler_refuses(monkeypatch, capsys):
    def refuse(*args: object) -> None:
        raise errors.CompileError("not today", "the refused text")

    monkeypatch.setattr(type(slope.backend("numpy")), "compile", refuse)
    monkeypatch.setenv("LOG_JIT", "1")
    with pytest.raises(errors.CompileError, match="not today"):
        slope.jit(lambda x: slope.exp(x) * 7, backend="numpy")(slope.ones(2))
    printed = capsys.readouterr().err
    assert "slope.mul(v0, 7.0)" in printed
    assert "numpy code, refused\nthe refused text" in printed


def test_backend_by_argument():
    f = slope.jit(lambda x: x + 1, backend="onnx")
    assert f(slope.ones(2)).tolist() == [2.0, 2.0]
    assert "Add" in f.lower(slope.ones(2)).code


def test_inputs_are_never_written_to(backend):
    source = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = slope.tensor(source)
    before = source.copy()
    f = slope.jit(lambda x: (x + 1, x * 2, (x - 1) * (x + 2)))
    for _ in range(3):
        f(x)
    slope.jit(lambda x: x * 2)(source)
    kept = slope.jit(lambda x: (x, x.reshape(6), x[:1]))(source)
    source[:] = 7
    np.testing.assert_array_equal(kept[0].numpy(), before)
    np.testing.assert_array_equal(kept[1].numpy(), before.reshape(6))
    np.testing.assert_array_equal(kept[2].numpy(), before[:1])
    source[:] = before
    np.testing.assert_array_equal(x.numpy(), before)
    np.testing.assert_array_equal(source, before)
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0, 0] = 1.0


@pytest.mark.parametrize("bad", [object(), lambda x: x, 1j], ids=["object", "function", "complex"])
def test_refuses_what_is_no_pytree_of_tensors(backend, bad):
    with pytest.raises(
        errors.ArgumentError, match=r"jit of <lambda>: argument 1 is an? .*static_argnums"
    ):
        slope.jit(lambda x, y: x)(slope.ones(1), bad)


def test_refuses_unhashable_static_values():
    class Odd:
        __hash__ = None  # pyright: ignore[reportAssignmentType]  # how Python is told so

    with pytest.raises(errors.ArgumentError, match="must be hashable"):
        slope.jit(lambda x, y: x, static_argnums=1)(slope.ones(1), Odd())


def test_refuses_ints_that_do_not_fit(backend):
    with pytest.raises(errors.ArgumentError, match="does not fit int64"):
        slope.jit(lambda x, n: x + n)(slope.ones(1), 2**63)


def test_truth_of_a_traced_value(backend):
    @slope.jit
    def f(x):
        return x if x.sum() > 0 else -x

    with pytest.raises(
        errors.ConcretizationError, match=r"truth.*bool\[\].*jit of f.*slope\.where"
    ):
        f(slope.ones(2))


def test_escaped_tracer(backend):
    kept = []

    @slope.jit
    def f(x):
        kept.append(x * 2)
        return x

    f(slope.ones(2))
    with pytest.raises(errors.EscapedTracerError, match=r"jit of f at .*test_jit\.py:\d+"):
        _ = kept[0] + 1
    with pytest.raises(errors.EscapedTracerError, match="jit of f"):
        slope.jit(lambda x: x + kept[0])(slope.ones(2))
    with pytest.raises(errors.EscapedTracerError, match="jit of f"):
        f.__wrapped__(kept[0] + slope.ones(2))


def test_hides_its_own_frames():
    import traceback

    def broken(x):
        return x @ slope.ones(5)

    with pytest.raises(errors.ShapeError, match="matmul") as caught:
        slope.jit(broken, backend="numpy")(slope.ones(3))
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert sum("slope-core" in name or "/slope/" in name for name in files) <= 2, files
    assert any(name == __file__ for name in files)


def test_programs_are_copied_and_pickled(backend):
    def f(x):
        return slope.cond(x.sum() > 0, lambda: slope.sin(x), lambda: x * 2)

    lowered = slope.jit(f).lower(slope.ones(3))
    program = lowered.program
    assert copy.deepcopy(program) is copy.copy(program) is program
    other = pickle.loads(pickle.dumps(program))
    assert other is not program
    assert str(other.check()) == str(program)


def test_what_is_printed_of_compiled_functions(backend):
    function = slope.jit(lambda x: x * 2)
    assert repr(function) == "<jit <lambda>: 0 programs>"
    assert repr(function.lower(slope.ones(2))) == f"<lowered <lambda>: 1 instruction for {backend}>"
    assert repr(function) == "<jit <lambda>: 1 program>"
    assert repr(slope.backend()) == f"<backend {backend}>"
