"""L-BFGS: trajectories of ``torch.optim.LBFGS``, in and out of jit, and its limits."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

START = [-1.2, 1.0, 0.5, 2.0]
# Of PyTorch 2.13 in float64: after each of four calls with max_iter=7 and history_size=5, the
# point and how often the loss was evaluated so far.
FIXED = [
    (7, [-1.17674797188, 1.00531321872, 0.64028160266, 1.92740854761]),
    (14, [-1.17203572323, 1.01842880432, 0.71790556416, 1.90671878338]),
    (21, [-1.17157876355, 1.03637037109, 0.79295512173, 1.89990315234]),
    (28, [-1.17408556691, 1.05710139518, 0.86328247731, 1.90661648528]),
]
SEARCHED = [
    (8, [-1.04334335151, 1.09868428242, 1.21182631674, 1.46937766558]),
    (17, [-1.01944614865, 1.02587689128, 1.04612184698, 1.10248878227]),
    (26, [-0.94422373278, 0.91306891339, 0.82996710925, 0.68400551437]),
    (35, [-0.85663806890, 0.74366555918, 0.55288510633, 0.30297673278]),
]


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"lr": 1e-3}, FIXED), ({"line_search_fn": "strong_wolfe"}, SEARCHED)],
    ids=["fixed", "strong_wolfe"],
)
@pytest.mark.usefixtures("on_numpy")
def test_a_trajectory_is_pytorchs(settings, expected):
    x = slope.tensor(START, dtype=slope.float64)
    optimizer = nn.LBFGS(x, max_iter=7, history_size=5, **settings)
    step = slope.jit(lambda x, optimizer: optimizer(x, rosenbrock))
    for evaluations, place in expected:
        before = rosenbrock(x).item()
        x, optimizer, value = step(x, optimizer)
        assert value.item() == pytest.approx(before)
        np.testing.assert_allclose(x.numpy(), place, rtol=0, atol=1e-8)
        assert int(optimizer.evaluations) == evaluations
    assert step.compile_count == 1
    eager, _, _ = nn.LBFGS(x, max_iter=7, history_size=5, **settings)(
        slope.tensor(START, dtype=slope.float64), rosenbrock
    )
    np.testing.assert_allclose(eager.numpy(), expected[0][1], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["numpy", "onnxruntime", "iree"])
def test_a_model_is_fitted_on_every_backend(name):
    with slope.use_backend(name):
        slope.manual_seed(3)
        model: Any = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        model[0].bias = nn.Buffer(model[0].bias)
        x = slope.linspace(-1, 1, 40).reshape(20, 2)
        y = (x * x).sum(dim=1, keepdim=True)

        @slope.jit
        def fit(model, optimizer, x, y):
            return optimizer(model, lambda m, x, y: slope.mse_loss(m(x), y), x, y)

        optimizer = nn.LBFGS(model, line_search_fn="strong_wolfe", history_size=10)
        fitted, optimizer, before = fit(model, optimizer, x, y)
        fitted, optimizer, after = fit(fitted, optimizer, x, y)
    assert after.item() < 0.05 * before.item()
    np.testing.assert_array_equal(fitted[0].bias.numpy(), model[0].bias.numpy())


@pytest.mark.usefixtures("on_numpy")
def test_it_stops_where_nothing_is_left_to_do():
    x = slope.tensor([3.0, -1.0])

    def bowl(x):
        return (x * x).sum()

    optimizer = nn.LBFGS(x, max_iter=50)
    x, optimizer, _ = optimizer(x, bowl)
    np.testing.assert_allclose(x.numpy(), 0, atol=1e-6)
    seen = int(optimizer.evaluations)
    assert seen < 10
    again, optimizer, value = optimizer(slope.zeros(2), bowl)
    assert (again.numpy() == 0).all()
    assert value.item() == 0
    assert int(optimizer.evaluations) == seen + 1


@pytest.mark.usefixtures("on_numpy")
def test_what_it_refuses():
    x = slope.ones(3)
    optimizer = nn.LBFGS(x)
    with pytest.raises(errors.ArgumentError, match=r"the loss, not gradients.*Tensor"):
        optimizer(x, slope.ones(3))  # pyright: ignore[reportArgumentType]  # on purpose
    with pytest.raises(errors.TreeError, match="model of 1 tensors, and this one has 2"):
        optimizer([x, x], lambda m: m[0].sum())
    with pytest.raises(errors.ShapeError, match="of 3 numbers, and this model has 4"):
        optimizer(slope.ones(4), lambda m: m.sum())
    with pytest.raises(errors.ArgumentError, match="must be None or 'strong_wolfe', not 'armijo'"):
        nn.LBFGS(x, line_search_fn="armijo")
    with pytest.raises(errors.ArgumentError, match="nothing to train in a Tensor"):
        nn.LBFGS(slope.arange(3))
