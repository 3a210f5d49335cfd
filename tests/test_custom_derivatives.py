"""custom_jvp and custom_vjp, alone and under other transforms; on every backend."""

import numpy as np
import pytest
from array_checks import close

import slope
from slope import errors


@slope.custom_jvp
def scaled(x, y):
    """sin(x) * y, with ten times the true derivative in x."""
    return slope.sin(x) * y


@scaled.defjvp
def _(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return scaled(x, y), 10 * slope.cos(x) * dx * y + slope.sin(x) * dy


@slope.custom_vjp
def pulled(x, y):
    """The same, by cotangents."""
    return slope.sin(x) * y


pulled.defvjp(
    lambda x, y: (pulled(x, y), (slope.cos(x), y, slope.sin(x))),
    lambda residuals, g: (10 * g * residuals[0] * residuals[1], g * residuals[2]),
)

XS = np.array([0.5, 1.0, -2.0], np.float32)


@pytest.mark.parametrize("f", [scaled, pulled], ids=["jvp", "vjp"])
def test_under_other_transforms(backend, f):
    assert f.__doc__

    @slope.jit
    def everything(x, y, xs):
        return (
            f(x, y),
            slope.grad(f, argnums=(0, 1))(x, y),
            slope.grad(slope.grad(f))(x, y),
            slope.vmap(slope.grad(f), in_dims=(0, None))(xs, y),
            slope.grad(lambda xs, y: slope.vmap(f, in_dims=(0, None))(xs, y).sum(), (0, 1))(xs, y),
            slope.grad(
                lambda x: slope.vmap(f, in_dims=(None, 0))(x, xs).sum() + slope.jit(f)(x, y)
            )(x),
            slope.vmap(slope.vmap(slope.grad(f), in_dims=(0, None)), in_dims=(None, 0))(xs, xs),
            slope.grad(lambda xs: slope.scan(lambda c, x: (f(x, c), None), y, xs)[0])(xs),
            slope.grad(lambda x: slope.cond(x > 0, f, lambda x, y: x, x, y))(x),
            slope.grad(slope.checkpoint(f))(x, y),
        )

    x, y = 0.5, 2.0
    outs = everything(slope.tensor(x), slope.tensor(y), slope.tensor(XS))
    value, both, second, batch, shared, fixed, nested, scanned, chosen, again = outs
    slant = 20 * np.cos(x)
    close(value, np.sin(x) * y)
    close(both[0], slant)
    close(both[1], np.sin(x))
    # The rule is differentiated: 10 cos(x) y, of which cos has its own true derivative.
    close(second, -20 * np.sin(x))
    close(batch, 20 * np.cos(XS))
    close(shared[0], 20 * np.cos(XS))
    close(shared[1], np.sin(XS).sum())
    close(fixed, 10 * np.cos(x) * XS.sum() + slant, 1e-4)
    close(nested, 10 * np.cos(XS)[None, :] * XS[:, None], 1e-4)
    product = np.array([np.prod(np.delete(np.sin(XS), i)) for i in range(3)])
    close(scanned, 10 * np.cos(XS) * y * product, 1e-4)
    close(chosen, slant)
    close(again, slant)


def test_grad_of_jit_of_grad_and_eager():
    with slope.use_backend("numpy"):
        for f in (scaled, pulled):
            close(f(0.5, 2.0), 2 * np.sin(0.5))
            close(f(x=0.5, y=2.0), 2 * np.sin(0.5))
            close(slope.grad(slope.jit(slope.grad(slope.jit(f))))(0.5, 2.0), -20 * np.sin(0.5))
            close(slope.jacrev(lambda xs, f=f: slope.vmap(f)(xs, xs))(XS).shape, (3, 3))


def test_forward_mode():
    with slope.use_backend("numpy"):
        close(slope.jvp(scaled, (0.5, 2.0), (1.0, 0.0))[1], 20 * np.cos(0.5))
        close(slope.jacfwd(lambda x: scaled(x, 2.0))(0.5), 20 * np.cos(0.5))
        with pytest.raises(errors.GradientError, match=r"custom_vjp \(pulled\).*custom_jvp"):
            slope.jvp(pulled, (0.5, 2.0), (1.0, 0.0))


def test_pytrees_integers_and_arguments_that_are_not_differentiated(backend):
    def power(function, tree, n, label="none"):
        assert label == "some"
        return {"out": function(tree["a"]) ** n + tree["b"], "n": n}

    made = slope.custom_vjp(power, nondiff_argnums=(0, 3))

    def forward(function, tree, n, label):
        return power(function, tree, n, label), (tree["a"], "kept", None)

    def backward(function, label, residuals, g):
        assert label == "some"
        a, word, none = residuals
        assert (word, none) == ("kept", None)
        return {"a": g["out"] * function(a) * 7, "b": None}, None

    made.defvjp(forward, backward)
    tree = {"a": slope.tensor(2.0), "b": slope.tensor(1.0)}
    n = slope.tensor(3)
    gradient = slope.jit(slope.grad(lambda t, n: made(slope.exp, t, n, "some")["out"]))(tree, n)
    close(gradient["a"], 7 * np.exp(2.0))
    close(gradient["b"], 0.0)

    also = slope.custom_jvp(power, nondiff_argnums=(0, -1, 3))

    @also.defjvp
    def rule(function, label, primals, tangents):
        (tree, n), (moved, still) = primals, tangents
        assert still is None
        out = power(function, tree, n, label)
        return out, {"out": moved["a"] * 5 + moved["b"], "n": None}

    del rule
    gradient = slope.grad(lambda t, n: also(slope.exp, t, n, "some")["out"])(tree, n)
    close(gradient["a"], 5.0)
    close(gradient["b"], 1.0)


def test_a_straight_through_estimator(backend):
    @slope.custom_vjp
    def rounded(x):
        return slope.round(x)

    rounded.defvjp(lambda x: (slope.round(x), None), lambda _, g: (g,))
    x = slope.tensor([0.4, 1.6])
    close(slope.jit(slope.grad(lambda x: (rounded(x) * 3).sum()))(x), [3.0, 3.0])


def test_draws():
    @slope.custom_vjp
    def noisy(x):
        return x * slope.rand(())

    noisy.defvjp(lambda x: ((u := slope.rand(())) * x, u), lambda u, g: (g * u,))
    with slope.use_backend("numpy"):
        value, gradient = slope.jit(slope.value_and_grad(noisy))(2.0)
        close(value, 2 * gradient)


def identity(x):
    return x


def jvp_with(rule):
    made = slope.custom_jvp(identity)
    made.defjvp(rule)
    return made


def vjp_with(forward, backward):
    made = slope.custom_vjp(identity)
    made.defvjp(forward, backward)
    return made


def closes_over(wrap):
    def outer(x):
        return wrap(lambda y: x * y)(x)

    return outer


def with_jvp(f):
    made = slope.custom_jvp(f)
    made.defjvp(lambda p, t: (f(*p), t[0]))
    return made


def with_vjp(f):
    made = slope.custom_vjp(f)
    made.defvjp(lambda x: (f(x), None), lambda _, g: (g,))
    return made


BAD = {
    "no jvp": (errors.GradientError, "no rule; set one with", slope.custom_jvp(identity)),
    "no vjp": (errors.GradientError, "no rules; set them with", slope.custom_vjp(identity)),
    "no pair": (errors.ArgumentError, "must return a pair", jvp_with(lambda p, t: p[0])),
    "tangent type": (
        errors.ShapeError,
        r"the rule's tangent is float32\[1\]",
        jvp_with(lambda p, t: (p[0], t[0][None])),
    ),
    "result": (
        errors.TreeError,
        "the rule's result has the structure",
        jvp_with(lambda p, t: ((p[0], p[0]), t[0])),
    ),
    "forward": (
        errors.ArgumentError,
        "must return a pair",
        vjp_with(lambda x: x, lambda _, g: (g,)),
    ),
    "cotangents": (
        errors.TreeError,
        "one cotangent for each of the 1 arguments",
        vjp_with(lambda x: (x, None), lambda _, g: (g, g)),
    ),
    "cotangent type": (
        errors.ShapeError,
        "cotangent 0 of the backward rule",
        vjp_with(lambda x: (x, None), lambda _, g: (g[None],)),
    ),
    "captured by jvp": (errors.GradientError, "Make that value an argument", closes_over(with_jvp)),
    "captured by vjp": (errors.GradientError, "Make that value an argument", closes_over(with_vjp)),
}


@pytest.mark.parametrize("case", BAD)
def test_messages(case):
    kind, text, function = BAD[case]
    with slope.use_backend("numpy"), pytest.raises(kind, match=text):
        slope.grad(function)(1.0)


def test_what_is_no_function():
    for wrap in (slope.custom_jvp, slope.custom_vjp, slope.checkpoint):
        with pytest.raises(errors.ArgumentError, match="takes a function"):
            wrap(3)  # pyright: ignore[reportArgumentType]  # on purpose
    made = slope.custom_jvp(identity, nondiff_argnums=4)
    made.defjvp(lambda p, t: (p, t))
    with (
        slope.use_backend("numpy"),
        pytest.raises(errors.ArgumentError, match="nondiff_argnums"),
    ):
        slope.grad(made)(1.0)


def test_a_rule_for_each_argument():
    @slope.custom_jvp
    def product(x, y, z):
        return x * y + z

    product.defjvps(lambda tangent, out, x, y, z: 3 * tangent * out, None, lambda t, *_: 2 * t)
    x = slope.tensor(2.0)
    assert slope.grad(lambda x: product(x, x, 1.0))(x).item() == 15.0
    assert slope.jvp(lambda z: product(x, x, z), (x,), (x,))[1].item() == 4.0
    assert slope.grad(lambda y: product(x, y, x))(x).item() == 0.0
    assert slope.vmap(slope.grad(lambda x: product(x, x, 1.0)))(slope.ones(2)).tolist() == [6.0] * 2
    product.defjvps(None)
    with pytest.raises(errors.ArgumentError, match="defjvps got 1 rules, and there are 3 argumen"):
        slope.grad(lambda x: product(x, x, 1.0))(x)
    with pytest.raises(errors.ArgumentError, match="there can be no nondiff_argnums"):
        slope.custom_jvp(lambda n, x: x, nondiff_argnums=0).defjvps(None)
