"""Donated inputs: results take their memory, at once or at the next call, and nobody else's."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import slope
from slope.extend import CPU, BackendError, TensorType, dtypes, ops, trace_program
from slope_backend_onnx import bindings
from slope_backend_onnx.backend import OnnxRuntimeBackend
from slope_backend_onnx.bindings import BoundCalls

STATE = TensorType((64, 32), dtypes.float32)


@pytest.fixture(scope="module")
def backend():
    return OnnxRuntimeBackend()


def compiled(backend, function, types, donated=(0,)):
    program = trace_program(function, types)
    return backend.compile(program, CPU, {}, donated=frozenset(donated))


def updated(cache, new, at):
    grown = ops.dynamic_update_slice(cache, new, at, at)
    return grown, ops.sum_(grown, dim=(0, 1))


def update_types():
    return [STATE, TensorType((1, 32), dtypes.float32), TensorType((), dtypes.int64)]


def test_an_update_is_written_in_place(backend):
    executable = compiled(backend, updated, update_types())
    cache, new = np.zeros((64, 32), "f4"), np.ones((1, 32), "f4")
    state = cache
    for number in range(5):
        state, total = executable([state, new, np.array(number)])
        assert state is cache
        assert total == 32 * (number + 1)
    np.testing.assert_array_equal(cache.sum(1), [32] * 5 + [0] * 59)


def test_an_input_that_something_else_reads_is_not_written_in_place(backend):
    def both(cache, new, at):
        return ops.dynamic_update_slice(cache, new, at, at), ops.sum_(cache, dim=(0, 1))

    executable = compiled(backend, both, update_types())
    cache, new = np.ones((64, 32), "f4"), np.zeros((1, 32), "f4")
    state, total = executable([cache, new, np.array(3)])
    assert total == 64 * 32
    assert state is not cache
    assert (cache == 1).all()


def test_two_sets_of_arrays_serve_in_turn(backend):
    executable = compiled(
        backend, lambda p, m: (ops.add(p, m), ops.mul(m, m)), [STATE, STATE], (0, 1)
    )
    state = [np.ones((64, 32), "f4"), np.full((64, 32), 2, "f4")]
    first, seen = state, []
    for _ in range(6):
        before = [each.copy() for each in state]
        new = executable(state)
        np.testing.assert_array_equal(new[0], before[0] + before[1])
        np.testing.assert_array_equal(new[1], before[1] * before[1])
        seen.append([id(each) for each in new])
        state = new
    assert seen[1] == [id(each) for each in first]
    assert seen[2] == seen[0]
    assert seen[5] == seen[1]


def test_arrays_of_other_owners_are_bound_anew(backend):
    executable = compiled(backend, updated, update_types())
    new, at = np.ones((1, 32), "f4"), np.array(0)
    for number in range(20):  # a freed array's address may come back
        cache = np.full((64, 32), number, "f4")
        state, total = executable([cache, new, at])
        assert state is cache
        assert total == number * 63 * 32 + 32


def test_a_donated_input_that_is_a_result_is_not_used_again(backend):
    executable = compiled(backend, lambda x, y: (x, ops.mul(x, y)), [STATE, STATE])
    x, y = np.ones((64, 32), "f4"), np.full((64, 32), 3, "f4")
    kept = []
    for _ in range(4):
        same, product = executable([x, y])
        assert same is x
        kept.append(product)
    assert len({id(each) for each in kept}) == 4
    assert all((each == 3).all() for each in kept)
    assert (x == 1).all()


def test_wrong_arrays_are_refused(backend):
    executable = compiled(backend, updated, update_types())
    for wrong in (np.zeros((64, 32)), np.zeros((32, 64), "f4"), np.zeros((32, 64), "f4").T):
        with pytest.raises(BackendError, match=r"failed to run .*given 3: \(float"):
            executable([wrong, np.ones((1, 32), "f4"), np.array(0)])
    with pytest.raises(BackendError, match="of 3 inputs on cpu:0, given 1"):
        executable([np.zeros((64, 32), "f4")])


def test_threads_share_no_binding(backend):
    executable = compiled(backend, lambda p, m: (ops.add(p, m),), [STATE, STATE])
    failures = []

    def loop(step):
        state, change = np.zeros((64, 32), "f4"), np.full((64, 32), step, "f4")
        for number in range(200):
            (state,) = executable([state, change])
            if not (state == step * (number + 1)).all():
                failures.append((step, number))

    threads = [threading.Thread(target=loop, args=(step,)) for step in (1, 2, 3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []


def test_jit_donates_to_bindings():
    def step(cache, new, at):
        return {"k": cache["k"].at[at].set(new)}, cache["v"] * 2

    run = slope.jit(step, donate="cache", backend="onnxruntime")
    cache = {"k": slope.zeros(8, 4) + 0, "v": slope.ones(3) + 0}
    new, _ = run(cache, slope.ones(4), 2)
    new = {**new, "v": slope.ones(3) + 0}
    kept = new["k"].numpy().copy()
    again, _ = run(new, slope.ones(4), 5)
    np.testing.assert_array_equal(kept.sum(1), [0, 0, 4, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(again["k"].numpy().sum(1), [0, 0, 4, 0, 0, 4, 0, 0])


def test_a_binding_keeps_no_array(backend):
    import gc
    import weakref

    executable = compiled(backend, updated, update_types())
    assert isinstance(executable._session._run, BoundCalls)
    cache = np.zeros((64, 32), "f4")
    watched = weakref.ref(cache)
    executable([cache, np.ones((1, 32), "f4"), np.array(0)])
    del cache
    gc.collect()
    assert watched() is None


def test_parameters_that_stay_are_bound_once(backend):
    def affine(x, *parameters):
        for each in parameters:
            x = ops.add(x, each)
        return (x,)

    executable = compiled(backend, affine, [STATE] * 12, ())
    assert isinstance(executable._session._run, BoundCalls)
    parameters = [np.full((64, 32), number, "f4") for number in range(11)]
    results = [executable([np.full((64, 32), at, "f4"), *parameters])[0] for at in range(5)]
    for at, each in enumerate(results):  # every call has a result of its own
        assert (each == at + 55).all()
    parameters[3] = np.full((64, 32), 100, "f4")
    (changed,) = executable([np.zeros((64, 32), "f4"), *parameters])
    assert (changed == 152).all()


def test_small_arrays_that_move_are_copied_to_memory_that_stays_bound(backend, monkeypatch):
    def step(state, rate):
        return ops.mul(state, ops.broadcast(rate, shape=(64, 32), dims=())), ops.sum_(
            state, dim=(0, 1)
        )

    made = []

    class Kept(bindings._Binding):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(bindings, "_Binding", Kept)
    executable = compiled(backend, step, [STATE, TensorType((), dtypes.float32)])
    state, totals = np.ones((64, 32), "f4"), []
    for number in range(30):
        rate = np.asarray(2.0 if number % 2 else 0.5, "f4")  # a new array each time
        state, total = executable([state, rate])
        totals.append(total)
    assert [set(each.own) for each in made] == [{1, 3}] * 2  # two bindings in turn
    assert totals == [2048 if number % 2 == 0 else 1024 for number in range(30)]
    assert len({id(total) for total in totals}) == 30


def test_a_small_array_of_another_type_is_refused_when_it_would_be_copied(backend):
    def step(state, rate):
        return (ops.mul(state, ops.broadcast(rate, shape=(64, 32), dims=())),)

    executable = compiled(backend, step, [STATE, TensorType((), dtypes.float32)])
    state = np.ones((64, 32), "f4")
    for _ in range(30):
        (state,) = executable([state, np.ones((), "f4")])
    for wrong in (np.ones((), "f8"), np.ones((1,), "f4"), 1.0):
        with pytest.raises(BackendError, match=r"2 inputs on cpu:0, given 2"):
            executable([state, wrong])
    (state,) = executable([state, np.full((), 3, "f4")])
    assert (state == 3).all()
