"""Examples' data: parsing, batching, drawing. One test takes the network."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import logging
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = {
    "images": struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24)),
    "labels": struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\x07\x01",
}
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a module of examples/ as a script there would, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
        del sys.modules[name]


def test_mnist_reads_the_four_files_from_slope_data(load, tmp_path, monkeypatch):
    data = load("common.data")
    shapes = dict(zip(data.MNIST_SHAPES, [(3, 2, 2), (3,), (1, 2, 2), (1,)], strict=True))
    made = {}
    (tmp_path / "mnist").mkdir()
    for seed, (name, shape) in enumerate(shapes.items()):
        made[name] = np.random.default_rng(seed).integers(0, 10, shape, dtype=np.uint8)
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (tmp_path / "mnist" / name).write_bytes(header + made[name].tobytes())
    hashes = {n: hashlib.sha256((tmp_path / "mnist" / n).read_bytes()).hexdigest() for n in shapes}
    monkeypatch.setattr(data, "MNIST_SHAPES", shapes)
    monkeypatch.setattr(data, "MNIST_SHA256", hashes)
    monkeypatch.setattr(data, "MNIST_SOURCES", ())
    monkeypatch.setenv("SLOPE_DATA", str(tmp_path))
    result = data.mnist()
    assert result._fields == ("train_images", "train_labels", "test_images", "test_labels")
    for got, expected in zip(result, made.values(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_read_idx(load, tmp_path):
    read_idx = load("common.data").read_idx
    path = tmp_path / "images"
    path.write_bytes(FILES["images"])
    array = read_idx(path, (2, 3, 4))
    np.testing.assert_array_equal(array, np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    assert array.dtype == np.uint8
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "images is no IDX file: it starts with nothing"),
        (gzip.compress(FILES["images"]), "images is no IDX file: it starts with 1f 8b"),
        (b"\0\0\x0d" + FILES["images"][3:], "type code 0x0d is not supported"),
        (FILES["images"][:9], "is cut short: 9 bytes, and its header of 3 dimensions .* takes 16"),
        (FILES["images"][:-1], r"shape \(2, 3, 4\) needs 40 bytes, the file has 39"),
        (FILES["images"] + b"\0", r"shape \(2, 3, 4\) needs 40 bytes, the file has 41"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "needs 79228162458924105385300197391 bytes"),
        (FILES["labels"], r"holds shape \(2,\), expected \(2, 3, 4\)"),
    ],
)
def test_read_idx_refuses_what_is_damaged(load, tmp_path, content, message):
    data = load("common.data")
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=message):
        data.read_idx(path, (2, 3, 4))


def test_batches_visit_everything_once_an_epoch_in_fresh_order(load):
    batches = load("common.batches").batches(12, 4, epochs=2, seed=3)
    drawn = list(batches)
    assert len(batches) == len(drawn) == 6
    assert batches.per_epoch == 3
    first, second = np.concatenate(drawn[:3]), np.concatenate(drawn[3:])
    np.testing.assert_array_equal(np.sort(first), np.arange(12))
    np.testing.assert_array_equal(np.sort(second), np.arange(12))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.stack(list(batches)), np.stack(drawn))


def test_batches_are_pinned_by_seed_and_epoch(load):
    batches = load("common.batches").batches
    pinned = [[3, 2, 1], [6, 0, 4], [4, 5, 1], [6, 2, 0]]
    assert [b.tolist() for b in batches(7, 3, epochs=2, seed=0)] == pinned
    assert [b.tolist() for b in batches(7, 3, epochs=1, seed=0)] == pinned[:2]
    assert [b.tolist() for b in batches(7, 3, epochs=2, seed=1)] != pinned


@pytest.mark.parametrize(
    ("batch_size", "epochs", "seed", "message"),
    [
        (0, 1, 0, "batch_size=0 does not fit count=10"),
        (11, 1, 0, "batch_size=11 does not fit count=10"),
        (5, -1, 0, "epochs=-1"),
        (5, 1, -2, "seed=-2"),
    ],
)
def test_batches_refuse_what_makes_no_sense(load, batch_size, epochs, seed, message):
    with pytest.raises(ValueError, match=message):
        load("common.batches").batches(10, batch_size, epochs=epochs, seed=seed)


def count_red(path: Path) -> int:
    image = importlib.import_module("matplotlib.image").imread(path)
    red, green, blue = (image[..., channel] for channel in range(3))
    return int(np.sum((red > 0.7) & (green < 0.45) & (blue < 0.45)))


@pytest.mark.parametrize(("steps", "count"), [(900, 50), (1, 3), (5, 0)])
def test_figure_is_a_png_with_red_only_where_wrong(load, tmp_path, steps, count):
    figures = load("common.figures")
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = np.arange(count) % 10
    losses = np.exp(-np.arange(steps) / 100)
    path = figures.training_figure(tmp_path / "new" / "a.png", losses, images, labels, labels, "T")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert count_red(path) == 0
    if count:
        wrong = np.where(np.arange(count) == 2, (labels + 1) % 10, labels)
        figures.training_figure(path, losses, images, wrong, labels, "T")
        assert count_red(path) > 100


def test_figure_takes_losses_that_no_logarithm_takes(load, tmp_path):
    none = np.zeros((0, 28, 28))
    for losses in ([0.5, 0.0, -0.5], [1.0, float("nan"), float("inf")]):
        path = load("common.figures").training_figure(
            tmp_path / "a.png", losses, none, none[:, 0, 0], none[:, 0, 0], "T"
        )
        assert path.stat().st_size > 1000


def test_figure_refuses_shapes_that_do_not_go_together(load, tmp_path):
    draw = load("common.figures").training_figure
    images, labels = np.zeros((3, 28, 28)), np.zeros(3)
    with pytest.raises(ValueError, match=r"losses must have shape \(steps,\).*got \(0,\)"):
        draw(tmp_path / "a.png", [], images, labels, labels, "T")
    with pytest.raises(ValueError, match=r"got \(3, 28, 28\), \(2,\) and \(3,\)"):
        draw(tmp_path / "a.png", [1.0], images, labels[:2], labels, "T")


def test_running_mean_keeps_a_constant_and_averages_around_each_value(load):
    running_mean = load("common.figures").running_mean
    np.testing.assert_allclose(running_mean(np.full(9, 2.5), 4), np.full(9, 2.5))
    np.testing.assert_allclose(running_mean(np.arange(5.0), 3), [0.5, 1.0, 2.0, 3.0, 3.5])


@pytest.mark.network
def test_real_mnist_is_fetched_verified_and_kept(load, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="slope.data")
    data = load("common.data")
    digits = data.mnist(tmp_path)
    assert [array.shape for array in digits] == list(data.MNIST_SHAPES.values())
    assert digits.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert digits.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(digits.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert digits.train_images.mean() == pytest.approx(33.3184, abs=1e-4)
    assert "gave the files" in caplog.text
    caplog.clear()
    again = data.mnist(tmp_path)
    assert caplog.text == ""
    for one, other in zip(digits, again, strict=True):
        np.testing.assert_array_equal(one, other)
