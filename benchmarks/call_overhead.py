"""W6: what a call of a compiled function costs.

The function is ``x * 2 + 1`` on a tensor of shape (4,), alone and in a pytree of 100.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def slope_calls(backend: str, count: int) -> dict[str, Callable[[], object]]:
    """A jitted call on a backend of slope, and the backend's own call of the same executable."""
    import slope

    function = slope.jit(lambda xs: [x * 2 + 1 for x in xs], backend=backend)
    arguments = [slope.tensor(np.ones(4, np.float32)) for _ in range(count)]
    np.testing.assert_array_equal(function(arguments)[0].numpy(), np.full(4, 3, np.float32))
    compiled = next(iter(function._entries.values())).compiled  # noqa: SLF001  # to time what lies below slope's own call
    handles = [x.handle(compiled.backend) for x in arguments]
    return {
        f"slope/{backend}": lambda: function(arguments),
        f"slope/{backend} bare": lambda: compiled.executable(handles),
    }


def jax_calls(count: int) -> dict[str, Callable[[], object]]:
    """The same in JAX."""
    import jax
    import jax.numpy as jnp

    function = jax.jit(lambda xs: [x * 2 + 1 for x in xs])
    arguments: Any = [jnp.ones(4) for _ in range(count)]
    return {"jax": lambda: function(arguments)}


def contenders(
    backends: list[str], peers: list[str], count: int
) -> dict[str, Callable[[], object]]:
    """All of them, by name."""
    made: dict[str, Callable[[], object]] = {}
    for backend in backends:
        made.update(slope_calls(backend, count))
    if "jax" in peers:
        made.update(jax_calls(count))
    return made
