"""Constant folding: golden texts, and numbers right to the bit."""

import math

import numpy as np
import pytest
from slope import dtypes, ops
from slope.core.program import Literal
from slope.core.tensor import Splat
from slope.core.types import TensorType
from slope.dims import Dim
from slope.passes import fold_constants, optimize

NAN, INF = float("nan"), float("inf")


def folded(programs, function, *inputs):
    return fold_constants(programs.make(function, *inputs)).check()


def only(program):
    """The one output, which must be a literal."""
    (atom,) = program.outputs
    assert isinstance(atom, Literal)
    return atom.value


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        # Operators fold splats themselves where they can, so most rules see literals that other rules left.
        (lambda x: ops.flip(x, dims=(0,)), (2, 3)),
        (lambda x: ops.slice_(x, start=(0, 1), stop=(2, 3), step=(1, 1)), (2, 2)),
        (
            lambda x: ops.pad(x, low=(1, 0), high=(0, 0), interior=(0, 1), value=1.5),
            (3, 5),
        ),
        (lambda x: ops.cat(x, x, dim=0), (4, 3)),
        (lambda x: ops.amax(x, dim=(1,)), (2,)),
        (lambda x: ops.amin(x, dim=(0, 1)), ()),
        (lambda x: ops.stop_gradient(x), (2, 3)),
    ],
)
def test_structure(programs, function, shape):
    program = folded(
        programs, lambda: function(Splat(1.5, programs.type_("float32[2, 3]")))
    )
    assert program.count() == 0
    assert only(program) == 1.5
    assert program.outputs[0].type.shape == shape


def test_golden(programs):
    def f(x):
        two = Splat(2, x.type)
        row = ops.sum_(ops.mul(two, two), dim=(0,))
        return ops.add(x, ops.broadcast(ops.neg(row), shape=(2, 3), dims=(1,)))

    program = programs.make(f, "float32[2, 3]")
    assert programs.body(program) == (
        "v0 = slope.mul(slope.full((2, 3), 2.0, dtype=slope.float32), slope.full((2, 3), 2.0, dtype=slope.float32))  # float32[2, 3]\n"
        "v1 = slope.sum(v0, dim=(0,))  # float32[3]\n"
        "v2 = slope.neg(v1)  # float32[3]\n"
        "v3 = slope.broadcast(v2, shape=(2, 3), dims=(1,))  # float32[2, 3]\n"
        "v4 = slope.add(x0, v3)  # float32[2, 3]\n"
        "return (v4,)"
    )
    assert (
        programs.body(fold_constants(program).check())
        == "v0 = slope.add(x0, -8.0)  # float32[2, 3]\nreturn (v0,)"
    )
    off = frozenset({"folding", "algebra"})
    assert optimize(program, disabled=off).count() == 5


def test_what_differs_is_not_folded(programs):
    t = programs.type_("float32[2]")

    def f():
        return (
            ops.cat(Splat(0.0, t), Splat(-0.0, t), dim=0),
            ops.pad(Splat(0.0, t), low=(1,), high=(0,), interior=(0,), value=-0.0),
            ops.pad(Splat(0.0, t), low=(1,), high=(0,), interior=(0,), value=NAN),
            ops.exp(Splat(0.0, t)),
        )

    program = programs.make(f)
    assert fold_constants(program) is program


def test_nan_counts_as_equal_to_itself(programs):
    t = programs.type_("float32[2]")
    program = folded(programs, lambda: ops.cat(Splat(NAN, t), Splat(NAN, t), dim=0))
    assert math.isnan(only(program))


@pytest.mark.parametrize(
    ("op", "values", "dtype", "expected"),
    [
        (ops.add, (127, 1), "int8", -128),
        (ops.neg, (-128,), "int8", -128),
        (ops.neg, (1,), "uint8", 255),
        (ops.mul, (2**62, 2), "int64", -(2**63)),
        (ops.sub, (0, 1), "uint64", 2**64 - 1),
        (ops.add, (-0.0, 0.0), "float32", 0.0),
        (ops.neg, (0.0,), "float32", -0.0),
        (ops.mul, (3e38, 10.0), "float32", INF),
        (ops.mul, (INF, 0.0), "float32", NAN),
        (ops.div, (1.0, -0.0), "float64", -INF),
        (ops.add, (1.0, 2.0**-9), "bfloat16", 1.0),
        (ops.add, (0.1, 0.2), "float32", float(np.float32(0.1) + np.float32(0.2))),
        (ops.eq, (NAN, NAN), "float32", False),
        (ops.ne, (NAN, NAN), "float32", True),
        (ops.lt, (-0.0, 0.0), "float32", False),
        (ops.bitwise_not, (True,), "bool", False),
        (ops.bitwise_not, (0,), "uint16", 65535),
        (ops.bitwise_xor, (6, 3), "int32", 5),
    ],
)
def test_exact_arithmetic(programs, op, values, dtype, expected):
    t = TensorType((3,), dtypes.as_dtype(dtype))
    value = only(folded(programs, lambda: op(*(Splat(each, t) for each in values))))
    assert type(value) is type(expected)
    assert value == expected or (math.isnan(value) and math.isnan(expected))
    assert math.copysign(1, value) == math.copysign(1, expected) or math.isnan(expected)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (-2.7, "float32", "int32", -2),
        (NAN, "float32", "int64", 0),
        (INF, "float32", "int8", 127),
        (-1e20, "float32", "uint8", 0),
        (1e20, "float64", "int64", 2**63 - 1),
        (300, "int64", "int8", 44),
        (-1, "int8", "uint32", 2**32 - 1),
        (NAN, "float32", "bool", True),
        (-0.0, "float32", "bool", False),
        (1e40, "float64", "float32", INF),
        (0.1, "float64", "float32", float(np.float32(0.1))),
        (
            2**53 + 2**29 + 1,
            "int64",
            "float32",
            float(np.float32(np.int64(2**53 + 2**29 + 1))),
        ),
        (True, "bool", "float16", 1.0),
    ],
)
def test_casts(programs, value, source, target, expected):
    t = TensorType((3,), dtypes.as_dtype(source))
    found = only(
        folded(
            programs, lambda: ops.cast(Splat(value, t), dtype=dtypes.as_dtype(target))
        )
    )
    assert (type(found), found) == (type(expected), expected)


def test_a_cast_that_would_round_twice_is_left(programs):
    t = TensorType((), dtypes.float64)
    program = programs.make(
        lambda: ops.cast(Splat(1 + 2.0**-8 + 2.0**-40, t), dtype=dtypes.bfloat16)
    )
    assert fold_constants(program) is program


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "expected"),
    [
        (0.1, "float32", (10,), 1.0),
        (100, "int8", (3,), 44),
        (INF, "float32", (0,), 0),
        (INF, "float32", (2,), INF),
        (3, "float32", (Dim("n"),), None),
        (0, "float32", (Dim("n"),), 0),
    ],
)
def test_sums(programs, value, dtype, shape, expected):
    t = TensorType(shape, dtypes.as_dtype(dtype))
    program = folded(programs, lambda: ops.sum_(Splat(value, t), dim=(0,)))
    if expected is None:
        assert program.count("sum") == 1
    else:
        assert only(program) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("op", "value", "length", "expected"),
    [
        (ops.any_, True, 0, False), (ops.any_, True, 2, True), (ops.any_, False, 0, False),
        (ops.all_, False, 0, True), (ops.all_, False, 2, False), (ops.all_, True, 3, True),
        (ops.prod, 1, 5, 1), (ops.prod, 3, 0, 1),
    ],
)  # fmt: skip
def test_truth_and_products(programs, op, value, length, expected):
    t = TensorType((length,), dtypes.int64 if op is ops.prod else dtypes.bool_)
    assert only(folded(programs, lambda: op(Splat(value, t), dim=(0,)))) == expected


def test_where_with_a_known_condition(programs):
    def f(x, y):
        return ops.where(Splat(True, x.type.with_dtype(dtypes.bool_)), x, y), ops.where(
            Splat(False, x.type.with_dtype(dtypes.bool_)), x, y
        )

    program = folded(programs, f, "float32[2]", "float32[2]")
    assert program.outputs == program.inputs


def test_the_caller_evaluates_other_operators(programs):
    asked = []

    def evaluate(op, scalars, types, params):
        asked.append((op.name, tuple(scalars), tuple(map(str, types)), params))
        return (
            math.exp(scalars[0])
            if op.name == "exp"
            else scalars[0] ** params["exponent"]
        )

    def f(x):
        y = ops.add(ops.exp(Splat(0, x.type)), Splat(1.0, x.type))
        return ops.mul(ops.sin(x), ops.integer_pow(y, exponent=3))

    program = programs.make(f, "float32[2]")
    assert programs.body(fold_constants(program, evaluate).check()) == (
        "v0 = slope.sin(x0)  # float32[2]\nv1 = slope.mul(v0, 8.0)  # float32[2]\nreturn (v1,)"
    )
    assert asked == [
        ("exp", (0.0,), ("float32[]",), {}),
        ("integer_pow", (2.0,), ("float32[]",), {"exponent": 3}),
    ]
    assert optimize(program, evaluate=evaluate).count() == 2
