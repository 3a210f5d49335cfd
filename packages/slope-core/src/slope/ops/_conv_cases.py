"""Sample inputs of convolutions: the same geometries for all three."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from slope.ops._conv_family import Dims, Padding, conv_axes, placed, windows


class Case(NamedTuple):
    """The lengths and parameters of one convolution."""

    batch: int
    channels: int
    out: int
    size: Dims
    kernel: Dims
    stride: Dims
    padding: Padding
    dilation: Dims
    groups: int = 1
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @property
    def params(self) -> dict[str, Any]:
        """What all three operators take."""
        names = ("stride", "padding", "dilation", "groups", "layout")
        return {name: getattr(self, name) for name in names}

    def shapes(self) -> tuple[Dims, Dims, Dims]:
        """The shapes of the input, the weights and the output."""
        out = tuple(map(windows, self.size, self.kernel, self.stride, self.padding, self.dilation))
        channel = conv_axes(self.layout, len(self.size) + 2).channel
        into = self.channels // self.groups
        weights = (
            (self.out, into, *self.kernel)
            if self.layout == "NCHW"
            else (*self.kernel, into, self.out)
        )
        return (
            placed(self.channels, self.batch, self.size, channel),
            weights,
            placed(self.out, self.batch, out, channel),
        )


def conv_cases() -> Iterator[Case]:
    """Strides, paddings, dilations, groups, both layouts, one to three dimensions."""
    yield Case(2, 2, 3, (4, 5), (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 1))
    # Odd lengths, stride 2.
    yield Case(1, 4, 2, (5, 7), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), groups=2)
    # The last rows lie in no window.
    yield Case(2, 2, 2, (6, 5), (2, 2), (3, 2), ((0, 0), (2, 1)), (2, 1))
    yield Case(1, 2, 4, (5,), (3,), (1,), ((2, 0),), (2,), groups=2)
    yield Case(1, 1, 2, (3, 2, 3), (2, 1, 2), (1, 1, 2), ((0, 1), (0, 0), (1, 0)), (1, 1, 1))
    yield Case(0, 2, 3, (4, 4), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    # More padding than kernel.
    yield Case(2, 3, 2, (3, 3), (1, 1), (1, 1), ((1, 0), (0, 1)), (1, 1))
    yield Case(2, 2, 3, (4, 3), (3, 2), (1, 2), ((1, 1), (1, 0)), (1, 1), layout="NHWC")
    yield Case(1, 4, 4, (4, 4), (3, 2), (2, 1), ((1, 0), (0, 0)), (1, 2), groups=4, layout="NHWC")
