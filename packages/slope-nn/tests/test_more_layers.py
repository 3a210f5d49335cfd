"""Activations and losses as modules, containers, attention with a cache, rotary positions, init."""

import math
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")
X = np.linspace(-4, 4, 24, dtype=np.float32).reshape(2, 3, 4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = [
    (nn.ReLU6(), lambda x: np.clip(x, 0, 6)),
    (
        nn.SELU(),
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    ),
    (nn.SiLU(), lambda x: x * sigmoid(x)),
    (nn.Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    (nn.Hardsigmoid(), lambda x: np.clip(x + 3, 0, 6) / 6),
    (nn.Hardswish(), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    (nn.Softsign(), lambda x: x / (1 + abs(x))),
    (nn.Tanhshrink(), lambda x: x - np.tanh(x)),
    (nn.LogSigmoid(), lambda x: -np.log1p(np.exp(-x))),
    (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (nn.ELU(0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    (nn.CELU(0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x / 0.7))),
    (nn.Hardtanh(-0.5, 2.0), lambda x: np.clip(x, -0.5, 2)),
    (nn.Softplus(2.0), lambda x: np.log1p(np.exp(2 * x)) / 2),
    (nn.Softplus(2.0, 1.0), lambda x: np.where(2 * x > 1, x, np.log1p(np.exp(2 * x)) / 2)),
    (nn.Hardshrink(1.0), lambda x: np.where(abs(x) > 1, x, 0)),
    (nn.Softshrink(1.0), lambda x: np.sign(x) * np.maximum(abs(x) - 1, 0)),
    (nn.Threshold(0.5, -1.0), lambda x: np.where(x > 0.5, x, -1)),
    (nn.GLU(), lambda x: x[..., :2] * sigmoid(x[..., 2:])),
    (nn.Softmax(1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    (nn.Softmin(1), lambda x: np.exp(-x) / np.exp(-x).sum(1, keepdims=True)),
    (nn.LogSoftmax(-1), lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))),
]


@pytest.mark.parametrize(("layer", "formula"), ACTIVATIONS, ids=lambda case: type(case).__name__)
def test_activations(layer, formula):
    np.testing.assert_allclose(layer(slope.tensor(X)).numpy(), formula(X), atol=1e-5)


def test_losses_call_their_functions():
    x, y = slope.tensor(X[0]), slope.tensor(X[1] * 0.3)
    unit, labels = slope.sigmoid(x), slope.tensor([1, 0, 3])
    signs, weights = slope.tensor([1, -1, 1]), slope.tensor([0.5, 1.0, 2.0, 1.0])
    cases = [
        (nn.MSELoss(), slope.mse_loss(x, y), (x, y)),
        (nn.L1Loss(reduction="sum"), slope.l1_loss(x, y, "sum"), (x, y)),
        (nn.HuberLoss(delta=0.5), slope.huber_loss(x, y, delta=0.5), (x, y)),
        (nn.SmoothL1Loss(beta=0.5), slope.smooth_l1_loss(x, y, beta=0.5), (x, y)),
        (nn.KLDivLoss(log_target=True), slope.kl_div(x, y, log_target=True), (x, y)),
        (nn.PoissonNLLLoss(full=True), slope.poisson_nll_loss(x, unit, full=True), (x, unit)),
        (nn.BCELoss(), slope.binary_cross_entropy(unit, unit), (unit, unit)),
        (
            nn.BCEWithLogitsLoss(pos_weight=weights),
            slope.binary_cross_entropy_with_logits(x, unit, pos_weight=weights),
            (x, unit),
        ),
        (
            nn.CrossEntropyLoss(weights, label_smoothing=0.1),
            slope.cross_entropy(x, labels, weights, label_smoothing=0.1),
            (x, labels),
        ),
        (nn.NLLLoss(ignore_index=0), slope.nll_loss(x, labels, ignore_index=0), (x, labels)),
        (
            nn.CosineEmbeddingLoss(margin=0.1),
            slope.cosine_embedding_loss(x, y, signs, margin=0.1),
            (x, y, signs),
        ),
        (nn.TripletMarginLoss(p=1.0), slope.triplet_margin_loss(x, y, unit, p=1.0), (x, y, unit)),
    ]
    for layer, expected, inputs in cases:
        np.testing.assert_allclose(layer(*inputs).item(), expected.item(), rtol=1e-6)
    weighted: Any = nn.CrossEntropyLoss(weights)
    assert not weighted.parameters()
    assert len(weighted.buffers()) == 1


def test_dropout_of_channels():
    slope.manual_seed(0)
    x = slope.ones(4, 50, 3)
    dropped = nn.Dropout1d(0.5)(x).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[..., :1]).all()
    assert nn.Dropout2d(0.5).eval()(x) is x
    assert (nn.Dropout2d(0.5)(slope.ones(2, 9, 3, 3)).numpy().std((2, 3)) == 0).all()


def test_module_list_and_dict():
    layers: Any = nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])
    layers.append(nn.Linear(2, 3))
    assert len(layers) == 3
    assert [type(each).__name__ for each in layers[1:]] == ["ReLU", "Linear"]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(errors.IndexingError, match="ModuleList of 3 has no module 7"):
        layers[7]
    with pytest.raises(errors.ArgumentError, match="'0' is of type int"):
        nn.ModuleList([3])  # pyright: ignore[reportArgumentType]  # the point
    named: Any = nn.ModuleDict({"a": nn.Linear(2, 2)})
    named["b"] = nn.ReLU()
    assert "b" in named
    assert named.keys() == ["a", "b"] == list(named)
    assert named["a"](slope.ones(1, 2)).shape == (1, 2)
    assert [name for name, _ in named.items()] == ["a", "b"]
    assert len(named.values()) == len(named) == 2
    for bad in ("", "x.y", "keys", "_a"):
        with pytest.raises(errors.ArgumentError, match="cannot name a module"):
            named[bad] = nn.ReLU()
    with pytest.raises(errors.IndexingError, match="no module 'z'; it has a, b"):
        named["z"]
    relu = named["b"]
    assert named.pop("b") is relu
    named.update({"c": relu})
    del named["a"]
    assert named.keys() == ["c"]


def test_rows_change_in_place():
    """As when the last layer of a trained model is replaced."""
    model = nn.Sequential(nn.Linear(2, 3), slope.relu).append(nn.Linear(3, 4))
    model[-1] = nn.Linear(3, 5)
    model[1] = slope.tanh
    assert model(slope.ones(1, 2)).shape == (1, 5)
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(errors.ArgumentError, match="layer 1 is of type int"):
        model[1] = 3
    with pytest.raises(errors.IndexingError, match="Sequential of 3 has no layer 3"):
        model[3] = slope.relu
    layers = nn.ModuleList([nn.ReLU()]).extend([nn.Linear(2, 2), nn.Linear(2, 2)])
    assert type(layers[:2]) is nn.ModuleList
    assert len(layers[:2]) == 2
    rows = nn.ParameterList([slope.ones(2)])
    rows[0] = slope.zeros(2)
    assert rows.state_dict()["0"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["numpy", "onnxruntime", "iree"])
def test_a_cache_gives_what_the_whole_sequence_gives(name):
    with slope.use_backend(name):
        key = slope.random.key(0)
        rotary = nn.RotaryEmbedding(4)
        layer: Any = nn.MultiheadAttention(16, 4, num_kv_heads=2, rotary=rotary, key=key)
        x = slope.random.normal(slope.random.key(1), (2, 7, 16))
        whole = layer(x, is_causal=True).numpy()
        step = slope.jit(lambda layer, x, cache: layer(x, cache=cache))
        cache = nn.KVCache(2, 2, 10, 4)
        out, cache = step(layer, x[:, :3], cache)
        parts = [out]
        for place in range(3, 7):
            out, cache = step(layer, x[:, place : place + 1], cache)
            parts.append(out)
        found = np.concatenate([each.numpy() for each in parts], 1)
        np.testing.assert_allclose(found, whole, atol=2e-5)
        assert cache.filled.item() == 7
        assert step.compile_count == 2


def test_rotary_positions():
    x = slope.tensor(X)
    for interleaved in (False, True):
        layer = nn.RotaryEmbedding(4, base=100.0, interleaved=interleaved)
        found = layer(x, 5).numpy()
        for t in range(3):
            for pair in range(2):
                first, second = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + 2)
                turn = np.exp(1j * (t + 5) * 100.0 ** (-pair / 2))
                expected = (X[:, t, first] + 1j * X[:, t, second]) * turn
                np.testing.assert_allclose(found[:, t, first], expected.real, atol=1e-5)
                np.testing.assert_allclose(found[:, t, second], expected.imag, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nn.RotaryEmbedding(3), "dim must be even"),
        (lambda: nn.MultiheadAttention(10, 4), "4 heads must divide embed_dim 10"),
        (lambda: nn.MultiheadAttention(8, 4, num_kv_heads=3), "must divide them"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "2 groups must divide 3 and 4 channels"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size takes 2 lengths"),
        (lambda: nn.GroupNorm(4, 6), "6 channels cannot form 4"),
        (lambda: nn.BatchNorm2d(3)(slope.ones(2, 3)), "takes 4 dimensions"),
        (lambda: nn.BatchNorm1d(3, momentum="0.1"), "BatchNorm1d: momentum must be a number"),  # pyright: ignore[reportArgumentType]  # on purpose
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 0),
            "num_layers must be a",
        ),
        (lambda: nn.InstanceNorm1d(3)(slope.ones(3)), "takes 2 or 3 dimensions"),
        (lambda: nn.Embedding(4, 2, padding_idx=4), "padding_idx 4 is not among 4"),
        (lambda: nn.Bilinear(0, 1, 1), "in1_features must be a positive int"),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation="x"), "activation must be 'relu'"),
        (
            lambda: nn.KVCache(1, 1, 2, 2).extended(slope.ones(1, 1, 3, 2), slope.ones(1, 1, 3, 2)),
            "3 positions do not fit into a cache of 2",
        ),
        (lambda: nn.init.fans((3,)), "no fan in"),
        (lambda: nn.init.orthogonal((3,)), "at least two dimensions"),
        (lambda: nn.init.truncated_normal((3,), low=1.0, high=0.0), "must be less than high"),
        (lambda: nn.init.truncated_normal((3,), low=90.0, high=99.0), "no float lies between"),
        (lambda: nn.init.variance_scaling((3, 3), mode="x"), "mode must be one of"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda: nn.init.variance_scaling((3, 3), distribution="x"), "distribution must be"),  # pyright: ignore[reportArgumentType]  # on purpose
    ],
)
def test_bad_arguments_are_refused(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "deviation", "bound"),
    [
        (lambda s, k: nn.init.normal(s, 1.0, 2.0, key=k), 2.0, None),
        (lambda s, k: nn.init.uniform(s, -3.0, 3.0, key=k), 3 / math.sqrt(3), 3.0),
        (lambda s, k: nn.init.truncated_normal(s, key=k), 0.8796, 2.0),
        (lambda s, k: nn.init.glorot_uniform(s, key=k), math.sqrt(2 / 900), math.sqrt(6 / 900)),
        (lambda s, k: nn.init.glorot_normal(s, 2.0, key=k), 2 * math.sqrt(2 / 900), None),
        (lambda s, k: nn.init.he_uniform(s, key=k), math.sqrt(2 / 300), math.sqrt(6 / 300)),
        (lambda s, k: nn.init.he_normal(s, "fan_out", key=k), math.sqrt(2 / 600), None),
        (lambda s, k: nn.init.lecun_uniform(s, key=k), math.sqrt(1 / 300), math.sqrt(3 / 300)),
        (lambda s, k: nn.init.lecun_normal(s, key=k), math.sqrt(1 / 300), 0.1313),
    ],
)
def test_initial_values_have_their_deviation(make, deviation, bound):
    values = make((200, 100, 3), slope.random.key(3)).numpy()
    # 60000 draws: the deviation is known to 0.3 %.
    assert values.std() == pytest.approx(deviation, rel=0.02)
    if bound is not None:
        assert np.abs(values).max() <= bound * 1.001
        assert np.abs(values).max() > bound * 0.97
    np.testing.assert_array_equal(values, make((200, 100, 3), slope.random.key(3)).numpy())
    assert not np.array_equal(values, make((200, 100, 3), None).numpy())


def test_fixed_and_orthogonal_initial_values():
    assert (nn.init.zeros((2, 3)).numpy() == 0).all()
    assert (nn.init.ones((2,), dtype=slope.bfloat16).numpy() == 1).all()
    assert (nn.init.constant((2,), 7.0).numpy() == 7).all()
    for shape in ((3, 8), (8, 3), (4, 2, 3)):
        key = slope.random.key(1)
        matrix = nn.init.orthogonal(shape, 2.0, key=key).numpy().reshape(shape[0], -1)
        small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        np.testing.assert_allclose(small @ small.T, 4 * np.eye(len(small)), atol=1e-5)
        traced = slope.jit(lambda k, shape=shape: nn.init.orthogonal(shape, 2.0, key=k))(key)
        np.testing.assert_allclose(traced.numpy().reshape(matrix.shape), matrix, atol=1e-5)
    assert nn.init.orthogonal((4, 4), dtype=slope.float64).dtype == slope.float64
    with nn.init.skip():
        assert (nn.init.orthogonal((4, 3)).numpy() == 0).all()


# --- pooling undone, and sequences without an alignment


@pytest.mark.parametrize("count", [1, 2, 3])
def test_unpooling_puts_the_largest_back(count):
    x = slope.arange(float(6**count)).reshape(1, 1, *(6,) * count)
    pool = getattr(nn, f"MaxPool{count}d")(2, return_indices=True)
    values, places = pool(x)
    back = getattr(nn, f"MaxUnpool{count}d")(2)(values, places)
    kept = back.numpy() != 0
    assert kept.sum() == 3**count
    np.testing.assert_array_equal(back.numpy()[kept], x.numpy()[kept])
    again, _ = pool(back)
    np.testing.assert_array_equal(again.numpy(), values.numpy())
    whole = getattr(nn, f"MaxUnpool{count}d")(2)(values, places, output_size=x.shape)
    np.testing.assert_array_equal(whole.numpy(), back.numpy())


def test_ctc_loss_module_is_the_function():
    scores = slope.log_softmax(slope.arange(24.0).reshape(6, 1, 4).sin(), 2)
    given: Any = (scores, slope.tensor([[1, 2]]), (6,), slope.tensor([2]))
    assert nn.CTCLoss()(*given).item() == slope.ctc_loss(*given).item()
    other = nn.CTCLoss(blank=3, reduction="sum", zero_infinity=True)
    options: Any = {"blank": 3, "reduction": "sum", "zero_infinity": True}
    assert other(*given).item() == slope.ctc_loss(*given, **options).item()
    impossible: Any = (scores[:1], *given[1:2], (1,), given[3])
    assert other(*impossible).item() == 0
    assert nn.CTCLoss()(*impossible).item() == np.inf


@pytest.mark.parametrize(
    "make",
    [nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Mish, nn.Hardsigmoid, nn.Hardswish, nn.LeakyReLU]
    + [nn.ELU, nn.CELU, nn.Hardtanh, lambda **given: nn.Threshold(0.1, 3.0, **given)]
    + [lambda **given: nn.Dropout(0.0, **given), lambda **given: nn.Dropout2d(0.0, **given)],
)
def test_inplace_changes_nothing(make):
    x = slope.linspace(-2, 2, 24).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(make(inplace=True)(x).numpy(), make()(x).numpy())
    np.testing.assert_array_equal(x.numpy().ravel(), slope.linspace(-2, 2, 24).numpy())


def test_layers_without_arguments_refuse_them():
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        nn.Tanh(3)  # pyright: ignore[reportCallIssue]  # that is the test
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        nn.ReLU(foo=1)  # pyright: ignore[reportCallIssue]  # that is the test
