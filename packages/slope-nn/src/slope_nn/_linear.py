"""The affine map."""

from __future__ import annotations

import math

import slope
from slope.extend import ArgumentError
from slope_nn._module import Module


class Linear(Module):
    """An affine map of the last dimension: ``y = x @ weight.T + bias``.

    Args:
        in_features: length of the input's last dimension.
        out_features: length of the output's last dimension.
        bias: whether to add a bias.
        key: draws the initial values; from slope's default generator if not given.

    Attributes:
        weight: shape (out_features, in_features).
        bias: shape (out_features,), or None.

    Both start uniform in ``[-1 / sqrt(in_features), 1 / sqrt(in_features))``, as in PyTorch, with
    the same values on every backend.

    Example:
        >>> nn.Linear(3, 2)(slope.ones(4, 3)).shape
        (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        for name, count in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ArgumentError(f"Linear: {name} must be a positive int, not {count!r}.")
        self.in_features = in_features
        self.out_features = out_features
        bound = 1 / math.sqrt(in_features)
        keys = (None, None) if key is None else slope.random.split(key, 2)
        self.weight = _uniform((out_features, in_features), bound, keys[0])
        self.bias = _uniform((out_features,), bound, keys[1]) if bias else None

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map ``x`` of shape (..., in_features) to (..., out_features)."""
        return slope.linear(x, self.weight, self.bias)

    def describe(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


def _uniform(shape: tuple[int, ...], bound: float, key: slope.Tensor | None) -> slope.Tensor:
    unit = slope.rand(*shape) if key is None else slope.random.uniform(key, shape)
    # Subtract, then multiply: no backend can fuse that into one rounding, so all agree to the bit.
    return (unit - 0.5) * (2 * bound)
