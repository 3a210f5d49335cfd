"""Convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import slope
from slope.extend import ArgumentError
from slope_nn import init
from slope_nn._keys import positive, split_key
from slope_nn._module import Module

Lengths = int | Sequence[int]


class _Convolution(Module):
    """What convolutions share: sizes, weight and bias, uniform at the start as in PyTorch."""

    _dims: int = 0

    def _make(
        self, channels: tuple[int, int], window: Lengths, groups: int, bias: bool, key: Any
    ) -> None:
        name = type(self).__name__
        positive(name, in_channels=channels[0], out_channels=channels[1], groups=groups)
        if channels[0] % groups or channels[1] % groups:
            raise ArgumentError(
                f"{name}: {groups} groups must divide {channels[0]} and {channels[1]} channels."
            )
        sizes = (window,) * self._dims if isinstance(window, int) else tuple(window)
        if len(sizes) != self._dims:
            raise ArgumentError(f"{name}: kernel_size takes {self._dims} lengths, not {window!r}.")
        self.in_channels, self.out_channels = channels
        self.kernel_size, self.groups = sizes, groups
        shape = (channels[1], channels[0] // groups, *sizes)
        bound = 1 / math.sqrt(init.fans(shape)[0])
        keys = split_key(key, 2)
        self.weight = init.uniform(shape, -bound, bound, key=keys[0])
        self.bias = init.uniform((channels[1],), -bound, bound, key=keys[1]) if bias else None

    def describe(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"bias={self.bias is not None}"
        )


class Conv2d(_Convolution):
    """Cross-correlation of images with learned windows; arguments as PyTorch's.

    Args:
        in_channels: length of dimension 1 of the input.
        out_channels: length of dimension 1 of the output.
        kernel_size: of the window, one length or one for each dimension.
        stride: how far the window moves.
        padding: zeros on both sides; or ``"same"`` or ``"valid"``.
        dilation: how far apart the window's elements are.
        groups: into how many groups the channels fall, each seen by itself.
        bias: whether to add a bias.
        key: draws the initial values.

    Attributes:
        weight: shape (out_channels, in_channels / groups, *kernel_size).
        bias: shape (out_channels,), or None.

    Example:
        >>> nn.Conv2d(3, 8, 3, padding=1)(slope.ones(1, 3, 32, 32)).shape
        (1, 8, 32, 32)
    """

    _dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths | str = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        self._make((in_channels, out_channels), kernel_size, groups, bias, key)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, in_channels, ...) to (n, out_channels, ...)."""
        function: Any = (slope.conv1d, slope.conv2d, slope.conv3d)[self._dims - 1]
        return function(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv1d(Conv2d):
    """Cross-correlation of sequences, (n, channels, length); see :class:`Conv2d`."""

    _dims = 1


class Conv3d(Conv2d):
    """Cross-correlation of volumes, (n, channels, a, b, c); see :class:`Conv2d`."""

    _dims = 3


class _Pool(Module):
    """What pooling layers share: the window and how it moves."""

    def __init__(
        self, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding


class MaxPool2d(_Pool):
    """The largest element of each window.

    Args:
        kernel_size: of the window.
        stride: how far it moves; its own size by default.
        padding: on both sides, never the largest.
    """

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, h, w) to a smaller image."""
        return slope.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool):
    """The mean of each window, zeros of the padding counted.

    Args:
        kernel_size: of the window.
        stride: how far it moves; its own size by default.
        padding: zeros on both sides.
    """

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, h, w) to a smaller image."""
        return slope.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class AdaptiveAvgPool2d(Module):
    """Means of as many windows as the output has pixels.

    Args:
        output_size: height and width, or one length for both.
    """

    def __init__(self, output_size: Lengths) -> None:
        self.output_size = output_size

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, h, w) to (n, c, *output_size)."""
        return slope.adaptive_avg_pool2d(x, self.output_size)
