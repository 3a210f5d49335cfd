"""Rules for the edges of functions, and for derivatives there."""

from __future__ import annotations

from typing import Any

import numpy as np

from slope import functions as fn
from slope import ops
from slope.core.program import trace_program
from slope.core.tensor import Tensor
from slope.testing.cases import pulled
from slope.testing.meaning._rules import FLOATS, INF, NAN, Function, Rules, array


def edges() -> Rules:
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


def derivatives() -> Rules:
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
