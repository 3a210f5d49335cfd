"""Convolutions as PyTorch has them.

Channels are dimension 1, weights (outputs, inputs of a group, kernel...).
How a backend lays them out in memory is its own business (:mod:`slope.passes.layout`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from slope import ops
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import shown, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, result_dtype, splat, to_dtype

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Lengths = int | Sequence[int]


def lengths(
    value: Any, count: int, function: str, argument: str, least: int = 0
) -> tuple[int, ...]:
    """One number for each spatial dimension, given as an int or as a sequence.

    Raises:
        ArgumentError: other than that, or less than ``least``.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        given: tuple[Any, ...] = (value,) * count
    else:
        given = tuple(value) if isinstance(value, (tuple, list)) else ()
        if len(given) == 1:
            given *= count
    whole = all(isinstance(each, int) and not isinstance(each, bool) for each in given)
    if len(given) != count or not whole or any(each < least for each in given):
        raise ArgumentError(
            f"{function}: {argument}={value!r} must be an int of at least {least}, or {count} of "
            "them."
        )
    return given


def operands(
    function: str, count: int, x: TensorLike, weight: TensorLike, bias: TensorLike | None
) -> tuple[Tensor, Tensor, Tensor | None, bool]:
    """The operands as tensors of one floating dtype, and whether ``x`` came without a batch.

    Raises:
        DTypeError, ShapeError: they are not what a convolution of ``count`` spatial dimensions
            takes.
    """
    image, kernel = as_tensor(x, function, "x"), as_tensor(weight, function, "weight")
    given = [image, kernel]
    if bias is not None:
        given.append(as_tensor(bias, function, "bias"))
    dtype = result_dtype(function, given)
    if not dtype.is_floating_point:
        raise DTypeError(
            f"{function}: takes floating-point tensors, and got {image.type} and {kernel.type}; "
            f"cast them, for instance with x.to(slope.float32)."
        )
    if image.ndim not in (count + 1, count + 2) or kernel.ndim != count + 2:
        raise ShapeError(
            f"{function}: x must have {count + 2} dimensions (batch, channels, {count} spatial; "
            f"the batch may be left out) and weight {count + 2}, and they have the shapes "
            f"{shown(image.shape)} and {shown(kernel.shape)}."
        )
    single = image.ndim == count + 1
    if single:
        image = ops.reshape(image, shape=(1, *image.shape))
    converted = [to_dtype(each, dtype) for each in (image, kernel, *given[2:])]
    return converted[0], converted[1], converted[2] if bias is not None else None, single


def _finished(function: str, out: Tensor, bias: Tensor | None, single: bool) -> Tensor:
    if bias is not None:
        if bias.shape != (out.shape[1],):
            raise ShapeError(
                f"{function}: bias must have the shape ({out.shape[1]},), one number for each "
                f"output channel, and has {shown(bias.shape)}."
            )
        out = ops.add(out, ops.broadcast(bias, shape=out.shape, dims=(1,)))
    return ops.reshape(out, shape=out.shape[1:]) if single else out


Padding = Lengths | Literal["same", "valid"]


def _pairs(
    function: str,
    padding: Any,
    kernel: Sequence[Any],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    count = len(stride)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * count
        if padding != "same":
            raise ArgumentError(
                f"{function}: padding={padding!r} must be 'same', 'valid', an int or {count} ints."
            )
        if any(step != 1 for step in stride):
            raise ArgumentError(
                f"{function}: padding='same' goes with stride 1 alone, and got "
                f"stride={tuple(stride)}; give the padding in numbers."
            )
        totals = [gap * (length - 1) for gap, length in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((each, each) for each in lengths(padding, count, function, "padding"))


def _conv(
    count: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Lengths,
    padding: Padding,
    dilation: Lengths,
    groups: int,
) -> Tensor:
    function = f"conv{count}d"
    image, kernel, offset, single = operands(function, count, x, weight, bias)
    steps = lengths(stride, count, function, "stride", 1)
    gaps = lengths(dilation, count, function, "dilation", 1)
    pairs = _pairs(function, padding, kernel.shape[2:], steps, gaps)
    _check_groups(function, groups, image.shape[1], kernel.shape[1], kernel.shape[0])
    _check_fits(function, image.shape[2:], kernel.shape[2:], pairs, gaps)
    out = ops.conv(
        image, kernel, stride=steps, padding=pairs, dilation=gaps, groups=groups, layout="NCHW"
    )
    return _finished(function, out, offset, single)


def _check_groups(function: str, groups: Any, channels: Any, into: Any, out: Any) -> None:
    whole_of(groups, function, "groups", 1)
    if all(isinstance(each, int) for each in (channels, into, out)) and (
        channels != into * groups or out % groups
    ):
        raise ShapeError(
            f"{function}: x has {channels} channels and weight takes {into} in each of "
            f"groups={groups}, that is {into * groups}; weight gives {out} channels, which the "
            "groups must divide."
        )


def _check_fits(function: str, size: Any, kernel: Any, padding: Any, dilation: Any) -> None:
    for length, taps, pair, gap in zip(size, kernel, padding, dilation, strict=True):
        if (
            isinstance(length, int)
            and isinstance(taps, int)
            and (taps < 1 or gap * (taps - 1) + 1 > length + sum(pair))
        ):
            raise ShapeError(
                f"{function}: a kernel of {tuple(kernel)} with dilation {tuple(dilation)} does not "
                f"fit into an input of {tuple(size)} with padding {tuple(padding)}."
            )


@at_once
def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Padding = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution over one spatial dimension; see :func:`conv2d`."""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups)


@at_once
def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Padding = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution (cross-correlation) over two spatial dimensions.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        weight: (output channels, channels / groups, kernel height, kernel width).
        bias: (output channels,).
        stride: the step between windows, one number or one for each spatial dimension.
        padding: zeros on both sides, numbers as for ``stride``; ``"same"`` (with stride 1: as large
            a result as ``x``) or ``"valid"`` (none).
        dilation: the step between the elements of a window.
        groups: how many groups the channels fall into, each convolved by itself.

    Returns:
        (batch, output channels, ``(height + 2 padding - dilation (kernel - 1) - 1) // stride + 1``,
        likewise).

    Raises:
        ShapeError: shapes that do not fit together.
        DTypeError: integers.
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups)


@at_once
def conv3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Padding = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution over three spatial dimensions; see :func:`conv2d`."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    count: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Lengths,
    padding: Lengths,
    output_padding: Lengths,
    groups: int,
    dilation: Lengths,
) -> Tensor:
    function = f"conv_transpose{count}d"
    image, kernel, offset, single = operands(function, count, x, weight, bias)
    steps = lengths(stride, count, function, "stride", 1)
    gaps = lengths(dilation, count, function, "dilation", 1)
    around = lengths(padding, count, function, "padding")
    extra = lengths(output_padding, count, function, "output_padding")
    if any(more >= max(step, gap) for more, step, gap in zip(extra, steps, gaps, strict=True)):
        raise ArgumentError(
            f"{function}: output_padding={extra} must be less than stride={steps} or "
            f"dilation={gaps}."
        )
    whole_of(groups, function, "groups", 1)
    channels, taken = image.shape[1], kernel.shape[0]
    if isinstance(channels, int) and (channels != taken or channels % groups):
        raise ShapeError(
            f"{function}: x has {channels} channels and weight takes {taken}; they must be equal, "
            f"and a multiple of groups={groups}."
        )
    out = _spread_windows(function, image, kernel, steps, around, extra, gaps, groups)
    return _finished(function, out, offset, single)


def _spread_windows(
    function: str,
    image: Tensor,
    kernel: Tensor,
    steps: tuple[int, ...],
    around: tuple[int, ...],
    extra: tuple[int, ...],
    gaps: tuple[int, ...],
    groups: int,
) -> Tensor:
    """The transpose of a convolution, its output cut by ``around`` and ``extra`` longer at the end.

    What ``extra`` asks for lies in the padding that is cut off there, and beyond that it is 0.
    """
    pairs = tuple((each, max(each - more, 0)) for each, more in zip(around, extra, strict=True))
    beyond = [max(more - each, 0) for each, more in zip(around, extra, strict=True)]
    size = tuple(
        (length - 1) * step + gap * (taps - 1) + 1 - sum(pair)
        for length, step, gap, taps, pair in zip(
            image.shape[2:], steps, gaps, kernel.shape[2:], pairs, strict=True
        )
    )
    whole = tuple(length + more for length, more in zip(size, beyond, strict=True))
    if any(isinstance(length, int) and length < 1 for length in whole):
        raise ShapeError(
            f"{function}: padding={around} leaves nothing of the output of x {image.type} with a "
            f"kernel of {shown(kernel.shape[2:])}."
        )
    if any(isinstance(length, int) and length < 1 for length in size):  # all of it lies beyond
        shape = (image.shape[0], kernel.shape[1] * groups, *whole)
        return splat(0, TensorType(shape, image.dtype))
    out = ops.conv_input_grad(
        image,
        kernel,
        input_size=size,
        stride=steps,
        padding=pairs,
        dilation=gaps,
        groups=groups,
        layout="NCHW",
    )
    if not any(beyond):
        return out
    none = (0,) * out.ndim
    return ops.pad(out, low=none, high=(0, 0, *beyond), interior=none, value=0)


@at_once
def conv_transpose1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """The transposed convolution over one spatial dimension; see :func:`conv_transpose2d`."""
    return _conv_transpose(1, x, weight, bias, stride, padding, output_padding, groups, dilation)


@at_once
def conv_transpose2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """The transposed convolution over two spatial dimensions: the transpose of :func:`conv2d`.

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        weight: (channels, output channels / groups, kernel height, kernel width).
        bias: (output channels,).
        stride: the step between windows in the output.
        padding: how much is cut from both sides of the output.
        output_padding: how much longer the output is at its end, less than stride or dilation.
        groups: how many groups the channels fall into.
        dilation: the step between the elements of a window.

    Returns:
        (batch, output channels, ``(height - 1) stride - 2 padding + dilation (kernel - 1) +
        output_padding + 1``, likewise).

    Raises:
        ShapeError: shapes that do not fit together.
        DTypeError: integers.
    """
    return _conv_transpose(2, x, weight, bias, stride, padding, output_padding, groups, dilation)


@at_once
def conv_transpose3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Tensor:
    """The transposed convolution over three spatial dimensions; see :func:`conv_transpose2d`."""
    return _conv_transpose(3, x, weight, bias, stride, padding, output_padding, groups, dilation)
