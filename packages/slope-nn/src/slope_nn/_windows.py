"""Windows of images as columns and back, and their power means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slope
from slope.extend import ArgumentError
from slope_nn._checks import real
from slope_nn._module import Module

Lengths = int | Sequence[int]


class Unfold(Module):
    """All windows of images as columns; see :func:`slope.unfold`.

    Args:
        kernel_size: height and width of a window, one number or two.
        dilation: how far apart its elements are.
        padding: zeros around the image.
        stride: how far it moves.
    """

    def __init__(
        self,
        kernel_size: Lengths,
        dilation: Lengths = 1,
        padding: Lengths = 0,
        stride: Lengths = 1,
    ) -> None:
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, h, w) to (n, c * elements of a window, windows)."""
        return slope.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Module):
    """Columns back into images, added where windows overlap; see :func:`slope.fold`.

    Args:
        output_size: height and width of the image, one number or two.
        kernel_size: height and width of a window, one number or two.
        dilation: how far apart its elements are.
        padding: zeros that were around the image.
        stride: how far it moves.
    """

    def __init__(
        self,
        output_size: Lengths,
        kernel_size: Lengths,
        dilation: Lengths = 1,
        padding: Lengths = 0,
        stride: Lengths = 1,
    ) -> None:
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c * elements of a window, windows) to (n, c, *output_size)."""
        return slope.fold(
            x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )


class LPPool2d(Module):
    """``(sum of x**norm_type)**(1 / norm_type)`` of each window; arguments as PyTorch's.

    Args:
        norm_type: the power; 1 gives sums, large ones come near the largest element.
        kernel_size: of the window, one length or one for each dimension.
        stride: how far it moves; its own size by default.
        ceil_mode: let the last window reach beyond the end, if it starts before it.
    """

    _dims = 2

    def __init__(
        self,
        norm_type: float,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        ceil_mode: bool = False,
    ) -> None:
        self.norm_type, self.kernel_size = (
            real(type(self).__name__, "norm_type", norm_type),
            kernel_size,
        )
        if self.norm_type == 0:
            raise ArgumentError(f"{type(self).__name__}: norm_type must not be 0.")
        self.stride, self.ceil_mode = stride, ceil_mode

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, ...) to fewer elements."""
        pools: Any = (slope.avg_pool1d, slope.avg_pool2d, slope.avg_pool3d)
        size = self.kernel_size
        count = size**self._dims if isinstance(size, int) else 1
        for length in () if isinstance(size, int) else size:
            count *= length
        powers = pools[self._dims - 1](x**self.norm_type, size, self.stride, 0, self.ceil_mode)
        return (slope.relu(powers) * count) ** (1.0 / self.norm_type)


class LPPool1d(LPPool2d):
    """Power sums of the windows of a sequence; see :class:`LPPool2d`."""

    _dims = 1


class LPPool3d(LPPool2d):
    """Power sums of the windows of a volume; see :class:`LPPool2d`."""

    _dims = 3
