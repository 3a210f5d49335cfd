"""More activations as modules: each calls the function of its name in ``slope``."""

from __future__ import annotations

import slope
from slope.extend import ArgumentError
from slope_nn._activations import Elementwise, Rectifier
from slope_nn._checks import positive, real
from slope_nn._module import Module
from slope_nn._placing import place


class ReLU6(Rectifier):
    """``min(max(x, 0), 6)``, element by element."""

    _function = staticmethod(slope.relu6)


class SELU(Rectifier):
    """``scale * (max(x, 0) + min(alpha * (exp(x) - 1), 0))``, with fixed scale and alpha."""

    _function = staticmethod(slope.selu)


class SiLU(Rectifier):
    """``x * sigmoid(x)``, element by element."""

    _function = staticmethod(slope.silu)


class Mish(Rectifier):
    """``x * tanh(log(1 + exp(x)))``, element by element."""

    _function = staticmethod(slope.mish)


class Hardsigmoid(Rectifier):
    """``min(max(x + 3, 0), 6) / 6``, element by element."""

    _function = staticmethod(slope.hardsigmoid)


class Hardswish(Rectifier):
    """``x * min(max(x + 3, 0), 6) / 6``, element by element."""

    _function = staticmethod(slope.hardswish)


class Softsign(Elementwise):
    """``x / (1 + |x|)``, element by element."""

    _function = staticmethod(slope.softsign)


class Tanhshrink(Elementwise):
    """``x - tanh(x)``, element by element."""

    _function = staticmethod(slope.tanhshrink)


class LogSigmoid(Elementwise):
    """``log(1 / (1 + exp(-x)))``, element by element."""

    _function = staticmethod(slope.logsigmoid)


class LeakyReLU(Module):
    """``x`` where x > 0, else negative_slope * x.

    Args:
        negative_slope: the factor below zero.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        del inplace
        self.negative_slope = real("LeakyReLU", "negative_slope", negative_slope)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """``x`` where x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: minus the limit below.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        del inplace
        self.alpha = real("ELU", "alpha", alpha)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.elu(x, self.alpha)


class CELU(Module):
    """``x`` where x > 0, else alpha * (exp(x / alpha) - 1).

    Args:
        alpha: minus the limit below.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        del inplace
        self.alpha = real("CELU", "alpha", alpha)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.celu(x, self.alpha)


class Hardtanh(Module):
    """``min(max(x, min_val), max_val)``, element by element.

    Args:
        min_val: the lower bound.
        max_val: the upper bound.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        del inplace
        self.min_val = real("Hardtanh", "min_val", min_val)
        self.max_val = real("Hardtanh", "max_val", max_val)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.hardtanh(x, self.min_val, self.max_val)


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``, element by element.

    Args:
        beta: how sharp the bend is.
        threshold: x itself where beta * x is above.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = real("Softplus", "beta", beta)
        self.threshold = real("Softplus", "threshold", threshold)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.softplus(x, self.beta, self.threshold)


class Hardshrink(Module):
    """``x`` where |x| > lambd, else 0.

    Args:
        lambd: half the width of the gap.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = real("Hardshrink", "lambd", lambd)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.hardshrink(x, self.lambd)


class Softshrink(Module):
    """``x`` moved toward 0 by lambd, 0 where it would cross.

    Args:
        lambd: how far.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = real("Softshrink", "lambd", lambd)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.softshrink(x, self.lambd)


class Threshold(Module):
    """``x`` where x > threshold, else value.

    Args:
        threshold: the threshold.
        value: what stands below it.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        del inplace
        self.threshold = real("Threshold", "threshold", threshold)
        self.value = real("Threshold", "value", value)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.threshold(x, self.threshold, self.value)


class GLU(Module):
    """``a * sigmoid(b)``, a and b the halves of x along a dimension.

    Args:
        dim: the dimension; of even length.
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.glu(x, self.dim)


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along a dimension.

    Args:
        dim: the dimension.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.softmax(x, self.dim)


class Softmin(Module):
    """``exp(-x) / sum(exp(-x))`` along a dimension.

    Args:
        dim: the dimension.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.softmin(x, self.dim)


class LogSoftmax(Module):
    """``x - log(sum(exp(x)))`` along a dimension.

    Args:
        dim: the dimension.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of any shape."""
        return slope.log_softmax(x, self.dim)


class PReLU(Module):
    """``x`` where ``x > 0``, else ``weight * x``, with a weight that is learned.

    Args:
        num_parameters: 1, or the number of channels in dimension 1.
        init: the weight at the start.
        dtype: of the weight, float32 by default.
        device: where it is.

    Attributes:
        weight: shape (num_parameters,).
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        *,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        positive("PReLU", num_parameters=num_parameters)
        self.weight = slope.full((num_parameters,), init)
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of shape (n, num_parameters, ...), of any shape with one weight."""
        return slope.prelu(x, self.weight)


class Softmax2d(Module):
    """Softmax over the channels of (n, channels, height, width), at each pixel."""

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a tensor of shape (n, channels, height, width), or without n."""
        return slope.softmax(x, -3)


class RReLU(Module):
    """``x`` where ``x >= 0``, else ``a * x``: in training, ``a`` is drawn for each element.

    In evaluation it is the mean of ``lower`` and ``upper``. Source: B. Xu et al., "Empirical
    evaluation of rectified activations in convolutional network", arXiv:1505.00853.

    Args:
        lower: the smallest slope.
        upper: the largest slope.
        inplace: PyTorch's, and changes nothing: tensors do not change.
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        del inplace
        self.lower, self.upper = real("RReLU", "lower", lower), real("RReLU", "upper", upper)
        if self.lower > self.upper:
            raise ArgumentError(f"RReLU: lower={lower} must not exceed upper={upper}.")

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Apply it to a floating-point tensor of any shape."""
        if not self.training:
            return slope.leaky_relu(x, (self.lower + self.upper) / 2)
        factor = self.lower + (self.upper - self.lower) * slope.rand_like(x)
        return slope.where(x >= 0, x, factor * x)
