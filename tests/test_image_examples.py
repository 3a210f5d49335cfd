"""The examples that classify images, run as scripts would be, on small data of the same form."""

from __future__ import annotations

import re

import numpy as np
import pytest

import slope
from slope.nn import data

BACKENDS = ("numpy", "onnxruntime", "iree")


def patterns(count, shape, seed):
    """Noisy stripes of ten brightnesses and widths: what any network learns, moved and mirrored."""
    random = np.random.default_rng(seed)
    rows = np.arange(shape[-2])[:, None]
    ten = np.stack([18 * k + 60 * (rows // (1 + k % 5) % 2) for k in range(10)])
    labels = random.integers(0, 10, count, dtype=np.uint8)
    ten = ten.reshape(10, *(1 for _ in shape[:-2]), shape[-2], 1)
    return (ten[labels] + random.integers(0, 20, (count, *shape))).astype(np.uint8), labels


@pytest.fixture
def run(run_example, monkeypatch):
    """Run an example with arguments; gives what it prints, and its variables."""
    clothes = data.Images(*patterns(640, (28, 28), 1), *patterns(120, (28, 28), 2))
    monkeypatch.setattr(data, "fashion_mnist", lambda: clothes)
    return run_example


def accuracy(out):
    found = re.search(r"^Test set accuracy (0\.\d{4}|1\.0000)$", out, re.MULTILINE)
    assert found, out
    return float(found[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_small_convolutional_network_learns(run, backend):
    options = ("--tiny", "--train-limit", "640", "--lr", "0.02")
    out, scope = run("fashion_mnist_cnn", "--backend", backend, *options)
    assert out.splitlines()[0].startswith(f"Backend {backend}, a step of 32 images in 0.")
    assert accuracy(out) > 0.9
    assert scope["train_step"].compile_count == 1
    assert scope["predict"].compile_count == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_resnet_learns_and_keeps_its_statistics(run, backend, tmp_path):
    kept = tmp_path / "kept"
    options = ("--data", "fashion-mnist", "--train-limit", "640", "--epochs", "4", "--lr", "0.05")
    files = ("--checkpoint", str(kept))
    out, scope = run("cifar10_resnet", "--tiny", "--backend", backend, *options, *files)
    assert re.findall(r"^Epoch (\d): test accuracy \d\.\d{4}$", out, re.MULTILINE) == list("1234")
    assert f"Backend {backend}, a step of 16 images in 0." in out
    assert accuracy(out) > 0.75
    assert scope["train_step"].compile_count == 1
    state = slope.load(kept)[0]["norm"]
    assert np.abs(state["running_mean"].numpy()).max() > 0.01
    assert np.abs(state["running_var"].numpy() - 1).max() > 0.01


def test_resnet_goes_on_from_a_checkpoint_as_if_nothing_had_happened(run, tmp_path, monkeypatch):
    def options(name):
        checkpoint = str(tmp_path / name)
        return (
            "--tiny",
            "--backend",
            "numpy",
            "--data",
            "fashion-mnist",
            "--checkpoint",
            checkpoint,
        )

    whole, _ = run("cifar10_resnet", *options("whole"))
    save = slope.save

    def save_and_stop(path, tree):
        save(path, tree)
        raise KeyboardInterrupt

    monkeypatch.setattr(slope, "save", save_and_stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        run("cifar10_resnet", *options("parts"))
    monkeypatch.setattr(slope, "save", save)
    resumed, _ = run("cifar10_resnet", *options("parts"))
    assert f"Goes on from {tmp_path / 'parts'}, after 4 steps." in resumed
    assert accuracy(resumed) == accuracy(whole)
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_resnet_trains_on_cifar10_from_a_folder(run, tmp_path):
    images, labels = patterns(6 * 16, (3, 32, 32), 3)
    records = np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for name, part in zip(names, np.split(records, 6), strict=True):
        (tmp_path / name).write_bytes(part.tobytes())
    out, scope = run("cifar10_resnet", "--tiny", "--backend", "numpy", "--folder", str(tmp_path))
    assert "Epoch 2" in out
    assert scope["train_step"].compile_count == 1
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(data.DataError, match=r"test_batch\.bin: \d+ bytes are no whole number"):
        run("cifar10_resnet", "--tiny", "--folder", str(tmp_path))


def test_resnet_takes_fashion_mnist_where_cifar10_is_not_to_be_had(run, tmp_path, monkeypatch):
    def missing(folder):
        raise data.DataError("CIFAR-10: no source could give it.")

    monkeypatch.setattr(data, "cifar10", missing)
    out, _ = run("cifar10_resnet", "--tiny", "--backend", "numpy", "--epochs", "1")
    assert out.startswith("CIFAR-10 cannot be had here (--folder names a copy): training on Fash")
    with pytest.raises(data.DataError, match="no source could give it"):
        run("cifar10_resnet", "--tiny", "--data", "cifar10")


def test_augmentation_moves_and_mirrors_as_the_key_says(run):
    _, scope = run("cifar10_resnet", "--tiny", "--backend", "numpy", "--data", "fashion-mnist")
    images, labels = patterns(50, (3, 8, 8), 4)
    prepare = scope["Preparation"](images, 2)
    plain, same = prepare.plain((images, labels), None)
    np.testing.assert_allclose(plain.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(plain.std((0, 2, 3)), 1, atol=1e-5)
    assert plain.dtype == np.float32
    assert same is labels
    drawn = []
    for backend in BACKENDS:
        with slope.use_backend(backend):
            drawn.append(prepare.augmented((images, labels), slope.random.key(5))[0])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    padded = prepare.plain((padded, labels), None)[0]
    seen = set()
    for image, got in zip(padded, drawn[0], strict=True):
        places = [
            (down, right, mirror)
            for down in range(5)
            for right in range(5)
            for mirror in (1, -1)
            if np.array_equal(image[:, down : down + 8, right : right + 8][..., ::mirror], got)
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) > 20
