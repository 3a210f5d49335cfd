"""Sessions on ONNX Runtime, and arrays on their way in and out."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest

from slope_backend_onnx import provider, sessions
from slope_backend_onnx.arrays import ArrayError, export_array, import_array
from slope_backend_onnx.graph import ELEMENT_TYPES, Graph
from slope_backend_onnx.provider import DeviceError, MissingRuntimeError
from slope_backend_onnx.sessions import SessionError, create_session

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [BFLOAT16 if name == "bfloat16" else np.dtype(name) for name in ELEMENT_TYPES]
LENDS_BFLOAT16 = hasattr(onnxruntime.OrtValue, "ortvalue_from_numpy_with_onnx_type")
needs_bfloat16 = pytest.mark.skipif(not LENDS_BFLOAT16, reason="this onnxruntime is too old")


def affine(dtype: str = "float32", shape: tuple[int, ...] = (4,)) -> bytes:
    """x * 2 + 1."""
    graph = Graph()
    x = graph.input("x", dtype, shape)
    wide = graph.op("Cast", x, to=ELEMENT_TYPES["float32"])  # no bfloat16 arithmetic on CPUs
    two, one = (graph.constant(np.float32(value)) for value in (2, 1))
    y = graph.op("Add", graph.op("Mul", wide, two), one)
    graph.output(graph.op("Cast", y, to=ELEMENT_TYPES[dtype]))
    return graph.model().SerializeToString()


def reshape(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """x with its elements unchanged, through an operator that has every dtype."""
    graph = Graph()
    x = graph.input("x", dtype, shape)
    target = graph.constant(np.array((*shape, 1), "i8"))
    graph.output(graph.op("Reshape", x, target, allowzero=1))
    return graph.model().SerializeToString()


def test_a_call_returns_fresh_aligned_arrays_and_leaves_its_input() -> None:
    session = create_session(affine(), work=8)
    assert (session.input_names, len(session.output_names)) == (["x"], 1)
    x = np.arange(4, dtype="f4")
    x.flags.writeable = False
    (first,) = session([import_array(x)])
    (second,) = session([x])
    assert first.tolist() == second.tolist() == [1, 3, 5, 7]
    assert x.tolist() == [0, 1, 2, 3]
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, x)
    assert first.ctypes.data % 64 == 0


@pytest.mark.parametrize(
    "dtype",
    [pytest.param(d, marks=needs_bfloat16 if d == BFLOAT16 else ()) for d in DTYPES],
    ids=str,
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_dtype_goes_through(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    (handle,) = create_session(reshape(dtype, shape), work=0)([import_array(value)])
    result = export_array(handle)
    assert (result.dtype, result.shape) == (dtype, (*shape, 1))
    np.testing.assert_array_equal(result[..., 0], value)


def test_import_borrows_and_copies_only_what_it_must() -> None:
    plain = np.arange(6, dtype="f4").reshape(2, 3)
    assert import_array(plain) is plain
    bytes_ = np.zeros(4 * 6 + 1, "u1")
    misaligned = bytes_[1:].view("f4").reshape(2, 3)
    misaligned[:] = plain
    for odd in (plain.T.copy().T, plain.astype(">f4"), misaligned, np.repeat(plain, 2, 1)[:, ::2]):
        handle = import_array(odd)
        assert handle.flags.c_contiguous
        assert handle.flags.aligned
        assert handle.dtype.isnative
        np.testing.assert_array_equal(handle, plain)


def test_export_is_a_read_only_view_that_keeps_the_memory() -> None:
    session = create_session(affine(), work=8)
    (handle,) = session([np.arange(4, dtype="f4")])
    array = export_array(handle)
    assert np.shares_memory(array, handle)
    assert handle.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    del handle, session
    gc.collect()
    others = [np.full(4, 9, "f4") for _ in range(1000)]  # would take freed memory
    assert array.tolist() == [1, 3, 5, 7]
    assert len(others) == 1000


def test_an_input_handed_back_outlives_the_input() -> None:
    graph = Graph()
    x = graph.input("x", "float32", (1000,))
    graph.output(x)
    session = create_session(graph.model().SerializeToString(), work=0)
    value = np.full(1000, 7, "f4")
    (handle,) = session([value])
    assert not np.shares_memory(handle, value)
    del value
    gc.collect()
    assert handle.tolist() == [7] * 1000


@needs_bfloat16
def test_a_kept_bfloat16_output_keeps_neither_inputs_nor_other_outputs() -> None:
    session = create_session(affine("bfloat16", (1000,)), work=1e3)
    value = np.full(1000, 3, BFLOAT16)
    watched = weakref.ref(value)
    (handle,) = session([import_array(value)])
    del value
    gc.collect()
    assert watched() is None
    assert export_array(handle).tolist() == [7] * 1000


def test_the_public_method_serves_where_the_compiled_session_is_hidden() -> None:
    inner = onnxruntime.InferenceSession(affine(), providers=["CPUExecutionProvider"])

    class Public:
        run = staticmethod(inner.run)
        get_inputs = staticmethod(inner.get_inputs)
        get_outputs = staticmethod(inner.get_outputs)

    session = sessions.Session(Public(), "cpu:0")
    assert session([np.arange(4, dtype="f4")])[0].tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_two_threads_call_one_session_at_once(dtype: str) -> None:
    session = create_session(affine(dtype, (64,)), work=1e9)
    failures: list[str] = []
    start = threading.Barrier(2)

    def call(base: int) -> None:
        start.wait()
        for number in range(200):
            (handle,) = session([np.full(64, (number + base) % 50, dtype)])
            if not (export_array(handle) == 2 * ((number + base) % 50) + 1).all():
                failures.append(f"thread {base}, call {number}")

    workers = [threading.Thread(target=call, args=(base,)) for base in (0, 25)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


COUNT_THREADS = """
import os, sys
from slope_backend_onnx.sessions import create_session
model = sys.stdin.buffer.read()
count = lambda: len(os.listdir("/proc/self/task"))
kept = [create_session(model, work=8)]  # starts whatever the runtime starts once
before = count()
kept += [create_session(model, work=8) for _ in range(20)]
small = count() - before
kept += [create_session(model, threads=3), create_session(model, work=1e9, threads=2)]
print(small, count() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads through /proc")
def test_small_sessions_hold_no_threads_and_large_ones_do() -> None:
    # in a process of its own, where no pool of another test is still going away
    command = [sys.executable, "-c", COUNT_THREADS]
    done = subprocess.run(command, input=affine(), capture_output=True, check=True)
    assert done.stdout.split() == [b"0", b"3"]


def test_unoptimized_sessions_agree() -> None:
    (handle,) = create_session(affine(), work=8, optimize=False)([np.arange(4, dtype="f4")])
    assert handle.tolist() == [1, 3, 5, 7]


def test_a_refused_model_and_failed_calls_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SessionError, match=r"refused a program for cpu:0"):
        create_session(b"no model")
    assert capsys.readouterr().out == ""  # no banner about falling back
    session = create_session(affine(), work=8)
    with pytest.raises(SessionError, match=r"1 inputs on cpu:0, given 2: \(float32\[4\], int"):
        session([np.zeros(4, "f4"), np.zeros((), "i8")])
    with pytest.raises(SessionError, match=r"\(float32\[3\]\)\. It said: .*dimensions"):
        session([np.zeros(3, "f4")])
    with pytest.raises(SessionError, match=r"\(float64\[4\]\)\. It said: .*data type"):
        session([np.zeros(4)])


def test_arrays_that_onnx_cannot_hold_are_refused() -> None:
    with pytest.raises(ArrayError, match=r"complex64 and shape \(2,\).*bfloat16.*astype"):
        import_array(np.zeros(2, "c8"))


def test_unknown_and_absent_devices() -> None:
    for device in ("tpu:0", "cpu:x", "gpu"):
        with pytest.raises(DeviceError, match=r"unknown .* cpu:0, cuda:0"):
            create_session(affine(), device=device)
    with pytest.raises(DeviceError, match="one CPU device"):
        import_array(np.zeros(2), "cpu:1")


def test_a_provider_that_the_wheel_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"'cuda:0' needs CUDAExecutionProvider.*\[gpu\]"):
        create_session(affine(), device="cuda:0")


def test_a_silent_fall_back_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class FallsBack:
        def __init__(self, model: bytes, options: Any, **settings: Any) -> None:
            options = {"device_id": 1, "use_tf32": "0"}
            assert settings["providers"] == [("CUDAExecutionProvider", options)]

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallsBack)
    with pytest.raises(DeviceError, match=r"CUDAExecutionProvider \(cuda:1\) and silently fell"):
        create_session(affine(), device="cuda:1")


@pytest.mark.parametrize("state", ["absent", "damaged"])
def test_without_a_runtime_both_extras_are_named(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    hollow = None if state == "absent" else type(sys)("onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", hollow)
    provider.import_runtime.cache_clear()
    try:
        with pytest.raises(MissingRuntimeError) as caught:
            create_session(b"")
    finally:
        provider.import_runtime.cache_clear()
    for part in ("slope-backend-onnx[cpu]", "slope-backend-onnx[gpu]", "overwrite one another"):
        assert part in str(caught.value)
