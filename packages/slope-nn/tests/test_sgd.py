"""SGD: trajectories, counters, errors, and the program of an update."""

import warnings
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

SETTINGS = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.05, "momentum": 0.8, "dampening": 0.3},
    {"lr": 0.1, "weight_decay": 0.1},
]
CURVATURE = np.linspace(0.1, 1.0, 6).reshape(2, 3)


def reference(p, steps, lr, momentum=0.0, weight_decay=0.0, nesterov=False, dampening=0.0):
    """The algorithm in the documentation of torch.optim.SGD, in float64, on a quadratic."""
    buffer, path = None, []
    for _ in range(steps):
        g = CURVATURE * (p - 1.0)
        if weight_decay != 0:
            g = g + weight_decay * p
        if momentum != 0:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        p = p - lr * g
        path.append(p)
    return np.array(path)


def loss_of(params):
    return (0.5 * slope.tensor(CURVATURE) * (params["p"] - 1.0) ** 2).sum()


def start(dtype=np.float64):
    return {"p": slope.tensor(np.linspace(-1, 2, 6, dtype=dtype).reshape(2, 3))}


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.usefixtures("on_numpy")
def test_trajectory_is_pytorchs(settings, jitted):
    def step(params, optimizer):
        return optimizer(params, slope.grad(loss_of)(params))

    step = slope.jit(step) if jitted else step
    params, path = start(), []
    optimizer = nn.SGD(params, **settings)
    for _ in range(100):
        params, optimizer = step(params, optimizer)
        path.append(params["p"].numpy())
    expected = reference(start()["p"].numpy(), 100, **settings)
    np.testing.assert_allclose(np.array(path), expected, rtol=0, atol=1e-6)
    if jitted:
        assert step.compile_count == 1


def train(steps=30):
    """The losses of a small classifier, and the program of its training step."""
    slope.manual_seed(0)
    random = np.random.default_rng(0)
    x = random.standard_normal((20, 4)).astype(np.float32)
    y = random.integers(0, 3, 20)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = nn.SGD(model, lr=0.5, momentum=0.9)

    @slope.jit
    def step(model, optimizer, x, y):
        loss, grads = slope.value_and_grad(lambda m: slope.cross_entropy(m(x), y))(model)
        return *optimizer(model, grads), loss

    losses = []
    for number in range(steps):
        optimizer.lr = 0.5 * (1 - number / steps)
        model, optimizer, loss = step(model, optimizer, x, y)
        losses.append(loss.item())
    assert step.compile_count == 1
    return losses, step.lower(model, optimizer, x, y).program


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.usefixtures("on_numpy")
def test_a_constant_schedule_changes_nothing(settings):
    def trained(lr):
        params = start()
        optimizer = nn.SGD(params, **{**settings, "lr": lr})
        for _ in range(3):
            params, optimizer = optimizer(params, slope.grad(loss_of)(params))
        return params["p"].numpy()

    scheduled = trained(nn.ConstantSchedule(settings["lr"]))
    np.testing.assert_allclose(scheduled, trained(settings["lr"]), rtol=0, atol=1e-15)


def test_a_training_step_on_every_backend(backend):
    losses, program = train()
    assert losses[-1] < 0.6 * losses[0]
    assert program.count("dot_general") == 5  # two forward, three backward
    with slope.use_backend("numpy"):
        np.testing.assert_allclose(losses, train()[0], rtol=1e-4)


@pytest.mark.usefixtures("on_numpy")
def test_an_update_is_four_operators_a_parameter():
    params = {"a": slope.ones(3), "b": slope.ones(4)}

    def count(optimizer):
        program = slope.jit(lambda p, o, g: o(p, g)).lower(params, optimizer, params).program
        shaped = [instr for instr in program.instrs if instr.outputs[0].type.shape]
        return sum(instr.op.name in ("add", "sub", "mul") for instr in shaped)

    assert count(nn.SGD(params, lr=0.1, momentum=0.9)) == 2 * 4
    assert count(nn.SGD(params, lr=0.1)) == 2 * 2


@pytest.mark.usefixtures("on_numpy")
def test_none_gradients_frozen_parameters_and_buffers_stay():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
            self.count = nn.Buffer(slope.zeros(1))

    model = Net()
    model.first.freeze()
    optimizer = nn.SGD(model, lr=0.1, momentum=0.9)
    assert repr(optimizer) == ("SGD(nesterov=False, lr=0.1, momentum=0.9; 2 of 5 tensors)")

    def f(model):
        return model.second(model.first(slope.ones(1, 2))).sum() + model.count.sum()

    grads = slope.grad(f)(model)
    grads.second.bias = None
    new, _ = optimizer(model, grads)
    assert new.first.weight is model.first.weight
    assert new.count is model.count
    assert new.second.bias is model.second.bias
    assert not np.array_equal(new.second.weight.numpy(), model.second.weight.numpy())
    model.first.unfreeze()
    with pytest.raises(
        errors.TreeError, match=r"'first\.weight' has a gradient, but it was frozen"
    ):
        optimizer(model, slope.grad(f)(model))


@pytest.mark.usefixtures("on_numpy")
def test_nothing_is_changed_in_place():
    params = start()
    optimizer = nn.SGD(params, lr=0.1, momentum=0.5, dampening=0.1)
    before = params["p"].numpy().copy()
    new, advanced = optimizer(params, {"p": slope.ones(2, 3, dtype=slope.float64)})
    np.testing.assert_array_equal(params["p"].numpy(), before)
    assert (optimizer.steps, advanced.steps) == (0, 1)
    again, _ = optimizer(params, {"p": slope.ones(2, 3, dtype=slope.float64)})
    np.testing.assert_array_equal(new["p"].numpy(), again["p"].numpy())


@pytest.mark.usefixtures("on_numpy")
def test_the_mode_of_a_model_does_not_matter_to_its_optimizer():
    model = nn.Linear(2, 2)
    optimizer = nn.SGD(model, lr=0.1)
    model.eval()
    grads = slope.grad(lambda m: m(slope.ones(1, 2)).sum())(model)
    new, _ = optimizer(model, grads)
    assert new.training is False


# --- what is refused

MODEL = {"a": {"x": slope.ones(2)}, "b": slope.ones(3)} if hasattr(slope, "ones") else {}


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize(
    ("grads", "told"),
    [
        ({"a": {"y": slope.ones(2)}, "b": slope.ones(3)}, r"expected a\.x; found a\.y"),
        ({"a": {"x": slope.ones(2)}}, "expected b; found nothing instead"),
        ([slope.ones(2), slope.ones(3)], "expected a.x, b; found 0, 1"),
        (None, "found nothing"),
    ],
)
def test_gradients_of_another_structure(grads, told):
    with pytest.raises(errors.TreeError, match=f"do not have the model's structure: .*{told}"):
        nn.SGD(MODEL, lr=0.1)(MODEL, grads)


@pytest.mark.usefixtures("on_numpy")
def test_gradients_of_a_model_in_another_mode():
    model = nn.Linear(2, 2)
    grads = slope.grad(lambda m: m(slope.ones(1, 2)).sum())(model)
    with pytest.raises(errors.TreeError, match="a static field differs"):
        nn.SGD(model, lr=0.1)(model, grads.eval())


@pytest.mark.usefixtures("on_numpy")
def test_gradients_of_another_type():
    with pytest.raises(
        errors.ShapeError, match=r"gradient of 'b' is float32\[4\], .* is float32\[3\]"
    ):
        nn.SGD(MODEL, lr=0.1)(MODEL, {"a": {"x": slope.ones(2)}, "b": slope.ones(4)})
    with pytest.raises(errors.ShapeError, match=r"gradient of 'b' is float64\[3\]"):
        nn.SGD(MODEL, lr=0.1)(MODEL, {"a": {"x": None}, "b": slope.ones(3, dtype=slope.float64)})


@pytest.mark.usefixtures("on_numpy")
def test_another_model():
    with pytest.raises(
        errors.TreeError, match=r"made for another model: expected a\.x, b; found c"
    ):
        nn.SGD(MODEL, lr=0.1)({"c": slope.ones(2)}, {"c": slope.ones(2)})
    one: Any = nn.Module()
    other: Any = nn.Module()
    one.a, one.b = other.b, other.a = slope.ones(2), slope.ones(2)
    with pytest.raises(errors.TreeError, match="made for another model: the order is another"):
        nn.SGD(one, lr=0.1)(other, other)


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize(
    "settings", [{"lr": -1.0}, {"lr": "fast"}, {"lr": 1, "momentum": float("nan")}, {"lr": True}]
)
def test_hyperparameters_that_are_no_positive_numbers(settings):
    name = list(settings)[-1]
    with pytest.raises(errors.ArgumentError, match=f"{name} must be a number of at least 0"):
        nn.SGD(MODEL, **settings)


@pytest.mark.usefixtures("on_numpy")
def test_other_refusals():
    with pytest.raises(errors.ArgumentError, match="nesterov needs momentum"):
        nn.SGD(MODEL, lr=0.1, nesterov=True)
    with pytest.raises(errors.ArgumentError, match="nothing to train in a Linear of 2 tensors"):
        nn.SGD(nn.Linear(2, 2).freeze(), lr=0.1)
    with pytest.raises(errors.ArgumentError, match="pytree of tensors; 'a' is 'text'"):
        nn.SGD({"a": "text"}, lr=0.1)
    optimizer = nn.SGD(MODEL, lr=0.1)
    optimizer.momentum = 0.9
    with pytest.raises(errors.ArgumentError, match="momentum was switched on after"):
        optimizer(MODEL, MODEL)


@pytest.mark.usefixtures("on_numpy")
def test_an_undeclared_shared_tensor_is_told_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    with pytest.warns(
        UserWarning, match=r"'0\.weight' and '1\.weight' are one tensor.*self\.tie\("
    ) as told:
        nn.SGD(model, lr=0.1)
    assert told[0].filename == __file__
    model.tie("1.weight", "0.weight")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.SGD(model, lr=0.1)
