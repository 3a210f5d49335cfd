"""Around optimizers: gradients of several batches in one step, and averaged weights."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Generic, Self, TypeVar

import slope
from slope.extend import ArgumentError, TreeError
from slope_nn._checks import real, whole
from slope_nn._node import Node, walk
from slope_nn._optimizers._base import Optimizer, parameter_label
from slope_nn._plan import BUFFER, Path

Model = TypeVar("Model")


class Accumulate(Node):
    """Sum gradients over several calls, and step with their mean at each last one.

    One compiled step does both: the optimizer's step is worked out at each call and taken at every
    ``every``-th, which costs a selection for each tensor and no branch. (A branch, ``slope.cond``,
    is faster on ONNX Runtime and NumPy, and slower by more on IREE, which copies what a branch
    passes through.)

    Args:
        optimizer: takes the steps.
        model: what the optimizer was made for.
        every: how many calls make a step.

    Example:
        >>> optimizer = nn.Accumulate(nn.AdamW(model), model, every=4)
        >>> model, optimizer = optimizer(model, gradients)
    """

    _number_leaves: ClassVar[bool] = True

    def __init__(self, optimizer: Optimizer, model: Any, every: int) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"Accumulate takes an optimizer, its model and a number of calls, and got a "
                f"{type(optimizer).__name__} for the optimizer."
            )
        self.optimizer = optimizer
        self.every = whole("Accumulate", "every", every)
        self.calls = 0
        trained = optimizer._trained()  # noqa: SLF001  # the same family
        leaves = slope.tree_leaves(model)
        if len(leaves) != len(trained):
            raise TreeError(
                f"Accumulate: the optimizer was made for {len(trained)} tensors, and the model has "
                f"{len(leaves)}."
            )
        self._sums: tuple[Any, ...] = tuple(
            slope.zeros_like(leaf) if on else None for leaf, on in zip(leaves, trained, strict=True)
        )

    def _label(self, path: Path) -> Path:
        if path[0] != "_sums":
            return path
        names = self.optimizer._names  # noqa: SLF001  # the same family
        return "sums", *parameter_label(names[int(path[1])])

    def __call__(self, model: Model, gradients: Any) -> tuple[Model, Self]:
        """Take in gradients; gives the new model and the new wrapper.

        Raises:
            TreeError: see :class:`Optimizer`.
        """
        matched = self.optimizer.match(model, gradients)
        sums: tuple[Any, ...] = tuple(
            old if new is None else old + new for old, new in zip(self._sums, matched, strict=True)
        )
        structure = slope.tree_structure(model)
        scale = 1.0 / self.every
        means = [
            None if new is None else total * scale for total, new in zip(sums, matched, strict=True)
        ]
        stepped_model, stepped = self.optimizer(model, slope.tree_unflatten(structure, means))
        calls = self.calls + 1
        due = calls // self.every  # 0 or 1
        new = copy.copy(self)
        new.optimizer = _select(due, stepped, self.optimizer)
        on = slope.as_tensor(due > 0)
        new._sums = slope.tree_map(lambda s: slope.where(on, 0.0, s), sums)  # noqa: SLF001  # a copy of itself
        new.calls = calls * (1 - due)
        return _select(due, stepped_model, model), new


def _select(due: Any, new: Any, old: Any) -> Any:
    on = slope.as_tensor(due > 0)

    def choose(one: Any, other: Any) -> Any:
        if not isinstance(one, slope.Tensor) or one.weak:  # stays a weak number, as it was
            return one * due + other * (1 - due)
        return slope.where(on, one, other)

    return slope.tree_map(choose, new, old)


class EMA(Node, Generic[Model]):
    """An exponential moving average of a model's weights.

    ``average = decay * average + (1 - decay) * newest`` for floating-point parameters; buffers and
    integers are the newest. Source: B. Polyak, A. Juditsky, "Acceleration of stochastic
    approximation by averaging", 1992, with the exponential weights that are usual.

    Args:
        model: where the average starts.
        decay: how much of the average each update keeps.

    Attributes:
        model: the average, a model like any other.

    Example:
        >>> average = nn.EMA(model, decay=0.999)
        >>> average = average.update(model)  # after each step, inside jit, too
        >>> average.model(images)
    """

    _number_leaves: ClassVar[bool] = True
    model: Model

    def __init__(self, model: Model, decay: float | slope.Tensor = 0.999) -> None:
        if not isinstance(decay, slope.Tensor) and not 0 <= real("EMA", "decay", decay) <= 1:
            raise ArgumentError(f"EMA: decay must be between 0 and 1, not {decay!r}.")
        self.model = slope.tree_map(lambda leaf: leaf, model)  # so that neither changes the other
        self._rest = 1.0 - decay

    @property
    def decay(self) -> Any:
        """How much of the average each update keeps."""
        return 1.0 - self._rest

    def update(self, model: Model) -> Self:
        """The average with the newest weights taken in.

        Raises:
            TreeError: a model of another structure.
        """
        newest = slope.tree_leaves(model)
        kept, known = slope.tree_flatten(self.model)
        if len(newest) != len(kept):
            raise TreeError(
                f"EMA: the model has {len(newest)} tensors and the average {len(kept)}; it was "
                f"made of another model."
            )
        kinds = [kind for _, kind, _ in walk(model)]
        averaged = [
            old + self._rest * (new - old)
            if kind is not BUFFER and new.dtype.is_floating_point
            else new
            for old, new, kind in zip(kept, newest, kinds, strict=True)
        ]
        updated = copy.copy(self)
        updated.model = slope.tree_unflatten(known, averaged)
        return updated
