"""Host functions with results, and operators of others that have effects."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope.errors import ArgumentError, GradientError, UnsupportedOperatorError
from slope.extend import Operator

X = slope.tensor([1.0, 2.5])


@pytest.fixture
def seen():
    """A list to note calls in."""
    return []


def median(x):
    return slope.pure_callback(np.median, ((), slope.float32), x, axis=-1)


def test_pure_callbacks_compute(backend):
    x = slope.tensor([[1.0, 5.0, 3.0], [2.0, 2.0, 9.0]])
    f = slope.jit(slope.vmap(lambda x: median(x * 2) + 1))
    assert f(x).tolist() == [7.0, 5.0]
    loop = slope.jit(lambda x: slope.fori_loop(0, 3, lambda i, c: c + median(c), x))
    assert loop(x[0]).tolist() == [22.0, 26.0, 24.0]


def test_pure_callbacks_give_pytrees_and_convert():
    def split(x, label):
        assert label == "parts"
        return {"low": x.min(), "rest": (np.sort(x), x.size)}

    types = {"low": ((), slope.float32), "rest": (np.zeros(2), ((), "int64"))}
    types["rest"] = (X, ((), "int64"))
    out = slope.jit(lambda x: slope.pure_callback(split, types, x, "parts"))(X)
    assert out["low"].item() == 1.0
    assert out["rest"][0].tolist() == [1.0, 2.5]
    assert (out["rest"][1].item(), out["rest"][1].dtype) == (2, slope.int64)


def test_vectorized_pure_callbacks_are_called_once(seen):
    def total(x, y):
        seen.append((x.shape, y.shape))
        return (x * y).sum(-1)

    def f(x, y):
        return slope.pure_callback(total, ((), slope.float32), x, y, vectorized=True)

    xs = slope.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert slope.vmap(f, in_dims=(1, None))(xs, X).tolist() == [8.5, 12.0]
    assert seen == [((2, 2), (2, 2))]


def test_pure_callbacks_vanish_and_merge(seen):
    def f(x):
        def note(x):
            seen.append(1)
            return x

        slope.pure_callback(note, x, x)
        return slope.pure_callback(note, x, x) + slope.pure_callback(note, x, x)

    slope.jit(f)(X)
    assert len(seen) == 1


def test_pure_callbacks_have_the_derivative_that_is_given():
    with pytest.raises(GradientError, match=r"pure_callback \(median\): .* slope.custom_jvp"):
        slope.grad(median)(X)
    assert slope.grad(lambda x: median(x.detach()) * x.sum())(X).tolist() == [1.75, 1.75]

    @slope.custom_jvp
    def sine(x):
        return slope.pure_callback(np.sin, x, x)

    sine.defjvp(lambda primals, tangents: (sine(*primals), slope.cos(*primals) * tangents[0]))
    gradient = slope.jit(slope.grad(lambda x: sine(x).sum()))(X)
    np.testing.assert_allclose(gradient.numpy(), np.cos(X.numpy()), rtol=1e-6)
    counted = slope.grad(lambda x: slope.pure_callback(len, ((), "int64"), x) * x.sum())(X)
    assert counted.tolist() == [2.0, 2.0]  # integers have no derivative


@pytest.mark.parametrize(
    ("function", "types", "message"),
    [
        (lambda x: x[:1], X, r"returned float32\[1\], and result_types has float32\[2\]"),
        (lambda x: x + 0.5, ((2,), slope.int64), r"float32\[2\], and result_types has int64\[2\]"),
        (lambda x: (x, x), X, r"returned 2 arrays, and result_types has 1"),
        (np.sin, 3, r"result_types holds a int \(3\)"),
    ],
)
def test_results_must_be_as_declared(backend, function, types, message):
    with pytest.raises(ArgumentError, match=message):
        slope.jit(lambda x: slope.pure_callback(function, types, x))(X)


# --- operators of others


class Counted(Operator):
    """Its operand, and a note that it was there."""

    name = "counted"
    effect = True
    differentiable = False

    def infer(self, x):
        return x

    def host(self, x):
        CALLS.append(x.tolist())
        return x


class Silent(Operator):
    """An effect that no backend knows how to have."""

    name = "silent"
    multiple = True
    effect = True
    differentiable = False

    def infer(self, x):
        return ()


CALLS: list[float] = []
counted, silent = Counted(), Silent()


def test_effects_of_others_are_kept(backend):
    def f(x):
        counted(x)  # nobody reads it
        y = counted(x) + counted(x)  # equal, and still two
        total, _ = slope.scan(lambda c, each: (c + counted(x) * each, None), y, slope.ones(2))
        return total

    CALLS.clear()
    assert slope.jit(f)(slope.tensor(2.0)).item() == 8.0
    assert CALLS == [2.0] * 5
    assert counted(slope.tensor(1.0)).item() == 1.0


def test_batches_of_operators_without_a_rule_are_computed_one_by_one(backend):
    CALLS.clear()
    batched = slope.vmap(lambda x, y: counted(x) + y, in_dims=(1, None))
    x = slope.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert slope.jit(batched)(x, X).tolist() == [[2.0, 6.5], [3.0, 7.5], [4.0, 8.5]]
    assert CALLS == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    twice = slope.vmap(slope.vmap(counted))
    assert twice(x).tolist() == x.tolist()
    assert sorted(CALLS[3:]) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_effects_that_a_backend_cannot_have_are_refused(backend):
    def f(x):
        silent(x)
        return x

    with pytest.raises(
        UnsupportedOperatorError, match=r"'silent', .*test_host_functions.py:\d+ in f"
    ):
        slope.jit(f)(X)
