"""Training steps of models traced for a batch of any size."""

import logging
from typing import Any

import numpy as np
import pytest

import slope
from slope import nn

N = slope.Dim("n")

MODELS: dict[str, tuple[Any, Any]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)),
        ((N, 4), slope.float32),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.MaxPool2d(3, 1, 1),
            nn.Flatten(),
            nn.Linear(36, 3),
        ),
        ((N, 1, 8, 8), slope.float32),
    ),
    "transformer": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0), nn.Fn(lambda x: x[:, 0]), nn.Linear(8, 3)
        ),
        ((N, 5, 8), slope.float32),
    ),
    "recurrent": (
        lambda: nn.Sequential(
            nn.LSTM(8, 8, batch_first=True), nn.Fn(lambda x: x[0][:, -1]), nn.Linear(8, 3)
        ),
        ((N, 5, 8), slope.float32),
    ),
    "tokens": (
        lambda: nn.Sequential(
            nn.Embedding(10, 8, padding_idx=0),
            nn.MultiheadAttention(8, 2),
            nn.Fn(lambda x: x.mean(1)),
            nn.Linear(8, 3),
        ),
        ((N, 5), slope.int64),
    ),
    "groups": (
        lambda: nn.Sequential(
            nn.GroupNorm(2, 4), nn.AvgPool2d(2), nn.Dropout(0.1), nn.Flatten(), nn.Linear(64, 3)
        ),
        ((N, 4, 8, 8), slope.float32),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_for_any_batch(name):
    make, inputs = MODELS[name]
    with slope.use_backend("numpy"):
        model = make()
        leaves, structure = slope.tree_flatten((model, nn.AdamW(model, 1e-2)))
        tensors = [slope.as_tensor(leaf) for leaf in leaves]

        def loss_of(model, x, y):
            return slope.cross_entropy(model(x), y), model

        @slope.program_of(inputs, ((N,), slope.int64), *((t.shape, t.dtype) for t in tensors))
        def step(x: Any, y: Any, *leaves: Any) -> list[Any]:
            model, optimizer = slope.tree_unflatten(structure, leaves)
            (loss, model), gradient = slope.value_and_grad(loss_of, has_aux=True)(model, x, y)
            model, optimizer = optimizer(model, gradient)
            return [loss, *map(slope.as_tensor, slope.tree_leaves((model, optimizer)))]

    step.check()
    types = [out.type for out in step.outputs]
    assert types[0].shape == ()
    assert [each.shape for each in types[1:]] == [each.shape for each in tensors]


@pytest.mark.parametrize("chosen", ["numpy", "onnxruntime"])
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_step_serves_a_smaller_last_batch(name, chosen, caplog):
    make, (shape, dtype) = MODELS[name]

    def step(model, optimizer, x, y):
        def loss_of(model):
            return slope.cross_entropy(model(x), y), model

        (loss, model), gradient = slope.value_and_grad(loss_of, has_aux=True)(model)
        return loss, *optimizer(model, gradient)

    with slope.use_backend(chosen), caplog.at_level(logging.INFO, "slope.jit"):
        model = make()
        optimizer = nn.SGD(model, 0.1)
        dynamic = slope.jit(step, dynamic={"x": {0: "batch"}, "y": {0: "batch"}})
        for count in (4, 3):
            size = (count, *shape[1:])
            x = slope.randn(size) if dtype is slope.float32 else slope.randint(0, 10, size)
            y = slope.randint(0, 3, (count,))
            results = []
            for function in (dynamic, slope.jit(step)):
                slope.manual_seed(count)
                results.append(function(model, optimizer, x, y))
            for one, other in zip(*map(slope.tree_leaves, results), strict=True):
                np.testing.assert_allclose(np.asarray(one), np.asarray(other), 1e-3, 1e-5)
    assert dynamic.compile_count == 1
    assert "executable for all sizes" not in caplog.text
