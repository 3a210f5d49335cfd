"""Symbolic dimensions against plain integers, and what they refuse."""

from __future__ import annotations

import copy
import itertools
import math
import operator
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slope.dims import (
    Dim,
    DimExpr,
    bounds,
    dim_max,
    dim_min,
    dim_str,
    evaluate,
    is_static,
    key,
    names,
    parse,
    same,
    size,
    substitute,
    unify,
)
from slope.errors import ShapeError

b = Dim("batch")
s = Dim("seq")

# Random expressions -----------------------------------------------------------------------------

A, Z, C = Dim("a"), Dim("z", min=0, max=9), Dim("c", min=2, max=7)
DIMS = (A, Z, C)
SIZES = st.fixed_dictionaries(
    {"a": st.integers(1, 40), "z": st.integers(0, 9), "c": st.integers(2, 7)}
)
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "max": dim_max,
    "min": dim_min,
}
# A tree is an int, a Dim or (name, left, right); Python ints interpret it independently of slope.
LEAVES = st.one_of(st.integers(-6, 9), st.sampled_from(DIMS))
TREES = st.recursive(
    LEAVES, lambda sub: st.tuples(st.sampled_from(sorted(BINARY)), sub, sub), max_leaves=7
)


def symbolic(tree: Any) -> Any:
    if not isinstance(tree, tuple):
        return tree
    left, right = symbolic(tree[1]), symbolic(tree[2])
    if tree[0] in ("//", "%"):
        lo, hi = bounds(right)
        assume(lo > 0 or hi < 0)
    return BINARY[tree[0]](left, right)


def concrete(tree: Any, sizes: dict[str, int]) -> int:
    if isinstance(tree, Dim):
        return sizes[tree.name]
    if not isinstance(tree, tuple):
        return tree
    plain = {**BINARY, "max": max, "min": min}
    return plain[tree[0]](concrete(tree[1], sizes), concrete(tree[2], sizes))


@settings(max_examples=400, deadline=None)
@given(TREES, st.lists(SIZES, min_size=4, max_size=4))
def test_expressions_agree_with_python_integers(tree: Any, points: list[dict[str, int]]) -> None:
    expr = symbolic(tree)
    lo, hi = bounds(expr)
    for sizes in points:
        value = concrete(tree, sizes)
        assert evaluate(expr, sizes) == value
        assert lo <= value <= hi
        assert substitute(expr, sizes) == value


@settings(max_examples=300, deadline=None)
@given(TREES, TREES, st.lists(SIZES, min_size=6, max_size=6))
def test_comparisons_never_decide_wrongly(x: Any, y: Any, points: list[dict[str, int]]) -> None:
    left, right = symbolic(x), symbolic(y)
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        try:
            decided = compare(left, right)
        except ShapeError:
            continue
        for sizes in points:
            assert compare(concrete(x, sizes), concrete(y, sizes)) is decided


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_text_reads_back_to_the_same_form(tree: Any) -> None:
    expr = symbolic(tree)
    assert same((parse(str(expr), DIMS),), (expr,))


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_pickle_and_copies_keep_the_form(tree: Any) -> None:
    expr = symbolic(tree)
    for twin in (pickle.loads(pickle.dumps(expr)), copy.copy(expr), copy.deepcopy(expr)):
        assert same((twin,), (expr,))
        assert hash(twin) == hash(expr)
        assert type(twin) is type(expr)


@settings(max_examples=200, deadline=None)
@given(TREES, TREES, TREES)
def test_ring_identities_give_one_form(x: Any, y: Any, z: Any) -> None:
    p, q, r = symbolic(x), symbolic(y), symbolic(z)
    for left, right in [
        (p + q, q + p),
        (p * q, q * p),
        ((p + q) * r, p * r + q * r),
        ((p + q) + r, p + (q + r)),
        (p - q, -(q - p)),
        (p - p, 0),
    ]:
        assert same((left,), (right,))
        assert hash(left) == hash(right)


POLYNOMIALS = st.lists(
    st.tuples(st.integers(-3, 3), st.tuples(*[st.integers(0, 2)] * 3)), min_size=0, max_size=4
)


@settings(max_examples=300, deadline=None)
@given(POLYNOMIALS, POLYNOMIALS)
def test_polynomials_have_one_form_for_one_function(p: Any, q: Any) -> None:
    def build(terms: Any) -> Any:
        return sum((c * A**i * Z**j * C**k for c, (i, j, k) in terms), 0)

    left, right = build(p), build(q)
    # A 3x3x3 grid determines a polynomial of degree at most 2 in each variable.
    grid = [
        dict(zip("azc", point, strict=True))
        for point in itertools.product((1, 2, 3), (0, 1, 2), (2, 3, 4))
    ]
    equal_everywhere = all(evaluate(left, at) == evaluate(right, at) for at in grid)
    assert same((left,), (right,)) is equal_everywhere
    if equal_everywhere:
        assert left == right
        assert hash(left) == hash(right)


# Normal form and text ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (b, "batch"),
        (2 * b + 1, "2*batch + 1"),
        (3 - b, "3 - batch"),
        (-b, "-batch"),
        (b**2 * s - 4, "batch**2*seq - 4"),
        (b // 4, "(batch // 4)"),
        (b % 4, "(batch % 4)"),
        ((b + 5) % 4, "((batch + 1) % 4)"),
        ((2 * b) % 4, "2*(batch % 2)"),
        (b // s, "(batch // seq)"),
        (b // (s + 1), "(batch // (seq + 1))"),
        (dim_max(b, 3), "max(batch, 3)"),
        (dim_min(b, 3), "min(batch, 3)"),
        (dim_min(b, s, 7), "min(batch, seq, 7)"),
        (2 * dim_min(b, 3) + s, "seq + 2*min(batch, 3)"),
        (abs(b - s), "2*max(batch, seq) - batch - seq"),
    ],
)
def test_text(expr: Any, text: str) -> None:
    assert str(expr) == repr(expr) == dim_str(expr) == text
    assert same((parse(text),), (expr,))


def test_dim_str_of_an_int() -> None:
    assert dim_str(-3) == "-3"
    assert parse("-3") == -3


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((b + 1) * 2, 2 * b + 2),
        ((4 * b) // 4, b),
        ((4 * b) % 4, 0),
        ((4 * b + 3) // 4, b),
        ((b * s) // s, b),
        ((6 * b * s) // (4 * b), (3 * s) // 2),
        ((b * s + s) // s, b + 1),
        ((b // 2) // 3, b // 6),
        (((b + 1) // 2 + 1) // 2, (b + 3) // 4),
        (b // s * s + b % s, b),
        ((b % 4) // 4, 0),
        ((b % 4) % 4, b % 4),
        ((5 * b) % 4, b % 4),
        (b // -2, -b // 2),
        (divmod(b, 4)[0], b // 4),
        (divmod(7, b)[1], 7 % b),
        (dim_max(b, b), b),
        (dim_max(b, 1), b),
        (dim_max(b, b + 1, 0), b + 1),
        (dim_max(dim_max(b, s), 3), dim_max(b, dim_max(3, s))),
        (dim_max(2 * b + 2, 6), 2 * dim_max(b, 2) + 2),
        (dim_max(-b, -s), -dim_min(b, s)),
        (dim_min(b, s) + dim_max(b, s), b + s),
        (dim_min(b, 1), 1),
        (s * (b - b), 0),
    ],
)
def test_one_form_for_equal_sizes(left: Any, right: Any) -> None:
    assert left == right
    assert hash(left) == hash(right)
    assert type(left) is type(right)


def test_constants_collapse_to_plain_ints() -> None:
    assert type(b - b + 3) is int
    assert type(b**0) is int
    assert type((4 * b) % 4) is int
    assert type(dim_max(2, 3)) is int
    assert type(size((2, 3))) is int
    assert type(b * np.int64(0)) is int


def test_an_expression_that_is_a_variable_is_a_dim() -> None:
    again = 2 * b - b
    assert type(again) is Dim
    assert (again.name, again.min, again.max) == ("batch", 1, None)
    assert (Z.min, Z.max) == (0, 9)


def test_numpy_integers_count_as_ints() -> None:
    assert np.int64(2) * b == 2 * b
    assert b + np.int32(1) == np.int32(1) + b
    assert (b == np.int64(0)) is False


def test_a_stack_of_pooling_layers_stays_small_and_ordered() -> None:
    height = Dim("h", min=7)
    out: Any = height
    for _ in range(5):
        out = (out + 2 - 3) // 2 + 1
    assert str(out) == "((h + 31) // 32)"
    assert out <= height


# Comparisons ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (lambda: b == b + 1, False),
        (lambda: b != b + 1, True),
        (lambda: b == 0, False),
        (lambda: b >= 1, True),
        (lambda: 0 < b, True),  # noqa: SIM300 (int on the left is the point)
        (lambda: b < 1, False),
        (lambda: 2 * b == 3, False),
        (lambda: 2 * b == 2 * s + 1, False),
        (lambda: b * s >= b, True),
        (lambda: b**2 >= b, True),
        (lambda: b // 4 <= b, True),
        (lambda: (b + 1) // 2 <= b, True),
        (lambda: b % 4 < 4, True),
        (lambda: b % s < s, True),
        (lambda: b // 4 * 4 <= b, True),
        (lambda: dim_max(b, s) >= s, True),
        (lambda: dim_min(b, s) > s, False),
        (lambda: b + dim_max(s, 3) >= b + 3, True),
        (lambda: C < 8, True),
        (lambda: C > Z + 10, False),
        (lambda: b == "batch", False),
    ],
)
def test_decided_comparisons(question: Callable[[], bool], answer: bool) -> None:
    assert question() is answer


@pytest.mark.parametrize(
    "question", [lambda: b == s, lambda: b != s, lambda: b < 3, lambda: b >= 3, lambda: max(b, 3)]
)
def test_undecided_comparisons_say_what_is_known_and_the_way_out(
    question: Callable[[], object],
) -> None:
    with pytest.raises(ShapeError, match=r"cannot decide batch .*known: 1 <= batch.*min=.*dim_max"):
        question()


def test_infinite_bounds_survive_integers_larger_than_floats() -> None:
    huge = 10**400
    assert huge * b + huge > b
    assert bounds(huge * b + huge) == (2 * huge, math.inf)
    assert bounds(5) == (5, 5)


def test_the_same_name_with_other_bounds_is_refused() -> None:
    other = Dim("batch", min=2)
    for use in (lambda: b + other, lambda: b == other, lambda: dim_max(b, other)):
        with pytest.raises(ShapeError, match="two different dimensions are named batch"):
            use()
    assert Dim("batch") == b
    assert hash(Dim("batch")) == hash(b)


# Values, hashing, immutability --------------------------------------------------------------------


@pytest.mark.parametrize(
    "use", [bool, int, operator.index, range, float, lambda d: [1, 2][d], lambda d: np.zeros((d,))]
)
def test_a_symbolic_size_has_no_value(use: Callable[[Any], object]) -> None:
    with pytest.raises(ShapeError, match=r"symbolic dimension 2\*batch has no value while tracing"):
        use(2 * b)


def test_keys_of_shapes_never_raise_even_when_hashes_collide() -> None:
    class Type:
        def __init__(self, *shape: Any) -> None:
            self.shape = shape

        def __hash__(self) -> int:
            return 0  # every look-up must go through __eq__

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Type) and key(self.shape) == key(other.shape)

    shapes = [(b, 3), (s, 3), (3, b), (b + s,), (2 * b,), (b // 2,), (3, 3), (), (dim_max(b, 3),)]
    table = {Type(*shape): i for i, shape in enumerate(shapes)}
    assert len(table) == len(shapes)
    assert table[Type(2 * s - s, 3)] == 1
    assert table[Type(b * 2)] == 4


def test_bare_shapes_as_keys() -> None:
    table = {(b + i, s): i for i in range(200)} | {(i, s): -i for i in range(200)}
    assert len(table) == 400
    assert table[(1 + b, s)] == 1
    assert table[(7, Dim("seq"))] == -7
    assert (s, b) not in table


def test_same_is_structural() -> None:
    assert same((b, 3), (Dim("batch"), 3))
    assert same((), ())
    assert not same((b,), (s,))
    assert not same((b,), (b, 1))
    assert not same((b,), (3,))
    assert key((2, 3)) == (2, 3)


def test_expressions_are_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        b.name = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del (b + 1)._terms  # pyright: ignore[reportAttributeAccessIssue]  # b + 1 is a DimLike
    with pytest.raises(TypeError, match=r'Dim\("name"\)'):
        DimExpr()


def test_pickles_cross_processes_with_other_hash_seeds() -> None:
    code = (
        "import pickle, sys; from slope.dims import Dim\n"
        "e = pickle.loads(bytes.fromhex(sys.argv[1])); b = Dim('batch')\n"
        "assert e == b // 4 + 1 and hash(e) == hash(b // 4 + 1); print(e)"
    )
    data = pickle.dumps(b // 4 + 1).hex()
    done = subprocess.run(
        [sys.executable, "-c", code, data], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "(batch // 4) + 1"


# Helpers ----------------------------------------------------------------------------------------


def test_size_names_is_static() -> None:
    assert size(()) == 1
    assert size((2, 3)) == 6
    assert size((b, 3, s)) == 3 * b * s
    assert names((s, 3, b // 2 + s)) == ("seq", "batch")
    assert names((2,)) == ()
    assert is_static((1, 2))
    assert is_static(())
    assert not is_static((1, b))


def test_evaluate_refuses_missing_excluded_and_fractional_sizes() -> None:
    assert evaluate(5, {}) == 5
    assert evaluate(b * s, {"batch": 2, "seq": 3}) == 6
    with pytest.raises(ShapeError, match="no size given for seq"):
        evaluate(b * s, {"batch": 2})
    with pytest.raises(ShapeError, match="batch = 0 is not within its bounds"):
        evaluate(b + 1, {"batch": 0})
    with pytest.raises(ShapeError, match=r"must be an int, not 2\.5"):
        evaluate(b, {"batch": 2.5})


def test_substitute() -> None:
    assert substitute(b // 2 + s, {"batch": 2 * s}) == 2 * s
    assert substitute(dim_max(b, s), {"batch": s}) == s
    assert substitute(4, {"batch": 1}) == 4
    with pytest.raises(ShapeError, match="c = batch is not within its bounds"):
        substitute(C, {"c": b})


def test_unify_solves_in_any_order() -> None:
    assert unify((b * s, s, 2 * b + 1, 5), (12, 4, 7, 5)) == {"batch": 3, "seq": 4}
    assert unify((), ()) == {}
    assert unify((10 - Z,), (4,)) == {"z": 6}
    assert unify((s, s // 2, dim_max(s, 3)), (2, 1, 3)) == {"seq": 2}


@pytest.mark.parametrize(
    ("pattern", "shape", "message"),
    [
        ((b, 3), (2,), r"\(2,\) does not fit \(batch, 3\): it has 1 dimensions, not 2"),
        ((b, 3), (2, 4), "axis 1 should be 3 but is 4"),
        ((b, b), (3, 4), "axis 1 should be batch = 3 but is 4"),
        ((2 * b + 1,), (4,), r"axis 0 is 4, which 2\*batch \+ 1 cannot be"),
        ((C,), (8,), r"axis 0 is 8, which c cannot be \(known: 2 <= c <= 7\)"),
        ((b * s,), (4,), "for batch, seq given"),
        ((b // 2,), (4,), r"cannot solve \(\(batch // 2\),\) for batch"),
        ((b,), (s,), "only ints can be solved for"),
    ],
)
def test_unify_names_what_does_not_fit(pattern: Any, shape: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        unify(pattern, shape)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "batch +",
        "f(3)",
        "max()",
        "1.5",
        "True",
        "batch / 2",
        "a.b",
        "9**9**9",
        "1 // 0",
        "(" * 500 + "b" + ")" * 500,
        "b if b else 2",
        "b\x00",
        "batch**-1",
        "-" * 20000 + "b",
    ],
)
def test_parse_refuses_other_text(text: str) -> None:
    with pytest.raises(ShapeError, match="as a dimension"):
        parse(text)


def test_parse_uses_the_given_dims() -> None:
    assert parse("c // 2 + new", [C]) == C // 2 + Dim("new")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dim("2b"), "identifier"),
        (lambda: Dim("if"), "identifier"),
        (lambda: Dim("max"), "cannot be named"),
        (lambda: Dim("n", min=-1), "0 <= min < max"),
        (lambda: Dim("n", min=4, max=4), "written as that int"),
        (lambda: Dim("n", min=1.5), "must be ints"),
        (lambda: b // 0, "divisor may be zero"),
        (lambda: b % Z, r"cannot divide batch by z.*known: 0 <= z <= 9.*min=1"),
        (lambda: b / 2, "batch is a number only in a function .* divide with //"),
        (lambda: 2 / b, "divide with //"),
        (lambda: b * 0.5, "divide with //"),
        (lambda: b**0.5, "divide with //"),
        (lambda: 2**b, "divide with //"),
        (lambda: b + "x", "unsupported operand"),
        (lambda: b**-1, "a power must be an int"),
        (lambda: b**1000, "from 0 to 64"),
        (lambda: size((b, "x")), "multiply|dimension"),
    ],
)
def test_refusals(make: Callable[[], object], message: str) -> None:
    with pytest.raises((ShapeError, TypeError), match=message):
        make()


def test_bounds_of_tangled_expressions_stay_cheap() -> None:
    w, expr = Dim("w"), b
    for i in range(12):  # exponential without a shared, limited search: hours
        expr = dim_max((expr + s * i) // 3, w)
    assert expr >= w


def test_threads_build_the_same_forms() -> None:
    def build(_: int) -> Any:
        n = Dim("n", min=2)
        return key([dim_max((n * i + s) // 3, n) % 7 for i in range(30)]), n * 2 > n

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(build, range(32))
    assert all(other == first for other in others)
