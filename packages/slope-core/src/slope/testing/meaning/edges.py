"""Rules for the edges of functions, and for derivatives there."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from slope import functions as fn
from slope import ops
from slope.core.program import trace_program
from slope.core.tensor import Tensor
from slope.testing.cases import Array, pulled
from slope.testing.meaning._rules import FLOATS, INF, NAN, Function, Rules, array

# What holds in every floating-point dtype: the rule, a function, its operands, its results.
_FUNCTIONS: Final[tuple[tuple[str, Function, list[Any], list[Any]], ...]] = (
    ("pow: 0 ** 0 is 1", ops.pow_, [[0, 0, -2, 4], [0, 2, 3, 0.5]], [[1, 0, -8, 2]]),
    ("log below 0", ops.log, [[0, -1, 1]], [[-INF, NAN, 0]]),
    ("sqrt below 0", ops.sqrt, [[0, -1, 1]], [[0, NAN, 1]]),
    ("exp at infinities", ops.exp, [[INF, -INF, NAN, 0]], [[INF, 0, NAN, 1]]),
    ("tanh at infinities", ops.tanh, [[INF, -INF]], [[1, -1]]),
    ("sigmoid at infinities", ops.sigmoid, [[INF, -INF]], [[1, 0]]),
    (
        "round: halves go to the even one",
        ops.round_,
        [[0.5, 1.5, 2.5, -0.5, -1.5, 2.25]],
        [[0, 2, 2, 0, -2, 2]],
    ),
    ("floor", ops.floor, [[1.5, -1.5, -INF]], [[1, -2, -INF]]),
    ("ceil", ops.ceil, [[1.5, -1.5, -INF]], [[2, -1, -INF]]),
    ("trunc", ops.trunc, [[1.5, -1.5, -INF]], [[1, -1, -INF]]),
)


def edges() -> Rules:
    for name in FLOATS:
        for rule, function, operands, results in _FUNCTIONS:
            args, wanted = ([array(each, name) for each in some] for some in (operands, results))
            yield rule, name, function, args, tuple(wanted)
    big, low = [[1e30, -1e30, 0], [-INF, 0, -INF]], [[-INF, -INF], [1e30, -1e30]]
    for rule, function, operand, result in (
        ("log_softmax without overflow", fn.log_softmax, big, [[0, -2e30, -1e30], [-INF, 0, -INF]]),
        ("softmax without overflow", fn.softmax, big, [[1, 0, 0], [0, 1, 0]]),
        ("logsumexp of -inf", fn.logsumexp, low, [-INF, 1e30]),
    ):
        yield rule, "float32", partial(function, dim=1), [_single(operand)], _single(result)
    words = [np.zeros(1, np.uint32)] * 4
    known = (np.array([0x6B200159], np.uint32), np.array([0x99BA4EFE], np.uint32))
    yield "threefry of zeros (known answer)", "uint32", ops.threefry2x32, words, known


def _single(values: Any) -> Array:
    return np.array(values, np.float32)


def _pulled(function: Function) -> Function:
    # The pullback at the sample, of a cotangent of ones.
    def run(*xs: Tensor) -> Any:
        moving = [x.dtype.is_floating_point for x in xs]
        result = trace_program(lambda *ys: (function(*ys),), [x.type for x in xs]).output_types
        ones = [fn.ones(each.shape, dtype=each.dtype) for each in result]
        flat = pulled(lambda *ys: (function(*ys),), moving, result)
        return tuple(flat(*xs, *ones))

    return run


def derivatives() -> Rules:
    chosen = [np.array([True, False]), _single([1, NAN]), _single([NAN, 2])]
    at = [_single([1, 2, 3]), np.array([[1], [1], [0]])]
    gathered = partial(ops.gather, axis=0, batch_dims=0)
    tied, ones, others = _single([[3, 3, 1]]), _single([1, 2]), _single([1, 3])
    for rule, function, args, results in (
        ("sqrt at 0 is inf", ops.sqrt, [_single([0, 4])], [[INF, 0.25]]),
        ("abs at 0 is 0", ops.abs_, [_single([0, 4])], [[0, 1]]),
        ("relu at 0 is 0", fn.relu, [_single([0, 4])], [[0, 1]]),
        ("amax: ties share evenly", partial(ops.amax, dim=(1,)), [tied], [[[0.5, 0.5, 0]]]),
        ("maximum: equal ones take half each", ops.maximum, [ones, others], [[0.5, 0], [0.5, 1]]),
        ("pow at 0", ops.pow_, [_single([0, 0]), _single([0, 2])], [[0, 0], [0, 0]]),
        ("the norm at 0 is 0", partial(fn.norm, dim=1), [_single([[0, 0]])], [[[0, 0]]]),
        ("where: no derivative of what is not chosen", ops.where, chosen, [[1, 0], [0, 1]]),
        ("gather: repeated places add up", gathered, at, [[1, 2, 0]]),
        ("prod with one zero", partial(ops.prod, dim=(0,)), [_single([0, 2, 3])], [[6, 0, 0]]),
    ):
        yield rule, "float32", _pulled(function), args, tuple(map(_single, results))
