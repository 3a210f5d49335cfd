"""Functions that generated code calls where one NumPy function does not do."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

_BITS: Final = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
}
_SIGNED: Final = {
    1: np.dtype(np.int8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
    8: np.dtype(np.int64),
}


# --- choices by bits: np.where mispredicts branches on random masks and is 10-20 times slower


def _lanes(condition: Any, itemsize: int) -> Array:
    """All bits set where the condition holds, none elsewhere."""
    negated = np.negative(np.asarray(condition).view(np.int8))
    return negated.astype(_SIGNED[itemsize], copy=False).view(_BITS[itemsize])


def masked(condition: Any, x: Any, out: Array | None = None) -> Array:
    """``x`` where the condition holds, else a zero of all bits."""
    x = np.asarray(x)
    bits = _BITS[x.dtype.itemsize]
    lanes = _lanes(condition, x.dtype.itemsize)
    target = None if out is None else out.view(bits)
    return np.bitwise_and(x.view(bits), lanes, out=target).view(x.dtype)


def select(condition: Any, x: Any, y: Any) -> Array:
    """``x`` where the condition holds, else ``y``."""
    x, y = np.asarray(x), np.asarray(y)
    bits = _BITS[x.dtype.itemsize]
    differing = np.bitwise_xor(x.view(bits), y.view(bits))
    result = np.bitwise_and(differing, _lanes(condition, x.dtype.itemsize))
    return np.bitwise_xor(result, y.view(bits), out=result if result.ndim else None).view(x.dtype)


# --- a part of an array at a time


_ROWS: Final = 32


def repeated(x: Array, lengths: tuple[int, ...], behind: int) -> Array:
    """An array written out along dimensions of length 1, all of which stand side by side.

    Args:
        x: the array, which need not have those dimensions where they come first.
        lengths: what they are to be.
        behind: how many dimensions of ``x`` stand behind them.
    """
    end = x.ndim - behind
    before, run = x.shape[: max(0, end - len(lengths))], x.shape[end:]
    count, lead = math.prod(lengths), math.prod(before)
    rows = x.reshape(lead, math.prod(run))
    if lead == 1 and count > 2 * _ROWS:  # longer rows are copied faster
        rows = np.repeat(rows, _ROWS, axis=0).reshape(1, -1)
        made = np.repeat(rows, -(-count // _ROWS), axis=0).reshape(-1, *run)[:count]
    else:
        made = np.repeat(rows, count, axis=0)
    return made.reshape(*before, *lengths, *run)


def accumulate(function: Any, x: Array, axis: int, dtype: Any) -> Array:
    """``function.accumulate``, for all that stands beside the axis at a time."""
    out = np.empty(x.shape, dtype)
    rows, given = np.moveaxis(out, axis, 0), np.moveaxis(x, axis, 0)
    rows[0] = given[0]
    for place in range(1, len(rows)):
        function(rows[place - 1], given[place], out=rows[place])
    return out


# --- casts


def float_to_integer(x: Any, dtype: np.dtype[Any]) -> Array:
    """Truncate toward zero; values out of range saturate, NaN gives 0."""
    x = np.asarray(x)
    if x.dtype.itemsize == 2:
        x = x.astype(np.float32)
    limits = np.iinfo(dtype)
    low = x.dtype.type(limits.min)
    above = x.dtype.type(float(limits.max) + 1)
    if limits.bits < 64:
        above = x.dtype.type(limits.max + 1)
    inside = np.logical_and(np.greater_equal(x, low), np.less(x, above))
    if inside.all():
        return x.astype(dtype)
    result = np.asarray(np.where(inside, x, x.dtype.type(0)).astype(dtype))
    result[np.asarray(x >= above)] = limits.max
    result[np.asarray(x < low)] = limits.min
    return result


def float64_to_bfloat16(x: Any) -> Array:
    """Round once: a float32 rounded to odd lets the second rounding see what the first cut off."""
    x = np.asarray(x)
    near = np.asarray(x.astype(np.float32))
    bits = near.view(np.uint32)
    inexact = np.not_equal(near.astype(np.float64), x) & np.isfinite(near)
    # Toward zero first (one step back where rounding went outward), then the last bit is set if
    # anything was cut off.
    outward = inexact & (np.abs(near.astype(np.float64)) > np.abs(x))
    odd = np.where(inexact, (bits - outward.astype(np.uint32)) | np.uint32(1), bits)
    return np.asarray(odd).view(np.float32).astype(ml_dtypes.bfloat16)


# --- arithmetic


def truncate_divide(x: Any, y: Any) -> Array:
    """Integer division rounding toward zero; by zero 0."""
    quotient = np.asarray(np.floor_divide(x, y))
    if quotient.dtype.kind == "u":
        return quotient
    raised = np.logical_and(np.fmod(x, y) != 0, np.less(x, 0) != np.less(y, 0))
    return np.add(quotient, raised, dtype=quotient.dtype)


def shift_left(x: Any, y: Any) -> Array:
    """Bits moved up; by the width or more (negative amounts count as unsigned ones) 0."""
    x, amount, last = _shift_operands(x, y)
    moved = np.left_shift(x.view(_BITS[x.itemsize]), np.minimum(amount, last))
    return np.where(amount <= last, moved, moved.dtype.type(0)).view(x.dtype)


def shift_right_logical(x: Any, y: Any) -> Array:
    """Bits moved down, zeros coming in; by the width or more 0."""
    x, amount, last = _shift_operands(x, y)
    moved = np.right_shift(x.view(_BITS[x.itemsize]), np.minimum(amount, last))
    return np.where(amount <= last, moved, moved.dtype.type(0)).view(x.dtype)


def shift_right_arithmetic(x: Any, y: Any) -> Array:
    """Bits moved down, the sign coming in; of unsigned integers as :func:`shift_right_logical`."""
    x, amount, last = _shift_operands(x, y)
    if x.dtype.kind == "u":
        return shift_right_logical(x, y)
    return np.right_shift(x, np.minimum(amount, last).view(x.dtype))


def _shift_operands(x: Any, y: Any) -> tuple[Array, Array, Any]:
    """``x``, the amounts as unsigned numbers, and the largest amount that leaves a bit in place."""
    x, y = np.asarray(x), np.asarray(y)
    amount = y.view(_BITS[y.itemsize])
    return x, amount, amount.dtype.type(x.itemsize * 8 - 1)


# --- the error function
#
# float64: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23
# (1969), 631-637, with the coefficients of his SPECFUN routine CALERF. float32: the odd rational
# function on [-4, 4] that Eigen uses.

_NEAR_P: Final = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_NEAR_Q: Final = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
_FAR_P: Final = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
_FAR_Q: Final = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_SINGLE_P: Final = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
    -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_SINGLE_Q: Final = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


_BLOCK: Final = 8192  # elements that the passes of erf run over while they are in cache


def erf(x: Any) -> Array:
    """The error function, to about 7e-16 in float64 and 4e-7 in float32 and half precision."""
    x = np.asarray(x)
    function = _erf_double if x.dtype == np.float64 else _erf_single
    if x.size <= _BLOCK:
        return function(x)
    flat = x.reshape(-1)
    out = np.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):
        out[start : start + _BLOCK] = function(flat[start : start + _BLOCK])
    return out.reshape(x.shape)


def _erf_single(x: Array) -> Array:
    bounded = np.clip(x.astype(np.float32, copy=False), np.float32(-4), np.float32(4))
    square = np.asarray(np.square(bounded))
    result = np.multiply(bounded, _polynomial(_SINGLE_P, square))
    result = np.divide(result, _polynomial(_SINGLE_Q, square))
    return np.clip(result, np.float32(-1), np.float32(1)).astype(x.dtype, copy=False)


def _erf_double(x: Array) -> Array:
    size = np.abs(x)
    far = np.asarray(np.minimum(size, 6.0))  # from there on it is 1 to the last bit
    tail = np.exp(-far * far) * _polynomial(_FAR_P, far) / _polynomial(_FAR_Q, far)
    square = np.asarray(np.square(np.minimum(size, 0.5)))
    near = x * _polynomial(_NEAR_P, square) / _polynomial(_NEAR_Q, square)
    return np.asarray(np.where(size <= 0.46875, near, np.copysign(1.0 - tail, x)))


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's scheme, the highest power first."""
    result = np.full(x.shape, coefficients[0], x.dtype)
    for coefficient in coefficients[1:]:
        np.multiply(result, x, out=result)
        np.add(result, x.dtype.type(coefficient), out=result)
    return result


# --- random bits

_ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY: Final = np.uint32(0x1BD11BDA)


def threefry2x32(
    key0: Any, key1: Any, counter0: Any, counter1: Any, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (J. Salmon et al., SC 2011); operands broadcast to ``shape``."""
    keys = (key0, key1, np.bitwise_xor(np.bitwise_xor(key0, key1), _PARITY))
    x0, x1, high = (np.empty(shape, np.uint32) for _ in range(3))
    np.add(counter0, key0, out=x0)
    np.add(counter1, key1, out=x1)
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            np.add(x0, x1, out=x0)
            np.left_shift(x1, np.uint32(bits), out=high)
            np.right_shift(x1, np.uint32(32 - bits), out=x1)
            np.bitwise_or(x1, high, out=x1)
            np.bitwise_xor(x1, x0, out=x1)
        np.add(x0, keys[(group + 1) % 3], out=x0)
        np.add(x1, keys[(group + 2) % 3], out=x1)
        np.add(x1, np.uint32(group + 1), out=x1)
    return x0, x1


# --- padding, gathering, scattering


def pad(x: Any, shape: tuple[int, ...], place: tuple[slice, ...], value: Any) -> Array:
    """An array of one value with ``x`` at a place."""
    out = np.full(shape, value)
    out[place] = x
    return out


_FEW: Final = 1 << 12  # numbers that may be kept


def indices_in_range(indices: Array, length: int) -> Array:
    """Indices as intp, clamped to ``0 .. length - 1``; a new array."""
    last = max(length - 1, 0)
    if indices.dtype == np.uint64:
        indices = np.minimum(indices, np.uint64(last))
    places = np.maximum(indices.astype(np.intp, copy=False), 0)  # np.clip takes twice as long
    return np.minimum(places, last, out=places if places.ndim else None)


def flat_places(indices: Array, lead: tuple[int, ...], batch_dims: int) -> Array:
    """The row number of each place in row-major order.

    Rows count through the batch and indexed dimensions, of lengths ``lead``, as one.
    """
    batch, indexed = lead[:batch_dims], lead[batch_dims:]
    places: Array | int = 0
    for dim, length in enumerate(indexed):
        numbers = indices_in_range(indices[..., dim], length)
        places = places * length + numbers if dim else numbers
    count = math.prod(batch)
    if count > 1:
        starts = _numbers(count) if count <= _FEW else np.arange(count)
        beside = (*batch, *(1,) * (indices.ndim - 1 - batch_dims))
        places = (starts * math.prod(indexed)).reshape(beside) + places
    return np.broadcast_to(places, indices.shape[:-1]).reshape(-1)


@functools.lru_cache(64)
def _numbers(count: int) -> Array:
    """0, 1, 2, ...: only read."""
    return np.arange(count)


def gather(
    x: Array,
    indices: Array,
    order: tuple[int, ...],
    lead: int,
    batch_dims: int,
    back: tuple[int, ...],
) -> Array:
    """Rows of ``x`` at computed places.

    Args:
        x: what is read.
        indices: coordinates, in the last dimension.
        order: ``x``'s dimensions: batch, indexed, before, after.
        lead: how many of them are batch or indexed ones.
        batch_dims: how many of them are batch dimensions.
        back: the order that turns (batch, places, before, after) into the result.
    """
    moved = x.transpose(order)
    leading, rest = moved.shape[:lead], moved.shape[lead:]
    rows = flat_places(indices, leading, batch_dims)
    if rows.size:
        taken = moved.reshape(math.prod(leading), *rest).take(rows, axis=0)
    else:
        taken = np.empty((0, *rest), x.dtype)
    return taken.reshape((*indices.shape[:-1], *rest)).transpose(back)


_COMBINE: Final = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def scatter(
    x: Array,
    indices: Array,
    updates: Array,
    order: tuple[int, ...],
    lead: int,
    batch_dims: int,
    back: tuple[int, ...],
    mode: str,
    into: bool = False,
) -> Array:
    """``x`` with updates combined into rows at computed places; arguments as for :func:`gather`.

    Half precision adds up in float32. ``into``: ``x`` itself may be written to, and ``order`` is
    the natural one.
    """
    wide = np.dtype(np.float32) if x.dtype.kind in "fV" and x.dtype.itemsize == 2 else x.dtype
    if into and wide == x.dtype and x.flags.c_contiguous:
        out = x
    else:
        out = np.array(x.transpose(order), dtype=wide, order="C", copy=True)
    rows = flat_places(indices, out.shape[:lead], batch_dims)
    values = updates.transpose(np.argsort(back)).astype(wide, copy=False)
    inner = int(np.prod(out.shape[lead:], dtype=int))
    if rows.size and inner:
        # ufunc.at is fastest on one dimension, and NumPy writes repeated places of one-dimensional
        # indices in order.
        if inner > 1 and mode != "set":
            rows = (rows[:, None] * inner + np.arange(inner)).reshape(-1)
        flat = out.reshape(-1, inner) if mode == "set" else out.reshape(-1)
        if mode == "set":
            flat[rows] = values.reshape(-1, inner)
        else:
            _COMBINE[mode].at(flat, rows, np.ascontiguousarray(values).reshape(-1))
    return out.astype(x.dtype, copy=False).transpose(np.argsort(order))


# --- running extrema and windows


def cumulative(function: Any, x: Array, axis: int) -> tuple[Array, Array]:
    """Running extrema, and the last place of each so far."""
    values = function.accumulate(x, axis=axis)
    hit = np.equal(x, values)
    if x.dtype.kind not in "iu":
        hit = np.logical_or(hit, np.isnan(x))
    shape = [-1 if each == axis else 1 for each in range(x.ndim)]
    places = np.where(hit, np.arange(x.shape[axis]).reshape(shape), 0)
    return values, np.maximum.accumulate(places, axis=axis)


def window(start: Any, size: int, limit: int) -> slice:
    """A slice of ``size`` elements; its start is clamped to ``0 .. limit``."""
    first = min(max(int(start), 0), limit)
    return slice(first, first + size)


def updated(x: Array, place: tuple[slice, ...], update: Array) -> Array:
    """A copy of ``x`` with a window overwritten."""
    out = np.array(x, order="C", copy=True)
    out[place] = update
    return out
