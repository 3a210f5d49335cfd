"""Distributions: moments, distribution functions, meanings, and what backends share."""

import math

import numpy as np
import pytest

import slope
from slope import errors

random = slope.random
KEY = random.key(11)
N = 20_000


@pytest.fixture(autouse=True)
def numpy_backend():
    with slope.use_backend("numpy"):
        yield


def farthest(draws, distribution):
    """Kolmogorov and Smirnov's distance of draws from a distribution function, times sqrt(n)."""
    draws = np.sort(draws.astype(np.float64).ravel())
    at = np.array([distribution(x) for x in draws])
    steps = np.arange(len(draws) + 1) / len(draws)
    return max(np.abs(at - steps[:-1]).max(), np.abs(at - steps[1:]).max()) * math.sqrt(len(draws))


def phi(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def integrated(density, low, high):
    """The distribution function of a density, by trapezoids."""
    xs = np.linspace(low, high, 40_001)
    heights = density(xs)
    area = np.concatenate([[0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    return lambda x: np.interp(x, xs, area / area[-1])


CASES = {
    "uniform": (lambda **o: random.uniform(KEY, N, **o), lambda x: x),
    "normal": (lambda **o: random.normal(KEY, N, **o), phi),
    "exponential": (
        lambda **o: random.exponential(KEY, N, rate=2.0, **o),
        lambda x: -math.expm1(-2 * x),
    ),
    "gumbel": (lambda **o: random.gumbel(KEY, N, **o), lambda x: math.exp(-math.exp(-x))),
    "laplace": (
        lambda **o: random.laplace(KEY, N, **o),
        lambda x: math.exp(x) / 2 if x < 0 else 1 - math.exp(-x) / 2,
    ),
    "truncated_normal": (
        lambda **o: random.truncated_normal(KEY, -1.0, 2.0, N, **o),
        lambda x: (phi(x) - phi(-1)) / (phi(2) - phi(-1)),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_draws_follow_their_distribution(name, dtype):
    draw, distribution = CASES[name]
    draws = draw(dtype=dtype)
    assert draws.dtype.name == dtype
    assert np.isfinite(draws.numpy()).all()
    assert farthest(draws.numpy(), distribution) < 1.63  # exceeded by one seed in a hundred


@pytest.mark.parametrize("a", [0.3, 1.0, 2.5, 40.0])
def test_gamma(a):
    draws = random.gamma(KEY, slope.tensor(a, dtype="float64"), (N,)).numpy()
    assert draws.mean() == pytest.approx(a, rel=0.05)
    assert draws.var() == pytest.approx(a, rel=0.1)
    if a >= 1:
        cdf = integrated(lambda x: np.exp((a - 1) * np.log(x + 1e-300) - x), 0, a * 4 + 20)
        assert farthest(draws, cdf) < 1.63
    half = random.gamma(KEY, slope.full((3,), a, dtype="float16"))
    assert half.dtype is slope.float16


def test_beta():
    draws = random.beta(KEY, 2.0, slope.tensor(3.0), (N,)).numpy()
    assert farthest(draws, integrated(lambda x: x * (1 - x) ** 2, 0, 1)) < 1.63
    assert random.beta(KEY, slope.ones(2, 1), slope.ones(3)).shape == (2, 3)


def test_categorical_and_multinomial():
    p = np.array([0.1, 0.2, 0.7])
    drawn = random.categorical(KEY, slope.tensor(np.log(p)), -1, (N,)).numpy()
    assert drawn.dtype == np.int64
    np.testing.assert_allclose(np.bincount(drawn) / N, p, atol=0.01)
    logits = slope.zeros(3, 4, 5)
    assert random.categorical(KEY, logits, dim=1).shape == (3, 5)
    assert random.categorical(KEY, logits, 1, (2, 3, 5)).shape == (2, 3, 5)
    rows = random.multinomial(KEY, slope.tensor([[0.0, 1, 1], [1, 0, 1]]), 2).numpy()
    assert sorted(rows[0]) == [1, 2]
    assert sorted(rows[1]) == [0, 2]
    again = random.multinomial(KEY, slope.tensor(p), N, replacement=True).numpy()
    np.testing.assert_allclose(np.bincount(again) / N, p, atol=0.01)
    with pytest.raises(errors.ArgumentError, match="exceeds the 3 classes"):
        random.multinomial(KEY, slope.ones(3), 4)
    with pytest.raises(errors.ShapeError, match="must end with"):
        random.categorical(KEY, logits, 1, (5, 3))


def test_permutations():
    order = random.permutation(KEY, 1000).numpy()
    assert sorted(order) == list(range(1000))
    keys = random.split(KEY, 600)
    counts = np.zeros((4, 4))
    for row in slope.vmap(lambda key: random.permutation(key, 4))(keys).numpy():
        counts[np.arange(4), row] += 1
    assert (np.abs(counts - 150) < 50).all()
    x = slope.arange(6).reshape(2, 3)
    assert sorted(random.shuffle(KEY, x, 1).numpy()[0].tolist()) == [0, 1, 2]
    assert random.permutation(KEY, 0).shape == (0,)
    assert random.permutation(KEY, x).shape == (2, 3)


def test_draws_of_the_default_generator():
    slope.manual_seed(5)
    first = [
        slope.randperm(20), slope.bernoulli(slope.full((20,), 0.5)), slope.normal(2.0, 0.5, (30,)),
        slope.multinomial(slope.ones(2, 9), 4), slope.randint_like(slope.ones(20), 3, 9),
    ]  # fmt: skip
    assert sorted(first[0].tolist()) == list(range(20))
    assert set(first[1].tolist()) == {0.0, 1.0}
    assert first[3].shape == (2, 4)
    assert 3 <= first[4].numpy().min() <= first[4].numpy().max() < 9
    assert slope.normal(slope.zeros(2, 1), slope.ones(3)).shape == (2, 3)
    slope.manual_seed(5)
    assert slope.equal(slope.randperm(20), first[0])
    different = slope.vmap(lambda x: x + slope.dropout(slope.ones(50)), randomness="different")
    same = slope.vmap(lambda x: x + slope.dropout(slope.ones(50)), randomness="same")
    rows = different(slope.zeros(2)).numpy()
    assert (rows[0] != rows[1]).any()
    rows = same(slope.zeros(2)).numpy()
    assert (rows[0] == rows[1]).all()
    with pytest.raises(errors.RandomnessError, match="default generator inside vmap"):
        slope.vmap(lambda x: x + slope.dropout(slope.ones(5)))(slope.zeros(2))
    with pytest.raises(errors.ArgumentError, match="size must be given"):
        slope.normal(0.0, 1.0)
    with pytest.raises(errors.ArgumentError, match="takes"):
        slope.randint_like(slope.ones(2))
    dropped = slope.jit(lambda x: slope.dropout(x, 0.5))
    assert not slope.equal(dropped(slope.ones(50)), dropped(slope.ones(50)))
