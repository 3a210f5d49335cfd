"""Special functions: values, edges and derivatives, on every backend."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import slope
from slope import errors, special

REFERENCES = json.loads((Path(__file__).parent / "references" / "special.json").read_text())
# Where a value is near 0 between larger ones, it is the absolute error that counts.
CROSSING = {"bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "expi", "spence", "betaln"}
inf, nan = math.inf, math.nan


def function_of(name: str) -> Callable[..., slope.Tensor]:
    name, _, order = name.rstrip(")").partition("(")
    function = getattr(special, name)
    if name == "polygamma":
        return lambda x: function(int(order), x)
    return (lambda x: function(x, int(order))) if order else function


def arguments(name, dtype):
    return [slope.tensor(each, dtype=dtype) for each in REFERENCES[name]["args"]]


def check(name, found, dtype):
    expected = np.array(REFERENCES[name]["out"])
    # Logarithms of the smallest values cost the last digits: exp(-90) loses two.
    relative = 1e-13 if dtype == "float64" else 1.5e-5
    absolute = (0.05 if name in CROSSING else 1e-300) * relative
    np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.usefixtures("on_numpy")
def test_values(name, dtype):
    out = function_of(name)(*arguments(name, dtype))
    assert out.dtype.name == dtype
    check(name, out.numpy(), dtype)


@pytest.mark.parametrize("backend", ["onnxruntime", "iree"])
@pytest.mark.parametrize("name", ["i1e", "log_ndtr", "gammaincc", "betainc"])
def test_values_of_some_compiled_on_other_backends(name, backend):
    with slope.use_backend(backend):
        found = slope.jit(function_of(name))(*arguments(name, "float32"))
    check(name, found.numpy(), "float32")


EDGES = {
    "i0": ([0, inf, -inf, nan], [1, inf, inf, nan]),
    "i1": ([0, inf, -inf, nan], [0, inf, -inf, nan]),
    "i0e": ([0, inf, -inf, nan], [1, 0, 0, nan]),
    "i1e": ([0, inf, -inf, nan], [0, 0, 0, nan]),
    "bessel_j0": ([0, inf, -inf, nan], [1, 0, 0, nan]),
    "bessel_j1": ([0, inf, -inf, nan], [0, 0, 0, nan]),
    "bessel_y0": ([0, inf, -1, nan], [-inf, 0, nan, nan]),
    "bessel_y1": ([0, inf, -1, nan], [-inf, 0, nan, nan]),
    "modified_bessel_k0": ([0, inf, -1, nan], [inf, 0, nan, nan]),
    "modified_bessel_k1": ([0, inf, -1, nan], [inf, 0, nan, nan]),
    "scaled_modified_bessel_k0": ([0, inf, -1, nan], [inf, 0, nan, nan]),
    "erfcx": ([0, inf, -inf, nan, -30], [1, 0, inf, nan, inf]),
    "ndtr": ([inf, -inf, nan], [1, 0, nan]),
    "log_ndtr": ([inf, -inf, nan], [0, -inf, nan]),
    "ndtri": ([0, 1, -0.5, 1.5, nan], [-inf, inf, nan, nan, nan]),
    "entr": ([0, -1, inf, nan], [0, -inf, -inf, nan]),
    "exp1": ([0, inf, -1, nan], [inf, 0, nan, nan]),
    "expi": ([0, inf, -inf, nan], [-inf, inf, 0, nan]),
    "spence": ([0, 1, -1, nan], [math.pi**2 / 6, 0, nan, nan]),
    "gamma": ([0, -0.0, -2, inf, nan], [inf, -inf, nan, inf, nan]),
    "gammasgn": ([0, -0.0, -2, -2.5, -1.5, 3, nan], [1, -1, nan, -1, 1, 1, nan]),
    "factorial": ([0, -3, 5], [1, 0, 120]),
}
EDGES_OF_TWO = {
    "xlog1py": ([0, 0, 1, 1], [-2, nan, -1, -2], [0, nan, -inf, nan]),
    "rel_entr": ([0, 0, 1, -1, 1, nan], [0, -1, 0, 1, inf, 1], [0, inf, inf, inf, -inf, nan]),
    "zeta": ([1, 2, 2, 0.5, 2, 2], [1, 0, -1, 1, -0.5, inf], [inf, inf, inf, nan, nan, 0]),
    "poch": (
        [2, 0.5, -3, -4, -3, 0, -3, 3],
        [0, 0, 2, 1, 5, -1, -1, -5],
        [1, 1, 6, -4, 0, -1, -0.25, inf],
    ),
    "gammainc": (
        [0, 0, 1, -1, 1, 1, inf, 2, inf, nan],
        [0, 1, 0, 1, -1, inf, 1, nan, inf, 1],
        [nan, 1, 0, nan, nan, 1, 0, nan, nan, nan],
    ),
    "gammaincc": (
        [0, 0, 1, -1, 1, 1, inf, 2, inf, nan],
        [0, 1, 0, 1, -1, inf, 1, nan, inf, 1],
        [nan, 0, 1, nan, nan, 0, 1, nan, nan, nan],
    ),
}


@pytest.mark.parametrize("name", sorted({*EDGES, *EDGES_OF_TWO}))
@pytest.mark.usefixtures("on_numpy")
def test_edges(name):
    *args, expected = EDGES[name] if name in EDGES else EDGES_OF_TWO[name]
    out = getattr(special, name)(*(slope.tensor(each, dtype="float64") for each in args))
    np.testing.assert_allclose(out.numpy(), np.array(expected, float), rtol=1e-13)


@pytest.mark.usefixtures("on_numpy")
def test_edges_of_the_incomplete_beta_function():
    cases = [(1, 2, 0, 0), (2, 2, 1, 1), (1, 1, -1, nan), (1, 1, 2, nan), (-1, 1, 0.5, nan)]
    a, b, x, expected = np.array([*cases, (1, nan, 0.5, nan)], float).T
    np.testing.assert_array_equal(special.betainc(a, b, x).numpy(), expected)


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.usefixtures("on_numpy")
def test_derivatives(name):
    function, args = function_of(name), arguments(name, "float64")
    for place, x in enumerate(args):
        if name == "zeta" and place == 0:
            continue  # of the first argument near its pole: below
        step = 1e-5 * np.abs(x.numpy())

        def at(x, place=place):
            return function(*args[:place], x, *args[place + 1 :])

        high, low = (at(x + slope.tensor(s * step)).numpy() for s in (1, -1))
        slopes = (high - low) / (2 * step)
        found = slope.grad(lambda x, at=at: at(x).sum())(x).numpy()
        scale = np.abs(slopes) + np.abs(at(x).numpy()) + 1e-300
        noise = 1e-9 * np.abs(at(x).numpy()) / step  # of the difference itself
        np.testing.assert_array_less(np.abs(found - slopes), 2e-6 * scale + 1e-3 * noise)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("on_numpy")
def test_polygamma_of_high_orders(dtype):
    for n in (21, 40, 150, 170):
        for x in (2.0, 30.0):
            total = math.fsum((1 + k / x) ** -(n + 1.0) for k in range(200))
            size = math.lgamma(n + 1) - (n + 1) * math.log(x) + math.log(total)
            expected = (1 if n % 2 else -1) * (math.exp(size) if size < 700 else inf)
            found = special.polygamma(n, slope.tensor(x, dtype=dtype))
            with np.errstate(over="ignore"):  # beyond float32
                np.testing.assert_allclose(found.numpy(), np.dtype(dtype).type(expected), rtol=1e-6)
    below = slope.tensor([0.25, -0.5, -1.0], dtype=dtype)
    np.testing.assert_array_equal(special.polygamma(169, below).numpy(), [inf, inf, inf])
    last = slope.grad(lambda x: special.polygamma(170, x))(slope.tensor(30.0, dtype=dtype))
    assert last.numpy() == inf  # its own factorial is beyond float64


@pytest.mark.usefixtures("on_numpy")
def test_derivatives_of_higher_order():
    x = slope.tensor([0.75, 11.0], dtype="float64")
    second = slope.vmap(slope.grad(slope.grad(special.i0)))(x)  # i0'' = i0 - i1 / x
    np.testing.assert_allclose(second, special.i0(x) - special.i1(x) / x, rtol=1e-12)
    second = slope.vmap(slope.grad(slope.grad(special.bessel_j0)))(x)
    expected = special.bessel_j1(x) / x - special.bessel_j0(x)
    np.testing.assert_allclose(second, expected, rtol=1e-12)
    second = slope.vmap(slope.grad(slope.grad(slope.digamma)))(x)
    np.testing.assert_allclose(second, special.polygamma(2, x), rtol=1e-9)
    density = slope.vmap(slope.grad(lambda x: special.gammainc(2.0, x)))  # x exp(-x)
    np.testing.assert_allclose(density(x), x * slope.exp(-x), rtol=1e-12)
    curve = slope.vmap(slope.grad(slope.grad(lambda x: special.gammainc(2.0, x))))(x)
    np.testing.assert_allclose(curve, (1.0 - x) * slope.exp(-x), rtol=1e-9)
    with pytest.raises(errors.GradientError, match="reverse-mode differentiation"):
        slope.grad(slope.grad(lambda a: special.gammainc(a, 1.0)))(slope.tensor(1.5))


@pytest.mark.usefixtures("on_numpy")
def test_derivatives_at_edges_are_finite():
    zero = slope.tensor(0.0)
    for name, expected in {"i0": 0.0, "i1": 0.5, "bessel_j0": 0.0, "bessel_j1": 0.5}.items():
        found = slope.grad(getattr(special, name))(zero).item()
        assert found == pytest.approx(expected, abs=1e-6)
    assert slope.grad(lambda x: special.xlog1py(x, 0.5))(zero).item() == pytest.approx(
        math.log(1.5)
    )
    assert slope.grad(special.spence)(slope.tensor(1.0)).item() == pytest.approx(-1.0)
    assert slope.grad(special.log_ndtr)(slope.tensor(-40.0)).item() == pytest.approx(40.025, 1e-4)


@pytest.mark.usefixtures("on_numpy")
def test_promotion_and_half_precision():
    assert special.i0(3).dtype is slope.float32
    assert special.gammainc(2, slope.tensor([1, 2])).dtype is slope.float32
    assert special.betainc(slope.ones(2, 1), 2.0, slope.full((3,), 0.5)).shape == (2, 3)
    half = special.ndtri(slope.tensor([0.25], dtype=slope.float16))
    assert half.dtype is slope.float16
    assert half.item() == pytest.approx(-0.6745, rel=1e-3)
    wide = special.gammainc(slope.tensor(2.0, dtype="float64"), slope.tensor([1.0]))
    assert wide.dtype is slope.float32  # as all functions: shape () does not widen
    assert special.zeta(slope.tensor([2.0]), q=1).item() == pytest.approx(math.pi**2 / 6)


def test_names_of_pytorch_lead_here():
    assert slope.special is special
    assert slope.igamma is special.gammainc
    assert slope.igammac is special.gammaincc
    assert slope.i0 is special.i0
    assert slope.polygamma is special.polygamma
    assert slope.mvlgamma is special.multigammaln
    assert special.psi is slope.digamma
    assert {"special", "igamma"} <= set(dir(slope))
    assert sorted(special.__all__) == [n for n in sorted(special.__all__) if hasattr(special, n)]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: special.polygamma(slope.tensor(1), 2.0), "n is a tensor, and must be an int"),
        (lambda: special.polygamma(-1, 2.0), "polygamma: n=-1"),
        (lambda: special.polygamma(171, 2.0), "polygamma: n=171 must be at most 170"),
        (lambda: special.multigammaln(3.0, 0), "multigammaln: p=0"),
        (lambda: special.i0([1.0]), r"special\.i0: x is a list"),
        (lambda: special.gammainc(slope.ones(2), slope.ones(3)), r"special\.gammainc"),
    ],
)
def test_bad_arguments_are_refused(call, told):
    with pytest.raises(errors.SlopeError, match=told):
        call()
