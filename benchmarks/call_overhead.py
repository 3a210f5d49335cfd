"""W6: what a call of a compiled function costs.

The function is ``x * 2 + 1`` on a tensor of shape (4,), in a pytree of 1, 10 or 100 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from systems import chosen, to_torch

COUNTS = (1, 10, 100)

Call = Callable[[], Any]


def every(xs: Any) -> Any:
    """The function."""
    return {name: x * 2 + 1 for name, x in xs.items()}


def arguments(count: int, make: Callable[[Any], Any]) -> Any:
    """The pytree."""
    return {f"x{number}": make(np.ones(4, np.float32)) for number in range(count)}


def slope_call(backend: str, count: int) -> Call:
    """A call on a backend of slope."""
    import slope

    function, given = slope.jit(every, backend=backend), arguments(count, slope.tensor)
    return lambda: function(given)


def jax_call(count: int) -> Call:
    """A call in JAX."""
    import jax
    import jax.numpy as jnp

    function, given = jax.jit(every), arguments(count, jnp.asarray)
    return lambda: function(given)


def torch_call(count: int, compiled: bool) -> Call:
    """A call in PyTorch, which runs the operators one by one unless compiled."""
    import torch

    function = torch.compile(every) if compiled else every
    given = arguments(count, to_torch)
    return lambda: function(given)


def contenders(backends: list[str], peers: list[str], count: int) -> dict[str, Call]:
    """All of them, by name, checked to give the same."""
    made = {f"slope/{name}": slope_call(name, count) for name in backends}
    makers: dict[str, Callable[[], Call]] = {
        "jax": lambda: jax_call(count),
        "torch": lambda: torch_call(count, compiled=False),
        "torch.compile": lambda: torch_call(count, compiled=True),
    }
    made |= chosen(peers, makers)
    for name, call in made.items():
        out = call()
        assert len(out) == count, name
        for value in out.values():
            np.testing.assert_array_equal(np.asarray(value), np.full(4, 3, np.float32), name)
    return made
