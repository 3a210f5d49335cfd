"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn import init
from slope_nn._checks import ints, positive
from slope_nn._keys import split_key
from slope_nn._module import Module
from slope_nn._placing import place

Lengths = int | Sequence[int]


PADDINGS: Final = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What convolutions share: sizes, weight and bias, uniform at the start as in PyTorch."""

    _dims: int = 0

    def _make(
        self,
        channels: tuple[int, int],
        shape: tuple[int, int],
        window: Lengths,
        groups: int,
        bias: bool,
        key: Any,
    ) -> None:
        """Set sizes; the weight gets ``shape`` before the window's sizes."""
        self.in_channels, self.out_channels = channels
        self.kernel_size, self.groups = self._lengths("kernel_size", window), groups
        if min(self.kernel_size) < 1:
            raise ArgumentError(f"{type(self).__name__}: kernel_size={window!r} must be positive.")
        whole = (*shape, *self.kernel_size)
        bound = 1 / math.sqrt(init.fans(whole)[0])
        keys = split_key(key, 2)
        self.weight = init.uniform(whole, -bound, bound, key=keys[0])
        self.bias = init.uniform((channels[1],), -bound, bound, key=keys[1]) if bias else None

    def _check(self, channels: tuple[int, int], groups: int) -> None:
        name = type(self).__name__
        positive(name, in_channels=channels[0], out_channels=channels[1], groups=groups)
        if channels[0] % groups or channels[1] % groups:
            raise ArgumentError(
                f"{name}: {groups} groups must divide {channels[0]} and {channels[1]} channels."
            )

    def _lengths(self, argument: str, given: Lengths) -> tuple[int, ...]:
        return ints(type(self).__name__, argument, given, self._dims)

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
        padding: how much is added on both sides; or ``"same"`` or ``"valid"``.
        dilation: how far apart the window's elements are.
        groups: into how many groups the channels fall, each seen by itself.
        bias: whether to add a bias.
        padding_mode: what is added: ``"zeros"``, or ``"reflect"``, ``"replicate"`` or
            ``"circular"``, see :func:`slope.pad`.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

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
        padding_mode: str = "zeros",
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        channels = (in_channels, out_channels)
        self._check(channels, groups)
        if padding_mode not in PADDINGS:
            raise ArgumentError(
                f"{type(self).__name__}: padding_mode must be one of {', '.join(PADDINGS)}, not "
                f"{padding_mode!r}."
            )
        self._make(channels, (out_channels, in_channels // groups), kernel_size, groups, bias, key)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.padding_mode = padding_mode
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, in_channels, ...) to (n, out_channels, ...)."""
        function: Any = (slope.conv1d, slope.conv2d, slope.conv3d)[self._dims - 1]
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            x, padding = slope.pad(x, self._widths(), self.padding_mode), 0
        return function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self) -> list[int]:
        """What to add before and after each dimension, the last first, as ``slope.pad`` takes."""
        if isinstance(self.padding, str):
            same = self.padding == "same"
            gaps = self._lengths("dilation", self.dilation)
            totals = [
                gap * (width - 1) * same for gap, width in zip(gaps, self.kernel_size, strict=True)
            ]
            pairs = [(total // 2, total - total // 2) for total in totals]
        else:
            pairs = [(each, each) for each in self._lengths("padding", self.padding)]
        return [width for pair in reversed(pairs) for width in pair]


class Conv1d(Conv2d):
    """Cross-correlation of sequences, (n, channels, length); see :class:`Conv2d`."""

    _dims = 1


class Conv3d(Conv2d):
    """Cross-correlation of volumes, (n, channels, a, b, c); see :class:`Conv2d`."""

    _dims = 3


class ConvTranspose2d(_Convolution):
    """Transposed convolution of images, which enlarges them; arguments as PyTorch's.

    Args:
        in_channels: length of dimension 1 of the input.
        out_channels: length of dimension 1 of the output.
        kernel_size: of the window, one length or one for each dimension.
        stride: how far the window moves in the output.
        padding: how much is cut from both sides of the output.
        output_padding: how much longer the output is at its end; less than stride or dilation.
        groups: into how many groups the channels fall, each seen by itself.
        bias: whether to add a bias.
        dilation: how far apart the window's elements are.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape (in_channels, out_channels / groups, *kernel_size).
        bias: shape (out_channels,), or None.

    Example:
        >>> nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)(slope.ones(1, 8, 16, 16)).shape
        (1, 3, 32, 32)
    """

    _dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Lengths = 1,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        channels = (in_channels, out_channels)
        self._check(channels, groups)
        self._make(channels, (in_channels, out_channels // groups), kernel_size, groups, bias, key)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.output_padding = output_padding
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor, output_size: Sequence[int] | None = None) -> slope.Tensor:
        """Map shape (n, in_channels, ...) to (n, out_channels, ...).

        Args:
            x: the input; the batch may be left out.
            output_size: the spatial lengths of the output, of those that differ by less than the
                stride; instead of ``output_padding``.

        Raises:
            ShapeError: no ``output_padding`` gives that size.
        """
        function: Any = (
            slope.conv_transpose1d,
            slope.conv_transpose2d,
            slope.conv_transpose3d,
        )[self._dims - 1]
        extra = self.output_padding if output_size is None else self._extra(x, output_size)
        return function(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, x: slope.Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that leads to an output of a size."""
        wanted = self._lengths("output_size", tuple(output_size)[-self._dims :])
        steps = self._lengths("stride", self.stride)
        arounds = self._lengths("padding", self.padding)
        gaps = self._lengths("dilation", self.dilation)
        least = [
            (length - 1) * step - 2 * around + gap * (width - 1) + 1
            for length, step, around, gap, width in zip(
                x.shape[-self._dims :], steps, arounds, gaps, self.kernel_size, strict=True
            )
        ]
        most = [low + step - 1 for low, step in zip(least, steps, strict=True)]
        if any(not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
            raise ShapeError(
                f"{type(self).__name__}: output_size {tuple(output_size)} for an input {x.type}; "
                f"it can be from {tuple(least)} to {tuple(most)}."
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(ConvTranspose2d):
    """Transposed convolution of sequences, (n, channels, length); see :class:`ConvTranspose2d`."""

    _dims = 1


class ConvTranspose3d(ConvTranspose2d):
    """Transposed convolution of volumes, (n, channels, a, b, c); see :class:`ConvTranspose2d`."""

    _dims = 3
