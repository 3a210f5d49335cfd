"""grad, vjp, jvp, vmap, Jacobians and their compositions; on every backend."""

import numpy as np
import pytest
from array_checks import close

import slope
from slope import errors


def test_grad_forms(backend):
    def f(x, y):
        return (x * x * y).sum()

    x, y = slope.tensor([1.0, 2.0]), slope.tensor([3.0, 4.0])
    close(slope.grad(f)(x, y), [6.0, 16.0])
    close(slope.grad(f, argnums=1)(x, y), [1.0, 4.0])
    both = slope.grad(f, argnums=(0, 1))(x, y)
    assert isinstance(both, tuple)
    close(both[1], [1.0, 4.0])
    (single,) = slope.grad(f, argnums=(0,))(x, y)
    close(single, [6.0, 16.0])
    close(slope.grad(f, argnames="y")(x, y=y), [1.0, 4.0])
    close(slope.grad(f, argnames="y")(x, y), [1.0, 4.0])
    value, gradient = slope.value_and_grad(f)(x, y)
    close(value, 19.0)
    close(gradient, [6.0, 16.0])


def test_grad_of_python_floats(backend):
    gradient = slope.grad(lambda x: x**3)(2.0)
    assert gradient.dtype is slope.float32
    close(gradient, 12.0)
    jitted = slope.jit(slope.grad(lambda x: x**3))(2.0)
    assert jitted.dtype is slope.float32
    close(jitted, 12.0)


def test_aux_of_any_pytree(backend):
    def f(x):
        return (x * x).sum(), {"doubled": x * 2, "name": "aux", "n": 3, "none": None}

    (value, aux), gradient = slope.value_and_grad(f, has_aux=True)(slope.tensor([1.0, 2.0]))
    close(value, 5.0)
    close(aux["doubled"], [2.0, 4.0])
    assert (aux["name"], aux["n"], aux["none"]) == ("aux", 3, None)
    close(gradient, [2.0, 4.0])
    assert not isinstance(aux["doubled"], slope.core.tensor.Tracer)
    gradient, aux = slope.grad(f, has_aux=True)(slope.tensor([1.0, 2.0]))
    assert aux["n"] == 3


def test_pytrees_and_leaves_that_do_not_differentiate(backend):
    params = {"w": slope.tensor([1.0, 2.0]), "steps": slope.tensor([1, 2]), "none": None}
    gradient = slope.grad(lambda p: (p["w"] * p["steps"]).sum())(params)
    close(gradient["w"], [1.0, 2.0])
    assert gradient["steps"] is None


def test_unused_arguments_have_zero_gradients(backend):
    gradient = slope.grad(lambda xy: xy[0].sum())((slope.ones(2), slope.ones(3)))
    close(gradient[1], [0.0, 0.0, 0.0])


def test_vjp_jvp_linearize(backend):
    def f(x, y):
        return slope.sin(x) * y, x + y

    x, y = slope.tensor([0.5, 1.0]), slope.tensor([2.0, 3.0])
    (out, total), pullback = slope.vjp(f, x, y)
    close(out, np.sin([0.5, 1.0]) * [2, 3])
    close(total, [2.5, 4.0])
    for _ in range(2):
        dx, dy = pullback((slope.ones(2), slope.zeros(2)))
        close(dx, np.cos([0.5, 1.0]) * [2, 3])
        close(dy, np.sin([0.5, 1.0]))
    _, (moved, _) = slope.jvp(f, (x, y), (slope.ones(2), slope.zeros(2)))
    close(moved, np.cos([0.5, 1.0]) * [2, 3])
    out, derivative = slope.linearize(f, x, y)
    close(derivative(slope.ones(2), slope.zeros(2))[0], np.cos([0.5, 1.0]) * [2, 3])
    assert derivative.program.count("sin", "cos") == 0


def test_vmap_forms(backend):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    close(slope.vmap(lambda v: v.sum())(x), x.sum(1))
    close(slope.vmap(lambda v: v.sum(), in_dims=1)(x), x.sum(0))
    close(slope.vmap(lambda v: v * 2, out_dims=1)(x), x.T * 2)
    close(slope.vmap(slope.dot, in_dims=(0, None))(x, np.ones(4, np.float32)), x.sum(1))
    tree = slope.vmap(lambda p: {"s": p["a"] + p["b"]}, in_dims=({"a": 0, "b": None},))(
        {"a": x, "b": np.float32(1)}
    )
    close(tree["s"], x + 1)
    nested = slope.vmap(slope.vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))
    close(nested(np.arange(3.0), np.arange(4.0)), np.outer(np.arange(3.0), np.arange(4.0)))
    outs = slope.vmap(lambda v: (v, slope.tensor(1.0)), out_dims=(0, None))(x)
    close(outs[1], 1.0)
    close(slope.vmap(lambda v: slope.tensor(1.0))(x), np.ones(3))


def test_jacobians_and_hessian(backend):
    a = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)

    def f(x):
        return slope.tensor(a) @ (x * x)

    x = slope.tensor([1.0, 2.0])
    expected = a * (2 * np.array([1.0, 2.0]))
    close(slope.jacfwd(f)(x), expected)
    close(slope.jacrev(f)(x), expected)

    def g(x):
        return (x**3).sum() + x[0] * x[1]

    wanted = np.diag(6 * np.array([1.0, 2.0])) + np.array([[0, 1], [1, 0]])
    for make in (
        slope.hessian,
        lambda g: slope.jacfwd(slope.jacfwd(g)),
        lambda g: slope.jacrev(slope.jacrev(g)),
        lambda g: slope.jacrev(slope.jacfwd(g)),
    ):
        close(make(g)(x), wanted)
        close(slope.jit(make(g))(x), wanted)
    tree = slope.hessian(lambda p: (p["a"] * p["b"]).sum())({"a": x, "b": x})
    close(tree["a"]["b"], np.eye(2))
    close(tree["a"]["a"], np.zeros((2, 2)))


COMPOSITIONS = {
    "grad of jit": lambda f: slope.grad(slope.jit(f)),
    "jit of grad": lambda f: slope.jit(slope.grad(f)),
    "grad of jit of jit": lambda f: slope.grad(slope.jit(slope.jit(f))),
    "jit of grad of jit": lambda f: slope.jit(slope.grad(slope.jit(f))),
    "vjp of jit": lambda f: lambda x: slope.vjp(slope.jit(f), x)[1](slope.tensor(1.0))[0],
    "jit of vjp": lambda f: slope.jit(lambda x: slope.vjp(f, x)[1](slope.tensor(1.0))[0]),
    "jacfwd of jit": lambda f: slope.jacfwd(slope.jit(f)),
    "jacrev of jit": lambda f: slope.jacrev(slope.jit(f)),
    "grad of vmap": lambda f: slope.grad(lambda x: slope.vmap(f)(x[None]).sum()),
    "vmap of grad": lambda f: lambda x: slope.vmap(slope.grad(f))(x[None])[0],
    "grad of vmap of jit": lambda f: slope.grad(lambda x: slope.vmap(slope.jit(f))(x[None]).sum()),
    "vmap of jit of grad": lambda f: lambda x: slope.vmap(slope.jit(slope.grad(f)))(x[None])[0],
    "jit of vmap of grad of jit": lambda f: slope.jit(
        lambda x: slope.vmap(slope.grad(slope.jit(f)))(x[None])[0]
    ),
    "linearize": lambda f: lambda x: slope.vmap(slope.linearize(f, x)[1])(slope.eye(3)),
    "linearize of jit": lambda f: (
        lambda x: slope.vmap(slope.linearize(slope.jit(f), x)[1])(slope.eye(3))
    ),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_agree(backend, name):
    def f(x):
        return (
            slope.softmax(x * slope.tensor([1.0, 2.0, 3.0]), dim=0) * slope.sin(x)
        ).sum() + slope.relu(x).sum()

    x = slope.tensor([0.3, -0.7, 1.1])
    with slope.use_backend("numpy"):
        expected = slope.grad(f)(x).numpy()
    close(COMPOSITIONS[name](f)(x), expected)


@pytest.mark.parametrize("first", ["jvp", "vjp"])
@pytest.mark.parametrize("second", ["jvp", "vjp"])
@pytest.mark.parametrize("jits", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_second_and_third_derivatives(backend, first, second, jits):
    def along(f, kind):
        if kind == "jvp":
            return lambda x: slope.jvp(f, (x,), (slope.ones_like(x),))[1]
        return lambda x: slope.vjp(f, x)[1](slope.ones_like(x))[0]

    def f(x):
        return (
            slope.exp(x * 0.5) * slope.tanh(x)
            + slope.log_softmax(slope.stack([x, x * x]), dim=0)[0]
        )

    functions = [f]
    if 0 in jits:
        functions.append(slope.jit(functions[-1]))
    functions.append(along(functions[-1], first))
    if 1 in jits:
        functions.append(slope.jit(functions[-1]))
    functions.append(along(functions[-1], second))
    if 2 in jits:
        functions.append(slope.jit(functions[-1]))
    x = np.float64(0.4)
    step = 1e-4
    with slope.use_backend("numpy"):
        values = [f(slope.tensor(x + k * step, dtype=slope.float64)).item() for k in (-1, 0, 1)]
    expected = (values[0] - 2 * values[1] + values[2]) / step**2
    close(functions[-1](slope.tensor(x, dtype=slope.float64)), expected, 1e-5)


def test_stop_gradient(backend):
    f = lambda x: (slope.stop_gradient(x) * x).sum()  # noqa: E731  # short
    close(slope.grad(f)(slope.tensor([2.0, 3.0])), [2.0, 3.0])
    close(slope.jit(slope.grad(f))(slope.tensor([2.0, 3.0])), [2.0, 3.0])


def test_gradients_land_on_the_right_elements(backend):
    x = slope.tensor(np.arange(12, dtype=np.float32).reshape(3, 4))

    def check(f, expected):
        close(slope.grad(lambda x: f(x).sum())(x), expected)

    ones = np.zeros((3, 4))
    ones[1:, ::2] = 1
    check(lambda x: x[1:, ::2], ones)
    ones = np.zeros((3, 4))
    ones[0, 3] = 1
    check(lambda x: x[0, -1], ones)
    counts = np.zeros((3, 4))
    np.add.at(counts, [0, 2, 2], 1)
    check(lambda x: x[slope.tensor([0, 2, 2])], counts)
    first, second = np.zeros((3, 4)), np.zeros((3, 4))
    first[:, :1], second[:, 1:] = 2, 5
    check(lambda x: slope.split(x, [1, 3], dim=1)[0] * 2, first)
    check(lambda x: slope.split(x, [1, 3], dim=1)[1] * 5, second)
    check(lambda x: slope.pad(x, (1, 2, 3, 0))[3:, 1:-2] * 3, np.full((3, 4), 3.0))
    check(lambda x: slope.flip(x, (0,))[0], np.array([[0] * 4, [0] * 4, [1] * 4]))
    check(lambda x: slope.cat([x, x[:1]], dim=0), np.array([[2] * 4, [1] * 4, [1] * 4]))


BAD = {
    "non-scalar": (
        lambda: slope.grad(lambda x: x * 2)(slope.ones(3)),
        errors.GradientError,
        r"shape \(\).*float32\[3\].*\.sum\(\)",
    ),
    "integer argument": (
        lambda: slope.grad(lambda x: x.sum())(slope.ones(3).to(slope.int64)),
        errors.GradientError,
        r"int64\[3\].*\.to\(slope\.float32\)",
    ),
    "integer result": (
        lambda: slope.grad(slope.argmax)(slope.ones(3)),
        errors.GradientError,
        r"floating-point.*int64\[\]",
    ),
    "several results": (
        lambda: slope.grad(lambda x: (x.sum(), x))(slope.ones(3)),
        errors.GradientError,
        "has_aux=True",
    ),
    "argnums": (
        lambda: slope.grad(lambda x: x.sum(), argnums=2)(slope.ones(3)),
        errors.ArgumentError,
        "argnums=2 but there are 1",
    ),
    "argnames": (
        lambda: slope.grad(lambda x: x.sum(), argnames="z")(slope.ones(3)),
        errors.ArgumentError,
        "no argument named 'z'",
    ),
    "aux": (
        lambda: slope.grad(lambda x: x.sum(), has_aux=True)(slope.ones(3)),
        errors.ArgumentError,
        "pair",
    ),
    "cotangent": (
        lambda: slope.vjp(slope.sin, slope.ones(3))[1](slope.ones(2)),
        errors.ShapeError,
        r"float32\[3\].*float32\[2\]",
    ),
    "tangent": (
        lambda: slope.jvp(slope.sin, (slope.ones(3),), (slope.ones(2),)),
        errors.ShapeError,
        r"float32\[3\].*float32\[2\]",
    ),
    "tangent count": (
        lambda: slope.jvp(slope.sin, (slope.ones(3),), ()),
        errors.TreeError,
        "1 primals and 0 tangents",
    ),
    "vmap sizes": (
        lambda: slope.vmap(slope.add)(slope.ones(3), slope.ones(2)),
        errors.ShapeError,
        r"differ in length: 3 .* 2 ",
    ),
    "vmap nothing": (
        lambda: slope.vmap(slope.sin, in_dims=None)(slope.ones(3)),
        errors.ShapeError,
        "no argument is batched",
    ),
    "vmap range": (
        lambda: slope.vmap(slope.sin, in_dims=2)(slope.ones(3)),
        errors.ShapeError,
        "dimension 2 of argument 0 is out of range",
    ),
    "vmap count": (
        lambda: slope.vmap(slope.sin, in_dims=(0, 0))(slope.ones(3)),
        errors.TreeError,
        "in_dims",
    ),
    "vmap out": (
        lambda: slope.vmap(slope.sin, out_dims=None)(slope.ones(3)),
        errors.ShapeError,
        "out_dims=None",
    ),
    "strange argument": (lambda: slope.grad(lambda x: x)("text"), errors.ArgumentError, "'text'"),
    "random in vmap": (
        lambda: slope.vmap(lambda x: x + slope.randn(2))(slope.ones(3)),
        errors.RandomnessError,
        "randomness=",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, kind, text = BAD[name]
    with slope.use_backend("numpy"), pytest.raises(kind, match=text):
        call()


def test_a_loss_without_return_is_told_so():
    with pytest.raises(errors.GradientError, match=r"returned None; a `return` is missing\."):
        slope.grad(lambda x: None)(slope.ones(3))
    with pytest.raises(errors.GradientError, match=r"returned 2 values in .* use has_aux=True\."):
        slope.grad(lambda x: (x.sum(), x))(slope.ones(3))
