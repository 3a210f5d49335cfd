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
    "truncated_normal in a tail": (
        lambda **o: random.truncated_normal(KEY, 5.0, 6.5, N, **o),
        lambda x: (phi(-5) - phi(-x)) / (phi(-5) - phi(-6.5)),
    ),
    "truncated_normal": (
        lambda **o: random.truncated_normal(KEY, -1.0, 2.0, N, **o),
        lambda x: (phi(x) - phi(-1)) / (phi(2) - phi(-1)),
    ),
}


def test_tails_without_digits_are_refused():
    for low, high in ((8.0, 9.0), (-math.inf, -7.5)):
        with pytest.raises(errors.ArgumentError, match="more than 7 deviations from the mean"):
            random.truncated_normal(KEY, low, high, N)


def full(value, dtype):
    return slope.full((N,), value, dtype=dtype)


# Of parameters: drawn in the parameters' dtype.
CASES |= {
    "cauchy": (lambda **o: random.cauchy(KEY, N, **o), lambda x: 0.5 + math.atan(x) / math.pi),
    "logistic": (lambda **o: random.logistic(KEY, N, **o), lambda x: 1 / (1 + math.exp(-x))),
    "maxwell": (
        lambda **o: random.maxwell(KEY, N, **o),
        lambda x: math.erf(x / math.sqrt(2)) - math.sqrt(2 / math.pi) * x * math.exp(-x * x / 2),
    ),
    "lognormal": (
        lambda dtype: random.lognormal(KEY, full(0.5, dtype)),
        lambda x: phi(math.log(x) / 0.5),
    ),
    "pareto": (lambda dtype: random.pareto(KEY, full(2.5, dtype)), lambda x: 1 - x**-2.5),
    "rayleigh": (
        lambda dtype: random.rayleigh(KEY, full(2.0, dtype)),
        lambda x: -math.expm1(-x * x / 8),
    ),
    "weibull_min": (
        lambda dtype: random.weibull_min(KEY, full(2.0, dtype), 1.5),
        lambda x: -math.expm1(-((x / 2) ** 1.5)),
    ),
    "triangular": (
        lambda dtype: random.triangular(KEY, full(1.0, dtype), 2.0, 5.0),
        lambda x: (x - 1) ** 2 / 4 if x < 2 else 1 - (5 - x) ** 2 / 12,
    ),
    "wald": (
        lambda dtype: random.wald(random.fold_in(KEY, 1), full(1.5, dtype)),
        lambda x: (
            phi((x / 1.5 - 1) / math.sqrt(x))
            + math.exp(2 / 1.5) * phi(-(x / 1.5 + 1) / math.sqrt(x))
        ),
    ),
    "loggamma": (
        lambda dtype: random.loggamma(KEY, full(1.0, dtype)),
        lambda x: -math.expm1(-math.exp(x)),
    ),
    "chisquare": (
        lambda dtype: random.chisquare(KEY, full(4.0, dtype)),
        lambda x: 1 - (1 + x / 2) * math.exp(-x / 2),
    ),
    "t": (
        lambda dtype: random.t(KEY, full(2.0, dtype)),
        lambda x: 0.5 + x / (2 * math.sqrt(2 + x * x)),
    ),
    "f": (lambda dtype: random.f(KEY, full(2.0, dtype), 4.0), lambda x: 1 - (1 + x / 2) ** -2),
    "generalized_normal": (
        lambda **o: random.generalized_normal(KEY, 1.0, N, **o),
        lambda x: math.exp(x) / 2 if x < 0 else 1 - math.exp(-x) / 2,
    ),
    "ball": (
        lambda **o: (random.ball(KEY, 3, shape=(N,), **o) ** 2).sum(-1) ** 1.5,
        lambda x: x,
    ),
    "dirichlet": (
        lambda dtype: random.dirichlet(KEY, slope.tensor([1.0, 0.25, 1.75], dtype=dtype), (N,))[
            :, 0
        ],
        lambda x: 1 - (1 - x) ** 2,
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


def chances_of(name, parameters):
    """Probabilities of 0, 1, ..., by their recurrences."""
    chances = []
    for k in range(2000):
        if name == "poisson":
            (rate,) = parameters
            chances.append(math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)))
        elif name == "geometric":
            chances.append(0.0 if k == 0 else 0.3 * 0.7 ** (k - 1))
        else:
            n, p = parameters
            log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            chances.append(math.exp(log_ways + k * math.log(p) + (n - k) * math.log1p(-p)))
            if k == n:
                break
    return np.array(chances)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("poisson", (0.25,)),
        ("poisson", (9.5,)),
        ("poisson", (10.5,)),
        ("poisson", (400.0,)),
        ("binomial", (5, 0.5)),
        ("binomial", (40, 0.9)),
        ("binomial", (100, 0.4)),
        ("binomial", (100_000, 0.00005)),
        ("binomial", (1900, 0.7)),
        ("geometric", (0.3,)),
    ],
)
def test_counts(name, parameters):
    drawn = getattr(random, name)(KEY, full(parameters[0], "float32"), *parameters[1:]).numpy()
    assert drawn.dtype == np.int64
    expected = chances_of(name, parameters)
    seen = np.bincount(drawn, minlength=len(expected))[: len(expected)]
    common = expected * N > 5
    assert seen[~common].sum() < 0.02 * N
    parts = (seen - expected * N)[common] ** 2 / (expected * N)[common]
    degrees = common.sum()
    assert parts.sum() < degrees + 3.5 * math.sqrt(2 * degrees)


def test_counts_at_their_ends():
    ends = slope.tensor([0.0, 1.0])
    np.testing.assert_array_equal(random.binomial(KEY, 7, ends).numpy(), [0, 7])
    np.testing.assert_array_equal(random.binomial(KEY, 0, ends).numpy(), [0, 0])
    assert (random.poisson(KEY, slope.zeros(3)).numpy() == 0).all()
    assert (random.geometric(KEY, slope.ones(3)).numpy() == 1).all()
    assert random.poisson(KEY, slope.ones(3, 1), (3, 4)).shape == (3, 4)
    signs = random.rademacher(KEY, N)
    assert set(signs.tolist()) == {-1, 1}
    assert abs(signs.numpy().mean()) < 0.03
    assert random.rademacher(KEY, 3, dtype="float32").dtype is slope.float32
    small = random.loggamma(KEY, full(1e-3, "float32")).numpy()  # gamma would be 0
    assert small.mean() == pytest.approx(-1000.58, rel=0.05)
    assert np.isfinite(random.dirichlet(KEY, slope.full((9,), 1e-3), (50,)).numpy()).all()


def test_choice():
    x = slope.arange(12).reshape(3, 4)
    assert random.choice(KEY, x, (2, 5), dim=1).shape == (3, 2, 5)
    assert sorted(random.choice(KEY, 5, (5,), replace=False).tolist()) == list(range(5))
    assert random.choice(KEY, 5).shape == ()
    p = slope.tensor([0.1, 0.2, 0.0, 0.7])
    drawn = random.choice(KEY, slope.tensor([5, 6, 7, 8]), (N,), p=p).numpy()
    np.testing.assert_allclose(np.bincount(drawn)[5:] / N, p.numpy(), atol=0.01)
    assert sorted(random.choice(KEY, 4, (3,), replace=False, p=p).tolist()) == [0, 1, 3]
    with pytest.raises(errors.ArgumentError, match="6 draws without replacement exceed the 5"):
        random.choice(KEY, 5, (2, 3), replace=False)
    with pytest.raises(errors.ShapeError, match=r"p is float32\[4\], and there are 5 parts"):
        random.choice(KEY, 5, p=p)
    with pytest.raises(errors.ShapeError, match="concentration must be"):
        random.dirichlet(KEY, 2.0)


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
        slope.multinomial(slope.ones(2, 9), 4), slope.poisson(slope.ones(3)),
        slope.randint_like(slope.ones(20), 3, 9),
    ]  # fmt: skip
    assert sorted(first[0].tolist()) == list(range(20))
    assert set(first[1].tolist()) == {0.0, 1.0}
    assert first[3].shape == (2, 4)
    assert first[4].dtype is slope.float32
    assert 3 <= first[5].numpy().min() <= first[5].numpy().max() < 9
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


def test_gumbel_softmax():
    slope.manual_seed(3)
    p = np.array([0.1, 0.2, 0.7])
    scores = slope.tensor(np.log(p)).expand(N, 3)
    weights = slope.gumbel_softmax(scores, tau=0.5)
    np.testing.assert_allclose(weights.sum(-1).numpy(), 1, rtol=1e-5)
    np.testing.assert_allclose(np.bincount(weights.argmax(-1).numpy()) / N, p, atol=0.01)
    hard = slope.gumbel_softmax(slope.zeros(4, 3, 2), hard=True, dim=1)
    np.testing.assert_allclose(np.sort(hard.numpy(), 1)[:, 2], 1, atol=1e-6)
    np.testing.assert_allclose(np.sort(hard.numpy(), 1)[:, :2], 0, atol=1e-6)

    def drawn(x, hard):
        slope.manual_seed(5)
        return (slope.gumbel_softmax(x, 0.7, hard) * slope.arange(3)).sum()

    x = slope.tensor([0.1, -0.4, 0.3])
    soft, straight = (slope.grad(drawn)(x, each).numpy() for each in (False, True))
    np.testing.assert_allclose(soft, straight, rtol=1e-5)
    assert np.abs(soft).max() > 0.01
    with pytest.raises(errors.ArgumentError, match=r"tau=0\.0 must be positive"):
        slope.gumbel_softmax(x, 0.0)
