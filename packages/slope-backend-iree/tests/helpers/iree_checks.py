"""How tests compare what IREE and the NumPy backend make of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import slope
from slope.tree import tree_leaves


def randoms(*shape: int, dtype: Any = np.float32, seed: int = 0) -> slope.Tensor:
    """A tensor of normally distributed numbers."""
    return slope.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def code(f: Callable[..., Any], *args: Any) -> str:
    """What a function becomes: StableHLO, and the kernels of our own."""
    return slope.jit(f, backend="iree").lower(*args).code


def agree(f: Callable[..., Any], *args: Any, near: float = 1e-5) -> None:
    """The function's results are those of the NumPy backend, floats to within a tolerance."""
    found, expected = (slope.jit(f, backend=name)(*args) for name in ("iree", "numpy"))
    for out, want in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        assert out.type == want.type
        if out.dtype.is_floating_point:
            np.testing.assert_allclose(out.numpy(), want.numpy(), near, near)
        else:
            np.testing.assert_array_equal(out.numpy(), want.numpy())


def check(f: Callable[..., Any], *args: Any, kernels: int = 1, near: float = 1e-5) -> None:
    """The function's loops are so many kernels, and its results those of the NumPy backend."""
    text = code(f, *args)
    assert text.count("stream.executable private") == kernels
    main = text.partition("func.func @main")[2]
    assert "stablehlo.while" not in main
    assert "scf.while" not in main
    agree(f, *args, near=near)
