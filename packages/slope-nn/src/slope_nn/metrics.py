"""Metrics: how good predictions are. All but the class are pure functions and work inside jit."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import slope
from slope.extend import ArgumentError, SlopeError
from slope_nn._node import Node

__all__ = ["Mean", "accuracy", "confusion_matrix", "perplexity", "topk_accuracy"]


def accuracy(logits: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
    """The part of the examples whose largest logit is that of their class.

    Args:
        logits: shape (..., classes).
        target: integers of shape (...).

    Returns:
        A float32 tensor of shape ().
    """
    logits, target = _arrays("accuracy", logits=logits, target=target)
    right = slope.argmax(logits, -1) == target
    return right.astype(slope.float32).mean()


def topk_accuracy(logits: slope.Tensor, target: slope.Tensor, k: int) -> slope.Tensor:
    """The part of the examples whose class is among the k with the largest logits.

    Of classes with equal logits, those with smaller numbers come first.

    Args:
        logits: shape (..., classes).
        target: integers of shape (...).
        k: at least 1.
    """
    logits, target = _arrays("topk_accuracy", logits=logits, target=target)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ArgumentError(f"topk_accuracy: k must be a positive int, not {k!r}.")
    wanted = slope.unsqueeze(target, -1)
    own = slope.gather(logits, -1, wanted)
    classes = slope.arange(logits.shape[-1])
    before = (logits > own) | ((logits == own) & (classes < wanted))
    rank = before.astype(slope.int32).sum(-1)
    known = own.squeeze(-1) == own.squeeze(-1)  # a NaN is never right
    return ((rank < k) & known).astype(slope.float32).mean()


def confusion_matrix(
    prediction: slope.Tensor, target: slope.Tensor, num_classes: int
) -> slope.Tensor:
    """How often each class (row) was taken for each class (column).

    Args:
        prediction: integers of any shape, below num_classes.
        target: likewise.
        num_classes: how many classes.

    Returns:
        An int64 tensor of shape (num_classes, num_classes).
    """
    given = _arrays("confusion_matrix", target=target, prediction=prediction)
    rows, columns = (slope.one_hot(each.reshape(-1), num_classes) for each in given)
    counts = rows.astype(slope.float64).transpose(0, 1) @ columns.astype(slope.float64)
    return counts.astype(slope.int64)  # float64 counts exactly, and multiplies fast


def perplexity(loss: slope.Tensor) -> slope.Tensor:
    """``exp`` of a mean cross entropy in nats: among how many tokens the model wavers."""
    (given,) = _arrays("perplexity", loss=loss)
    return slope.exp(given)


def _arrays(who: str, **values: Any) -> list[slope.Tensor]:
    """Tensors of what may be tensors, arrays, lists or numbers."""
    made = []
    for name, value in values.items():
        try:
            made.append(slope.as_tensor(value))
        except SlopeError as error:
            raise ArgumentError(f"{who}: {name}: {error}") from None
    return made


class Mean(Node):
    """A running mean of numbers, a pytree: it may be carried through jitted steps.

    Example:
        >>> mean = nn.metrics.Mean()
        >>> mean = mean.update(loss, weight=32)
        >>> mean.value
    """

    _number_leaves: ClassVar[bool] = True

    def __init__(self) -> None:
        self.total: Any = 0.0
        self.weight: Any = 0.0

    def update(self, value: Any, weight: float | slope.Tensor = 1.0) -> Self:
        """The mean with another number taken in.

        Args:
            value: a number or a tensor of shape ().
            weight: for example how many examples it is a mean of.
        """
        new = type(self)()
        new.total = self.total + value * weight
        new.weight = self.weight + weight
        return new

    @property
    def value(self) -> Any:
        """The mean so far; NaN if there was nothing."""
        if isinstance(self.weight, float) and self.weight == 0:
            return slope.nan
        return self.total / self.weight

    def __repr__(self) -> str:
        return f"Mean({self.value!r})"
