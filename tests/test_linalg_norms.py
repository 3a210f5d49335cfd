"""Norms and products of matrices, against NumPy's, and their derivatives against differences."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, linalg, testing

GENERATOR = np.random.default_rng(0)
X: Any = GENERATOR.standard_normal((2, 4, 3))
SQUARE: Any = GENERATOR.standard_normal((2, 3, 3))
INF = math.inf
FRO: Any = "fro"  # of a type that is refused
HALF: Any = 0.5


@pytest.fixture(autouse=True)
def _on_numpy():
    with slope.use_backend("numpy"):
        yield


@pytest.mark.parametrize("order", [2, 1, 0, INF, -INF, 3, 0.5, -1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_vector_norms(order, keepdim):
    for dim in (0, -1):
        got = linalg.vector_norm(slope.tensor(X), order, dim, keepdim)
        np.testing.assert_allclose(got.numpy(), np.linalg.norm(X, order, dim, keepdim))
    several = linalg.vector_norm(slope.tensor(X), order, (0, 2))
    rows = X.transpose(1, 0, 2).reshape(4, 6)
    np.testing.assert_allclose(several.numpy(), np.linalg.norm(rows, order, 1))
    every = linalg.vector_norm(slope.tensor(X), order, keepdim=keepdim)
    assert every.shape == ((1, 1, 1) if keepdim else ())
    np.testing.assert_allclose(every.item(), np.linalg.norm(X.ravel(), order))


@pytest.mark.parametrize("order", ["fro", 1, -1, INF, -INF])
@pytest.mark.parametrize("dim", [(-2, -1), (2, 0), (0, 1)])
def test_matrix_norms(order, dim):
    for keepdim in (False, True):
        wanted = np.linalg.norm(X, order, dim, keepdim)
        got = linalg.matrix_norm(slope.tensor(X), order, dim, keepdim)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got.numpy(), wanted)
        either = linalg.norm(slope.tensor(X), order, dim, keepdim)
        np.testing.assert_allclose(either.numpy(), wanted)


def test_norms_of_few_elements_and_dtypes():
    assert linalg.matrix_norm(slope.zeros(0, 3), INF).item() == 0
    assert linalg.vector_norm(slope.zeros(0)).item() == 0
    whole = slope.tensor([[3, 4], [0, 0]])
    assert linalg.norm(whole).tolist() == linalg.matrix_norm(whole).tolist() == 5
    assert linalg.norm(whole, 1, 1).tolist() == [7, 0]
    assert linalg.norm(whole[0], 1).item() == 7
    assert linalg.vector_norm(whole, dtype=slope.float64).dtype is slope.float64
    assert linalg.matrix_norm(whole, dtype=slope.float64).dtype is slope.float64


def test_products():
    shapes: list[list[tuple[int, ...]]] = [
        [(2, 3), (3, 4)], [(3,), (3, 4), (4, 2)], [(10, 30), (30, 5), (5, 20), (20,)],
        [(3,), (3, 3), (3,)], [(2, 0), (0, 3), (3, 1)],
    ]  # fmt: skip
    for chain in shapes:
        given = [GENERATOR.standard_normal(shape) for shape in chain]
        got = linalg.multi_dot([slope.tensor(each) for each in given])
        wanted = np.linalg.multi_dot(given) if len(given) > 2 else given[0] @ given[1]
        np.testing.assert_allclose(got.numpy(), wanted)
    got = linalg.vecdot(slope.tensor(X), slope.tensor(X[0]), dim=1)
    np.testing.assert_allclose(got.numpy(), (X * X[0]).sum(1))
    assert linalg.vecdot(slope.tensor(3), slope.tensor(4)).item() == 12


@pytest.mark.parametrize(
    ("lengths", "made", "spared"),
    [((10, 100, 5, 50), "[10, 5]", "[100, 50]"), ((50, 5, 100, 10), "[5, 10]", "[50, 100]")],
)
def test_multi_dot_takes_the_cheapest_order(lengths, made, spared):
    chain = [slope.ones(*pair) for pair in itertools.pairwise(lengths)]
    program = str(slope.jit(linalg.multi_dot).lower(chain).program)
    assert f"float32{made}" in program
    assert f"float32{spared}" not in program


@pytest.mark.parametrize("n", [0, 1, 2, 5, -1, -3])
def test_matrix_powers(n):
    got = linalg.matrix_power(slope.tensor(SQUARE), n)
    np.testing.assert_allclose(got.numpy(), np.linalg.matrix_power(SQUARE, n))


def test_powers_of_whole_matrices_stay_whole():
    for n, wanted in ((0, [[1, 0], [0, 1]]), (3, [[1, 3], [0, 1]])):
        got = linalg.matrix_power(slope.tensor([[1, 1], [0, 1]]), n)
        assert (got.tolist(), got.dtype) == (wanted, slope.int64)


def test_logarithms_of_determinants():
    given = np.stack([np.diag([2.0, 3.0]), np.diag([-2.0, 3.0]), np.zeros((2, 2))])
    got = linalg.logdet(slope.tensor(given))
    np.testing.assert_allclose(got.numpy(), [math.log(6), math.nan, -INF])


def test_names_that_pytorch_has_beside_linalg_too():
    for name in ("cholesky", "det", "logdet", "matrix_exp", "matrix_power", "slogdet"):
        assert getattr(slope, name) is getattr(linalg, name)
        assert name in dir(slope)


SMOOTH = {
    "vector_norm": (lambda x: linalg.vector_norm(x, 3, 1), X),
    "matrix_norm": (linalg.matrix_norm, X),
    "matrix_norm 1": (lambda x: linalg.matrix_norm(x, 1), X),
    "multi_dot": (lambda x, y: linalg.multi_dot([x, y, x]), X[0], SQUARE[0] @ X[0].T),
    "vecdot": (linalg.vecdot, X, X[0]),
    "matrix_power": (lambda x: linalg.matrix_power(x, 3), SQUARE),
    "matrix_power of the inverse": (lambda x: linalg.matrix_power(x, -2), SQUARE),
    "logdet": (lambda x: linalg.logdet(x @ x.mT), SQUARE),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    function, *args = SMOOTH[name]
    testing.check_grads(function, args, order=1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda x: linalg.matrix_norm(x, 3), "matrix_norm: ord=3 must be 'fro', 'nuc', 2, -2, 1"),
        (lambda x: linalg.matrix_norm(x.half(), 2), "matrix_norm: x is float16.* need float32"),
        (lambda x: linalg.matrix_norm(x, dim=(0,)), "dim=.* must be two dimensions, and x is"),
        (lambda x: linalg.matrix_norm(x, dim=(0, -2)), "names one dimension of .* twice"),
        (lambda x: linalg.norm(x.unsqueeze(0), 1), "ord=1 needs one dimension or two, and gets 3"),
        (lambda x: linalg.norm(x[0], "fro"), "linalg.norm: ord must be a number"),
        (lambda x: linalg.vector_norm(x, FRO), "linalg.vector_norm: ord must be a number"),
        (lambda x: linalg.multi_dot([x]), "takes a list or tuple of at least two tensors"),
        (lambda x: linalg.multi_dot([x, x]), "linalg.multi_dot: .* and .* do not fit"),
        (lambda x: linalg.multi_dot([x, x[0], x]), r"tensors\[1\] is float32\[3\], no matrix"),
        (lambda x: linalg.matrix_power(x, 2), r"linalg.matrix_power: x must be \(..., n, n\)"),
        (lambda x: linalg.matrix_power(x, HALF), "linalg.matrix_power: n must be an int"),
        (linalg.logdet, r"linalg.logdet: x must be \(..., n, n\)"),
        (lambda x: linalg.vecdot(x, x, dim=2), "linalg.vecdot: dim=2 is out of range"),
    ],
)
def test_messages(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make(slope.ones(2, 3))
