"""Powers, divisors, integrals, order statistics and counts: values, gradients, messages."""

import math

import numpy as np
import pytest

import slope
from slope import errors, testing

pytestmark = pytest.mark.usefixtures("on_numpy")

RNG = np.random.default_rng(0)
INF, NAN = math.inf, math.nan


def t(*values):
    return slope.tensor(list(values))


VALUES = {
    "deg2rad": (lambda: t(180, 90).deg2rad(), [math.pi, math.pi / 2]),
    "rad2deg": (lambda: t(math.pi, -math.pi / 4).rad2deg(), [180, -45]),
    "logaddexp2": (lambda: t(3.0, -INF, 500.0).logaddexp2(t(3.0, 2.0, 500.0)), [4, 2, 501]),
    "ldexp": (lambda: t(1.5, -3.0).ldexp(t(2, -1)), [6, -1.5]),
    "ldexp whole": (lambda: slope.ldexp(t(3), 4), [48.0]),
    "gcd": (lambda: t(12, -12, 0, 7, 0).gcd(t(18, 18, 5, 13, 0)), [6, 6, 5, 1, 0]),
    "lcm": (lambda: t(4, -4, 0, 7).lcm(t(6, 6, 5, 13)), [12, 12, 0, 91]),
    "gcd number": (lambda: slope.gcd(t(12, 9), 6), [6, 3]),
    "dist": (lambda: slope.dist(t(1.0, 2.0), t(4.0, 6.0)), 5.0),
    "dist 1": (lambda: t(1, 2).dist(t([4, 6]), 1), 7.0),
    "dist inf": (lambda: slope.dist(t(1.0, 2.0), t(4.0, 6.0), INF), 4.0),
    "renorm": (lambda: t([3.0, 4.0], [0.3, 0.4]).renorm(2, 0, 1.0), [[0.6, 0.8], [0.3, 0.4]]),
    "renorm columns": (lambda: t([1.0, 5.0], [2.0, 5.0]).renorm(1, 1, 5.0), [[1, 2.5], [2, 2.5]]),
    "addr": (lambda: t([1, 1]).addr(t(1, 2), t(3, 4), beta=10, alpha=2), [[16, 18], [22, 26]]),
    "addr 0": (lambda: slope.addr(t(NAN), t(1.0, 2.0), t(3.0), beta=0), [[3], [6]]),
    "trapz": (lambda: slope.trapz(t(1.0, 2.0, 4.0), dx=2), 9.0),
    "cumulative_trapezoid": (lambda: slope.cumulative_trapezoid(t(1, 2, 4)), [1.5, 4.5]),
    "cumulative_trapezoid x": (
        lambda: slope.cumulative_trapezoid(t([1.0, 2.0], [3.0, 6.0]), t(0.0, 2.0), dim=0),
        [[4, 8]],
    ),
    "kthvalue": (lambda: t([5, 1, 3], [2, 2, 9]).kthvalue(2).values, [3, 2]),
    "kthvalue places": (lambda: t([5, 1, 3], [2, 2, 9]).kthvalue(2, 1, True).indices, [[2], [1]]),
    "kthvalue NaN": (lambda: t(NAN, 1.0, 2.0).kthvalue(3).values, NAN),
    "mode": (lambda: t([3, 1, 1, 3, 2], [5, 4, 3, 2, 1]).mode().values, [1, 1]),
    "mode places": (lambda: t([3, 1, 1, 3, 2], [5, 4, 3, 2, 1]).mode().indices, [2, 4]),
    "mode dim": (lambda: t([True, False], [True, True]).mode(0, True).values, [[True, False]]),
    "msort": (lambda: t([3, 1], [2, 5]).msort(), [[2, 1], [3, 5]]),
    "histc": (lambda: t(1.0, 2.0, NAN, 3.0, 1.5, 9.0).histc(4, 1, 3), [1, 1, 1, 1]),
    "histc own ends": (lambda: slope.histc(t(0, 1, 2, 3), 3), [1.0, 1.0, 2.0]),
    "histc one value": (lambda: slope.histc(t(2.0, 2.0), 2), [0, 2]),
    "histc nothing": (lambda: slope.histc(slope.zeros(0), 2), [0, 0]),
    "histogram": (lambda: t(0.0, 1.0, 1.5, 4.0).histogram(2).hist, [3, 1]),
    "histogram one value": (lambda: t(2.0).histogram(2).bin_edges, [1.5, 2, 2.5]),
    "histogram nothing": (lambda: slope.zeros(0).histogram(2).bin_edges, [0, 0.5, 1]),
    "histogram edges": (lambda: t(0.0, 1.0, 3.0, 9.0).histogram(t(0.0, 1.0, 3.0)).hist, [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    function, expected = VALUES[name]
    for got in (function(), function()):  # the second call is remembered
        assert got.shape == np.shape(expected)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_dtypes():
    whole = slope.arange(3)
    assert whole.float_power(2).tolist() == [0, 1, 4]
    for made in (whole.float_power(2), slope.float_power(2, whole), t(0.5).float_power(t(2))):
        assert made.dtype is slope.float64
    for made in (whole.deg2rad(), whole.ldexp(whole), whole.histc(2)):
        assert made.dtype is slope.float32
    assert whole.to("int8").gcd(whole.to("uint8")).dtype is slope.int16
    assert whole.to("int8").mode().values.dtype is slope.int8


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint64"])
def test_gcd_takes_the_most_steps_that_a_dtype_allows(dtype):
    top = np.iinfo(dtype).max
    for growth in (1, 2):  # Fibonacci's and Pell's numbers: the slowest for either remainder
        numbers = [1, 1]
        while numbers[-1] * growth + numbers[-2] <= top:
            numbers.append(numbers[-1] * growth + numbers[-2])
        x, y = (slope.tensor(np.array(each, dtype)) for each in (numbers[1:], numbers[:-1]))
        assert set(x.gcd(y).tolist()) == {1}
    both = RNG.integers(0, top, (2, 50), dtype)
    expected = np.gcd(both[0] // 3 * 3, both[1] // 3 * 3)
    got = slope.gcd(slope.tensor(both[0] // 3 * 3), slope.tensor(both[1] // 3 * 3))
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.parametrize("order", [1, 2])
def test_gradient_is_numpys(order):
    x = RNG.normal(size=(4, 5))
    places = np.sort(RNG.normal(size=4)), np.sort(RNG.normal(size=5))
    for spacing, theirs in ((1, [1]), (0.5, [0.5]), ([2.0, 3.0], [2.0, 3.0]), (None, places)):
        given = [slope.tensor(each) for each in places] if spacing is None else spacing
        got = slope.gradient(slope.tensor(x), spacing=given, edge_order=order)
        for ours, wanted in zip(got, np.gradient(x, *theirs, edge_order=order), strict=True):
            np.testing.assert_allclose(ours.numpy(), wanted, rtol=1e-6)
    (only,) = slope.gradient(slope.tensor(x), dim=-1, edge_order=order)
    np.testing.assert_allclose(only.numpy(), np.gradient(x, axis=-1, edge_order=order))


def test_histogram_is_numpys():
    x, weight = RNG.normal(size=(20, 3)), RNG.uniform(size=(20, 3))
    for bins, options in (
        (7, {}),
        (5, {"range": (-1.0, 2.0)}),
        (np.array([-2.0, 0.0, 0.5]), {"density": True}),
    ):
        given = slope.tensor(bins) if isinstance(bins, np.ndarray) else bins
        got = slope.histogram(slope.tensor(x), given, weight=slope.tensor(weight), **options)
        hist, edges = np.histogram(x, bins, weights=weight, **options)
        np.testing.assert_allclose(got.hist.numpy(), hist)
        np.testing.assert_allclose(got.bin_edges.numpy(), edges, atol=1e-12)


def a(*shape):
    return RNG.normal(size=shape)


SMOOTH = {
    "deg2rad": (lambda x: slope.deg2rad(x) * slope.rad2deg(x), a(3)),
    "logaddexp2": (slope.logaddexp2, a(3), a(3)),
    "float_power": (slope.float_power, np.abs(a(3)) + 0.5, a(3)),
    "ldexp": (slope.ldexp, a(3), a(3)),
    "dist": (slope.dist, a(2, 3), a(3)),
    "renorm": (lambda x: slope.renorm(x, 2, 0, 1.0), a(3, 4)),
    "addr": (lambda x, y, z: slope.addr(x, y, z, beta=0.5, alpha=3.0), a(3), a(2), a(3)),
    "cumulative_trapezoid": (slope.cumulative_trapezoid, a(2, 4), a(4)),
    "gradient": (lambda x, s: slope.gradient(x, spacing=s, dim=0)[0], a(4, 2), a(1)[0] ** 2 + 1),
    "kthvalue": (lambda x: slope.kthvalue(x, 2, 0).values ** 2, a(4, 2)),
    "mode": (lambda x: slope.mode(x, 0).values ** 2, a(4, 2)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    function, *args = SMOOTH[name]
    testing.check_grads(function, args, order=1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: t(1.0).gcd(t(2)), "gcd: takes integers, and the operands are float32"),
        (lambda: slope.lcm(t(True), t(True)), "lcm: takes integers, and the operands are bool"),
        (lambda: t(1.0).renorm(2, 0, 1.0), "renorm: takes at least two dimensions"),
        (lambda: t([1.0]).renorm(0, 0, 1.0), "renorm: p=0.0 must be above 0"),
        (lambda: t(1).addr(t([1]), t(1)), r"addr: vec1 must have 1 dimension, but is int64"),
        (lambda: t(1).kthvalue(2), "kthvalue: k=2 is out of range for dimension -1"),
        (lambda: slope.zeros(2, 0).mode(), r"mode: dimension -1 of float32\[2, 0\] is empty"),
        (lambda: t(1.0).histc(0), "histc: bins=0 must be at least 1"),
        (lambda: t(1.0).histc(2, 3, 1), "histc: the upper end 1.0 is not above the lower end 3.0"),
        (lambda: t(1.0).histogram(t(1.0)), "histogram: bins is .* vector of 2 or more edges"),
        (lambda: t(1.0).histogram(2, range=3), "histogram: range=3 must be two numbers"),
        (lambda: t(1.0).histogram(2, weight=t(1.0, 2.0)), "histogram: weight is"),
        (lambda: slope.gradient(t(1.0)), "gradient: dimension 0 of .* at least 2 elements"),
        (lambda: slope.gradient(t(1.0, 2.0), edge_order=3), "gradient: edge_order=3 must be 1 or"),
        (lambda: slope.gradient(t(1.0, 2.0), spacing=[1.0, 2.0]), "2 spacings are given for 1 dim"),
        (lambda: slope.gradient(t(1.0, 2.0), spacing=[t(1.0)]), "needs as many places"),
        (
            lambda: slope.cumulative_trapezoid(t(1.0), t(1.0, 2.0)),
            "cumulative_trapezoid: dimension",
        ),
    ],
)
def test_messages(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make()
