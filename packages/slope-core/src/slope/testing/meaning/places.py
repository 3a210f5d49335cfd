"""Rules for empty operands, places out of range or repeated, and sums of half precision."""

from __future__ import annotations

import numpy as np

from slope import ops
from slope.core.operator import lookup
from slope.core.tensor import Splat, Tensor
from slope.dtypes import as_dtype
from slope.testing.meaning._rules import FLOATS, NAN, SIGNED, UNSIGNED, Function, Rules, array
from slope.testing.meaning.elements import _wrapped


def empty() -> Rules:
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


def places() -> Rules:
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
        zeros = array([0, 0, 7], name)
        at = np.array([[-3], [9], [1], [1]])
        new = array([1, 2, 3, 4], name)
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


def accumulation() -> Rules:
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
