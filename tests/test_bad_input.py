"""Bad input gives one clear error that names the operation, the values and the way out.

Unknown and absent backends, by their plugins: the tests in slope-core's ``plugins``. A damaged
download: ``test_examples_data.py``. A damaged cache entry: slope-backend-iree's ``test_cache.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import slope
from slope import errors


class Oddity:
    """No node of pytrees."""


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
    "batched along a bool": (
        lambda: slope.vmap(lambda x: x, in_dims=True)(slope.ones(2, 2)),
        errors.ArgumentError,
        "in_dims must hold ints and None, and holds True",
    ),
    "number and name": (
        lambda: slope.grad(lambda x: x, argnums=0, argnames="x")(slope.ones(())),
        errors.ArgumentError,
        "in argnums and in argnames",
    ),
}

loose: Any = slope  # so that type checkers let wrong arguments pass
LEAF = slope.tree_structure(1)
BAD |= {
    f"{user}: {what}": (call, errors.ArgumentError, rf"{user}.*{text}")
    for user, what, call, text in [
        ("tree_map", "function", lambda: loose.tree_map(1, [1]), "a function.*, not 1"),
        ("tree_map", "is_leaf", lambda: loose.tree_map(abs, [1], is_leaf=3), "is_leaf.*, not 3"),
        ("tree_flatten", "is_leaf", lambda: loose.tree_flatten([1], 3), "is_leaf.*, not 3"),
        ("tree_leaves", "is_leaf", lambda: loose.tree_leaves([1], 3), "is_leaf.*, not 3"),
        ("tree_structure", "is_leaf", lambda: loose.tree_structure([1], 3), "is_leaf.*, not 3"),
        ("tree_leaves", "answer", lambda: loose.tree_leaves([1], id), "True or False.*returned"),
        ("tree_unflatten", "structure", lambda: loose.tree_unflatten(1, [1]), "tree_structure"),
        ("tree_unflatten", "leaves", lambda: loose.tree_unflatten(LEAF, 3), "leaves.*, not 3"),
        ("register_node", "class", lambda: loose.register_node(1, 2, 3), "a class.*, not 1"),
        ("register_node", "rule", lambda: loose.register_node(Oddity, 2, 3), "flatten.*, not 2"),
        ("compare", "function", lambda: loose.compare(3), r"a function.*int \(3\)"),
        ("compare", "backends", lambda: loose.compare(abs, 1.0, backends=3), "names.*, not 3"),
        ("compare", "one name", lambda: loose.compare(abs, 1.0, backends="iree"), "'iree'"),
        ("compare", "rtol", lambda: loose.compare(abs, 1.0, rtol="x"), "rtol.*, not 'x'"),
        ("grad", "function", lambda: loose.grad(3), "a function"),
        ("grad", "argnums", lambda: loose.grad(abs, argnums="x"), "argnums.*, not 'x'"),
        ("grad", "argnames", lambda: loose.grad(abs, argnames=3), "argnames.*, not 3"),
        ("grad", "has_aux", lambda: loose.grad(abs, has_aux="x"), "has_aux.*, not 'x'"),
        ("vjp", "function", lambda: loose.vjp(3, 1.0), "a function"),
        ("vjp", "has_aux", lambda: loose.vjp(abs, 1.0, has_aux=3), "has_aux.*, not 3"),
        ("jvp", "function", lambda: loose.jvp(3, (1.0,), (1.0,)), "a function"),
        ("linearize", "function", lambda: loose.linearize(3, 1.0), "a function"),
        ("vmap", "function", lambda: loose.vmap(3), "a function"),
        ("vmap", "randomness", lambda: loose.vmap(abs, randomness=[]), "randomness"),
        ("jacfwd", "function", lambda: loose.jacfwd(3), "a function"),
        ("jacrev", "argnums", lambda: loose.jacrev(abs, 1.5), "argnums.*, not 1.5"),
        ("hessian", "function", lambda: loose.hessian(3), "a function"),
        ("hessian", "argnums", lambda: loose.hessian(abs, None.__class__), "argnums"),
        ("jit", "static_argnums", lambda: loose.jit(abs, static_argnums="x"), "'x'"),
        ("jit", "static_argnames", lambda: loose.jit(abs, static_argnames=3), "names.*, not 3"),
        ("pad", "value", lambda: loose.pad(slope.ones(2), (1, 1), value=[]), "value must be a num"),
        ("fori_loop", "body", lambda: loose.fori_loop(0, 2, 3, 1.0), "a function"),
        ("custom_vjp", "numbers", lambda: loose.custom_vjp(abs, "x"), "nondiff_argnums.*'x'"),
    ]
}
BAD["a backend's name"] = (lambda: loose.set_backend([]), errors.BackendError, r"name.*\[\]")
BAD["leaves"] = (
    lambda: loose.tree_unflatten(LEAF, [1, 2]),
    errors.TreeError,
    "tree_unflatten.*1 leaves",
)


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
    told = run(code, SLOPE_BACKEND="numpy", DEFAULT_DEVICE="cpu:x").stderr.splitlines()[-1]
    assert "DeviceError: DEFAULT_DEVICE=cpu:x: 'cpu:x' names no device" in told


def test_a_second_run_compiles_nothing(tmp_path):
    code = """
import slope
from slope_backend_iree import modules
compiled = []
original = modules.compile_module
modules.compile_module = lambda *args: compiled.append(1) or original(*args)
print(slope.jit(lambda x: slope.sin(x) * 3 + 0.125)(slope.zeros(3)).tolist(), len(compiled))
"""
    settings = {"SLOPE_BACKEND": "iree", "SLOPE_CACHE": str(tmp_path), "SLOPE_DISK_CACHE": "1"}
    assert run(code, **settings).stdout == "[0.125, 0.125, 0.125] 1\n"
    assert run(code, **settings).stdout == "[0.125, 0.125, 0.125] 0\n"
    for entry in tmp_path.rglob("*.bin"):
        entry.write_bytes(entry.read_bytes()[:-7])
    assert run(code, **settings).stdout == "[0.125, 0.125, 0.125] 1\n"
