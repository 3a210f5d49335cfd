"""Tensors cut at places, written into copies, brought to more dimensions, and combined."""

import itertools

import numpy as np
import pytest

import slope
from slope import errors, testing

pytestmark = pytest.mark.usefixtures("on_numpy")


def x(*shape, dtype="float32"):
    return slope.arange(int(np.prod(shape))).reshape(shape).to(dtype)


@pytest.mark.parametrize("cuts", [1, 3, 7, [1, 3], (3, 1), [-1], [0, 100], []])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_tensor_split_cuts_as_numpy_does(cuts, dim):
    given = x(4, 5)
    pieces = given.tensor_split(cuts, dim)
    wanted = np.array_split(given.numpy(), cuts, dim)
    assert [piece.tolist() for piece in pieces] == [piece.tolist() for piece in wanted]
    assert [piece.shape for piece in pieces] == [piece.shape for piece in wanted]


def test_splits_by_name_and_places_in_tensors():
    given = x(2, 4, 6)
    for name in ("vsplit", "hsplit", "dsplit"):
        for cuts in (2, [1, 2]):
            pieces = getattr(given, name)(cuts)
            wanted = getattr(np, name)(given.numpy(), cuts)
            assert [each.tolist() for each in pieces] == [each.tolist() for each in wanted]
    assert [each.tolist() for each in x(4).hsplit(2)] == [[0, 1], [2, 3]]
    assert [len(each) for each in slope.tensor_split(x(5), slope.tensor([1, 3]))] == [1, 2, 2]
    assert [len(each) for each in slope.tensor_split(x(5), slope.tensor(2))] == [3, 2]


def test_scatters_replace_what_indexing_gives():
    given, wanted = x(3, 4), np.arange(12.0).reshape(3, 4)
    wanted[:, -1] = 7
    assert given.select_scatter(slope.full((3,), 7.0), 1, -1).tolist() == wanted.tolist()
    wanted[1:9:2] = 8
    changed = slope.select_scatter(given, slope.full((3,), 7.0), 1, 3)
    changed = changed.slice_scatter(slope.full((1, 4), 8.0), 0, 1, 9, 2)
    assert changed.tolist() == wanted.tolist()
    assert given.slice_scatter(slope.zeros(3, 4)).sum().item() == 0


@pytest.mark.parametrize("offset", [0, 1, -2, 9])
def test_diagonal_scatter(offset):
    given = x(3, 2, 4)
    src = -slope.ones(*given.diagonal(offset, 2, 0).shape)
    changed = given.diagonal_scatter(src, offset, 2, 0)
    assert changed.diagonal(offset, 2, 0).tolist() == src.tolist()
    assert changed.sum().item() == (given.sum() + src.sum() - given.diagonal(offset, 2, 0).sum())


def test_more_dimensions():
    for function, reference in (
        (slope.atleast_1d, np.atleast_1d),
        (slope.atleast_2d, np.atleast_2d),
        (slope.atleast_3d, np.atleast_3d),
    ):
        for shape in ((), (3,), (0,), (2, 3), (2, 3, 4, 5)):
            assert function(x(*shape)).shape == reference(np.zeros(shape)).shape
    one, two = slope.atleast_2d([x(3), slope.tensor(True)])
    assert (one.shape, two.tolist()) == ((1, 3), [[True]])
    assert slope.atleast_1d() == ()


def test_broadcast_tensors_keeps_dtypes():
    first, second, third = slope.broadcast_tensors(x(2, 1), slope.arange(3), slope.tensor(True))
    assert first.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert second.tolist() == [[0, 1, 2]] * 2
    assert second.dtype is slope.int64
    assert third.tolist() == [[True] * 3] * 2


def test_block_diag_and_diagflat():
    blocks = slope.block_diag(slope.tensor([[1, 2]]), slope.tensor(3), slope.tensor([4, 5]))
    assert blocks.tolist() == [[1, 2, 0, 0, 0], [0, 0, 3, 0, 0], [0, 0, 0, 4, 5]]
    assert blocks.dtype is slope.int64
    assert slope.block_diag(slope.tensor([True]), slope.ones(1)).tolist() == [[1, 0], [0, 1]]
    assert slope.block_diag(slope.ones(1, 0), slope.ones(1, 1)).tolist() == [[0], [1]]
    assert slope.block_diag().shape == (1, 0)
    for offset in (-2, 0, 1):
        assert x(2, 2).diagflat(offset).tolist() == np.diagflat([[0, 1], [2, 3]], offset).tolist()


def test_combinations_and_products():
    given = slope.tensor([3, 1, 4, 1])
    for r in (1, 2, 3, 5):
        for again, reference in (
            (False, itertools.combinations),
            (True, itertools.combinations_with_replacement),
        ):
            found = slope.combinations(given, r, again)
            wanted = np.array(list(reference([3, 1, 4, 1], r))).reshape(-1, r)
            assert found.shape == wanted.shape
            assert found.tolist() == wanted.tolist()
    assert slope.combinations(given, 0).shape == (0,)
    grid = slope.cartesian_prod(slope.tensor([1, 2]), slope.tensor([3, 4, 5]))
    assert grid.tolist() == [list(each) for each in itertools.product([1, 2], [3, 4, 5])]
    assert slope.cartesian_prod(given).tolist() == [3, 1, 4, 1]


def test_unravel_index():
    places = slope.tensor([[0, 5], [11, 7]])
    for ours, wanted in zip(
        slope.unravel_index(places, (2, 3, 2)),
        np.unravel_index(places.numpy(), (2, 3, 2)),
        strict=True,
    ):
        assert ours.tolist() == wanted.tolist()
    (only,) = slope.unravel_index(places.to(slope.uint8), 12)
    assert (only.tolist(), only.dtype) == (places.tolist(), slope.int64)


def random(*shape):
    return np.random.default_rng(0).normal(size=shape)


SMOOTH = {
    "tensor_split": (lambda x: x.tensor_split(2, 1)[0] ** 2, random(2, 5)),
    "select_scatter": (lambda x, y: x.select_scatter(y, 1, 0) ** 2, random(2, 3), random(2)),
    "slice_scatter": (lambda x, y: x.slice_scatter(y, 1, 1) ** 2, random(2, 3), random(2, 2)),
    "diagonal_scatter": (lambda x, y: x.diagonal_scatter(y, 1) ** 2, random(3, 3), random(2)),
    "block_diag": (lambda x, y: slope.block_diag(x, y) ** 2, random(2, 3), random(2)),
    "combinations": (lambda x: slope.combinations(x).prod(1), random(4)),
    "cartesian_prod": (lambda x, y: slope.cartesian_prod(x, y).prod(1), random(3), random(2)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    function, *args = SMOOTH[name]
    testing.check_grads(function, args, order=1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: x(3).tensor_split(0), "tensor_split: indices_or_sections=0 must be at least 1"),
        (lambda: x(3).tensor_split(x(1)), r"indices_or_sections is float32\[1\], and must be an"),
        (lambda: x(3).hsplit(2), "hsplit: dimension 0 of .* no multiple of 2; slope.tensor_split"),
        (lambda: x(3).vsplit(3), "vsplit: takes a tensor of at least 2 dimensions"),
        (lambda: x(3, 3).dsplit(3), "dsplit: takes a tensor of at least 3 dimensions"),
        (lambda: x(2, 3).select_scatter(x(3), 1, 0), r"must have the shape \(2,\) of what"),
        (lambda: x(2).select_scatter(x(), 0, 2), "select_scatter: index=2 is out of range"),
        (lambda: x(2).slice_scatter(x(1), 0, step=0), "slice_scatter: step=0 must be at least 1"),
        (lambda: x(2, 3).diagonal_scatter(x(3)), r"src is float32\[3\], and must have the shape"),
        (lambda: slope.block_diag(x(1, 1, 1)), "block_diag: takes matrices, and got"),
        (lambda: slope.cartesian_prod(x(1, 1)), "cartesian_prod: takes vectors, and got"),
        (slope.cartesian_prod, "cartesian_prod: takes at least one vector"),
        (lambda: slope.combinations(x(1, 1)), "combinations: takes a vector, and got"),
        (lambda: slope.combinations(x(99), 50), "choices of 50: too many"),
        (lambda: slope.broadcast_tensors(x(2), x(3)), "broadcast_tensors: shapes"),
        (lambda: slope.unravel_index(x(2), 3), "unravel_index: indices must be integers"),
        (lambda: slope.unravel_index(slope.arange(2), None), "shape=None must be an int"),
    ],
)
def test_messages(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make()
