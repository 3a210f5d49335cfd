"""Sorting, searching, running extrema, scattering and arranging, with the numbers PyTorch gives."""

import numpy as np
import pytest

import slope
from slope import errors
from slope.plugins.selection import use_backend
from slope.testing import check_operator

NAN, INF = float("nan"), float("inf")
X = np.array([[3.0, 1.0, 2.0], [0.5, 4.0, -1.0]], np.float32)


@pytest.fixture(autouse=True)
def _numpy_backend():
    with use_backend("numpy"):
        yield


def tensor(values, dtype=None):
    array = np.asarray(values)
    return slope.tensor(array.astype(np.float32) if array.dtype == np.float64 else array, dtype)


def gradient(function, *args):
    """The derivative of the sum of squares of what a function gives."""
    many = tuple(range(len(args)))
    found = slope.grad(lambda *xs: (function(*xs) ** 2).sum(), argnums=many)(*args)
    return [each.tolist() for each in found]


@pytest.mark.parametrize(
    "name",
    [
        "sort",
        "topk",
        "max_with_indices",
        "min_with_indices",
        "cumprod",
        "cummax",
        "cummin",
        "dynamic_slice",
        "dynamic_update_slice",
    ],
)
def test_operator(name):
    assert check_operator(getattr(slope.ops, name)) > 4


# --- order


def test_sort_is_stable_with_nan_last():
    x = tensor([2.0, NAN, 1.0, 2.0, -INF, NAN, INF])
    values, indices = slope.sort(x)
    np.testing.assert_array_equal(values.numpy(), [-INF, 1, 2, 2, INF, NAN, NAN])
    assert indices.tolist() == [4, 2, 0, 3, 6, 1, 5]
    assert x.argsort(descending=True).tolist() == [1, 5, 6, 0, 3, 2, 4]
    assert slope.topk(x, 3, largest=False).indices.tolist() == [4, 2, 0]
    assert slope.sort(tensor(3)).values.tolist() == 3
    assert slope.sort(slope.zeros(2, 0), 1).indices.shape == (2, 0)


def test_gradients_follow_the_elements():
    (found,) = gradient(lambda x: slope.sort(x, 1, descending=True).values * tensor([1, 2, 3]), X)
    assert found == [[6, 18, 16], [4, 8, -18]]
    (found,) = gradient(lambda x: x.topk(1, dim=0).values, X)
    assert found == [[6, 0, 4], [0, 8, 0]]
    (found,) = gradient(lambda x: x.median(1).values, X)
    assert found == [[0, 0, 4], [1, 0, 0]]
    (found,) = gradient(lambda x: x.cummax(1).values, X)
    assert found == [[18, 0, 0], [1, 16, 0]]
    (found,) = gradient(lambda x: x.cumprod(0), tensor([2.0, 0.0, 3.0]))
    assert found == [4, 0, 0]
    (found,) = slope.grad(lambda x: x.cumprod(0)[2], argnums=(0,))(tensor([2.0, 0.0, 3.0]))
    assert found.tolist() == [0, 6, 0]


def test_of_equal_extrema_the_first_gets_the_derivative():
    x = tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    assert gradient(lambda x: x.max(1).values, x) == [[[0, 6, 0], [4, 0, 0]]]
    assert gradient(slope.vmap(lambda row: row.min(0).values), x) == [[[2, 0, 0], [4, 0, 0]]]
    assert gradient(lambda x: x[:1].amax(1), x) == [[[0, 3, 3], [0, 0, 0]]]
    values, indices = x.max(0, keepdim=True)
    assert (values.tolist(), indices.tolist()) == ([[2, 3, 3]], [[1, 0, 0]])


def test_median_is_the_lower_one():
    x = tensor([[1.0, 2.0, 3.0, 4.0], [1.0, NAN, 0.0, NAN]])
    values, indices = slope.median(x, 1)
    np.testing.assert_array_equal(values.numpy(), [2, NAN])
    assert indices.tolist() == [1, 1]
    assert np.isnan(slope.median(x).item())
    assert slope.median(x[:1], keepdim=True).tolist() == [[2]]
    assert slope.median(tensor([5, 1, 3])).item() == 3
    with pytest.raises(errors.ShapeError, match=r"median: .* is empty, and nothing has no middle"):
        slope.median(slope.zeros(0))


def test_quantile():
    x = tensor([0.0, 1.0, 2.0, 10.0])
    assert slope.quantile(x, 0.5).item() == 1.5
    q = tensor([0.0, 0.5, 0.9, 1.0], slope.float32)
    for interpolation, wanted in {
        "linear": [0, 1.5, 7.6, 10], "lower": [0, 1, 2, 10], "higher": [0, 2, 10, 10],
        "nearest": [0, 2, 10, 10], "midpoint": [0, 1.5, 6, 10],
    }.items():  # fmt: skip
        found = slope.quantile(x, q, interpolation=interpolation)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    assert slope.quantile(X, q, dim=1, keepdim=True).shape == (4, 2, 1)
    assert np.isnan(slope.quantile(tensor([1.0, NAN]), 0.0).item())
    assert slope.quantile(tensor([-INF, 4.0]), 0.25).item() == -INF
    with pytest.raises(errors.ArgumentError, match="q=2 must be from 0 to 1"):
        slope.quantile(x, 2)
    with pytest.raises(errors.DTypeError, match="not floating-point"):
        slope.quantile(tensor([1]), 0.5)


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(right):
    side = "right" if right else "left"
    rows = np.array([[0.0, 1.0, 1.0, 3.0, NAN], [-2.0, 0.0, 2.0, INF, NAN]], np.float32)
    wanted = np.array([[1, 0.5, NAN, INF], [-3, 2, INF, NAN]], np.float32)
    found = slope.searchsorted(tensor(rows), tensor(wanted), right=right)
    each = [np.searchsorted(r, w, side) for r, w in zip(rows, wanted, strict=True)]
    np.testing.assert_array_equal(found.numpy(), each)
    many = np.arange(-1, 12).reshape(13, 1)
    row = np.array([0, 2, 2, 2, 5, 9])
    np.testing.assert_array_equal(
        slope.bucketize(tensor(many), tensor(row), right=right).numpy(),
        np.searchsorted(row, many, side),
    )
    assert slope.searchsorted(slope.zeros(0), 1.0, side=side).item() == 0
    with pytest.raises(errors.ShapeError, match="equal leading dimensions"):
        slope.searchsorted(tensor(rows), slope.zeros(3, 4))


def test_running_extrema_take_the_last_of_equal_ones():
    values, indices = slope.cummax(tensor([1.0, 1.0, 0.0, NAN, 2.0, NAN]), 0)
    np.testing.assert_array_equal(values.numpy(), [1, 1, 1, NAN, NAN, NAN])
    assert indices.tolist() == [0, 1, 1, 3, 3, 5]
    assert slope.cummin(tensor([3, 3, 1, 2]), 0).indices.tolist() == [0, 1, 2, 2]
    assert slope.cumprod(tensor([2, 3, 4], slope.int8), 0).tolist() == [2, 6, 24]
    assert slope.cumprod(tensor([2, 3, 4], slope.int8), 0).dtype is slope.int64
    x = tensor([-INF, 0.0, 1e4, 1e4])
    found = slope.logcumsumexp(x, 0).numpy()
    np.testing.assert_allclose(found, [-INF, 0, 1e4, 1e4 + np.log(2)], rtol=1e-6)
    assert slope.cummax(tensor([False, True]), 0).values.dtype is slope.bool_


def test_topk_refuses():
    with pytest.raises(errors.ShapeError, match=r"topk: k=4 is out of range .* 0 to 3"):
        slope.topk(X, 4)
    with pytest.raises(errors.ArgumentError, match="must be an int"):
        slope.topk(X, 1.5)


# --- writing at places


def test_scatter_family():
    x, index = slope.zeros(3, 3), tensor([[0, 1, 2], [0, 0, 2]])
    src = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert x.scatter(0, index, src).tolist() == [[4, 5, 0], [0, 2, 0], [0, 0, 6]]
    assert x.scatter_add(0, index, src).tolist() == [[5, 5, 0], [0, 2, 0], [0, 0, 9]]
    assert x.scatter(1, tensor([[-1]]), 7.0).tolist() == [[0, 0, 7], [0, 0, 0], [0, 0, 0]]
    assert x.scatter(1, tensor([[-1]]), value=7.0)[0].tolist() == [0, 0, 7]
    for updates in ({}, {"src": src, "value": 7.0}):
        with pytest.raises(errors.ArgumentError, match="give either src"):
            x.scatter(0, index, **updates)
    ones = slope.ones(3, 3)
    assert ones.scatter(0, index, src, reduce="multiply")[0].tolist() == [4, 5, 1]
    for reduce, with_self, without in (
        ("sum", [6, 6, 1], [5, 5, 1]), ("prod", [4, 5, 1], [4, 5, 1]),
        ("mean", [2, 3, 1], [2.5, 5, 1]), ("amax", [4, 5, 1], [4, 5, 1]),
        ("amin", [1, 1, 1], [1, 5, 1]),
    ):  # fmt: skip
        assert ones.scatter_reduce(0, index, src, reduce)[0].tolist() == with_self
        found = ones.scatter_reduce(0, index, src, reduce, include_self=False)
        assert found[0].tolist() == without
    found = gradient(lambda x, src: x.scatter_add(0, index, src), ones, src)
    assert found[1] == [[12, 6, 20], [12, 12, 20]]


def test_whole_slices():
    x = tensor(np.arange(6.0).reshape(3, 2))
    rows = tensor([[10.0, 20.0], [30.0, 40.0]])
    index = tensor([2, -1])
    assert x.index_add(0, index, rows, alpha=2).tolist() == [[0, 1], [2, 3], [84, 125]]
    assert x.index_copy(0, index, rows)[2].tolist() == [30, 40]
    assert x.index_fill(1, tensor([1]), 9.0).tolist() == [[0, 9], [2, 9], [4, 9]]
    assert x.index_put((tensor([0, 0]), tensor([1, 1])), 1.0, accumulate=True)[0, 1].item() == 3
    assert x.take(tensor([[5, -6]], slope.int32)).tolist() == [[5, 0]]
    assert x.at[1:, 0].get().tolist() == [2, 4]
    with pytest.raises(errors.IndexingError, match="index 3 is out of range"):
        x.index_add(0, tensor([3]), rows[:1])
    with pytest.raises(errors.ShapeError, match=r"index_copy: source must be of shape \(2, 2\)"):
        x.index_copy(0, index, rows[:1])


def test_traced_places_are_clamped_and_negative_ones_wrap():
    x = tensor([1.0, 2.0, 3.0])
    found = slope.jit(lambda x, i: x.scatter_add(0, i, slope.ones(3)))(x, tensor([-1, 7, -9]))
    assert found.tolist() == [2, 2, 5]


def test_coordinates():
    x = tensor(np.arange(12.0).reshape(2, 3, 2))
    places = tensor([[0, 1], [1, -1]], slope.int32)
    assert slope.gather_nd(x, places).tolist() == [[2, 3], [10, 11]]
    assert slope.gather_nd(x, tensor([[2], [0]]), batch_dims=1).tolist() == [[4, 5], [6, 7]]
    new = tensor([[1.0, 1.0], [2.0, 2.0]])
    assert slope.scatter_nd(x, places, new)[1, 2].tolist() == [2, 2]
    assert slope.scatter_nd(x, places, new, reduction="add")[1, 2].tolist() == [12, 13]
    with pytest.raises(errors.ShapeError, match="at most 3 coordinates"):
        slope.gather_nd(x, tensor([0, 0, 0, 0]))
    with pytest.raises(errors.ShapeError, match=r"must be of shape \(2, 2\)"):
        slope.scatter_nd(x, places, new[0])


def test_windows():
    cache, row = slope.zeros(2, 4), slope.ones(2, 1)
    write = slope.jit(lambda cache, row, at: slope.dynamic_update_slice(cache, row, (0, at)))
    assert write(cache, row, 2).tolist() == [[0, 0, 1, 0]] * 2
    assert write(cache, row, tensor(99)).tolist() == [[0, 0, 0, 1]] * 2
    assert cache.tolist() == [[0] * 4] * 2
    x = tensor([1.0, 2.0, 3.0, 4.0])
    assert slope.dynamic_slice(x, (tensor(-5, slope.int8),), (2,)).tolist() == [1, 2]
    assert slope.dynamic_slice(x, 3, sizes=(2,)).tolist() == [3, 4]
    assert slope.jit(lambda x, i: x * slope.narrow(x, 0, i, 1))(x, 2).tolist() == [3, 6, 9, 12]
    assert gradient(lambda x: slope.dynamic_slice(x, (1,), (2,)), x) == [[0, 4, 6, 0]]
    with pytest.raises(errors.ShapeError, match=r"a window of shape \(5,\) does not fit"):
        slope.dynamic_slice(x, (0,), (5,))
    with pytest.raises(errors.ShapeError, match="a start and a size for each dimension"):
        slope.dynamic_slice(x, (0, 0), (1,))
    with pytest.raises(errors.DTypeError, match=r"cast it with .to\(slope.float32\)"):
        slope.dynamic_update_slice(x, slope.ones(1, dtype=slope.float64), (0,))


def test_masks():
    x = tensor(X)
    assert x.masked_fill(x > 2, 0).tolist() == [[0, 1, 2], [0.5, 0, -1]]
    assert x.masked_select(tensor([True, False, True])).tolist() == [3, 2, 0.5, -1]
    assert x[x > 2].tolist() == [3, 4]
    assert gradient(lambda x: x.masked_fill(x > 2, 0), x) == [[[0, 2, 4], [1, 0, -2]]]
    with pytest.raises(errors.DTypeError, match="mask must be of bools"):
        x.masked_fill(x, 0)
    for traced in (lambda x: x[x > 2], lambda x: x.masked_select(x > 2)):
        with pytest.raises(errors.ConcretizationError, match=r"slope.where\(mask, x"):
            slope.jit(traced)(x)


def test_what_only_known_values_can_answer():
    x = tensor([[3, 0, 3], [1, 3, 0]])
    assert x.nonzero().tolist() == [[0, 0], [0, 2], [1, 0], [1, 1]]
    assert [each.tolist() for each in slope.nonzero(x, as_tuple=True)] == [
        [0, 0, 1, 1],
        [0, 2, 0, 1],
    ]
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert values.tolist() == [0, 1, 3]
    assert inverse.tolist() == [[2, 0, 2], [1, 2, 0]]
    assert counts.tolist() == [2, 1, 3]
    assert slope.unique(tensor([[1, 0, 1], [1, 0, 1]]), dim=1).tolist() == [[0, 1], [0, 1]]
    assert slope.bincount(tensor([1, 3, 1]), minlength=5).tolist() == [0, 2, 0, 1, 0]
    weights = tensor([0.5, 1.0, 2.0])
    assert slope.bincount(tensor([1, 2, 1]), weights).tolist() == [0, 2.5, 1]
    assert slope.jit(lambda x: slope.bincount(x, minlength=2))(tensor([0, 1, 1, 9])).tolist() == [
        1,
        2,
    ]
    for function in (slope.nonzero, slope.unique, slope.argwhere):
        with pytest.raises(errors.ConcretizationError, match="depends on the values"):
            slope.jit(function)(x)
    with pytest.raises(errors.ConcretizationError, match="give minlength="):
        slope.jit(slope.bincount)(tensor([1]))
    with pytest.raises(errors.ConcretizationError, match="give num_classes"):
        slope.jit(slope.one_hot)(tensor([1]))
    assert slope.one_hot(tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_embedding_leaves_the_padding_alone():
    weight = tensor([[1.0], [2.0], [3.0]])
    places = tensor([0, 1, 1, 2], slope.uint8)
    assert slope.embedding(places, weight, 2).tolist() == [[1], [2], [2], [3]]
    assert gradient(lambda w: slope.embedding(places, w, -1), weight) == [[[2], [8], [0]]]
    with pytest.raises(errors.IndexingError, match="padding_idx=3 is out of range"):
        slope.embedding(places, weight, 3)


# --- arrangement


def test_diagonals():
    x = tensor([1, 2])
    assert slope.diag(x, -1).tolist() == [[0, 0, 0], [1, 0, 0], [0, 2, 0]]
    assert slope.diag(slope.diag(x, 1), 1).tolist() == [1, 2]
    rows = tensor(np.arange(6.0).reshape(3, 2))
    assert slope.diag_embed(rows, 1, 0, 2).shape == (3, 3, 3)
    np.testing.assert_array_equal(
        slope.diagonal(slope.diag_embed(rows, 1, 0, 2), 1, 0, 2).numpy(), rows.numpy()
    )
    assert gradient(slope.diag, tensor([1.0, 3.0])) == [[2, 6]]
    with pytest.raises(errors.ShapeError, match="takes a vector or a matrix"):
        slope.diag(slope.zeros(2, 2, 2))


def test_turns_and_grids():
    x = np.arange(6).reshape(2, 3)
    for k in range(-4, 5):
        np.testing.assert_array_equal(slope.rot90(tensor(x), k).numpy(), np.rot90(x, k))
    assert slope.fliplr(tensor(x)).tolist() == x[:, ::-1].tolist()
    assert slope.flipud(tensor(x)).tolist() == x[::-1].tolist()
    assert slope.swapaxes(tensor(x), 0, -1).tolist() == x.T.tolist()
    vectors = np.arange(2), np.arange(3), np.arange(4)
    for indexing in ("ij", "xy"):
        found = slope.meshgrid(*map(tensor, vectors), indexing=indexing)
        for one, wanted in zip(found, np.meshgrid(*vectors, indexing=indexing), strict=True):
            np.testing.assert_array_equal(one.numpy(), wanted)


@pytest.mark.parametrize(
    ("mode", "name"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_padding_with_own_elements(mode, name):
    x = np.arange(12.0).reshape(3, 4)
    found = slope.pad(tensor(x), (2, 3, 1, 2), mode=mode)
    np.testing.assert_array_equal(found.numpy(), np.pad(x, ((1, 2), (2, 3)), name))
    cut = slope.pad(tensor(x), (-1, 1), mode=mode)
    np.testing.assert_array_equal(cut.numpy(), np.pad(x[:, 1:], ((0, 0), (0, 1)), name))
    if mode != "replicate":
        with pytest.raises(errors.ShapeError, match="adds at most"):
            slope.pad(tensor(x), (5, 0), mode=mode)
    (found,) = gradient(lambda x: slope.pad(x, (1, 1), mode=mode), tensor([1.0, 2.0]))
    wanted = {"reflect": [4, 8], "replicate": [4, 8], "circular": [4, 8]}
    assert found == wanted[mode]


@pytest.mark.parametrize(("mode", "name"), [("reflect", "reflect"), ("replicate", "edge")])
def test_what_padding_repeats_may_be_cut_off(mode, name):
    x = np.arange(12.0).reshape(3, 4)
    found = slope.pad(tensor(x), (3, -4, -1, 2), mode=mode)
    wanted = np.pad(x, ((0, 2), (3, 0)), name)[1:, :-4]
    np.testing.assert_array_equal(found.numpy(), wanted)
    with pytest.raises(errors.ShapeError, match="cuts off more than dimension 1"):
        slope.pad(tensor(x), (3, -8), mode=mode)


V = np.array([3, 1])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: slope.sort(X, 2), "ShapeError", "sort: dim=2 is out of range"),
        (lambda: slope.cumprod(X, "x"), "ArgumentError", "cumprod: dim='x' must be an int"),
        (lambda: slope.topk([1, 2], 1), "ArgumentError", "topk: x is a list"),
        (lambda: slope.topk(X, None), "ArgumentError", "topk: k must be an int, not a NoneType"),
        (lambda: slope.searchsorted(V, 1, side="up"), "ArgumentError", "side='up' must be"),
        (lambda: slope.gather_nd(X, X), "DTypeError", "indices must be of an integer dtype"),
        (lambda: slope.gather_nd(X, V, -1), "ShapeError", "batch_dims=-1 is out of range"),
        (lambda: slope.scatter(X, 0, V, 1.0), "ShapeError", "scatter: index .* as many dimensions"),
        (lambda: slope.scatter(V, 0, V % 2, NAN), "DTypeError", "src=nan does not go into int64"),
        (lambda: slope.scatter_reduce(X, 0, V, X, "add"), "ArgumentError", "reduce='add' must be"),
        (lambda: slope.index_add(X, 0, X, X), "ShapeError", "index must be a vector"),
        (lambda: slope.index_put(X, 1, 1.0), "ArgumentError", "indices must be a tuple"),
        (lambda: slope.dynamic_slice(X, (0, 0), "x"), "ArgumentError", "sizes takes ints"),
        (lambda: slope.dynamic_slice(X, (0, 0.5), (1, 1)), "ArgumentError", r"starts\[1\] must be"),
        (lambda: slope.dynamic_slice(X, (0, 0)), "ArgumentError", "sizes is missing"),
        (lambda: slope.bincount(X), "DTypeError", "bincount: x must be a vector of integers"),
        (lambda: slope.bincount(-V), "IndexingError", "takes no negative elements"),
        (lambda: slope.take(X, 6), "IndexingError", "index 6 is out of range"),
        (lambda: slope.diag(V, None), "ArgumentError", "diagonal must be an int"),
        (lambda: slope.diag_embed(V, 0, 1, 1), "ShapeError", "are the same dimension"),
        (lambda: slope.rot90(X, 1, 0), "ArgumentError", "must be two dimensions"),
        (lambda: slope.meshgrid(X), "ShapeError", "meshgrid: takes vectors"),
        (lambda: slope.meshgrid(V, indexing="a"), "ArgumentError", "must be 'ij' or 'xy'"),
        (lambda: slope.pad(X, 1), "ArgumentError", "must hold two widths"),
        (lambda: slope.pad(X, (1, 1), "mirror"), "ArgumentError", "mode='mirror' is none of"),
        (lambda: slope.pad(X, (-2, -2)), "ShapeError", "cuts off more than dimension 1"),
        (lambda: slope.one_hot(V, -2), "ArgumentError", "must not be negative"),
    ],
)
def test_bad_input(call, kind, message):
    with pytest.raises(getattr(errors, kind), match=message):
        call()
