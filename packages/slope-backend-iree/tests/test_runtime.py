"""Compiling StableHLO by hand and running it: meanings, memory, threads, errors."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from slope_backend_iree import compiler, devices
from slope_backend_iree.arrays import (
    ALIGNMENT,
    ELEMENTS,
    aligned_copy,
    copy_to_device,
    copy_to_host,
)
from slope_backend_iree.compiler import (
    IreeCompileError,
    Options,
    cache_key,
    compile_module,
    compiler_flags,
)
from slope_backend_iree.devices import (
    IreeDeviceError,
    choose_driver,
    device_count,
    open_device,
)
from slope_backend_iree.runtime import IreeRuntimeError, Runtime

MLIR_NAMES = {
    "i1": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
    "ui8": np.uint8, "ui16": np.uint16, "ui32": np.uint32, "ui64": np.uint64,
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
}  # fmt: skip
LARGE = 1e12  # floating-point operations: certainly the thread pool's


def program(body: str, arguments: str, results: str, name: str = "main") -> str:
    return f"module @m {{ func.func public @{name}({arguments}) -> ({results}) {{\n{body}\n}} }}"


def unary(line: str, kind: str) -> str:
    return program(f"%r = {line}\nreturn %r : {kind}", f"%x: {kind}", kind)


AFFINE = program(
    """%a = stablehlo.constant dense<2.0> : tensor<4xf32>
    %b = stablehlo.constant dense<1.0> : tensor<4xf32>
    %c = stablehlo.multiply %x, %a : tensor<4xf32>
    %d = stablehlo.add %c, %b : tensor<4xf32>
    return %d : tensor<4xf32>""",
    "%x: tensor<4xf32>",
    "tensor<4xf32>",
)


def aligned(values: Any, dtype: Any = np.float32) -> np.ndarray:
    return aligned_copy(np.asarray(values, dtype))


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Lets tests choose the thread pool by `flops=LARGE` on a machine of one core too."""
    monkeypatch.setattr(devices, "cpu_count", lambda: 2)


@pytest.fixture(scope="module")
def affine() -> bytes:
    return compile_module(AFFINE)


@pytest.fixture(scope="module")
def cpu() -> Runtime:
    return Runtime("cpu")


@pytest.fixture(scope="module")
def products() -> tuple[bytes, bytes]:
    """(x @ x) tanh'd, then @ x, for 128 x 128: compiled "general" and "gemm"."""
    kind = "tensor<128x128xf32>"
    dot = "contracting_dims = [1] x [0]"
    text = program(
        f"""%a = stablehlo.dot_general %x, %x, {dot} : ({kind}, {kind}) -> {kind}
        %b = stablehlo.tanh %a : {kind}
        %c = stablehlo.dot_general %b, %x, {dot} : ({kind}, {kind}) -> {kind}
        return %c : {kind}""",
        f"%x: {kind}",
        kind,
    )
    return compile_module(text), compile_module(text, Options(kind="gemm"))


# --- compiling -----------------------------------------------------------------------------------


def test_a_failed_compile_tells_why_prints_nothing_and_poisons_nothing(capfd, cpu):
    with pytest.raises(
        IreeCompileError, match=r"program:5:\d+: custom op 'stablehlo.ad' is unknown"
    ) as error:
        compile_module(AFFINE.replace("stablehlo.add", "stablehlo.ad"))
    assert len(error.value.diagnostics) == 1
    assert "--iree-opt-level=O1" in str(error.value)
    cholesky = unary("stablehlo.cholesky %x, lower = true : tensor<3x3xf32>", "tensor<3x3xf32>")
    with pytest.raises(
        IreeCompileError, match=r"failed to legalize operation 'stablehlo\.cholesky'"
    ) as error:
        compile_module(cholesky)
    assert "see current operation" not in str(error.value)
    with pytest.raises(IreeCompileError, match="no-such-flag"):
        compile_module(AFFINE, Options(extra=("--no-such-flag=1",)))
    module = cpu.load(compile_module(AFFINE))
    assert cpu.export_array(module([cpu.import_array(aligned([1, 2, 3, 4]))])[0]).tolist() == [
        3,
        5,
        7,
        9,
    ]
    assert capfd.readouterr() == ("", "")


def test_threads_compile_at_once(cpu):
    results: dict[int, object] = {}

    def work(number: int) -> None:
        text = AFFINE.replace("2.0", f"{number}.0") if number else "nonsense"
        try:
            module = cpu.load(compile_module(text))
            results[number] = cpu.export_array(
                module([cpu.import_array(aligned([1, 2, 3, 4]))])[0]
            ).tolist()
        except IreeCompileError as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(results.pop(0), IreeCompileError)
    assert results == {number: [x * number + 1 for x in (1, 2, 3, 4)] for number in (1, 2, 3)}


def test_options_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="target must be 'cpu', 'generic' or 'cuda', got 'tpu'"):
        Options(target="tpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind must be"):
        Options(kind="conv")  # type: ignore[arg-type]


def test_the_cache_key_holds_all_that_shapes_the_result(monkeypatch):
    base = cache_key(AFFINE, Options())
    assert base == cache_key(AFFINE, Options())
    others = {
        cache_key(AFFINE + " ", Options()),
        cache_key(AFFINE, Options(kind="gemm")),
        cache_key(AFFINE, Options(target="cuda")),
        cache_key(AFFINE, Options(target="cuda", cuda_arch="sm_89")),
        cache_key(AFFINE, Options(extra=("--iree-opt-level=O0",))),
    }
    monkeypatch.setattr(compiler, "_host_cpu", lambda: "another processor")
    others.add(cache_key(AFFINE, Options()))
    monkeypatch.undo()
    monkeypatch.setattr(compiler, "compiler_version", lambda: "0.0")
    others.add(cache_key(AFFINE, Options()))
    assert len(others | {base}) == 8


def test_the_host_is_told_by_more_than_its_architecture():
    features = compiler._host_cpu()
    assert sys.platform in features
    if sys.platform == "linux":
        assert len(features.split()) > 10


FLOAT64_CALLS = {
    "stablehlo.sine": np.sin,
    "stablehlo.cosine": np.cos,
    "stablehlo.tan": np.tan,
    "stablehlo.tanh": np.tanh,
    "stablehlo.atan2": lambda x: np.arctan2(x, x),
    "stablehlo.remainder": lambda x: np.fmod(x, x),
    "chlo.asin": np.arcsin,
    "chlo.acos": np.arccos,
    "chlo.atan": np.arctan,
    "chlo.lgamma": None,
    "stablehlo.exponential": np.exp,
    "stablehlo.log": np.log,
}


def test_float64_stays_float64_and_finds_the_maths_library(capfd, cpu, monkeypatch):
    kind = "tensor<3xf64>"
    lines = []
    for position, name in enumerate(FLOAT64_CALLS):
        operands = "%x, %x" if name in ("stablehlo.atan2", "stablehlo.remainder") else "%x"
        arrow = f" -> {kind}" if name.startswith("chlo") else ""
        lines.append(f"%r{position} = {name} {operands} : {kind}{arrow}")
    count = len(FLOAT64_CALLS)
    results = ", ".join([kind] * count)
    lines.append("return " + ", ".join(f"%r{i}" for i in range(count)) + " : " + results)
    monkeypatch.setenv("PATH", "/nonexistent")  # no linker but the compiler's own
    module = cpu.load(compile_module(program("\n".join(lines), f"%x: {kind}", results)))
    x = np.array([0.1, 0.5, 0.9])
    outputs = [cpu.export_array(handle) for handle in module([cpu.import_array(x)])]
    for output, (name, reference) in zip(outputs, FLOAT64_CALLS.items(), strict=True):
        assert output.dtype == np.float64
        if reference is not None:
            np.testing.assert_allclose(output, reference(x), rtol=1e-14, atol=1e-15, err_msg=name)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "name", [name for name in FLOAT64_CALLS if "exp" not in name and "log" not in name]
)
def test_only_float64_calls_give_up_the_self_contained_object(name):
    separate = "--iree-llvmcpu-link-embedded=false"
    assert separate in compiler_flags(f"%r = {name} %x : tensor<3xf64>", Options())
    assert separate in compiler_flags(
        f'%r = "{name}"(%x) : (tensor<f64>) -> tensor<f64>', Options()
    )
    assert separate not in compiler_flags(f"%r = {name} %x : tensor<3xf32>\n// f64", Options())
    assert separate not in compiler_flags(
        "%r = stablehlo.exponential %x : tensor<3xf64>", Options()
    )


def test_gemm_and_general_agree(cpu, products):
    x = aligned(np.random.default_rng(0).standard_normal((128, 128)) / 11)
    expected = np.tanh(x @ x) @ x
    for data in products:
        for flops in (0, LARGE):
            [result] = cpu.load(data, flops=flops)([cpu.import_array(x)])
            np.testing.assert_allclose(cpu.export_array(result), expected, rtol=1e-4, atol=1e-5)


def test_cuda_compiles_without_a_gpu_and_does_not_load_on_the_cpu(cpu):
    data = compile_module(AFFINE, Options(target="cuda", cuda_arch="sm_89"))
    assert b"sm_89" in data
    with pytest.raises(IreeRuntimeError, match="cannot load this module on local-sync:0"):
        cpu.load(data)


# --- arrays in and out ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def every_type():
    """Doubles (bool: xors) each argument: (3,) then 0-d of each dtype, then two empty ones."""
    kinds = [f"tensor<3x{name}>" for name in MLIR_NAMES] + [
        f"tensor<{name}>" for name in MLIR_NAMES
    ]
    kinds += ["tensor<0x2xf32>", "tensor<2x0xbf16>"]
    arguments = ", ".join(f"%a{i}: {kind}" for i, kind in enumerate(kinds))
    lines = [
        f"%r{i} = stablehlo.{'xor' if 'i1>' in kind else 'add'} %a{i}, %a{i} : {kind}"
        for i, kind in enumerate(kinds)
    ]
    lines.append(
        "return " + ", ".join(f"%r{i}" for i in range(len(kinds))) + " : " + ", ".join(kinds)
    )
    return compile_module(program("\n".join(lines), arguments, ", ".join(kinds)))


def every_input() -> list[np.ndarray]:
    dtypes = list(MLIR_NAMES.values())
    vectors = [np.array([0, 1, 3]).astype(dtype) for dtype in dtypes]
    scalars = [np.array(5).astype(dtype) for dtype in dtypes]
    return [*vectors, *scalars, np.zeros((0, 2), np.float32), np.zeros((2, 0), ml_dtypes.bfloat16)]


@pytest.mark.parametrize("flops", [0, LARGE])
@pytest.mark.parametrize(
    "make", [aligned, lambda values, dtype: values], ids=["aligned", "as allocated"]
)
def test_every_dtype_scalars_and_empty_arrays(cpu, every_type, flops, make):
    inputs = [make(array, array.dtype) for array in every_input()]
    results = cpu.load(every_type, flops=flops)([cpu.import_array(array) for array in inputs])
    for array, result in zip(inputs, map(cpu.export_array, results), strict=True):
        assert (result.dtype, result.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(
            result, array ^ array if array.dtype == bool else array + array
        )


def test_importing_and_exporting_round_trips_every_dtype(cpu):
    for array in every_input():
        result = cpu.export_array(cpu.import_array(array))
        assert (result.dtype, result.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(result, array)


def test_copies_through_staging_round_trip_every_dtype():
    device = open_device("local-sync", 0)[
        0
    ]  # the way of other devices, on one that is always there
    for array in every_input():
        handle = copy_to_device(device, array, ELEMENTS[array.dtype])
        result = copy_to_host(device, handle, array.dtype)
        assert (result.dtype, result.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.int64, ml_dtypes.bfloat16])
def test_aligned_arrays_are_borrowed_and_others_copied(cpu, dtype):
    array = aligned([0, 1, 0, 1], dtype)
    view = cpu.export_array(cpu.import_array(array))
    assert np.shares_memory(view, array)
    assert not view.flags.writeable
    frozen = array.view()
    frozen.setflags(write=False)
    assert np.shares_memory(cpu.export_array(cpu.import_array(frozen)), array)
    assert not frozen.flags.writeable
    for other in (array[1:], array[::2], aligned(np.zeros((2, 3)), dtype).T):
        copy = cpu.export_array(cpu.import_array(other))
        assert not np.shares_memory(copy, other)
        assert copy.ctypes.data % ALIGNMENT == 0
        np.testing.assert_array_equal(copy, other)


@pytest.mark.parametrize("dtype", ["complex64", "U3", ">f4", "datetime64[s]"])
def test_foreign_dtypes_are_refused(cpu, dtype):
    with pytest.raises(TypeError, match="cannot enter IREE; convert to one of bool, int8"):
        cpu.import_array(np.zeros(3, dtype))


class Watched(np.ndarray):
    """An array whose end can be seen."""


def watched(count: int = 1 << 16) -> tuple[np.ndarray, weakref.ref[np.ndarray]]:
    """An aligned float32 array of ones, and a reference to the memory behind it."""
    owner = np.zeros(count * 4 + ALIGNMENT, np.uint8).view(Watched)
    start = -owner.ctypes.data % ALIGNMENT
    array = owner[start : start + count * 4].view(np.ndarray).view(np.float32)
    array[...] = 1
    return array, weakref.ref(owner)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_handle_and_what_is_made_of_it_keep_the_array_alive(cpu, frozen):
    array, owner = watched()
    if frozen:
        array.setflags(write=False)
    kind = "tensor<65536xf32>"
    identity = cpu.load(compile_module(program(f"return %x : {kind}", f"%x: {kind}", kind)))
    handle = cpu.import_array(array)
    del array
    gc.collect()
    assert owner() is not None
    results = identity([handle])
    view = cpu.export_array(handle)
    result = cpu.export_array(results[0])
    del handle, results
    gc.collect()
    assert view.sum() == 65536
    assert result.sum() == 65536
    del view, result
    gc.collect()
    assert owner() is None


def test_an_exported_array_outlives_handle_and_module(cpu, affine):
    results = [cpu.export_array(cpu.load(affine, flops=f)([cpu.import_array(aligned([i] * 4))])[0])
               for i in range(50) for f in (0, LARGE)]  # fmt: skip
    gc.collect()
    assert [int(r[0]) for r in results] == [2 * i + 1 for i in range(50) for _ in range(2)]


# --- calling -------------------------------------------------------------------------------------


def test_several_results_come_in_order(cpu):
    kind = "tensor<2xf32>"
    text = program(
        f"%a = stablehlo.add %x, %y : {kind}\n%b = stablehlo.subtract %x, %y : {kind}\n"
        f"return %a, %b, %x : {kind}, {kind}, {kind}",
        f"%x: {kind}, %y: {kind}",
        f"{kind}, {kind}, {kind}",
        name="other",
    )
    module = cpu.load(compile_module(text), "other")
    results = module(
        [
            cpu.import_array(np.array([3, 4], np.float32)),
            cpu.import_array(np.array([1, 2], np.float32)),
        ]
    )
    assert [cpu.export_array(result).tolist() for result in results] == [[4, 6], [2, 2], [3, 4]]


def test_handles_pass_between_the_drivers(cpu, affine):
    inline, pool = cpu.load(affine), cpu.load(affine, flops=LARGE)
    assert (inline.driver, pool.driver) == ("local-sync", "local-task")
    handles = [cpu.import_array(aligned([1, 2, 3, 4]))]
    for module in (inline, pool, pool, inline, pool):
        handles = module(handles)
    assert cpu.export_array(handles[0]).tolist() == [63, 95, 127, 159]


def test_the_driver_follows_the_work_and_the_cores(monkeypatch):
    mlp = {"flops": 64e6, "moved": 3e6}  # a training step of 200 x 784-100-10, 0.4 ms on one thread
    monkeypatch.setattr(devices, "cpu_count", lambda: 2)
    assert choose_driver() == "local-sync"
    assert choose_driver(**mlp) == "local-sync"
    assert choose_driver(flops=2.8e9) == "local-task"  # 256 x 784-1024-1024-10
    assert choose_driver(moved=1e8) == "local-task"
    monkeypatch.setattr(devices, "cpu_count", lambda: 16)
    assert choose_driver(**mlp) == "local-task"
    monkeypatch.setattr(devices, "cpu_count", lambda: 1)
    assert choose_driver(flops=LARGE) == "local-sync"


def test_cores_are_counted(monkeypatch):
    monkeypatch.undo()
    assert 1 <= devices.cpu_count() <= (os.cpu_count() or 1)


def test_wrong_arguments_are_named_and_the_module_stays_usable(cpu, affine):
    module = cpu.load(affine)
    good = cpu.import_array(aligned([1, 2, 3, 4]))
    for arguments, reason in (
        ([cpu.import_array(np.zeros(5, np.float32))], "expected 4 but have 5"),
        ([cpu.import_array(np.zeros(4, np.int32))], "expected f32"),
        ([], "expected 1 arguments but passed 0"),
        ([good, good], "expected 1 arguments but passed 2"),
    ):
        with pytest.raises(IreeRuntimeError, match=r"calling sync func @main\(.*\n?.*" + reason):
            module(arguments)
    assert cpu.export_array(module([good])[0]).tolist() == [3, 5, 7, 9]


def test_what_cannot_be_loaded_is_refused(cpu, affine):
    for data in (b"", b"x" * 1000, affine[:5000]):
        with pytest.raises(IreeRuntimeError, match="cannot load this compiled module"):
            cpu.load(data)
    with pytest.raises(IreeRuntimeError, match=r"no function 'nope'; it has: .*main"):
        cpu.load(affine, "nope")


@pytest.mark.parametrize("flops", [0, LARGE])
def test_threads_share_a_module(cpu, products, flops):
    module = cpu.load(products[1], flops=flops)
    inputs = [aligned(np.random.default_rng(i).standard_normal((128, 128)) / 11) for i in range(4)]
    expected = [np.tanh(x @ x) @ x for x in inputs]
    wrong: list[int] = []

    def work(number: int) -> None:
        handle = cpu.import_array(inputs[number])
        for _ in range(50):
            result = cpu.export_array(module([handle])[0])
            if not np.allclose(result, expected[number], rtol=1e-4, atol=1e-5):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(module._idle) <= 4


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in Linux's /proc")
def test_many_modules_share_one_pool(cpu, affine):
    handle = cpu.import_array(aligned([1, 2, 3, 4]))
    cpu.load(affine, flops=LARGE)([handle])
    before = len(list(Path("/proc/self/task").iterdir()))
    modules = [cpu.load(affine, flops=LARGE * (i % 2)) for i in range(400)]
    assert all(cpu.export_array(module([handle])[0])[0] == 3 for module in modules)
    assert len(list(Path("/proc/self/task").iterdir())) <= before


# --- processes and devices -----------------------------------------------------------------------

_SCRIPT = """
import sys, os, numpy as np
from slope_backend_iree.runtime import Runtime
cpu = Runtime()
pool, inline = (cpu.load(open(sys.argv[1], "rb").read(), flops=f) for f in (1e12, 0))
handle = cpu.import_array(np.float32([1, 2, 3, 4]))
result = cpu.export_array(pool([handle])[0])
cycle = [result, pool, cpu]; cycle.append(cycle)
"""


def run_script(code: str, affine: bytes, folder) -> subprocess.CompletedProcess[str]:
    path = folder / "affine.vmfb"
    path.write_bytes(affine)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _SCRIPT + code, str(path)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_process_ends_cleanly_with_everything_still_alive(affine, tmp_path):
    done = run_script("print(result.sum())", affine, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "24.0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_call_what_the_parent_loaded(affine, tmp_path):
    code = """
import warnings; warnings.simplefilter("ignore")  # newer Pythons warn of fork beside threads
child = os.fork()
total = sum(cpu.export_array(module([handle])[0]).sum() for module in (pool, inline))
print(total, flush=True)
if child: sys.exit(os.waitpid(child, 0)[1])
"""
    done = run_script(code, affine, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "48.0\n48.0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_compiles_though_the_parent_did(affine, tmp_path):
    code = f"""
import warnings; warnings.simplefilter("ignore")  # newer Pythons warn of fork beside threads
from slope_backend_iree.compiler import IreeCompileError, Options, compile_module
text = {AFFINE!r}
compile_module(text)  # starts the compiler's threads, which a child does not get
if child := os.fork(): sys.exit(os.waitpid(child, 0)[1])
again = cpu.load(compile_module(text))
print(cpu.export_array(again([handle])[0]).sum())
try: compile_module(text.replace("stablehlo.add", "stablehlo.nope"))
except IreeCompileError as error: print("stablehlo.nope" in str(error), len(error.diagnostics))
try: compile_module(text, Options(extra=("--no-such-flag",)))
except IreeCompileError as error: print("no-such-flag" in str(error))
"""
    done = run_script(code, affine, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "24.0\nTrue 1\nTrue\n"


def test_devices_that_are_not_there_are_named():
    with pytest.raises(IreeDeviceError, match="'cpu' and 'cuda', got 'tpu'"):
        Runtime("tpu")
    with pytest.raises(IreeDeviceError, match="'cpu:1' was asked for"):
        Runtime("cpu", 1)
    assert device_count("cpu") == 1
    assert device_count("tpu") == 0
    absent = device_count("cuda")
    with pytest.raises(IreeDeviceError, match=r"cuda.*choose 'cpu:0'"):
        Runtime("cuda", absent)


@pytest.mark.skipif(device_count("cuda") == 0, reason="needs an NVIDIA GPU")
def test_cuda_computes():
    cuda = Runtime("cuda")
    module = cuda.load(compile_module(AFFINE, Options(target="cuda")))
    [result] = module([cuda.import_array(np.array([1, 2, 3, 4], np.float32))])
    assert cuda.export_array(result).tolist() == [3, 5, 7, 9]
