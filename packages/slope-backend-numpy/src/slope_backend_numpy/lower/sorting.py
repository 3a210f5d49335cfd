"""Sorting, and the first few of the order, for generated code to call."""

from __future__ import annotations

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


LONG: Final = 1024  # elements from which on a part of a row is sorted faster than the whole


def topk(x: Array, keys: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]:
    """The first ``k`` of :func:`sort`."""
    length = keys.shape[axis]
    if length < LONG or k * 8 > length or not k:
        values, order = sort(x, keys, axis, largest)
        place = (slice(None),) * axis + (slice(0, k),)
        return values[place].copy(), order[place].copy()
    moved = np.moveaxis(keys, axis, -1)
    rows = [_first(row, k, largest) for row in moved.reshape(-1, length)]
    order = np.array(rows, np.int64).reshape(*moved.shape[:-1], k)
    order = np.ascontiguousarray(np.moveaxis(order, -1, axis))
    return np.take_along_axis(x, order, axis), order


def _first(row: Array, k: int, largest: bool) -> Array:
    """Where the first ``k`` elements of a row stand: those up to the last one's size are sorted."""
    place = row.size - k if largest else k - 1
    last = np.partition(row, place)[place]  # which has NaN at the end, too
    nan = row.dtype.kind == "f" and np.isnan(last)
    if largest:
        outside = ~np.isnan(row) if nan else row < last
        candidates = np.flatnonzero(~outside)
    else:
        candidates = np.arange(row.size) if nan else np.flatnonzero(row <= last)
    return candidates[sort(candidates, row[candidates], 0, largest)[1][:k]]
