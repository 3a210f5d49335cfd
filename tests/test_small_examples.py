"""The small examples, run as scripts would, at tiny size, on every backend."""

from __future__ import annotations

import re

import numpy as np
import pytest

from slope.nn import data


@pytest.fixture
def run(run_example, monkeypatch, tmp_path):
    """Run an example with arguments; gives what it prints."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 28, 28)).astype(np.uint8)
    labels = np.arange(400, dtype=np.uint8) % 10
    monkeypatch.setattr(data, "mnist", lambda: data.Images(images, labels, images, labels))

    def call(name, *args):
        out, _ = run_example(name, "--tiny", *args)
        assert f"Picture {tmp_path / 'some' / 'picture.png'}" in out
        return out

    return call


def numbers(pattern, out):
    """The numbers that the groups of a pattern matched."""
    found = re.search(pattern, out)
    assert found, out
    return [float(each) for each in found.groups()]


BACKENDS = pytest.mark.parametrize("name", ["numpy", "onnxruntime", "iree"])


@BACKENDS
def test_hessian_newton(run, name):
    out = run("hessian_newton", "--backend", name)
    assert f"Backend {name}" in out
    height, steps = numbers(r"Newton : height (\S+) after (\d+) steps", out)
    assert height < 1e-25
    assert steps < 30
    (newton,) = numbers(r"Newton-CG: gradient (\S+) after", out)
    (descent,) = numbers(r"descent  : gradient (\S+) after", out)
    assert newton < descent / 2


@BACKENDS
def test_neural_ode(run, name):
    out = run("neural_ode", "--backend", name, "--width", "16")
    assert f"Backend {name}" in out
    (apart,) = numbers(r"differ by (\S+)", out)
    assert apart < 1e-4
    assert np.isfinite(numbers(r"Distance (\S+) over", out)[0])


@BACKENDS
def test_vae(run, name):
    out = run("vae", "--backend", name)
    assert f"Backend {name}" in out
    once, again = numbers(r"cost (\S+) nats; drawn anew, (\S+)", out)
    assert once != again  # the draws are fresh
    assert abs(once - again) < 10
    assert once < 550  # 543 before training: half a nat or more for each of 784 pixels


@BACKENDS
def test_maml(run, name):
    out = run("maml", "--backend", name, "--tasks", "4")
    assert f"Backend {name}" in out
    before, _, after = numbers(r"MAML: (\S+) after 0, (\S+) after 1, (\S+) after 10", out)
    assert 0 < after < 2 * before


def test_a_seed_gives_the_same_again(run):
    assert run("maml", "--backend", "numpy") == run("maml", "--backend", "numpy")
    assert run("vae", "--backend", "numpy", "--seed", "1") != run("vae", "--backend", "numpy")
