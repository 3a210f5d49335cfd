"""Losses: arguments and meanings as PyTorch's.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"`` throughout.
"""

from __future__ import annotations

import math
from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.dtypes import iinfo
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import activation_operators, composites, reductions
from slope.functions._arguments import number_of, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    floating,
    floating_operands,
    result_dtype,
    splat_like,
    to_dtype,
)
from slope.functions._classes import nan_where, refusing_unknown_classes, unknown_classes

__all__ = [
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def reduced(function: str, losses: Tensor, reduction: str, total: Tensor | None = None) -> Tensor:
    """Losses as their mean (or their sum over ``total``), as their sum, or as they are."""
    if not isinstance(reduction, str):
        raise ArgumentError(
            f"{function}: reduction={reduction!r:.60} must be 'mean', 'sum' or 'none'."
        )
    if reduction == "none":
        return losses
    if reduction == "sum":
        return reductions.sum(losses)
    if reduction != "mean":
        raise ArgumentError(f"{function}: reduction={reduction!r} must be 'mean', 'sum' or 'none'.")
    if total is None:
        return reductions.mean(losses)
    return ops.div(reductions.sum(losses), total)


@at_once
def mse_loss(
    x: TensorLike,
    target: TensorLike,
    reduction: str = "mean",
    *,
    weight: TensorLike | None = None,
) -> Tensor:
    """Squared differences; the shapes must be equal.

    Args:
        x: predictions.
        target: what they should be.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: of ``x``'s shape, what each counts; the mean is divided by their sum.

    Raises:
        ShapeError: different shapes.
    """
    a, b = predictions("mse_loss", x, target)
    return _weighed("mse_loss", ops.integer_pow(ops.sub(a, b), exponent=2), weight, reduction)


def _weighed(
    function: str, losses: Tensor, weight: object, reduction: str, *, counted: bool = False
) -> Tensor:
    """Weighted losses, reduced; ``counted``: the mean is by their number, not by the weights."""
    if weight is None:
        return reduced(function, losses, reduction)
    shares = to_dtype(as_tensor(weight, function, "weight"), losses.dtype)
    if shares.shape != losses.shape:
        raise ShapeError(
            f"{function}: weight is {shares.type} and x is {losses.type}; their shapes must be "
            "equal."
        )
    total = None if counted else reductions.sum(shares)
    return reduced(function, ops.mul(losses, shares), reduction, total)


def predictions(function: str, x: object, target: object) -> list[Tensor]:
    """Predictions and targets of equal shape, promoted to one floating-point dtype."""
    a, b = as_tensor(x, function, "x"), as_tensor(target, function, "target")
    if a.shape != b.shape:
        raise ShapeError(
            f"{function}: x is {a.type} and target is {b.type}; their shapes must be equal."
        )
    return floating_operands(function, x=a, y=b)


@at_once
def l1_loss(
    x: TensorLike,
    target: TensorLike,
    reduction: str = "mean",
    *,
    weight: TensorLike | None = None,
) -> Tensor:
    """Absolute differences; the derivative at 0 is 0, the shapes must be equal.

    ``weight`` is as in :func:`mse_loss`.
    """
    a, b = predictions("l1_loss", x, target)
    return _weighed("l1_loss", ops.abs_(ops.sub(a, b)), weight, reduction)


@at_once
def huber_loss(
    x: TensorLike,
    target: TensorLike,
    reduction: str = "mean",
    delta: float = 1.0,
    *,
    weight: TensorLike | None = None,
) -> Tensor:
    """``d**2 / 2`` of differences ``d`` up to ``delta``, ``delta * (abs(d) - delta / 2)`` beyond.

    ``weight`` is as in :func:`mse_loss`, but the mean is divided by the number of elements, as
    PyTorch's.

    Source: P. Huber, "Robust estimation of a location parameter" (1964).

    Raises:
        ArgumentError: ``delta`` is not positive.
    """
    a, b = predictions("huber_loss", x, target)
    limit = _positive(delta, "huber_loss", "delta")
    losses = activation_operators.huber(ops.sub(a, b), delta=limit)
    return _weighed("huber_loss", losses, weight, reduction, counted=True)


@at_once
def smooth_l1_loss(
    x: TensorLike, target: TensorLike, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """:func:`huber_loss` with ``delta=beta``, divided by ``beta``; :func:`l1_loss` for ``beta=0``.

    Raises:
        ArgumentError: ``beta`` is negative.
    """
    limit = number_of(beta, "smooth_l1_loss", "beta")
    if limit < 0:
        raise ArgumentError(f"smooth_l1_loss: beta={limit} must not be negative.")
    a, b = predictions("smooth_l1_loss", x, target)
    away = ops.sub(a, b)
    if limit == 0:
        return reduced("smooth_l1_loss", ops.abs_(away), reduction)
    losses = activation_operators.huber(away, delta=limit)
    if limit != 1.0:
        losses = ops.mul(losses, splat_like(1.0 / limit, losses))
    return reduced("smooth_l1_loss", losses, reduction)


def _positive(value: object, function: str, argument: str) -> float:
    number = number_of(value, function, argument)
    if number <= 0:
        raise ArgumentError(f"{function}: {argument}={number} must be positive.")
    return number


def _class_dim(function: str, x: Tensor) -> int:
    if x.ndim == 0:
        raise ShapeError(f"{function}: x must be [classes] or [batch, classes, ...], not {x.type}.")
    return 0 if x.ndim == 1 else 1


def _check_classes(function: str, x: Tensor, target: Tensor, dim: int) -> None:
    rows = (*x.shape[:dim], *x.shape[dim + 1 :])
    if target.shape != rows:
        raise ShapeError(
            f"{function}: for x {x.type} the classes must have shape {rows}, and are {target.type}."
        )


@refusing_unknown_classes(ignore_index=-100)
@at_once
def cross_entropy(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The negative log-likelihood of the target under ``softmax(x)``.

    Its derivative is ``softmax(x) - target``, scaled.

    Args:
        x: scores (logits), ``[classes]`` or ``[batch, classes, ...]``.
        target: integers: classes from 0 on, of ``x``'s shape without the classes; or floats:
            probabilities, of ``x``'s shape. A target that is no class raises where its value is
            known, that is, outside of :func:`slope.jit`, on the CPU; elsewhere it makes the loss
            NaN.
        weight: ``[classes]``, how much each counts; a mean is divided by the sum of the targets'
            weights (by the number of rows for probabilities).
        ignore_index: a class that counts nothing, by default -100 as in PyTorch, so that padding
            may be labelled with it. ``None`` ignores nothing, which saves a few small instructions
            (of the batch's size, not the classes') in loss and gradient; unsigned classes save them
            by themselves.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: the share of the target that is spread evenly over all classes.

    Raises:
        ShapeError, DTypeError, ArgumentError: operands that do not fit.
        IndexingError: a target that is no class.
    """
    scores, goal = floating(x, "cross_entropy"), as_tensor(target, "cross_entropy", "target")
    ignore_index = _ignored("cross_entropy", goal, ignore_index)
    dim = _class_dim("cross_entropy", scores)
    label_smoothing = number_of(label_smoothing, "cross_entropy", "label_smoothing")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"cross_entropy: label_smoothing={label_smoothing} must lie between 0 and 1."
        )
    if goal.dtype.kind == "f":
        return _of_probabilities(scores, goal, dim, weight, reduction, label_smoothing)
    if not goal.dtype.is_integer:
        raise DTypeError(
            "cross_entropy: target must be integers (classes) or floats (probabilities), not "
            f"{goal.type}."
        )
    _check_classes("cross_entropy", scores, goal, dim)
    if weight is not None and label_smoothing:
        return _smoothed(scores, goal, dim, weight, ignore_index, reduction, label_smoothing)
    losses = composites.cross_entropy_of_classes(
        scores, goal, dim=dim, smoothing=float(label_smoothing)
    )
    return _weighted("cross_entropy", losses, goal, scores, dim, weight, ignore_index, reduction)


def _ignored(function: str, goal: Tensor, ignore_index: int | None) -> int | None:
    """The class to ignore, checked; None where no target can be of it."""
    if ignore_index is None:
        return None
    index = whole_of(ignore_index, function, "ignore_index")
    if goal.dtype.kind == "f":
        if index >= 0:
            raise ArgumentError(
                f"{function}: ignore_index={index} needs classes, and target is {goal.type}."
            )
        return None
    if not goal.dtype.is_integer:
        return index  # the caller refuses the target
    limits = iinfo(goal.dtype)
    return index if limits.min <= index <= limits.max else None


def _weighted(
    function: str,
    losses: Tensor,
    goal: Tensor,
    scores: Tensor,
    dim: int,
    weight: Any,
    ignore_index: int | None,
    reduction: str,
) -> Tensor:
    """Losses of rows, weighted by their class and reduced; NaN where a target is no class."""
    counts = None if ignore_index is None else ops.ne(goal, splat_like(ignore_index, goal))
    strange = unknown_classes(goal, scores.shape[dim], counts)
    if weight is None and ignore_index is None:
        return reduced(function, nan_where(strange, losses), reduction)
    share = splat_like(1.0, losses)
    if weight is not None:
        given = _class_weights(function, weight, scores, dim)
        share = ops.gather(given, ops.reshape(goal, shape=(*goal.shape, 1)), axis=0, batch_dims=0)
    if counts is not None:
        zero = splat_like(0.0, losses)
        share, losses = ops.where(counts, share, zero), ops.where(counts, losses, zero)
    if strange is not None:  # shares have no derivative
        share = ops.where(strange, splat_like(math.nan, share), share)
    if weight is not None:
        losses = ops.mul(losses, share)
    elif reduction != "mean":  # a mean is divided by the shares
        losses = nan_where(strange, losses)
    return reduced(
        function, losses, reduction, reductions.sum(share) if reduction == "mean" else None
    )


def _smoothed(
    scores: Tensor,
    goal: Tensor,
    dim: int,
    weight: Any,
    ignore_index: int | None,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """Smoothed losses with weights, which also weigh the evenly spread share, as in PyTorch."""
    given = _class_weights("cross_entropy", weight, scores, dim)
    logs = composites.log_softmax(scores, dim=dim)
    weighted = ops.mul(logs, ops.broadcast(given, shape=logs.shape, dims=(dim,)))
    here = composites.at_class(goal, logs, dim)
    zero = splat_like(0.0, logs)
    true = ops.sum_(ops.where(here, weighted, zero), dim=(dim,))
    even = ops.sum_(weighted, dim=(dim,))
    losses = ops.add(
        ops.mul(true, splat_like(smoothing - 1.0, true)),
        ops.mul(even, splat_like(-smoothing / scores.shape[dim], even)),
    )
    share = ops.gather(given, ops.reshape(goal, shape=(*goal.shape, 1)), axis=0, batch_dims=0)
    counts = None
    if ignore_index is not None:
        counts = ops.ne(goal, splat_like(ignore_index, goal))
        none = splat_like(0.0, losses)
        share, losses = ops.where(counts, share, none), ops.where(counts, losses, none)
    losses = nan_where(unknown_classes(goal, scores.shape[dim], counts), losses)
    total = reductions.sum(share) if reduction == "mean" else None
    return reduced("cross_entropy", losses, reduction, total)


def _class_weights(function: str, weight: Any, scores: Tensor, dim: int) -> Tensor:
    given = to_dtype(as_tensor(weight, function, "weight"), scores.dtype)
    if given.shape != (scores.shape[dim],):
        raise ShapeError(
            f"{function}: weight must have shape ({scores.shape[dim]},), one for each class, and "
            f"is {given.type}."
        )
    return given


def _of_probabilities(
    scores: Tensor, goal: Tensor, dim: int, weight: Any, reduction: str, smoothing: float
) -> Tensor:
    if goal.shape != scores.shape:
        raise ShapeError(
            f"cross_entropy: probabilities must have the shape of x {scores.type}, and are "
            f"{goal.type}."
        )
    dtype = result_dtype("cross_entropy", (scores, goal))
    scores, goal = to_dtype(scores, dtype), to_dtype(goal, dtype)
    if smoothing:
        even = splat_like(smoothing / scores.shape[dim], goal)
        goal = ops.add(ops.mul(goal, splat_like(1.0 - smoothing, goal)), even)
    if weight is not None:
        given = _class_weights("cross_entropy", weight, scores, dim)
        goal = ops.mul(goal, ops.broadcast(given, shape=goal.shape, dims=(dim,)))
    losses = ops.neg(ops.sum_(ops.mul(goal, composites.log_softmax(scores, dim=dim)), dim=(dim,)))
    return reduced("cross_entropy", losses, reduction)


@refusing_unknown_classes(ignore_index=-100)
@at_once
def nll_loss(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative of the log-probabilities ``x`` at the true classes.

    Arguments as :func:`cross_entropy` for classes; a target that is no class raises or gives NaN
    as there.
    """
    given, goal = floating(x, "nll_loss"), as_tensor(target, "nll_loss", "target")
    ignore_index = _ignored("nll_loss", goal, ignore_index)
    dim = _class_dim("nll_loss", given)
    if not goal.dtype.is_integer:
        raise DTypeError(f"nll_loss: target must be integers (classes), not {goal.type}.")
    _check_classes("nll_loss", given, goal, dim)
    chosen = ops.where(composites.at_class(goal, given, dim), given, splat_like(0.0, given))
    return _weighted(
        "nll_loss",
        ops.neg(ops.sum_(chosen, dim=(dim,))),
        goal,
        given,
        dim,
        weight,
        ignore_index,
        reduction,
    )
