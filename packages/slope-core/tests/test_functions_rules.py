"""Composite operators: derivatives against differences, vmap against loops, short gradients."""

import math

import numpy as np
import pytest

import slope.eager  # noqa: F401  fills the executor
from slope import functions as fn
from slope.core.operator import Linear
from slope.core.program import ProgramTrace, trace_program
from slope.core.tensor import Tensor
from slope.core.trace import current_trace, use_trace
from slope.core.types import TensorType
from slope.dtypes import float32, float64, int64
from slope.functions import activation_operators, composites
from slope.passes import optimize
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.transforms.vmap import vmap_flat

pytestmark = pytest.mark.usefixtures("on_numpy")

OPERATORS = [
    activation_operators.relu,
    activation_operators.leaky_relu,
    activation_operators.silu,
    activation_operators.gelu,
    activation_operators.softplus,
    composites.softmax,
    composites.log_softmax,
    composites.logsumexp,
    composites.l2_norm,
    composites.cross_entropy_of_classes,
]
SAMPLES = [(op, number, sample) for op in OPERATORS for number, sample in enumerate(op.samples())]
IDS = [f"{op.name}-{number}" for op, number, _ in SAMPLES]


def shifted(x, by):
    return fn.tensor(
        np.asarray(x + by)
    )  # NumPy makes scalars, which are weak, of arrays of shape ()


def gradient_program(function, *types):
    """The optimized program of a scalar function's gradient by its first argument."""

    def gradient(*args):
        _, linear, _ = linearize_flat(lambda x: [function(x, *args[1:])], args[:1], [True])
        return backward(linear, [Linear(args[0].type)], [fn.ones(())])

    return optimize(trace_program(gradient, types)).check()


@pytest.mark.parametrize(("op", "number", "sample"), SAMPLES, ids=IDS)
def test_expansion_and_types(op, number, sample):
    args = [fn.tensor(arg) for arg in sample.args]
    out = op(*args, **sample.params)
    assert out.type == op.infer(*(arg.type for arg in args), **sample.params)
    np.testing.assert_allclose(op.expand(*args, **sample.params).numpy(), out.numpy(), rtol=1e-6)


@pytest.mark.parametrize(("op", "number", "sample"), SAMPLES, ids=IDS)
def test_derivatives(op, number, sample):
    if not sample.differentiable:
        return
    x = sample.args[0].astype(np.float64)
    rest = [fn.tensor(arg) for arg in sample.args[1:]]

    def f(x):
        return op(x, *rest, **sample.params)

    tangent = np.random.default_rng(1).normal(size=x.shape)
    outs, tangents = jvp_flat(lambda x: [f(x)], [fn.tensor(x)], [fn.tensor(np.asarray(tangent))])
    step = 1e-6
    numeric = (f(shifted(x, step * tangent)).numpy() - f(shifted(x, -step * tangent)).numpy()) / (
        2 * step
    )
    np.testing.assert_allclose(tangents[0].numpy(), numeric, rtol=1e-6, atol=1e-8)
    _, linear, _ = linearize_flat(lambda x: [f(x)], [fn.tensor(x)], [True])
    cotangent = np.random.default_rng(2).normal(size=outs[0].shape)
    (pulled,) = backward(
        linear, [Linear(TensorType(x.shape, float64))], [fn.tensor(np.asarray(cotangent))]
    )
    np.testing.assert_allclose(
        (pulled.numpy() * tangent).sum(), (tangents[0].numpy() * cotangent).sum(), rtol=1e-8
    )

    # second order: the tangent of the gradient
    def gradient(x):
        _, linear, _ = linearize_flat(lambda x: [f(x)], [x], [True])
        return backward(linear, [Linear(x.type)], [fn.tensor(np.asarray(cotangent))])

    _, (second,) = jvp_flat(gradient, [fn.tensor(x)], [fn.tensor(np.asarray(tangent))])
    numeric = (
        gradient(shifted(x, step * tangent))[0].numpy()
        - gradient(shifted(x, -step * tangent))[0].numpy()
    ) / (2 * step)
    np.testing.assert_allclose(
        np.zeros(x.shape) if second is None else second.numpy(), numeric, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(("op", "number", "sample"), SAMPLES, ids=IDS)
def test_batching_keeps_the_operator(op, number, sample):
    loops = [
        op(*(fn.tensor(np.roll(arg, k)) for arg in sample.args), **sample.params).numpy()
        for k in range(2)
    ]
    for place in range(sample.args[0].ndim + 1):
        stacked = [
            fn.tensor(np.stack([arg, np.roll(arg, 1)], min(place, arg.ndim))) for arg in sample.args
        ]
        dims = [min(place, arg.ndim) for arg in sample.args]
        program = trace_program(
            lambda *args, dims=dims: vmap_flat(
                lambda *xs: [op(*xs, **sample.params)], args, dims, 2
            )[0],
            [arg.type for arg in stacked],
        )
        assert program.count(op.name) == 1
        (out,), (at,) = vmap_flat(lambda *xs: [op(*xs, **sample.params)], stacked, dims, 2)
        np.testing.assert_allclose(np.moveaxis(out.numpy(), at, 0), np.stack(loops), rtol=1e-6)


def counts(program):
    return {
        name: program.count(name) for name in sorted({instr.op.name for instr in program.instrs})
    }


X = TensorType((8, 4), float32)


def test_cross_entropy_gradient_is_short():
    def plain(x, target):
        return fn.cross_entropy(x, target, ignore_index=None)

    for function, most in ((plain, 13), (fn.cross_entropy, 25)):
        found = counts(gradient_program(function, X, TensorType((8,), int64)))
        assert "scatter_slices" not in found
        assert found.get("log", 0) == 0, "the loss itself is not needed"
        assert found["exp"] == 1
        assert sum(found.values()) <= most, found


def test_relu_gradient_is_one_select():
    program = gradient_program(lambda x: fn.relu(x).sum(), X)
    assert counts(program) == {"gt": 1, "relu": 1, "where": 1}
    assert gradient_value(lambda x: fn.relu(x).sum(), [-1.0, 0.0, 2.0]) == [0, 0, 1]


def test_softmax_gradients_are_short():
    pulled = gradient_program(lambda x, w: (fn.softmax(x, 1) * w).sum(), X, X)
    assert counts(pulled) == {"softmax": 1, "mul": 2, "sum": 1, "broadcast": 1, "sub": 1}
    pulled = gradient_program(lambda x, w: (fn.log_softmax(x, 1) * w).sum(), X, X)
    assert counts(pulled) == {
        "log_softmax": 1,
        "exp": 1,
        "mul": 1,
        "sum": 1,
        "broadcast": 1,
        "sub": 1,
    }


def gradient_value(function, x):
    given = fn.tensor(x)
    _, linear, _ = linearize_flat(lambda x: [function(x)], [given], [True])
    (pulled,) = backward(linear, [Linear(given.type)], [fn.ones(())])
    return pulled.tolist()


def test_gradients_at_the_edges():
    assert gradient_value(fn.norm, [0.0, 0.0]) == [0, 0]
    assert gradient_value(fn.logsumexp, [-math.inf, -math.inf]) == [0, 0]
    assert gradient_value(lambda x: fn.log_softmax(x, 0)[0], [1e30, -1e30]) == [0, 0]
    assert gradient_value(lambda x: fn.cross_entropy(x, 1), [1e30, -1e30]) == [1, -1]
    assert gradient_value(lambda x: fn.cross_entropy(x, 1), [-math.inf, 0.0]) == [0, 0]
    assert gradient_value(
        lambda x: fn.cross_entropy(x, fn.tensor([0, 1]), ignore_index=1), [[0.0, 0.0], [0.0, 0.0]]
    ) == [[-0.5, 0.5], [0, 0]]
    assert gradient_value(lambda x: fn.where(x > 0, fn.log(x), 0).sum(), [-1.0, 2.0]) == [0, 0.5]


def test_gradients_of_functions_agree_with_differences():
    cases = [
        lambda x: fn.var(x, 1),
        fn.std,
        lambda x: fn.mean(x, 0),
        lambda x: fn.norm(x, 3),
        lambda x: x**3,
        lambda x: 2**x,
        fn.asinh,
        lambda x: fn.asin(x / 3),
        fn.cosh,
        fn.sinh,
        lambda x: fn.atanh(x / 3),
        lambda x: fn.acosh(x * x + 2),
        lambda x: fn.logaddexp(x, 2 * x),
        lambda x: fn.cumsum(x, 1),
        lambda x: fn.einsum("ij,kj->ik", x, x),
        lambda x: fn.pad(x, (1, 2)),
        lambda x: x.at[0].mul(x[1]),
        fn.tril,
        lambda x: x.repeat(2, 2),
        lambda x: fn.cat([x, x[:, ::-1]], 1),
        lambda x: fn.log2(x * x + 1),
        fn.exp2,
        lambda x: fn.cross_entropy(x, fn.softmax(fn.tensor(np.ones((3, 4))), 1)),
        lambda x: fn.mse_loss(x, x * x),
        lambda x: x @ x.T,
        lambda x: fn.linear(x, x[:2], x[0, :2]),
        lambda x: x % 0.7,
        lambda x: fn.nll_loss(x, fn.tensor([0, 3, 1])),
    ]
    x = np.random.default_rng(0).uniform(0.3, 1.4, (3, 4))
    tangent = np.random.default_rng(1).normal(size=x.shape)
    for number, f in enumerate(cases):
        outs, (moved,) = jvp_flat(
            lambda x, f=f: [f(x)], [fn.tensor(x)], [fn.tensor(np.asarray(tangent))]
        )
        numeric = (
            f(fn.tensor(x + 1e-6 * tangent)).numpy() - f(fn.tensor(x - 1e-6 * tangent)).numpy()
        ) / 2e-6
        np.testing.assert_allclose(
            moved.numpy(), numeric, rtol=1e-5, atol=1e-7, err_msg=str(number)
        )
        _, linear, _ = linearize_flat(lambda x, f=f: [f(x)], [fn.tensor(x)], [True])
        weights = np.random.default_rng(2).normal(size=outs[0].shape)
        (pulled,) = backward(linear, [Linear(fn.tensor(x).type)], [fn.tensor(weights)])
        np.testing.assert_allclose(
            (pulled.numpy() * tangent).sum(),
            (moved.numpy() * weights).sum(),
            rtol=1e-8,
            err_msg=str(number),
        )


# --- while tracing


def traced(function, *types):
    return trace_program(lambda *args: [function(*args)], types)


def test_numbers_are_literals():
    assert counts(traced(lambda x: 2 * (x + 1) - fn.zeros(4), X)) == {"add": 1, "mul": 1, "sub": 1}
    assert counts(traced(lambda x: x + fn.arange(4), X)) == {
        "add": 1,
        "broadcast": 1,
        "cast": 1,
        "iota": 1,
    }
    assert traced(lambda x: fn.full((3,), 2.0), X).instrs == []


def test_broadcasting_uses_as_few_instructions_as_it_can():
    row, column = TensorType((4,), float32), TensorType((8, 1), float32)
    assert counts(traced(fn.add, X, row)) == {"add": 1, "broadcast": 1}
    assert counts(traced(fn.add, X, column)) == {"add": 1, "broadcast": 1, "reshape": 1}
    assert counts(traced(fn.add, TensorType((1, 4), float32), row)) == {"add": 1, "reshape": 1}
    assert counts(traced(fn.linear, X, TensorType((5, 4), float32))) == {"dot_general": 1}
    assert counts(
        traced(fn.matmul, TensorType((7, 8, 4), float32), TensorType((4, 5), float32))
    ) == {"dot_general": 1}
    assert counts(
        traced(fn.matmul, TensorType((7, 8, 4), float32), TensorType((7, 4, 5), float32))
    ) == {"dot_general": 1}


def weakly(function, *dtypes):
    """The type and weakness of a function of weak numbers while tracing."""
    found = []

    def run():
        trace = current_trace()
        assert isinstance(trace, ProgramTrace)
        args = []
        for dtype in dtypes:
            arg = trace.new_input(TensorType((), dtype))
            arg.weak = True
            args.append(arg)
        found.append(function(*args))
        return [found[0]]

    program = trace_program(run, [])
    program.check()
    assert isinstance(found[0], Tensor)
    return str(found[0].type), found[0].weak


def test_weak_numbers():
    table = [
        (lambda a, b: a * b + 1, (float64, float64), ("float64[]", True)),
        (lambda a, b: a * b, (float64, int64), ("float64[]", True)),
        (lambda a, b: a + b, (int64, int64), ("int64[]", True)),
        (lambda a, b: a / b, (int64, int64), ("float64[]", True)),
        (lambda a, b: -abs(a) // b, (int64, int64), ("int64[]", True)),
        (lambda a, b: a**b, (float64, int64), ("float64[]", True)),
        (lambda a, b: a**2 % b, (int64, int64), ("int64[]", True)),
        (lambda a, b: a < b, (float64, float64), ("bool[]", False)),
        (lambda a, b: fn.sin(a), (float64, float64), ("float32[]", False)),
        (lambda a, b: fn.sin(a), (int64, float64), ("float32[]", False)),
        (lambda a, b: fn.ones(2) * a + b, (float64, int64), ("float32[2]", False)),
        (lambda a, b: fn.ones(2, dtype="float16") * a, (float64, int64), ("float16[2]", False)),
        (lambda a, b: fn.ones(2, dtype="float64") * a, (float64, int64), ("float64[2]", False)),
        (lambda a, b: fn.ones(2, dtype="int32") * a, (float64, int64), ("float32[2]", False)),
        (lambda a, b: fn.ones((), dtype="float16") * a, (float64, int64), ("float16[]", False)),
        (lambda a, b: fn.where(a > 0, a, b), (float64, int64), ("float32[]", False)),
        (fn.maximum, (int64, int64), ("int64[]", False)),
        (lambda a, b: a.to("float64"), (float64, int64), ("float64[]", False)),
    ]
    for number, (function, dtypes, expected) in enumerate(table):
        assert weakly(function, *dtypes) == expected, number


def test_every_operator_is_callable_by_its_name():
    import slope
    from slope.core.operator import OPERATORS

    assert use_trace
    for name, op in OPERATORS.items():
        if not op.transparent:  # printed as calls of the programs that they hold
            assert callable(getattr(slope, name)), name


def test_symbolic_lengths():
    from slope.dims import Dim

    b = Dim("b")
    x, w, t = (
        TensorType((b, 4), float32),
        TensorType((5, 4), float32),
        TensorType((b,), int64),
    )

    def model(x, w, t):
        h = fn.relu(fn.linear(x, w, fn.zeros(5)))
        h = h + h.mean(0) - fn.softmax(h, 1) * h[:, ::-1] + h[0] + h[:, [0, 1, 0, 1, 0]]
        return [
            fn.cross_entropy(h, t), h[1:], h.reshape(-1), h.T @ h, fn.stack([h, h]),
            h.at[0].set(1.0), h[t], fn.ones(b, 2) + fn.arange(2), h.var(0), fn.cat([h, h]),
            h.flatten(), h.unsqueeze(1),
        ]  # fmt: skip

    program = trace_program(model, [x, w, t]).check()
    shapes = [type_.shape for type_ in program.output_types]
    assert shapes[:4] == [(), (b - 1, 5), (b * 5,), (5, 5)]
    assert shapes[9] == (2 * b, 5)
