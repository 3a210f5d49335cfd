"""Random keys and random bits: what is the same on every backend and under every transform.

Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC
    2011).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.devices import CPU
from slope.dims import DimExpr, is_static
from slope.dims import size as count_of
from slope.dtypes import DType, DTypeLike, as_dtype, float32, int64, uint32
from slope.errors import ArgumentError, DTypeError
from slope.functions._arguments import shape_of, whole_of
from slope.functions._base import TensorLike, as_tensor, expand_to, of_host, splat
from slope.functions._devices import placed
from slope.functions.generator import words

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
                "random.key: the seed must be an int or an integer tensor of shape (), not "
                f"{seed.type}."
            )
        wide = ops.cast(seed, dtype=int64)
        high = ops.shift_right_logical(wide, splat(32, wide.type))
        return ops.cat(
            *(ops.reshape(ops.cast(word, dtype=uint32), shape=(1,)) for word in (high, wide)), dim=0
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ArgumentError(f"random.key: the seed must be an int, not {seed!r:.60}.")
    return placed(of_host(np.asarray(words(int(seed)), np.uint32)), CPU)


def checked_key(given: Any, function: str) -> Tensor:
    made = as_tensor(given, f"random.{function}", "key")
    if made.type != KEY_TYPE:
        raise ArgumentError(
            f"random.{function}: key must be {KEY_TYPE} (slope.random.key(seed) makes one), and "
            f"is {made.type}."
        )
    return made


def encrypted(given: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Counters encrypted with the key's two words."""
    halves = (ops.slice_(given, start=(at,), stop=(at + 1,), step=(1,)) for at in (0, 1))
    keys = [
        expand_to(half, first.shape) if first.ndim else ops.reshape(half, shape=())
        for half in halves
    ]
    return ops.threefry2x32(*keys, first, second)


def random_words(given: Tensor, count: Any) -> Tensor:
    """``count`` random words: first words of encrypted counters, then second words."""
    half = (count + 1) // 2
    low = ops.iota(shape=(half,), dim=0, dtype=uint32)
    if is_static((half,)):
        high = ops.add(low, Splat(half, low.type))
    else:  # the same, with a number that is known when the program runs
        counted = ops.sum_(Splat(1, low.type), dim=(0,))
        high = ops.add(low, expand_to(counted, low.shape))
    out = ops.cat(*encrypted(given, low, high), dim=0)
    if is_static((count,)) and count % 2 == 0:
        return out
    return ops.slice_(out, start=(0,), stop=(count,), step=(1,))


def split(key: TensorLike, num: int = 2) -> Tensor:
    """New, independent keys: uint32[num, 2]."""
    given = checked_key(key, "split")
    if not isinstance(num, DimExpr):
        num = whole_of(num, "random.split", "num", 0)
        shape_of((num, 2), "random.split", "num")
        if num == 0:
            return Splat(0, given.type.with_shape((0, 2)))
    return ops.reshape(random_words(given, 2 * num), shape=(num, 2))


def fold_in(key: TensorLike, data: int | Tensor) -> Tensor:
    """The key that a key and a whole number (a step, a layer's number) make together."""
    given = checked_key(key, "fold_in")
    number = _key_words(data)
    outs = encrypted(
        given,
        *(
            ops.reshape(ops.slice_(number, start=(at,), stop=(at + 1,), step=(1,)), shape=())
            for at in (0, 1)
        ),
    )
    return ops.cat(*(ops.reshape(word, shape=(1,)) for word in outs), dim=0)


_key_words = key  # what the argument of fold_in hides


# --- bits


_MANTISSA: Final = {"float16": 11, "bfloat16": 8, "float32": 24}


def bits(key: TensorLike, *size: Any, dtype: DTypeLike = uint32) -> Tensor:
    """Random bits as unsigned integers, uint32 by default, uint64, uint16 or uint8.

    Raises:
        DTypeError: another dtype.
    """
    given = checked_key(key, "bits")
    shape = shape_of(size, "random.bits", "size")
    wanted = as_dtype(dtype)
    count = count_of(shape)
    if wanted is dtypes.uint64:
        high, low = (ops.cast(word, dtype=wanted) for word in pairs(given, count))
        return ops.reshape(
            ops.bitwise_or(ops.shift_left(high, splat(32, high.type)), low), shape=shape
        )
    if wanted.kind != "u":
        raise DTypeError(
            f"random.bits: dtype must be uint8, uint16, uint32 or uint64, not {wanted}."
        )
    out = random_words(given, count)
    if wanted.bits < 32:
        out = ops.cast(
            ops.shift_right_logical(out, splat(32 - wanted.bits, out.type)), dtype=wanted
        )
    return ops.reshape(out, shape=shape)


def pairs(given: Tensor, count: Any) -> tuple[Tensor, Tensor]:
    """Two random words for each of ``count`` elements."""
    low = ops.iota(shape=(count,), dim=0, dtype=uint32)
    return encrypted(given, low, Splat(0, low.type))


def require_floating(function: str, dtype: DType) -> None:
    if dtype.kind != "f":
        raise DTypeError(
            f"random.{function}: dtype must be floating-point, not {dtype}; "
            "slope.random.randint draws integers."
        )


def unit_draws(given: Tensor, count: Any, dtype: DType) -> Tensor:
    """Floats in [0, 1): the top bits of random words, exactly scaled."""
    if dtype.bits == 64:
        first, second = pairs(given, count)
        high = ops.cast(ops.shift_right_logical(first, splat(5, first.type)), dtype=dtype)
        low = ops.cast(ops.shift_right_logical(second, splat(6, second.type)), dtype=dtype)
        whole = ops.add(ops.mul(high, splat(2.0**26, high.type)), low)
        return ops.mul(whole, splat(2.0**-53, whole.type))
    digits = _MANTISSA[dtype.name]
    out = random_words(given, count)
    whole = ops.cast(ops.shift_right_logical(out, splat(32 - digits, out.type)), dtype=float32)
    return ops.cast(ops.mul(whole, splat(2.0**-digits, whole.type)), dtype=dtype)
