"""What tests of operators share: both backends, and how a program runs on one."""

from __future__ import annotations

import types

import numpy as np
import pytest

from slope.dtypes import DType, as_dtype
from slope.extend import (
    CPU,
    TensorType,
    trace_program,
)
from slope_backend_numpy.backend import NumpyBackend
from slope_backend_onnx.backend import OnnxRuntimeBackend

# Relative and absolute, by result dtype. ONNX Runtime's exp, tanh, erf and sigmoid are polynomials
# of a few units of rounding.
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-6, "float64": 1e-13}


@pytest.fixture(scope="module")
def backend():
    return OnnxRuntimeBackend()


@pytest.fixture(scope="module")
def reference():
    return NumpyBackend()


def traced(function, args):
    return trace_program(function, [TensorType(x.shape, as_dtype(x.dtype)) for x in args])


def run(backend, program, args):
    handles = [backend.from_host(x, CPU) for x in args]
    with np.errstate(all="ignore"):
        return [backend.to_host(x) for x in backend.compile(program, CPU, {})(handles)]


def assert_same(got, wanted, tolerance=None):
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    near = TOLERANCE.get(got.dtype.name, 0) if tolerance is None else tolerance
    if near:
        got, wanted = got.astype(np.float64), wanted.astype(np.float64)
        np.testing.assert_allclose(got, wanted, rtol=near, atol=near)
    else:
        np.testing.assert_array_equal(got, wanted)


def as_array(values, dtype: DType):
    array = np.asarray(values)
    if dtype.is_integer and array.dtype.kind not in "biu":
        array = np.nan_to_num(array, posinf=100, neginf=-100)
    if dtype.kind == "u":
        array = np.abs(array.astype(np.float64) if array.dtype.kind == "b" else array)
    with np.errstate(all="ignore"):
        return np.array(array.astype(dtype.numpy), order="C")


def unary(backend, op, values, kind: type[np.generic] = np.float32, **params):
    args = [np.array(values, kind)]
    return run(backend, traced(lambda x: (op(x, **params),), args), args)[0]


def binary(backend, op, xs, ys, dtype):
    args = [np.array(xs, dtype), np.array(ys, dtype)]
    return run(backend, traced(lambda x, y: (op(x, y),), args), args)[0]


@pytest.fixture(scope="session")
def bench():
    """The helpers above."""
    return types.SimpleNamespace(
        traced=traced,
        run=run,
        assert_same=assert_same,
        as_array=as_array,
        unary=unary,
        binary=binary,
    )
