"""What type checkers know of transformed functions: `nox -s lint` checks these types."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import slope
from slope import Tensor, nn


def loss(w: Tensor, x: Tensor) -> Tensor:
    return (x @ w).square().sum()


def loss_and_more(w: Tensor, x: Tensor) -> tuple[Tensor, str]:
    return loss(w, x), "more"


@slope.jit
def step(model: nn.Linear, x: Tensor, rate: float) -> tuple[Tensor, nn.Linear]:
    return model(x).sum() * rate, model


@slope.jit(static_argnames="times")
def scaled(x: Tensor, times: int) -> Tensor:
    return x * times


@slope.custom_jvp
def doubled(x: Tensor) -> Tensor:
    return x + x


doubled.defjvps(lambda tangent, out, x: tangent + tangent)
W, X = slope.ones(2), slope.ones(3, 2)


def test_compiled_functions_keep_their_results(backend):
    assert_type(step(nn.Linear(2, 3), X, 0.5), tuple[Tensor, nn.Linear])
    assert_type(scaled(np.ones(2), times=2), Tensor)  # arrays do for tensors
    assert_type(doubled(X), Tensor)
    assert assert_type(step.compile_count, int) >= 1
    assert_type(scaled.lower(X, 2).program, slope.Program)


def test_transformed_functions_keep_their_arguments_and_results(backend):
    assert_type(slope.value_and_grad(loss)(W, X), tuple[Tensor, Any])
    (value, more), _ = slope.value_and_grad(loss_and_more, has_aux=True)(W, X)
    assert_type(value, Tensor)
    assert assert_type(more, str) == "more"
    assert_type(slope.vmap(loss, in_dims=(None, 0))(W, X), Tensor)
    assert_type(slope.checkpoint(loss)(W, x=X), Tensor)
    assert_type(slope.jvp(loss, (W, X), (W, X)), tuple[Tensor, Tensor])
    out, pullback, more = slope.vjp(loss_and_more, W, X, has_aux=True)
    assert_type(out, Tensor)
    assert assert_type(more, str) == "more"
    assert len(pullback(out)) == 2
