"""Tensors of shape (): along ``dim`` 0 or -1 they count as vectors of one element."""

import numpy as np
import pytest

import slope
from slope import errors

pytestmark = pytest.mark.usefixtures("on_numpy")

SAME = {
    "sum": lambda x, dim: x.sum(dim, keepdim=True),
    "prod": lambda x, dim: x.prod(dim),
    "mean": lambda x, dim: x.mean((dim,), keepdim=True),
    "nanmean": slope.nanmean,
    "amax": lambda x, dim: x.amax(dim, True),
    "max": lambda x, dim: x.max(dim, keepdim=True).values,
    "min": lambda x, dim: x.min(dim).values,
    "aminmax": lambda x, dim: slope.aminmax(x, dim=dim).max,
    "logsumexp": lambda x, dim: x.logsumexp([dim], True),
    "norm": lambda x, dim: -slope.norm(x, 3, dim),
    "cumsum": lambda x, dim: x.cumsum(dim),
    "cumprod": lambda x, dim: x.cumprod(dim),
    "sort": lambda x, dim: x.sort(dim).values,
    "squeeze": lambda x, dim: x.squeeze(dim),
    "flip": lambda x, dim: x.flip(dim),
    "transpose": lambda x, dim: x.transpose(dim, 0),
    "index_select": lambda x, dim: x.index_select(dim, slope.tensor([0])),
    "gather": lambda x, dim: x.gather(dim, slope.tensor(0)),
    "index_copy": lambda x, dim: (x * 0).index_copy(dim, slope.tensor([0]), x),
    "index_add": lambda x, dim: (x + 1).index_add(dim, slope.tensor([0]), -slope.ones(1).double()),
    "index_fill": lambda x, dim: (x * 0).index_fill(dim, slope.tensor([0]), -2.5),
}
OTHERS = {
    "softmax": (lambda x, dim: x.softmax(dim), 1.0),
    "log_softmax": (lambda x, dim: x.log_softmax(dim), 0.0),
    "softmin": (slope.softmin, 1.0),
    "argmax": (lambda x, dim: x.argmax(dim, keepdim=True), 0),
    "max's place": (lambda x, dim: x.max(dim).indices, 0),
    "any": (lambda x, dim: x.any(dim), True),
    "count_nonzero": (lambda x, dim: x.count_nonzero(dim), 1),
    "cosine_similarity": (lambda x, dim: slope.cosine_similarity(x, -x, dim), -1.0),
}


@pytest.mark.parametrize("dim", [0, -1])
@pytest.mark.parametrize("name", [*SAME, *OTHERS])
def test_along_a_dimension_that_is_not_there(name, dim):
    function, wanted = OTHERS.get(name) or (SAME[name], -2.5)
    x = slope.tensor(np.array(-2.5))
    for got in (function(x, dim), slope.jit(lambda x: function(x, dim))(x)):
        assert (got.shape, got.item()) == ((), pytest.approx(wanted))


@pytest.mark.parametrize("name", ["sum", "max", "cumsum", "index_select", "gather", "transpose"])
def test_derivatives_along_a_dimension_that_is_not_there(name):
    gradient = slope.grad(lambda x: SAME[name](x, 0))(slope.tensor(3.0))
    assert (gradient.shape, gradient.item()) == ((), 1.0)


def test_several_places_in_one_element():
    assert slope.tensor(3.0).gather(0, slope.tensor([0, 0])).tolist() == [3.0, 3.0]
    assert slope.tensor(3.0).index_select(0, slope.tensor([0, 0])).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("name", ["sum", "max", "sort", "transpose", "index_add", "squeeze"])
def test_other_dimensions_are_refused(name):
    with pytest.raises(errors.ShapeError, match=r"1 is out of range for a tensor of shape \(\)"):
        SAME[name](slope.tensor(np.array(1.0)), 1)


def test_one_dimension_twice_is_refused():
    with pytest.raises(errors.ShapeError, match=r"\(0, -1\) names a dimension .* \(\) twice"):
        slope.tensor(1.0).sum((0, -1))
