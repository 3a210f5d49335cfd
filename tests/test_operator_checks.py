"""check_operator and check_grads: they pass what is right, and name the rule that is wrong."""

import numpy as np
import pytest

import slope
from slope.core.operator import OPERATORS
from slope.errors import ArgumentError, DTypeError, GradientError
from slope.extend import LinearOperator, Operator, Sample, ops
from slope.testing import check_grads, check_operator

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]], np.float32)


class Cube(Operator):
    """``x`` to the third power, as ``x * x * x``."""

    name = "cube_to_check"

    def infer(self, x):
        if not x.dtype.is_floating_point:
            raise DTypeError(f"cube_to_check takes floats, and got {x}.")
        return x

    def expand(self, x):
        return ops.mul(x, ops.mul(x, x))

    def jvp(self, primals, tangents):
        (x,), (dx,) = primals, tangents
        slope_ = ops.mul(ops.mul(x, x), slope.full(x.shape, 3.0, dtype=x.dtype))
        return self(x), None if dx is None else ops.mul(dx, slope_)

    def batch(self, size, args, in_dims):
        return self(args[0]), in_dims[0]

    def samples(self):
        yield Sample((X,))
        yield Sample((np.array(0.5, np.float32),))


def test_a_right_operator_passes():
    assert check_operator(Cube(), backends=("numpy", "onnxruntime")) == 2


class WrongType(Cube):
    """Wrong."""

    name = "wrong_type"

    def infer(self, x):
        return x.with_dtype(slope.float64)


class WrongJvp(Cube):
    """Wrong."""

    name = "wrong_jvp"

    def jvp(self, primals, tangents):
        out, moved = super().jvp(primals, tangents)
        return out, None if moved is None else ops.neg(moved)


class WrongSecond(Cube):
    """Right at first, but what the derivative is made of counts as constant."""

    name = "wrong_second"

    def jvp(self, primals, tangents):
        (x,), (dx,) = primals, tangents
        _, moved = super().jvp((ops.stop_gradient(x),), (dx,))
        return self(x), moved


class WrongTranspose(Cube):
    """Three times ``x``, whose transpose is not."""

    name = "wrong_transpose"

    def expand(self, x):
        return ops.add(x, ops.add(x, x))

    def jvp(self, primals, tangents):
        (x,), (dx,) = primals, tangents
        return self(x), None if dx is None else self(dx)

    def transpose(self, cotangent, x):
        return (cotangent,)


class ForgetsNone(LinearOperator):
    """Sum and difference; its transpose takes both for used."""

    name = "forgets_none"
    multiple = True

    def expand(self, x, y):
        return x + y, x - y

    def transpose(self, cotangent, x, y):
        first, second = cotangent
        return first + second, first - second

    def samples(self):
        yield Sample((X, X))


class WrongBatch(Cube):
    """Says that the batch is in front, wherever it is."""

    name = "wrong_batch"

    def batch(self, size, args, in_dims):
        return self(args[0]), 0


class WrongNestedBatch(Cube):
    """Forgets that a batch of batches is one."""

    name = "wrong_nested_batch"

    def batch(self, size, args, in_dims):
        (x,), (at,) = args, in_dims
        return (x if size == 2 else self(x)), at


class WrongInOneDtype(Cube):
    """Gives float32, whatever it takes."""

    name = "wrong_in_one_dtype"

    def infer(self, x):
        return super().infer(x).with_dtype(slope.float32)


class WrongPrimal(Cube):
    """Gives something else beside the tangent."""

    name = "wrong_primal"

    def jvp(self, primals, tangents):
        out, moved = super().jvp(primals, tangents)
        return ops.mul(out, out), moved


class WrongPullback(Operator):
    """The square; its pullback is half of what it should be, or its result is another."""

    name = "wrong_pullback"

    def expand(self, x):
        return x * x

    def vjp(self, x):
        return self(x), (x,)

    def pullback(self, residuals, cotangent):
        return (cotangent * residuals[0],)

    def samples(self):
        yield Sample((X,))


class WrongVjp(WrongPullback):
    """Wrong."""

    name = "wrong_vjp"

    def vjp(self, x):
        return x * x + 1, (2 * x,)


class KeepsState(Cube):
    """``x`` times how often it was called."""

    name = "keeps_state"
    calls = 0

    def expand(self, x):
        KeepsState.calls += 1
        return x * KeepsState.calls


class Draws(Cube):
    """``x`` and noise from the default generator."""

    name = "draws"

    def expand(self, x):
        return x + slope.randn(*x.shape, dtype=x.dtype)


class NotElementwise(WrongPullback):
    """Running sums."""

    name = "not_elementwise"
    elementwise = True

    def expand(self, x):
        return x.cumsum(0)


class CountsInWords(Cube):
    """Wrong."""

    name = "counts_in_words"

    def flops(self, x):
        return "many"


class YieldsTuples(Cube):
    """Wrong."""

    name = "yields_tuples"

    def samples(self):
        yield (X,)


class YieldsNoTuple(Cube):
    """Wrong."""

    name = "yields_no_tuple"

    def samples(self):
        yield Sample(X)  # pyright: ignore[reportArgumentType]  # on purpose


class NoDocs(Cube):
    name = "no_docs"


class NoSamples(Cube):
    """Has none."""

    name = "no_samples"

    def samples(self):
        return iter(())


class ListParameter(Cube):
    """Takes a list."""

    name = "list_parameter"

    def infer(self, x, *, dims):
        return x

    def samples(self):
        yield Sample((X,), {"dims": [1, 2]})


class UnknownParameter(Cube):
    """Its samples have a parameter that it does not take."""

    name = "unknown_parameter"

    def samples(self):
        yield Sample((X,), {"power": 3})


class NoName(Cube):
    """Is called by a keyword."""

    name = "lambda"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongType, r"wrong_type\(float32\[2, 3\].*expand of .* returned a tensor float32\[2"),
        (WrongJvp, "jvp against differences"),
        (WrongSecond, r"derivative of order 2 \(fwd, fwd\)"),
        (WrongTranspose, "transpose: <J'u, t> against <u, J t>"),
        (
            WrongBatch,
            r"batch of operator 'wrong_batch' .* returned int \(0\); return a dimen",
        ),
        (ForgetsNone, "transpose, with a cotangent of result 0 alone and None at the others"),
        (WrongNestedBatch, r"vmap over \[0\] of vmap over \[0\], at 0, 0"),
        (
            WrongInOneDtype,
            r"returned a tensor float16.*return float32",
        ),
        (WrongPrimal, "the result that jvp gives, against the operator's own"),
        (WrongPullback, "pullback: <J'u, t> against <u, J t>"),
        (WrongVjp, "the result that vjp gives, against the operator's own"),
        (KeepsState, r"a call in jit gives .* operators keep no state"),
        (Draws, r"gives .* instead of .* make it an operand, such as a key"),
        (NotElementwise, "NotElementwise says elementwise = True, but results do not follow"),
        (CountsInWords, "flops returned 'many'; return a number of operations, or None"),
        (YieldsTuples, r"(?s)samples yields \(array.*yield slope.extend.Sample\("),
        (YieldsNoTuple, r"a single one: Sample\(\(array,\)\)"),
        (NoDocs, "'no_docs' has no docstring"),
        (NoSamples, "has no samples; define NoSamples.samples"),
        (ListParameter, "dims=\\[1, 2\\] is not hashable; use a tuple"),
        (UnknownParameter, "infer has no keyword parameter 'power'"),
        (NoName, "'lambda' prints as slope.lambda, which is no name"),
    ],
)
def test_a_wrong_rule_is_named(kind, message):
    kind.__doc__ = kind.__dict__.get("__doc__")
    with pytest.raises(AssertionError, match=message):
        check_operator(kind())


def test_printed_form_that_means_something_else(monkeypatch):
    monkeypatch.setattr(slope, "cube_to_check", slope.neg, raising=False)
    with pytest.raises(AssertionError, match="the printed program is traced as another"):
        check_operator(Cube())
    monkeypatch.setattr(slope, "cube_to_check", lambda x: 1 / 0, raising=False)
    with pytest.raises(AssertionError, match="does not run: ZeroDivisionError"):
        check_operator(Cube())


class Greedy(Cube):
    """Says that it takes every dtype, and its expansion does not."""

    name = "greedy"

    def infer(self, x):
        return x


def test_a_type_rule_that_takes_too_much_is_named():
    with pytest.raises(
        AssertionError, match=r"greedy\(bool\[2, 3\]\).*though infer takes the dtype"
    ):
        check_operator(Greedy(), backends=("numpy",))


def test_a_backend_that_is_wrong_is_named(monkeypatch):
    backend = slope.backend("onnxruntime")
    monkeypatch.setitem(backend.lowerings, "cube_to_check", lambda cx, x: x)
    with pytest.raises(AssertionError, match=r"cube_to_check on onnxruntime: cube_to_check\(float"):
        check_operator(Cube(), backends=("onnxruntime",))


@pytest.mark.parametrize("name", ["prod", "amax", "scatter_slices", "pow", "softmax", "l2_norm"])
def test_operators_with_edges_hold_their_contract(name):
    assert check_operator(OPERATORS[name]) > 1


# --- functions


def test_right_derivatives_pass():
    def loss(params, x, labels):
        scores = slope.tanh(x @ params["w"]) * 2
        return {"loss": slope.cross_entropy(scores, labels), "norm": slope.norm(params["w"])}

    params = {"w": slope.tensor([[0.5, -1.0], [0.25, 2.0], [1.0, 0.0]])}
    check_grads(loss, (params, X, np.array([0, 1])), order=2)
    check_grads(slope.exp, (slope.tensor(0.5),), order=3)


@pytest.mark.parametrize(
    ("kind", "order", "modes", "message"),
    [
        (WrongJvp, 1, ("fwd",), r"order 1 \(fwd\) of result 0"),
        (WrongJvp, 1, ("rev",), r"order 1 \(rev\): <J'u, t> against the difference"),
        (WrongTranspose, 1, ("rev",), r"order 1 \(rev\)"),
        (WrongSecond, 2, ("fwd",), r"order 2 \(fwd, fwd\)"),
        (WrongSecond, 2, ("rev",), r"order 2 \(rev, rev\)"),
    ],
)
def test_wrong_derivatives_are_named(kind, order, modes, message):
    with pytest.raises(AssertionError, match=message):
        check_grads(kind(), (slope.tensor(X),), order=order, modes=modes)


def test_only_what_is_asked_is_checked():
    check_grads(WrongTranspose(), (slope.tensor(X),), order=2, modes=("fwd",))
    check_grads(WrongSecond(), (slope.tensor(X),), order=1)


def test_arguments_of_check_grads():
    with pytest.raises(ArgumentError, match="they are 'fwd' and 'rev'"):
        check_grads(slope.exp, (X,), modes=("sideways",))
    with pytest.raises(GradientError, match="no argument is of a floating-point dtype"):
        check_grads(slope.neg, (np.array([1, 2]),))
