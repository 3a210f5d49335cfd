"""Rules for single elements: NaN and ties, division, casts, bits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from slope import ops
from slope.dtypes import ALL, as_dtype, bool_
from slope.testing.cases import Array
from slope.testing.meaning._rules import FLOATS, INF, NAN, SIGNED, UNSIGNED, Function, Rules, array


def extremes() -> Rules:
    row = [[1.0, NAN, 3.0], [2.0, -INF, 2.0], [INF, 1.0, -INF]]
    for name in FLOATS:
        x, y = array([1, NAN, -INF, NAN, 2], name), array([NAN, 1, 0, NAN, 2], name)
        for op, same in (
            (ops.maximum, [NAN, NAN, 0, NAN, 2]),
            (ops.minimum, [NAN, NAN, -INF, NAN, 2]),
        ):
            yield f"{op.name} of NaN is NaN", name, op, [x, y], array(same, name)
        rows = [array(row, name)]
        for op, same in ((ops.amax, [NAN, 2, INF]), (ops.amin, [NAN, -INF, -INF])):
            reduced = partial(op, dim=(1,))
            yield f"{op.name} of NaN is NaN", name, reduced, rows, array(same, name)
        rows = [array([[1, NAN, 3, NAN], [2, 5, 5, 1], [3, -INF, -INF, 3]], name)]
        for op, same in ((ops.argmax, [1, 1, 0]), (ops.argmin, [1, 3, 1])):
            rule = f"{op.name}: the first NaN, else the first of equal ones"
            yield rule, name, partial(op, dim=1), rows, np.array(same)
        pair = [array([NAN, NAN, 0.0, -0.0], name), array([NAN, 1, -0.0, INF], name)]
        for op, same in (
            (ops.eq, [0, 0, 1, 0]), (ops.ne, [1, 1, 0, 1]), (ops.lt, [0, 0, 0, 1]),
            (ops.le, [0, 0, 1, 1]), (ops.gt, [0, 0, 0, 0]), (ops.ge, [0, 0, 1, 0]),
        ):  # fmt: skip
            rule = f"{op.name} with NaN and zeros of both signs"
            yield rule, name, op, pair, np.array(same, bool)
        tested = [array([1, NAN, INF, -INF], name)]
        yield "isnan", name, ops.isnan, tested, np.array([0, 1, 0, 0], bool)
        yield "isfinite", name, ops.isfinite, tested, np.array([1, 0, 0, 0], bool)
        signed = [array([NAN, -INF, 0, 3], name)]
        yield "sign of NaN is NaN", name, ops.sign, signed, array([NAN, -1, 0, 1], name)
    for name in (*SIGNED, *UNSIGNED):
        rows = [array([[2, 5, 5], [1, 1, 7], [4, 4, 4]], name)]
        for op, same in ((ops.argmax, [1, 2, 0]), (ops.argmin, [0, 0, 0])):
            rule = f"{op.name} of integers: the first of equal ones"
            yield rule, name, partial(op, dim=1), rows, np.array(same)


def division() -> Rules:
    for name in SIGNED:
        low = int(np.iinfo(name).min)
        x, y = array([7, -7, 7, -7, 5, 0, low, -6], name), array([2, 2, -2, -2, 0, 0, -1, 3], name)
        for op, same in (
            (ops.truncate_divide, [3, -3, -3, 3, 0, 0, low, -2]),
            (ops.floor_divide, [3, -4, -4, 3, 0, 0, low, -2]),
            (ops.fmod, [1, -1, 1, -1, 0, 0, 0, 0]),
            (ops.remainder, [1, 1, -1, -1, 0, 0, 0, 0]),
        ):
            yield op.name, name, op, [x, y], array(same, name)
    for name in UNSIGNED:
        high = int(np.iinfo(name).max)
        x, y = array([7, 5, 0], name), array([2, 0, 0], name)
        x[2] = high
        y[2] = high - 1
        for op, same in (
            (ops.truncate_divide, [3, 0, 1]), (ops.floor_divide, [3, 0, 1]),
            (ops.fmod, [1, 0, 1]), (ops.remainder, [1, 0, 1]),
        ):  # fmt: skip
            yield op.name, name, op, [x, y], array(same, name)
    for name in FLOATS:
        x, y = array([7, -7, 7, -7, 5.5], name), array([2, 2, -2, -2, INF], name)
        yield "floor_divide", name, ops.floor_divide, [x[:4], y[:4]], array([3, -4, -4, 3], name)
        x, y = array([1, -1, 0.5, INF, -1, 0], name), array([0, 0, INF, 2, INF, 0], name)
        floors = array([INF, -INF, 0, NAN, -1, NAN], name)
        yield "floor_divide at the ends", name, ops.floor_divide, [x, y], floors
        x, y = array([7, -7, 7, -7, 5.5], name), array([2, 2, -2, -2, INF], name)
        yield "fmod", name, ops.fmod, [x, y], array([1, -1, 1, -1, 5.5], name)
        yield "remainder", name, ops.remainder, [x, y], array([1, 1, -1, -1, 5.5], name)
        x, y = array([1, -1, 0], name), array([0, 0, 0], name)
        yield "div by zero", name, ops.div, [x, y], array([INF, -INF, NAN], name)


def casts() -> Rules:
    floats = [0.0, 1.9, -1.9, 1e30, -1e30, INF, -INF, NAN]
    for source in FLOATS:
        x = array(floats, source)
        for target in (*SIGNED, *UNSIGNED):
            low, high = int(np.iinfo(target).min), int(np.iinfo(target).max)
            below = max(-1, low)
            same = np.array([0, 1, below, high, low, high, low, 0], object).astype(target)
            rule = f"{source} to {target} truncates, saturates, NaN is 0"
            yield rule, source, _to(target), [x], same
        truth = np.array([0, 1, 1, 1, 1, 1, 1, 1], bool)
        yield f"{source} to bool is x != 0", source, _to("bool"), [x], truth
        # Halfway cases go to the even neighbour; too large ones to infinity.
        for target in FLOATS:
            x = array([1.0, 2049.0, 2051.0, 257.0, 259.0, 1e30, -0.0, NAN], source)
            rule = f"{source} to {target} rounds to nearest even"
            yield rule, source, _to(target), [x], array(x, target)
    numbers = [0, 1, 127, 128, 255, 256, 32768, 65535]
    numbers += [2**31, 2**32 - 1, 2**63 - 1, -1, -128, -(2**31)]
    for source in (*SIGNED, *UNSIGNED):
        limits = np.iinfo(source)
        x = np.array([each for each in numbers if limits.min <= each <= limits.max], source)
        for target in ALL:
            if target.name == source:
                continue  # no operator is left of it
            if target is bool_:
                same = x != 0
            elif target.is_integer:
                same = x.astype(target.numpy)
            else:
                x = x[np.abs(x.astype(np.float64)) < 2**20]  # exact, or one rounding
                same = array(x, target)
            yield f"{source} to {target}", source, _to(target.name), [x], same
    for target in ALL:
        truth = [np.array([True, False])]
        yield f"bool to {target}", "bool", _to(target.name), truth, array([1, 0], target)


def _to(name: str) -> Function:
    return partial(ops.cast, dtype=as_dtype(name))


def bits() -> Rules:
    for name in (*SIGNED, *UNSIGNED):
        bits = as_dtype(name).bits
        x = array([1, 3, 5, 1, 1], name)
        by = array([0, 1, bits - 1, bits, bits + 5], name)
        up = [1, 6, 5 << (bits - 1), 0, 0]
        yield "shift_left past the width gives 0", name, ops.shift_left, [x, by], _wrapped(up, name)
        ones = _wrapped([-1] * 5, name)
        full = (1 << bits) - 1
        down = [full, full >> 1, 1, 0, 0]
        rule = "shift_right_logical past the width gives 0"
        yield rule, name, ops.shift_right_logical, [ones, by], _wrapped(down, name)
        if name in SIGNED:
            rule = "shift_right_arithmetic past the width leaves the sign"
            yield rule, name, ops.shift_right_arithmetic, [ones, by], ones
            low, high = int(np.iinfo(name).min), int(np.iinfo(name).max)
            edge, one = _wrapped([low, high], name), _wrapped([1, 1], name)
            yield "neg of the lowest integer", name, ops.neg, [edge], _wrapped([low, -high], name)
            yield "abs of the lowest integer", name, ops.abs_, [edge], _wrapped([low, high], name)
            yield "add wraps around", name, ops.add, [edge, one], _wrapped([low + 1, low], name)
            yield "sub wraps around", name, ops.sub, [edge, one], _wrapped([high, high - 1], name)
            yield "mul wraps around", name, ops.mul, [edge, edge], _wrapped([0, 1], name)
        else:
            few = _wrapped([0, 1, full], name)
            turned = _wrapped([0, full, 1], name)
            yield "neg of unsigned integers wraps", name, ops.neg, [few], turned
        flipped = _wrapped([-1, -6], name)
        yield "bitwise_not", name, ops.bitwise_not, [_wrapped([0, 5], name)], flipped
    words = np.array([0x3F800000, 0x7FC00000, 0x80000000], np.uint32)
    numbers = np.array([1.0, -0.0], np.float32)
    for source, target, given, same in (
        ("uint32", "float32", words[::2], numbers),
        ("float32", "uint32", numbers, words[::2]),
    ):
        cast = partial(ops.bitcast, dtype=as_dtype(target))
        yield f"bitcast of {source}", source, cast, [given], same


def _wrapped(values: Sequence[int], name: str) -> Array:
    bits = as_dtype(name).bits
    masked = [value & ((1 << bits) - 1) for value in values]
    return np.array(masked, f"uint{bits}").view(name)
