"""W1: one training step of an MLP 784-100-10 on a batch of 200.

The loss is softmax cross-entropy, the optimizer SGD with momentum.

The whole step, forward, gradient and update, is one compiled program in slope and in JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BATCH, INPUTS, HIDDEN, CLASSES = 200, 784, 100, 10
RATE, MOMENTUM = 0.1, 0.9
STEPS_CHECKED = 20

Step = Callable[[], float]


def data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A batch of random images and labels, the same at every run."""
    random = np.random.default_rng(0)
    return random.random((BATCH, INPUTS), np.float32), random.integers(0, CLASSES, BATCH)


def parameters() -> list[np.ndarray[Any, Any]]:
    """Initial weights, ``(inputs, outputs)``, and biases."""
    random = np.random.default_rng(1)
    shapes = [(INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,)]
    return [(random.standard_normal(shape) * 0.05).astype(np.float32) for shape in shapes]


def slope_step(backend: str) -> Step:
    """The step on a backend of slope."""
    import slope

    def loss(params: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = params
        return slope.cross_entropy(slope.relu(x @ w1 + b1) @ w2 + b2, y)

    @slope.jit(backend=backend)
    def step(params: Any, velocities: Any, x: Any, y: Any, rate: float, momentum: float) -> Any:
        value, grads = slope.value_and_grad(loss)(params, x, y)
        velocities = [momentum * v + g for v, g in zip(velocities, grads, strict=True)]
        params = [p - rate * v for p, v in zip(params, velocities, strict=True)]
        return value, params, velocities

    x, y = map(slope.tensor, data())
    state = [
        [slope.tensor(p) for p in parameters()],
        [slope.tensor(np.zeros_like(p)) for p in parameters()],
    ]

    def call() -> float:
        value, state[0], state[1] = step(state[0], state[1], x, y, RATE, MOMENTUM)
        return value.item()

    return call


def jax_step() -> Step:
    """The step in JAX."""
    import jax
    import jax.numpy as jnp

    def loss(params: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = params
        logits = jax.nn.relu(x @ w1 + b1) @ w2 + b2
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    @jax.jit
    def step(params: Any, velocities: Any, x: Any, y: Any, rate: float, momentum: float) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        velocities = [momentum * v + g for v, g in zip(velocities, grads, strict=True)]
        params = [p - rate * v for p, v in zip(params, velocities, strict=True)]
        return value, params, velocities

    x, y = map(jnp.asarray, data())
    state = [[jnp.asarray(p) for p in parameters()], [jnp.zeros_like(p) for p in parameters()]]

    def call() -> float:
        value, state[0], state[1] = step(state[0], state[1], x, y, RATE, MOMENTUM)
        return float(value)

    return call


def torch_step() -> Step:
    """The step in PyTorch, eager."""
    import torch

    x, y = map(torch.from_numpy, data())
    params = [torch.from_numpy(p).requires_grad_() for p in parameters()]
    optimizer = torch.optim.SGD(params, lr=RATE, momentum=MOMENTUM)

    def call() -> float:
        w1, b1, w2, b2 = params
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(torch.relu(x @ w1 + b1) @ w2 + b2, y)
        value.backward()
        optimizer.step()
        return value.item()

    return call


def contenders(backends: list[str], peers: list[str]) -> dict[str, Step]:
    """All of them, by name, each warmed up and checked to follow the same losses."""
    made: dict[str, Step] = {f"slope/{backend}": slope_step(backend) for backend in backends}
    if "jax" in peers:
        made["jax"] = jax_step()
    if "torch" in peers:
        made["torch"] = torch_step()
    losses = {name: [call() for _ in range(STEPS_CHECKED)] for name, call in made.items()}
    first = next(iter(losses.values()))
    for name, each in losses.items():
        np.testing.assert_allclose(each, first, rtol=2e-4, err_msg=f"{name} computes other losses")
    return made
