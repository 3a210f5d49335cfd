"""Indexing and writing against NumPy, eagerly and traced."""

import itertools

import numpy as np
import pytest

import slope.eager  # noqa: F401  fills the executor
from slope import errors
from slope import functions as fn
from slope.core.program import evaluate, trace_program
from slope.core.types import TensorType
from slope.dtypes import int64
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.transforms.vmap import vmap_flat

pytestmark = pytest.mark.usefixtures("on_numpy")

I, J = np.array([2, 0, -1]), np.array([[1, 0], [2, -3]])  # noqa: E741  # an index
X = np.arange(60.0, dtype=np.float32).reshape(3, 4, 5)
N = None
E = ...
INDICES = [
    0,
    -1,
    slice(None),
    slice(1, 3),
    slice(None, None, -1),
    slice(4, 0, -2),
    slice(-2, None),
    slice(5, 2),
    slice(0, 99),
    N,
    E,
    (0, 1),
    (0, 1, 2),
    (0, E),
    (E, 0),
    (E, N),
    (N, 0, N, slice(1, 2)),
    (slice(None), 2),
    (slice(None, None, 2), slice(None, None, -3), 1),
    (),
    I,
    J,
    I.tolist(),
    (I, I),
    (I, slice(None), I),
    (slice(None), I),
    (slice(None), I, I),
    (0, I),
    (I, 0),
    (0, slice(None), I),
    (slice(None), 0, I),
    (I, N, I),
    (N, I, I),
    (slice(1), I, N, I),
    (E, I),
    (J, I[:2]),
    (slice(None), I, slice(None, None, -2)),
    True,
    False,
    np.array(True),
    (E, True),
    (0, True),
    (True, slice(None), I),
    (slice(None), False),
    (slice(None), I, True, N),
    (slice(0, 2), E, J),
    (I, slice(1, 3), 0),
    (I, 0, J[:, :1]),
    (np.int64(1), E),
    (0, N, I),
    (I[:0],),
    (slice(None), slice(None), I[:1]),
    (X[:, :, 0] > 20),
    (X > 30),
    (E, X[0, 0] > 2),
    [],
]


def named(index):
    return str(index).replace("\n", "")


@pytest.mark.parametrize("index", INDICES, ids=named)
def test_reading(index):
    key = np.asarray(index, int) if isinstance(index, list) else index
    actual = fn.tensor(X)[index]
    assert actual.shape == X[key].shape
    np.testing.assert_array_equal(actual.numpy(), X[key])


@pytest.mark.parametrize(
    ("index", "mode"),
    list(itertools.product(INDICES, ["set", "add", "mul", "min", "max"])),
    ids=named,
)
def test_writing(index, mode):
    key = np.asarray(index, int) if isinstance(index, list) else index
    value = np.random.default_rng(0).uniform(-50, 50, X[key].shape).astype(np.float32)
    expected = X.copy()
    if mode == "set":
        expected[key] = value
    else:
        {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}[mode].at(
            expected, key, value
        )
    actual = getattr(fn.tensor(X).at[index], mode)(value)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "index", [0, (slice(None), I), (I, slice(None, None, -2), 1), (slice(1, 3), E, J), N], ids=named
)
def test_traced_reading_its_gradient_and_batching(index):
    x = fn.tensor(X)
    (out,), linear, _ = linearize_flat(lambda x: [x[index]], [x], [True])
    np.testing.assert_array_equal(out.numpy(), X[index])
    weights = np.random.default_rng(0).normal(size=out.shape).astype(np.float32)
    from slope.core.operator import Linear

    (gradient,) = backward(linear, [Linear(x.type)], [fn.tensor(weights)])
    expected = np.zeros_like(X)
    np.add.at(expected, index, weights)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6)
    batch = fn.stack([x, x * 2], 1)
    (outs,), (at,) = vmap_flat(lambda x: [x[index]], [batch], [1], 2)
    np.testing.assert_array_equal(np.moveaxis(outs.numpy(), at, 0)[1], 2 * X[index])


def test_traced_indices():
    program = trace_program(
        lambda i, x: [x[i], x[:, i], x[i, 1], x.at[i].set(0.0), fn.narrow(x, 2, i, 2)],
        [TensorType((), int64), fn.tensor(X).type],
    ).check()
    for i in (0, 2, -1):
        a, b, c, d, e = evaluate(program, [fn.tensor(i), fn.tensor(X)])
        np.testing.assert_array_equal(a.numpy(), X[i])
        np.testing.assert_array_equal(b.numpy(), X[:, i])
        np.testing.assert_array_equal(c.numpy(), X[i, 1])
        expected = X.copy()
        expected[i] = 0
        np.testing.assert_array_equal(d.numpy(), expected)
        if i >= 0:
            np.testing.assert_array_equal(e.numpy(), X[:, :, i : i + 2])
    np.testing.assert_array_equal(
        evaluate(program, [fn.tensor(99), fn.tensor(X)])[0].numpy(), X[-1]
    )  # clamped


def test_named_kinds():
    x = fn.tensor(X)
    np.testing.assert_array_equal(fn.index_select(x, 1, I).numpy(), X[:, I])
    index = np.argsort(-X, 1)
    np.testing.assert_array_equal(
        fn.take_along_dim(x, index, 1).numpy(), np.take_along_axis(X, index, 1)
    )
    np.testing.assert_array_equal(
        fn.take_along_dim(x, index[:1, :2, :1], 1).numpy(),
        np.take_along_axis(X, index[:1, :2, :1], 1),
    )
    np.testing.assert_array_equal(fn.take_along_dim(x, np.array([3, 1])).numpy(), [3, 1])
    np.testing.assert_array_equal(
        fn.gather(x, 2, index[:2, :3]).numpy(), np.take_along_axis(X[:2, :3], index[:2, :3], 2)
    )
    assert fn.one_hot(fn.tensor([0, 2, 5]), 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_array_equal(fn.embedding(J % 3, X[:, :, 0]).numpy(), X[:, :, 0][J % 3])


def test_writing_broadcasts_and_casts():
    x = fn.zeros(2, 3, dtype="int32")
    assert x.at[0].set(2.0).tolist() == [[2, 2, 2], [0, 0, 0]]
    assert x.at[:, 1].add(fn.tensor([1, 2], dtype="int8")).tolist() == [[0, 1, 0], [0, 2, 0]]
    assert x.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (x > 0).at[0].set(True).tolist() == [[True] * 3, [False] * 3]


def traced(function, *types):
    return lambda: trace_program(lambda *args: [function(*args)], types)


BAD = {
    "range": (
        lambda: fn.tensor(X)[0, 4],
        errors.IndexingError,
        r"index 4 is out of range for dimension 1 of length 4",
    ),
    "first": (
        lambda: fn.tensor(X)[-4],
        errors.IndexingError,
        r"index -4 is out of range for dimension 0 of length 3",
    ),
    "array": (
        lambda: fn.tensor(X)[[0, 3]],
        errors.IndexingError,
        r"index 3 is out of range for dimension 0",
    ),
    "tensor": (
        lambda: fn.tensor(X)[fn.tensor([0, -4])],
        errors.IndexingError,
        r"index -4 is out of range",
    ),
    "many": (lambda: fn.tensor(X)[0, 0, 0, 0], errors.IndexingError, "4 indices are too many"),
    "dots": (lambda: fn.tensor(X)[..., ...], errors.IndexingError, "2"),
    "float": (lambda: fn.tensor(X)[1.5], errors.IndexingError, "a float"),
    "float tensor": (lambda: fn.tensor(X)[fn.ones(2)], errors.IndexingError, r"float32\[2\]"),
    "a list of slices": (
        lambda: fn.tensor(X)[[slice(None), [1]]],
        errors.IndexingError,
        "an index of several dimensions is a tuple",
    ),
    "step": (lambda: fn.tensor(X)[::0], errors.IndexingError, "step"),
    "bound": (lambda: fn.tensor(X)["a":], errors.IndexingError, "'a'"),
    "mask": (
        traced(lambda x: x[x > 0], fn.tensor(X).type),
        errors.ConcretizationError,
        r"slope.where\(mask, x, y\)",
    ),
    "traced bound": (
        traced(lambda i, x: x[i:], TensorType((), int64), fn.tensor(X).type),
        errors.ConcretizationError,
        "slope.narrow",
    ),
    "assignment": (
        lambda: fn.tensor(X).__setitem__(0, 1),
        errors.ArgumentError,
        r"x.at\[index\].set\(value\)",
    ),
    "value shape": (
        lambda: fn.tensor(X).at[0].set(fn.ones(3)),
        errors.ShapeError,
        r"x.at\[...\].set: .*\(3,\)",
    ),
    "value larger": (
        lambda: fn.tensor(X).at[0, 0, 0].set(fn.ones(3)),
        errors.ShapeError,
        r"x.at\[...\].set: .*\(3,\)",
    ),
    "value dtype": (
        lambda: fn.zeros(3, dtype="int64").at[0].add(fn.ones(())),
        errors.DTypeError,
        r"float32\[\] does not go into int64\[3\]",
    ),
    "value number": (lambda: fn.zeros(3, dtype="int64").at[0].add(0.5), errors.DTypeError, "0.5"),
    "gather": (
        lambda: fn.gather(fn.tensor(X), 0, fn.tensor([1])),
        errors.ShapeError,
        "gather: index",
    ),
    "gather dtype": (lambda: fn.gather(fn.ones(3), 0, fn.ones(2)), errors.DTypeError, "integer"),
    "take": (
        lambda: fn.take_along_dim(fn.ones(3), fn.tensor([5]), 0),
        errors.IndexingError,
        "index 5",
    ),
    "one_hot": (lambda: fn.one_hot(fn.ones(3), 2), errors.DTypeError, "one_hot"),
    "embedding": (
        lambda: fn.embedding(fn.tensor([0]), fn.ones(3)),
        errors.ShapeError,
        "count, width",
    ),
    "index_select": (
        lambda: fn.index_select(fn.ones(3), 0, fn.zeros(1, 1, dtype="int64")),
        errors.ShapeError,
        "vector",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()
