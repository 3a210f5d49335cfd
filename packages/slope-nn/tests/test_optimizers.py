"""Optimizers: trajectories against PyTorch's formulas, groups, clipping, wrappers, errors."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

CURVATURE = np.linspace(0.1, 1.0, 6).reshape(2, 3)


def start(dtype=np.float32):
    return {
        "p": slope.tensor(np.linspace(-1, 2, 6, dtype=dtype).reshape(2, 3)),
        "q": slope.tensor(np.linspace(0.5, -0.7, 4, dtype=dtype)),
    }


def loss_of(params):
    curvature = slope.tensor(CURVATURE, dtype=params["p"].dtype)
    return (0.5 * curvature * (params["p"] - 1.0) ** 2).sum() + slope.cos(params["q"]).sum()


def gradients_at(params):
    return {"p": CURVATURE * (params["p"] - 1.0), "q": -np.sin(params["q"])}


# The algorithms in the documentation of torch.optim, in float64, for one tensor: state is a dict.


def adam(
    p,
    g,
    s,
    t,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    amsgrad=False,
    decoupled_weight_decay=False,
):
    if decoupled_weight_decay:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    s["largest"] = np.maximum(s.get("largest", 0), s["v"])
    m, v = s["m"] / (1 - betas[0] ** t), (s["largest"] if amsgrad else s["v"])
    return p - lr * m / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def adamw(p, g, s, t, weight_decay=0.01, **settings):
    return adam(p, g, s, t, weight_decay=weight_decay, decoupled_weight_decay=True, **settings)


def adamax(p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["u"] = np.maximum(betas[1] * s.get("u", 0), np.abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def nadam(p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3):
    g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    now, ahead = (betas[0] * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in (t, t + 1))
    s["product"] = s.get("product", 1) * now
    root = np.sqrt(s["v"] / (1 - betas[1] ** t)) + eps
    p = p - lr * (1 - now) / (1 - s["product"]) * g / root
    return p - lr * ahead / (1 - s["product"] * ahead) * s["m"] / root


def radam(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    mean, most = s["m"] / (1 - betas[0] ** t), 2 / (1 - betas[1]) - 1
    rho = most - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if rho <= 5:
        return p - lr * mean
    scale = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return p - lr * mean * scale * np.sqrt(1 - betas[1] ** t) / (np.sqrt(s["v"]) + eps)


def adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    g = g + weight_decay * p
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    step = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * step**2
    return p - lr * step


def lamb(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
    step = -adam(np.zeros_like(p), g, s, t, 1.0, betas, eps) + weight_decay * p
    own, length = np.linalg.norm(p), np.linalg.norm(step)
    return p - lr * (own / length if own > 0 and length > 0 else 1.0) * step


def rmsprop(
    p, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False
):
    g = g + weight_decay * p
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2
    s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
    spread = s["v"] - s["a"] ** 2 if centered else s["v"]
    s["b"] = momentum * s.get("b", 0) + g / (np.sqrt(spread) + eps)
    return p - lr * s["b"]


def adagrad(
    p, g, s, t, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10
):
    g = g + weight_decay * p
    s["s"] = s.get("s", initial_accumulator_value) + g**2
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["s"]) + eps)


def lion(p, g, s, t, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    m = s.get("m", 0)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p * (1 - lr * weight_decay) - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


def adafactor(p, g, s, t, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0):
    eps1 = np.finfo(np.float32).eps if eps[0] is None else eps[0]
    newest = t**beta2_decay
    alpha = max(eps[1], np.sqrt((p**2).mean())) * min(lr, 1 / np.sqrt(t))
    p = p * (1 - lr * weight_decay)
    if p.ndim > 1:
        for name, dim in (("r", -1), ("c", -2)):
            mean = (g**2).mean(dim, keepdims=True)
            s[name] = s.get(name, 0) + newest * (mean - s.get(name, 0))
        spread = s["r"] @ s["c"] / np.maximum(s["r"].mean(-2, keepdims=True), eps1)
    else:
        s["v"] = s.get("v", 0) + newest * (g**2 - s.get("v", 0))
        spread = s["v"]
    step = g / np.sqrt(np.maximum(spread, eps1**2))
    return p - alpha / max(1.0, np.sqrt((step**2).mean()) / d) * step


def asgd(p, g, s, t, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0):
    g = g + weight_decay * p
    eta = s.get("eta", lr)
    p = p * (1 - lambd * eta) - eta * g
    s["mean"] = s.get("mean", 0) + s.get("mu", 1) * (p - s.get("mean", 0))
    s["eta"], s["mu"] = lr / (1 + lambd * lr * t) ** alpha, 1 / max(1, t - t0)
    return p


def rprop(p, g, s, t, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    turn = np.sign(g * s.get("g", 0))
    factor = np.where(turn > 0, etas[1], np.where(turn < 0, etas[0], 1))
    s["size"] = np.clip(s.get("size", lr) * factor, *step_sizes)
    s["g"] = np.where(turn < 0, 0, g)
    return p - s["size"] * np.sign(s["g"])


def muon(
    p,
    g,
    s,
    lr=1e-3,
    weight_decay=0.1,
    momentum=0.95,
    nesterov=True,
    ns_steps=5,
    adjust_lr_fn=None,
):
    s["m"] = s.get("m", 0) + (1 - momentum) * (g - s.get("m", 0))
    x = g + momentum * (s["m"] - g) if nesterov else s["m"]
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(ns_steps):  # on either side it is the same polynomial of the singular values
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    n, m = p.shape
    ratio = 0.2 * np.sqrt(max(n, m)) if adjust_lr_fn == "match_rms_adamw" else max(1, n / m) ** 0.5
    return p * (1 - lr * weight_decay) - lr * ratio * x


CASES = [
    (nn.Adam, adam, {}),
    (nn.Adam, adam, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    (nn.AdamW, adamw, {}),
    (nn.AdamW, adamw, {"lr": 0.02, "weight_decay": 0.3}),
    (nn.Adamax, adamax, {}),
    (nn.Adamax, adamax, {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1}),
    (nn.NAdam, nadam, {}),
    (nn.NAdam, nadam, {"lr": 0.01, "weight_decay": 0.1, "momentum_decay": 0.1}),
    (nn.RAdam, radam, {}),
    (nn.RAdam, radam, {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    (nn.Adadelta, adadelta, {}),
    (nn.Adadelta, adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1}),
    (nn.LAMB, lamb, {"lr": 0.01}),
    (nn.LAMB, lamb, {"lr": 0.01, "weight_decay": 0.1}),
    (nn.RMSprop, rmsprop, {}),
    (nn.Adam, adam, {"lr": 0.05, "betas": (0.9, 0.9), "amsgrad": True, "weight_decay": 0.1}),
    (nn.AdamW, adamw, {"lr": 0.05, "betas": (0.9, 0.9), "amsgrad": True}),
    (nn.Adam, adam, {"lr": 0.01, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    (nn.RMSprop, rmsprop, {"lr": 0.002, "momentum": 0.8, "weight_decay": 0.1}),
    (nn.RMSprop, rmsprop, {"lr": 0.002, "centered": True, "eps": 1e-3}),
    (nn.Adagrad, adagrad, {}),
    (nn.Adagrad, adagrad, {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1}),
    (nn.Adagrad, adagrad, {"initial_accumulator_value": 0.5}),
    (nn.ASGD, asgd, {"t0": 10}),
    (nn.ASGD, asgd, {"lr": 0.1, "lambd": 0.05, "alpha": 0.5, "weight_decay": 0.1}),
    (nn.Rprop, rprop, {}),
    (nn.Rprop, rprop, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2)}),
    (nn.Lion, lion, {"lr": 1e-3}),
    (nn.Lion, lion, {"lr": 1e-3, "betas": (0.95, 0.98), "weight_decay": 0.5}),
    (nn.Adafactor, adafactor, {}),
    (nn.Adafactor, adafactor, {"lr": 0.05, "weight_decay": 0.1, "d": 0.5, "eps": (1e-8, 1e-2)}),
]


def reference(formula, settings, steps=100, dtype=np.float32):
    params = {name: tensor.numpy().astype(np.float64) for name, tensor in start(dtype).items()}
    states: dict[str, dict[str, Any]] = {"p": {}, "q": {}}
    for t in range(1, steps + 1):
        grads = gradients_at(params)
        params = {k: formula(params[k], grads[k], states[k], t, **settings) for k in params}
    return params


def run(make, steps=100, jitted=True, dtype=np.float32):
    def step(params, optimizer):
        return optimizer(params, slope.grad(loss_of)(params))

    step = slope.jit(step) if jitted else step
    params = start(dtype)
    optimizer = make(params)
    for _ in range(steps):
        params, optimizer = step(params, optimizer)
    if jitted:
        assert step.compile_count == 1
    return params


@pytest.mark.parametrize(
    ("make", "formula", "settings"), CASES, ids=lambda c: getattr(c, "__name__", str(c))
)
@pytest.mark.usefixtures("on_numpy")
def test_a_trajectory_of_100_steps_in_float32_is_pytorchs(make, formula, settings):
    params = run(lambda model: make(model, **settings))
    expected = reference(formula, settings)
    for name, values in expected.items():
        np.testing.assert_allclose(params[name].numpy(), values, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "formula", "settings"), CASES, ids=lambda c: getattr(c, "__name__", str(c))
)
@pytest.mark.usefixtures("on_numpy")
def test_a_trajectory_of_float64_parameters_loses_no_digits(make, formula, settings):
    if make is nn.Adafactor:
        settings = {"eps": (1e-8, 1e-2), **settings}  # the default is the dtype's
    params = run(lambda model: make(model, **settings), steps=20, dtype=np.float64)
    expected = reference(formula, settings, steps=20, dtype=np.float64)
    for name, values in expected.items():
        np.testing.assert_allclose(params[name].numpy(), values, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("on_numpy")
def test_a_schedule_of_float64_parameters_loses_no_digits():
    make = nn.CosineSchedule(0.1, 50)
    params = run(lambda model: nn.SGD(model, lr=make), steps=20, dtype=np.float64)
    rates = 0.05 * (1 + np.cos(np.pi * np.arange(20) / 50))
    expected = start(np.float64)["p"].numpy()
    for rate in rates:
        expected = expected - rate * CURVATURE * (expected - 1.0)
    np.testing.assert_allclose(params["p"].numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("on_numpy")
def test_the_averaged_model_of_asgd():
    params = start()
    optimizer = nn.ASGD(params, lr=0.1, t0=3)
    seen = []
    for _ in range(8):
        params, optimizer = optimizer(params, slope.grad(loss_of)(params))
        seen.append(params["p"].numpy())
    # The mean starts anew at step t0 + 1, the fifth.
    mean = np.mean(seen[4:], axis=0)
    np.testing.assert_allclose(optimizer.averaged(params)["p"].numpy(), mean, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.02},
        {"lr": 0.02, "weight_decay": 0.5, "nesterov": False, "momentum": 0.8},
        {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    ],
)
@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (3, 3)])
@pytest.mark.usefixtures("on_numpy")
def test_a_trajectory_of_muon(shape, settings):
    values = np.random.default_rng(3).normal(size=shape)
    model = slope.tensor(values, dtype=slope.float32)
    optimizer = nn.Muon(model, **settings)
    step = slope.jit(lambda m, o: o(m, slope.grad(lambda x: (x**4).sum())(m)))
    state: dict[str, Any] = {}
    for _ in range(30):
        model, optimizer = step(model, optimizer)
        values = muon(values, 4 * values**3, state, **settings)
    np.testing.assert_allclose(model.numpy(), values, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("on_numpy")
def test_muon_leaves_the_rest_to_another_optimizer():
    params = {"p": start()["p"], "head": start()["p"] + 1.0, "q": start()["q"]}
    grads = slope.tree_map(slope.ones_like, params)
    optimizer = nn.Muon(
        params, rest=nn.SGD(params, lr=0.5), where=lambda name, _: name == "p", weight_decay=0.0
    )
    assert optimizer._trained() == [False, True, False]  # head, p, q
    after, optimizer = slope.jit(lambda p, o, g: o(p, g))(params, optimizer, grads)
    for name in ("q", "head"):
        np.testing.assert_allclose(after[name].numpy(), params[name].numpy() - 0.5, atol=1e-6)
    alone, _ = nn.Muon(params["p"], weight_decay=0.0)(params["p"], grads["p"])
    np.testing.assert_allclose(after["p"].numpy(), alone.numpy(), atol=1e-6)
    assert optimizer.rest.lr == pytest.approx(0.5)


@pytest.mark.parametrize("make", [nn.NAdam, nn.RAdam])
@pytest.mark.usefixtures("on_numpy")
def test_weight_decay_apart_from_the_gradient(make):
    grads = slope.grad(loss_of)(start())
    plain, _ = make(start(), lr=0.1)(start(), grads)
    decayed, _ = make(start(), lr=0.1, weight_decay=0.5, decoupled_weight_decay=True)(
        start(), grads
    )
    for name, before in start().items():
        lost = plain[name] - decayed[name]
        np.testing.assert_allclose(lost.numpy(), 0.1 * 0.5 * before.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        nn.SGD,
        nn.Adam,
        nn.AdamW,
        nn.LAMB,
        nn.Adamax,
        nn.NAdam,
        nn.RAdam,
        nn.RMSprop,
        nn.Adagrad,
        nn.Adadelta,
        nn.ASGD,
        nn.Lion,
        nn.Adafactor,
    ],
)
@pytest.mark.usefixtures("on_numpy")
def test_to_maximize_is_to_minimize_the_negative(make):
    grads = slope.grad(loss_of)(start())
    settings = {"lr": 0.1, "weight_decay": 0.2}
    up, _ = make(start(), **settings, maximize=True)(start(), grads)
    negative = slope.tree_map(lambda g: -g, grads)
    down, _ = make(start(), **settings)(start(), negative)
    other, _ = make(start(), **settings)(start(), grads)
    for name in up:
        np.testing.assert_array_equal(up[name].numpy(), down[name].numpy())
        assert not np.array_equal(up[name].numpy(), other[name].numpy())


@pytest.mark.usefixtures("on_numpy")
def test_the_settings_of_sgd_come_in_pytorchs_order():
    made = nn.SGD(start(), 0.1, 0.9, 0.2, 0.3)
    assert (made.lr, made.momentum, made.dampening, made.weight_decay) == (0.1, 0.9, 0.2, 0.3)


@pytest.mark.usefixtures("on_numpy")
def test_eager_steps_are_the_same():
    for make, formula, settings in CASES[::2]:
        params = run(lambda model, m=make, s=settings: m(model, **s), steps=5, jitted=False)
        expected = reference(formula, settings, steps=5)
        np.testing.assert_allclose(params["p"].numpy(), expected["p"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["onnxruntime", "iree"])
def test_all_optimizers_in_one_program_on_every_backend(name):
    def steps(params):
        grads = slope.grad(loss_of)(params)
        out = []
        for make, _, settings in CASES:
            optimizer = make(params, **settings)
            once, optimizer = optimizer(params, grads)
            out.append(optimizer(once, grads)[0]["p"])
        return slope.stack(out)

    with slope.use_backend("numpy"):
        expected = slope.jit(steps)(start()).numpy()
    with slope.use_backend(name):
        np.testing.assert_allclose(slope.jit(steps)(start()).numpy(), expected, atol=2e-6)


@pytest.mark.usefixtures("on_numpy")
def test_the_program_of_adamw_holds_thirteen_instructions_for_a_tensor():
    def count(tensors):
        params = [slope.ones(3) for _ in range(tensors)]
        step = slope.jit(lambda model, optimizer, grads: optimizer(model, grads))
        program = step.lower(params, nn.AdamW(params), params).program
        return len([line for line in program.instrs if line.outputs[0].type.shape])

    assert count(3) - count(2) == 13  # tensors of one shape share the broadcasts


@pytest.mark.usefixtures("on_numpy")
def test_numbers_are_leaves_and_zero_is_no_work():
    params = start()
    optimizer = nn.Adam(params)
    assert optimizer.weight_decay is None
    assert optimizer.betas == pytest.approx((0.9, 0.999))
    optimizer.betas = (0.5, 0.9)
    assert optimizer.betas == pytest.approx((0.5, 0.9))
    step = slope.jit(lambda p, o: o(p, slope.grad(loss_of)(p)))
    params, optimizer = step(params, optimizer)
    optimizer.lr, optimizer.betas, optimizer.eps = 0.5, (0.4, 0.3), 1e-3
    step(params, optimizer)
    assert step.compile_count == 1


@pytest.mark.usefixtures("on_numpy")
def test_groups_have_settings_of_their_own():
    params = start()
    grads = slope.grad(loss_of)(params)
    by_name = [(lambda name, tensor: tensor.ndim == 1, {"lr": 0.5, "weight_decay": 0.0})]
    by_tree = [({"p": False, "q": True}, {"lr": 0.5, "weight_decay": 0.0})]
    for groups in (by_name, by_tree):
        optimizer = nn.AdamW(params, lr=0.1, weight_decay=0.2, groups=groups)
        stepped, optimizer = optimizer(params, grads)
        for name, settings in (
            ("p", {"lr": 0.1, "weight_decay": 0.2}),
            ("q", {"lr": 0.5, "weight_decay": 0.0}),
        ):
            values = adamw(params[name].numpy(), grads[name].numpy(), {}, 1, **settings)
            np.testing.assert_allclose(stepped[name].numpy(), values, atol=1e-6)
        optimizer.groups[0].lr = 0.0
        after, _ = optimizer(stepped, grads)
        np.testing.assert_array_equal(after["q"].numpy(), stepped["q"].numpy())
        assert not np.array_equal(after["p"].numpy(), stepped["p"].numpy())


@pytest.mark.usefixtures("on_numpy")
def test_frozen_parameters_and_absent_gradients_are_kept():
    slope.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].freeze()
    grads = slope.grad(lambda m, x: m(x).sum())(model, slope.ones(2, 3))
    stepped: Any = nn.Adam(model)(model, grads)[0]
    np.testing.assert_array_equal(stepped[0].weight.numpy(), model[0].weight.numpy())
    assert not np.array_equal(stepped[1].weight.numpy(), model[1].weight.numpy())


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda p: nn.Adam(p, betas=(0.9,)), "Adam: betas must be 2 numbers"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda p: nn.Adam(p, betas=(0.9, 1.0)), "below 1, not 1.0"),
        (lambda p: nn.Adam(p, lr=-1), "Adam: lr must be a number of at least 0, not -1"),
        (lambda p: nn.AdamW(p, groups=[({"p": 1, "q": True}, {})]), "pytree of bools; it holds 1"),
        (lambda p: nn.AdamW(p, groups=[({"p": True}, {})]), "group 0 does not fit the model"),
        (lambda p: nn.AdamW(p, groups=[(True, {"l": 1.0})]), "a group sets l; the settings"),
        (lambda p: nn.AdamW(p, groups=[(True, {"betas": (0.1, 0.2)})]), "cannot set betas"),
        (nn.Muon, r"Muon: 'q' is float32\[4\], and only matrices.*Muon\(model, rest=nn.AdamW"),
        (lambda p: nn.Muon(p["p"], adjust_lr_fn="rms"), "must be 'original' or 'match_rms_adamw'"),
        (lambda p: nn.Muon(p["p"], ns_coefficients=(1.0,)), "ns_coefficients must be three numb"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda p: nn.Muon(p, rest=nn.SGD), "Muon: rest must be an optimizer"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda p: nn.Rprop(p, etas=(1.2, 0.5)), "etas must be a number below 1 and one above"),
        (lambda p: nn.Rprop(p, step_sizes=0.1), "Rprop: step_sizes must be two numbers"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda p: nn.Adafactor(p, eps=1.0), "eps must be two numbers"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda p: nn.Adafactor(p, beta2_decay=1.0), "beta2_decay must be"),
        (lambda p: nn.Accumulate(nn.SGD(p, 0.1), p, every=0), "every must be an int"),
        (lambda p: nn.EMA(p, decay=2.0), "decay must be between 0 and 1"),
        (lambda p: nn.global_norm(p, 0.5), "norm_type must be at least 1"),
    ],
)
def test_bad_settings_are_refused(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make(start())


@pytest.mark.usefixtures("on_numpy")
def test_gradients_are_clipped():
    grads = {"a": slope.tensor([3.0, -4.0]), "b": slope.tensor([[12.0]]), "c": None}
    clipped, norm = slope.jit(lambda g: nn.clip_grad_norm(g, 6.5))(grads)
    assert norm.item() == pytest.approx(13.0)
    assert clipped["c"] is None
    np.testing.assert_allclose(clipped["a"].numpy(), [1.5, -2.0], rtol=1e-6)
    kept, _ = nn.clip_grad_norm(grads, 20.0)
    np.testing.assert_array_equal(kept["a"].numpy(), [3.0, -4.0])
    for power, expected in ((1.0, 19.0), (3.0, (27 + 64 + 1728) ** (1 / 3)), (slope.inf, 12.0)):
        assert nn.global_norm(grads, power).item() == pytest.approx(expected, rel=1e-6)
    cut = nn.clip_grad_value(grads, 3.5)
    np.testing.assert_array_equal(cut["a"].numpy(), [3.0, -3.5])
    np.testing.assert_array_equal(cut["b"].numpy(), [[3.5]])
    half, _ = nn.clip_grad_norm({"a": slope.ones(2, dtype=slope.bfloat16)}, 1.0)
    assert half["a"].dtype is slope.bfloat16
    assert nn.global_norm([]).item() == 0


@pytest.mark.usefixtures("on_numpy")
def test_accumulation_steps_with_the_mean():
    params = start()
    wrapped = nn.Accumulate(nn.Adam(params, lr=0.1), params, every=3)
    plain = nn.Adam(params, lr=0.1)
    all_grads = [
        slope.tree_map(lambda x, s=scale: x * s, slope.grad(loss_of)(params)) for scale in (1, 2, 6)
    ]
    step = slope.jit(lambda m, o, g: o(m, g))
    model = params
    for _ in range(2):
        for place, grads in enumerate(all_grads):
            before = model
            model, wrapped = step(model, wrapped, grads)
            if place < 2:
                np.testing.assert_array_equal(model["p"].numpy(), before["p"].numpy())
        params, plain = plain(params, slope.tree_map(lambda x: x / 2, all_grads[2]))
        np.testing.assert_allclose(model["p"].numpy(), params["p"].numpy(), atol=1e-6)
    assert step.compile_count == 1


def test_accumulation_refuses_a_model_for_an_optimizer():
    params = start()
    with pytest.raises(errors.ArgumentError, match=r"an optimizer, its model and .* got a dict"):
        nn.Accumulate(params, nn.Adam(params), every=2)  # pyright: ignore[reportArgumentType]  # on purpose


@pytest.mark.usefixtures("on_numpy")
def test_averaged_weights():
    model: Any = nn.Linear(2, 2)
    first = model.weight.numpy().copy()
    average: Any = nn.EMA(model, decay=0.9)
    model.weight = model.weight + 1.0
    update = slope.jit(lambda a, m: a.update(m))
    for _ in range(3):
        average = update(average, model)
    expected = first + (1 - 0.9**3)
    np.testing.assert_allclose(average.model.weight.numpy(), expected, rtol=1e-5)
    assert average.decay == pytest.approx(0.9)
    assert average.model(slope.ones(1, 2)).shape == (1, 2)
    with pytest.raises(errors.TreeError, match="has 1 tensors and the average 2"):
        average.update(nn.Linear(2, 2, bias=False))
