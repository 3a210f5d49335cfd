"""Modules as pytrees: what is a child, what is static, and what comes back."""

import copy
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


class Pair(NamedTuple):
    first: object
    second: object


def zeros(*shape):
    return slope.tensor(np.zeros(shape, np.float32))


class Dense(nn.Module):
    def __init__(self, inputs, outputs, scale=1.0):
        self.scale = scale
        self.weight = zeros(outputs, inputs)
        self.bias = zeros(outputs)

    def __call__(self, x):
        return self.scale * (x @ self.weight.T + self.bias)


class Everything(nn.Module):
    def __init__(self):
        self.name = "all"
        self.first = Dense(3, 2)
        self.layers = []
        for width in (4, 5):
            self.layers.append(Dense(width, width))
        self.table = {"b": zeros(1), "a": (zeros(2), None)}
        self.pair = Pair(zeros(3), zeros(4))
        self.mean = nn.Buffer(zeros(6))
        self.sizes = [1, 2]
        self.nothing = None
        self.act = np.tanh


class Tied(nn.Module):
    def __init__(self):
        self.embed = Dense(3, 5)
        self.head = Dense(3, 5)
        self.layers = [Dense(2, 2), (Dense(2, 2),)]
        self.first, self.second = zeros(7), zeros(7)
        self.tie("head.weight", "embed.weight")
        self.tie("layers.1.0.bias", "layers.0.bias")
        self.tie("second", "first")


def structure(tree):
    return slope.tree_flatten(tree)[1]


def gradients_of(model):
    """What grad gives, by name, of a function that uses every tensor."""

    def total(model):
        return sum(leaf.sum() for leaf in slope.tree_flatten(model)[0])

    grads = slope.grad(total)(model)
    matched: Any = structure(model).flatten_up_to(grads)
    return dict(zip(model.state_dict(), matched, strict=True))


# --- children and static fields


def test_children_are_tensors_modules_and_containers_of_them_in_order():
    model = Everything()
    assert list(model.state_dict()) == [
        *("first.weight", "first.bias", "layers.0.weight", "layers.0.bias"),
        *("layers.1.weight", "layers.1.bias", "table.a.0", "table.b", "pair.0", "pair.1", "mean"),
    ]
    leaves = slope.tree_flatten(model)[0]
    assert all(a is b for a, b in zip(leaves, model.state_dict().values(), strict=True))
    assert [name for name, _ in model.named_buffers()] == ["mean"]
    assert len(model.parameters()) == len(leaves) - 1
    assert [name for name, _ in model.named_children()] == ["first", "layers.0", "layers.1"]
    assert model.children() == [model.first, *model.layers]
    assert [n for n, _ in model.named_modules()] == ["", "first", "layers.0", "layers.1"]
    assert model.modules()[2] is model.layers[0]


@pytest.mark.parametrize("leaf", [None, "text", 1.5, object()])
def test_rebuilding_takes_any_leaves_and_calls_no_init(leaf, monkeypatch):
    model = Everything()
    leaves, spec = slope.tree_flatten(model)
    monkeypatch.setattr(Everything, "__init__", None)
    other = slope.tree_unflatten(spec, [leaf] * len(leaves))
    assert other.first.weight is leaf
    assert other.pair == Pair(leaf, leaf)
    assert (other.name, other.sizes, other.nothing, other.act) == ("all", [1, 2], None, np.tanh)
    assert spec.flatten_up_to(other) == [leaf] * len(leaves)
    if leaf is not None:
        assert structure(other) == spec


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (1.0, 2.0), ([1], (1,)), ([1], [1.0])]
)
def test_static_fields_are_compared_with_their_types(one, other):
    assert structure(Dense(2, 3, one)) == structure(Dense(2, 3, one))
    assert hash(structure(Dense(2, 3, one))) == hash(structure(Dense(2, 3, one)))
    assert structure(Dense(2, 3, one)) != structure(Dense(2, 3, other))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "name", "other"),
        lambda m: m.sizes.append(3),
        lambda m: setattr(m, "nothing", zeros(1)),
        lambda m: setattr(m, "new", 1),
        lambda m: delattr(m, "pair"),
        lambda m: m.layers.append(Dense(1, 1)),
        lambda m: setattr(m.layers[1], "scale", 2.0),
        lambda m: setattr(m, "first", zeros(1)),
        lambda m: m.eval(),
        lambda m: m.freeze(),
    ],
)
def test_a_change_of_fields_changes_the_structure(change):
    model = Everything()
    before = structure(model)
    change(model)
    assert structure(model) != before
    assert structure(
        slope.tree_unflatten(structure(model), slope.tree_flatten(model)[0])
    ) == structure(model)


def test_a_list_that_was_empty_may_get_modules_later():
    model: Any = nn.Module()
    model.layers = []
    assert slope.tree_flatten(model)[0] == []
    model.layers.append(Dense(1, 1))
    assert len(slope.tree_flatten(model)[0]) == 2


def test_another_tensor_in_a_field_keeps_the_structure():
    model = Everything()
    before = structure(model)
    model.first.weight = model.first.weight + 1.0
    model.mean = zeros(6)
    assert structure(model) == before
    assert [name for name, _ in model.named_buffers()] == ["mean"]


def test_arrays_are_static_by_value():
    class Filter(nn.Module):
        def __init__(self):
            self.taps = np.ones(3)

    one, other = Filter(), Filter()
    assert structure(one) == structure(other)
    other.taps[0] = 2.0
    assert structure(one) != structure(other)


def test_a_container_of_tensors_and_other_things_is_refused():
    model: Any = nn.Module()
    model.mixed = [zeros(1), 3]
    with pytest.raises(
        errors.ArgumentError, match=r"Module\.mixed holds .* together with 3 \(int\)"
    ):
        slope.tree_flatten(model)
    model.mixed = [nn.Buffer(zeros(1))]
    with pytest.raises(errors.ArgumentError, match=r"declare a whole container as nn\.Buffer"):
        slope.tree_flatten(model)
    model.mixed = nn.Buffer([zeros(1)])
    assert len(model.buffers()) == 1


def test_a_static_field_that_cannot_be_compared_is_named():
    model: Any = nn.Module()
    model.odd = bytearray(b"odd")
    with pytest.raises(errors.ArgumentError, match=r"Module\.odd is static: .* must be hashable"):
        slope.tree_flatten(model)


# --- gradients


def test_buffers_integers_and_frozen_parameters_have_no_gradient():
    model = Everything()
    model.index = slope.tensor(np.arange(3))
    model.layers[0].freeze()
    found = gradients_of(model)
    none = {name for name, gradient in found.items() if gradient is None}
    assert none == {"mean", "index", "layers.0.weight", "layers.0.bias"}
    np.testing.assert_array_equal(found["pair.1"].numpy(), np.ones(4))
    assert "float32[4, 4] (frozen)" in repr(model)


def test_unfreezing_a_part_of_a_frozen_model():
    model = Everything().freeze()
    model.first.unfreeze()
    model.first.weight = zeros(2, 3) + 1.0  # a new value stays what the old one was
    model.layers[0].weight = zeros(4, 4) + 1.0
    found = gradients_of(model)
    assert {name for name, gradient in found.items() if gradient is not None} == {
        "first.weight",
        "first.bias",
    }
    before = structure(Everything())
    assert structure(model.unfreeze()) == before


def test_frozen_parameters_leave_no_gradient_work_in_the_program():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

    def loss(model, x):
        return model(x).sum()

    grad = slope.jit(slope.grad(loss))
    x = slope.ones(5, 3)
    # x W1', and of the gradient: of W2, of the hidden layer, of W1; the sum needs no output
    assert grad.lower(model, x).program.count("dot_general") == 4
    model[0].freeze()
    assert grad.lower(model, x).program.count("dot_general") == 2
    assert grad(model, x)[0].weight is None
    assert grad(model, x)[2].weight.shape == (2, 4)


# --- modes


def test_train_and_eval():
    model = Everything()
    before = structure(model)
    assert model.eval() is model
    assert [module.training for module in model.modules()] == [False] * 4
    assert structure(model) != before
    assert structure(model.train()) == before


def test_the_mode_is_part_of_the_program(backend):
    class Noisy(nn.Module):
        def __call__(self, x):
            return x + 1.0 if self.training else x

    model = Noisy()
    call = slope.jit(model)
    assert call(slope.zeros(1)).item() == 1.0
    run = slope.jit(lambda model, x: model(x))
    assert run(model, slope.zeros(1)).item() == 1.0
    assert run(model.eval(), slope.zeros(1)).item() == 0.0
    assert run(model.train(), slope.zeros(1)).item() == 1.0
    assert run.compile_count == 2


def test_two_modules_that_differ_in_one_static_number_share_no_program(backend):
    run = slope.jit(lambda model, x: model(x))
    for scale in (1.0, 2.0, 1, True):
        model = Dense(2, 2, scale)
        model.bias = slope.ones(2)
        assert run(model, slope.ones(1, 2)).numpy().tolist() == [[scale, scale]]
    assert run.compile_count == 4
    method = slope.jit(model.__call__)
    assert method(slope.ones(1, 2)).shape == (1, 2)


# --- ties


def test_tied_tensors_are_flattened_once_and_stay_tied():
    model = Tied()
    leaves, spec = slope.tree_flatten(model)
    assert list(model.state_dict()) == [
        *("embed.weight", "embed.bias", "head.bias", "layers.0.weight", "layers.0.bias"),
        *("layers.1.0.weight", "first"),
    ]
    assert len(leaves) == len(model.parameters()) == 7
    other = slope.tree_map(lambda leaf: leaf + 1.0, model)
    assert other.head.weight is other.embed.weight
    assert other.layers[1][0].bias is other.layers[0].bias
    assert other.second is other.first
    assert other.head.weight.numpy().min() == 1.0
    assert structure(other) == spec
    assert model.head.weight.numpy().max() == 0.0
    outer: Any = nn.Module()
    outer.parts = [model, Dense(1, 1)]
    assert len(slope.tree_flatten(outer)[0]) == 9
    assert "head.weight is embed.weight" in repr(model)


def test_a_part_alone_holds_its_tensor():
    model = slope.tree_map(lambda leaf: leaf, Tied())
    assert len(slope.tree_flatten(model.head)[0]) == 2
    assert structure(model.head) == structure(Dense(3, 5))


def test_gradients_of_both_uses_add_up():
    model = Tied()

    def f(model):
        return (model.embed.weight * 2.0 + model.head.weight * 3.0).sum()

    for grad in (slope.grad(f), slope.jit(slope.grad(f))):
        grads = grad(model)
        np.testing.assert_array_equal(grads.embed.weight.numpy(), np.full((5, 3), 5.0))
        assert grads.head.weight is grads.embed.weight
    new, _ = nn.SGD(model, lr=1.0)(model, grads)
    assert new.head.weight is new.embed.weight
    assert new.head.weight.numpy()[0, 0] == -5.0


def test_ties_survive_copies_and_chains():
    model: Any = Tied()
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert structure(other) == structure(model)
        assert other.head.weight is other.embed.weight
    model.tail = Dense(3, 5)
    model.tie("tail.weight", "head.weight")
    assert model.tail.weight is model.embed.weight
    model.other = Dense(3, 5)
    model.tie("embed.weight", "other.weight")
    assert "embed.weight" not in model.state_dict()
    assert model.tail.weight is model.head.weight is model.embed.weight is model.other.weight
    assert len(slope.tree_flatten(model)[0]) == 9


def test_bad_ties():
    model = Tied()
    with pytest.raises(
        errors.TreeError, match=r"nothing is at 'head\.wait': head \(Dense\) holds scale"
    ):
        model.tie("head.wait", "embed.weight")
    with pytest.raises(errors.TreeError, match="'head' is a Dense"):
        model.tie("head", "embed.weight")
    with pytest.raises(errors.TreeError, match="the same place"):
        model.tie("first", "second")
    with pytest.raises(
        errors.ShapeError, match=r"float32\[5, 3\] and 'embed.bias' is float32\[5\]"
    ):
        model.tie("head.weight", "embed.bias")
    model.head.weight = zeros(5, 3)
    with pytest.raises(
        errors.TreeError, match=r"ties 'head\.weight' to 'embed\.weight', but another value"
    ):
        slope.tree_flatten(model)
    model.tie("head.weight", "embed.weight")
    del model.head
    with pytest.raises(errors.TreeError, match=r"ties a field that has gone: nothing is at 'head"):
        slope.tree_flatten(model)


# --- copies


def test_copies():
    model = Everything()
    model.layers[0].freeze()
    shallow, deep = copy.copy(model), copy.deepcopy(model)
    pickled = pickle.loads(pickle.dumps(model))
    assert shallow.first is model.first
    assert deep.first is not model.first
    for other in (shallow, deep, pickled):
        assert structure(other) == structure(model)
        assert list(other.state_dict()) == list(model.state_dict())
    shallow.name = "other"
    deep.layers[1].scale = 5.0
    assert model.name == "all"
    assert model.layers[1].scale == 1.0


# --- state dicts


def test_loading_a_state_dict_keeps_the_modules():
    model, layer = Everything(), None
    layer = model.layers[0]
    state = {name: value.numpy() + 1 for name, value in model.state_dict().items()}
    assert model.load_state_dict(state) is model
    assert model.layers[0] is layer
    assert {float(value.numpy().min()) for value in model.state_dict().values()} == {1.0}
    assert isinstance(model.pair, Pair)


def test_loading_into_tied_tensors():
    model = Tied()
    state = {name: value + 2.0 for name, value in model.state_dict().items()}
    model.load_state_dict({**state, "head.weight": state["embed.weight"]})
    assert model.head.weight is model.embed.weight
    assert model.head.weight.numpy()[0, 0] == 2.0
    assert model.second is model.first
    assert len(slope.tree_flatten(model)[0]) == 7


def test_all_that_is_wrong_with_a_state_dict_is_listed_at_once():
    model = Dense(3, 2)
    with pytest.raises(errors.TreeError, match="load_state_dict of Dense") as caught:
        model.load_state_dict({"weight": zeros(2, 4), "wait": zeros(1)})
    text = str(caught.value)
    assert "missing: bias" in text
    assert "unexpected: wait" in text
    assert "weight is float32[2, 4] instead of float32[2, 3]" in text
    assert "strict=False" in text
    model.load_state_dict({"bias": zeros(2) + 3.0, "wait": zeros(1)}, strict=False)
    assert model.bias.numpy().tolist() == [3.0, 3.0]
    with pytest.raises(errors.TreeError, match=r"weight is float64\[2, 3\] instead of float32"):
        model.load_state_dict({"weight": np.zeros((2, 3))}, strict=False)
    assert model.weight.numpy().max() == 0.0


def test_repr():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Sequential(Dense(2, 1)))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(3, 2, bias=True)\n"
        "  (1): ReLU()\n"
        "  (2): Sequential(\n"
        "    (0): Dense(scale=1.0, weight=float32[1, 2], bias=float32[1])\n"
        "  )\n"
        ")"
    )
    assert "mean=float32[6] (buffer)" in repr(Everything())


# --- tied weights in state dicts, warnings at the user's line


class TiedEmbedding(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(5, 3)
        self.out = nn.Linear(3, 5, bias=False)
        self.tie("out.weight", "embedding.weight")


def test_state_dicts_may_name_tied_tensors_either_way_but_not_differently():
    ones, twos = slope.ones(5, 3), slope.full((5, 3), 2.0)
    for state in ({"out.weight": ones}, {"embedding.weight": ones, "out.weight": ones + 0}):
        model = TiedEmbedding().load_state_dict(state)
        assert model.embedding.weight.numpy().tolist() == ones.tolist()
        assert model.out.weight is model.embedding.weight
    with pytest.raises(
        errors.TreeError, match=r"tied here and different there: out\.weight and embedding\.weight"
    ):
        TiedEmbedding().load_state_dict({"embedding.weight": ones, "out.weight": twos})
    with pytest.raises(errors.ArgumentError, match=r"^load_state_dict of TiedEmbedding: the state"):
        TiedEmbedding().load_state_dict([ones])  # pyright: ignore[reportArgumentType]  # that is the point


def test_warnings_stand_at_the_users_line():
    layer, x = nn.BatchNorm1d(2), slope.ones(3, 2)
    with pytest.warns(nn.LostAssignmentWarning) as caught:
        slope.jit(lambda layer, x: layer(x).sum())(layer, x)
    assert {warning.filename for warning in caught} == {__file__}
    model = nn.Linear(2, 2)
    model.again = model.weight
    with pytest.warns(UserWarning, match="'weight' and 'again' are one tensor") as caught:
        nn.SGD(model, lr=0.1)
    assert caught[0].filename == __file__


class Twice(nn.Module):
    def __init__(self, tied=False):
        self.first = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.rest = [nn.ReLU(), self.first]
        if tied:
            self.tie("rest.1", "first")

    def __call__(self, x):
        for layer in (self.first, *self.rest):
            x = layer(x)
        return x


def test_a_module_at_two_places_is_told_once_and_tied_by_one_name():
    with pytest.warns(UserWarning, match="one module") as caught:
        nn.SGD(Twice(), lr=0.1)
    (told,) = map(str, (warning.message for warning in caught))
    assert "self.tie('rest.1', 'first')" in told
    model, x = Twice(tied=True), slope.ones(4, 3) * slope.arange(4.0).unsqueeze(-1)
    assert len(model.parameters()) == 4
    optimizer = nn.SGD(model, lr=0.1)

    @slope.jit
    def train(model, optimizer, x):
        gradient, model = slope.grad(lambda m: ((m(x) ** 2).sum(), m), has_aux=True)(model)
        return optimizer(model, gradient)

    for _ in range(2):
        model, optimizer = train(model, optimizer, x)
    for name, tensor in model.first.named_parameters():
        assert dict(model.rest[1].named_parameters())[name] is tensor
    means = [each[1].running_mean.tolist() for each in (model.first, model.rest[1])]
    assert means[0] != means[1]  # buffers are each place's own
    with pytest.raises(
        errors.TreeError, match=r"'first' has the parameters 0\.weight.* 'rest\.0' has none"
    ):
        model.tie("first", "rest.0")


def test_modules_of_functions_are_imported_by_pytorchs_names():
    import slope.nn.functional as functions
    import slope.nn.init
    import slope.nn.metrics
    from slope.nn.functional import relu

    assert functions is nn.functional
    assert relu is functions.relu
    assert (slope.nn.init, slope.nn.metrics) == (nn.init, nn.metrics)
