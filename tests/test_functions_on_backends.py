"""Composite operators, and draws, mean the same on every backend."""

import numpy as np
import pytest

import slope
from slope.core.operator import Operator
from slope.functions import (
    activation_operators,
    moment_operators,
    norm_operators,
    precise,
    special,
)
from slope.testing.operators import as_function

MODULES = (activation_operators, moment_operators, norm_operators, precise, special)
OPERATORS = [
    op for module in MODULES for op in vars(module).values() if isinstance(op, Operator)
]  # fmt: skip
# Compiling for IREE takes 20 s a dtype: one stands for all here; the conformance kit runs all.
RUNS = [("onnxruntime", dtype) for dtype in (np.float16, np.float32, np.float64)] + [
    ("iree", np.float32)
]
TOLERANCES = {np.float16: 4e-3, np.float32: 3e-5, np.float64: 2e-10}


def samples(dtype):
    for op in OPERATORS:
        for sample in op.samples():
            args = [np.asarray(arg) for arg in sample.args]
            args = [arg.astype(dtype) if arg.dtype.kind == "f" else arg for arg in args]
            with np.errstate(over="ignore"):
                if op.name != "normalize_batch" or dtype != np.float16:
                    yield op, args, sample.params


@pytest.mark.parametrize(("backend", "dtype"), RUNS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_composites(backend, dtype):
    cases = list(samples(dtype))

    def every(inputs):
        return [
            as_function(op, params)(*xs) for (op, _, params), xs in zip(cases, inputs, strict=True)
        ]

    inputs = [[slope.tensor(arg) for arg in args] for _, args, _ in cases]
    wanted = slope.jit(every, backend="numpy")(inputs)
    found = slope.jit(every, backend=backend)(inputs)
    for (op, args, params), outs, expected in zip(cases, found, wanted, strict=True):
        for out, want in zip(outs, expected, strict=True):
            bound = TOLERANCES[dtype]
            np.testing.assert_allclose(
                out.numpy(),
                want.numpy(),
                rtol=bound,
                atol=bound,
                err_msg=f"{op.name} {params} {args}",
            )


def drawn(key):
    random, keys = slope.random, slope.random.split(key, 17)
    exact = [
        keys, random.fold_in(key, 3), random.bits(keys[0], 5),
        random.randint(keys[1], (7,), -3, 90), random.permutation(keys[3], 50),
        random.bernoulli(keys[4], 0.3, (40,)), random.poisson(keys[12], slope.tensor([4.0, 90.0])),
        random.binomial(keys[13], 60, slope.tensor([0.1, 0.7])), random.choice(keys[14], 9, (4,)),
    ]  # fmt: skip
    close = [
        random.normal(keys[5], 50), random.truncated_normal(keys[9], -1, 2, 50),
        random.gamma(keys[10], 0.5, (50,)), random.dirichlet(keys[15], slope.full((4,), 0.3)),
        random.t(keys[16], 3.0, (20,)),
    ]  # fmt: skip
    return exact, close


@pytest.mark.parametrize("backend", ["onnxruntime", "iree"])
def test_draws(backend):
    key = slope.random.key(9)
    exact, close = slope.jit(drawn, backend="numpy")(key)
    found_exact, found_close = slope.jit(drawn, backend=backend)(key)
    for found, want in zip(found_exact, exact, strict=True):
        np.testing.assert_array_equal(found.numpy(), want.numpy())
    for found, want in zip(found_close, close, strict=True):
        np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-4, atol=1e-5)
