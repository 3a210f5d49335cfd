"""Random programs under random stacks of transforms: all ways to compute them agree."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slope
from slope.core.printer import constants_of, identifier

UNARY = (
    slope.sin,
    slope.tanh,
    slope.exp,
    lambda x: x * 0.5 - 1,
    slope.sigmoid,
    lambda x: x**2,
    lambda x: slope.log1p(x * x),
    slope.neg,
)
BINARY = (
    slope.add,
    slope.mul,
    slope.sub,
    slope.maximum,
    lambda a, b: a / (b * b + 1),
    lambda a, b: slope.where(a > b, a, b * 2),
)
SHAPED = (
    lambda x: x.T,
    lambda x: x[::-1],
    lambda x: x - x.mean(dim=0, keepdim=True),
    lambda x: slope.softmax(x, dim=1),
    lambda x: x @ x.T @ x * 0.1,
    lambda x: slope.cat([x[1:], x[:1]], dim=0),
    lambda x: x.sum(dim=1, keepdim=True) * 0.2 + x,
    lambda x: x.amax(dim=0) + x,
    lambda x: slope.pad(x, (1, 0))[:, :-1] + x,
    lambda x: x.reshape(-1).reshape(x.shape) + x[0],
    lambda x: slope.log_softmax(x, dim=0),
    lambda x: slope.relu(x) + slope.cumsum(x, dim=1) * 0.1,
    lambda x: x[slope.tensor([2, 0, 0])],
)
N = 3  # the tensors are N x N, so that every operator fits everywhere


@st.composite
def programs(draw):
    """A function from an N x N tensor to one, as a list of steps."""
    steps = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["unary", "binary", "shaped"]))
        table = {"unary": UNARY, "binary": BINARY, "shaped": SHAPED}[kind]
        steps.append(
            (
                kind,
                draw(st.integers(0, len(table) - 1)),
                draw(st.integers(0, 7)),
                draw(st.integers(0, 7)),
            )
        )

    def run(x):
        values = [x]
        for kind, index, first, second in steps:
            a, b = values[first % len(values)], values[second % len(values)]
            if kind == "unary":
                values.append(UNARY[index](a))
            elif kind == "binary":
                values.append(BINARY[index](a, b))
            else:
                values.append(SHAPED[index](a))
            values[-1] = slope.tanh(values[-1])  # keeps numbers small
        return values[-1]

    run.steps = steps
    return run


def directional(f):
    return lambda x: slope.jvp(f, (x,), (slope.ones_like(x),))[1]


def gradient(f):
    return slope.grad(lambda x: (f(x) * f(x)).sum())


def batched(f):
    return lambda x: slope.vmap(f)(slope.stack([x, x * 0.5]))[0]


TRANSFORMS = {"jit": slope.jit, "jvp": directional, "grad": gradient, "vmap": batched}
stacks = st.lists(st.sampled_from(sorted(TRANSFORMS)), min_size=1, max_size=4).filter(
    lambda names: names.count("grad") + names.count("jvp") <= 2
)
inputs = st.integers(0, 2**31 - 1).map(
    lambda seed: np.random.default_rng(seed).uniform(-1.5, 1.5, (N, N))
)


def apply(names, f):
    for name in names:
        f = TRANSFORMS[name](f)
    return f


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), stacks, inputs)
def test_jit_changes_nothing(f, names, x):
    with slope.use_backend("numpy"):
        plain = apply([name for name in names if name != "jit"], f)(slope.tensor(x)).numpy()
        transformed = apply([*names, "jit"], f)(slope.tensor(x)).numpy()
    np.testing.assert_allclose(transformed, plain, rtol=1e-8, atol=1e-8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), inputs)
def test_forward_reverse_and_differences_agree(f, x):
    with slope.use_backend("numpy"):
        tensor, ones = slope.tensor(x), slope.ones_like(slope.tensor(x))
        _, forward = slope.jvp(f, (tensor,), (ones,))
        out, pullback = slope.vjp(f, tensor)
        weights = np.random.default_rng(0).uniform(-1, 1, out.shape)
        (pulled,) = pullback(slope.tensor(weights))
        np.testing.assert_allclose(
            (pulled.numpy()).sum(), (forward.numpy() * weights).sum(), rtol=1e-8, atol=1e-8
        )
        _, derivative = slope.linearize(f, tensor)
        np.testing.assert_allclose(derivative(ones).numpy(), forward.numpy(), rtol=1e-8, atol=1e-8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), inputs)
def test_hessians_agree(f, x):
    def scalar(x):
        return (f(x) * f(x)).sum()

    with slope.use_backend("numpy"):
        tensor = slope.tensor(x)
        one = slope.hessian(scalar)(tensor).numpy()
        np.testing.assert_allclose(
            slope.jacfwd(slope.jacrev(slope.jit(scalar)))(tensor).numpy(), one, rtol=1e-7, atol=1e-8
        )
        np.testing.assert_allclose(
            slope.jacrev(slope.jacfwd(scalar))(tensor).numpy(), one, rtol=1e-7, atol=1e-8
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), inputs)
def test_vmap_is_a_loop(f, x):
    batch = np.stack([x, x.T, -x])
    with slope.use_backend("numpy"):
        for g in (f, gradient(f), slope.jit(f)):
            looped = np.stack([g(slope.tensor(each)).numpy() for each in batch])
            np.testing.assert_allclose(
                slope.vmap(g)(slope.tensor(batch)).numpy(), looped, rtol=1e-8, atol=1e-8
            )
            moved = slope.vmap(g, in_dims=2, out_dims=1)(
                slope.tensor(np.moveaxis(batch, 0, 2))
            ).numpy()
            np.testing.assert_allclose(np.moveaxis(moved, 1, 0), looped, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("name", "examples"), [("onnxruntime", 60), ("iree", 12)])
def test_backends_agree(name, examples):
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(programs(), st.sampled_from(["jvp", "grad", "vmap"]), inputs)
    def check(f, transform, x):
        both = slope.jit(lambda x: (f(x), apply([transform], f)(x)))
        x = slope.tensor(x.astype(np.float32))
        with slope.use_backend("numpy"):
            wanted = [out.numpy() for out in both(x)]
        with slope.use_backend(name):
            found = [out.numpy() for out in both(x)]
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)

    check()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), inputs)
def test_printed_programs_run(f, x):
    with slope.use_backend("numpy"):
        lowered = slope.jit(gradient(f)).lower(slope.tensor(x))
        space, program = {}, lowered.program
        exec(str(program), space)  # that the text runs is what is tested
        numbered = {f"c{number}": value for number, value in enumerate(constants_of(program))}
        (again,) = space[identifier(program.name)](slope.tensor(x), **numbered)
        np.testing.assert_allclose(
            again.numpy(), gradient(f)(slope.tensor(x)).numpy(), rtol=1e-8, atol=1e-8
        )
