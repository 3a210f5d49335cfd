"""Layers whose weights are worked out from others: by weight and by spectral normalization."""

from __future__ import annotations

import copy
from typing import Any, Final

import slope
from slope.extend import ArgumentError
from slope_nn._checks import real, whole
from slope_nn._module import Module
from slope_nn._node import Buffer

_FIRST: Final = 15  # power iterations before the first call, as PyTorch's


def _weight(who: str, module: Any, name: str) -> slope.Tensor:
    known = isinstance(module, Module) and isinstance(name, str)
    weight = getattr(module, name, None) if known else None
    if not isinstance(weight, slope.Tensor) or weight.ndim < 1:
        raise ArgumentError(
            f"{who} takes a module with a tensor {name!r}, not {type(module).__name__}."
        )
    return weight


def _called(module: Any, name: str, weight: slope.Tensor, args: Any, options: Any) -> Any:
    """Call a module with another tensor in place of one of its own."""
    changed = copy.copy(module)
    setattr(changed, name, weight)
    return changed(*args, **options)


class WeightNorm(Module):
    r"""A layer whose weight is ``g * v / |v|``: length and direction are trained apart.

    As ``torch.nn.utils.weight_norm``. Source: T. Salimans, D. Kingma, "Weight normalization",
    NeurIPS 2016.

    Args:
        module: a layer; its own weight becomes v.
        name: which of its tensors.
        dim: the dimension along which there is a length for each place; ``None`` for one length.

    Attributes:
        module: the layer.
        g: the lengths, of the weight's shape with ones but for ``dim``.

    Example:
        >>> layer = nn.WeightNorm(nn.Linear(20, 40))
    """

    def __init__(self, module: Module, name: str = "weight", dim: int | None = 0) -> None:
        weight = _weight("WeightNorm", module, name)
        self.module = module
        self.name = name
        self.dim = None if dim is None else range(weight.ndim)[dim]
        self.g = self._lengths(weight)

    def _lengths(self, weight: slope.Tensor) -> slope.Tensor:
        over = tuple(dim for dim in range(weight.ndim) if dim != self.dim)
        return slope.sqrt((weight * weight).sum(over, keepdim=True)) if over else slope.abs(weight)

    @property
    def weight(self) -> slope.Tensor:
        """The weight that the layer is called with."""
        direction = getattr(self.module, self.name)
        return direction * (self.g / self._lengths(direction))

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the layer with its weight of length ``g``."""
        return _called(self.module, self.name, self.weight, args, options)


class SpectralNorm(Module):
    r"""A layer whose weight is divided by its largest singular value.

    That value is estimated by power iterations, some for each call in training, from where the
    last call ended; the weight counts as a matrix with ``dim`` for its rows. As
    ``torch.nn.utils.spectral_norm``. Source: T. Miyato et al., "Spectral normalization for
    generative adversarial networks", ICLR 2018.

    Args:
        module: a layer.
        name: which of its tensors.
        n_power_iterations: how many for each call in training.
        eps: the least length to divide by.
        dim: the rows; 0, but 1 for transposed convolutions.
        key: draws the first estimate; from slope's default generator if not given.

    Attributes:
        module: the layer, with the weight before.
        u, v: the estimates of the singular vectors, buffers.
    """

    u: Any
    v: Any

    def __init__(
        self,
        module: Module,
        name: str = "weight",
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        dim: int = 0,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        weight = _weight("SpectralNorm", module, name)
        self.module = module
        self.name = name
        self.n_power_iterations = whole("SpectralNorm", "n_power_iterations", n_power_iterations)
        self.eps = real("SpectralNorm", "eps", eps)
        self.dim = range(weight.ndim)[dim]
        matrix = self._matrix(weight)
        count = matrix.shape[1]
        drawn = slope.randn(count) if key is None else slope.random.normal(key, count)
        u, v = self._bettered(matrix, self._unit(drawn.to(weight.dtype)), _FIRST)
        self.u, self.v = Buffer(u), Buffer(v)

    def _matrix(self, weight: slope.Tensor) -> slope.Tensor:
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def _bettered(
        self, matrix: slope.Tensor, v: slope.Tensor, turns: int
    ) -> tuple[slope.Tensor, slope.Tensor]:
        """The estimates after some power iterations, which are no part of the derivative."""
        matrix = slope.stop_gradient(matrix)
        for _ in range(turns - 1):
            v = self._unit(self._unit(matrix @ v) @ matrix)
        u = self._unit(matrix @ v)
        return u, self._unit(u @ matrix)

    def _unit(self, x: slope.Tensor) -> slope.Tensor:
        return x / slope.maximum(slope.sqrt((x * x).sum()), self.eps)

    @property
    def weight(self) -> slope.Tensor:
        """The weight that the layer is called with, by the present estimates."""
        weight = getattr(self.module, self.name)
        return weight / (self.u @ (self._matrix(weight) @ self.v))

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the layer with its weight divided; in training, better the estimates first."""
        if self.training:
            matrix = self._matrix(getattr(self.module, self.name))
            self.u, self.v = self._bettered(matrix, self.v, self.n_power_iterations)
        return _called(self.module, self.name, self.weight, args, options)
