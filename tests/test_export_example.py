"""The example that exports a training step, run as a script would, on small data."""

from __future__ import annotations

import re

import numpy as np
import pytest

from slope.nn import data


@pytest.mark.parametrize("file", ["step.onnx", "step.vmfb"])
def test_the_loss_falls_without_slope(run_example, monkeypatch, tmp_path, file):
    random = np.random.default_rng(0)
    digits = random.integers(0, 256, (10, 28, 28)).astype(np.uint8)  # ten "digits"
    labels = np.arange(200, dtype=np.uint8) % 10
    images = (digits[labels] // 2 + random.integers(0, 100, (200, 28, 28))).astype(np.uint8)
    monkeypatch.setattr(data, "mnist", lambda: data.Images(images, labels, images, labels))
    path = str(tmp_path / file)
    out, _ = run_example(
        "export_training_step", "--tiny", "--backend", "numpy", "--file", path, "--batch-size", "20"
    )
    assert "next.model.0.weight" in out
    falls = re.search(r"fell from (\S+) to (\S+)", out)
    differs = re.search(r"by at most (\S+)", out)
    assert falls is not None
    assert differs is not None
    assert float(falls[2]) < 0.75 * float(falls[1])
    assert float(differs[1]) < 1e-3
