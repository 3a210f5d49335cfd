"""Options of optimizers that turn their formulas: maximize, amsgrad, decoupled weight decay."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")
NAMES = (
    "SGD", "Adam", "AdamW", "LAMB", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam",
    "Lion", "Adafactor",
)  # fmt: skip
START = np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3)


def gradient_at(p):
    return {"p": slope.cos(p["p"]) + 0.3 * p["p"]}


def steps_of(make, count=40, sign=1.0):
    params = {"p": slope.tensor(START)}
    optimizer = make(params)
    for _ in range(count):
        gradients = slope.tree_map(lambda g: sign * g, gradient_at(params))
        params, optimizer = optimizer(params, gradients)
    return params["p"].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_to_maximize_is_to_follow_the_gradient_turned_around(name):
    cls: Any = getattr(nn, name)
    options = {"lr": 0.01, "weight_decay": 0.1}
    up = steps_of(lambda p: cls(p, **options, maximize=True))
    np.testing.assert_array_equal(up, steps_of(lambda p: cls(p, **options), sign=-1.0))
    assert not np.array_equal(up, steps_of(lambda p: cls(p, **options)))


@pytest.mark.parametrize("cls", [nn.Adam, nn.AdamW])
def test_amsgrad_divides_by_the_largest_mean_square(cls):
    p, m, v, most = START.astype(np.float64), 0.0, 0.0, 0.0
    for t in range(1, 41):
        g = np.cos(p) + 0.3 * p
        g, p = (g + 0.1 * p, p) if cls is nn.Adam else (g, p * (1 - 0.02 * 0.1))
        m, v = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g**2
        most = np.maximum(most, v)
        p = p - 0.02 * m / (1 - 0.9**t) / (np.sqrt(most / (1 - 0.9**t)) + 1e-8)
    given = {"lr": 0.02, "betas": (0.9, 0.9), "weight_decay": 0.1}
    got = steps_of(lambda p: cls(p, **given, amsgrad=True))
    np.testing.assert_allclose(got, p, atol=2e-6)
    assert np.abs(got - steps_of(lambda p: cls(p, **given))).max() > 1e-3


loose: Any = nn  # so that type checkers let wrong arguments pass
TORCH = {
    "SGD": {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01, "maximize": True},
    "Adam": {"amsgrad": True, "weight_decay": 0.01, "maximize": True},
    "AdamW": {"amsgrad": True},
    "NAdam": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "RAdam": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "RMSprop": {"centered": True, "momentum": 0.5, "weight_decay": 0.01, "maximize": True},
    "Adagrad": {"lr_decay": 0.01, "maximize": True},
    "Adadelta": {"weight_decay": 0.01, "maximize": True},
    "Adamax": {"weight_decay": 0.01, "maximize": True},
}


@pytest.mark.parametrize("name", TORCH)
def test_trajectories_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    leaf = torch.nn.Parameter(torch.tensor(START))
    theirs = getattr(torch.optim, name)([leaf], lr=0.01, **TORCH[name])
    for _ in range(40):
        leaf.grad = (leaf.cos() + 0.3 * leaf).detach()
        theirs.step()
    got = steps_of(lambda p: getattr(nn, name)(p, lr=0.01, **TORCH[name]))
    np.testing.assert_allclose(got, leaf.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam"])
def test_arguments_stand_in_pytorchs_order(name):
    torch = pytest.importorskip("torch")
    theirs = [*inspect.signature(getattr(torch.optim, name)).parameters]
    ours = [*inspect.signature(getattr(nn, name)).parameters]
    count = ours.index("groups")  # it is slope's, and stands behind
    assert ours[1:count] == theirs[1:count]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda m: loose.Adam(m, amsgrad="yes"), "Adam: amsgrad must be True or False, not 'yes'"),
        (lambda m: loose.SGD(m, 0.1, maximize=2), "SGD: maximize must be True or False, not 2"),
        (lambda m: loose.SGD(m, 0.1, 0.9, 0, 0, 1e-4), "SGD: nesterov must be True or False, not"),
        (lambda m: loose.RMSprop(m, centered=None), "RMSprop: centered must be True or False"),
        (lambda m: loose.SGD(m, 0.1, groups=[3]), "groups must be pairs of a filter and a dict"),
    ],
)
def test_bad_options_are_refused(make: Any, told):
    with pytest.raises(errors.ArgumentError, match=told):
        make(nn.Linear(1, 1))
