"""Products, joins, selections, statistics and margin losses: values, gradients, messages."""

# ruff: noqa: E501  # tables

import math

import numpy as np
import pytest

import slope
from slope import errors, testing

pytestmark = pytest.mark.usefixtures("on_numpy")

NAN, INF = math.nan, math.inf
X = [[1.0, 2.0, 4.0], [3.0, 0.0, -1.0]]
RNG = np.random.default_rng(0)


def x():
    return slope.tensor(X)


def t(*values):
    return slope.tensor(list(values))


VALUES = {
    "addmm": (lambda: slope.addmm(t(1.0, 2.0), x(), x().T, alpha=2), [[43, 0], [-1, 22]]),
    "addmm beta": (lambda: slope.addmm(t(NAN, 2.0), x(), x().T, beta=0), [[21, -1], [-1, 10]]),
    "addmm whole": (lambda: t(1).addmm(t([2]), t([3]), beta=2, alpha=4), [[26]]),
    "addmv": (lambda: slope.addmv(t(1.0, 2.0), x(), t(1.0, 0.0, 1.0), beta=0.5), [5.5, 3]),
    "addbmm": (lambda: slope.addbmm(0.0, t(X, X), t(X, X).mT), [[42, -2], [-2, 20]]),
    "baddbmm": (lambda: slope.baddbmm(1.0, t(X), t(X).mT), [[[22, 0], [0, 11]]]),
    "vdot": (lambda: slope.vdot(t(1, 2), t(3, 4)), 11),
    "inner": (lambda: slope.inner(x(), t(1.0, 1.0, 1.0)), [7, 2]),
    "inner number": (lambda: slope.inner(t(1, 2), 3), [3, 6]),
    "kron": (lambda: slope.kron(t([1, 2]), t(1, -1)), [[1, -1, 2, -2]]),
    "trace": (lambda: slope.trace(x()), 1),
    "cross": (lambda: slope.cross(x()[0], x()[1]), [-2, 13, -6]),
    "cross dim": (lambda: slope.cross(x(), t([0.0, 0.0, 1.0]), dim=-1), [[2, -1, 0], [0, -3, 0]]),
    "bilinear": (lambda: slope.bilinear(x(), t([1.0]), t([[1.0], [2.0], [3.0]]), t(1.0)), [[18], [1]]),
    "diff": (lambda: slope.diff(x()), [[1, 2], [-3, -1]]),
    "diff twice": (lambda: slope.diff(t(1, 4, 9, 16), 2), [2, 2]),
    "diff of bools": (lambda: slope.diff(t(True, True, False)), [False, True]),
    "diff joined": (lambda: slope.diff(t(1, 4), prepend=t(0), append=t(9)), [1, 3, 5]),
    "fmax": (lambda: slope.fmax(t(1.0, NAN, 3.0, NAN), t(2.0, 5.0, NAN, NAN)), [2, 5, 3, NAN]),
    "fmin": (lambda: slope.fmin(t(1.0, NAN, 3.0, NAN), t(2.0, 5.0, NAN, NAN)), [1, 5, 3, NAN]),
    "isin": (lambda: slope.isin(t(1, 5, 2), t(2, 1, 7)), [True, False, True]),
    "isin invert": (lambda: slope.isin(t(1.0, NAN), t(NAN, 1.0), invert=True), [False, True]),
    "isin many": (lambda: slope.isin(t(-1, 6, 7, 999), slope.arange(100) * 3), [False, True, False, False]),
    "repeat_interleave": (lambda: t(1, 2).repeat_interleave(2), [1, 1, 2, 2]),
    "repeat_interleave dim": (
        lambda: slope.repeat_interleave(t([1, 2], [3, 4]), t(0, 2), dim=0),
        [[3, 4], [3, 4]],
    ),
    "hstack": (lambda: slope.hstack([t(1, 2), t(3)]), [1, 2, 3]),
    "hstack rows": (lambda: slope.hstack([x(), x()[:, :1]]), [[1, 2, 4, 1], [3, 0, -1, 3]]),
    "vstack": (lambda: slope.vstack([t(1, 2), t([3, 4])]), [[1, 2], [3, 4]]),
    "dstack": (lambda: slope.dstack([t(1, 2), t(3, 4)]), [[[1, 3], [2, 4]]]),
    "column_stack": (lambda: slope.column_stack([t(1, 2), t([3, 4], [5, 6])]), [[1, 3, 4], [2, 5, 6]]),
    "tril_indices": (lambda: slope.tril_indices(2, 3, 0), [[0, 1, 1], [0, 0, 1]]),
    "triu_indices": (lambda: slope.triu_indices(2, 3, 1), [[0, 0, 1], [1, 2, 2]]),
    "logspace": (lambda: slope.logspace(-1, 2, 4), [0.1, 1, 10, 100]),
    "logspace whole": (lambda: slope.logspace(0, 3, 4, base=2, dtype=slope.int64), [1, 2, 4, 8]),
    "trapezoid": (lambda: slope.trapezoid(x(), dx=2.0), [9, 2]),
    "trapezoid places": (lambda: slope.trapezoid(x(), t(0.0, 3.0), dim=0), [6, 3, 4.5]),
    "cdist": (lambda: slope.cdist(t([0.0, 0.0]), t([3.0, 4.0], [0.0, 0.0])), [[5, 0]]),
    "cdist 1": (lambda: slope.cdist(t([0.0, 0.0]), t([3.0, 4.0]), p=1), [[7]]),
    "cdist inf": (lambda: slope.cdist(t([0.0, 0.0]), t([3.0, 4.0]), p=INF), [[4]]),
    "cdist near": (lambda: slope.cdist(t([1000.0]), t([1000.0625]), p=2), [[0.0625]]),
    "cov": (lambda: slope.cov(t([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])), [[1, -1], [-1, 1]]),
    "cov of one": (lambda: slope.cov(t(1.0, 2.0, 3.0), correction=0), 2 / 3),
    "cov weighted": (lambda: slope.cov(t(1.0, 2.0), fweights=t(1, 3)), 0.25),
    "cov shares": (lambda: slope.cov(t(1.0, 3.0), aweights=t(1.0, 1.0)), 2),
    "corrcoef": (lambda: slope.corrcoef(t([1.0, 2.0, 3.0], [6.0, 4.0, 2.0])), [[1, -1], [-1, 1]]),
    "nanmedian": (lambda: slope.nanmedian(t(NAN, 3.0, 1.0, 2.0, 7.0)), 2),
    "nanmedian dim": (lambda: slope.nanmedian(t([NAN, 3.0], [NAN, NAN]), 1).values, [3, NAN]),
    "nanmedian place": (lambda: slope.nanmedian(t([NAN, 3.0, 1.0]), 1).indices, [2]),
    "unique_consecutive": (lambda: slope.unique_consecutive(t(1, 1, 2, 1)), [1, 2, 1]),
    "unique_consecutive counts": (lambda: t(1, 1, 2, 1).unique_consecutive(False, True)[1], [2, 1, 1]),
    "unique_consecutive inverse": (
        lambda: slope.unique_consecutive(t([1, 1], [2, 2]), True)[1],
        [[0, 0], [1, 1]],
    ),
    "unique_consecutive dim": (lambda: slope.unique_consecutive(t([1, 1, 2]), dim=1), [[1, 2]]),
    "masked_scatter": (lambda: x().masked_scatter(x() > 1.5, t(7.0, 8.0, 9.0)), [[1, 7, 8], [9, 0, -1]]),
    "pairwise_distance": (lambda: slope.pairwise_distance(x(), t(1.0, 2.0, 0.0), eps=0.0), [4, 3]),
    "gaussian_nll_loss": (
        lambda: slope.gaussian_nll_loss(t(1.0, 2.0), t(2.0, 2.0), t(1.0, 4.0), reduction="none"),
        [0.5, math.log(2)],
    ),
    "gaussian_nll_loss full": (
        lambda: slope.gaussian_nll_loss(t([0.0, 1.0]), t([0.0, 1.0]), t(0.0), full=True, eps=1.0),
        0.9189385,
    ),
    "margin_ranking_loss": (
        lambda: slope.margin_ranking_loss(t(1.0, 2.0), t(3.0, 0.0), t(1, 1), 0.5),
        1.25,
    ),
    "hinge_embedding_loss": (lambda: slope.hinge_embedding_loss(t(0.25, 0.5), t(1, -1)), 0.375),
    "multi_margin_loss": (lambda: slope.multi_margin_loss(x(), t(2, 0)), 0),
    "multi_margin_loss 2": (
        lambda: slope.multi_margin_loss(t([0.5, 0.0, 1.0]), t(0), 2, weight=t(2.0, 1.0, 1.0)),
        (1.5**2 + 0.5**2) * 2 / 3,
    ),
    "local_response_norm": (
        lambda: slope.local_response_norm(t([[1.0], [2.0], [3.0]]), 2, alpha=2.0, beta=1.0),
        [[[1 / 2], [2 / 6], [3 / 14]]],
    ),
    "channel_shuffle": (
        lambda: slope.channel_shuffle(slope.arange(6).reshape(1, 6, 1), 2).flatten(),
        [0, 3, 1, 4, 2, 5],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    function, expected = VALUES[name]
    for got in (function(), function()):  # the second call is remembered
        assert got.shape == np.shape(expected)
        assert (got.dtype.kind == "b") == (np.asarray(expected).dtype.kind == "b")
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6, atol=1e-7)


def a(*shape):
    return RNG.normal(size=shape)


SMOOTH = {
    "addmm": (lambda x, y, z: slope.addmm(x, y, z, beta=0.5, alpha=3.0), a(4), a(3, 2), a(2, 4)),
    "addbmm": (slope.addbmm, a(3, 4), a(2, 3, 2), a(2, 2, 4)),
    "baddbmm": (slope.baddbmm, a(3, 4), a(2, 3, 2), a(2, 2, 4)),
    "kron": (slope.kron, a(2, 3), a(2)),
    "inner": (slope.inner, a(2, 3), a(3)),
    "cross": (lambda x, y: slope.cross(x, y, dim=1), a(2, 3), a(1, 3)),
    "bilinear": (slope.bilinear, a(2, 3), a(2, 2), a(2, 3, 2), a(2)),
    "diff and trace": (lambda x: slope.diff(x, 1, 0) * slope.trace(x), a(3, 3)),
    "fmax": (lambda x, y: slope.fmax(x, y) * slope.fmin(x, y), a(4), a(4)),
    "trapezoid": (slope.trapezoid, a(2, 4), a(4)),
    "cdist": (slope.cdist, a(2, 3), a(4, 3)),
    "cdist 1": (lambda x, y: slope.cdist(x, y, 1.0), a(2, 3), a(4, 3)),
    "cdist inf": (lambda x, y: slope.cdist(x, y, INF), a(2, 3), a(4, 3)),
    "cov": (slope.cov, a(2, 4)),
    "cov weighted": (lambda x, w: slope.cov(x, aweights=w), a(2, 4), np.abs(a(4)) + 1),
    "corrcoef": (lambda x: slope.corrcoef(x)[0, 1], a(2, 4)),
    "nanmedian": (lambda x: slope.nanmedian(x, 1).values ** 2, a(2, 5)),
    "repeat_interleave": (lambda x: slope.repeat_interleave(x, 2, 1) ** 2, a(2, 2)),
    "masked_scatter": (lambda x, s: slope.masked_scatter(x, x > 0, s) ** 2, a(2, 3), a(6)),
    "pairwise_distance": (slope.pairwise_distance, a(3, 4), a(3, 4)),
    "gaussian_nll_loss": (slope.gaussian_nll_loss, a(3, 2), a(3, 2), np.abs(a(3, 2)) + 0.5),
    "margin_ranking_loss": (lambda x, y: slope.margin_ranking_loss(x, y, t(1, -1, 1)), a(3), a(3)),
    "hinge_embedding_loss": (lambda x: slope.hinge_embedding_loss(x, t(1, -1, -1)), a(3)),
    "multi_margin_loss": (lambda x: slope.multi_margin_loss(x, t(0, 2), 2), a(2, 3)),
    "local_response_norm": (lambda x: slope.local_response_norm(x, 3, 0.5), a(1, 4, 2)),
    "channel_shuffle": (lambda x: slope.channel_shuffle(x, 2) ** 2, a(1, 4, 2)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    function, *args = SMOOTH[name]
    testing.check_grads(function, args, order=1)


def test_gradients_at_edges():
    same = t([1.0, 2.0])
    assert slope.grad(lambda x: slope.cdist(x, same).sum())(same).tolist() == [[0, 0]]
    first, second = slope.grad(slope.fmax, argnums=(0, 1))(t(1.0)[0], t(1.0)[0])
    assert (first.item(), second.item()) == (1, 0)
    of_var = slope.grad(lambda v: slope.gaussian_nll_loss(t(0.0), t(0.0), v, eps=0.5))(t(0.1))
    assert of_var.tolist() == [1.0]  # of the least variance, which counts instead
    once = slope.jit(lambda x, n: slope.repeat_interleave(x, n, output_size=3))
    assert once(t(5, 6), t(1, 2)).tolist() == [5, 6, 6]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: slope.addmm(1.0, t(1.0), x()), "addmm: mat1 must have 2 dimensions, but is "),
        (lambda: slope.addmm(1.0, x(), x()), r"addmm: mat1 float32\[2, 3\] and mat2 .* do not fit"),
        (lambda: slope.addmv(x(), x(), x()[0]), r"addmv: shapes \(2, 3\) and \(2,\) do not"),
        (lambda: slope.addmv(x().T, x(), x()[0]), r"addmv: x .* product's shape \(2,\)"),
        (lambda: slope.addmv(1.0, x(), x()[0], beta="a"), "addmv: beta must be a number"),
        (lambda: slope.inner(x(), t(1.0)), "inner: the last dimensions of"),
        (lambda: slope.trace(t(1)), "trace: takes a matrix"),
        (lambda: slope.cross(t(1, 2), t(1, 2)), r"cross: \(2,\) has no dimension of length 3"),
        (lambda: slope.cross(x(), x(), 0), "cross: dimension 0 of shape .* the length 3"),
        (lambda: slope.bilinear(x(), x(), x()), "bilinear: for x1 .* the weight must be"),
        (lambda: slope.diff(t(1)[0]), "diff: takes a tensor with dimensions"),
        (lambda: slope.hstack(t(1)), "hstack: takes a list or tuple of tensors, and got Tensor"),
        (lambda: slope.vstack([]), "vstack: takes at least one tensor"),
        (lambda: slope.dstack([x(), t(1.0)]), "dstack: cat: along dim=2"),
        (lambda: t(1).repeat_interleave(-1), "repeat_interleave: repeats=-1 must be at least 0"),
        (lambda: t(1, 2).repeat_interleave(t(1, 2, 3)), "one for each of 2 slices"),
        (lambda: t(1, 2).repeat_interleave(t(1, 2), output_size=4), "sum of repeats, which is 3"),
        (lambda: slope.jit(t(1, 2).repeat_interleave)(t(1, 2)), "give output_size, their sum"),
        (lambda: slope.jit(slope.unique_consecutive)(t(1)), "mask of known shape"),
        (lambda: x().masked_scatter(x() > 0, t(1.0)), "masked_scatter: source is .* 4 times"),
        (lambda: x().masked_scatter(x() > 0, t(1)), "their dtypes must be equal"),
        (lambda: slope.trapezoid(x(), t(1.0)), "trapezoid: dimension -1 of y .* as many places"),
        (lambda: slope.cdist(x(), t([1.0])), "cdist: x1 is .* one length"),
        (lambda: slope.cdist(x(), x(), -1.0), r"cdist: p=-1.0 must be at least 0"),
        (lambda: slope.cov(t(X)), "cov: takes at most 2 dimensions"),
        (lambda: slope.cov(x(), fweights=t(1.0)), "fweights must be of an integer dtype"),
        (lambda: slope.cov(x(), fweights=t(1)), r"cov: fweights must have shape \(3,\)"),
        (lambda: slope.gaussian_nll_loss(x(), x(), t(1.0, 2.0, 3.0, 4.0)), r"shapes \(4,\) and"),
        (
            lambda: slope.gaussian_nll_loss(slope.ones(3), slope.ones(3), x()),
            "does not broadcast to the shape of x",
        ),
        (lambda: slope.margin_ranking_loss(x(), x(), t(1)), "equally many dimensions"),
        (lambda: slope.multi_margin_loss(x(), t(0)), "multi_margin_loss: takes x"),
        (lambda: slope.multi_margin_loss(x(), t(0, 1), 3), "multi_margin_loss: p=3 must be 1 or 2"),
        (lambda: slope.channel_shuffle(t(X), 3), "channel_shuffle: groups=3 needs x"),
        (lambda: slope.logspace(0, 1, -1), "logspace: steps=-1 must be at least 0"),
    ],
)
def test_messages(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make()


def test_unfold_gives_the_windows_along_a_dimension():
    x = np.arange(24.0).reshape(2, 3, 4)
    tensor = slope.tensor(x)
    windows = np.lib.stride_tricks.sliding_window_view(x, 2, 2)
    np.testing.assert_array_equal(tensor.unfold(2, 2, 1).numpy(), windows)
    np.testing.assert_array_equal(tensor.unfold(-1, 2, 2).numpy(), windows[:, :, ::2])
    np.testing.assert_array_equal(
        tensor.unfold(1, 3, 1).numpy(), np.lib.stride_tricks.sliding_window_view(x, 3, 1)
    )
    assert slope.tensor(5.0).unfold(0, 1, 1).tolist() == [5.0]
    counts = slope.grad(lambda x: x.unfold(0, 3, 1).sum())(slope.ones(5))
    assert counts.tolist() == [1.0, 2.0, 3.0, 2.0, 1.0]
    with pytest.raises(slope.errors.ShapeError, match="a window of 5 does not fit into dimension"):
        tensor.unfold(2, 5, 1)
    with pytest.raises(slope.errors.ArgumentError, match="step=0 must be at least 1"):
        tensor.unfold(2, 2, 0)


def test_vectors_of_no_elements_go_with_every_shape_in_cat():
    nothing, x = slope.zeros(0), slope.ones(2, 3)
    assert slope.cat([nothing, x, nothing], 1).shape == (2, 3)
    assert slope.cat([nothing, x, x], -1).shape == (2, 6)
    assert slope.cat([nothing, slope.arange(2)]).dtype is slope.float32
    assert slope.cat([nothing, nothing]).shape == (0,)


def test_differences_taken_no_times_leave_x_alone():
    x = slope.ones(2, 3)
    assert slope.diff(x, 0, prepend=x, append=x).shape == (2, 3)


def test_logsumexp_of_nothing():
    assert slope.logsumexp(slope.zeros(0, 2), 0).tolist() == [-np.inf, -np.inf]
    assert slope.logsumexp(slope.zeros(2, 0), 0, keepdim=True).shape == (1, 0)


def test_functions_of_bools():
    x = slope.tensor([True, False])
    assert slope.outer(x, slope.tensor([True, True])).tolist() == [[True, True], [False, False]]
    assert slope.sign(x).tolist() == [True, False]
    squares = slope.square(x)
    assert (squares.dtype, squares.tolist()) == (slope.int64, [1, 0])
    assert np.isnan(slope.sign(slope.tensor(np.nan)).item())
