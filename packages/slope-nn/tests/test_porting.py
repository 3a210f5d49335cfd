"""Models written in PyTorch's words: what works as it is, and what says how to write it here."""

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


class Scaled(nn.Module):
    offset: slope.Tensor
    gain: slope.Tensor
    act: nn.Tanh

    def __init__(self, features):
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.scale = nn.Parameter(slope.ones(features))
        self.fixed = nn.Parameter(slope.full((features,), 2.0), requires_grad=False)
        self.register_buffer("offset", slope.full((features,), 0.5))
        self.register_parameter("gain", slope.ones(1))
        self.add_module("act", nn.Tanh())

    def forward(self, x):
        return self.act(self.linear(x)) * self.scale * self.fixed * self.gain + self.offset


def test_a_module_with_forward_and_registered_fields():
    model = Scaled(3)
    x = slope.ones(4, 3)
    assert [name for name, _ in model.named_buffers()] == ["offset"]
    assert list(model.state_dict()) == [
        "linear.weight",
        "linear.bias",
        "scale",
        "fixed",
        "offset",
        "gain",
    ]
    grads = slope.jit(slope.grad(lambda model: model(x).sum()))(model)
    assert grads.fixed is None
    assert grads.offset is None
    np.testing.assert_allclose(
        grads.scale.numpy(), (np.tanh(model.linear(x).numpy()) * 2).sum(0), rtol=1e-5
    )
    model, _ = nn.SGD(model, 0.1)(model, grads)
    np.testing.assert_array_equal(model.fixed.numpy(), np.full(3, 2, np.float32))


class Masked(nn.Linear):
    def __init__(self, features, mask):
        super().__init__(features, features)
        self.register_buffer("mask", mask)

    def forward(self, x):
        return super().forward(x) * self.mask  # pyright: ignore[reportAttributeAccessIssue]  # a registered buffer


class Twice(Masked):
    def forward(self, x):
        return super().forward(x) * 2


class Wrapped(Masked):
    def __call__(self, x):
        return super().__call__(x) + 1


class Doubling:
    def forward(self, x):
        return super().forward(x) * 2  # pyright: ignore[reportAttributeAccessIssue]  # of the layer beside it


class Mixed(Doubling, nn.Linear):
    pass


class Renamed(nn.Linear):
    def __call__(self, x):
        return super().__call__(x) * 3


class Again(Renamed):
    def forward(self, x):
        return super().forward(x) * 2


def test_a_forward_replaces_that_of_the_layer_it_inherits():
    x, mask = slope.ones(4, 3), slope.tensor([1.0, 0.0, 1.0])
    for model, expected in [
        (Masked(3, mask), lambda y: y * mask),
        (Twice(3, mask), lambda y: y * mask * 2),
        (Wrapped(3, mask), lambda y: y * mask + 1),
        (Mixed(3, 3), lambda y: y * 2),
        (Renamed(3, 3), lambda y: y * 3),
        (Again(3, 3), lambda y: y * 6),
    ]:
        wanted = expected(x @ model.weight.T + model.bias).numpy()
        np.testing.assert_allclose(model(x).numpy(), wanted, rtol=1e-5, atol=1e-6)
        inner = nn.Sequential(model)
        np.testing.assert_allclose(slope.jit(inner)(x).numpy(), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(nn.ReLU().forward(-x).numpy(), np.zeros((4, 3)))


def test_a_call_around_a_forward_that_is_overridden():
    class Other(Wrapped):
        def forward(self, x):
            return x * 5

    x = slope.ones(2, 3)
    np.testing.assert_array_equal(Other(3, slope.ones(3))(x).numpy(), np.full((2, 3), 6.0))


def test_a_module_that_cannot_be_called():
    with pytest.raises(errors.ArgumentError, match="defines neither __call__ nor forward"):
        nn.Module()(slope.ones(3))


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda m, _: m.cuda(), r"Linear has no 'cuda': use model = model\.to\("),
        (lambda m, _: m.half(), r"use model = model\.to\(slope\.float16\)"),
        (lambda m, _: m.zero_grad(), "gradients are values"),
        (lambda m, _: m.register_buffer("b", m.weight, persistent=False), "strict=False"),
        (lambda m, _: nn.Parameter([1.0]), r"Parameter takes a tensor, not \[1\.0\]"),
        (lambda _, o: o.step(), r"SGD has no 'step': model, optimizer = optimizer\(model"),
        (lambda _, o: o.zero_grad(), "nothing gathers them"),
        (lambda _, o: o.state_dict(), r"slope\.save"),
        (lambda _, o: o.param_groups, r"optimizer\.groups"),
        (
            lambda m, _: nn.SGD(m.parameters())(m, slope.grad(lambda m: m.weight.sum())(m)),
            r"expected 0, 1; found weight, bias instead\. Give it the model itself",
        ),
    ],
)
def test_words_of_pytorch_say_what_to_write(use, told):
    model = nn.Linear(2, 2)
    with pytest.raises(errors.SlopeError, match=told):
        use(model, nn.SGD(model))


def test_other_names_are_missing_as_ever():
    model = nn.Linear(2, 2)
    assert not hasattr(model, "cuda")
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'nothing'"):
        model.nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
    with pytest.raises(AttributeError, match="'SGD' object has no attribute 'nothing'"):
        nn.SGD(model).nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]  # on purpose


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_bags_of_embeddings(backend, mode, padding_idx):
    numbers, offsets = [1, 2, 4, 5, 4, 3, 2, 2], [0, 3, 3, 6]
    layer = nn.EmbeddingBag(6, 3, mode, padding_idx, key=slope.random.key(0))
    table = layer.weight.numpy()
    bags = [numbers[a:b] for a, b in zip(offsets, [*offsets[1:], None], strict=True)]
    expected = []
    for bag in bags:
        rows = table[[number for number in bag if number != padding_idx]]
        made = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, 0) if len(rows) else 0
        expected.append(made * np.ones(3))
    with slope.use_backend(backend):
        run = slope.jit(layer)
        out = run(slope.tensor(numbers), slope.tensor(offsets))
        np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
        rows = layer(slope.tensor(numbers).reshape(2, 4))
    halves = [nn.EmbeddingBag(6, 3, mode, padding_idx) for _ in range(1)]
    halves[0].weight = layer.weight
    again = halves[0](slope.tensor(numbers), slope.tensor([0, 4]))
    np.testing.assert_allclose(rows.numpy(), again.numpy(), atol=1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_gradients_of_bags(backend, mode, padding_idx):
    numbers = slope.tensor([[1, 2, 4, 5], [4, 3, 0, 2], [2, 2, 2, 2]])
    layer = nn.EmbeddingBag(6, 3, mode, padding_idx, key=slope.random.key(0))
    factors = slope.tensor(np.random.default_rng(0).standard_normal((3, 3)).astype("f4"))

    def gradient(layer, *bags):
        return slope.grad(lambda layer: (layer(*bags) * factors).sum())(layer).weight

    with slope.use_backend(backend):
        rows = slope.jit(gradient)(layer, numbers)
        parts = slope.jit(gradient)(layer, numbers.flatten(), slope.tensor([0, 4, 8]))
    np.testing.assert_allclose(rows.numpy(), parts.numpy(), atol=1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_empty_bags(mode):
    bags = nn.EmbeddingBag(6, 3, mode)(slope.zeros(2, 0, dtype=slope.int64))
    assert bags.numpy().tolist() == [[0, 0, 0]] * 2


def test_bags_with_weights_and_wrong_bags():
    layer = nn.EmbeddingBag(6, 3, "sum", include_last_offset=True)
    numbers, weights = slope.tensor([1, 2, 4]), slope.tensor([0.5, 2.0, 1.0])
    out = layer(numbers, slope.tensor([0, 1, 3]), weights).numpy()
    table = layer.weight.numpy()
    np.testing.assert_allclose(out, [0.5 * table[1], 2 * table[2] + table[4]], atol=1e-6)
    rows = layer(slope.tensor([[2, 4]]), per_sample_weights=slope.tensor([[2.0, 1.0]])).numpy()
    np.testing.assert_allclose(rows, [2 * table[2] + table[4]], atol=1e-6)
    with pytest.raises(errors.ShapeError, match=r"takes \(bags, numbers\), or \(numbers,\) and"):
        layer(numbers)
    with pytest.raises(errors.ArgumentError, match="weights are for mode='sum'"):
        nn.EmbeddingBag(6, 3)(numbers, slope.tensor([0]), weights)


def test_pretrained_embeddings_are_frozen():
    table = slope.tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    np.testing.assert_array_equal(layer(slope.tensor([1])).numpy(), [[3, 4]])
    head = nn.Linear(2, 1)
    grads = slope.grad(lambda m: m[1](m[0](slope.tensor([0, 1]))).sum())((layer, head))
    assert grads[0].weight is None
    assert nn.Embedding.from_pretrained(table, freeze=False).weight is table


def test_tensors_in_lists_and_dicts():
    class Several(nn.Module):
        def __init__(self):
            self.row = nn.ParameterList([slope.ones(2), slope.zeros(2)])
            self.named = nn.ParameterDict({"left": slope.ones(1), "right": slope.full((1,), 2.0)})

        def forward(self, x):
            for each in self.row:
                x = x + each
            return x * self.named["left"] * self.named["right"]

    model = Several()
    assert list(model.state_dict()) == ["row.0", "row.1", "named.left", "named.right"]
    grads = slope.grad(lambda m: m(slope.ones(2)).sum())(model)
    np.testing.assert_array_equal(grads.row[1].numpy(), [2, 2])
    assert (len(model.row), len(model.named), "left" in model.named) == (2, 2, True)
    assert [name for name, _ in model.named.items()] == model.named.keys() == ["left", "right"]
    with pytest.raises(errors.IndexingError, match="ParameterList of 2 has no tensor 2"):
        model.row[2]
    with pytest.raises(errors.IndexingError, match="has no tensor 'up'; it has left, right"):
        model.named["up"]
    with pytest.raises(errors.ArgumentError, match="'keys' cannot name a tensor"):
        model.named["keys"] = slope.ones(1)


def test_other_layers_of_pytorch():
    image = slope.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32))
    np.testing.assert_allclose(nn.Softmax2d()(image).sum(1).numpy(), np.ones((2, 4, 4)), rtol=1e-5)
    nearest, smooth = nn.UpsamplingNearest2d(8), nn.UpsamplingBilinear2d(scale_factor=2)
    np.testing.assert_array_equal(nearest(image)[..., ::2, ::2].numpy(), image.numpy())
    np.testing.assert_allclose(smooth(image)[..., ::7, ::7].numpy(), image[..., ::3, ::3].numpy())
    noisy = nn.RReLU(0.1, 0.3)
    drawn = (noisy(image) / image).numpy()
    assert np.all(drawn[image.numpy() > 0] == 1)
    below = drawn[image.numpy() < 0]
    assert below.min() >= 0.1
    assert below.max() <= 0.3
    assert below.std() > 0.02
    steady = (noisy.eval()(image) / image).numpy()
    np.testing.assert_allclose(steady[image.numpy() < 0], 0.2, rtol=1e-5)
    with pytest.raises(errors.ArgumentError, match=r"RReLU: lower=0\.5 must not exceed"):
        nn.RReLU(0.5, 0.1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(inplace=True),
        nn.LeakyReLU(0.2, True),
        nn.ELU(1.0, inplace=True),
        nn.CELU(1.0, inplace=True),
        nn.Hardtanh(-1.0, 1.0, inplace=True),
        nn.Threshold(0.1, 0.2, inplace=True),
        nn.RReLU(0.1, 0.2, inplace=True),
        nn.Dropout(0.5, True),
        nn.Dropout2d(0.5, inplace=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_take_inplace_and_leave_their_input_alone(layer):
    x = slope.full((1, 2, 3, 3), -2.0)
    layer.eval()(x)
    assert (x.numpy() == -2).all()
