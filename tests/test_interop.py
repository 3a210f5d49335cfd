"""Tensors beside NumPy, PyTorch, pickle and copy; on every backend."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import slope
from slope import errors


def test_numpy_arrays_of_tensors(backend):
    x = slope.jit(lambda x: x * 2)(slope.tensor([[1.0, 2.0], [3.0, 4.0]]))
    view = np.asarray(x)
    assert np.shares_memory(view, x.numpy())
    assert not view.flags.writeable
    assert np.array(x).flags.writeable
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, np.float64).dtype == np.float64
    with pytest.raises(errors.ArgumentError, match="cannot share the memory"):
        np.array(x, dtype=np.float64, copy=False)


def test_dlpack_both_ways(backend):
    x = slope.jit(lambda x: x + 1)(slope.tensor([1.0, 2.0]))
    array = np.from_dlpack(x)
    assert array.tolist() == [2.0, 3.0]
    source = np.arange(4.0)
    borrowed = slope.from_dlpack(source)
    assert np.shares_memory(borrowed.numpy(), source)
    assert (borrowed + 1).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert x.__dlpack_device__() == (1, 0)


def test_pytorch(backend):
    torch = pytest.importorskip("torch")
    source = torch.arange(3.0)
    assert slope.from_dlpack(source).tolist() == [0.0, 1.0, 2.0]
    assert torch.from_dlpack(slope.tensor([1.0, 2.0]) * 2).tolist() == [2.0, 4.0]


def test_borrowing_and_copying(backend):
    source = np.arange(3, dtype=np.float32)
    borrowed, copied = slope.from_numpy(source), slope.tensor(source)
    assert np.shares_memory(borrowed.numpy(), source)
    assert not np.shares_memory(copied.numpy(), source)
    source[0] = 9.0
    assert copied.tolist() == [0.0, 1.0, 2.0]
    for odd in (source[::-1], source.reshape(3, 1).T.astype(">f4")):
        assert slope.from_numpy(odd).numpy().tolist() == odd.tolist()
    frozen = np.ones(3, np.float32)
    frozen.flags.writeable = False
    assert (slope.from_numpy(frozen) + 1).tolist() == [2.0] * 3
    assert slope.jit(slope.neg)(frozen).tolist() == [-1.0] * 3


DTYPES = ("bool", "int8", "uint64", "float16", "bfloat16", "float32", "float64")


@pytest.mark.parametrize(
    "array",
    [np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix), np.ma.masked_array([[1.0, 2]], [[0, 1]])],
)
def test_of_subclasses_of_arrays_the_elements_count(backend, array):
    plain = np.array(array)
    step = slope.jit(lambda x: (x[0], x.reshape(-1), x * x))
    for given in (array, slope.from_numpy(array)):
        for found, wanted in zip(step(given), step(slope.tensor(plain)), strict=True):
            assert type(found.numpy()) is np.ndarray
            np.testing.assert_array_equal(found.numpy(), wanted.numpy(), strict=True)


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_and_pickles(backend, clone):
    for name in DTYPES:
        x = slope.ones(2, dtype=name)
        for made in (x, slope.jit(lambda x: slope.cat([x, x]))(x)):
            again = clone(made)
            assert again.dtype is made.dtype
            assert again.tolist() == made.tolist()
    counter = slope.jit(lambda n: n + 1)(1)
    f = slope.jit(lambda n: n + 1)
    assert [f(counter).item(), f(clone(counter)).item()] == [3, 3]
    assert f.compile_count == 1  # a counter stays weak
    with pytest.raises(errors.ConcretizationError, match="pickle or copy"):
        slope.jit(clone)(slope.ones(2))
