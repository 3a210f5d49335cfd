"""Batches of images (batch, spatial..., channels): zeros around, a few at a time, parts met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]
Dims = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]

CACHED: Final = 1 << 20
"""Bytes that are worked on at a time: what a core's cache holds."""


def images(count: int, nbytes: int) -> Iterator[slice]:
    """Runs of images of which each takes so many bytes."""
    step = max(1, CACHED // max(1, nbytes))
    for start in range(0, count, step):
        yield slice(start, start + step)


def padded(x: Array, padding: Padding) -> Array:
    """The images with zeros around them; themselves where there are none."""
    if not any(map(any, padding)):
        return x
    lengths = [n + before + after for n, (before, after) in zip(x.shape[1:], padding, strict=False)]
    whole = np.zeros((x.shape[0], *lengths, x.shape[-1]), x.dtype)
    place = (
        slice(before, before + n) for n, (before, _) in zip(x.shape[1:], padding, strict=False)
    )
    whole[(slice(None), *place)] = x
    return whole


def met(tap: Dims, out: Dims, stride: Dims, dilation: Dims) -> tuple[slice, ...]:
    """The part of padded images that one element of a kernel meets, in so many windows."""
    return tuple(
        slice(place * gap, place * gap + (count - 1) * step + 1, step)
        for place, count, step, gap in zip(tap, out, stride, dilation, strict=True)
    )
