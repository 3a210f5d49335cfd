"""Rules for empty operands, places out of range or repeated, and sums of half precision."""

from __future__ import annotations

from functools import partial

import numpy as np

from slope import ops
from slope.core.operator import lookup
from slope.core.tensor import Splat, Tensor
from slope.testing.meaning._rules import FLOATS, NAN, SIGNED, UNSIGNED, Function, Rules, array
from slope.testing.meaning.elements import _wrapped


def empty() -> Rules:
    for name in (*FLOATS, "int8", "int32", "int64", "uint8"):
        nothing, none = array(np.zeros((2, 0)), name), array(np.zeros((0, 3)), name)
        product = partial(ops.dot_general, contract=((1,), (0,)), batch=((), ()))
        outer = partial(ops.broadcast, shape=(3, 2, 0), dims=(1, 2))
        inner = partial(ops.broadcast, shape=(2, 0, 3), dims=(0, 2))
        padded = partial(ops.pad, low=(1, 0), high=(0, 2), interior=(0, 0), value=1)
        joined = partial(lookup("concatenate"), dim=0)
        for rule, function, args, result in (
            ("the empty sum is 0", partial(ops.sum_, dim=(1,)), [nothing], [0, 0]),
            ("the empty product is 1", partial(ops.prod, dim=(1,)), [nothing], [1, 1]),
            ("a contraction over nothing is 0", product, [nothing, none], np.zeros((2, 3))),
            ("broadcast of nothing", outer, [nothing], np.zeros((3, 2, 0))),
            ("broadcast to nothing", inner, [array(np.ones((2, 3)), name)], np.zeros((2, 0, 3))),
            ("concatenate with nothing", joined, [array([], name), array([1, 2], name)], [1, 2]),
            ("pad of nothing", padded, [nothing], np.ones((3, 2))),
        ):
            yield rule, name, function, args, array(result, name)
    nothing = [np.zeros((2, 0), bool)]
    yield "any of nothing is False", "bool", partial(ops.any_, dim=(1,)), nothing, np.zeros(2, bool)
    yield "all of nothing is True", "bool", partial(ops.all_, dim=(1,)), nothing, np.ones(2, bool)


def places() -> Rules:
    for name in FLOATS:
        updates = [np.array([[1]]), array([[1, 2]], name), array([[3, 4]], name)]
        written = (array([[0, 0], [1, 2]], name), array([[0, 0], [3, 4]], name))
        yield "two results that start from one literal stay apart", name, _both, updates, written
    for name in (*FLOATS, *SIGNED, *UNSIGNED):
        x = array([10, 20, 30], name)
        for index in ("int32", "int64"):
            at = array([[-3], [9], [1], [-1]], index)
            rule, read = f"gather_slices clamps {index} coordinates", array([10, 30, 20, 10], name)
            yield rule, name, partial(ops.gather, axis=0, batch_dims=0), [x, at], read
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
            rule = f"scatter_slices clamps; {mode} of repeated places"
            yield rule, name, _scatter(mode), [zeros, at, new], array(same, name)
    chosen = [np.array([True, False]), array([1, NAN], "float32"), array([NAN, 2], "float32")]
    kept = array([1, 2], "float32")
    yield "where keeps out what is not chosen", "float32", ops.where, chosen, kept


def _both(i: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    zeros = Splat(0, first.type.with_shape((2, 2)))
    return _scatter("add")(zeros, i, first), _scatter("add")(zeros, i, second)


def _scatter(mode: str) -> Function:
    return partial(ops.scatter, axis=0, batch_dims=0, mode=mode)


def accumulation() -> Rules:
    for name, count in (("float16", 4096), ("bfloat16", 1024)):
        ones = array(np.ones(count), name)
        label = "half precision accumulates in float32"
        yield f"sum: {label}", name, partial(ops.sum_, dim=(0,)), [ones], array(count, name)
        product = partial(ops.dot_general, contract=((0,), (0,)), batch=((), ()))
        yield f"dot_general: {label}", name, product, [ones, ones], array(count, name)
    for name in SIGNED:
        high = int(np.iinfo(name).max)
        x = _wrapped([high, 1, 1], name)
        sums = _wrapped([high, high + 1, high + 2], name)
        yield "sum wraps around", name, partial(ops.sum_, dim=(0,)), [x], sums[-1:].reshape(())
        yield "cumsum wraps around", name, partial(ops.cumsum, dim=0, reverse=False), [x], sums
