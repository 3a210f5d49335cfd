"""Factors, least squares and what is made of them: against NumPy, and by their definitions."""

import math
from typing import Any

import numpy as np
import pytest

import slope
from slope import eager, errors, linalg, testing
from slope.functions import _at_once as at_once
from slope.linalg import operators

GENERATOR = np.random.default_rng(0)
SQUARE: Any = GENERATOR.standard_normal((2, 4, 4))
TALL: Any = GENERATOR.standard_normal((2, 5, 3))
WIDE: Any = TALL.swapaxes(-1, -2).copy()
SYMMETRIC: Any = SQUARE + SQUARE.swapaxes(-1, -2)
DEFINITE: Any = SQUARE @ SQUARE.swapaxes(-1, -2) + np.eye(4)
RIGHT: Any = GENERATOR.standard_normal((2, 4, 2))
LOW: Any = np.outer(np.arange(1, 6.0), np.arange(1, 4.0))  # of rank 1
SHAPES = {"square": SQUARE, "tall": TALL, "wide": WIDE, "low": LOW, "zero": np.zeros((3, 2))}


@pytest.fixture(params=["numpy", "onnxruntime"], autouse=True)
def _backend(request, monkeypatch):
    """LAPACK on NumPy; on onnxruntime what loops, files and other devices hold: expansions."""
    monkeypatch.setattr(at_once, "paused", True)  # no programs from before
    monkeypatch.setattr(eager, "_eager", {})
    monkeypatch.setattr(slope.backend("onnxruntime"), "left_to_numpy", lambda *_: False)
    with slope.use_backend(request.param):
        yield


def close(got: Any, want: Any, bound: float = 1e-9) -> None:
    np.testing.assert_allclose(got.numpy(), want, rtol=bound, atol=bound)


def turned(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_factors(shape):
    x = SHAPES[shape]
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(slope.tensor(x), mode)
        close(q @ r, x)
        close(q.mT @ q, np.broadcast_to(np.eye(q.shape[-1]), (*x.shape[:-2], *q.shape[-1:] * 2)))
        if shape not in ("low", "zero"):  # whose later columns rounding decides
            wanted = np.linalg.qr(x, mode)
            close(q, wanted[0])
            close(r, wanted[1])
    assert linalg.qr(slope.tensor(x), "r").Q.shape == (0,)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [False, True])
def test_singular_values(shape, full):
    x = SHAPES[shape]
    u, s, vh = linalg.svd(slope.tensor(x), full)
    close(s, np.linalg.svd(x, compute_uv=False))
    close(linalg.svdvals(slope.tensor(x)), s.numpy())
    count = s.shape[-1]
    close((u[..., :count] * s[..., None, :]) @ vh[..., :count, :], x)
    close(u.mT @ u, np.broadcast_to(np.eye(u.shape[-1]), (*x.shape[:-2], *u.shape[-1:] * 2)))
    close(vh @ vh.mT, np.broadcast_to(np.eye(vh.shape[-2]), (*x.shape[:-2], *vh.shape[-2:-1] * 2)))


@pytest.mark.parametrize("x", [SYMMETRIC, np.ones((3, 3)), np.zeros((5, 5)), np.eye(7), -np.eye(1)])
def test_eigenvectors(x):
    values, vectors = linalg.eigh(slope.tensor(x))
    close(values, np.linalg.eigvalsh(x))
    close((vectors * values[..., None, :]) @ vectors.mT, x)
    upper = linalg.eigvalsh(slope.tensor(np.triu(x)), "U")
    close(upper, values.numpy())
    sizes = np.abs(vectors.numpy())
    first = np.argmax(sizes >= 0.5 * sizes.max(-2, keepdims=True), -2)[..., None, :]
    assert (np.take_along_axis(vectors.numpy(), first, -2) > 0).all()


def test_larger_matrices_converge():
    x = GENERATOR.standard_normal((33, 33))
    values, vectors = linalg.eigh(slope.tensor((x + x.T).astype(np.float32)))
    close(values, np.linalg.eigvalsh(x + x.T), 5e-5)
    close(vectors.mT @ vectors, np.eye(33), 2e-5)
    graded = (np.linalg.qr(x)[0] * 0.5 ** np.arange(33)) @ np.linalg.qr(x.T)[0]
    close(linalg.svdvals(slope.tensor(graded)), 0.5 ** np.arange(33), 1e-12)


@pytest.mark.parametrize("shape", ["square", "tall", "wide"])
def test_elimination(shape):
    x = SHAPES[shape]
    p, low, up = linalg.lu(slope.tensor(x))
    close(p @ low @ up, x)
    assert np.abs(low.numpy()).max() <= 1
    both, pivots = linalg.lu_factor(slope.tensor(x))
    assert (pivots.dtype, pivots.shape) == (slope.int32, (2, min(x.shape[-2:])))
    close(slope.tril(both, -1)[..., : low.shape[-1]] + slope.eye(*low.shape[-2:]), low.numpy())


@pytest.mark.parametrize("adjoint", [False, True])
def test_equations_with_factors(adjoint):
    factors = linalg.lu_factor(slope.tensor(SQUARE))
    matrix = turned(SQUARE) if adjoint else SQUARE
    close(linalg.lu_solve(*factors, RIGHT, adjoint=adjoint), np.linalg.solve(matrix, RIGHT))
    from_right = linalg.lu_solve(*factors, turned(RIGHT), left=False, adjoint=adjoint)
    close(from_right, turned(np.linalg.solve(turned(matrix), RIGHT)))


def test_cholesky_inverse():
    low = np.linalg.cholesky(DEFINITE)
    close(linalg.cholesky_inverse(slope.tensor(low)), np.linalg.inv(DEFINITE))
    close(linalg.cholesky_inverse(slope.tensor(turned(low)), upper=True), np.linalg.inv(DEFINITE))


@pytest.mark.parametrize("shape", SHAPES)
def test_pseudo_inverses_and_ranks(shape):
    x = SHAPES[shape]
    close(linalg.pinv(slope.tensor(x)), np.linalg.pinv(x))
    assert linalg.matrix_rank(slope.tensor(x)).tolist() == np.linalg.matrix_rank(x).tolist()
    assert linalg.matrix_rank(slope.tensor(x), atol=100.0).sum().item() == 0
    close(linalg.pinv(slope.tensor(x), rtol=0.5), np.linalg.pinv(x, 0.5))


def test_least_squares():
    for x in (TALL[0], WIDE[0], LOW):
        y = GENERATOR.standard_normal((x.shape[0], 2))
        solution, residuals, rank, values = linalg.lstsq(slope.tensor(x), slope.tensor(y))
        wanted = np.linalg.lstsq(x, y)
        close(solution, wanted[0])
        assert rank.item() == wanted[2]
        close(values, wanted[3])
        if x.shape[0] > x.shape[1]:
            close(residuals, ((x @ wanted[0] - y) ** 2).sum(0))
        else:
            assert residuals.shape == (0,)
    one = linalg.lstsq(slope.tensor(TALL[0]), slope.tensor(TALL[0, :, 0]))
    close(one.solution, [1, 0, 0])
    assert one.residuals.shape == ()


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, math.inf, -math.inf, "fro", "nuc"])
def test_condition_numbers(p):
    close(linalg.cond(slope.tensor(SQUARE), p), np.linalg.cond(SQUARE, p))
    if p in (None, 2):
        close(linalg.cond(slope.tensor(TALL), p), np.linalg.cond(TALL, p))
    if p != -2:
        assert linalg.cond(slope.zeros(2, 2) + slope.tensor([1.0, 0.0]), p).item() > 1e7


def test_exponentials():
    values, vectors = np.linalg.eigh(SYMMETRIC)
    wanted = (vectors * np.exp(values)[:, None]) @ turned(vectors)
    close(linalg.matrix_exp(slope.tensor(SYMMETRIC)), wanted, 1e-8)
    turn = linalg.matrix_exp(slope.tensor([[0.0, -30.0], [30.0, 0.0]]))
    close(turn, [[math.cos(30), -math.sin(30)], [math.sin(30), math.cos(30)]], 2e-5)
    assert np.isnan(linalg.matrix_exp(slope.tensor([[math.inf, 0.0], [0.0, 1.0]])).numpy()).all()


def test_tensors_as_matrices():
    x = GENERATOR.standard_normal((6, 2, 3))
    close(linalg.tensorinv(slope.tensor(x), 1), np.linalg.tensorinv(x, 1))
    y = GENERATOR.standard_normal((2, 3))
    close(
        linalg.tensorsolve(slope.tensor(x), slope.tensor(y), (0,)),
        np.linalg.tensorsolve(x, y, (0,)),
    )
    close(linalg.vander(slope.tensor(y), N=5), np.stack([np.vander(row, 5, True) for row in y]))
    assert linalg.vander(slope.tensor([2, 3])).tolist() == [[1, 2], [1, 3]]


def test_products_of_reflections():
    tau = GENERATOR.uniform(0.1, 1, (2, 2))
    wanted = np.broadcast_to(np.eye(5), (2, 5, 5))
    for k in range(2):
        v = np.tril(TALL, -1)[..., k : k + 1] + np.eye(5)[:, k : k + 1]
        wanted = wanted @ (np.eye(5) - tau[:, k, None, None] * v @ turned(v))
    close(linalg.householder_product(slope.tensor(TALL), slope.tensor(tau)), wanted[..., :3])


@pytest.mark.parametrize("order", [2, -2, "nuc"])
@pytest.mark.parametrize("dim", [(-2, -1), (0, 2)])
def test_norms_by_singular_values(order, dim):
    for keepdim in (False, True):
        got = linalg.matrix_norm(slope.tensor(TALL), order, dim, keepdim)
        close(got, np.linalg.norm(TALL, order, dim, keepdim))
    assert linalg.matrix_norm(slope.zeros(0, 3), "nuc").item() == 0


SMOOTH = {
    "projector of qr": (lambda x: (q := linalg.qr(x).Q) @ q.mT, TALL),
    "qr wide": (lambda x: linalg.qr(x).R, WIDE),
    "svdvals": (linalg.svdvals, TALL),
    "svd": (lambda x: abs(linalg.svd(x, False).Vh), WIDE),
    "eigh": (lambda x: abs(linalg.eigh(x + x.mT).eigenvectors), SQUARE),
    "pinv": (linalg.pinv, TALL),
    "lstsq": (lambda x, y: linalg.lstsq(x, y).solution, TALL[0], TALL[0, :, :2] ** 2),
    "cond": (linalg.cond, SQUARE),
    "nuclear norm": (lambda x: linalg.matrix_norm(x, "nuc"), TALL),
    "lu": (lambda x: linalg.lu(x)[1:], TALL),
    "matrix_exp": (linalg.matrix_exp, SQUARE[0]),
    "householder_product": (linalg.householder_product, TALL, np.full((2, 3), 0.3)),
    "vander": (linalg.vander, RIGHT[0]),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    function, *args = SMOOTH[name]
    testing.check_grads(function, args, order=2 if name in ("svdvals", "eigh", "qr wide") else 1)


def test_batches():
    functions: list[Any] = [linalg.qr, linalg.eigvalsh, linalg.svdvals, linalg.pinv]
    for function in (*functions, linalg.matrix_exp):
        got, want = slope.vmap(function)(slope.tensor(DEFINITE)), function(slope.tensor(DEFINITE))
        for one, other in zip(slope.tree_leaves(got), slope.tree_leaves(want), strict=True):
            close(one, other.numpy())


def test_equal_values_have_a_derivative_but_not_their_vectors():
    eye = slope.eye(3)
    assert slope.grad(lambda x: linalg.eigvalsh(x).sum())(eye).tolist() == np.eye(3).tolist()
    assert slope.grad(lambda x: linalg.svdvals(x).sum())(eye).tolist() == np.eye(3).tolist()
    gradient = slope.grad(lambda x: linalg.eigh(x).eigenvectors[0].sum())(eye)
    assert not np.isfinite(gradient.numpy()).all()


def test_matrices_of_no_elements():
    for rows, columns in ((0, 3), (3, 0), (0, 0)):
        x = slope.zeros(rows, columns)
        assert [each.shape for each in linalg.svd(x)] == [(rows, rows), (0,), (columns, columns)]
        assert linalg.pinv(x).shape == (columns, rows)
        assert linalg.matrix_rank(x).item() == 0
        assert [each.shape for each in linalg.qr(x)] == [(rows, 0), (0, columns)]
        assert linalg.lstsq(x, slope.zeros(rows, 2)).solution.shape == (columns, 2)
    assert linalg.eigh(slope.zeros(2, 0, 0)).eigenvalues.shape == (2, 0)
    assert linalg.matrix_exp(slope.zeros(0, 0)).shape == (0, 0)


def test_nan_in_one_matrix_stays_there():
    x = DEFINITE.copy()
    x[0, 0, 0] = np.nan
    for function in (linalg.cholesky, linalg.inv, linalg.matrix_exp):
        got = function(slope.tensor(x)).numpy()
        assert np.isnan(got[0]).any()
        np.testing.assert_allclose(got[1], function(slope.tensor(DEFINITE)).numpy()[1], rtol=1e-9)
    for function in (linalg.eigvalsh, linalg.svdvals):
        got = function(slope.tensor(x)).numpy()
        assert np.isnan(got[0]).any()
        np.testing.assert_allclose(got[1], function(slope.tensor(DEFINITE)).numpy()[1], rtol=1e-9)
    negative = np.stack([-DEFINITE[0], DEFINITE[1]])
    got = linalg.cholesky(slope.tensor(negative)).numpy()
    np.testing.assert_array_equal(np.isnan(got[0]), np.tril(np.ones((4, 4), bool)))
    np.testing.assert_allclose(got[1], np.linalg.cholesky(DEFINITE[1]), rtol=1e-9)


ANY: Any = "none of them"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda x: linalg.qr(x, ANY), "linalg.qr: mode must be 'reduced', 'complete' or 'r'"),
        (lambda x: linalg.svd(x, driver=ANY), "linalg.svd: driver must be None, and is"),
        (lambda x: linalg.lstsq(x, x, driver=ANY), "linalg.lstsq: driver must be None or 'gels'"),
        (lambda x: linalg.lstsq(x, x.mT), r"linalg.lstsq: for x float32\[3, 2\] the right side"),
        (linalg.eigh, r"linalg.eigh: x must be \(..., n, n\)"),
        (lambda x: linalg.eigh(x @ x.mT, ANY), "linalg.eigh: UPLO must be 'L' or 'U'"),
        (linalg.eig, "linalg.eig: eigenvalues .* complex numbers, .* linalg.eigh"),
        (linalg.eigvals, "linalg.eigvals: .* complex numbers, .* linalg.eigvalsh"),
        (lambda x: linalg.lu(x, pivot=False), "linalg.lu: pivot=False is not offered"),
        (lambda x: linalg.svd(x.half()), "linalg.svd: x is float16.*, and factors need float32"),
        (lambda x: linalg.svd(x[0]), r"linalg.svd: x must be \(..., m, n\), and is float32\[2\]"),
        (lambda x: linalg.cond(x, 1), r"linalg.cond: x must be \(..., n, n\)"),
        (lambda x: linalg.cond(x @ x.mT, ANY), "linalg.matrix_norm: ord='none of them' must be"),
        (linalg.matrix_exp, r"linalg.matrix_exp: x must be \(..., n, n\)"),
        (linalg.tensorinv, "linalg.tensorinv: the first 2 dimensions of"),
        (lambda x: linalg.tensorsolve(x, x), "linalg.tensorsolve: x must be"),
        (lambda x: linalg.vander(x, N=0), "linalg.vander: N=0 must be at least 1"),
        (lambda x: linalg.householder_product(x.mT, x[0]), "householder_product: x must be"),
        (lambda x: linalg.pinv(x, hermitian=True), r"linalg.pinv: x must be \(..., n, n\)"),
        (lambda x: linalg.pinv(x, rtol=True), "linalg.pinv: rtol must be a number"),
        (lambda x: linalg.lu_solve(x @ x.mT, x, x), "linalg.lu_solve: pivots must be integers"),
        (
            slope.grad(lambda x: linalg.qr(x, "complete").Q.sum()),
            "linalg.qr: mode='complete' has no derivative",
        ),
        (
            slope.grad(lambda x: linalg.svd(x).U.sum()),
            "linalg.svd: full_matrices=True has no derivative",
        ),
    ],
)
def test_messages(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make(slope.ones(3, 2))


def test_whole_numbers_become_float32():
    whole = slope.tensor([[2, 1], [1, 2]])
    for function in (linalg.inv, linalg.svdvals, linalg.eigvalsh, linalg.cholesky, linalg.pinv):
        assert function(whole).dtype is slope.float32


def test_names_of_pytorch_say_where_to_look():
    x: Any = slope.eye(2)
    for use in (lambda: slope.svd, lambda: x.svd, lambda: slope.inverse, lambda: x.det):
        with pytest.raises(errors.RenamedError, match=r"use slope\.linalg\.\w+"):
            use()
    rows = slope.tensor(GENERATOR.standard_normal((3, 2, 3)))
    close(linalg.cross(rows, rows.flip(0)), np.cross(rows.numpy(), rows.numpy()[::-1]))
    assert linalg.diagonal(slope.tensor(SQUARE)).shape == (2, 4)
    assert linalg.diagonal(slope.tensor(SQUARE), offset=1, dim1=0, dim2=1).shape == (4, 2)


def test_symbolic_lengths():
    batch, n = slope.Dim("batch"), slope.Dim("n")
    program = slope.program_of(((batch, n, n), slope.float32))(
        lambda x: [operators.cholesky_factor.expand(x), operators.inverse_matrix.expand(x)]
    )
    assert {out.shape for out in program.output_types} == {(batch, n, n)}
    values = slope.program_of(((batch, 3, 3), slope.float32))(lambda x: [linalg.svdvals(x)])
    assert values.output_types[0].shape == (batch, 3)
    with pytest.raises(errors.ShapeError, match="svd_factors: rows and columns must be known"):
        slope.program_of(((n, n), slope.float32))(lambda x: [linalg.svdvals(x)])
