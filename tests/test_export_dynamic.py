"""Exported programs with symbolic dimensions: one file of ONNX for every batch size."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from array_checks import close

import slope
from slope import nn
from slope.errors import DTypeError, ExportError, ShapeError

BATCH = {"x": {0: slope.Dim("batch", min=2, max=64)}}


@pytest.fixture
def model():
    slope.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))


def test_a_model_takes_any_batch(model, tmp_path):
    path = tmp_path / "f.onnx"
    predict = slope.jit(lambda x: slope.softmax(model(x), dim=-1), dynamic=BATCH)
    exported = slope.export(predict, slope.randn(5, 4), path=path)
    (shape,) = [each.type.tensor_type.shape for each in onnx.load(path).graph.input]
    assert [each.dim_param or each.dim_value for each in shape.dim] == ["batch", 4]
    assert "x  float32[batch, 4]" in str(exported)
    manifest = json.loads((tmp_path / "f.onnx.json").read_text())
    assert manifest["inputs"][0]["shape"] == ["batch", 4]
    assert manifest["dimensions"] == {"batch": {"min": 2, "max": 64}}
    session = onnxruntime.InferenceSession(path)
    for size in (2, 5, 9):
        x = slope.randn(size, 4)
        close(exported(x), predict(x), 1e-5)
        (found,) = session.run(None, {"x": x.numpy()})
        close(found, predict(x), 1e-5)
    assert exported(slope.randn(7, 4)).shape == (7, 3)


def test_a_training_step_takes_any_batch(model, tmp_path):
    def step(model, x, y, rate):
        loss, gradient = slope.value_and_grad(lambda m: slope.cross_entropy(m(x), y))(model)
        model = slope.tree_map(lambda p, g: p - rate * g, model, gradient)
        return model, loss, x.reshape(-1)

    dynamic = slope.jit(step, dynamic={"x": {0: "batch"}, "y": {0: "batch"}})
    x, y = slope.randn(6, 4), slope.tensor(np.arange(6) % 3)
    exported = slope.export(dynamic, model, x, y, 0.1, path=tmp_path / "f.onnx")
    assert exported.outputs[-1].name == "result.2"
    assert str(exported.outputs[-1].type) == "float32[4*batch]"
    for size in (6, 3):
        x, y = slope.randn(size, 4), slope.tensor(np.arange(size) % 3)
        want, got = step(model, x, y, 0.1), exported(model, x, y, 0.1)
        close(got[1], want[1], 1e-5)
        close(got[0][0].weight, want[0][0].weight, 1e-5)
        assert got[2].shape == (4 * size,)


def test_sizes_that_do_not_fit(tmp_path):
    both = slope.jit(lambda x, y: (x * 2, y * 3), dynamic={"x": BATCH["x"], "y": BATCH["x"]})
    exported = slope.export(both, slope.ones(3), slope.ones(3), path=tmp_path / "f.onnx")
    with pytest.raises(
        ShapeError, match=r"'y' is float32\[batch\] where batch = 4, and got float32"
    ):
        exported(slope.ones(4), slope.ones(5))
    with pytest.raises(ShapeError, match=r"'x' is float32\[batch\], and got float32\[1\]"):
        exported(slope.ones(1), slope.ones(1))
    with pytest.raises(DTypeError, match=r"'x' is float32\[batch\], and got int64\[4\]"):
        exported(slope.ones(4, dtype=slope.int64), slope.ones(4))


def test_formats_of_fixed_shapes(tmp_path):
    double = slope.jit(lambda x: x * 2, dynamic=BATCH)
    with pytest.raises(
        ShapeError, match=r"\.mlir files are written for shapes of numbers, and bat"
    ):
        slope.export(double, slope.ones(3), path=tmp_path / "f.mlir")


def test_a_file_that_is_right_at_one_size_alone_is_not_left(tmp_path, monkeypatch):
    rules = slope.backend("onnxruntime").lowerings

    def three(cx, x):
        return cx.op("Slice", cx.op("Tanh", cx.full(x)), cx.ints(0), cx.ints(3))

    monkeypatch.setitem(rules, "tanh", three)
    shrink = slope.jit(slope.tanh, dynamic=BATCH)
    with pytest.raises(ExportError, match=r"for batch = 4: its output 'result' is float32\[3\], n"):
        slope.export(shrink, slope.ones(3), path=tmp_path / "f.onnx")
    assert not list(tmp_path.iterdir())
