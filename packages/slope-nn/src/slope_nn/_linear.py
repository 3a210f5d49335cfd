"""The affine map."""

from __future__ import annotations

import math

import slope
from slope_nn import init
from slope_nn._checks import positive
from slope_nn._keys import split_key
from slope_nn._module import Module
from slope_nn._placing import place


class Linear(Module):
    """An affine map of the last dimension: ``y = x @ weight.T + bias``.

    Args:
        in_features: length of the input's last dimension.
        out_features: length of the output's last dimension.
        bias: whether to add a bias.
        key: draws the initial values; from slope's default generator if not given.
        dtype: of the parameters, float32 by default.
        device: where they are.

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
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        bound = 1 / math.sqrt(in_features)
        keys = split_key(key, 2)
        self.weight = init.uniform((out_features, in_features), -bound, bound, key=keys[0])
        self.bias = init.uniform((out_features,), -bound, bound, key=keys[1]) if bias else None
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map ``x`` of shape (..., in_features) to (..., out_features)."""
        return slope.linear(x, self.weight, self.bias)

    def describe(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
