"""W1 and W2: one training step of a perceptron with ReLU between its layers.

The loss is softmax cross-entropy, the optimizer SGD with momentum. Forward, gradient and update are
one compiled program in slope and in JAX.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from systems import Array, Call, Program, to_tinygrad, to_torch, training

RATE, MOMENTUM = 0.02, 0.9


class Size(NamedTuple):
    """How many examples a batch holds, and the widths of the layers from inputs to classes."""

    batch: int
    widths: tuple[int, ...]


W1 = Size(200, (784, 100, 10))
W2 = Size(256, (784, 1024, 1024, 10))
TINY = Size(4, (6, 5, 3))


def data(size: Size) -> tuple[Array, Array]:
    """Random images and labels, the same at every run."""
    random = np.random.default_rng(0)
    images = random.random((size.batch, size.widths[0]), np.float32)
    return images, random.integers(0, size.widths[-1], size.batch)


def parameters(size: Size) -> dict[str, Array]:
    """Initial weights (outputs, inputs) and biases, by the names that `Sequential` gives them."""
    random = np.random.default_rng(1)
    made: dict[str, Array] = {}
    for number, (inputs, outputs) in enumerate(pairwise(size.widths)):
        weight = random.standard_normal((outputs, inputs)) / np.sqrt(inputs)
        made[f"{2 * number}.weight"] = weight.astype(np.float32)
        made[f"{2 * number}.bias"] = np.full(outputs, 0.01, np.float32)
    return made


def slope_program(backend: str, size: Size) -> Program:
    """The step on a backend of slope."""
    import slope
    from slope import nn

    layers: list[Any] = []
    for inputs, outputs in pairwise(size.widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).load_state_dict(parameters(size))

    def loss_of(model: Any, images: Any, labels: Any) -> Any:
        return slope.cross_entropy(model(images), labels)

    @slope.jit(backend=backend, donate=(0, 1))
    def step(model: Any, optimizer: Any, images: Any, labels: Any) -> Any:
        loss, gradients = slope.value_and_grad(loss_of)(model, images, labels)
        return loss, *optimizer(model, gradients)

    images, labels = map(slope.tensor, data(size))
    return Program(step, (model, nn.SGD(model, RATE, MOMENTUM)), (images, labels))


def jax_program(size: Size) -> Program:
    """The step in JAX."""
    import jax
    import jax.numpy as jnp

    def loss_of(layers: Any, images: Any, labels: Any) -> Any:
        x = images
        for number, (weight, bias) in enumerate(layers):
            x = x @ weight + bias
            if number < len(layers) - 1:
                x = jax.nn.relu(x)
        return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1).mean()

    def step(layers: Any, velocities: Any, images: Any, labels: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(layers, images, labels)
        velocities = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocities, gradients)
        layers = jax.tree.map(lambda p, v: p - RATE * v, layers, velocities)
        return loss, layers, velocities

    given = [jnp.asarray(each.T) for each in parameters(size).values()]
    layers = list(zip(given[::2], given[1::2], strict=True))
    state = (layers, jax.tree.map(jnp.zeros_like, layers))
    images, labels = map(jnp.asarray, data(size))
    return Program(jax.jit(step, donate_argnums=(0, 1)), state, (images, labels))


def torch_step(size: Size, compiled: bool) -> Call:
    """The step in PyTorch, eager or with the model compiled."""
    import torch
    from torch import nn

    layers: list[Any] = []
    for inputs, outputs in pairwise(size.widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    model.load_state_dict({name: to_torch(each) for name, each in parameters(size).items()})
    images, labels = map(to_torch, data(size))
    model = model.to(images.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    forward: Any = torch.compile(model) if compiled else model

    def call() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return call


def tinygrad_step(size: Size) -> Call:
    """The step in tinygrad."""
    from tinygrad import Context, TinyJit, nn

    layers = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(size.widths)]
    given = [to_tinygrad(each) for each in parameters(size).values()]
    for layer, weight, bias in zip(layers, given[::2], given[1::2], strict=True):
        layer.weight, layer.bias = weight, bias
    optimizer = nn.optim.SGD(given, lr=RATE, momentum=MOMENTUM)
    images, labels = map(to_tinygrad, data(size))

    @TinyJit
    def step() -> Any:
        with Context(TRAINING=1):
            optimizer.zero_grad()
            x = images
            for layer in layers[:-1]:
                x = layer(x).relu()
            loss = layers[-1](x).sparse_categorical_crossentropy(labels).backward()
            return loss.realize(*optimizer.schedule_step())

    return lambda: step().item()


def contenders(backends: list[str], peers: list[str], size: Size) -> dict[str, Call]:
    """All of them, by name, warmed up and checked to follow the same losses."""
    steps = slope_program, jax_program, torch_step, tinygrad_step
    return training(backends, peers, size, *steps)
