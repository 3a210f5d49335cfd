"""The MNIST example, run as a script would, on small data of the same form."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from slope import errors
from slope.nn import data


@pytest.fixture
def run(run_example, monkeypatch):
    """Run the example with arguments; gives what it prints, and its variables."""
    random = np.random.default_rng(0)
    digits = random.integers(0, 256, (10, 28, 28)).astype(np.uint8)  # ten "digits"
    labels = [np.arange(count, dtype=np.uint8) % 10 for count in (600, 200)]
    images = [digits[one] // 2 + random.integers(0, 100, (len(one), 28, 28)) for one in labels]
    small = data.Images(
        images[0].astype(np.uint8), labels[0], images[1].astype(np.uint8), labels[1]
    )
    monkeypatch.setattr(data, "mnist", lambda: small)
    return functools.partial(run_example, "mnist_mlp")


@pytest.mark.parametrize("backend", ["numpy", "onnx", "iree"])
def test_trains_and_prints_accuracy_and_picture(run, backend):
    out, scope = run("--backend", backend, "--epochs", "4", "--batch-size", "50", "--lr", "0.1")
    first, second, third = out.splitlines()
    name = "onnxruntime" if backend == "onnx" else backend
    assert first.startswith(f"Backend {name}, seconds per epoch")
    assert first.count(",") == 4  # and four epochs
    assert second == "Test set accuracy 1.0000"
    assert third.startswith("Picture /")
    assert third.endswith("picture.png")
    assert scope["train_step"].compile_count == 1
    assert scope["predict"].compile_count == 1


def test_the_limit_takes_the_first_images(run):
    out, _ = run("--backend", "numpy", "--train-limit", "40", "--batch-size", "20", "--epochs", "1")
    assert "Test set accuracy 0." in out


def test_an_unknown_backend(run):
    with pytest.raises(errors.BackendError, match="abacus"):
        run("--backend", "abacus")
