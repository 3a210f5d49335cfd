"""How vmap takes in_dims, out_dims and axis_size: as torch.func and JAX do."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import slope
from slope import nn
from slope.errors import ArgumentError, ShapeError, TreeError

X = slope.tensor(np.arange(12.0).reshape(3, 4))


class Pair(NamedTuple):
    u: Any
    v: Any


@pytest.fixture(autouse=True)
def _numpy():
    with slope.use_backend("numpy"):
        yield


@pytest.mark.parametrize("out_dims", [(1,), [1], -1, np.int64(1)])
def test_one_result_takes_one_dimension_however_it_is_written(out_dims):
    doubled = slope.vmap(lambda row: row * 2, out_dims=out_dims)(X)
    assert doubled.tolist() == (X.numpy().T * 2).tolist()


@pytest.mark.parametrize("in_dims", [(1,), [-1], np.int64(1), -1])
def test_one_argument_takes_one_dimension_however_it_is_written(in_dims):
    assert slope.vmap(slope.sum, in_dims=in_dims)(X).tolist() == X.numpy().sum(0).tolist()


def test_dimensions_are_a_prefix_of_any_pytree():
    pair = Pair(X, slope.ones(4))
    assert slope.vmap(lambda p: p.u @ p.v, in_dims=(Pair(0, None),))(pair).shape == (3,)
    model = nn.Linear(4, 2)
    stacked = slope.tree_map(lambda leaf: slope.stack([leaf] * 3, -1), model)
    each = slope.tree_map(lambda _: -1, model)
    applied = slope.vmap(lambda m, x: m(x), in_dims=(each, 0))(stacked, X)
    np.testing.assert_allclose(applied.numpy(), model(X).numpy(), rtol=1e-6)
    back = slope.vmap(lambda m, _: m, in_dims=(each, 0), out_dims=each)(stacked, X)
    assert back.weight.tolist() == stacked.weight.tolist()


def test_axis_size_says_how_many_examples_there_are():
    assert slope.vmap(lambda: slope.ones(2), axis_size=3)().shape == (3, 2)
    drawn = slope.vmap(lambda: slope.randn(2), axis_size=3, randomness="different")()
    assert drawn.shape == (3, 2)
    assert len(set(drawn.numpy().ravel().tolist())) == 6
    assert slope.vmap(slope.sum, axis_size=3)(X).shape == (3,)
    with pytest.raises(ShapeError, match=r"differ in length from axis_size=5: 3 \(dimension 0 of"):
        slope.vmap(slope.sum, axis_size=5)(X)
    with pytest.raises(ArgumentError, match="axis_size must be an int of at least 0, not -1"):
        slope.vmap(slope.sum, axis_size=-1)
    with pytest.raises(ShapeError, match="or axis_size must say how many"):
        slope.vmap(slope.sum, in_dims=None)(X)


@pytest.mark.parametrize(
    ("dims", "told"),
    [
        ({"in_dims": ((0, 1),)}, r"in_dims \(0, 1\) does not match the argument float64\[3, 4\]"),
        ({"out_dims": (0, 1)}, r"out_dims \(0, 1\) does not match the result float64\[3, 4\]"),
        ({"out_dims": {"a": 0}}, r"out_dims \{'a': 0\} does not match the result"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused_with_types(dims, told):
    with pytest.raises(TreeError, match=told):
        slope.vmap(lambda row: row * 2, **dims)(X)


@pytest.mark.parametrize("dims", [{"in_dims": 1.0}, {"in_dims": (True,)}, {"out_dims": "a"}])
def test_what_is_no_dimension_is_refused(dims):
    with pytest.raises(ArgumentError, match=r"(in|out)_dims must hold ints and None, and holds"):
        slope.vmap(lambda row: row * 2, **dims)(X)
