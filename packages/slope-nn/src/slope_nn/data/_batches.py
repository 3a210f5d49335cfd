"""Batches of arrays: shuffled from a key, resumable, prepared ahead."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn._checks import whole
from slope_nn.data._prefetch import prefetch

Transform = Callable[[Any, Any], Any]
Position = tuple[int, int]


class Batches:
    """Batches of a data set, epoch after epoch, from a position that can be saved and restored.

    Iterating gives the rest of the current epoch, all of it at first; iterating again gives the
    next epoch, in an order of its own. :meth:`until` gives several epochs at once. What an iterator
    has handed out is behind the position, so a loop that was left early goes on where it stopped.

    The orders depend on the key, the number of examples and the epoch alone: they are the same on
    every backend and machine. Epoch `e` visits
    ``slope.random.permutation(slope.random.split(slope.random.fold_in(key, e))[0], count)``.

    Args:
        data: A NumPy array or tensor, or a pytree of them, all with one entry an example in
            dimension 0; batches have the same structure. Or an int, the number of examples: batches
            are then arrays of indices.
        batch_size: Examples a batch.
        key: Shuffles: a key of `slope.random`, or an int as the seed of one. Without it the
            examples come in their own order.
        drop_last: Whether to leave out a last batch of fewer examples, so that all have one shape
            and one compiled step serves them all.
        transform: Called as `transform(batch, key)`; what it returns is handed out. Its key is
            another for each batch, and `None` without `key`.
        prefetch: How many batches a thread prepares ahead; 0 for none.

    Attributes:
        epoch: The number of the current epoch, from 0.
        batch: The number of the next batch in it.
        per_epoch: Batches in an epoch.

    Raises:
        ShapeError: The arrays differ in length, or have no dimension 0.
        ArgumentError: No batch is full and all others are dropped, or a number is out of range.

    Example:
        >>> batches = Batches((images, labels), 128, key=0, drop_last=True)
        >>> for x, y in batches.until(10):
        ...     model, optimizer, loss = step(model, optimizer, x, y)
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        *,
        key: slope.Tensor | int | None = None,
        drop_last: bool = False,
        transform: Transform | None = None,
        prefetch: int = 0,
    ) -> None:
        counted = isinstance(data, int | np.integer)
        self._data = None if counted else slope.tree_map(np.asarray, data)
        self.count = int(data) if counted else _length(self._data)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"Batches: batch_size must be a positive int, not {batch_size!r}.")
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 0:
            raise ArgumentError(f"Batches: prefetch must be an int from 0, not {prefetch!r}.")
        full, rest = divmod(self.count, batch_size)
        self.per_epoch = full if drop_last or not rest else full + 1
        if self.per_epoch < 1:
            raise ArgumentError(
                f"Batches: {self.count} examples make no batch of batch_size={batch_size}"
                f"{'; drop_last=False keeps the smaller one' if self.count > 0 else ''}."
            )
        self.batch_size, self.drop_last = batch_size, drop_last
        self._key = slope.random.key(int(key)) if isinstance(key, int | np.integer) else key
        self._transform, self._prefetch = transform, prefetch
        self.epoch = self.batch = 0

    def __repr__(self) -> str:
        return (
            f"Batches({self.count} examples, batch_size={self.batch_size}, epoch={self.epoch}, "
            f"batch={self.batch} of {self.per_epoch})"
        )

    def __len__(self) -> int:
        """Batches in the rest of the current epoch."""
        return self.per_epoch - self.batch

    def __iter__(self) -> Iterator[Any]:
        return self._run(self.epoch + 1)

    def until(self, epochs: int) -> Remaining:
        """An iterable of the batches from the position to the end of epoch number `epochs - 1`.

        Its length is how many they are, for progress bars. It is empty if so many epochs are done,
        for example after :meth:`load_state_dict`.
        """
        return Remaining(self, whole("Batches.until", "epochs", epochs, 0))

    def state_dict(self) -> dict[str, Any]:
        """The position and the key, and what must match where they are loaded: a pytree to save."""
        state = {name: getattr(self, name) for name in ("epoch", "batch", *_FIXED)}
        return state if self._key is None else {**state, "key": self._key}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the position, and take the key, of a state: what follows is bit-equal.

        Raises:
            ArgumentError: The state is of other data, or of batches of another size.
        """
        mine = self.state_dict()
        if set(state) != set(mine):
            raise ArgumentError(
                f"Batches.load_state_dict: the state holds {sorted(state)}, and {sorted(mine)} "
                "were expected: a key is there if and only if the batches were shuffled."
            )
        other = [f"{n}={state[n]!r} here {mine[n]!r}" for n in _FIXED if state[n] != mine[n]]
        if other:
            raise ArgumentError(
                f"Batches.load_state_dict: the state is of other batches: {', '.join(other)}."
            )
        self.epoch, self.batch = int(state["epoch"]), int(state["batch"])
        self._key = state.get("key")

    def _run(self, epochs: int) -> Generator[Any, None, None]:
        made = self._made(epochs)
        for after, batch in prefetch(made, self._prefetch) if self._prefetch else made:
            self.epoch, self.batch = after
            yield batch

    def _made(self, epochs: int) -> Iterator[tuple[Position, Any]]:
        # Each batch with the position after it: what a thread has prepared is not yet behind us.
        first = self.batch
        for epoch in range(self.epoch, epochs):
            order, key = self._order(epoch)
            for number in range(first, self.per_epoch):
                index = order[number * self.batch_size : (number + 1) * self.batch_size]
                batch = index if self._data is None else _taken(self._data, index)
                if self._transform is not None:
                    draws = None if key is None else slope.random.fold_in(key, number)
                    batch = self._transform(batch, draws)
                last = number + 1 == self.per_epoch
                yield ((epoch + 1, 0) if last else (epoch, number + 1)), batch
            first = 0

    def _order(self, epoch: int) -> tuple[npt.NDArray[np.intp], slope.Tensor | None]:
        if self._key is None:
            return np.arange(self.count), None
        order_key, rest = slope.random.split(slope.random.fold_in(self._key, epoch))
        return slope.random.permutation(order_key, self.count).numpy(), rest


_FIXED = ("count", "batch_size", "drop_last")


class Remaining:
    """What :meth:`Batches.until` returns: the batches up to the end of an epoch, counted.

    Its position is that of the batches.
    """

    def __init__(self, batches: Batches, epochs: int) -> None:
        self._batches, self._epochs = batches, epochs
        self.state_dict, self.load_state_dict = batches.state_dict, batches.load_state_dict

    def __len__(self) -> int:
        batches = self._batches
        return max(0, (self._epochs - batches.epoch) * batches.per_epoch - batches.batch)

    def __iter__(self) -> Iterator[Any]:
        return self._batches._run(self._epochs)  # noqa: SLF001  # its other half


def _length(data: Any) -> int:
    shapes = [leaf.shape for leaf in slope.tree_leaves(data)]
    if not shapes or not all(shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ShapeError(
            "Batches: all arrays must have one entry an example in dimension 0, so one length; "
            f"got shapes {', '.join(map(str, shapes)) or 'of no array'}."
        )
    return shapes[0][0]


def _taken(data: Any, index: npt.NDArray[np.intp]) -> Any:
    return slope.tree_map(lambda array: np.take(array, index, axis=0), data)
