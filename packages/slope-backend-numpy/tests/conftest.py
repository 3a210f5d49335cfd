"""Fixtures that the tests of the NumPy backend share."""

from __future__ import annotations

import numpy as np
import pytest

from slope.dtypes import as_dtype
from slope.extend import CPU, TensorType, trace_program
from slope_backend_numpy.backend import NumpyBackend


@pytest.fixture(scope="session")
def backend():
    return NumpyBackend()


@pytest.fixture(scope="session")
def compiled(backend):
    """Compile a function from tensors to a tuple of tensors, for inputs like these arrays."""

    def compile_for(function, *arrays):
        types = [TensorType(np.shape(each), as_dtype(np.asarray(each).dtype)) for each in arrays]
        return backend.compile(trace_program(function, types).check(), CPU, {})

    return compile_for


@pytest.fixture(scope="session")
def call(compiled):
    """Run one operator on arrays; its results as a tuple, checked to have the inferred types."""

    def run(op, *arrays, **params):
        def function(*xs):
            result = op(*xs, **params)
            return result if op.multiple else (result,)

        arrays = [np.asarray(each) for each in arrays]
        types = [TensorType(each.shape, as_dtype(each.dtype)) for each in arrays]
        program = trace_program(function, types)
        results = compiled(function, *arrays)(arrays)
        for result, wanted in zip(results, program.output_types, strict=True):
            assert isinstance(result, np.ndarray)
            assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype.numpy), op.name
        return results

    return run
