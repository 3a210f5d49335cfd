"""Image data sets: their formats, and what damaged files say. Tests marked `network` fetch them."""

from __future__ import annotations

import gzip
import hashlib
import logging
import struct

import numpy as np
import pytest

from slope_nn import data
from slope_nn.data import _images

FILES = {
    "images": struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24)),
    "labels": struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\x07\x01",
}


@pytest.mark.parametrize(
    ("name", "folder", "table"),
    [
        ("mnist", "mnist", "MNIST"),
        ("fashion_mnist", "fashion-mnist", "FASHION_MNIST"),
    ],
)
def test_the_four_files_are_read_from_slope_data(name, folder, table, tmp_path, monkeypatch):
    shapes = dict(zip(_images.SHAPES, [(3, 2, 2), (3,), (1, 2, 2), (1,)], strict=True))
    made = {}
    (tmp_path / folder).mkdir()
    for seed, (file, shape) in enumerate(shapes.items()):
        made[file] = np.random.default_rng(seed).integers(0, 10, shape, dtype=np.uint8)
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (tmp_path / folder / file).write_bytes(header + made[file].tobytes())
    hashes = {n: hashlib.sha256((tmp_path / folder / n).read_bytes()).hexdigest() for n in shapes}
    monkeypatch.setattr(_images, "SHAPES", shapes)
    monkeypatch.setattr(_images, f"{table}_SHA256", hashes)
    monkeypatch.setattr(_images, f"{table}_SOURCES", ())
    monkeypatch.setenv("SLOPE_DATA", str(tmp_path))
    result = getattr(data, name)()
    assert result._fields == ("train_images", "train_labels", "test_images", "test_labels")
    for got, expected in zip(result, made.values(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_read_idx(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(FILES["images"])
    array = data.read_idx(path, (2, 3, 4))
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
def test_read_idx_refuses_what_is_damaged(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=message):
        data.read_idx(path, (2, 3, 4))


@pytest.mark.network
def test_real_mnist_is_fetched_verified_and_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="slope.data")
    digits = data.mnist(tmp_path)
    assert [array.shape for array in digits] == list(_images.SHAPES.values())
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


@pytest.mark.network
def test_real_fashion_mnist_is_fetched_and_verified(tmp_path):
    clothes = data.fashion_mnist(tmp_path)
    assert [array.shape for array in clothes] == list(_images.SHAPES.values())
    assert np.bincount(clothes.train_labels).tolist() == [6000] * 10
    assert np.bincount(clothes.test_labels).tolist() == [1000] * 10
    assert clothes.train_labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert clothes.train_images.mean() == pytest.approx(72.9403, abs=1e-4)
    assert len(data.FASHION_MNIST_CLASSES) == 10
