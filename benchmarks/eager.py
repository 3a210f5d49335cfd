"""W8: 1,000 small operators, one after the other, outside of every compiled function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from systems import Call, chosen, same_numbers, to_torch

OPERATORS = 1000
SHAPE = (16, 16)


def chain(x: Any, w: Any, b: Any, tanh: Callable[[Any], Any], operators: int) -> Any:
    """A chain of operators: a product of matrices, a sum, a function, a number times a matrix."""
    for _ in range(operators // 4):
        x = tanh(x @ w + b) * 0.9
    return x


def data() -> list[np.ndarray[Any, Any]]:
    """Three matrices, the same at every run."""
    random = np.random.default_rng(0)
    return [(random.standard_normal(SHAPE) / 8).astype(np.float32) for _ in range(3)]


def slope_chain(backend: str, operators: int) -> Call:
    """The chain on a backend of slope."""
    import slope

    x, w, b = map(slope.tensor, data())

    def call() -> float:
        with slope.use_backend(backend):
            return chain(x, w, b, slope.tanh, operators)[0, 0].item()

    return call


def jax_chain(operators: int) -> Call:
    """The chain in JAX, without jit."""
    import jax.numpy as jnp

    x, w, b = map(jnp.asarray, data())

    def call() -> float:
        return float(chain(x, w, b, jnp.tanh, operators)[0, 0])

    return call


def torch_chain(operators: int) -> Call:
    """The chain in PyTorch."""
    import torch

    x, w, b = map(to_torch, data())

    def call() -> float:
        return chain(x, w, b, torch.tanh, operators)[0, 0].item()

    return call


def contenders(
    backends: list[str], peers: list[str], operators: int = OPERATORS
) -> dict[str, Call]:
    """All of them, by name, warmed up and checked to agree; tinygrad runs no operator at once."""
    made = {f"slope/{name}": slope_chain(name, operators) for name in backends}
    makers: dict[str, Callable[[], Call]] = {
        "jax": lambda: jax_chain(operators),
        "torch": lambda: torch_chain(operators),
    }
    return same_numbers(made | chosen(peers, makers), steps=1, tolerance=1e-3)
