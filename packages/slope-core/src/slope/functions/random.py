"""Random numbers: threefry keys, draws from keys, and draws from the default generator.

A key is a tensor uint32[2]. The same key gives the same draw, so use every key once, and
:func:`split` it for more. Keys,
bits, integers and uniform floats in [0, 1) are the same on every backend and under every transform;
draws that go through
logarithms and cosines (:func:`normal`) agree to rounding.

Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC
    2011).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import Shape, TensorType
from slope.devices import Device
from slope.dims import is_static
from slope.dims import size as count_of
from slope.dtypes import DType, DTypeLike, as_dtype, float32, int64, uint32
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    expand_to,
    floating,
    of_host,
    sizes_of,
    splat,
    to_dtype,
)
from slope.functions._devices import placed
from slope.functions.generator import (
    BatchScope,
    Generator,
    JitScope,
    Scope,
    current_scope,
    default_generator,
    manual_seed,
    use_scope,
    words,
)

__all__ = [
    "BatchScope",
    "Generator",
    "JitScope",
    "Scope",
    "bernoulli",
    "bits",
    "current_scope",
    "default_generator",
    "fold_in",
    "key",
    "manual_seed",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randints",
    "randn",
    "randn_like",
    "split",
    "uniform",
    "use_scope",
]

KEY_TYPE: Final = TensorType((2,), uint32)


# --- keys


def key(seed: int | Tensor) -> Tensor:
    """The key that a whole number stands for.

    Args:
        seed: an int (64 bits of it count), or an integer tensor of shape ().

    Raises:
        ArgumentError: it is no whole number.
    """
    if isinstance(seed, Tensor):
        if not seed.dtype.is_integer or seed.shape != ():
            raise ArgumentError(
                "random.key: the seed must be an int or an integer tensor of shape (), and is "
                f"{seed.type}."
            )
        wide = ops.cast(seed, dtype=int64)
        high = ops.shift_right_logical(wide, splat(32, wide.type))
        return ops.cat(
            *(ops.reshape(ops.cast(word, dtype=uint32), shape=(1,)) for word in (high, wide)), dim=0
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ArgumentError(f"random.key: the seed must be an int, and is {seed!r:.60}.")
    return of_host(np.asarray(words(int(seed)), np.uint32))


def _checked(given: Any, function: str) -> Tensor:
    made = as_tensor(given, f"random.{function}", "key")
    if made.type != KEY_TYPE:
        raise ArgumentError(
            f"random.{function}: key must be {KEY_TYPE} (slope.random.key(seed) makes one), and "
            f"is {made.type}."
        )
    return made


def _encrypted(given: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Counters encrypted with the key's two words."""
    halves = (ops.slice_(given, start=(at,), stop=(at + 1,), step=(1,)) for at in (0, 1))
    keys = [
        expand_to(half, first.shape) if first.ndim else ops.reshape(half, shape=())
        for half in halves
    ]
    return ops.threefry2x32(*keys, first, second)


def _words(given: Tensor, count: Any) -> Tensor:
    """``count`` random words: first words of encrypted counters, then second words."""
    half = (count + 1) // 2
    low = ops.iota(shape=(half,), dim=0, dtype=uint32)
    if is_static((half,)):
        high = ops.add(low, Splat(half, low.type))
    else:  # the counters of the second half need only differ from those of the first
        high = ops.bitwise_not(low)
    out = ops.cat(*_encrypted(given, low, high), dim=0)
    if is_static((count,)) and count % 2 == 0:
        return out
    return ops.slice_(out, start=(0,), stop=(count,), step=(1,))


def split(key: TensorLike, num: int = 2) -> Tensor:
    """New, independent keys: uint32[num, 2]."""
    given = _checked(key, "split")
    return ops.reshape(_words(given, 2 * num), shape=(num, 2))


def fold_in(key: TensorLike, data: int | Tensor) -> Tensor:
    """The key that a key and a whole number (a step, a layer's number) make together."""
    given = _checked(key, "fold_in")
    number = _key_words(data)
    outs = _encrypted(
        given,
        *(
            ops.reshape(ops.slice_(number, start=(at,), stop=(at + 1,), step=(1,)), shape=())
            for at in (0, 1)
        ),
    )
    return ops.cat(*(ops.reshape(word, shape=(1,)) for word in outs), dim=0)


_key_words = key  # what the argument of fold_in hides


# --- draws from a key


def bits(key: TensorLike, *size: Any, dtype: DTypeLike = uint32) -> Tensor:
    """Random bits as unsigned integers, uint32 by default, uint64, uint16 or uint8.

    Raises:
        DTypeError: another dtype.
    """
    given, shape, wanted = (
        _checked(key, "bits"),
        sizes_of(size, "random.bits", "size"),
        as_dtype(dtype),
    )
    count = count_of(shape)
    if wanted is dtypes.uint64:
        high, low = (ops.cast(word, dtype=wanted) for word in _pairs(given, count))
        return ops.reshape(
            ops.bitwise_or(ops.shift_left(high, splat(32, high.type)), low), shape=shape
        )
    if wanted.kind != "u":
        raise DTypeError(
            f"random.bits: dtype must be uint8, uint16, uint32 or uint64, and is {wanted}."
        )
    out = _words(given, count)
    if wanted.bits < 32:
        out = ops.cast(
            ops.shift_right_logical(out, splat(32 - wanted.bits, out.type)), dtype=wanted
        )
    return ops.reshape(out, shape=shape)


def _pairs(given: Tensor, count: Any) -> tuple[Tensor, Tensor]:
    """Two random words for each of ``count`` elements."""
    low = ops.iota(shape=(count,), dim=0, dtype=uint32)
    return _encrypted(given, low, Splat(0, low.type))


_MANTISSA: Final = {"float16": 11, "bfloat16": 8, "float32": 24}


def uniform(
    key: TensorLike, *size: Any, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = float32
) -> Tensor:
    """Evenly spread floats in ``[low, high)``, with all digits of the dtype (24 bits in float32).

    Raises:
        DTypeError: not a floating-point dtype.
    """
    given, shape, wanted = (
        _checked(key, "uniform"),
        sizes_of(size, "random.uniform", "size"),
        as_dtype(dtype),
    )
    _require_floating("uniform", wanted)
    unit = ops.reshape(_unit(given, count_of(shape), wanted), shape=shape)
    if high - low != 1.0:
        unit = ops.mul(unit, splat(high - low, unit.type))
    return unit if low == 0.0 else ops.add(unit, splat(low, unit.type))


def _require_floating(function: str, dtype: DType) -> None:
    if dtype.kind != "f":
        raise DTypeError(
            f"random.{function}: dtype must be floating-point, and is {dtype}; "
            "slope.random.randint draws integers."
        )


def _unit(given: Tensor, count: Any, dtype: DType) -> Tensor:
    """Floats in [0, 1): the top bits of random words, exactly scaled."""
    if dtype.bits == 64:
        first, second = _pairs(given, count)
        high = ops.cast(ops.shift_right_logical(first, splat(5, first.type)), dtype=dtype)
        low = ops.cast(ops.shift_right_logical(second, splat(6, second.type)), dtype=dtype)
        whole = ops.add(ops.mul(high, splat(2.0**26, high.type)), low)
        return ops.mul(whole, splat(2.0**-53, whole.type))
    digits = _MANTISSA[dtype.name]
    out = _words(given, count)
    whole = ops.cast(ops.shift_right_logical(out, splat(32 - digits, out.type)), dtype=float32)
    return ops.cast(ops.mul(whole, splat(2.0**-digits, whole.type)), dtype=dtype)


def normal(key: TensorLike, *size: Any, dtype: DTypeLike = float32) -> Tensor:
    """Normal draws of mean 0 and standard deviation 1, by Box and Muller's method.

    Two uniform draws make a radius ``sqrt(-2 log(1 - u))`` and an angle, and these two normal
    draws. In float32 the largest
    size is 5.77. Half precision is drawn in float32.

    Source: G. Box, M. Muller, "A note on the generation of random normal deviates" (1958).

    Raises:
        DTypeError: not a floating-point dtype.
    """
    given, shape, wanted = (
        _checked(key, "normal"),
        sizes_of(size, "random.normal", "size"),
        as_dtype(dtype),
    )
    _require_floating("normal", wanted)
    wide = dtypes.accumulator(wanted)
    count = count_of(shape)
    half = (count + 1) // 2
    unit = _unit(given, 2 * half, wide)
    one = Splat(1.0, TensorType((half,), wide))
    radius_part = ops.sub(one, ops.slice_(unit, start=(0,), stop=(half,), step=(1,)))
    radius = ops.sqrt(ops.mul(splat(-2.0, one.type), ops.log(radius_part)))
    angle = ops.mul(
        splat(2.0 * math.pi, one.type), ops.slice_(unit, start=(half,), stop=(2 * half,), step=(1,))
    )
    out = ops.cat(ops.mul(radius, ops.cos(angle)), ops.mul(radius, ops.sin(angle)), dim=0)
    if not is_static((count,)) or count % 2:
        out = ops.slice_(out, start=(0,), stop=(count,), step=(1,))
    return to_dtype(ops.reshape(out, shape=shape), wanted)


def randint(key: TensorLike, size: Any, low: int, high: int, dtype: DTypeLike = int64) -> Tensor:
    """Whole numbers from ``low`` to ``high`` less one, evenly spread.

    63 random bits modulo ``high - low``: no number is more likely than another by more than ``(high
    - low) / 2**63``.

    Raises:
        ArgumentError: there is no number in the range.
        DTypeError: not an integer dtype.
    """
    given, shape, wanted = (
        _checked(key, "randint"),
        sizes_of((size,), "random.randint", "size"),
        as_dtype(dtype),
    )
    if not wanted.is_integer:
        raise DTypeError(f"random.randint: dtype must be an integer dtype, and is {wanted}.")
    if not -(2**63) <= low < high <= 2**63 or high - low >= 2**63:
        raise ArgumentError(
            f"random.randint: low={low} and high={high} must span at least one and less than "
            "2**63 numbers."
        )
    first, second = _pairs(given, count_of(shape))
    top = ops.cast(ops.shift_right_logical(first, splat(1, first.type)), dtype=int64)
    whole = ops.add(ops.mul(top, splat(2**32, top.type)), ops.cast(second, dtype=int64))
    place = ops.remainder(whole, splat(high - low, whole.type))
    return ops.cast(
        ops.reshape(ops.add(place, splat(low, place.type)) if low else place, shape=shape),
        dtype=wanted,
    )


def bernoulli(key: TensorLike, p: TensorLike = 0.5, shape: Shape | None = None) -> Tensor:
    """True with probability ``p``, of ``p``'s shape or one that ``p`` broadcasts to."""
    given, chance = _checked(key, "bernoulli"), floating(p, "random.bernoulli", "p")
    wanted = chance.shape if shape is None else sizes_of((tuple(shape),), "random.bernoulli")
    if broadcast_shapes("random.bernoulli", chance.shape, wanted) != wanted:
        raise ShapeError(f"random.bernoulli: p {chance.type} does not broadcast to shape {wanted}.")
    unit = ops.reshape(_unit(given, count_of(wanted), chance.dtype), shape=wanted)
    return ops.lt(unit, expand_to(chance, wanted))


# --- draws from the default generator


def rand(*size: Any, dtype: DTypeLike = float32, device: Device | str | None = None) -> Tensor:
    """Evenly spread floats in [0, 1), from the default generator."""
    return placed(uniform(current_scope().draw(), *size, dtype=dtype), device)


def randn(*size: Any, dtype: DTypeLike = float32, device: Device | str | None = None) -> Tensor:
    """Normal draws of mean 0 and standard deviation 1, from the default generator."""
    return placed(normal(current_scope().draw(), *size, dtype=dtype), device)


def randints(
    *arguments: Any, dtype: DTypeLike = int64, device: Device | str | None = None
) -> Tensor:
    """Whole numbers below ``high``: ``randint(high, size)`` or ``randint(low, high, size)``."""
    if not 2 <= len(arguments) <= 3 or not isinstance(arguments[-1], (tuple, list)):
        raise ArgumentError(
            f"randint: takes (high, size) or (low, high, size), and got {arguments!r:.80}."
        )
    low, high = (0, arguments[0]) if len(arguments) == 2 else arguments[:2]
    return placed(
        randint(current_scope().draw(), tuple(arguments[-1]), int(low), int(high), dtype), device
    )


def rand_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Evenly spread floats in [0, 1) of another tensor's shape, dtype and device."""
    given = as_tensor(x, "rand_like", "x")
    return rand(given.shape, dtype=dtype or given.dtype, device=given.device)


def randn_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Normal draws of another tensor's shape, dtype and device."""
    given = as_tensor(x, "randn_like", "x")
    return randn(given.shape, dtype=dtype or given.dtype, device=given.device)
