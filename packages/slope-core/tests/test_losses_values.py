"""Activations, losses, normalizations and attention: values and derivatives that PyTorch gives."""

import math

import numpy as np
import pytest

import slope
from slope import errors

pytestmark = pytest.mark.usefixtures("on_numpy")

A = pytest.approx


def t(values, dtype="float64"):
    return slope.tensor(values, dtype=dtype)


def slopes(function, *values):
    """The derivatives of the sum of a function's results, for each argument."""
    args = [t(value) for value in values]
    numbers = tuple(range(len(args)))
    grads = slope.grad(lambda *xs: slope.sum(function(*xs)), argnums=numbers)(*args)
    return [each.tolist() for each in grads]


POINTS = [-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0]
# What PyTorch 2.13 gives at POINTS.
DERIVATIVES = {
    "relu6": [0, 0, 0, 0, 0, 1, 1, 1, 0],
    "hardtanh": [0, 0, 0, 1, 1, 1, 0, 0, 0],
    "hardsigmoid": [0, 0, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 0, 0],
    "hardswish": [0, 0, 1 / 6, 1 / 3, 0.5, 2 / 3, 5 / 6, 1, 1],
    "elu": [
        0.0024787521766663585, 0.049787068367863944, 0.36787944117144233, 0.6065306597126334,
        1, 1, 1, 1, 1,
    ],
    "celu": [
        0.0024787521766663585, 0.049787068367863944, 0.36787944117144233, 0.6065306597126334,
        1, 1, 1, 1, 1,
    ],
    "selu": [
        0.0043578925679211246, 0.08753061208026487, 0.646768603034814, 1.0663411530445053,
        1.7580993408473766, *4 * [1.0507009873554805],
    ],
    "leaky_relu": [0.01, 0.01, 0.01, 0.01, 0.01, 1, 1, 1, 1],
    "hardshrink": [1, 1, 1, 0, 0, 0, 1, 1, 1],
    "softshrink": [1, 1, 1, 0, 0, 0, 1, 1, 1],
    "softsign": [
        0.020408163265306117, 0.0625, 0.25, 4 / 9, 1, 4 / 9, 0.25, 0.0625, 0.020408163265306117,
    ],
    "mish": [-0.01235996793178131, -0.09339311453232084, 0.059216755877395014, 0.28951067791351226,
             0.6, 0.8864243753577272, 1.0490362200997922, 1.0211069109294435, 1.00013414050621],
    "logsigmoid": [0.9975273768433652, 0.9525741268224333, 0.7310585786300049, 0.6224593312018545,
                   0.5, 0.37754066879814546, 0.2689414213699951, 0.04742587317756679,
                   0.0024726231566347748],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DERIVATIVES))
def test_derivatives_of_activations(name):
    (got,) = slopes(getattr(slope, name), POINTS)
    assert got == A(DERIVATIVES[name], rel=1e-9, abs=1e-12)


def test_values_of_activations():
    x = t([-2.0, 0.5, 4.0])
    assert slope.relu6(10 * x).tolist() == [0, 5, 6]
    assert slope.hardtanh(x, -1.5, 2.0).tolist() == [-1.5, 0.5, 2]
    assert slope.hardsigmoid(x).tolist() == A([1 / 6, 0.5 / 6 + 0.5, 1])
    assert slope.elu(x, 2.0).tolist() == A([2 * math.expm1(-2), 0.5, 4])
    assert slope.celu(x, 2.0).tolist() == A([2 * math.expm1(-1), 0.5, 4])
    assert slope.softplus(x, beta=2.0).tolist() == A(
        [math.log1p(math.exp(2 * v)) / 2 for v in x.tolist()]
    )
    assert slope.softshrink(x).tolist() == [-1.5, 0, 3.5]
    assert slope.hardshrink(x).tolist() == [-2, 0, 4]
    assert slope.threshold(x, 0.5, 7.0).tolist() == [7, 7, 4]
    assert slope.tanhshrink(x).tolist() == A([v - math.tanh(v) for v in x.tolist()])
    assert slope.softsign(x).tolist() == A([-2 / 3, 1 / 3, 0.8])
    assert slope.mish(x).tolist() == A([v * math.tanh(math.log1p(math.exp(v))) for v in x.tolist()])
    assert slope.softmin(x, 0).tolist() == A(slope.softmax(-x, 0).tolist())
    assert slope.glu(t([1.0, 2.0])).item() == A(1 / (1 + math.exp(-2)))
    both = slope.prelu(t([[-1.0, -1.0], [1.0, -2.0]]), t([0.5, 0.25]))
    assert both.tolist() == [[-0.5, -0.25], [1, -0.5]]
    assert slopes(slope.prelu, [-2.0, 3.0], 0.25) == [[0.25, 1], -2]
    for name in DERIVATIVES | {"tanhshrink": 0}:
        assert math.isnan(getattr(slope, name)(t(math.nan)).item()), name


def test_edges_of_elementwise_functions():
    assert slopes(slope.clamp, [0.0, 1, 2, 3, 4], [1.0] * 5, [3.0] * 5) == [
        [0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1],
    ]  # fmt: skip
    assert slopes(lambda x: slope.clamp(x, 1, 3), [0.0, 1, 2, 3, 4]) == [[0, 1, 1, 1, 0]]
    assert slope.clamp(t([0.0, 5.0, math.nan]), max=t([1.0, 2.0, 3.0])).tolist()[:2] == [0, 2]
    assert slope.clamp(slope.tensor([1, 5]), 2).dtype is slope.int64
    assert slope.clamp(slope.tensor([1, 5]), 2.5).tolist() == [2.5, 5]
    assert slopes(slope.copysign, [0.0, 2, -2], [-1.0, -0.0, 1]) == [[0, -1, -1], [0, 0, 0]]
    assert slopes(slope.xlogy, [0.0, 2.0], [2.0, 2.0]) == [A([math.log(2)] * 2), A([0, 1])]
    assert slopes(slope.sinc, [0.0, 0.5]) == [A([0, -1.2732395447351625])]
    assert slopes(slope.lerp, [1.0], [2.0], [0.3]) == [A([0.7]), A([0.3]), A([1.0])]
    assert slopes(slope.pow, [0.0, 0, 0, 2], [0.0, 1, 2, 0])[0] == [0, 1, 0, 0]
    assert slopes(slope.hypot, [3.0], [4.0]) == [A([0.6]), A([0.8])]
    assert slope.heaviside(t([math.nan, -1, 0, 1]), 0.5).tolist() == [0, 0, 0.5, 1]
    assert slope.signbit(t([-0.0, 0.0, -1.0, math.inf])).tolist() == [True, False, True, False]
    assert slope.isneginf(t([-math.inf, math.inf])).tolist() == [True, False]
    assert slope.isposinf(slope.tensor([1])).tolist() == [False]
    assert slope.round(t([1234.567]), -2).tolist() == [1200]
    assert slope.round(t([2.345]), decimals=1).tolist() == A([2.3])
    assert slope.logit(t([0.0, 0.5, 1.0])).tolist() == [-math.inf, 0, math.inf]
    assert slope.logit(t([0.0]), 0.25).item() == A(math.log(1 / 3))
    assert slope.nan_to_num(slope.tensor([3])).dtype is slope.int64
    assert slope.logaddexp(t([math.inf, -math.inf]), t([math.inf, -math.inf])).tolist() == [
        math.inf,
        -math.inf,
    ]
    assert slope.addcmul(t([1.0]), t([2.0]), t([3.0]), value=2).item() == 13
    assert slope.addcdiv(t([1.0]), t([3.0]), t([2.0])).item() == 2.5


def test_closeness():
    a, b = t([1.0, math.inf, math.nan]), t([1.0 + 1e-7, math.inf, math.nan])
    assert slope.isclose(a, b).tolist() == [True, True, False]
    assert slope.allclose(a, b, equal_nan=True) is True
    assert slope.allclose(a, b) is False
    assert slope.equal(a[:2], a[:2]) is True
    assert slope.equal(a, a[:2]) is False
    assert slope.isclose(slope.tensor([1, 2]), slope.tensor([1, 3])).tolist() == [True, False]


def test_dtype_functions():
    assert slope.result_type(slope.ones(2, dtype=slope.int8), 1.5) is slope.float32
    assert slope.can_cast(slope.int32, slope.float16)
    assert not slope.can_cast(slope.float16, slope.int32)
    assert not slope.can_cast(slope.int8, slope.uint8)
    assert slope.finfo(slope.bfloat16).eps == 2.0**-7
    assert slope.finfo(slope.float32).max == float(np.finfo(np.float32).max)
    assert slope.iinfo("uint8").max == 255
    with pytest.raises(errors.DTypeError, match="iinfo tells of integers"):
        slope.finfo(slope.int8)
    with pytest.raises(errors.DTypeError, match="finfo tells of floating"):
        slope.iinfo(slope.float32)


# --- reductions


def test_moments():
    x = t([[1.0, 2, 4], [3, 3, 3]])
    assert slope.var(x, 1, unbiased=False).tolist() == A([14 / 9, 0])
    assert slope.std(x, 1).tolist() == A([math.sqrt(7 / 3), 0])
    assert slopes(lambda v: slope.std(v, 1), [[1.0, 1, 1]]) == [[[0, 0, 0]]]
    variance, mean = slope.var_mean(x, 1, keepdim=True)
    assert variance.shape == mean.shape == (2, 1)
    assert slope.std_mean(x)[1].item() == A(16 / 6)
    assert slope.var(x.half(), 1).dtype is slope.float16
    y = t([[1.0, math.nan], [math.nan, math.nan]])
    assert slope.nansum(y, 1).tolist() == [1, 0]
    assert slope.nanmean(y, 1).tolist()[0] == 1
    assert slope.nansum(slope.tensor([1, 2])).item() == 3
    assert slope.cumsum(slope.tensor([1, 2]), 0, dtype=slope.float32).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("p", "flat", "mixed"),
    [
        (0.5, 0, 2.0), (1, 0, 1.0), (1.5, 0, 0.7937005259840998), (2, 0, 0.7071067811865475),
        (3, 0, 0.6299605249474365), (math.inf, 0, 0.5), (-math.inf, 0, 0.0), (0, 0, 0.0),
    ],
)  # fmt: skip
def test_derivatives_of_norms(p, flat, mixed):
    assert slopes(lambda x: slope.norm(x, p), [0.0, 0.0]) == [[flat, flat]]
    assert slopes(lambda x: slope.norm(x, p), [0.0, 2, -2]) == [A([0, mixed, -mixed])]


# --- losses

X, Y = [[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]], [[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]


def test_losses_of_differences():
    x, y = t(X), t(Y)
    away = np.array(X) - np.array(Y)
    assert slope.l1_loss(x, y).item() == A(np.abs(away).mean())
    assert slope.mse_loss(x, y, "sum").item() == A((away**2).sum())
    huber = np.where(np.abs(away) <= 1.2, away**2 / 2, 1.2 * (np.abs(away) - 0.6))
    np.testing.assert_allclose(slope.huber_loss(x, y, "none", delta=1.2).numpy(), huber)
    np.testing.assert_allclose(slope.smooth_l1_loss(x, y, "none", beta=1.2).numpy(), huber / 1.2)
    assert slope.smooth_l1_loss(x, y, beta=0.0).item() == A(np.abs(away).mean())
    assert slopes(lambda a: slope.huber_loss(a, t([0.0] * 4), "sum"), [0.0, 1, -1, 2]) == [
        [0, 1, -1, 1]
    ]
    assert slope.mse_loss(slope.tensor([1, 2]), slope.tensor([0, 0])).item() == 2.5


def test_losses_of_probabilities():
    x, y = t(X), t(Y)
    p = 1 / (1 + np.exp(-np.array(X)))
    bce = -(np.array(Y) * np.log(p) + (1 - np.array(Y)) * np.log(1 - p))
    assert slope.binary_cross_entropy_with_logits(x, y).item() == A(bce.mean())
    assert slope.binary_cross_entropy(t(p), y).item() == A(bce.mean())
    factor = np.array([1.0, 2.0, 3.0])
    weighted = -(factor * np.array(Y) * np.log(p) + (1 - np.array(Y)) * np.log(1 - p))
    got = slope.binary_cross_entropy_with_logits(x, y, pos_weight=t(factor), reduction="none")
    np.testing.assert_allclose(got.numpy(), weighted)
    got = slope.binary_cross_entropy_with_logits(x, y, weight=t(factor), reduction="sum")
    assert got.item() == A((bce * factor).sum())
    assert slope.binary_cross_entropy(t([0.0, 1.0]), t([1.0, 0.0])).item() == 100
    big = slope.binary_cross_entropy_with_logits(t([1e4, -1e4]), t([1.0, 0.0]))
    assert big.item() == 0
    logs = np.log(np.array(Y))
    kl = np.array(Y) * (logs - np.array(X))
    assert slope.kl_div(x, y, "batchmean").item() == A(kl.sum() / 2)
    assert slope.kl_div(x, t(logs), log_target=True).item() == A(kl.mean())
    assert slope.kl_div(t([-1.0]), t([0.0])).item() == 0
    poisson = np.exp(np.array(X)) - np.array(Y) * np.array(X)
    assert slope.poisson_nll_loss(x, y).item() == A(poisson.mean())
    full = slope.poisson_nll_loss(t([2.0]), t([3.0]), log_input=False, full=True).item()
    stirling = 3 * math.log(3) - 3 + 0.5 * math.log(6 * math.pi)
    assert full == A(2 - 3 * math.log(2 + 1e-8) + stirling)


def test_cross_entropy():
    scores, classes = t([[1.0, 2, 3], [0, 1, 0]]), slope.tensor([2, 0])
    weight = t([1.0, 2, 3])
    got = slope.cross_entropy(scores, classes, weight=weight, label_smoothing=0.1)
    assert got.item() == A(0.7388282418251038)
    alone = slope.cross_entropy(scores, slope.tensor([2, -100]), ignore_index=-100)
    assert alone.item() == A(slope.cross_entropy(scores[:1], classes[:1]).item())
    none = slope.cross_entropy(scores, slope.tensor([-100, -100]), ignore_index=-100)
    assert math.isnan(none.item())
    assert slope.equal(slope.cross_entropy(scores, slope.tensor([2, -100])), alone)  # the default
    logs, padded = slope.log_softmax(scores, 1), slope.tensor([2, -100])
    assert slope.nll_loss(logs, padded, weight).item() == A(alone.item())
    assert slope.cross_entropy(scores, slope.tensor([2, 0], dtype=slope.uint8)).item() == A(
        slope.cross_entropy(scores, slope.tensor([2, 0]), ignore_index=None).item()
    )
    with pytest.raises(errors.ArgumentError, match="ignore_index=1 needs classes"):
        slope.cross_entropy(scores, slope.softmax(scores, 1), ignore_index=1)
    hot = slope.one_hot(classes, 3).double()
    assert slope.cross_entropy(scores, hot).item() == A(slope.cross_entropy(scores, classes).item())
    wide = slope.stack([scores, 2 * scores], 2)
    many = slope.cross_entropy(wide, slope.stack([classes, classes], 1), reduction="none")
    np.testing.assert_allclose(
        many.numpy()[:, 0], slope.cross_entropy(scores, classes, reduction="none").numpy()
    )
    assert slope.nll_loss(slope.log_softmax(scores, 1), classes, weight).item() == A(
        slope.cross_entropy(scores, classes, weight).item()
    )


def test_similarity():
    a, b = t([[3.0, 4], [0, 0]]), t([[4.0, 3], [1, 2]])
    assert slope.cosine_similarity(a, b).tolist() == A([0.96, 0])
    target = slope.tensor([1, -1])
    assert slope.cosine_embedding_loss(a, b, target, reduction="none").tolist() == A([0.04, 0])
    near, far = t([[3.0, 5]]), t([[3.0, 6]])
    loss = slope.triplet_margin_loss(a[:1], near, far, eps=0.0)
    assert loss.item() == A(0.0)
    assert slope.triplet_margin_loss(a[:1], far, near, eps=0.0).item() == A(2.0)


# --- normalization


def standardized(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def test_normalizations():
    random = np.random.default_rng(0)
    x = random.standard_normal((3, 4, 5))
    w, b = random.standard_normal((2, 5))
    got = slope.layer_norm(t(x), 5, t(w), t(b))
    np.testing.assert_allclose(got.numpy(), standardized(x, (2,), 1e-5) * w + b)
    got = slope.layer_norm(t(x), (4, 5))
    np.testing.assert_allclose(got.numpy(), standardized(x, (1, 2), 1e-5))
    c = random.standard_normal(4)
    got = slope.group_norm(t(x), 2, t(c), t(c))
    parts = standardized(x.reshape(3, 2, 2, 5), (2, 3), 1e-5).reshape(3, 4, 5)
    np.testing.assert_allclose(got.numpy(), parts * c[:, None] + c[:, None])
    got = slope.instance_norm(t(x), weight=t(c))
    np.testing.assert_allclose(got.numpy(), standardized(x, (2,), 1e-5) * c[:, None])
    root = np.sqrt((x * x).mean(2, keepdims=True) + np.finfo(float).eps)
    np.testing.assert_allclose(slope.rms_norm(t(x), (5,), t(w)).numpy(), x / root * w)
    got = slope.normalize(t([[3.0, 4.0], [0.0, 0.0]]))
    assert got.tolist() == [A([0.6, 0.8]), [0, 0]]
    half = slope.layer_norm(slope.tensor(x, dtype="float16"), 5)
    assert half.dtype is slope.float16
    np.testing.assert_allclose(half.numpy(), standardized(x, (2,), 1e-5), atol=4e-3)


def test_batch_norm():
    random = np.random.default_rng(0)
    x, c = random.standard_normal((6, 4, 2)), random.standard_normal(4)
    mean, var = random.standard_normal(4), random.uniform(1, 2, 4)
    out, new_mean, new_var = slope.batch_norm(t(x), t(mean), t(var), t(c), t(c), training=True)
    wanted = standardized(x, (0, 2), 1e-5) * c[:, None] + c[:, None]
    np.testing.assert_allclose(out.numpy(), wanted)
    np.testing.assert_allclose(new_mean.numpy(), 0.9 * mean + 0.1 * x.mean((0, 2)))
    np.testing.assert_allclose(new_var.numpy(), 0.9 * var + 0.1 * x.var((0, 2), ddof=1))
    result = slope.batch_norm(t(x), t(mean), t(var), t(c))
    wanted = (x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5) * c[:, None]
    np.testing.assert_allclose(result.output.numpy(), wanted)
    assert result.running_mean.tolist() == mean.tolist()
    assert slope.batch_norm(t(x), training=True).running_mean is None
    plain = slope.batch_norm(t(x), training=True).output
    np.testing.assert_allclose(plain.numpy(), standardized(x, (0, 2), 1e-5))
    with pytest.raises(errors.ArgumentError, match="training=True"):
        slope.batch_norm(t(x))
    with pytest.raises(errors.ShapeError, match="one value a channel"):
        slope.batch_norm(t([[1.0, 2.0]]), training=True)


# --- attention and dropout


def attention(q, k, v, mask):
    scores = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def test_attention():
    random = np.random.default_rng(0)
    q, k, v = (
        random.standard_normal(shape) for shape in ((2, 4, 3, 5), (2, 4, 6, 5), (2, 4, 6, 7))
    )
    every = np.ones((3, 6), bool)
    f = slope.scaled_dot_product_attention
    np.testing.assert_allclose(f(t(q), t(k), t(v)).numpy(), attention(q, k, v, every))
    causal = np.tril(every)
    np.testing.assert_allclose(
        f(t(q), t(k), t(v), is_causal=True).numpy(), attention(q, k, v, causal)
    )
    np.testing.assert_allclose(
        f(t(q), t(k), t(v), slope.tensor(causal)).numpy(), attention(q, k, v, causal)
    )
    bias = np.where(causal, 0.0, -np.inf)
    np.testing.assert_allclose(f(t(q), t(k), t(v), t(bias)).numpy(), attention(q, k, v, causal))
    shared = f(t(q), t(k[:, :2]), t(v[:, :2]), enable_gqa=True)
    repeated = attention(q, k[:, :2].repeat(2, 1), v[:, :2].repeat(2, 1), every)
    np.testing.assert_allclose(shared.numpy(), repeated)
    scaled = f(t(q), t(k), t(v), scale=1.0).numpy()
    np.testing.assert_allclose(scaled, attention(q * math.sqrt(5), k, v, every))
    with pytest.raises(errors.ArgumentError, match="not both"):
        f(t(q), t(k), t(v), t(bias), is_causal=True)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_queries_that_see_nothing_get_zeros(kind):
    mask = np.array([[True, False], [False, False]])
    given = slope.tensor(mask) if kind == "bool" else t(np.where(mask, 0.0, -np.inf))
    q, k, v = t([[1.0], [2.0]]), t([[1.0], [3.0]]), t([[5.0], [6.0]])
    f = slope.scaled_dot_product_attention
    assert f(q, k, v, given).tolist() == [[5], [0]]
    grads = slope.grad(lambda q, k, v: slope.sum(f(q, k, v, given)), argnums=(0, 1, 2))(q, k, v)
    assert [each.tolist() for each in grads] == [[[0], [0]], [[0], [0]], [[1], [0]]]


def test_dropout():
    key = slope.random.key(3)
    x = slope.ones(10000)
    y = slope.dropout(x, 0.25, key=key).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == 0).mean() == A(0.25, abs=0.02)
    assert slope.equal(slope.dropout(x, 0.25, key=key), slope.tensor(y))
    assert slope.dropout(x, 0.25, training=False) is x
    assert not slope.any(slope.dropout(x, 1.0)).item()
    slope.manual_seed(0)
    first, second = slope.dropout(x), slope.dropout(x)
    assert not slope.equal(first, second)
    planes = slope.dropout2d(slope.ones(50, 40, 2, 3), 0.5).numpy().reshape(2000, 6)
    assert (planes == planes[:, :1]).all()
    assert (planes[:, 0] == 0).mean() == A(0.5, abs=0.05)
    rows = slope.dropout1d(slope.ones(40, 6), 0.5).numpy()
    assert (rows == rows[:, :1]).all()
    with pytest.raises(errors.ArgumentError, match=r"p=1\.5 must be a probability"):
        slope.dropout(x, 1.5)
