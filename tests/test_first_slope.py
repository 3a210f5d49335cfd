"""What broke the first slope stays mended: the cache of jit, tensors as Python values; everywhere.

Its values (batching, gradients, draws, memory) are in ``test_first_slope_values.py``.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import slope
from slope import errors, nn
from slope.extend import ops


@pytest.fixture
def compiles(backend, monkeypatch):
    """The names of the programs that the backends compile, as they do."""
    names = []
    # Eager work of iree is numpy's.
    for each in {slope.backend(), slope.backend("numpy")}:

        def compile_(program, *args, original=each.compile):
            names.append(program.name)
            return original(program, *args)

        monkeypatch.setattr(each, "compile", compile_)
    return names


# --- the cache sees static fields


class Settings(NamedTuple):
    factor: float


@dataclasses.dataclass(frozen=True)
class Frozen:
    factor: float


class Scaled(nn.Module):
    def __init__(self, factor):
        self.factor = factor  # static
        self.weight = slope.ones(2)

    def __call__(self, x):
        factor = getattr(self.factor, "factor", self.factor)
        kind = {int: 1.0, float: 2.0, bool: 4.0}[type(factor)]
        return (x * self.weight * factor * kind).sum()


VALUES = (1, 1.0, True, 2.0, 2)


@pytest.mark.parametrize("wrap", [lambda v: v, Settings, Frozen])
def test_modules_that_differ_in_a_static_number_share_no_program(backend, wrap):
    run = slope.jit(lambda model, x: model(x))
    found = [run(Scaled(wrap(value)), slope.ones(2)).item() for value in VALUES * 2]
    assert found == [2.0, 4.0, 8.0, 8.0, 4.0] * 2
    assert run.compile_count == len(VALUES)


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zeros_of_both_signs_are_two_static_values(backend, value):
    run = slope.jit(lambda x, zero: slope.full((), zero) * x, static_argnums=1)
    for zero in (value, -value):
        assert np.signbit(run(slope.ones(()), zero).numpy()) == np.signbit(zero)
    pads = [slope.pad(slope.ones(1), (1, 0), value=zero).numpy()[0] for zero in (value, -value)]
    assert [np.signbit(pad) for pad in pads] == [np.signbit(value), np.signbit(-value)]


def test_optimizers_that_differ_in_a_static_setting_share_no_program(backend):
    model = {"w": slope.ones(2)}

    @slope.jit
    def step(optimizer, model, grads):
        return optimizer(model, grads)

    found = []
    for nesterov in (False, True, False):
        optimizer = nn.SGD(model, lr=0.5, momentum=0.5, nesterov=nesterov)
        new, optimizer = step(optimizer, model, {"w": slope.ones(2)})
        found.append(new["w"].tolist()[0])
    assert found == [0.5, 0.25, 0.5]
    assert step.compile_count == 2


def test_rates_and_counters_of_optimizers_compile_nothing(compiles):
    model = {"w": slope.ones(2)}
    optimizer = nn.SGD(model, lr=0.5, momentum=0.5, dampening=0.1)
    step = slope.jit(lambda optimizer, model, grads: optimizer(model, grads))
    grads = {"w": slope.ones(2)}
    for number in range(2):  # Python's own numbers, then what came back from the program
        model, optimizer = step(optimizer, model, grads)
        optimizer.lr = 0.5 / (number + 1)
    compiles.clear()
    for number in range(10):
        optimizer.lr, optimizer.momentum = 0.1 / (number + 1), 0.5 + 0.01 * number
        model, optimizer = step(optimizer, model, grads)
    steps: Any = optimizer.steps
    assert int(steps) == 12
    assert compiles == []
    assert step.compile_count == 1


# --- new numbers and new shapes


def test_new_numbers_compile_nothing(compiles):
    x = slope.ones(3)
    eager = [lambda n: x + n, lambda n: n / (x + 1), lambda n: x**2.5 * n, lambda n: n - x]
    jitted = slope.jit(lambda x, n, tree: (x * n + tree["rate"], tree["count"] + 1))
    nested = slope.jit(lambda x, n: slope.jit(lambda x, n: x * n)(x, n * 2))
    runs = (
        *eager,
        lambda n: jitted(x, n, {"rate": n * 2.0, "count": 3}),
        lambda n: jitted(x, np.float64(n), {"rate": np.float32(n), "count": int(n)}),
        lambda n: nested(x, n),
    )
    for run in runs:
        run(1.5)
    compiles.clear()
    for number, run in itertools.product((2.5, -3.25, 1e-3), runs):
        run(number)
    assert compiles == []
    assert jitted.compile_count == nested.compile_count == 1


@pytest.mark.parametrize("jitted", [False, True])
def test_ten_thousand_shapes(compiles, backend, jitted):
    count = 10_000 if backend == "numpy" else 300 if not jitted else 12
    f = slope.jit(slope.neg) if jitted else slope.neg
    source = slope.from_numpy(np.arange(count, dtype=np.float32)).numpy()
    # Of many dimensions, so that no other test (nor backend: they share eager programs) had these
    # shapes.
    ones = (1,) * (5 + ("numpy", "onnxruntime", "iree").index(backend))
    tensors = [
        slope.from_numpy(source[:length].reshape(*ones, length)) for length in range(1, count + 1)
    ]
    for x in tensors:
        f(x)
    assert len(compiles) == count
    compiles.clear()
    for x in tensors:
        assert f(x).shape == x.shape
    assert compiles == []
    assert f(tensors[-1]).numpy().flat[-1] == 1 - count


# --- failures poison nothing


def test_a_failed_compile_poisons_nothing(backend, monkeypatch):
    f = slope.jit(lambda x: slope.sin(x) * 3)
    current, x = slope.backend(), slope.zeros(5)
    original = current.compile

    def refuse(program, device, options):
        raise errors.CompileError("out of order")

    monkeypatch.setattr(current, "compile", refuse)
    for _ in range(2):
        with pytest.raises(errors.CompileError, match="out of order"):
            f(x)
    monkeypatch.setattr(current, "compile", original)
    assert f(x).tolist() == [0.0] * 5
    assert f.compile_count == 1
    assert (x + 1).tolist() == [1.0] * 5


def test_an_exception_while_tracing_leaves_nothing_behind(backend):
    slope.manual_seed(5)
    before = slope.default_generator.key.tolist()
    fail = [True]

    def f(x):
        y = slope.rand(2) * x
        if fail[0]:
            raise ZeroDivisionError
        return y.sum()

    inner = slope.jit(f)
    runs = [
        inner,
        slope.jit(slope.grad(inner)),
        slope.jit(lambda x: slope.vmap(inner, randomness="different")(x[None])[0]),
        slope.jit(lambda x: slope.jvp(inner, (x,), (x,))[1]),
    ]
    for run in runs:
        with pytest.raises(ZeroDivisionError):
            run(slope.ones(2))
        assert slope.default_generator.key.tolist() == before
    fail[0] = False
    values = []
    for run in runs:
        slope.manual_seed(5)
        values.append(np.asarray(run(slope.ones(2))).sum())
    plain = inner.__wrapped__(slope.ones(2)) * 0  # eager code runs: no trace is left
    assert plain.item() == 0
    slope.manual_seed(5)
    drawn = slope.rand(2).numpy().sum()
    for index in (0, 1, 3):
        np.testing.assert_allclose(values[index], drawn, rtol=1e-6)


# --- what jit takes


class Linear(nn.Module):
    def __init__(self):
        self.weight = slope.tensor([2.0, 3.0])

    def __call__(self, x):
        return (self.weight * x).sum()

    def power(self, x, n):
        assert isinstance(n, int)
        return self.weight * x**n

    @slope.jit
    def decorated(self, x, *, scale=1.0):
        return self.weight * x * scale


class Plain:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor

    def method(self, x):
        return x + self.factor

    @staticmethod
    @slope.jit
    def static(x):
        return x * 7


def test_every_kind_of_callable(backend):
    x = slope.tensor([1.0, 2.0])
    module = Linear()
    for f in (slope.jit(module), slope.jit(module.__call__), slope.jit(lambda m, x: m(x))):
        args = (module, x) if f.__name__ == "<lambda>" else (x,)
        assert f(*args).item() == 8.0
        assert f(*args).item() == 8.0
        assert f.compile_count == 1
    choices: list[dict[str, Any]] = [
        {"static_argnums": 1},
        {"static_argnums": -1},
        {"static_argnames": "n"},
    ]
    for statics in choices:
        assert slope.jit(module.power, **statics)(x, 2).tolist() == [2.0, 12.0]
    assert module.decorated(x).tolist() == [2.0, 6.0]
    assert module.decorated(x, scale=2.0).tolist() == [4.0, 12.0]
    plain = Plain(3.0)
    assert slope.jit(plain)(x).tolist() == [3.0, 6.0]
    assert slope.jit(plain.method)(x).tolist() == [4.0, 5.0]
    assert Plain.static(x).tolist() == plain.static(x).tolist() == [7.0, 14.0]
    assert slope.jit(functools.partial(lambda a, b: a - b, slope.ones(2)))(x).tolist() == [0, -1]
    assert slope.jit(slope.jit(slope.exp))(slope.zeros(1)).tolist() == [1.0]


def test_a_jitted_module_follows_its_parameters(backend):
    module = Linear()
    f = slope.jit(module)
    assert f(slope.ones(2)).item() == 5.0
    module.weight = slope.tensor([10.0, 20.0])
    assert f(slope.ones(2)).item() == 30.0
    assert f.compile_count == 1


def test_arguments_by_position_and_name(backend):
    @slope.jit
    def f(a, b=2.0, *rest, scale=1.0, **more):
        return (a * b + sum(rest) + sum(more.values())) * scale

    one = slope.ones(())
    assert f(one).item() == 2.0
    assert f(one, b=3.0).item() == 3.0
    assert f(one, 3.0, 1.0, one, scale=2.0, extra=one).item() == 12.0
    assert f(a=one, b=one).item() == 1.0
    gradient = slope.jit(slope.grad(lambda a, *, b: (a * b).sum(), argnames="b"))
    assert gradient(slope.tensor([2.0]), b=slope.tensor([3.0])).tolist() == [2.0]
    both = slope.grad(lambda a, b: a * b * b, argnums=0, argnames=("b",))(one * 2, b=one * 3)
    assert (both[0].item(), both[1]["b"].item()) == (9.0, 12.0)
    with pytest.raises(TypeError, match="missing"):
        f()


def test_results_of_every_kind(backend):
    x, array = slope.tensor([1.0, 2.0]), np.ones(2, np.float32)

    @slope.jit
    def f(x, array, number, flag):
        y = x + number
        return {"twice": (y, y), "same": x, "array": array, "number": number, "flag": flag,
                "text": "text", "float": 0.5, "none": None, "empty": [], "zeros": slope.zeros(2),
                "view": x.reshape(1, 2)}  # fmt: skip

    for _ in range(2):
        out = f(x, array, 3.0, True)
        assert out["twice"][0].tolist() == out["twice"][1].tolist() == [4.0, 5.0]
        assert out["same"] is x
        assert out["array"].tolist() == [1.0, 1.0]
        assert (out["number"], out["flag"], out["text"], out["float"]) == (3.0, True, "text", 0.5)
        assert (out["none"], out["empty"]) == (None, [])
        assert out["view"].tolist() == [[1.0, 2.0]]
    assert slope.jit(lambda x: None)(x) is None
    assert slope.jit(lambda: slope.ones(2))().tolist() == [1.0, 1.0]
    with pytest.raises(errors.ArgumentError, match="'text'"):
        slope.vmap(lambda x: (x, "text"))(x)
    with pytest.raises(errors.ArgumentError, match="the result"):
        slope.grad(lambda x: "text")(x)


# --- tensors as Python values


def test_python_asks_for_values(backend):
    x = slope.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (float(x[0, 1]), int(x[1, 0]), x[1, 1].item(), len(x)) == (2.0, 3, 4.0, 2)
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    first, _ = x
    assert first.tolist() == [1.0, 2.0]
    assert bool(slope.tensor(3)) is True
    assert [10, 20, 30][slope.tensor(2)] == 30
    assert slope.tensor(2.5) in slope.tensor([1.0, 2.5])
    assert f"{slope.tensor(2.5):.2f}" == "2.50"
    traced = slope.jit(lambda x: [row * 2 for row in x] + [len(x)])(x)
    assert [traced[0].tolist(), traced[1].tolist(), traced[2]] == [[2.0, 4.0], [6.0, 8.0], 2]
    with pytest.raises(errors.ShapeError, match=r"len\(\)"):
        len(slope.tensor(1.0))
    with pytest.raises(
        (errors.ShapeError, errors.IndexingError), match=r"float32\[\]|0-d|shape \(\)"
    ):
        list(slope.tensor(1.0))
    with pytest.raises(errors.ShapeError, match="one element"):
        float(x)


REFLECTED = {
    "1 / x": lambda x: 1 / x,
    "2 ** x": lambda x: 2**x,
    "x ** -1": lambda x: x**-1,
    "3 - x": lambda x: 3 - x,
    "x // 2": lambda x: x // 2,
    "7 // x": lambda x: 7 // x,
    "x % 3": lambda x: x % 3,
    "-7 % x": lambda x: -7 % x,
    "x * 2.5": lambda x: x * 2.5,
    "+x - -x": lambda x: +x - -x,
    "abs": abs,
    "divmod": lambda x: x // 1.5 + x % 1.5,
    "numpy + x": lambda x: np.float32(2) + x,
    "array + x": lambda x: np.arange(3, dtype=np.float32) + x,
    "array / x": lambda x: np.arange(3, dtype=np.float32) / x,
    "array < x": lambda x: np.arange(3, dtype=np.float32) < x,
    "x <= 2": lambda x: x <= 2,
    "x == 2": lambda x: x == 2,
    "x != array": lambda x: x != np.full(3, 2, np.float32),
    "array @ x": lambda x: np.eye(3, dtype=np.float32) @ x,
}


def test_operators_and_their_reflections(backend):
    x = np.array([-2.5, 1.5, 3.0], np.float32)
    every = slope.jit(lambda x: {name: f(x) for name, f in REFLECTED.items()})
    jitted = every(slope.tensor(x))
    for name, f in REFLECTED.items():
        wanted, eager = f(x), f(slope.tensor(x))
        for found in (eager, jitted[name]):
            assert isinstance(found, slope.Tensor), name
            assert found.numpy().dtype == wanted.dtype, name
            np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-6, err_msg=name)
    integers = np.array([-7, 5, 8])
    for f in (
        lambda x: x // 3,
        lambda x: x % 3,
        lambda x: x // -3,
        lambda x: 9 % x,
        lambda x: x**2,
    ):
        np.testing.assert_array_equal(f(slope.tensor(integers)).numpy(), f(integers))
        np.testing.assert_array_equal(slope.jit(f)(slope.tensor(integers)).numpy(), f(integers))
    assert (1 / slope.tensor([2, 4])).tolist() == [0.5, 0.25]
    bits = slope.tensor([6, 3])
    assert [(5 & bits).tolist(), (8 | bits).tolist(), (1 ^ bits).tolist()] == [
        [4, 1],
        [14, 11],
        [7, 2],
    ]


def test_old_eager_programs_give_way_to_new_ones(compiles, monkeypatch):
    monkeypatch.setattr("slope.eager._EAGER_LIMIT", 64)
    monkeypatch.setattr("slope.eager._eager", {})
    neg = ops.neg  # functions remember programs of their own
    with slope.use_backend("numpy"):
        tensors = [slope.zeros(length) for length in range(1, 101)]
        for x in tensors:
            neg(x)
        assert len(compiles) == 100
        compiles.clear()
        for x in tensors[-40:]:
            neg(x)
    assert compiles == []
