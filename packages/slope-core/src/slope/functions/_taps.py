"""Resizing along one dimension: which elements make up a sample, and how much each counts."""

from __future__ import annotations

from typing import Any

import numpy as np

_CUBIC = -0.75  # the free parameter of the cubic kernel, as in PyTorch,
_PILLOW = -0.5  # and what Pillow and PyTorch take where the kernel is stretched
Array = np.ndarray[Any, Any]


def _spread(length: int, wanted: int, step: float, align_corners: bool) -> float:
    """How far apart samples are."""
    if align_corners:
        return (length - 1) / (wanted - 1) if wanted > 1 else 0.0
    return step


def taps_of(
    mode: str, length: int, wanted: int, step: float, align_corners: bool
) -> tuple[Array, Array]:
    """The elements that each sample is made of, and their weights, both (samples, taps).

    Args:
        mode: ``"bicubic"``, or one of the linear ones.
        length: how many elements there are.
        wanted: how many samples.
        step: how far apart they are, in elements.
        align_corners: they reach from the centre of the first element to that of the last instead.
    """
    shift = 0.0 if align_corners else 0.5
    numbers = np.arange(wanted, dtype=np.float64) + shift
    where = numbers * _spread(length, wanted, step, align_corners) - shift
    if mode != "bicubic":
        where = np.maximum(where, 0.0)
    first = np.floor(where).astype(np.int64)
    reach = np.arange(-1, 3) if mode == "bicubic" else np.arange(2)
    places = first[:, None] + reach
    weights = _kernel(mode, np.abs(where[:, None] - places), _CUBIC)
    return np.clip(places, 0, length - 1), weights


def wide_taps(
    mode: str, length: int, wanted: int, step: float, align_corners: bool
) -> tuple[Array, Array]:
    """The same with a kernel as wide as samples are apart, cut off at the borders."""
    step = _spread(length, wanted, step, align_corners)
    wide = max(step, 1.0)
    reach = wide * (2.0 if mode == "bicubic" else 1.0)
    centres = (np.arange(wanted, dtype=np.float64) + 0.5) * step
    first = np.maximum(centres - reach + 0.5, 0.0).astype(np.int64)
    end = np.minimum(centres + reach + 0.5, length).astype(np.int64)
    places = first[:, None] + np.arange((end - first).max())
    weights = _kernel(mode, np.abs(places + 0.5 - centres[:, None]) / wide, _PILLOW)
    weights = np.where(places < end[:, None], weights, 0.0)
    return np.minimum(places, length - 1), weights / weights.sum(1, keepdims=True)


def _kernel(mode: str, away: Array, free: float) -> Array:
    """The weights of elements so far away; ``free`` is the cubic kernel's parameter."""
    if mode != "bicubic":
        return np.maximum(1.0 - away, 0.0)
    near = ((free + 2) * away - (free + 3)) * away**2 + 1
    far = ((away - 5) * away + 8) * away * free - 4 * free
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0))
