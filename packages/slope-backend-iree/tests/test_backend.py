"""The backend: forms of programs, memory, the disk cache, options, errors, notices."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from slope import dtypes
from slope.dims import Dim
from slope.extend import (
    CPU,
    Backend,
    BackendError,
    CompileError,
    Device,
    DeviceError,
    Operator,
    ShapeError,
    Splat,
    TensorType,
    UnsupportedOperatorError,
    ops,
    trace_program,
)
from slope_backend_iree import modules, notice
from slope_backend_iree.arrays import aligned_copy
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.estimate import program_work
from slope_backend_iree.modules import disk_cache
from slope_backend_numpy.backend import NumpyBackend

F32 = dtypes.float32


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def backend() -> Backend:
    return IreeBackend()


def aligned(values: Any, dtype: Any = np.float32) -> Any:
    return aligned_copy(np.asarray(values, dtype))


def types(arrays: Sequence[Any]) -> list[TensorType]:
    return [TensorType(array.shape, dtypes.as_dtype(array.dtype)) for array in arrays]


def compiled(backend: Backend, function: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    return backend.compile(trace_program(function, types(arrays), name="f"), CPU, options)


def imported(backend: Backend, *arrays: Any) -> list[Any]:
    return [backend.from_host(array, CPU) for array in arrays]


# --- forms of programs


def test_outputs_that_are_not_computed(backend: Backend):
    x = aligned([1, 2, 3])
    literal = Splat(2.5, TensorType((2, 2), F32))

    def function(x: Any, y: Any) -> list[Any]:
        total = ops.add(x, y)
        return [total, x, literal, total, y, x, ops.stop_gradient(y)]

    executable = compiled(backend, function, x, x)
    handles = imported(backend, x, x + 1)
    outs = executable(handles)
    for out, wanted in zip(
        outs, [2 * x + 1, x, np.full((2, 2), 2.5), 2 * x + 1, x + 1, x, x + 1], strict=True
    ):
        np.testing.assert_array_equal(backend.to_host(out), wanted)
    assert outs[1] is handles[0]
    assert outs[6] is handles[1]
    assert executable.code.count("stablehlo.add") == 1
    assert "-> (tensor<3xf32>) {" in executable.code  # the sum alone is a result


def test_no_inputs_and_no_instructions(backend: Backend):
    (out,) = compiled(backend, lambda: [ops.iota(shape=(4,), dim=0, dtype=dtypes.int64)])([])
    np.testing.assert_array_equal(backend.to_host(out), np.arange(4))
    x = aligned([1.0])
    (handle,) = imported(backend, x)
    assert list(compiled(backend, lambda x: [x], x)([handle])) == [handle]
    assert list(compiled(backend, lambda x: [], x)([handle])) == []


def test_literals_keep_every_bit(backend: Backend):
    values = [
        0.1,
        -0.0,
        1e20,
        1e-30,
        math.inf,
        -math.inf,
        math.nan,
        3.4028234663852886e38,
        16777217.0,
    ]
    for dtype in (dtypes.float16, dtypes.bfloat16, F32, dtypes.float64):
        empty = TensorType((1,), dtype)
        x = aligned(np.zeros(1), dtype.numpy)
        splats = [Splat(value, empty) for value in values]

        def function(x: Any, splats: Any = splats) -> list[Any]:
            return [ops.where(ops.eq(x, x), splat, x) for splat in splats]

        executable = compiled(backend, function, x)
        outs = np.concatenate([backend.to_host(out) for out in executable(imported(backend, x))])
        with np.errstate(over="ignore"):
            wanted = np.array(values).astype(dtype.numpy)
        finite = ~np.isnan(wanted.astype(float))
        assert outs[finite].tobytes() == wanted[finite].tobytes()
        assert np.isnan(outs[~finite].astype(float)).all()


def test_symbolic_shapes_are_refused(backend: Backend):
    program = trace_program(lambda x: [ops.exp(x)], [TensorType((Dim("batch"), 3), F32)])
    with pytest.raises(ShapeError, match=r"fixed shapes, and got float32\[batch, 3\]"):
        backend.compile(program, CPU, {})


def test_unknown_operator(backend: Backend):
    class Strange(Operator):
        name = "strange"

        def infer(self, x: TensorType) -> TensorType:
            return x

    with pytest.raises(UnsupportedOperatorError, match="no lowering for operator 'strange'"):
        compiled(backend, lambda x: [Strange()(x)], aligned([1.0]))


def test_rules_of_strangers():
    class Double(Operator):
        name = "double"

        def infer(self, x: TensorType) -> TensorType:
            return x

    own = IreeBackend()
    own.add_lowerings({"double": lambda ctx, x: ctx.same("multiply", x, ctx.like(2.0, x))})
    (out,) = compiled(own, lambda x: [Double()(x)], aligned([1.0, 4.0]))(
        imported(own, aligned([1.0, 4.0]))
    )
    np.testing.assert_array_equal(own.to_host(out), [2, 8])


# --- memory


@pytest.mark.parametrize("mode", ["set", "add"])
def test_inputs_are_never_written(backend: Backend, mode: str):
    """IREE itself scatters into the memory of its arguments."""
    x, at, news = (
        aligned(np.ones((6, 3))),
        aligned([[1], [4]], np.int64),
        aligned(np.full((2, 3), 7)),
    )

    def function(x: Any, at: Any, news: Any) -> list[Any]:
        again = ops.reshape(x, shape=(18,))
        flat = ops.slice_(ops.reshape(news, shape=(6,)), start=(0,), stop=(2,), step=(1,))
        return [ops.scatter(x, at, news, mode=mode), ops.scatter(again, at, flat, mode=mode)]

    first, second = compiled(backend, function, x, at, news)(imported(backend, x, at, news))
    assert (x == 1).all()
    assert (news == 7).all()
    wanted = np.ones((6, 3))
    wanted[[1, 4]] = 7 if mode == "set" else 8
    np.testing.assert_array_equal(backend.to_host(first), wanted)
    assert backend.to_host(second)[4] == (7 if mode == "set" else 8)


def test_results_share_no_memory_with_inputs(backend: Backend):
    """IREE returns a reshaped argument as a view of it."""
    x = aligned(np.arange(6))
    executable = compiled(backend, lambda x: [ops.reshape(x, shape=(2, 3)), ops.exp(x)], x)
    for _ in range(2):
        outs = [backend.to_host(out) for out in executable(imported(backend, x))]
        np.testing.assert_array_equal(outs[0], np.arange(6).reshape(2, 3))
        assert not any(np.may_share_memory(out, x) for out in outs)


def test_donated_inputs_are_written_in_place(backend: Backend):
    """A decoder's cache: what is read before, after, or besides a write in place stays right."""
    random = np.random.default_rng(0)
    cache, other, news = (
        aligned(random.random(shape)) for shape in ((4, 64, 8), (4, 64, 8), (4, 1, 8))
    )
    at = aligned([[5]], np.int64)

    def put(x: Any, at: Any, news: Any, mode: str = "set") -> Any:
        return ops.scatter(x, at, news, axis=1, mode=mode)

    def row(x: Any, place: int) -> Any:
        return ops.slice_(x, start=(0, place, 0), stop=(4, place + 1, 8), step=(1, 1, 1))

    def total(x: Any, y: Any) -> Any:
        return ops.dot_general(x, y, contract=((2,), (2,)), batch=((0,), (0,)))

    cases: dict[str, tuple[Callable[..., list[Any]], bool]] = {  # and whether in place
        "alone": (lambda x, y, at, new: [put(x, at, new)], True),
        "summed": (lambda x, y, at, new: [put(x, at, new, "add")], True),
        "then read": (lambda x, y, at, new: [z := put(x, at, new), total(z, y)], True),
        "twice": (lambda x, y, at, new: [put(put(x, at, new), at, row(y, 1), "add")], True),
        "also read": (lambda x, y, at, new: [put(x, at, new), total(x, y)], False),
        "from itself": (lambda x, y, at, new: [put(x, at, row(x, 3))], False),
        "returned": (lambda x, y, at, new: [put(x, at, new), x], False),
        "one by another": (
            lambda x, y, at, new: [z := put(x, at, new), put(y, at, row(z, 5))],
            True,
        ),
        "and again": (
            lambda x, y, at, new: [z := put(x, at, new), put(z, at, row(y, 1), "add")],
            True,
        ),
        "seen reshaped": (
            lambda x, y, at, new: [z := put(x, at, new), ops.reshape(z, shape=(32, 64))],
            True,
        ),
    }
    reference = NumpyBackend()
    for name, (function, in_place) in cases.items():
        program = trace_program(function, types((cache, other, at, news)), name="f")
        run = backend.compile(program, CPU, {}, donated=frozenset((0, 1)))
        want = reference.compile(program, CPU, {})([cache.copy(), other, at, news])
        handles = imported(backend, cache, other, at, news)
        handles[:2] = [backend.copied(handle, CPU) for handle in handles[:2]]
        memory = backend.to_host(handles[0])
        outs = [backend.to_host(each) for each in run(handles)]
        for out, wanted in zip(outs, want, strict=True):
            np.testing.assert_allclose(out, wanted, rtol=1e-5, err_msg=name)
        assert np.may_share_memory(outs[0], memory) == in_place, name
        for number, out in enumerate(outs):
            assert not any(np.may_share_memory(out, each) for each in outs[:number]), name


def test_exclusive_handles(backend: Backend):
    x = aligned([1.0, 2.0])
    executable = compiled(backend, lambda x: [ops.exp(x), ops.neg(x)], x)
    handles = imported(backend, x)
    assert not backend.exclusive(handles[0])  # the caller's array
    outs = list(executable(handles))

    def exclusive(place: int) -> bool:  # an assert would hold on to what it looks at
        return backend.exclusive(outs[place])

    assert exclusive(0)
    seen = backend.to_host(outs[0])
    assert not exclusive(0)
    del seen
    assert exclusive(0)
    held = outs[1]
    assert not exclusive(1)
    del held
    assert exclusive(1)


def test_scalars_are_kept(backend: Backend):
    assert backend.scalar(2, F32, CPU) is backend.scalar(2, F32, CPU)
    assert backend.scalar(2, F32, CPU) is not backend.scalar(2, dtypes.int64, CPU)
    for value, dtype in (
        (0.0, F32),
        (-0.0, F32),
        (True, dtypes.bool_),
        (-1, dtypes.uint8),
        (math.nan, F32),
        (1e9, dtypes.float16),
    ):
        found = backend.to_host(backend.scalar(value, dtype, CPU))
        assert (found.shape, found.dtype) == ((), dtype.numpy)
        assert str(found) == {-1: "255", 1e9: "inf"}.get(value, str(value))


def test_threads_may_compile_and_call_at_once(backend: Backend):
    x = aligned(np.arange(5))
    shared = compiled(backend, lambda x: [ops.mul(x, x)], x)
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        own = compiled(backend, lambda x: [ops.add(x, Splat(float(number), x.type))], x)
        handles = imported(backend, x)
        found[number] = [
            backend.to_host(each(handles)[0]).copy() for _ in range(50) for each in (own, shared)
        ]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        for own, square in zip(found[number][::2], found[number][1::2], strict=True):
            np.testing.assert_array_equal(own, x + number)
            np.testing.assert_array_equal(square, x * x)


def test_unknown_devices(backend: Backend):
    assert backend.devices()[0] == CPU
    for device in (Device("cpu", 1), Device("metal")):
        with pytest.raises(DeviceError, match=f"no device {device}.*It has cpu:0"):
            backend.from_host(np.zeros(2), device)


# --- the disk cache


def test_a_second_compile_comes_from_the_cache(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    x = aligned([1.0, 2.0])

    def function(x: Any) -> list[Any]:
        return [ops.log1p(ops.exp(x))]

    compiled(backend, function, x)

    def refuse(*args: Any) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(modules, "compile_module", refuse)
    (out,) = compiled(IreeBackend(), function, x)(imported(backend, x))
    np.testing.assert_allclose(backend.to_host(out), np.log1p(np.exp(x)), 1e-6)
    monkeypatch.setenv("SLOPE_DISK_CACHE", "0")
    assert disk_cache() is None
    with pytest.raises(AssertionError, match="compiled again"):
        compiled(backend, function, x)


@pytest.mark.parametrize("loadable", [True, False])
def test_damaged_entries_are_made_anew(
    backend: Backend, loadable: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLOPE_CACHE", str(tmp_path))
    x = aligned([1.0, 2.0])
    compiled(backend, lambda x: [ops.sqrt(x)], x)
    cache = disk_cache()
    assert cache is not None
    (entry,) = (tmp_path / "iree").glob("*.bin")
    good = entry.read_bytes()
    if loadable:
        entry.write_bytes(good[:-10])  # fails its checksum
    else:
        cache.put(entry.stem, b"no module")  # passes it, and IREE refuses it
    (out,) = compiled(backend, lambda x: [ops.sqrt(x)], x)(imported(backend, x))
    np.testing.assert_allclose(backend.to_host(out), np.sqrt(x), 1e-6)
    assert len(entry.read_bytes()) == len(good)


def test_a_cache_that_cannot_be_written(
    backend: Backend, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SLOPE_CACHE", str(tmp_path / "file"))
    compiled(backend, lambda x: [ops.neg(x)], aligned([1.0]))
    compiled(backend, lambda x: [ops.abs_(x)], aligned([1.0]))
    assert capsys.readouterr().err.count("cannot keep compiled programs in") == 1


# --- options, errors, notices


def test_options(backend: Backend):
    x = aligned(np.eye(3))

    def function(x: Any) -> list[Any]:
        return [ops.dot_general(x, x, contract=((1,), (0,)))]

    for options in ({"kind": "gemm"}, {"kind": "general", "flags": ["--iree-opt-level=O0"]}):
        (out,) = compiled(backend, function, x, **options)(imported(backend, x))
        np.testing.assert_array_equal(backend.to_host(out), x)
    with pytest.raises(BackendError, match="no options 'speed'; it takes 'kind'"):
        compiled(backend, function, x, speed=3)
    with pytest.raises(BackendError, match="kind must be 'general' or 'gemm'"):
        compiled(backend, function, x, kind="fast")


def test_a_failed_compile_says_why_and_what_to_do(backend: Backend):
    with pytest.raises(
        CompileError, match=r"(?s)program 'f'.*no-such-flag.*SLOPE_BACKEND=onnxruntime"
    ):
        compiled(backend, lambda x: [ops.neg(x)], aligned([1.0]), flags=["--no-such-flag"])


@pytest.mark.parametrize(("rows", "packed"), [(2000, True), (8, False), (1, False)])
def test_program_work(rows: int, packed: bool):
    left, right = TensorType((rows, 500), F32), TensorType((500, 600), F32)
    program = trace_program(
        lambda x, y: [ops.exp(ops.dot_general(x, y, contract=((1,), (0,))))], [left, right]
    )
    work, products = program_work(program), 2 * rows * 500 * 600
    assert work.products == (products if packed else 0)
    assert work.flops == products + rows * 600
    assert work.moved == 2 * rows * 600 * 4


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_notices_appear_on_terminals_when_it_takes_long(monkeypatch: pytest.MonkeyPatch):
    waits = threading.Event()
    for stream, patience, wanted in (
        (Terminal(), 0.01, True),
        (Terminal(), 30.0, False),
        (io.StringIO(), 0.01, False),
    ):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr(notice, "PATIENCE", patience)
        with notice.notice("compiling 'f'"):
            waits.wait(0.1)
        assert (
            stream.getvalue().startswith("slope: compiling 'f' ... 0.")
            and stream.getvalue().endswith(" s\n")
        ) == wanted
        assert bool(stream.getvalue()) == wanted
