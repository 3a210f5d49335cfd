"""Loops at random, over values of many dtypes and shapes: kernels give the NumPy backend's bits.

All operators here are exact, so that no rounding hides a wrong element.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iree_checks import agree

import slope

Tensor = Any
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("cache")

SHAPES = ((), (1,), (5,), (2, 3), (3, 1), (1, 7), (2, 1, 3), (17,), (67,))


def numbers(choose: random.Random, shape: tuple[int, ...], dtype: str) -> Any:
    draw = np.random.default_rng(choose.getrandbits(32))
    if dtype == "bool":
        return draw.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        found = np.asarray(draw.integers(-64, 65, shape) / 16, dtype)
        odd = choose.choice([np.nan, np.inf, -0.0, 1e30])
        return np.where(draw.random(shape) < 0.1, np.asarray(odd, dtype), found)
    info = np.iinfo(dtype)
    return draw.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def fitted(x: Tensor, like: Tensor) -> Tensor:
    """A tensor of the other's shape and dtype."""
    x = x.to(like.dtype)
    size, flat = math.prod(like.shape), x.reshape(-1)
    if flat.shape[0] < size:
        flat = flat.expand(-(-size // flat.shape[0]), flat.shape[0]).reshape(-1)
    return flat[:size].reshape(like.shape)


def exact(choose: random.Random, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """One operator on tensors of one type, and a third one of any."""
    kind, places = x.dtype.kind, range(x.ndim)
    bits = [slope.bitwise_and, slope.bitwise_xor, slope.maximum, slope.minimum]
    both = {
        "b": bits,
        "f": [slope.maximum, slope.minimum, slope.fmax, lambda x, y: slope.floor(x) * 0.5],
    }.get(kind, [*bits, slope.add, slope.sub, slope.mul, slope.floor_divide, slope.remainder])
    ways: list[Callable[[], Tensor]] = [
        lambda: choose.choice(both)(x, y),
        lambda: choose.choice([slope.eq, slope.lt, slope.ge])(x, y),
        lambda: slope.where(fitted(z, x).to(slope.bool_), x, y),
        lambda: x.to(z.dtype),
    ]
    if places:
        dim, at = choose.choice(places), fitted(z, slope.ones((), dtype=slope.int64))
        ways += [
            lambda: x.permute(*reversed(places)),
            lambda: slope.flip(x, [dim]),
            lambda: slope.cat([x, y], dim=dim),
            lambda: slope.amax(x, dim=dim),
            lambda: (slope.all if kind == "b" else slope.argmin)(x, dim=dim),
            lambda: x[at % x.shape[0]],
            lambda: x.at[at % x.shape[0]].set(y[-1]),
            lambda: slope.dynamic_update_slice(x, y[:1], (at, *[0] * (x.ndim - 1))),
            lambda: slope.pad(x, (1, -1), value=1),
        ]
        if kind in "iu":
            ways += [lambda: slope.cumsum(x, dim=dim), lambda: x @ y.mT if x.ndim > 1 else x @ y]
    return choose.choice(ways)()


def body(seed: int, state: Sequence[Tensor], others: Sequence[Tensor], depth: int) -> list[Tensor]:
    """New values of the types of a state, made of it and of others."""
    choose = random.Random(seed)
    values = [*state, *others]
    for _ in range(choose.randint(1, 5)):
        x = choose.choice(values)
        y, z = fitted(choose.choice(values), x), choose.choice(values)
        values.append(exact(choose, x, y, z))
    if depth < 2 and choose.random() < 0.4:
        values.append(loop(choose, values[-3:], others, depth + 1)[0])
    recent = [*state, *values[-3:]]
    return [fitted(choose.choice(recent), each) for each in state]


def loop(
    choose: random.Random, state: Sequence[Tensor], others: Sequence[Tensor], depth: int = 0
) -> list[Tensor]:
    """A scan, a counted loop or a branch, nested in one another."""
    seed, length = choose.getrandbits(32), choose.choice([1, 2, 3])
    kind = choose.choice(["scan", "scan", "fori", "cond"])
    if kind == "fori":
        return slope.fori_loop(0, length, lambda i, s: body(seed, s, [*others, i], depth), [*state])
    if kind == "cond":
        ways = [lambda *s, k=k: body(seed + k, s, others, depth) for k in range(2)]
        return slope.cond(fitted(state[0], slope.ones((), dtype=slope.bool_)), *ways, *state)
    xs = fitted(choose.choice(others), slope.ones(length, 3, dtype=slope.int32))

    def step(carried: list[Tensor], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        made = body(seed, carried, [*others, x], depth)
        return made, [made[0], carried[-1], x]

    last, rows = slope.scan(step, [*state], xs, reverse=choose.random() < 0.4)
    return [rows[0], *last, *rows[1:]]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_any_loop(seed: int):
    choose = random.Random(seed)
    given_ = [
        slope.from_numpy(numbers(choose, choose.choice(SHAPES), choose.choice(DTYPES)))
        for _ in range(4)
    ]

    def run(*given_: Tensor) -> list[Tensor]:
        choose = random.Random(seed + 1)
        return [out for _ in range(3) for out in loop(choose, choose.sample(given_, 2), given_)]

    agree(run, *given_, near=0)
