"""Shuffled batches that are the same on every backend, machine and NumPy version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Batches:
    """An iterable of index arrays that knows its length, so that tqdm shows a full bar.

    Iterating again starts again, with the same batches.
    """

    count: int
    batch_size: int
    epochs: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.count:
            raise ValueError(
                f"batches: batch_size={self.batch_size} does not fit count={self.count}; "
                "choose it from 1 to count."
            )
        if self.epochs < 0 or self.seed < 0:
            raise ValueError(
                f"batches: epochs={self.epochs} and seed={self.seed} must not be negative."
            )

    @property
    def per_epoch(self) -> int:
        """Batches in one epoch."""
        return self.count // self.batch_size

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __iter__(self) -> Iterator[npt.NDArray[np.intp]]:
        for epoch in range(self.epochs):
            order = permutation(self.count, self.seed, epoch)
            yield from order[: self.per_epoch * self.batch_size].reshape(-1, self.batch_size)


def batches(count: int, batch_size: int, *, epochs: int, seed: int) -> Batches:
    """Index arrays of shape (batch_size,) that visit 0 ... count-1 in a fresh order in each epoch.

    All batches have the same size, so that one compiled step serves them all: where batch_size
    does not divide count, each epoch leaves out another `count % batch_size` items.

    Args:
        count: Number of examples.
        batch_size: Examples a batch, from 1 to count.
        epochs: Passes over the examples.
        seed: Chooses the orders; epoch e of a seed is the same whatever `epochs` is.

    Example:
        >>> [batch.shape for batch in batches(10, 4, epochs=1, seed=0)]
        [(4,), (4,)]
    """
    return Batches(count, batch_size, epochs, seed)


def permutation(count: int, seed: int, epoch: int) -> npt.NDArray[np.intp]:
    """The order of 0 ... count-1 in an epoch: the stable sort order of `count` random 64-bit keys.

    NumPy promises the raw stream of a bit generator for ever (NEP 19), but not what
    `Generator.permutation` makes of it, so this sorts raw keys.
    """
    keys = np.random.PCG64(np.random.SeedSequence((seed, epoch))).random_raw(count)
    return np.argsort(keys, kind="stable")
