"""What people do with tensors out of habit."""

import numpy as np
import pytest

import slope
from slope.errors import ConcretizationError, IndexingError, ShapeError


@pytest.fixture(autouse=True)
def _numpy():
    with slope.use_backend("numpy"):
        yield


def test_in_asks_whether_an_element_is_equal():
    x = slope.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 2.0 in x
    assert 9 not in x
    assert slope.tensor(3.0) in x
    assert 1.0 not in slope.zeros(0)
    with pytest.raises(ConcretizationError, match="asked for the truth"):
        slope.jit(lambda x: 2.0 in x)(x)


def test_a_mask_has_the_lengths_of_what_it_indexes():
    x = slope.arange(6).reshape(2, 3)
    assert x[slope.tensor([True, False])].tolist() == [[0, 1, 2]]
    assert x[:, np.array([True, False, True])].tolist() == [[0, 2], [3, 5]]
    assert x[x > 2].tolist() == [3, 4, 5]
    for mask in ([True, False, False], [False], np.array([True]), slope.ones(3) > 0):
        with pytest.raises(IndexingError, match=r"a mask of length \d cannot index dimension 0 of"):
            x[mask]
    with pytest.raises(IndexingError, match=r"length 2 cannot index dimension 1 of length 3"):
        x.at[slope.ones(2, 2) > 0].set(0)
    with pytest.raises(IndexingError, match=r"length 2 cannot index dimension 1 of length 3"):
        slope.jit(lambda x: x[:, [True, False]])(x)


def test_constants_and_names_of_numpy_and_pytorch():
    x = slope.arange(3)
    assert x[:, slope.newaxis].shape == (3, 1)
    assert slope.e == np.e
    assert x.device.type == x.device.kind == "cpu"


def test_bfloat16_is_printed_as_other_floats_are():
    x = slope.tensor([1.0, 2.5], dtype=slope.bfloat16)
    assert repr(x) == "tensor([1. , 2.5], shape=(2,), dtype=bfloat16, device='cpu:0')"


def test_draws_with_a_covariance():
    key, mean = slope.random.key(0), slope.tensor([1.0, -1.0])
    covariance = slope.tensor([[2.0, 0.5], [0.5, 1.0]])
    draw = slope.random.multivariate_normal
    many = slope.jit(lambda k: draw(k, mean, covariance, (40_000,)))(key).numpy()
    np.testing.assert_allclose(many.mean(0), [1.0, -1.0], atol=0.03)
    np.testing.assert_allclose(np.cov(many.T), covariance.numpy(), atol=0.05)
    assert draw(key, slope.zeros(3, 2), covariance).shape == (3, 2)
    assert draw(key, mean, covariance.expand(4, 1, 2, 2), (4, 3)).shape == (4, 3, 2)
    shifted = slope.grad(lambda m: draw(key, m, covariance, (5,)).sum())(mean)
    assert shifted.tolist() == [5.0, 5.0]
    with pytest.raises(ShapeError, match=r"mean must be \(\.\.\., n\) for cov \(\.\.\., n, n\)"):
        draw(key, slope.zeros(3), covariance)
    with pytest.raises(ShapeError, match=r"shape \(3, 1\) does not hold the batch \(3,\)"):
        draw(key, slope.zeros(3, 2), covariance, (3, 1))
