"""The meaning rules: small cases whose results the operators' docstrings decide.

Where hardware differs (NaN in an extremum, ties, integer division by zero, casts out of range,
shifts past the width),
slope says what holds. The results here are written by hand, so the numpy backend is held to them
like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from slope import functions as fn
from slope import ops
from slope.core.operator import lookup
from slope.core.program import trace_program
from slope.core.tensor import Splat, Tensor
from slope.core.types import type_of_array
from slope.dtypes import ALL, DType, as_dtype, bool_
from slope.testing.cases import Array, Broken, Case, closed, pulled

INF: Final = float("inf")
NAN: Final = float("nan")
FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
SIGNED: Final = ("int8", "int16", "int32", "int64")
UNSIGNED: Final = ("uint8", "uint16", "uint32", "uint64")
GROUPS: Final = (
    "NaN and ties", "whole-number division", "casts", "shifts and bits", "empty operands",
    "places out of range and repeated", "accumulation", "edges", "derivatives at edges",
)  # fmt: skip

Function = Callable[..., Any]


def meaning_cases() -> Iterator[Case | Broken]:
    """All meaning rules as cases."""
    makers = (
        _extremes, _division, _casts, _bits, _empty, _places, _accumulation, _edges, _derivatives,
    )  # fmt: skip
    for group, maker in zip(GROUPS, makers, strict=True):
        for label, dtype, function, args, expected in maker():
            yield _case(group, label, dtype, function, args, expected)


def _case(
    group: str, label: str, dtype: str, function: Function, args: Sequence[Array], expected: Any
) -> Case | Broken:
    def run(*xs: Tensor) -> tuple[Tensor, ...]:
        result = function(*xs)
        return result if isinstance(result, tuple) else (result,)

    wanted = expected if isinstance(expected, tuple) else (expected,)
    name = f"{label} ({dtype})"
    try:
        program = trace_program(run, [type_of_array(arg) for arg in args], name="meaning")
        return Case(group, "meaning", dtype, name, closed(program), tuple(args), wanted)
    except Exception as error:  # noqa: BLE001  # whatever a rule raises is reported
        return Broken(group, "meaning", dtype, name, error)


Rules = Iterator[tuple[str, str, Function, Sequence[Array], Any]]


def array(values: Any, dtype: str | DType) -> Array:
    """An array of a dtype by name; integers wrap around, floats overflow."""
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(as_dtype(dtype).numpy)


def _extremes() -> Rules:
    row = [[1.0, NAN, 3.0], [2.0, -INF, 2.0], [INF, 1.0, -INF]]
    for name in FLOATS:
        x, y = array([1, NAN, -INF, NAN, 2], name), array([NAN, 1, 0, NAN, 2], name)
        for op, same in (
            (ops.maximum, [NAN, NAN, 0, NAN, 2]),
            (ops.minimum, [NAN, NAN, -INF, NAN, 2]),
        ):
            yield f"{op.name} of NaN is NaN", name, op, [x, y], array(same, name)
        rows = [array(row, name)]
        yield (
            "amax of NaN is NaN",
            name,
            lambda x: ops.amax(x, dim=(1,)),
            rows,
            array([NAN, 2, INF], name),
        )
        yield (
            "amin of NaN is NaN",
            name,
            lambda x: ops.amin(x, dim=(1,)),
            rows,
            array([NAN, -INF, -INF], name),
        )
        rows = [array([[1, NAN, 3, NAN], [2, 5, 5, 1], [3, -INF, -INF, 3]], name)]
        yield (
            "argmax: the first NaN, else the first of equal ones",
            name,
            lambda x: ops.argmax(x, dim=1),
            rows,
            np.array([1, 1, 0]),
        )
        yield (
            "argmin: the first NaN, else the first of equal ones",
            name,
            lambda x: ops.argmin(x, dim=1),
            rows,
            np.array([1, 3, 1]),
        )
        pair = [array([NAN, NAN, 0.0, -0.0], name), array([NAN, 1, -0.0, INF], name)]
        for op, same in (
            (ops.eq, [0, 0, 1, 0]), (ops.ne, [1, 1, 0, 1]), (ops.lt, [0, 0, 0, 1]),
            (ops.le, [0, 0, 1, 1]), (ops.gt, [0, 0, 0, 0]), (ops.ge, [0, 0, 1, 0]),
        ):  # fmt: skip
            yield (
                f"{op.name} with NaN and zeros of both signs",
                name,
                op,
                pair,
                np.array(same, bool),
            )
        tested = [array([1, NAN, INF, -INF], name)]
        yield "isnan", name, ops.isnan, tested, np.array([0, 1, 0, 0], bool)
        yield "isfinite", name, ops.isfinite, tested, np.array([1, 0, 0, 0], bool)
        yield (
            "sign of NaN is NaN",
            name,
            ops.sign,
            [array([NAN, -INF, 0, 3], name)],
            array([NAN, -1, 0, 1], name),
        )
    for name in (*SIGNED, *UNSIGNED):
        rows = [array([[2, 5, 5], [1, 1, 7], [4, 4, 4]], name)]
        yield (
            "argmax of integers: the first of equal ones",
            name,
            lambda x: ops.argmax(x, dim=1),
            rows,
            np.array([1, 2, 0]),
        )
        yield (
            "argmin of integers: the first of equal ones",
            name,
            lambda x: ops.argmin(x, dim=1),
            rows,
            np.array([0, 0, 0]),
        )


def _division() -> Rules:
    for name in SIGNED:
        low = int(np.iinfo(name).min)
        x, y = array([7, -7, 7, -7, 5, 0, low, -6], name), array([2, 2, -2, -2, 0, 0, -1, 3], name)
        yield (
            "truncate_divide",
            name,
            ops.truncate_divide,
            [x, y],
            array([3, -3, -3, 3, 0, 0, low, -2], name),
        )
        yield (
            "floor_divide",
            name,
            ops.floor_divide,
            [x, y],
            array([3, -4, -4, 3, 0, 0, low, -2], name),
        )
        yield "fmod", name, ops.fmod, [x, y], array([1, -1, 1, -1, 0, 0, 0, 0], name)
        yield "remainder", name, ops.remainder, [x, y], array([1, 1, -1, -1, 0, 0, 0, 0], name)
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


def _casts() -> Rules:
    floats = [0.0, 1.9, -1.9, 1e30, -1e30, INF, -INF, NAN]
    for source in FLOATS:
        x = array(floats, source)
        for target in (*SIGNED, *UNSIGNED):
            low, high = int(np.iinfo(target).min), int(np.iinfo(target).max)
            below = max(-1, low)
            same = np.array([0, 1, below, high, low, high, low, 0], object).astype(target)
            yield (
                f"{source} to {target} truncates, saturates, NaN is 0",
                source,
                _to(target),
                [x],
                same,
            )
        yield (
            f"{source} to bool is x != 0",
            source,
            _to("bool"),
            [x],
            np.array([0, 1, 1, 1, 1, 1, 1, 1], bool),
        )
        # Halfway cases go to the even neighbour; too large ones to infinity.
        for target in FLOATS:
            x = array([1.0, 2049.0, 2051.0, 257.0, 259.0, 1e30, -0.0, NAN], source)
            yield (
                f"{source} to {target} rounds to nearest even",
                source,
                _to(target),
                [x],
                array(x, target),
            )
    numbers = [
        0,
        1,
        127,
        128,
        255,
        256,
        32768,
        65535,
        2**31,
        2**32 - 1,
        2**63 - 1,
        -1,
        -128,
        -(2**31),
    ]
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
        yield (
            f"bool to {target}",
            "bool",
            _to(target.name),
            [np.array([True, False])],
            array([1, 0], target),
        )


def _to(name: str) -> Function:
    return lambda x: ops.cast(x, dtype=as_dtype(name))


def _bits() -> Rules:
    for name in (*SIGNED, *UNSIGNED):
        bits = as_dtype(name).bits
        x = array([1, 3, 5, 1, 1], name)
        by = array([0, 1, bits - 1, bits, bits + 5], name)
        up = [1, 6, 5 << (bits - 1), 0, 0]
        yield "shift_left past the width gives 0", name, ops.shift_left, [x, by], _wrapped(up, name)
        ones = _wrapped([-1] * 5, name)
        full = (1 << bits) - 1
        down = [full, full >> 1, 1, 0, 0]
        yield (
            "shift_right_logical past the width gives 0",
            name,
            ops.shift_right_logical,
            [ones, by],
            _wrapped(down, name),
        )
        if name in SIGNED:
            yield (
                "shift_right_arithmetic past the width leaves the sign",
                name,
                ops.shift_right_arithmetic,
                [ones, by],
                ones,
            )
            low, high = int(np.iinfo(name).min), int(np.iinfo(name).max)
            edge, one = _wrapped([low, high], name), _wrapped([1, 1], name)
            yield "neg of the lowest integer", name, ops.neg, [edge], _wrapped([low, -high], name)
            yield "abs of the lowest integer", name, ops.abs_, [edge], _wrapped([low, high], name)
            yield "add wraps around", name, ops.add, [edge, one], _wrapped([low + 1, low], name)
            yield "sub wraps around", name, ops.sub, [edge, one], _wrapped([high, high - 1], name)
            yield "mul wraps around", name, ops.mul, [edge, edge], _wrapped([0, 1], name)
        else:
            few = _wrapped([0, 1, full], name)
            yield (
                "neg of unsigned integers wraps",
                name,
                ops.neg,
                [few],
                _wrapped([0, full, 1], name),
            )
        yield (
            "bitwise_not",
            name,
            ops.bitwise_not,
            [_wrapped([0, 5], name)],
            _wrapped([-1, -6], name),
        )
    words = np.array([0x3F800000, 0x7FC00000, 0x80000000], np.uint32)
    yield (
        "bitcast to float32",
        "uint32",
        lambda x: ops.bitcast(x, dtype=as_dtype("float32")),
        [words[::2]],
        np.array([1.0, -0.0], np.float32),
    )
    yield (
        "bitcast from float32",
        "float32",
        lambda x: ops.bitcast(x, dtype=as_dtype("uint32")),
        [words[::2].view(np.float32)],
        words[::2],
    )


def _wrapped(values: Sequence[int], name: str) -> Array:
    bits = as_dtype(name).bits
    masked = [value & ((1 << bits) - 1) for value in values]
    return np.array(masked, f"uint{bits}").view(name)


def _empty() -> Rules:
    for name in (*FLOATS, "int8", "int32", "int64", "uint8"):
        nothing = [np.zeros((2, 0), as_dtype(name).numpy)]
        yield (
            "the empty sum is 0",
            name,
            lambda x: ops.sum_(x, dim=(1,)),
            nothing,
            array([0, 0], name),
        )
        yield (
            "the empty product is 1",
            name,
            lambda x: ops.prod(x, dim=(1,)),
            nothing,
            array([1, 1], name),
        )
        two = [np.zeros((2, 0), as_dtype(name).numpy), np.zeros((0, 3), as_dtype(name).numpy)]
        yield (
            "a contraction over nothing is 0",
            name,
            lambda x, y: ops.dot_general(x, y, contract=((1,), (0,)), batch=((), ())),
            two,
            np.zeros((2, 3), as_dtype(name).numpy),
        )
        yield (
            "broadcast of nothing",
            name,
            lambda x: ops.broadcast(x, shape=(3, 2, 0), dims=(1, 2)),
            nothing,
            np.zeros((3, 2, 0), as_dtype(name).numpy),
        )
        yield (
            "broadcast to nothing",
            name,
            lambda x: ops.broadcast(x, shape=(2, 0, 3), dims=(0, 2)),
            [np.ones((2, 3), as_dtype(name).numpy)],
            np.zeros((2, 0, 3), as_dtype(name).numpy),
        )
        parts = [np.zeros((0,), as_dtype(name).numpy), array([1, 2], name)]
        yield (
            "concatenate with nothing",
            name,
            lambda x, y: lookup("concatenate")(x, y, dim=0),
            parts,
            array([1, 2], name),
        )
        yield (
            "pad of nothing",
            name,
            lambda x: ops.pad(x, low=(1, 0), high=(0, 2), interior=(0, 0), value=1),
            nothing,
            array(np.ones((3, 2)), name),
        )
    nothing = [np.zeros((2, 0), bool)]
    yield (
        "any of nothing is False",
        "bool",
        lambda x: ops.any_(x, dim=(1,)),
        nothing,
        np.zeros(2, bool),
    )
    yield (
        "all of nothing is True",
        "bool",
        lambda x: ops.all_(x, dim=(1,)),
        nothing,
        np.ones(2, bool),
    )


def _places() -> Rules:
    for name in FLOATS:
        yield (
            "two results that start from one literal stay apart",
            name,
            _both,
            [np.array([[1]]), array([[1, 2]], name), array([[3, 4]], name)],
            (array([[0, 0], [1, 2]], name), array([[0, 0], [3, 4]], name)),
        )
    for name in (*FLOATS, *SIGNED, *UNSIGNED):
        x = array([10, 20, 30], name)
        for index in ("int32", "int64"):
            at = array([[-3], [9], [1], [-1]], index)
            yield (
                f"gather_slices clamps {index} coordinates",
                name,
                lambda x, i: ops.gather(x, i, axis=0, batch_dims=0),
                [x, at],
                array([10, 30, 20, 10], name),
            )
        zeros, at, new = (
            array([0, 0, 7], name),
            np.array([[-3], [9], [1], [1]]),
            array([1, 2, 3, 4], name),
        )
        results = {
            "add": [1, 7, 9],
            "set": [1, 4, 2],
            "mul": [0, 0, 14],
            "min": [0, 0, 2],
            "max": [1, 4, 7],
        }
        for mode, same in results.items():
            yield (
                f"scatter_slices clamps; {mode} of repeated places",
                name,
                _scatter(mode),
                [zeros, at, new],
                array(same, name),
            )
    condition = [
        np.array([True, False]),
        np.array([1, NAN], np.float32),
        np.array([NAN, 2], np.float32),
    ]
    yield (
        "where keeps out what is not chosen",
        "float32",
        ops.where,
        condition,
        np.array([1, 2], np.float32),
    )


def _both(i: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    zeros = Splat(0, first.type.with_shape((2, 2)))
    return _scatter("add")(zeros, i, first), _scatter("add")(zeros, i, second)


def _scatter(mode: str) -> Function:
    return lambda x, i, u: ops.scatter(x, i, u, axis=0, batch_dims=0, mode=mode)


def _accumulation() -> Rules:
    for name, count in (("float16", 4096), ("bfloat16", 1024)):
        ones = array(np.ones(count), name)
        label = "half precision accumulates in float32"
        yield f"sum: {label}", name, lambda x: ops.sum_(x, dim=(0,)), [ones], array(count, name)
        yield (
            f"dot_general: {label}",
            name,
            lambda x, y: ops.dot_general(x, y, contract=((0,), (0,)), batch=((), ())),
            [ones, ones],
            array(count, name),
        )
    for name in SIGNED:
        high = int(np.iinfo(name).max)
        x = _wrapped([high, 1, 1], name)
        yield (
            "sum wraps around",
            name,
            lambda x: ops.sum_(x, dim=(0,)),
            [x],
            _wrapped([high + 2], name).reshape(()),
        )
        yield (
            "cumsum wraps around",
            name,
            lambda x: ops.cumsum(x, dim=0, reverse=False),
            [x],
            _wrapped([high, high + 1, high + 2], name),
        )


def _edges() -> Rules:
    for name in FLOATS:
        yield (
            "pow: 0 ** 0 is 1",
            name,
            ops.pow_,
            [array([0, 0, -2, 4], name), array([0, 2, 3, 0.5], name)],
            array([1, 0, -8, 2], name),
        )
        yield (
            "log and sqrt below 0",
            name,
            lambda x: (ops.log(x), ops.sqrt(x)),
            [array([0, -1, 1], name)],
            (array([-INF, NAN, 0], name), array([0, NAN, 1], name)),
        )
        yield (
            "exp at infinities",
            name,
            ops.exp,
            [array([INF, -INF, NAN, 0], name)],
            array([INF, 0, NAN, 1], name),
        )
        yield (
            "tanh and sigmoid at infinities",
            name,
            lambda x: (ops.tanh(x), ops.sigmoid(x)),
            [array([INF, -INF], name)],
            (array([1, -1], name), array([1, 0], name)),
        )
        yield (
            "round: halves go to the even one",
            name,
            ops.round_,
            [array([0.5, 1.5, 2.5, -0.5, -1.5, 2.25], name)],
            array([0, 2, 2, 0, -2, 2], name),
        )
        yield (
            "floor, ceil, trunc",
            name,
            lambda x: (ops.floor(x), ops.ceil(x), ops.trunc(x)),
            [array([1.5, -1.5, -INF], name)],
            (array([1, -2, -INF], name), array([2, -1, -INF], name), array([1, -1, -INF], name)),
        )
    big = [np.array([[1e30, -1e30, 0], [-INF, 0, -INF]], np.float32)]
    yield (
        "log_softmax without overflow",
        "float32",
        lambda x: fn.log_softmax(x, 1),
        big,
        np.array([[0, -2e30, -1e30], [-INF, 0, -INF]], np.float32),
    )
    yield (
        "softmax without overflow",
        "float32",
        lambda x: fn.softmax(x, 1),
        big,
        np.array([[1, 0, 0], [0, 1, 0]], np.float32),
    )
    low = [np.array([[-INF, -INF], [1e30, -1e30]], np.float32)]
    yield (
        "logsumexp of -inf",
        "float32",
        lambda x: fn.logsumexp(x, 1),
        low,
        np.array([-INF, 1e30], np.float32),
    )
    words = [np.zeros(1, np.uint32)] * 4
    yield (
        "threefry of zeros (known answer)",
        "uint32",
        ops.threefry2x32,
        words,
        (np.array([0x6B200159], np.uint32), np.array([0x99BA4EFE], np.uint32)),
    )


def _pulled(function: Function, *outs: Any) -> Function:
    # The pullback at the sample, of a cotangent of ones.
    def run(*xs: Tensor) -> Any:
        moving = [x.dtype.is_floating_point for x in xs]
        result = trace_program(lambda *ys: (function(*ys),), [x.type for x in xs]).output_types
        ones = [fn.ones(each.shape, dtype=each.dtype) for each in result]
        flat = pulled(lambda *ys: (function(*ys),), moving, result)
        return tuple(flat(*xs, *ones))

    return run


def _derivatives() -> Rules:
    x = np.array([0, 4], np.float32)
    yield "sqrt at 0 is inf", "float32", _pulled(ops.sqrt), [x], np.array([INF, 0.25], np.float32)
    yield "abs at 0 is 0", "float32", _pulled(ops.abs_), [x], np.array([0, 1], np.float32)
    yield "relu at 0 is 0", "float32", _pulled(fn.relu), [x], np.array([0, 1], np.float32)
    tied = [np.array([[3, 3, 1]], np.float32)]
    yield (
        "amax: ties share evenly",
        "float32",
        _pulled(lambda x: ops.amax(x, dim=(1,))),
        tied,
        np.array([[0.5, 0.5, 0]], np.float32),
    )
    pair = [np.array([1, 2], np.float32), np.array([1, 3], np.float32)]
    yield (
        "maximum: equal operands take half each",
        "float32",
        _pulled(ops.maximum),
        pair,
        (np.array([0.5, 0], np.float32), np.array([0.5, 1], np.float32)),
    )
    yield (
        "pow at 0",
        "float32",
        _pulled(ops.pow_),
        [np.array([0, 0], np.float32), np.array([0, 2], np.float32)],
        (np.array([0, 0], np.float32), np.array([0, 0], np.float32)),
    )
    zeros = [np.zeros((1, 2), np.float32)]
    yield (
        "the norm at 0 is 0",
        "float32",
        _pulled(lambda x: fn.norm(x, dim=1)),
        zeros,
        np.zeros((1, 2), np.float32),
    )
    chosen = [
        np.array([True, False]),
        np.array([1, NAN], np.float32),
        np.array([NAN, 2], np.float32),
    ]
    yield (
        "where: no derivative of what is not chosen",
        "float32",
        _pulled(ops.where),
        chosen,
        (np.array([1, 0], np.float32), np.array([0, 1], np.float32)),
    )
    at = [np.array([1, 2, 3], np.float32), np.array([[1], [1], [0]])]
    yield (
        "gather: repeated places add up",
        "float32",
        _pulled(lambda x, i: ops.gather(x, i, axis=0, batch_dims=0)),
        at,
        np.array([1, 2, 0], np.float32),
    )
    yield (
        "prod with one zero",
        "float32",
        _pulled(lambda x: ops.prod(x, dim=(0,))),
        [np.array([0, 2, 3], np.float32)],
        np.array([6, 0, 0], np.float32),
    )
