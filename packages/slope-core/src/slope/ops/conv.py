"""Convolution: three bilinear operators whose transposes are each other.

``conv`` maps an input and weights to an output; each of the other two maps the output's cotangent
and one operand to the cotangent of the other operand. Their operands lie as ``layout`` says, with
any number of spatial dimensions:

======== ===================== =====================================
layout   input and output      weights
======== ===================== =====================================
"NCHW"   batch, channels, ...  outputs, inputs of a group, ...
"NHWC"   batch, ..., channels  ..., inputs of a group, outputs
======== ===================== =====================================

It is correlation, as everywhere in machine learning: the kernel is not flipped. Half-precision
products accumulate in float32.

Params of all three, each a tuple with one entry for each spatial dimension:
    stride: the step between windows.
    padding: pairs: how many zeros before and after, not negative.
    dilation: the step between the elements of a window.

And numbers for all: ``groups``, into how many groups the channels fall, of which each is convolved
by itself; ``layout``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from slope.core.operator import Linear, Sample, Tangent, register
from slope.core.types import TensorType
from slope.errors import ShapeError
from slope.ops._conv_family import Convolution, Dims, Padding, conv_axes, differ, placed, windows
from slope.ops._family import draws

# Names of dimensions for ``folds``; True: the batch goes inside of the groups.
_N, _C, _GC = ("batch", False), ("channel", False), ("channel", True)
_O, _GO, _I = ("out", False), ("out", True), ("into", False)


class Conv(Convolution):
    """The convolution of an input with weights; see the module for shapes and parameters."""

    name = "conv"
    folds = ((_N, None, _N), (None, _GO, _GC), (_C, _O, _C))

    def infer(
        self,
        x: TensorType,
        w: TensorType,
        *,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: int = 1,
        layout: str = "NCHW",
    ) -> TensorType:
        self.check(x, w, stride, padding, dilation, groups)
        axes = conv_axes(layout, x.ndim)
        size = tuple(x.shape[d] for d in axes.spatial)
        kernel = tuple(w.shape[d] for d in axes.kernel)
        out = tuple(map(windows, size, kernel, stride, padding, dilation))
        self.check_channels(
            x, w, x.shape[axes.channel], w.shape[axes.into], w.shape[axes.out], groups
        )
        self.check_windows(size, kernel, out, stride, padding, dilation)
        return x.with_shape(placed(w.shape[axes.out], x.shape[0], out, axes.channel))

    def transpose(self, cotangent: Any, x: Any, w: Any, **params: Any) -> Sequence[Tangent]:
        axes = conv_axes(params["layout"], x.ndim)
        if isinstance(x, Linear):
            return conv_input_grad(
                cotangent, w, input_size=tuple(x.shape[d] for d in axes.spatial), **params
            ), None
        return None, conv_weight_grad(
            x, cotangent, kernel_size=tuple(w.shape[d] for d in axes.kernel), **params
        )

    def expand(self, x: Any, w: Any, **params: Any) -> Any:
        from slope.ops._conv_taps import conv_by_taps

        return conv_by_taps(x, w, **params)

    def flops(self, x: TensorType, w: TensorType, **params: Any) -> Any:
        """A multiplication and an addition for each product, padding included."""
        return _flops(self.infer(x, w, **params), w, params)

    def samples(self) -> Iterator[Sample]:
        from slope.ops._conv_cases import conv_cases

        for case in conv_cases():
            x, w, _ = case.shapes()
            yield Sample((draws(*x), draws(*w, seed=1)), case.params)


class ConvInputGrad(Convolution):
    """The cotangent of a convolution's input, from that of its output and the weights.

    Params:
        input_size: the spatial lengths of the input; besides those of ``conv``.
    """

    name = "conv_input_grad"
    folds = ((_N, None, _N), (None, _I, _GC), (_C, _O, _C))

    def infer(
        self,
        y: TensorType,
        w: TensorType,
        *,
        input_size: Dims,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: int = 1,
        layout: str = "NCHW",
    ) -> TensorType:
        self.check(y, w, stride, padding, dilation, groups)
        axes = conv_axes(layout, y.ndim)
        channels, out = w.shape[axes.into] * groups, tuple(y.shape[d] for d in axes.spatial)
        if differ(y.shape[axes.channel], w.shape[axes.out]):
            raise ShapeError(
                f"{self.name}: {y} has not the {w.shape[axes.out]} output channels of the weights "
                f"{w} (layout {layout})."
            )
        self.check_channels(y, w, channels, w.shape[axes.into], w.shape[axes.out], groups)
        self.check_windows(
            input_size, tuple(w.shape[d] for d in axes.kernel), out, stride, padding, dilation
        )
        return y.with_shape(placed(channels, y.shape[0], input_size, axes.channel))

    def transpose(
        self, cotangent: Any, y: Any, w: Any, *, input_size: Dims, **params: Any
    ) -> Sequence[Tangent]:
        if isinstance(y, Linear):
            return conv(cotangent, w, **params), None
        axes = conv_axes(params["layout"], y.ndim)
        return None, conv_weight_grad(
            cotangent, y, kernel_size=tuple(w.shape[d] for d in axes.kernel), **params
        )

    def expand(self, y: Any, w: Any, **params: Any) -> Any:
        from slope.ops._conv_taps import input_grad_by_taps

        return input_grad_by_taps(y, w, **params)

    def flops(self, y: TensorType, w: TensorType, **params: Any) -> Any:
        """As many as the convolution."""
        return _flops(y, w, params)

    def samples(self) -> Iterator[Sample]:
        from slope.ops._conv_cases import conv_cases

        for case in conv_cases():
            x, w, y = case.shapes()
            axes = conv_axes(case.params["layout"], len(x))
            yield Sample(
                (draws(*y), draws(*w, seed=1)),
                {**case.params, "input_size": tuple(x[d] for d in axes.spatial)},
            )


class ConvWeightGrad(Convolution):
    """The cotangent of a convolution's weights, from its input and the cotangent of its output.

    Params:
        kernel_size: the spatial lengths of the weights; besides those of ``conv``.
    """

    name = "conv_weight_grad"
    folds = ((_GC, None, _I), (None, _GC, _GO), (_C, _C, _O))

    def infer(
        self,
        x: TensorType,
        y: TensorType,
        *,
        kernel_size: Dims,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: int = 1,
        layout: str = "NCHW",
    ) -> TensorType:
        self.check(x, y, stride, padding, dilation, groups)
        axes = conv_axes(layout, x.ndim)
        channels, out = x.shape[axes.channel], y.shape[axes.channel]
        into = channels // groups
        if differ(x.shape[0], y.shape[0]):
            raise ShapeError(
                f"{self.name}: the input {x} and the output's cotangent {y} must have one batch "
                "length."
            )
        self.check_channels(x, y, channels, into, out, groups)
        self.check_windows(
            tuple(x.shape[d] for d in axes.spatial),
            kernel_size,
            tuple(y.shape[d] for d in axes.spatial),
            stride,
            padding,
            dilation,
        )
        return x.with_shape(
            (out, into, *kernel_size) if layout == "NCHW" else (*kernel_size, into, out)
        )

    def transpose(
        self, cotangent: Any, x: Any, y: Any, *, kernel_size: Dims, **params: Any
    ) -> Sequence[Tangent]:
        if isinstance(y, Linear):
            return None, conv(x, cotangent, **params)
        axes = conv_axes(params["layout"], x.ndim)
        return conv_input_grad(
            y, cotangent, input_size=tuple(x.shape[d] for d in axes.spatial), **params
        ), None

    def expand(self, x: Any, y: Any, **params: Any) -> Any:
        from slope.ops._conv_taps import weight_grad_by_taps

        return weight_grad_by_taps(x, y, **params)

    def flops(self, x: TensorType, y: TensorType, **params: Any) -> Any:
        """As many as the convolution."""
        return _flops(y, self.infer(x, y, **params), params)

    def samples(self) -> Iterator[Sample]:
        from slope.ops._conv_cases import conv_cases

        for case in conv_cases():
            x, w, y = case.shapes()
            axes = conv_axes(case.params["layout"], len(x))
            yield Sample(
                (draws(*x), draws(*y, seed=1)),
                {**case.params, "kernel_size": tuple(w[d] for d in axes.kernel)},
            )


def _flops(out: TensorType, w: TensorType, params: dict[str, Any]) -> Any:
    axes = conv_axes(params.get("layout", "NCHW"), w.ndim)
    return 2 * out.size * math.prod(w.shape[: axes.out] + w.shape[axes.out + 1 :])


conv = register(Conv())
conv_input_grad = register(ConvInputGrad())
conv_weight_grad = register(ConvWeightGrad())
