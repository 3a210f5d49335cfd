"""Activations and other layers without parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import slope
from slope.extend import ArgumentError
from slope_nn._checks import ints, probability
from slope_nn._module import Module


class Elementwise(Module):
    """The base of layers without parameters: a function of each element, ``_function``."""

    _function: ClassVar[Callable[..., slope.Tensor]]

    def __init__(self) -> None:
        """Take no arguments, and refuse those that are given."""

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return self._function(x)


class Rectifier(Elementwise):
    """The base of those that PyTorch can compute in place of their input.

    Args:
        inplace: changes nothing: tensors do not change, and the result is what comes back.
    """

    def __init__(self, inplace: bool = False) -> None:
        del inplace


class ReLU(Rectifier):
    """``max(x, 0)``, element by element."""

    _function = staticmethod(slope.relu)


class Tanh(Elementwise):
    """The hyperbolic tangent, element by element."""

    _function = staticmethod(slope.tanh)


class Sigmoid(Elementwise):
    """``1 / (1 + exp(-x))``, element by element."""

    _function = staticmethod(slope.sigmoid)


class GELU(Module):
    """``x * Phi(x)``, Phi the standard normal distribution function.

    Source: D. Hendrycks, K. Gimpel, "Gaussian error linear units", arXiv:1606.08415.

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the approximation by tanh.
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', not {approximate!r}.")
        self.approximate = approximate

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.gelu(x, approximate=self.approximate)


class Identity(Module):
    """Its input."""

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Give back ``x``."""
        return x


class Flatten(Module):
    """Join dimensions into one, by default all but the first.

    Args:
        start_dim: first dimension to join.
        end_dim: last dimension to join.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, a, b, ...) to (n, a * b * ...)."""
        return slope.flatten(x, self.start_dim, self.end_dim)


class Dropout(Module):
    """In training, zero elements at random and scale the rest to keep the mean; else nothing.

    The draws come from slope's default generator, so they are fresh at each call of a jitted
    function, too, and repeat from the seed. Source: N. Srivastava et al., "Dropout", JMLR 15, 2014.

    Args:
        p: the probability of zero, at least 0 and less than 1.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        del inplace
        self.p = probability(type(self).__name__, p)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a floating-point tensor of any shape."""
        if not self.training or self.p == 0:
            return x
        return slope.where(slope.rand_like(x) >= self.p, x / (1 - self.p), 0.0)


class Dropout1d(Dropout):
    """Dropout of whole channels of (n, channels, length); see :class:`Dropout`."""

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of shape (n, channels, length)."""
        return slope.dropout1d(x, self.p, self.training)


class Dropout2d(Dropout):
    """Dropout of whole channels of (n, channels, height, width); see :class:`Dropout`."""

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of shape (n, channels, height, width)."""
        return slope.dropout2d(x, self.p, self.training)


class Dropout3d(Dropout):
    """Dropout of whole channels of (n, channels, a, b, c); see :class:`Dropout`."""

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of shape (n, channels, a, b, c)."""
        return slope.dropout3d(x, self.p, self.training)


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance of what SELU gives; see :func:`slope.alpha_dropout`.

    Source: G. Klambauer et al., "Self-normalizing neural networks", 2017.
    """

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a floating-point tensor of any shape."""
        return slope.alpha_dropout(x, self.p, self.training)


class Unflatten(Module):
    """Split one dimension into several.

    Args:
        dim: which.
        unflattened_size: the new lengths; one may be -1.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = ints("Unflatten", "unflattened_size", unflattened_size)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (..., a * b, ...) to (..., a, b, ...)."""
        return slope.unflatten(x, self.dim, self.unflattened_size)
