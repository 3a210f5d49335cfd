"""Pooling: means and maxima of windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import slope
from slope_nn._module import Module

Lengths = int | Sequence[int]


class MaxPool2d(Module):
    """The largest element of each window; arguments as PyTorch's.

    Args:
        kernel_size: of the window, one length or one for each dimension.
        stride: how far it moves; its own size by default.
        padding: on both sides, never the largest; at most half the window.
        dilation: how far apart the window's elements are.
        return_indices: also give where the largest elements are.
        ceil_mode: let the last window reach beyond the end, if it starts before it.

    Example:
        >>> nn.MaxPool2d(2)(slope.ones(1, 3, 32, 32)).shape
        (1, 3, 16, 16)
    """

    _function: ClassVar[Callable[..., Any]] = staticmethod(slope.max_pool2d)

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        dilation: Lengths = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def __call__(self, x: slope.Tensor) -> Any:
        """Map shape (n, c, ...) to fewer elements.

        Returns:
            The largest elements; with ``return_indices`` the pair of them and of their places, see
            :func:`slope.max_pool2d`.
        """
        return self._function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool1d(MaxPool2d):
    """The largest element of each window of a sequence; see :class:`MaxPool2d`."""

    _function = staticmethod(slope.max_pool1d)


class MaxPool3d(MaxPool2d):
    """The largest element of each window of a volume; see :class:`MaxPool2d`."""

    _function = staticmethod(slope.max_pool3d)


class MaxUnpool2d(Module):
    """Values back at the places that :class:`MaxPool2d` took them from, zeros elsewhere.

    Args:
        kernel_size: of the pooling's windows, one length or one for each dimension.
        stride: how far they moved; their own size by default.
        padding: of the pooling.
    """

    _function: ClassVar[Callable[..., Any]] = staticmethod(slope.max_unpool2d)

    def __init__(
        self, kernel_size: Lengths, stride: Lengths | None = None, padding: Lengths = 0
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def __call__(
        self,
        x: slope.Tensor,
        indices: slope.Tensor,
        output_size: Sequence[int] | None = None,
    ) -> slope.Tensor:
        """Map shape (n, c, ...) to more elements.

        Args:
            x: the values.
            indices: their places, as a pooling with ``return_indices`` gives them.
            output_size: the lengths before the pooling, or the whole shape, where several lengths
                pool to the same.
        """
        return self._function(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(MaxUnpool2d):
    """Values back at their places in sequences; see :class:`MaxUnpool2d`."""

    _function = staticmethod(slope.max_unpool1d)


class MaxUnpool3d(MaxUnpool2d):
    """Values back at their places in volumes; see :class:`MaxUnpool2d`."""

    _function = staticmethod(slope.max_unpool3d)


class _AvgPool(Module):
    """What pooling by means shares."""

    _function: ClassVar[Callable[..., slope.Tensor]]

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, ...) to fewer elements."""
        return self._function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            *self._more(),
        )

    def _more(self) -> tuple[int | None, ...]:
        return ()


class AvgPool1d(_AvgPool):
    """The mean of each window of a sequence; see :class:`AvgPool2d` for the arguments."""

    _function = staticmethod(slope.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window; arguments as PyTorch's.

    Args:
        kernel_size: of the window, one length or one for each dimension.
        stride: how far it moves; its own size by default.
        padding: zeros on both sides; at most half the window.
        ceil_mode: let the last window reach beyond the end, if it starts before it.
        count_include_pad: whether the padding counts among the elements.
        divisor_override: what to divide by instead of the number of elements.
    """

    _function = staticmethod(slope.avg_pool2d)

    def __init__(
        self,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def _more(self) -> tuple[int | None, ...]:
        return (self.divisor_override,)


class AvgPool3d(AvgPool2d):
    """The mean of each window of a volume; see :class:`AvgPool2d`."""

    _function = staticmethod(slope.avg_pool3d)


class _AdaptivePool(Module):
    """What pooling to a given size shares.

    Args:
        output_size: the lengths of the output, or one for all; ``None`` keeps a length.
    """

    _function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, ...) to (n, c, *output_size)."""
        return self._function(x, self.output_size)


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means of as many windows as ``output_size`` says, which share the length evenly."""

    _function = staticmethod(slope.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means of as many windows as the output has pixels.

    Args:
        output_size: height and width, or one length for both; ``None`` keeps a length.
    """

    _function = staticmethod(slope.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Means of as many windows as the output has elements; see :class:`AdaptiveAvgPool2d`."""

    _function = staticmethod(slope.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_AdaptivePool):
    """What taking the largest elements shares.

    Args:
        output_size: the lengths of the output, or one for all; ``None`` keeps a length.
        return_indices: also give where the largest elements are.
    """

    def __init__(
        self, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def __call__(self, x: slope.Tensor) -> Any:
        """Map shape (n, c, ...) to (n, c, *output_size), and to places if they are asked for."""
        return self._function(x, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of windows that share the length; see :class:`AdaptiveAvgPool1d`."""

    _function = staticmethod(slope.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of windows; see :class:`AdaptiveAvgPool2d`."""

    _function = staticmethod(slope.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of windows; see :class:`AdaptiveAvgPool2d`."""

    _function = staticmethod(slope.adaptive_max_pool3d)
