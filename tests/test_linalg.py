"""Factors of matrices and equations, against NumPy's, and their derivatives against differences."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, linalg

GENERATOR = np.random.default_rng(0)
X: Any = GENERATOR.standard_normal((2, 4, 4))
S: Any = X @ X.transpose(0, 2, 1) + np.eye(4)
Y: Any = GENERATOR.standard_normal((2, 4, 3))


@pytest.fixture(autouse=True)
def _on_numpy():
    with slope.use_backend("numpy"):
        yield


CASES: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "cholesky": (linalg.cholesky, np.linalg.cholesky, (S,)),
    "cholesky upper": (
        lambda x: linalg.cholesky(x, upper=True),
        lambda x: np.linalg.cholesky(x).swapaxes(-1, -2),
        (S,),
    ),
    "lower": (
        lambda x, y: linalg.solve_triangular(x, y, upper=False),
        lambda x, y: np.linalg.solve(np.tril(x), y),
        (S, Y),
    ),
    "upper, unit, from the right": (
        lambda x, y: linalg.solve_triangular(x, y.mT, upper=True, left=False, unitriangular=True),
        lambda x, y: np.swapaxes(
            np.linalg.solve(np.swapaxes(np.triu(x, 1) + np.eye(4), -1, -2), y), -1, -2
        ),
        (X, Y),
    ),
    "cholesky_solve": (
        lambda x, y: linalg.cholesky_solve(y, linalg.cholesky(x)),
        np.linalg.solve,
        (S, Y),
    ),
    "solve": (linalg.solve, np.linalg.solve, (X, Y)),
    "solve from the right": (
        lambda x, y: linalg.solve(x, y.mT, left=False),
        lambda x, y: np.linalg.solve(x.swapaxes(-1, -2), y).swapaxes(-1, -2),
        (X, Y),
    ),
    "solve one": (linalg.solve, np.linalg.solve, (X[0], Y[0, :, 0])),
    "inv": (linalg.inv, np.linalg.inv, (X,)),
    "slogdet": (lambda x: linalg.slogdet(x)[1], lambda x: np.linalg.slogdet(x)[1], (X,)),
    "det": (linalg.det, np.linalg.det, (X,)),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    function, other, arrays = CASES[name]
    tensors = [slope.tensor(each) for each in arrays]
    expected = other(*arrays)
    np.testing.assert_allclose(function(*tensors).numpy(), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        slope.jit(function)(*tensors).numpy(), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    function, _, arrays = CASES[name]
    tensors = [slope.tensor(each) for each in arrays]
    generator = np.random.default_rng(1)
    moves = [generator.standard_normal(each.shape) for each in arrays]
    if name.startswith("cholesky"):  # what is looked at is one triangle
        moves[0] = moves[0] + moves[0].swapaxes(-1, -2)
    out, tangent = slope.jvp(function, tuple(tensors), tuple(map(slope.tensor, moves)))
    weights = generator.standard_normal(out.shape)

    def at(step):
        return function(*(slope.tensor(a + step * m) for a, m in zip(arrays, moves, strict=True)))

    numeric = (at(1e-6) - at(-1e-6)).numpy() / 2e-6
    np.testing.assert_allclose(tangent.numpy(), numeric, rtol=1e-5, atol=1e-5)
    grads = slope.vjp(function, *tensors)[1](slope.tensor(weights))
    pulled = sum((g.numpy() * m).sum() for g, m in zip(grads, moves, strict=True))
    np.testing.assert_allclose(pulled, (weights * tangent.numpy()).sum(), rtol=1e-8)


def test_batches_by_vmap_and_by_broadcasting():
    x, y = slope.tensor(X), slope.tensor(Y)
    for function in (linalg.solve, lambda x, y: linalg.solve_triangular(x, y, upper=True)):
        mapped = slope.vmap(function)(x, y)
        np.testing.assert_allclose(mapped.numpy(), function(x, y).numpy(), rtol=1e-9, atol=1e-9)
        one = slope.vmap(function, in_dims=(None, 0))(x[0], y)
        np.testing.assert_allclose(one.numpy(), function(x[0], y).numpy(), rtol=1e-9, atol=1e-9)


def test_rows_are_exchanged_and_signs_follow():
    swap = slope.tensor([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(linalg.inv(swap).numpy(), swap.numpy())
    sign, size = linalg.slogdet(swap)
    assert (sign.item(), size.item()) == (-1.0, 0.0)
    sign, size = linalg.slogdet(slope.zeros(2, 2))
    assert size.item() == -np.inf
    signs, _ = linalg.slogdet(slope.tensor(X))
    np.testing.assert_array_equal(signs.numpy(), np.linalg.slogdet(X)[0])


def test_second_derivatives_of_a_logarithm_of_a_determinant():
    x = slope.tensor(S[0])
    hessian = slope.hessian(lambda x: linalg.slogdet(x)[1])(x).numpy()
    inverse = np.linalg.inv(S[0])
    np.testing.assert_allclose(hessian, -np.einsum("jk,li->ijkl", inverse, inverse), atol=1e-8)


def test_what_is_not_positive_definite_gives_nan():
    assert np.isnan(linalg.cholesky(-slope.eye(3)).numpy()).any()


@pytest.mark.parametrize("backend", ["numpy", "onnxruntime", "iree"])
def test_a_gaussian_process_learns_its_length(backend):
    x = np.linspace(0, 1, 8)[:, None].astype(np.float32)
    y = np.sin(6 * x[:, 0])

    def loss(length, x, y):
        apart = (x - x.mT) ** 2
        kernel = slope.exp(-0.5 * apart / slope.exp(2 * length)) + 0.1 * slope.eye(8)
        factor = linalg.cholesky(kernel)
        white = linalg.solve_triangular(factor, y.unsqueeze(-1), upper=False)
        other = y @ linalg.solve(kernel, y)
        return 0.25 * ((white**2).sum() + other) + slope.log(slope.diagonal(factor)).sum()

    def by_numpy(length):
        kernel = np.exp(-0.5 * (x - x.T) ** 2 / np.exp(2 * length)) + 0.1 * np.eye(8)
        return 0.5 * y @ np.linalg.solve(kernel, y) + 0.5 * np.linalg.slogdet(kernel)[1]

    with slope.use_backend(backend):
        step = slope.jit(slope.value_and_grad(loss))
        value, slope_of = step(slope.tensor(-1.0), slope.tensor(x), slope.tensor(y))
    assert value.item() == pytest.approx(by_numpy(-1.0), rel=1e-4)
    numeric = (by_numpy(-1.0 + 1e-4) - by_numpy(-1.0 - 1e-4)) / 2e-4
    assert slope_of.item() == pytest.approx(numeric, rel=1e-3)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (
            lambda: linalg.cholesky(slope.ones(2, 3)),
            r"linalg\.cholesky: x must be \(\.\.\., n, n\)",
        ),
        (
            lambda: linalg.solve(slope.eye(3), slope.ones(2, 2)),
            r"right side must be \(\.\.\., 3, k\)",
        ),
        (
            lambda: linalg.solve(slope.ones(2, 3, 3), slope.ones(4, 3, 1)),
            r"linalg\.solve: the batches of x .* do not fit",
        ),
    ],
)
def test_matrices_that_do_not_fit(use, told):
    with pytest.raises(errors.ShapeError, match=told):
        use()


def test_one_equation_for_each_matrix():
    got = linalg.solve(slope.tensor(X), slope.tensor(Y[:, :, 0]))
    np.testing.assert_allclose(got.numpy(), np.linalg.solve(X, Y[:, :, :1])[..., 0], rtol=1e-9)
    turned = linalg.solve(slope.tensor(X), slope.tensor(Y[:, :, 0]), left=False)
    wanted = np.linalg.solve(X.swapaxes(-1, -2), Y[:, :, :1])[..., 0]
    np.testing.assert_allclose(turned.numpy(), wanted, rtol=1e-9)


def test_as_many_inverses_as_rows():
    x = np.stack([S[0], S[1], X[0], X[1]])
    np.testing.assert_allclose(linalg.inv(slope.tensor(x)).numpy(), np.linalg.inv(x), rtol=1e-8)


def test_matrices_of_no_elements():
    for shape in ((0, 0), (2, 0, 0)):
        x = slope.zeros(*shape)
        assert linalg.det(x).tolist() == np.ones(shape[:-2]).tolist()
        assert linalg.slogdet(x)[1].tolist() == np.zeros(shape[:-2]).tolist()
        assert linalg.inv(x).shape == linalg.cholesky(x).shape == shape
        assert linalg.solve(x, slope.zeros(*shape[:-1], 3)).shape == (*shape[:-1], 3)


def test_both_triangles_share_the_derivative_of_cholesky():
    gradient = slope.grad(lambda x: linalg.cholesky(x)[1, 0])(
        slope.tensor([[4.0, 2.0], [2.0, 3.0]])
    )
    # L[1, 0] = a / sqrt(b), with a the mean of the two elements that are equal
    np.testing.assert_allclose(gradient.numpy(), [[-0.125, 0.25], [0.25, 0.0]], atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: linalg.cholesky(x)[1, 0],
        lambda x: linalg.eigvalsh(x)[0],
        lambda x: linalg.eigvalsh(x, "U")[0],
    ],
)
def test_both_triangles_share_second_derivatives(function):
    x = slope.tensor([[4.0, 2.0], [2.0, 3.0]], dtype=slope.float64)
    through = slope.hessian(lambda x: function(0.5 * (x + x.mT)))(x)  # shared by its writer
    for hessian in (slope.hessian(function)(x), slope.jacfwd(slope.grad(function))(x)):
        np.testing.assert_allclose(hessian.numpy(), through.numpy(), atol=1e-12)
    assert abs(through.numpy()[..., 0, 1]).max() > 1e-3
