"""Composite operators hold their contract, and are as accurate as they claim."""

import math
import warnings

import numpy as np
import pytest

import slope
from slope.core.operator import Operator
from slope.functions import (
    activation_operators,
    composites,
    moment_operators,
    norm_operators,
    precise,
    special,
)
from slope.testing import check_operator

pytestmark = pytest.mark.usefixtures("on_numpy")

MODULES = (activation_operators, composites, moment_operators, norm_operators, precise, special)
OPERATORS = {
    op.name: op for module in MODULES for op in vars(module).values() if isinstance(op, Operator)
}


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_types_derivatives_and_batching(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # differences at infinities
        assert check_operator(OPERATORS[name]) > 0


def erfinv(y):
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return low


EXACT = {
    "asin": (math.asin, -1, 1), "acos": (math.acos, -0.99, 0.99), "atan": (math.atan, -50, 50),
    "sinh": (math.sinh, -80, 80), "cosh": (math.cosh, -80, 80), "asinh": (math.asinh, -1e6, 1e6),
    "acosh": (math.acosh, 1.0001, 1e5), "atanh": (math.atanh, -0.999, 0.999),
    "erfc": (math.erfc, -5, 9), "erfinv": (erfinv, -0.98, 0.98), "lgamma": (math.lgamma, 2.5, 60),
    "expm1": (math.expm1, -5, 5), "log1p": (math.log1p, -0.9, 50),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize("name", sorted(EXACT))
def test_elementary_and_special_functions_keep_their_digits(name, expanded, dtype):
    reference, low, high = EXACT[name]
    random = np.random.default_rng(0)
    small = 10.0 ** random.uniform(-6, 0, 200) * random.choice([-1, 1], 200)
    xs = np.concatenate([random.uniform(low, high, 200), small]).clip(low, high).astype(dtype)
    op = OPERATORS.get(name)
    if expanded:
        if op is None:
            pytest.skip("first-order: there is no expansion to check")
        got = op.expand(slope.tensor(xs)).numpy()
    else:
        got = getattr(slope, name)(slope.tensor(xs)).numpy()
    wanted = np.array([reference(float(x)) for x in xs])
    steps = 64 if name == "lgamma" else 8
    np.testing.assert_allclose(got, wanted, rtol=steps * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    x = slope.tensor([0.01, 0.3, 0.9], dtype=dtype)
    for name in ("asinh", "atanh", "erfc", "erfinv", "lgamma", "digamma", "sinh", "asin"):
        op = OPERATORS[name]
        wide = op(x.to(slope.float32)).to(dtype)
        assert op.expand(x).tolist() == wide.tolist(), name


def test_digamma():
    got = slope.digamma(slope.tensor([1.0, 0.5, 10.0, -0.5], dtype=slope.float64)).numpy()
    euler = 0.5772156649015329
    wanted = [-euler, -euler - 2 * math.log(2), 2.251752589066721, 0.03648997397857652]
    np.testing.assert_allclose(got, wanted, rtol=1e-13)
    second = slope.grad(slope.grad(slope.lgamma))(slope.tensor(1.0, dtype=slope.float64))
    assert second.item() == pytest.approx(math.pi**2 / 6, rel=1e-10)
    assert slope.digamma(slope.tensor([0.0, -0.0])).tolist() == [-math.inf, math.inf]
    assert math.isnan(slope.digamma(slope.tensor(-2.0)).item())


def test_signs_of_zeros_and_infinities():
    for name in ("sinh", "asinh", "atanh", "erfinv"):
        zero = OPERATORS[name].expand(slope.tensor([-0.0, 0.0])).numpy()
        assert np.signbit(zero).tolist() == [True, False], name
    huge = slope.tensor([1e30, -1e30, math.inf])
    got = OPERATORS["asinh"].expand(huge).tolist()
    assert got == pytest.approx([math.asinh(1e30), -math.asinh(1e30), math.inf])
    x, y = slope.tensor([3e38, 1e-30, 0.0, math.inf]), slope.tensor([4e37, 1e-30, 0.0, math.nan])
    got = OPERATORS["hypot"].expand(x, y).tolist()
    assert got == pytest.approx([math.hypot(3e38, 4e37), math.hypot(1e-30, 1e-30), 0.0, math.inf])
