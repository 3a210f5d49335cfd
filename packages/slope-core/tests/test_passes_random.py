"""Random programs keep their meaning: with all passes, with each alone, and as printed text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slope import dtypes, ops
from slope.core.program import trace_program
from slope.core.tensor import Splat
from slope.core.types import TensorType
from slope.passes import PASSES, optimize

LENGTHS = st.sampled_from([2, 3, 1, 2, 3, 0])
KINDS = [dtypes.float64, dtypes.int8, dtypes.uint16, dtypes.bool_]
# Sums and products of few powers of two are exact: every order of evaluation gives the same.
NUMBERS = {
    "f": [-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 4.0],
    "i": [-128, -1, 0, 1, 2, 100],
    "u": [0, 1, 3, 65535],
    "b": [False, True],
}
UNARY = {
    "f": "neg abs stop_gradient",
    "i": "neg abs bitwise_not",
    "u": "neg bitwise_not",
    "b": "bitwise_not",
}
BINARY = {
    "f": "add sub mul maximum minimum eq ne lt",
    "i": "add sub mul maximum eq ne bitwise_and bitwise_or bitwise_xor",
    "u": "add sub mul minimum lt bitwise_and bitwise_or bitwise_xor",
    "b": "bitwise_and bitwise_or bitwise_xor eq",
}


class Maker:
    """Draws one call after another on the tensors so far."""

    def __init__(self, draw, tensors):
        self.draw = draw
        self.tensors = list(tensors)

    def pick(self, fits=lambda x: True):
        choices = [x for x in self.tensors if fits(x)]
        return self.draw(st.sampled_from(choices)) if choices else None

    def splat(self, tensor_type):
        return Splat(self.draw(st.sampled_from(NUMBERS[tensor_type.dtype.kind])), tensor_type)

    def like(self, x):
        other = self.pick(lambda y: y.type == x.type)
        return self.splat(x.type) if other is None or self.draw(st.booleans()) else other

    def subset(self, x):
        return tuple(dim for dim in range(x.ndim) if self.draw(st.booleans()))

    def step(self):
        which = self.draw(
            st.integers(0, 9)
        )  # mostly the newest, so that there are chains for rules to match
        x = self.tensors[-1] if which < 7 else self.pick()
        x = self.splat(x.type) if which == 9 else x
        names = [
            "unary",
            "binary",
            "shape",
            "shape",
            "shape",
            "reduce",
            "reduce",
            "where",
            "cast",
            "dot",
            "scale",
        ]
        made = getattr(self, "_" + self.draw(st.sampled_from(names)))(x)
        if made is not None:
            self.tensors.append(made)

    def _op(self, table, x):
        return getattr(
            ops,
            self.draw(st.sampled_from(table[x.dtype.kind].split())).replace("abs", "abs_"),
        )

    def _unary(self, x):
        return self._op(UNARY, x)(x)

    def _binary(self, x):
        operands = [x, self.like(x)]
        if self.draw(st.booleans()):
            operands.reverse()
        return self._op(BINARY, x)(*operands)

    def _scale(self, x):
        if x.dtype.kind != "f":
            return None
        by = Splat(self.draw(st.sampled_from([-1.0, 1.0, 2.0, -0.5])), x.type)
        return self.draw(st.sampled_from([ops.mul, ops.div]))(x, by)

    def _where(self, x):
        condition = self.pick(lambda c: c.type == x.type.with_dtype(dtypes.bool_))
        condition = self.splat(x.type.with_dtype(dtypes.bool_)) if condition is None else condition
        return ops.where(condition, x, self.like(x))

    def _cast(self, x):
        return ops.cast(x, dtype=self.draw(st.sampled_from([*KINDS, dtypes.int32])))

    def _shape(self, x):
        which = self.draw(
            st.sampled_from(["permute", "reshape", "broadcast", "flip", "slice", "pad", "cat"])
        )
        return getattr(self, "_" + which)(x)

    def _permute(self, x):
        return ops.permute(x, dims=tuple(self.draw(st.permutations(range(x.ndim)))))

    def _reshape(self, x):
        shape = list(x.shape)
        if self.draw(st.booleans()):
            return ops.reshape(x, shape=(x.type.size,))
        if 1 in shape and self.draw(st.booleans()):
            shape.remove(1)
        elif len(shape) < 4:
            shape.insert(self.draw(st.integers(0, len(shape))), 1)
        return ops.reshape(x, shape=tuple(shape))

    def _broadcast(self, x):
        if x.ndim > 3:
            return None
        at = self.draw(st.integers(0, x.ndim))
        shape = (*x.shape[:at], self.draw(LENGTHS), *x.shape[at:])
        return ops.broadcast(
            x, shape=shape, dims=tuple(dim for dim in range(len(shape)) if dim != at)
        )

    def _flip(self, x):
        return ops.flip(x, dims=self.subset(x))

    def _slice(self, x):
        start = tuple(self.draw(st.integers(0, n)) for n in x.shape)
        stop = tuple(self.draw(st.integers(a, n)) for a, n in zip(start, x.shape, strict=True))
        return ops.slice_(
            x,
            start=start,
            stop=stop,
            step=tuple(self.draw(st.integers(1, 2)) for _ in x.shape),
        )

    def _pad(self, x):
        if x.type.size > 100:
            return None
        low, high, interior = (
            tuple(self.draw(st.integers(0, 1)) for _ in x.shape) for _ in range(3)
        )
        value = self.draw(st.sampled_from(NUMBERS[x.dtype.kind]))
        return ops.pad(x, low=low, high=high, interior=interior, value=value)

    def _cat(self, x):
        return (
            ops.cat(x, self.like(x), dim=self.draw(st.integers(0, x.ndim - 1)))
            if x.ndim and x.type.size < 100
            else None
        )

    def _reduce(self, x):
        if x.dtype.kind == "b":
            op = self.draw(st.sampled_from([ops.any_, ops.all_]))
        else:
            op = self.draw(st.sampled_from([ops.sum_, ops.sum_, ops.amax, ops.amin]))
        dim = self.subset(x)  # no function reduces no dimension: as text it would reduce all
        empty = 0 in x.shape and op in (ops.amax, ops.amin)
        return op(x, dim=dim) if dim and not empty else None

    def _dot(self, x):
        y = self.pick(
            lambda y: (
                y.dtype is x.dtype
                and y.ndim
                and x.ndim
                and y.shape[0] == x.shape[-1]
                and y.ndim + x.ndim < 6
            )
        )
        if x.dtype.kind == "b" or y is None:
            return None
        return ops.dot_general(x, y, contract=((x.ndim - 1,), (0,)))


@st.composite
def cases(draw):
    """A program and inputs for it."""
    shapes = [tuple(draw(LENGTHS) for _ in range(draw(st.integers(0, 3)))) for _ in range(2)]
    input_types = [TensorType(shape, draw(st.sampled_from(KINDS))) for shape in shapes]

    def function(*inputs):
        maker = Maker(draw, inputs)
        for _ in range(draw(st.integers(2, 9))):
            maker.step()
        return [maker.pick() for _ in range(2)] + [maker.tensors[-1]]

    program = trace_program(function, input_types)
    arrays = []
    for each in input_types:
        values = [draw(st.sampled_from(NUMBERS[each.dtype.kind])) for _ in range(each.size)]
        arrays.append(np.array(values, each.dtype.numpy).reshape(each.shape))
    return program, arrays


def agree(run, program, other, arrays):
    for a, b in zip(run(program, *arrays), run(other.check(), *arrays), strict=True):
        np.testing.assert_array_equal(a, b, str(program) + "\n" + str(other))
        if a.dtype.kind == "f" and not program.count("sum", "dot_general"):
            known = ~np.isnan(a)  # signs of zeros count, but for those of sums
            np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known], str(program))


@settings(deadline=None, max_examples=300)
@given(case=cases())
def test_all_passes_together(programs, case):
    program, arrays = case
    better = optimize(program)
    agree(programs.run, program, better, arrays)
    assert better.inputs == program.inputs
    assert optimize(better).count() == better.count()


@pytest.mark.parametrize("name", PASSES)
@settings(deadline=None, max_examples=100)
@given(case=cases())
def test_each_pass(programs, name, case):
    program, arrays = case
    agree(programs.run, program, PASSES[name](program), arrays)


@settings(deadline=None, max_examples=100)
@given(case=cases())
def test_printed_text(programs, case):
    program, arrays = case
    again = programs.retrace(program)
    agree(programs.run, program, again, arrays)
    assert str(programs.retrace(again)) == str(again)  # functions leave out what moves nothing
