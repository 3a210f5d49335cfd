"""Algebra: one golden text for each identity, and identities that must not be applied."""

# ruff: noqa: E501  # tables of one case a line

import numpy as np
import pytest

from slope import dtypes, ops
from slope.core.tensor import Splat
from slope.passes import optimize, remove_dead_code, simplify_algebra


def same(value):
    """A literal maker: the number in the type of another tensor."""
    return lambda x: Splat(value, x.type)


def simplified(programs, function, *inputs):
    program = programs.make(function, *inputs)
    return programs.body(remove_dead_code(simplify_algebra(program)).check())


def dot(x, y, contract, batch=((), ())):
    return ops.dot_general(x, y, contract=contract, batch=batch)


def check(programs, function, inputs, expected):
    """One instruction (or none: ``x0``) must be left; numbers must agree on all inputs."""
    program = programs.make(function, *inputs)
    after = remove_dead_code(simplify_algebra(program)).check()
    lines = [line.partition("  # ")[0] for line in programs.body(after).splitlines()]
    assert lines == (
        [f"v0 = slope.{expected}", "return (v0,)"] if "(" in expected else [f"return ({expected},)"]
    )
    rng = np.random.default_rng(0)
    for dtype_values in (
        lambda n: rng.integers(-3, 4, n),
        lambda n: rng.choice([-0.0, 0.0, 1, -1, np.inf, np.nan], n),
    ):
        arrays = []
        for each in program.input_types:
            values = dtype_values(int(each.size))
            if each.dtype.kind != "f":
                values = rng.integers(0, 2 if each.dtype.kind == "b" else 100, int(each.size))
            arrays.append(values.reshape(each.shape).astype(each.dtype.numpy))
        for a, b in zip(programs.run(program, *arrays), programs.run(after, *arrays), strict=True):
            np.testing.assert_array_equal(a, b)
            assert (
                a.dtype.kind != "f"
                or "sum" in str(program)
                or (np.signbit(a) == np.signbit(b))[~np.isnan(a)].all()
            )


F, I32, U, B = "float32[2]", "int32[2]", "uint8[2]", "bool[2]"


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda x: ops.add(x, same(-0.0)(x)), [F], "x0"),
        (lambda x: ops.add(same(0)(x), x), [I32], "x0"),
        (lambda x, y: ops.add(x, ops.neg(y)), [F, F], "sub(x0, x1)"),
        (lambda x, y: ops.add(ops.neg(x), y), [F, F], "sub(x1, x0)"),
        (lambda x: ops.sub(x, same(0.0)(x)), [F], "x0"),
        (lambda x: ops.sub(same(-0.0)(x), x), [F], "neg(x0)"),
        (lambda x: ops.sub(same(0)(x), x), [I32], "neg(x0)"),
        (lambda x, y: ops.sub(x, ops.neg(y)), [F, F], "add(x0, x1)"),
        (lambda x: ops.neg(ops.neg(x)), [F], "x0"),
        (lambda x, y: ops.neg(ops.sub(x, y)), [I32, I32], "sub(x1, x0)"),
        (lambda x: ops.neg(ops.mul(x, same(2.0)(x))), [F], "mul(x0, -2.0)"),
        (lambda x: ops.neg(ops.mul(same(2.0)(x), x)), [F], "mul(-2.0, x0)"),
        (lambda x: ops.neg(ops.div(x, same(3.0)(x))), [F], "div(x0, -3.0)"),
        (lambda x: ops.mul(x, same(1)(x)), [F], "x0"),
        (lambda x: ops.mul(same(1)(x), x), [U], "x0"),
        (lambda x: ops.mul(x, same(-1.0)(x)), [F], "neg(x0)"),
        (lambda x: ops.mul(x, same(0)(x)), [I32], "full((2,), 0, dtype=slope.int32)"),
        (lambda x: ops.mul(ops.neg(x), same(3.0)(x)), [F], "mul(x0, -3.0)"),
        (lambda x: ops.mul(ops.mul(x, same(2.0)(x)), same(4.0)(x)), [F], "mul(x0, 8.0)"),
        (lambda x: ops.mul(same(100)(x), ops.mul(same(100)(x), x)), [U], "mul(x0, 16)"),
        (lambda x, y: ops.mul(ops.neg(x), ops.neg(y)), [F, F], "mul(x0, x1)"),
        (lambda x, y: ops.div(ops.neg(x), ops.neg(y)), [F, F], "div(x0, x1)"),
        (lambda x: ops.div(x, same(1.0)(x)), [F], "x0"),
        (lambda x: ops.div(x, same(-1.0)(x)), [F], "neg(x0)"),
        (lambda x: ops.div(x, same(8.0)(x)), [F], "mul(x0, 0.125)"),
        (lambda x: ops.div(ops.neg(x), same(3.0)(x)), [F], "div(x0, -3.0)"),
        (lambda x: ops.pow_(x, same(1.0)(x)), [F], "x0"),
        (lambda x: ops.pow_(x, same(2.0)(x)), [F], "mul(x0, x0)"),
        (lambda x: ops.integer_pow(x, exponent=2), [F], "mul(x0, x0)"),
        (lambda x: ops.integer_pow(x, exponent=1), [F], "x0"),
        (lambda x: ops.integer_pow(x, exponent=0), [F], "full((2,), 1.0, dtype=slope.float32)"),
        (ops.stop_gradient, [F], "x0"),
        (lambda x: ops.maximum(x, x), [F], "x0"),
        # casts
        (lambda x: ops.cast(ops.cast(x, dtype=dtypes.float64), dtype=dtypes.float32), [F], "x0"),
        (lambda x: ops.cast(ops.cast(x, dtype=dtypes.int64), dtype=dtypes.int8), [I32], "cast(x0, dtype=slope.int8)"),
        (lambda x: ops.cast(ops.cast(x, dtype=dtypes.float32), dtype=dtypes.float64), [B], "cast(x0, dtype=slope.float64)"),
        (lambda x: ops.cast(ops.cast(x, dtype=dtypes.float32), dtype=dtypes.int16), [U], "cast(x0, dtype=slope.int16)"),
        # choices and bits
        (lambda c, x: ops.where(c, x, x), [B, F], "x1"),
        (lambda c, x, y: ops.where(c, ops.where(c, x, y), y), [B, F, F], "where(x0, x1, x2)"),
        (lambda c, x, y: ops.where(c, x, ops.where(c, y, same(0.0)(y))), [B, F, F], "where(x0, x1, 0.0)"),
        (lambda c, x, y: ops.where(ops.bitwise_not(c), x, y), [B, F, F], "where(x0, x2, x1)"),
        (lambda x: ops.bitwise_not(ops.bitwise_not(x)), [I32], "x0"),
        (lambda x, y: ops.bitwise_not(ops.eq(x, y)), [F, F], "ne(x0, x1)"),
        (lambda x: ops.bitwise_and(x, same(True)(x)), [B], "x0"),
        (lambda x: ops.bitwise_and(x, same(0)(x)), [U], "full((2,), 0, dtype=slope.uint8)"),
        (lambda x: ops.bitwise_or(same(255)(x), x), [U], "full((2,), 255, dtype=slope.uint8)"),
        (lambda x: ops.bitwise_or(x, x), [I32], "x0"),
        (lambda x: ops.bitwise_xor(x, same(-1)(x)), [I32], "bitwise_not(x0)"),
        (lambda x: ops.bitwise_xor(x, same(0)(x)), [I32], "x0"),
    ],
)  # fmt: skip
def test_elementwise(programs, function, inputs, expected):
    if expected.startswith("full("):
        assert simplified(programs, function, *inputs) == f"return (slope.{expected},)"
    else:
        check(programs, function, inputs, expected)


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda x: ops.reshape(ops.reshape(x, shape=(6,)), shape=(2, 3)), ["float32[2, 3]"], "x0"),
        (lambda x: ops.reshape(ops.reshape(x, shape=(6,)), shape=(3, 2)), ["float32[2, 3]"], "reshape(x0, shape=(3, 2))"),
        (lambda x: ops.permute(ops.permute(x, dims=(1, 0)), dims=(1, 0)), ["float32[2, 3]"], "x0"),
        (lambda x: ops.permute(ops.permute(x, dims=(1, 2, 0)), dims=(0, 2, 1)), ["float32[2, 3, 4]"], "permute(x0, dims=(1, 0, 2))"),
        (lambda x: ops.permute(x, dims=(1, 0)), ["float32[1, 3]"], "reshape(x0, shape=(3, 1))"),
        (lambda x: ops.broadcast(ops.broadcast(x, shape=(3, 4), dims=(0,)), shape=(3, 2, 4), dims=(0, 2)), ["float32[3]"],
         "broadcast(x0, shape=(3, 2, 4), dims=(0,))"),
        (lambda x: ops.broadcast(x, shape=(1, 3), dims=(1,)), ["float32[3]"], "reshape(x0, shape=(1, 3))"),
        (lambda x: ops.broadcast(ops.reshape(x, shape=(3, 1)), shape=(3, 1, 4), dims=(0, 1)), ["float32[3]"],
         "broadcast(x0, shape=(3, 1, 4), dims=(0,))"),
        (lambda x: ops.reshape(ops.broadcast(x, shape=(2, 3), dims=(1,)), shape=(2, 1, 3)), ["float32[3]"],
         "broadcast(x0, shape=(2, 1, 3), dims=(2,))"),
        (lambda x: ops.permute(ops.broadcast(x, shape=(2, 3, 4), dims=(1,)), dims=(2, 1, 0)), ["float32[3]"],
         "broadcast(x0, shape=(4, 3, 2), dims=(1,))"),
        (lambda x: ops.flip(ops.flip(x, dims=(0,)), dims=(0, 1)), ["float32[2, 3]"], "flip(x0, dims=(1,))"),
        (lambda x: ops.flip(ops.flip(x, dims=(0,)), dims=(0,)), ["float32[2, 3]"], "x0"),
        (lambda x: ops.flip(x, dims=(0, 1)), ["float32[2, 1]"], "flip(x0, dims=(0,))"),
        (lambda x: ops.flip(ops.broadcast(x, shape=(2, 3), dims=(1,)), dims=(0,)), ["float32[3]"],
         "broadcast(x0, shape=(2, 3), dims=(1,))"),
        (lambda x: ops.slice_(x, start=(0,), stop=(5,), step=(1,)), ["float32[5]"], "x0"),
        (lambda x: ops.slice_(ops.slice_(x, start=(1,), stop=(9,), step=(2,)), start=(1,), stop=(4,), step=(2,)), ["float32[10]"],
         "slice(x0, start=(3,), stop=(8,), step=(4,))"),
        (lambda x: ops.slice_(ops.pad(x, low=(1,), high=(2,), interior=(1,)), start=(1,), stop=(6,), step=(2,)), ["float32[3]"], "x0"),
        (lambda x, y: ops.slice_(ops.cat(x, y, dim=0), start=(2,), stop=(5,), step=(1,)), ["float32[2]", "float32[3]"], "x1"),
        (lambda x: ops.pad(x, low=(0,), high=(0,), interior=(0,)), ["float32[3]"], "x0"),
        (lambda x: ops.cat(x, dim=0), ["float32[3]"], "x0"),
        (lambda x, y: ops.cat(x, y, x, dim=0), ["float32[3]", "float32[0]"], "concatenate(x0, x0, dim=0)"),
    ],
)  # fmt: skip
def test_shapes(programs, function, inputs, expected):
    check(programs, function, inputs, expected)


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda x: ops.sum_(x, dim=()), [F], "x0"),
        (lambda x: ops.sum_(x, dim=(1,)), ["float32[2, 1]"], "reshape(x0, shape=(2,))"),
        (lambda x: ops.sum_(ops.sum_(x, dim=(1,)), dim=(1,)), ["float32[2, 3, 4]"], "sum(x0, dim=(1, 2))"),
        (lambda x: ops.sum_(ops.permute(x, dims=(1, 0)), dim=(0,)), ["float32[2, 3]"], "sum(x0, dim=(1,))"),
        (lambda x: ops.sum_(ops.reshape(x, shape=(2, 3, 1)), dim=(1, 2)), ["float32[2, 3]"], "sum(x0, dim=(1,))"),
        (lambda x: ops.sum_(ops.broadcast(x, shape=(4, 2), dims=(1,)), dim=(0,)), [F], "mul(x0, 4.0)"),
        (lambda x: ops.sum_(ops.broadcast(x, shape=(4, 2), dims=(1,)), dim=(0,)), [U], "mul(x0, 4)"),
        (lambda x: ops.amax(ops.broadcast(x, shape=(4, 2), dims=(1,)), dim=(0,)), [F], "x0"),
        (lambda x: ops.amin(ops.broadcast(x, shape=(4, 2), dims=(1,)), dim=(0, 1)), [F], "amin(x0, dim=(0,))"),
        (lambda x: ops.any_(ops.any_(x, dim=(0,)), dim=(0,)), ["bool[2, 3]"], "any(x0, dim=(0, 1))"),
        (lambda x: ops.all_(ops.broadcast(x, shape=(4, 2), dims=(1,)), dim=(0,)), [B], "x0"),
        (lambda x: ops.prod(ops.reshape(x, shape=(1, 2)), dim=(0, 1)), [I32], "prod(x0, dim=(0,), dtype=slope.int32)"),
        (lambda x, y: dot(ops.permute(x, dims=(1, 0)), y, ((1,), (0,))), ["float32[3, 2]", "float32[3, 4]"],
         "dot_general(x0, x1, contract=((0,), (0,)), batch=((), ()))"),
        (lambda x, y: dot(x, ops.permute(y, dims=(0, 2, 1)), ((2,), (1,)), ((0,), (0,))), ["float32[5, 2, 3]", "float32[5, 4, 3]"],
         "dot_general(x0, x1, contract=((2,), (2,)), batch=((0,), (0,)))"),
        (lambda x, y: ops.permute(dot(x, y, ((1,), (0,))), dims=(1, 0)), ["float32[2, 3]", "float32[3, 4]"],
         "dot_general(x1, x0, contract=((0,), (1,)), batch=((), ()))"),
    ],
)  # fmt: skip
def test_reductions_and_contractions(programs, function, inputs, expected):
    program = programs.make(function, *inputs)
    after = remove_dead_code(simplify_algebra(program)).check()
    lines = [line.partition("  # ")[0] for line in programs.body(after).splitlines()]
    assert lines in (
        [f"v0 = slope.{expected}", "return (v0,)"],
        [f"return ({expected},)"],
    )
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 2, each.shape).astype(each.dtype.numpy) for each in program.input_types
    ]
    for a, b in zip(programs.run(program, *arrays), programs.run(after, *arrays), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sum_of_a_broadcast_works_on_the_small_tensor(programs):
    text = simplified(
        programs,
        lambda x: ops.sum_(ops.broadcast(x, shape=(4, 2, 5, 3), dims=(1, 3)), dim=(0, 3)),
        "float32[2, 3]",
    )
    assert text == (
        "v0 = slope.sum(x0, dim=(1,))  # float32[2]\n"
        "v1 = slope.mul(v0, 4.0)  # float32[2]\n"
        "v2 = slope.broadcast(v1, shape=(2, 5), dims=(0,))  # float32[2, 5]\n"
        "return (v2,)"
    )


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: ops.add(x, same(0.0)(x)), [F]),  # -0.0 becomes 0.0
        (lambda x: ops.sub(x, same(-0.0)(x)), [F]),
        (lambda x: ops.sub(same(0.0)(x), x), [F]),
        (lambda x: ops.mul(x, same(0.0)(x)), [F]),  # NaN stays NaN
        (lambda x: ops.sub(x, x), [F]),
        (lambda x, y: ops.neg(ops.sub(x, y)), [F, F]),
        (lambda x: ops.div(x, same(3.0)(x)), [F]),
        (lambda x: ops.div(x, same(0.0)(x)), [F]),
        (lambda x: ops.div(x, same(2.0**127)(x)), [F]),  # 2**-127 is not normal
        (
            lambda x: ops.mul(ops.mul(x, same(1e30)(x)), same(1e30)(x)),
            [F],
        ),  # the product is infinite
        (
            lambda x: ops.cast(ops.cast(x, dtype=dtypes.float16), dtype=dtypes.float32),
            [F],
        ),
        (
            lambda x: ops.cast(ops.cast(x, dtype=dtypes.float64), dtype=dtypes.int8),
            [I32],
        ),  # saturates, and does not wrap
        (lambda x: ops.cast(ops.cast(x, dtype=dtypes.uint32), dtype=dtypes.int64), [I32]),
        (
            lambda x: ops.sum_(ops.broadcast(x, shape=(2049, 2), dims=(1,)), dim=(0,)),
            ["float16[2]"],
        ),  # 2049 is no float16
        (
            lambda x: ops.reshape(ops.broadcast(x, shape=(2, 3), dims=(1,)), shape=(3, 2)),
            ["float32[3]"],
        ),
        (
            lambda x: ops.permute(ops.broadcast(x, shape=(2, 3, 4), dims=(1, 2)), dims=(0, 2, 1)),
            ["float32[3, 4]"],
        ),
        (
            lambda x, y: dot(ops.permute(x, dims=(2, 1, 0)), y, ((1,), (0,))),
            ["float32[2, 3, 4]", "float32[3, 4]"],
        ),
        (
            lambda x, y: ops.permute(dot(x, y, ((2,), (0,))), dims=(1, 0, 2)),
            ["float32[2, 3, 4]", "float32[4, 5]"],
        ),
    ],
)
def test_what_would_change_the_meaning_stays(programs, function, inputs):
    program = programs.make(function, *inputs)
    assert simplify_algebra(program) is program


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: (d := dot(x, y, ((1,), (0,))), ops.permute(d, dims=(1, 0))),
        lambda x, y: (s := ops.sum_(x, dim=(0,)), ops.sum_(s, dim=(0,))),
        lambda x, y: (m := ops.mul(x, same(3.0)(x)), ops.mul(m, same(5.0)(m))),
    ],
)
def test_what_is_needed_elsewhere_is_not_computed_twice(programs, function):
    program = programs.make(function, "float32[2, 2]", "float32[2, 2]")
    assert simplify_algebra(program) is program


def test_an_alias_counts_as_a_use(programs):
    def f(x, y):
        d = dot(x, y, ((1,), (0,)))
        return ops.mul(d, same(1.0)(d)), ops.permute(d, dims=(1, 0))

    after = remove_dead_code(simplify_algebra(programs.make(f, "float32[2, 2]", "float32[2, 2]")))
    assert after.count("dot_general") == 1


def test_off(programs):
    program = programs.make(lambda x: ops.neg(ops.neg(x)), F)
    assert optimize(program, disabled=frozenset({"algebra"})) is program
    assert optimize(program).outputs == program.inputs


def test_rewritten_instructions_keep_their_source(programs):
    program = programs.make(lambda x: ops.neg(ops.mul(x, same(2.0)(x))), F)
    (instr,) = optimize(program).instrs
    assert instr.source == program.instrs[1].source
    assert instr.source is not None


def padded(x, low, high):
    return ops.pad(x, low=(0, low), high=(0, high), interior=(0, 0), value=0)


def test_gradients_of_neighbouring_slices_are_concatenated(programs):
    x = "float32[2, 3]"
    assert simplified(
        programs,
        lambda a, b, c: ops.add(padded(a, 3, 3), ops.add(padded(b, 0, 6), padded(c, 6, 0))),
        x, x, x,
    ).count("interior_pad") == 3  # fmt: skip  # b and c leave a gap; a comes last
    text = simplified(
        programs,
        lambda a, b, c: ops.add(ops.add(padded(c, 6, 0), padded(b, 3, 3)), padded(a, 0, 6)),
        x, x, x,
    )  # fmt: skip
    assert "v0 = slope.concatenate(x0, x1, x2, dim=1)" in text
    assert "interior_pad" not in text
    assert "add" not in text
    between = simplified(programs, lambda a, b: ops.add(padded(a, 1, 4), padded(b, 4, 1)), x, x)
    assert "v0 = slope.concatenate(x0, x1, dim=1)" in between
    assert "slope.interior_pad(v0, low=(0, 1), high=(0, 1)" in between
    overlapping = simplified(programs, lambda a, b: ops.add(padded(a, 1, 1), padded(b, 2, 0)), x, x)
    assert "slope.add" in overlapping


def _mask(compare, places_first=True, rows=3, columns=4):
    """A mask of rows by columns: a column's number against a row's bound."""

    def made(bound):
        places = ops.broadcast(
            ops.iota(shape=(columns,), dim=0, dtype=dtypes.int64), shape=(rows, columns), dims=(1,)
        )
        wide = ops.broadcast(bound, shape=(rows, columns), dims=(0,))
        return compare(places, wide) if places_first else compare(wide, places)

    return made


@pytest.mark.parametrize(
    ("compare", "places_first", "reduce", "expected"),
    [
        (ops.le, True, ops.any_, "le(0, x0)"),
        (ops.lt, True, ops.any_, "lt(0, x0)"),
        (ops.ge, True, ops.any_, "ge(3, x0)"),
        (ops.gt, True, ops.any_, "gt(3, x0)"),
        (ops.le, True, ops.all_, "le(3, x0)"),
        (ops.ge, True, ops.all_, "ge(0, x0)"),
        (ops.ge, False, ops.any_, "le(0, x0)"),
        (ops.lt, False, ops.all_, "gt(0, x0)"),
    ],
)
def test_thresholds_are_asked_at_one_end(programs, compare, places_first, reduce, expected):
    mask = _mask(compare, places_first)
    program = programs.make(lambda bound: reduce(mask(bound), dim=(1,)), "int64[3]")
    after = remove_dead_code(simplify_algebra(program)).check()
    assert programs.body(after).splitlines()[0].partition("  # ")[0] == f"v0 = slope.{expected}"
    assert len(after.instrs) == 1
    for bound in range(-2, 7):
        given = np.array([bound, bound - 1, bound + 1])
        np.testing.assert_array_equal(
            programs.run(after, given)[0], programs.run(program, given)[0], str(bound)
        )


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.any_(_mask(ops.le)(x), dim=(0,)),  # over the bounds
        lambda x: ops.any_(_mask(ops.eq)(x), dim=(1,)),
        lambda x: ops.any_(_mask(ops.le, columns=0)(x), dim=(1,)),  # of no places none is
    ],
)
def test_other_masks_are_reduced(programs, function):
    program = programs.make(function, "int64[3]")
    after = remove_dead_code(simplify_algebra(program)).check()
    assert after.instrs[-1].op.name == "any"


def test_comparisons_are_negated_unless_nan_may_be_compared(programs):
    for compare, opposite in ((ops.le, "gt"), (ops.lt, "ge"), (ops.ge, "lt"), (ops.gt, "le")):

        def function(x, y, compare=compare):
            return ops.bitwise_not(compare(x, y))

        check(programs, function, ["int32[6]", "int32[6]"], f"{opposite}(x0, x1)")
        body = simplified(programs, function, "float32[6]", "float32[6]")
        assert "bitwise_not" in body


def test_counting_to_one_is_zero(programs):
    body = simplified(
        programs, lambda x: ops.add(x, ops.iota(shape=(1,), dim=0, dtype=dtypes.int64)), "int64[1]"
    )
    assert body == "return (x0,)"
