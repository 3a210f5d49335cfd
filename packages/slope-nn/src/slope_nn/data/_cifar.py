"""CIFAR-10: 60,000 small colour images in ten classes, in the binary format of its authors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from slope_nn.data._extra import need
from slope_nn.data._fetch import cache_root, ensure_files
from slope_nn.data._idx import Bytes
from slope_nn.data._images import Images
from slope_nn.data._packages import pypi_package
from slope_nn.data._source import DataError
from slope_nn.data._web import web_archive

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CIFAR10_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_SOURCES = tuple(
    web_archive(f"{place}/cifar-10-binary.tar.gz", CIFAR10_FOLDER)
    for place in (
        "https://www.cs.toronto.edu/~kriz",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10",
    )
)
# Twenty images of the test set, named by a number and the class.
SAMPLES_SHA256 = {
    "cifar10_00_3.png": "0d4964922e2463ad0e2b1cd298e03d5627ff7dad1ab1cdd173ce35e9974e204f",
    "cifar10_01_8.png": "eaec54ee1aed958f9548d01aff16c41aeba408885da42759890a538888be879e",
    "cifar10_02_8.png": "3873d7fb73cd351df3244c6a16cd52eef264700093746e9ac7f8831b3ce6d2e3",
    "cifar10_03_0.png": "fce5a6515e44e57d6b4349822f25e2cf941c580c5cc2f5fc637d5743a9057338",
    "cifar10_04_6.png": "6cfbe4ca868b7da43a30545c2011658082ebf2c63680b221d9adbc9228f31192",
    "cifar10_05_6.png": "d31b1901b24199172f2f652d0b5d6661a4e346a8c1d6b436e77784e93a1d9ad7",
    "cifar10_06_1.png": "2362c09b8f26a398daac5f4edc5d04739c8b95b7adddad4e49dd6012d9e8fa1d",
    "cifar10_07_6.png": "84f9dc0df9d001f30ef3c0268a4250e13bc84c680494f2abf4ac10307253ffad",
    "cifar10_08_3.png": "d77efc76eaf52c5f4f9b76e1e313f462e7426bfebb212e431b5e10fdf7e91128",
    "cifar10_09_1.png": "5da75a70e31bfb9e28e6e5d82a4f1045227da16a82e359e27bd5a53f74a49d8d",
    "cifar10_10_0.png": "c50e97f0b6841005b23a108d01b6fe18ab1e59a0c84c9ed0d989fa854b0c9a87",
    "cifar10_11_9.png": "a7e6dca0f8fb57a9371015ee5ec609411bcf9f96c85177b5ef280c0d80b3bfe8",
    "cifar10_12_5.png": "b80d290cd1eb025112ea752b9877272fedeb7287f7d492e47bd7b31b94637aae",
    "cifar10_13_7.png": "3fe4359cdb1453db950f44a70289d4c4f75a4f92e5d822ff88a771769a085f65",
    "cifar10_14_9.png": "bdae32f37b5de6a6924aa5af401898bfd6c696f9572749a156e4cc6316c30a4e",
    "cifar10_15_8.png": "576c3d2292dd9f4effa0caa321a9da7cf774b0502ef50940443d797ff77be3ca",
    "cifar10_16_5.png": "c588d7a98d8a73cbc23a9cac274894bdb432b1394bce6647664ea8188dc1bc85",
    "cifar10_17_7.png": "9ac91edf5ca7fb19669943ce81f690dc155f245eb014ecf217b5ae16478ace05",
    "cifar10_18_8.png": "06ef95c8900cc444bf45ee23e86f9c7470eed6fba2c5290a1ae970ec708ea00e",
    "cifar10_19_6.png": "c7dfa89248f0c00066429fbc80a741d02e4a4328822280ef2c41f9c0b2c41f94",
}
SAMPLES_SOURCES = (pypi_package("foolbox==3.3.4", "foolbox/data"),)

_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE  # a label, then the red, the green and the blue plane


def cifar10(
    folder: str | os.PathLike[str] | None = None, *, cache: str | os.PathLike[str] | None = None
) -> Images:
    """CIFAR-10 (A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009).

    Fetched (170 MB) if it is not in the cache. `CIFAR10_CLASSES` names the ten classes.

    Args:
        folder: Where `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` are, or the
            folder `cifar-10-batches-bin` with them is. They are taken as they are.
        cache: Without `folder`, the folder that holds data sets, this one in its sub-folder
            `cifar-10-batches-bin`. By default `$SLOPE_DATA`, or slope's folder in the user's cache
            directory.

    Returns:
        50,000 images to learn from and 10,000 to test with, (3, 32, 32), if the files are whole.

    Raises:
        DataError: A file is missing in `folder` or damaged, or no source could give it with the
            right SHA-256.
    """
    if folder is not None:
        place = Path(folder).expanduser()
        place = place / CIFAR10_FOLDER if (place / CIFAR10_FOLDER).is_dir() else place
    else:
        place = cache_root(cache) / CIFAR10_FOLDER
        ensure_files("CIFAR-10", CIFAR10_SHA256, place, CIFAR10_SOURCES)
    missing = [name for name in CIFAR10_SHA256 if not (place / name).is_file()]
    if missing:
        raise DataError(
            f"CIFAR-10: {place} holds no {', '.join(missing)}. They are in the archive "
            "cifar-10-binary.tar.gz."
        )
    *train, test = (read_cifar_batch(place / name) for name in CIFAR10_SHA256)
    return Images(
        np.concatenate([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        *test,
    )


def read_cifar_batch(path: str | os.PathLike[str]) -> tuple[Bytes, Bytes]:
    """Read a file of CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html).

    The format: 3073 bytes an image, its class and then 32 x 32 bytes each of red, green and blue,
    row by row.

    Returns:
        Images (n, 3, 32, 32) and labels (n,), uint8, writable.

    Raises:
        DataError: The file is empty, does not hold a whole number of images, or is of something
            else, for it names a class that there is not.
    """
    name = Path(path).name
    raw = np.fromfile(path, dtype=np.uint8)
    if raw.size == 0 or raw.size % _RECORD:
        raise DataError(
            f"{name}: {raw.size} bytes are no whole number of images of {_RECORD} bytes; the file "
            "is cut short or is not of CIFAR-10's binary version."
        )
    records = raw.reshape(-1, _RECORD)
    labels = records[:, 0].copy()
    if labels.max() >= len(CIFAR10_CLASSES):
        at = int(np.argmax(labels >= len(CIFAR10_CLASSES)))
        raise DataError(
            f"{name}: image {at} is of class {labels[at]}, and CIFAR-10 has classes 0 to 9; the "
            "file is damaged or is not of CIFAR-10's binary version."
        )
    return records[:, 1:].reshape(-1, 3, _SIDE, _SIDE).copy(), labels


def cifar10_samples(cache: str | os.PathLike[str] | None = None) -> tuple[Bytes, Bytes]:
    """Twenty images of CIFAR-10's test set, where all of it cannot be had; for trying things out.

    Fetched (2 MB) if they are not in the cache. Reading them needs matplotlib.

    Args:
        cache: As for :func:`cifar10`; the sub-folder is `cifar10-samples`.

    Returns:
        Images (20, 3, 32, 32) and labels (20,), uint8.

    Raises:
        DataError: No source could give a file with the right SHA-256.
    """
    read: Any = need("matplotlib.image").imread
    folder = cache_root(cache) / "cifar10-samples"
    ensure_files("CIFAR-10 samples", SAMPLES_SHA256, folder, SAMPLES_SOURCES)
    pictures = [read(folder / name)[..., :3] for name in SAMPLES_SHA256]  # floats from 0 to 1
    labels = [int(Path(name).stem.rpartition("_")[2]) for name in SAMPLES_SHA256]
    images = np.rint(np.stack(pictures) * 255).astype(np.uint8)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), np.array(labels, dtype=np.uint8)
