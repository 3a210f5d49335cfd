"""Losses of several labels for one example: arguments and meanings as PyTorch's."""

from __future__ import annotations

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.dims import same
from slope.errors import DTypeError, ShapeError
from slope.functions import activation_operators, logic, reductions
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, expand_to, floating, splat_like, to_dtype
from slope.functions.losses import reduced

__all__ = [
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]


def _alike(function: str, x: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    given, goal = floating(x, function), as_tensor(target, function, "target")
    if not same(given.shape, goal.shape):
        raise ShapeError(f"{function}: x {given.type} and target {goal.type} must have one shape.")
    return given, goal


@at_once
def soft_margin_loss(x: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """``log(1 + exp(-target * x))``, each target 1 or -1.

    Raises:
        ShapeError: different shapes.
    """
    given, goal = _alike("soft_margin_loss", x, target)
    losses = activation_operators.softplus(ops.neg(ops.mul(to_dtype(goal, given.dtype), given)))
    return reduced("soft_margin_loss", losses, reduction)


@at_once
def multilabel_soft_margin_loss(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the classes of the binary cross-entropy of ``sigmoid(x)``.

    Args:
        x: scores, ``[..., classes]``.
        target: 1 for each class that holds, else 0; of ``x``'s shape.
        weight: ``[classes]``, how much each counts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: different shapes.
    """
    name = "multilabel_soft_margin_loss"
    given, goal = _alike(name, x, target)
    losses = ops.sub(
        activation_operators.softplus(given), ops.mul(to_dtype(goal, given.dtype), given)
    )
    if weight is not None:
        shares = to_dtype(as_tensor(weight, name, "weight"), given.dtype)
        losses = ops.mul(losses, expand_to(shares, losses.shape))
    return reduced(name, reductions.mean(losses, -1), reduction)


@at_once
def multilabel_margin_loss(x: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """``max(0, 1 - x[right] + x[wrong])`` summed over all such pairs, through the classes' number.

    Args:
        x: scores, ``[classes]`` or ``[batch, classes]``.
        target: integers, of ``x``'s shape: the right classes of each row, up to the first -1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError, DTypeError: arguments that do not fit.
    """
    name = "multilabel_margin_loss"
    given, goal = _alike(name, x, target)
    if given.ndim not in (1, 2):
        raise ShapeError(f"{name}: x must be (batch, classes) or (classes,), not {given.type}.")
    if goal.dtype.kind != "i":
        raise DTypeError(f"{name}: target must be of a signed integer dtype, not {goal.type}.")
    last = given.ndim - 1
    named, _ = ops.cummin(to_dtype(ops.ge(goal, splat_like(0, goal)), dtypes.int32), dim=last)
    named = ops.ne(named, splat_like(0, named))  # up to the first -1
    square = (*given.shape, given.shape[last])  # [..., place in the target, class]
    classes = ops.iota(shape=square, dim=last + 1, dtype=goal.dtype)
    rows = (*given.shape, 1)
    chosen = ops.eq(expand_to(ops.reshape(goal, shape=rows), square), classes)
    chosen = logic.logical_and(chosen, expand_to(ops.reshape(named, shape=rows), square))
    across = expand_to(ops.reshape(given, shape=(*given.shape[:-1], 1, given.shape[last])), square)
    zero = splat_like(0.0, across)
    own = ops.sum_(ops.where(chosen, across, zero), dim=(last + 1,))  # the scores of right classes
    edge = ops.sub(across, expand_to(ops.reshape(own, shape=rows), square))
    short = activation_operators.relu(ops.add(edge, splat_like(1.0, edge)))
    right = reductions.any(chosen, last, keepdim=True)
    pairs = logic.logical_and(
        expand_to(ops.reshape(named, shape=rows), square),
        logic.logical_not(expand_to(right, square)),
    )
    losses = ops.sum_(ops.where(pairs, short, zero), dim=(last, last + 1))
    count = ops.sum_(splat_like(1.0, given), dim=(last,))
    return reduced(name, ops.div(losses, count), reduction)
