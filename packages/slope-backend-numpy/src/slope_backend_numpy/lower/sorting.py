"""Sorting, and the first few of the order, for generated code to call."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]


def sort(x: Array, keys: Array, axis: int, descending: bool) -> tuple[Array, Array]:
    """``x`` in the stable order of ``keys``, NaN after all others, and where the elements stood."""
    if keys.dtype.itemsize <= 4:
        order = _packed_order(keys, axis, descending)
    elif descending:  # turned around twice, so that equal elements keep their order
        turned = np.flip(keys, axis).argsort(axis=axis, kind="stable")
        order = (keys.shape[axis] - 1) - np.flip(turned, axis)
    else:
        order = keys.argsort(axis=axis, kind="stable")
    order = np.ascontiguousarray(order.astype(np.int64, copy=False))
    return np.take_along_axis(x, order, axis), order


def _packed_order(keys: Array, axis: int, descending: bool) -> Array:
    """The order of keys of up to 32 bits, by sorting numbers that hold a key and its place.

    No two are equal, so that NumPy's fast sort of integers will do: it takes a tenth of the time of
    a stable ``argsort``.
    """
    ranks = _ranks(np.moveaxis(keys, axis, -1))
    packed = (~ranks if descending else ranks) << 32
    packed |= np.arange(keys.shape[axis])
    packed.sort(axis=-1)
    packed &= 0xFFFFFFFF
    return np.moveaxis(packed, -1, axis)


def _ranks(keys: Array) -> Array:
    """int64 numbers from -2**31 to 2**31 - 1 in the order of the keys, all NaN the last."""
    if keys.dtype.kind != "f":
        return keys.astype(np.int64) - (2**31 if keys.dtype == np.uint32 else 0)
    numbers = keys.astype(np.float32) + np.float32(0)  # which makes 0.0 of -0.0
    bits = numbers.view(np.int32)
    ranks = np.where(bits < 0, bits ^ np.int32(2**31 - 1), bits)  # greater for less below 0
    ranks[np.isnan(numbers)] = 2**31 - 1
    return ranks.astype(np.int64)


FEW: Final = 64  # elements up to which sorting all of a row is the fastest
GROUP: Final = 8  # elements of which one stands for the others


def topk(x: Array, keys: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]:
    """The first ``k`` of :func:`sort`."""
    moved = np.moveaxis(keys, axis, -1)
    length = moved.shape[-1]
    rows = moved.reshape(math.prod(moved.shape[:-1]), length)
    bound = _bound(rows, k, largest) if k and length > FEW and k * 2 <= length else None
    if bound is None:
        order = sort(x, keys, axis, largest)[1]
        order = order[(slice(None),) * axis + (slice(0, k),)]
    else:
        chosen = _ordered_candidates(rows, bound, k, largest)
        order = np.moveaxis(chosen.reshape(*moved.shape[:-1], k), -1, axis)
    order = np.ascontiguousarray(order)
    return np.take_along_axis(x, order, axis), order


def _bound(rows: Array, k: int, largest: bool) -> Array | None:
    """For each row a number that at least ``k`` elements reach, and few others; None with NaNs.

    In long rows that is the last one of the ``k`` first in groups of elements.
    """
    count = rows.shape[1] // GROUP
    best = rows
    if count >= 2 * k:
        grouped = rows[:, : count * GROUP].reshape(-1, GROUP, count)
        best = (np.maximum if largest else np.minimum).reduce(grouped, axis=1)
    rest = rows[:, count * GROUP :] if best is not rows else rows[:, :0]
    if rows.dtype.kind == "f" and any(np.isnan(each).any() for each in (best, rest)):
        return None
    place = best.shape[1] - k if largest else k - 1
    return np.partition(best, place, axis=1)[:, place, None]


def _ordered_candidates(rows: Array, bound: Array, k: int, largest: bool) -> Array:
    """Where the first ``k`` elements of each row stand: those that reach the bound are sorted."""
    places = np.flatnonzero(rows >= bound if largest else rows <= bound)
    row, column = np.divmod(places, rows.shape[1])
    counts = np.bincount(row, minlength=len(rows))
    starts = np.cumsum(counts) - counts
    slot = np.arange(len(places)) - starts[row]
    # Rows of candidates are filled up with the last one's like, behind it.
    columns = np.zeros((len(rows), counts.max(initial=k)), np.int64)
    columns[row, slot] = column
    candidates = np.broadcast_to(bound, columns.shape).copy()
    candidates[row, slot] = rows[row, column]
    order = sort(columns, candidates, 1, largest)[1][:, :k]
    return np.take_along_axis(columns, order, 1)
