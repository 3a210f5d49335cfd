"""W4: one training step of a convolutional network with batch normalization.

Three stages of two 3x3 convolutions each, every one followed by batch normalization and ReLU; the
first convolution of the second and third stage moves by 2. Then the mean over the image and a
linear map. The loss is softmax cross-entropy, the optimizer SGD with momentum. Forward, gradient,
running statistics and update are one compiled program in slope and in JAX.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from systems import Array, Call, Program, chosen, same_numbers, to_tinygrad, to_torch

RATE, MOMENTUM = 0.02, 0.9
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1


class Size(NamedTuple):
    """Images in a batch, their channels and side, the channels of the stages, and the classes."""

    batch: int
    channels: int
    side: int
    stages: tuple[int, ...]
    classes: int

    def convolutions(self) -> Iterator[tuple[int, int, int]]:
        """Channels in and out and the stride of each."""
        before = self.channels
        for number, wide in enumerate(self.stages):
            yield before, wide, 2 if number else 1
            yield wide, wide, 1
            before = wide


W4 = Size(32, 3, 32, (16, 32, 64), 10)
TINY = Size(4, 3, 8, (4, 8), 5)


def data(size: Size) -> tuple[Array, Array]:
    """Random images (batch, channels, side, side) and labels, the same at every run."""
    random = np.random.default_rng(0)
    shape = (size.batch, size.channels, size.side, size.side)
    return random.random(shape, np.float32), random.integers(0, size.classes, size.batch)


def parameters(size: Size) -> dict[str, Array]:
    """Initial weights and statistics, by the names that `Sequential` gives them."""
    random = np.random.default_rng(1)
    made: dict[str, Array] = {}
    number = 0
    for before, wide, _ in size.convolutions():
        weight = random.standard_normal((wide, before, 3, 3)) / np.sqrt(9 * before)
        made[f"{number}.weight"] = weight.astype(np.float32)
        for field, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            made[f"{number + 1}.{field}"] = np.full(wide, value, np.float32)
        number += 3
    weight = random.standard_normal((size.classes, size.stages[-1])) / np.sqrt(size.stages[-1])
    made[f"{number + 2}.weight"] = weight.astype(np.float32)
    made[f"{number + 2}.bias"] = np.zeros(size.classes, np.float32)
    return made


def layers(nn: Any, size: Size) -> list[Any]:
    """The layers, in slope or in PyTorch: both call them the same."""
    made: list[Any] = []
    for before, wide, stride in size.convolutions():
        made.append(nn.Conv2d(before, wide, 3, stride=stride, padding=1, bias=False))
        made += [nn.BatchNorm2d(wide, NORM_EPS, NORM_MOMENTUM), nn.ReLU()]
    return [*made, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size.stages[-1], size.classes)]


def slope_program(backend: str, size: Size) -> Program:
    """The step on a backend of slope."""
    import slope
    from slope import nn

    def loss_of(model: Any, images: Any, labels: Any) -> Any:
        return slope.cross_entropy(model(images), labels), model

    @slope.jit(backend=backend, donate=(0, 1))
    def step(model: Any, optimizer: Any, images: Any, labels: Any) -> Any:
        differentiated = slope.value_and_grad(loss_of, has_aux=True)
        (loss, model), gradients = differentiated(model, images, labels)
        return loss, *optimizer(model, gradients)

    model = nn.Sequential(*layers(nn, size)).load_state_dict(parameters(size))
    batch = tuple(map(slope.tensor, data(size)))
    return Program(step, (model, nn.SGD(model, RATE, MOMENTUM)), batch)


def jax_program(size: Size) -> Program:
    """The step in JAX; its models keep channels last."""
    import jax
    import jax.numpy as jnp

    def normed(p: Any, running: Any, x: Any) -> tuple[Any, Any]:
        mean = x.mean((0, 1, 2))
        variance = ((x - mean) ** 2).mean((0, 1, 2))
        count = x.size // x.shape[-1]
        share = NORM_MOMENTUM
        running = {
            "mean": (1 - share) * running["mean"] + share * mean,
            "var": (1 - share) * running["var"] + share * variance * (count / (count - 1)),
        }
        out = (x - mean) * jax.lax.rsqrt(variance + NORM_EPS) * p["scale"] + p["bias"]
        return out, jax.lax.stop_gradient(running)

    def loss_of(p: Any, running: Any, images: Any, labels: Any) -> Any:
        x, new = images, []
        for weights, before, (_, _, stride) in zip(
            p["blocks"], running, size.convolutions(), strict=True
        ):
            x = jax.lax.conv_general_dilated(
                x,
                weights["kernel"],
                (stride, stride),
                ((1, 1), (1, 1)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            x, after = normed(weights, before, x)
            x = jax.nn.relu(x)
            new.append(after)
        scores = jax.nn.log_softmax(x.mean((1, 2)) @ p["weight"] + p["bias"])
        return -jnp.take_along_axis(scores, labels[:, None], 1).mean(), new

    def step(p: Any, velocities: Any, running: Any, images: Any, labels: Any) -> Any:
        differentiated = jax.value_and_grad(loss_of, has_aux=True)
        (loss, running), gradients = differentiated(p, running, images, labels)
        velocities = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocities, gradients)
        p = jax.tree.map(lambda each, v: each - RATE * v, p, velocities)
        return loss, p, velocities, running

    p, running = jax_parameters(size)
    images, labels = data(size)
    batch = (jnp.asarray(images.transpose(0, 2, 3, 1)), jnp.asarray(labels))
    state = (p, jax.tree.map(jnp.zeros_like, p), running)
    return Program(jax.jit(step, donate_argnums=(0, 1, 2)), state, batch)


def jax_parameters(size: Size) -> tuple[Any, Any]:
    """The initial weights and running statistics, kernels as (height, width, in, out)."""
    import jax.numpy as jnp

    given = {name: jnp.asarray(each) for name, each in parameters(size).items()}
    blocks, running = [], []
    for number in range(0, 3 * len(list(size.convolutions())), 3):
        norm = f"{number + 1}"
        kernel = given[f"{number}.weight"].transpose(2, 3, 1, 0)
        scale, bias = given[f"{norm}.weight"], given[f"{norm}.bias"]
        blocks.append({"kernel": kernel, "scale": scale, "bias": bias})
        statistics = {"mean": given[f"{norm}.running_mean"], "var": given[f"{norm}.running_var"]}
        running.append(statistics)
    weight, bias = list(given.values())[-2:]
    return {"blocks": blocks, "weight": weight.T, "bias": bias}, running


def torch_step(size: Size, compiled: bool = False, channels_last: bool = False) -> Call:
    """The step in PyTorch, eager or with the model compiled, in either layout."""
    import torch
    from torch import nn

    model = nn.Sequential(*layers(nn, size))
    given = {name: to_torch(each) for name, each in parameters(size).items()}
    model.load_state_dict(given, strict=False)  # it also counts batches
    images, labels = map(to_torch, data(size))
    model = model.to(images.device)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
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

    blocks = [
        (
            nn.Conv2d(before, wide, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm(wide, NORM_EPS, momentum=NORM_MOMENTUM),
        )
        for before, wide, stride in size.convolutions()
    ]
    head = nn.Linear(size.stages[-1], size.classes)
    given = {name: to_tinygrad(each) for name, each in parameters(size).items()}
    for number, (conv, norm) in enumerate(blocks):
        conv.weight = given[f"{3 * number}.weight"]
        for field in ("weight", "bias", "running_mean", "running_var"):
            setattr(norm, field, given[f"{3 * number + 1}.{field}"])
    head.weight, head.bias = list(given.values())[-2:]
    trained = [value for name, value in given.items() if "running" not in name]
    optimizer = nn.optim.SGD(trained, lr=RATE, momentum=MOMENTUM)
    running = [value for name, value in given.items() if "running" in name]
    images, labels = map(to_tinygrad, data(size))

    @TinyJit
    def step() -> Any:
        with Context(TRAINING=1):
            optimizer.zero_grad()
            x = images
            for conv, norm in blocks:
                x = norm(conv(x)).relu()
            loss = head(x.mean((2, 3))).sparse_categorical_crossentropy(labels).backward()
            return loss.realize(*optimizer.schedule_step(), *running)

    return lambda: step().item()


def contenders(backends: list[str], peers: list[str], size: Size) -> dict[str, Call]:
    """All of them, by name, warmed up and checked to follow the same losses."""
    made = {f"slope/{name}": slope_program(name, size).running() for name in backends}
    made |= chosen(
        peers,
        {
            "jax": lambda: jax_program(size).running(),
            "torch": lambda: torch_step(size),
            "torch channels last": lambda: torch_step(size, channels_last=True),
            "torch.compile": lambda: torch_step(size, compiled=True, channels_last=True),
            "tinygrad": lambda: tinygrad_step(size),
        },
    )
    return same_numbers(made, tolerance=1e-3)  # rounding grows where variances are small
