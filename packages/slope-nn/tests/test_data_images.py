"""Image data sets: their formats, and what damaged files say. Tests marked `network` fetch them."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import logging
import struct
import tarfile
import threading

import numpy as np
import pytest

from slope_nn import data
from slope_nn.data import _cifar, _images

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
        (gzip.compress(FILES["images"], mtime=0), "images is no IDX file: it starts with 1f 8b"),
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


def write_cifar(folder, counts=(3, 2, 1, 1, 2, 4)):
    """Files of the binary version: a class, then planes of red, green and blue, for each image."""
    random = np.random.default_rng(0)
    made = []
    folder.mkdir(parents=True)
    for name, count in zip(_cifar.CIFAR10_SHA256, counts, strict=True):
        images = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        with (folder / name).open("wb") as file:
            for image, label in zip(images, labels, strict=True):
                file.write(bytes([label]) + image.tobytes())
        made.append((images, labels))
    return made


@pytest.mark.parametrize("inner", [".", "cifar-10-batches-bin"])
def test_cifar10_is_read_from_a_folder_that_the_user_has(tmp_path, inner):
    made = write_cifar(tmp_path / "mine" / inner)
    got = data.cifar10(tmp_path / "mine")
    np.testing.assert_array_equal(got.train_images, np.concatenate([x for x, _ in made[:5]]))
    np.testing.assert_array_equal(got.train_labels, np.concatenate([y for _, y in made[:5]]))
    np.testing.assert_array_equal(got.test_images, made[5][0])
    np.testing.assert_array_equal(got.test_labels, made[5][1])
    assert all(array.dtype == np.uint8 and array.flags.writeable for array in got)


def test_cifar10_comes_out_of_its_archive(tmp_path, monkeypatch):
    made = write_cifar(tmp_path / "cifar-10-batches-bin")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    hashes = {
        name: hashlib.sha256((tmp_path / "cifar-10-batches-bin" / name).read_bytes()).hexdigest()
        for name in _cifar.CIFAR10_SHA256
    }
    monkeypatch.setattr(_cifar, "CIFAR10_SHA256", hashes)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{archive.name}"
        source = data.web_archive(url, "cifar-10-batches-bin")
        monkeypatch.setattr(_cifar, "CIFAR10_SOURCES", (source,))
        got = data.cifar10(cache=tmp_path / "cache")
        archive.write_bytes(archive.read_bytes()[:-5000])  # cut short on its way
        with pytest.raises(data.DataError, match=r"(end-of-stream|end of data)"):
            data.cifar10(cache=tmp_path / "other")
        server.shutdown()
    np.testing.assert_array_equal(got.test_images, made[5][0])
    assert list((tmp_path / "other" / "cifar-10-batches-bin").glob("test*")) == []


def test_cifar10_says_what_a_folder_does_not_hold(tmp_path):
    write_cifar(tmp_path / "mine")
    (tmp_path / "mine" / "data_batch_3.bin").unlink()
    with pytest.raises(data.DataError, match=r"mine holds no data_batch_3\.bin\. They are in"):
        data.cifar10(tmp_path / "mine")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.bin: 0 bytes are no whole number of images of 3073 bytes"),
        (bytes(2 * 3073 - 1), "a.bin: 6145 bytes are no whole number of images"),
        (bytes(3073) + b"\x0a" + bytes(3072), "a.bin: image 1 is of class 10"),
    ],
)
def test_a_cifar_batch_that_is_damaged_is_refused(tmp_path, content, message):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(data.DataError, match=message):
        data.read_cifar_batch(tmp_path / "a.bin")


def test_pictures_of_samples_are_read_as_the_bytes_they_hold(tmp_path, monkeypatch):
    image = pytest.importorskip("matplotlib.image")
    made = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = tmp_path / "cifar10-samples" / "cifar10_00_7.png"
    path.parent.mkdir()
    image.imsave(path, made)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    monkeypatch.setattr(_cifar, "SAMPLES_SHA256", hashes)
    images, labels = data.cifar10_samples(tmp_path)
    np.testing.assert_array_equal(images, made.transpose(2, 0, 1)[None])
    assert labels.tolist() == [7]


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


@pytest.mark.network
def test_real_samples_of_cifar10(tmp_path):
    images, labels = data.cifar10_samples(tmp_path)
    assert images.shape == (20, 3, 32, 32)
    assert labels.tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9, 5, 7, 9, 8, 5, 7, 8, 6]
    np.testing.assert_allclose(images.mean((0, 2, 3)), [124.8827, 120.9622, 114.8708], atol=1e-3)
    content = b"".join(
        bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True)
    )
    (tmp_path / "a.bin").write_bytes(content)  # as their binary version has them
    again = data.read_cifar_batch(tmp_path / "a.bin")
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)
