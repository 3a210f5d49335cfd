"""Rules that return something wrong: one error names the operator, the rule, and what is due."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import slope
from slope.errors import ArgumentError, OperatorDefinitionError
from slope.extend import LinearOperator, Operator

X = slope.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])
_numbers = itertools.count()


def operator(base=Operator, *, multiple=False, **rules):
    """An operator of a new name that doubles its operand, but for these rules."""
    space = {"expand": lambda self, x: x * 2.0, **rules}
    space |= {"name": f"wrongly_made_{next(_numbers)}", "multiple": multiple, "__doc__": "Twice."}
    return type("Odd", (base,), space)()


def doubled(p):
    return p[0] * 2.0


def with_vjp(pullback, vjp=lambda self, x: (x * 2.0, ())):
    return {"vjp": vjp, "pullback": pullback}


def apply(op):
    op(X)


def push(op):
    slope.jvp(op, (X,), (X,))


def pull(op):
    slope.grad(lambda x: op(x).sum())(X)


def batch(op):
    slope.vmap(op)(X)


def compiled(op):
    slope.jit(op)(X)


WRONG = {
    "expand gives None": (apply, {"expand": lambda self, x: None}, "returned None; return a ten"),
    "expand gives a number": (apply, {"expand": lambda self, x: 3.0}, r"float \(3.0\); return a t"),
    "expand gives an array": (apply, {"expand": lambda self, x: np.ones(3)}, "ndarray .*; return"),
    "expand gives two": (apply, {"expand": lambda self, x: (x, x)}, "a tuple of .*; return a ten"),
    "expand gives one of several": (
        compiled,
        {"expand": lambda self, x: x, "multiple": True},
        r"returned a tensor float32\[2, 3\]; return a tuple of tensors",
    ),
    "infer gives None": (apply, {"infer": lambda self, x: None}, "None; return a type"),
    "infer gives a shape": (apply, {"infer": lambda self, x: x.shape}, r"\(2, 3\).*TensorType"),
    "infer and expand differ": (
        apply,
        {"infer": lambda self, x: x.with_shape((2,))},
        r"expand of .* returned a tensor float32\[2, 3\]; return float32\[2\], as its other rules",
    ),
    "jvp gives None": (push, {"jvp": lambda self, p, t: None}, r"return \(out, tangent_out\)"),
    "jvp gives the result": (pull, {"jvp": lambda self, p, t: p[0]}, r"return \(out, tangent"),
    "a tangent's shape": (
        pull,
        {"jvp": lambda self, p, t: (doubled(p), t[0].sum())},
        r"a tensor float32\[\]; return a tangent of its result's type, float32\[2, 3\]",
    ),
    "a tangent's dtype": (
        push,
        {"jvp": lambda self, p, t: (doubled(p), t[0].astype(slope.float64))},
        r"float64\[2, 3\]; return a tangent of its result's type, float32\[2, 3\]",
    ),
    "a tangent that is a number": (
        push,
        {"jvp": lambda self, p, t: (doubled(p), 2.0)},
        r"float \(2.0\); return tensors \(or None\) as tangents",
    ),
    "vjp gives None": (
        pull,
        with_vjp(lambda self, r, c: (c,), lambda self, x: None),
        r"return \(out, residuals\)",
    ),
    "a bare residual": (
        pull,
        with_vjp(lambda self, r, c: (c,), lambda self, x: (x * 2.0, x)),
        "return residuals as a tuple of tensors",
    ),
    "a residual that is a number": (
        pull,
        with_vjp(lambda self, r, c: (c,), lambda self, x: (x * 2.0, (2.0,))),
        "return residuals as a tuple of tensors",
    ),
    "a vjp of another result": (
        pull,
        with_vjp(lambda self, r, c: (c,), lambda self, x: (x.sum(), ())),
        r"vjp of .* returned a tensor float32\[\]; return float32\[2, 3\]",
    ),
    "a bare cotangent": (pull, with_vjp(lambda self, r, c: c), "for each operand, 1 in all"),
    "two cotangents": (pull, with_vjp(lambda self, r, c: (c, c)), "for each operand, 1 in all"),
    "a cotangent's shape": (
        pull,
        with_vjp(lambda self, r, c: (c.sum(),)),
        r"float32\[\]; return a cotangent of its operand's type, float32\[2, 3\]",
    ),
    "a cotangent that is a number": (
        pull,
        with_vjp(lambda self, r, c: (1.0,)),
        r"return tensors \(or None\) as cotangents",
    ),
    "batch gives the result": (
        batch,
        {"batch": lambda self, size, args, dims: args[0]},
        r"return \(out, dim\)",
    ),
    "no such dimension": (
        batch,
        {"batch": lambda self, size, args, dims: (args[0], 5)},
        r"int \(5\); return a dimension of float32\[2, 3\] whose length is 2",
    ),
    "a dimension of another length": (
        batch,
        {"batch": lambda self, size, args, dims: (args[0], 1)},
        r"int \(1\); return a dimension of float32\[2, 3\] whose length is 2",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_rule_returns_is_checked(case):
    use, rules, message = WRONG[case]
    op = operator(**rules)
    with pytest.raises(OperatorDefinitionError, match=message) as caught:
        use(op)
    assert f"of operator '{op.name}' ({__name__}.Odd) returned" in str(caught.value)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda c: None, "transpose of .* returned None; return a tuple with a cotangent"),
        (lambda c: c, "a tuple with a cotangent"),
        (lambda c: (c, c), "for each operand, 1 in all"),
        (lambda c: (c.sum(),), r"float32\[\]; return a cotangent of its operand's type"),
    ],
)
def test_what_transpose_returns_is_checked(result, message):
    op = operator(LinearOperator, transpose=lambda self, c, x: result(c), infer=lambda self, x: x)
    with pytest.raises(OperatorDefinitionError, match=message):
        pull(op)


@pytest.mark.parametrize(
    ("use", "rules", "rule"),
    [
        (apply, {"expand": lambda self, x: 1 / 0}, "expand"),
        (apply, {"infer": lambda self, x: 1 / 0}, "infer"),
        (push, {"jvp": lambda self, p, t: 1 / 0}, "jvp"),
        (pull, with_vjp(lambda self, r, c: 1 / 0), "pullback"),
        (batch, {"batch": lambda self, size, args, dims: 1 / 0}, "batch"),
    ],
)
def test_what_a_rule_raises_says_where(use, rules, rule):
    op = operator(**rules)
    with pytest.raises(ZeroDivisionError) as caught:
        use(op)
    assert caught.value.__notes__ == [f"in {rule} of operator '{op.name}' ({__name__}.Odd)"]


def test_operands_that_are_transposed_have_no_value():
    square = operator(jvp=lambda self, p, t: (doubled(p), t[0] * t[0]))
    with pytest.raises(ArgumentError, match=r"got a Linear float32\[2, 3\].*not linear in its tan"):
        pull(square)


# --- parameters

scaled = operator(expand=lambda self, x, *, by=2.0, names=(): x * by)


def test_parameters_are_static():
    with pytest.raises(ArgumentError, match=r"parameter 'by' is a tensor float32\[\].*static"):
        scaled(X, by=slope.tensor(2.0))
    with pytest.raises(ArgumentError, match=r"parameter 'by' is a tensor float64\[\].*operand"):
        slope.jit(lambda by: scaled(X, by=by))(2.0)
    for value in ([1.0], np.ones(2), {}):
        with pytest.raises(ArgumentError, match=r"'names' is .* cannot be hashed; pass numbers"):
            scaled(X, names=value)
        with pytest.raises(ArgumentError, match=r"'names' is .* cannot be hashed; pass numbers"):
            slope.jit(lambda x, value=value: scaled(x, names=value))(X)


def test_what_an_operator_takes_is_told():
    with pytest.raises(ArgumentError, match=r"unexpected keyword argument 'bye'.*\(x, by=2.0, na"):
        scaled(X, bye=3.0)
    with pytest.raises(ArgumentError, match="too many positional arguments"):
        scaled(X, X)
    with pytest.raises(ArgumentError, match=r"got float \(3.0\); .*parameters go by keyword"):
        scaled(X, 3.0)


# --- classes


def test_a_rule_is_a_method():
    with pytest.raises(OperatorDefinitionError, match="defines expand as 3; write it as a method"):
        operator(expand=3)


def test_an_operator_has_a_name_of_its_own():
    with pytest.raises(OperatorDefinitionError, match="Odd has no name; give it one"):
        type("Odd", (Operator,), {"expand": lambda self, x: x})()
    with pytest.raises(OperatorDefinitionError, match="called 'add', as an operator of slope"):
        type("Odd", (Operator,), {"name": "add", "expand": lambda self, x: x})()


def test_types_are_inferred_anew_for_parameters_that_only_look_equal():
    class Filled(Operator):
        name = "filled_with"

        def expand(self, x, *, value):
            return x + slope.full(x.shape, value)

    filled = Filled()
    x = slope.tensor([1, 2])
    for value, dtype in ((1, slope.int64), (1.0, slope.float32), (True, slope.int64)):
        out = slope.jit(lambda x, value=value: filled(x, value=value))(x)
        assert out.dtype is dtype
        assert out.tolist() == [2, 3]
