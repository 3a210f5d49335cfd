"""Draws of whole numbers and of choices from keys.

The same on every backend, but for a few in a million where rounding decides. Derivatives are zero.
"""

from __future__ import annotations

import math
from typing import Any, Final

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.core.types import Shape
from slope.dims import size as count_of
from slope.dtypes import DTypeLike, as_dtype, int64
from slope.errors import ArgumentError, ShapeError
from slope.functions import special
from slope.functions._arguments import dim_of, flag_of, shape_of, whole_of
from slope.functions._base import TensorLike, as_tensor, floating, to_dtype
from slope.functions.creation import arange
from slope.functions.distributions import categorical, gumbel, parameters_of, permutation
from slope.functions.draws import bernoulli, randint
from slope.functions.elementwise import abs, exp, log, log1p, sqrt
from slope.functions.indexing import index_select
from slope.functions.keys import checked_key, split, unit_draws
from slope.functions.logic import where
from slope.functions.ordering import topk
from slope.functions.reductions import argmax, cumsum
from slope.functions.rounding import floor
from slope.functions.shapes import reshape

__all__ = ["binomial", "choice", "geometric", "poisson", "rademacher"]

_ROUNDS: Final = 16  # each accepts at least 8 candidates of 10
_SMALL: Final = 10.0  # means below are drawn by inversion
_TABLE: Final = 48  # the chance of more, of a mean of 10, is below 1e-16


def rademacher(key: TensorLike, *size: Any, dtype: DTypeLike = int64) -> Tensor:
    """1 or -1, evenly."""
    drawn = bernoulli(checked_key(key, "rademacher"), 0.5, shape_of(size, "random.rademacher"))
    return where(drawn, 1, -1).to(as_dtype(dtype))


def geometric(key: TensorLike, p: TensorLike, shape: Shape | None = None) -> Tensor:
    """How many tries, each successful with probability ``p``, it takes to succeed: int64, from 1.

    Of ``shape``, which ``p`` broadcasts to, or of its own shape.
    """
    given = checked_key(key, "geometric")
    _, (chance,) = parameters_of("geometric", shape, p=p)
    unit = _units(given, chance.shape, chance)
    tries = floor(log1p(-unit) / log1p(-chance)) + 1.0
    return where(chance >= 1, 1.0, tries).to(int64)


def choice(
    key: TensorLike,
    x: int | TensorLike,
    shape: Shape = (),
    replace: bool = True,
    p: TensorLike | None = None,
    dim: int = 0,
) -> Tensor:
    """Parts of a tensor along a dimension, or numbers below ``x``, drawn at random.

    Args:
        key: a key.
        x: a tensor, or an int: the numbers from 0 to ``x`` less one.
        shape: of the draws; it stands in the result in place of the dimension.
        replace: whether a part may be drawn twice.
        p: how likely each part is; evenly by default.
        dim: the dimension.

    Raises:
        ArgumentError: there are fewer parts than draws without replacement, or none.
        ShapeError: ``p`` is no vector of as many elements as there are parts.
    """
    name = "random.choice"
    given, wanted = checked_key(key, "choice"), shape_of((shape,), name)
    parts = None if isinstance(x, int) and not isinstance(x, Tensor) else as_tensor(x, name, "x")
    at = 0 if parts is None else dim_of(dim, parts.ndim, name, shape=parts.shape)
    total = whole_of(x, name, "x", 1) if parts is None else parts.shape[at]
    count = count_of(wanted)
    if not flag_of(replace, name, "replace") and count > total:
        raise ArgumentError(f"{name}: {count} draws without replacement exceed the {total} parts.")
    if p is None:
        places = randint(given, wanted, 0, total) if replace else permutation(given, total)[:count]
    else:
        chances = floating(p, name, "p")
        if chances.shape != (total,):
            raise ShapeError(f"{name}: p is {chances.type}, and there are {total} parts.")
        logits = log(chances)
        if replace:
            places = categorical(given, logits, -1, wanted)
        else:
            noise = gumbel(given, (total,), dtype=dtypes.accumulator(logits.dtype))
            places = topk(logits + noise, whole_of(count, name, "shape", 0))[1]
    if parts is None:
        return reshape(places, wanted)
    chosen = index_select(parts, at, reshape(places, (count,)))
    return reshape(chosen, (*parts.shape[:at], *wanted, *parts.shape[at + 1 :]))


# --- counts
#
# Means below 10 by inversion of the table of their distribution, others by transformed rejection:
# W. Hoermann, "The transformed rejection method for generating Poisson random variables" (1993,
# PTRS) and "The generation of binomial random variates" (1993, BTRS). Candidates are all drawn at
# once, and the first accepted one is taken.


def _units(key: Tensor, shape: Any, like: Tensor) -> Tensor:
    return ops.reshape(unit_draws(key, count_of(shape), like.dtype), shape=shape)


def _lgamma1(x: Tensor) -> Tensor:
    """``log(x!)``, in float64, since such large numbers cancel."""
    return special.lgamma(x.to(dtypes.float64) + 1.0)


def _inverted(key: Tensor, logs: Tensor) -> Tensor:
    """The place in a table of logarithms of probabilities, which stands along dimension 0."""
    unit = _units(key, logs.shape[1:], logs)
    reached = cumsum(exp(logs), 0)
    return (reached / reached[-1] <= unit).to(logs.dtype).sum(0)


def _table(like: Tensor) -> Tensor:
    return arange(_TABLE, dtype=like.dtype).reshape(-1, *(1,) * like.ndim)


def _candidates(key: Tensor, a: Tensor, b: Tensor, center: Tensor) -> tuple[Tensor, ...]:
    """Candidates with the logarithm of what they are likely by, and which are good at once."""
    keys = split(key)
    shape = (_ROUNDS, *center.shape)
    place, test = _units(keys[0], shape, center) - 0.5, 1.0 - _units(keys[1], shape, center)
    near = 0.5 - abs(place)
    near = where(near == 0, 2.0**-25, near)
    found = floor((2.0 * a / near + b) * place + center)
    return found, near, test, log(test) - log(a / (near * near) + b)


def _first(found: Tensor, accepted: Tensor) -> Tensor:
    which = argmax(accepted.to(dtypes.int32), 0)
    rounds = arange(_ROUNDS).reshape(-1, *(1,) * (found.ndim - 1))
    return where(rounds == which, found, 0.0).sum(0)


def poisson(key: TensorLike, rate: TensorLike, shape: Shape | None = None) -> Tensor:
    """Draws (int64) of probabilities ``rate**k * exp(-rate) / k!``.

    Of ``shape``, which ``rate`` broadcasts to, or of its own shape.
    """
    given = checked_key(key, "poisson")
    _, (mean,) = parameters_of("poisson", shape, rate=rate)
    keys = split(given)
    small = mean < _SMALL
    low = where(small & (mean > 0), mean, 1.0)
    k = _table(low)
    few = _inverted(keys[0], k * log(low) - low - _lgamma1(k).to(low.dtype))
    few = where(mean == 0, 0.0, few)
    high = where(small, _SMALL, mean)
    b = 0.931 + 2.53 * sqrt(high)
    a = -0.059 + 0.02483 * b
    found, near, test, level = _candidates(keys[1], a, b, high + 0.43)
    safe = where(found < 0, 0.0, found)
    at_once = (near >= 0.07) & (test <= 0.9277 - 3.6224 / (b - 2.0))
    wide = high.to(dtypes.float64)
    bound = safe * log(wide) - wide - _lgamma1(safe)
    slow = (found >= 0) & (level + log(1.1239 + 1.1328 / (b - 3.4)) <= bound)
    many = _first(safe, at_once | (slow & ~((near < 0.013) & (test > near))))
    return where(small, few, many).to(int64)


def binomial(key: TensorLike, n: TensorLike, p: TensorLike, shape: Shape | None = None) -> Tensor:
    """How many of ``n`` tries, each successful with probability ``p``, succeed: int64.

    Of ``shape``, which both broadcast to, or of their own.
    """
    given = checked_key(key, "binomial")
    _, (tries, chance) = parameters_of("binomial", shape, n=n, p=p)
    keys = split(given)
    turned = chance > 0.5
    chance = where(turned, 1.0 - chance, chance)
    odds = log(where(chance == 0, 0.5, chance)) - log1p(-chance)
    small = tries * chance < _SMALL
    k = _table(tries)
    inside = k <= tries
    step = where(inside & (k > 0), log((tries - k + 1.0) / where(k > 0, k, 1.0)) + odds, 0.0)
    logs = cumsum(where(small, step, 0.0), 0) + where(small, tries * log1p(-chance), 0.0)
    few = _inverted(keys[0], where(inside, logs, -math.inf))
    few = where(chance == 0, 0.0, few)
    n_, p_ = where(small, 100.0, tries), where(small, 0.25, chance)
    odds = where(small, math.log(1 / 3), odds)
    spread = sqrt(n_ * p_ * (1.0 - p_))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p_
    found, near, test, level = _candidates(keys[1], a, b, n_ * p_ + 0.5)
    fits = (found >= 0) & (found <= n_)
    safe = where(fits, found, 0.0)
    top = floor((n_ + 1.0) * p_)
    bound = _lgamma1(top) + _lgamma1(n_ - top) - _lgamma1(safe) - _lgamma1(n_ - safe)
    slow = level + log((2.83 + 5.1 / b) * spread) <= bound + (safe - top) * odds
    many = _first(safe, fits & (((near >= 0.07) & (test <= 0.92 - 4.2 / b)) | slow))
    drawn = where(small, few, many)
    return to_dtype(where(turned, tries - drawn, drawn), int64)
