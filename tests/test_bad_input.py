"""Bad input gives one clear error that names the operation, the values and the way out.

Unknown and absent backends, by their plugins: slope-core's ``test_plugins.py``. A damaged download:
``test_examples_data.py``. A damaged cache entry: slope-backend-iree's ``test_cache.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import slope
from slope import errors

BAD = {
    "shapes": (lambda: slope.ones(2, 3) + slope.ones(4), errors.ShapeError, r"2, 3.*4"),
    "matmul": (lambda: slope.ones(2, 3) @ slope.ones(2, 3), errors.ShapeError, r"matmul.*2, 3"),
    "dtype": (lambda: slope.ones(2) & slope.ones(2), errors.DTypeError, "float32"),
    "device name": (lambda: slope.ones(2, device="gpu one"), errors.DeviceError, "'cuda:0'"),
    "device absent": (lambda: slope.ones(2).to("cuda:7") + 1, errors.DeviceError, "cuda:7.*cpu:0"),
    "backend": (lambda: slope.set_backend("abacus"), errors.BackendError, "abacus.*installed"),
    "truth": (
        lambda: slope.jit(lambda x: x if x.sum() > 0 else -x)(slope.ones(2)),
        errors.ConcretizationError,
        r"bool\[\].*slope\.where",
    ),
    "no pytree": (
        lambda: slope.jit(lambda x: x)(object()),
        errors.ArgumentError,
        r"static_argnums.*slope\.register_node",
    ),
    "non-scalar": (
        lambda: slope.grad(lambda x: x * 2)(slope.ones(3)),
        errors.GradientError,
        r"float32\[3\].*\.sum\(\)",
    ),
    "integer": (
        lambda: slope.grad(lambda x: x * 2)(slope.tensor(3)),
        errors.GradientError,
        r"int64\[\].*\.to\(slope\.float32\)",
    ),
    "twice": (
        lambda: slope.grad(lambda x: x, argnums=(0, -1))(slope.ones(())),
        errors.ArgumentError,
        "names an argument twice",
    ),
    "number and name": (
        lambda: slope.grad(lambda x: x, argnums=0, argnames="x")(slope.ones(())),
        errors.ArgumentError,
        "in argnums and in argnames",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_message(backend, name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()
    assert (slope.ones(2) + 1).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("use", [float, lambda x: x + 1, lambda x: x.numpy(), slope.jit(slope.neg)])
def test_an_escaped_tracer(backend, use):
    kept = []
    slope.jit(lambda x: kept.append(x * 2) or x)(slope.ones(()))
    with pytest.raises(errors.EscapedTracerError, match=r"test_bad_input\.py:\d+.*Return it"):
        use(kept[0])


def run(code, **settings):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_settings_of_the_environment():
    code = "import slope; print(slope.backend().name, (slope.ones(2) + 1).tolist())"
    assert run(code, SLOPE_BACKEND="onnx").stdout == "onnxruntime [2.0, 2.0]\n"
    assert run(code, SLOPE_BACKEND="numpy").stdout == "numpy [2.0, 2.0]\n"
    assert "abacus" in run(code, SLOPE_BACKEND="abacus").stderr.splitlines()[-1]
    told = run(code, SLOPE_BACKEND="numpy", DEFAULT_DEVICE="cuda:0").stderr.splitlines()[-1]
    assert told.startswith("slope.errors.DeviceError")
    assert "cuda:0" in told


def test_a_second_run_compiles_nothing(tmp_path):
    code = """
import slope
from slope_backend_iree import backend
compiled = []
original = backend.compile_module
backend.compile_module = lambda *args: compiled.append(1) or original(*args)
print(slope.jit(lambda x: slope.sin(x) * 3 + 0.125)(slope.zeros(3)).tolist(), len(compiled))
"""
    settings = {"SLOPE_BACKEND": "iree", "SLOPE_CACHE": str(tmp_path), "SLOPE_DISK_CACHE": "1"}
    assert run(code, **settings).stdout == "[0.125, 0.125, 0.125] 1\n"
    assert run(code, **settings).stdout == "[0.125, 0.125, 0.125] 0\n"
    for entry in tmp_path.rglob("*.bin"):
        entry.write_bytes(entry.read_bytes()[:-7])
    assert run(code, **settings).stdout == "[0.125, 0.125, 0.125] 1\n"
