"""The input's cotangent of a convolution with strides, in phases.

With stride ``s`` each ``s``-th element of the input meets the same elements of the kernel, one
``s``-th of all. One convolution with stride 1 computes ``s`` neighbours at a time, as channels,
which then move to their places. A cotangent with ``s - 1`` zeros between its elements would take
about ``s^2`` times as many products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .context import Context, Value, listed

Dims = tuple[int, ...]


class Phases(NamedTuple):
    """How one spatial dimension is taken apart.

    Attributes:
        stride: how many phases there are.
        kinds: how many of them, the first ones, meet the kernel.
        taps: how many elements of the kernel each meets, some of them zeros.
        margin: zeros in front of the kernel, such that it begins with a phase.
        places: how many there are.
        start: where the input begins among the places' elements.
        low: how far the output's cotangent is padded in front.
        high: how far it is padded behind.
    """

    stride: int
    kinds: int
    taps: int
    margin: int
    places: int
    start: int
    low: int
    high: int


def phases_of(length: int, count: int, kernel: int, stride: int, before: int) -> Phases | None:
    """The phases of a dimension; ``None`` where padding goes beyond the kernel.

    Args:
        length: of the input.
        count: of the output.
        kernel: how many elements it has.
        stride: how far it moves.
        before: the padding in front of the input.
    """
    found: list[Phases] = []
    for start in range(stride):
        # Element stride * q + r - start of the input meets element r + reach - stride * u of the
        # kernel, at place q + u of the output.
        reach = before - start
        first, last = -((kernel - 1 - reach) // stride), (stride - 1 + reach) // stride
        taps, places = last - first + 1, -(-(length + start) // stride)
        margin = last * stride - reach
        kinds = min(kernel, stride) if taps == 1 and not margin else stride
        each = Phases(stride, kinds, taps, margin, places, start, -first, places + last - count)
        if each.low >= 0 and each.high >= 0 and margin >= 0:
            found.append(each)
    return min(found, key=lambda each: each.taps * each.places, default=None)


def phase_weights(ctx: Context, w: Value, phases: Sequence[Phases]) -> Value:
    """Weights (kernel, inputs, outputs) as (taps, outputs, phases times inputs)."""
    count = len(phases)
    *_, into, outs = w.shape
    margins = [*(each.margin for each in phases), 0, 0]
    lengths = (*(each.taps * each.kinds for each in phases), into, outs)
    whole = _filled_up(ctx, w, lengths, margins)
    pairs = [length for each in phases for length in (each.taps, each.kinds)]
    split = ctx.reshape(whole, (*pairs, into, outs))
    turned = [2 * dim for dim, each in enumerate(phases) if each.taps > 1]
    if turned:
        apart = ctx.apart(split)  # see `linear.flip`
        split = ctx.emit(
            f"stablehlo.reverse {apart}, dims = {listed(turned)} : {split.mlir}", split.type
        )
    order = (*range(0, 2 * count, 2), 2 * count + 1, *range(1, 2 * count, 2), 2 * count)
    channels = math.prod(each.kinds for each in phases) * into
    moved = ctx.reshape(
        ctx.transpose(split, order), (*(each.taps for each in phases), outs, channels)
    )
    return ctx.barrier(moved)  # a transpose beside a convolution ruins it


def interleaved(ctx: Context, x: Value, phases: Sequence[Phases], size: Dims) -> Value:
    """From (batch, places, phases times channels) to (batch, input, channels)."""
    count = len(phases)
    batch, *places, _ = x.shape
    channels = x.shape[-1] // math.prod(each.kinds for each in phases)
    split = ctx.reshape(
        ctx.barrier(x), (batch, *places, *(each.kinds for each in phases), channels)
    )
    split = _filled_up(ctx, split, (batch, *places, *(each.stride for each in phases), channels))
    pairs = [dim for place in range(1, count + 1) for dim in (place, place + count)]
    moved = ctx.transpose(split, (0, *pairs, 2 * count + 1))
    merged = [each.places * each.stride for each in phases]
    moved = ctx.reshape(moved, (batch, *merged, channels))
    starts = [0, *(each.start for each in phases), 0]
    stops = [at + length for at, length in zip(starts, (batch, *size, channels), strict=True)]
    return ctx.slice(moved, starts, stops)


def _filled_up(ctx: Context, x: Value, shape: Dims, low: Sequence[int] | None = None) -> Value:
    """With zeros behind its elements, and some in front."""
    low = low or [0] * len(shape)
    high = [new - old - at for new, old, at in zip(shape, x.shape, low, strict=True)]
    return ctx.pad(x, low, high)
