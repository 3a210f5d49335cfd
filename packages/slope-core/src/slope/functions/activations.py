"""Activation functions and losses."""

from __future__ import annotations

from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import arithmetic, composites, reductions
from slope.functions._base import (
    TensorLike,
    as_tensor,
    dim_of,
    floating,
    result_dtype,
    splat_like,
    to_dtype,
)


def relu(x: TensorLike) -> Tensor:
    """``maximum(x, 0)``; its derivative at 0 is 0."""
    if isinstance(x, Tensor) and x.dtype.is_integer:
        return arithmetic.maximum(x, 0)
    return composites.relu(floating(x, "relu"))


def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """``x`` where it is positive, else ``negative_slope * x``."""
    return composites.leaky_relu(floating(x, "leaky_relu"), negative_slope=float(negative_slope))


def silu(x: TensorLike) -> Tensor:
    """``x * sigmoid(x)``, also called swish."""
    return composites.silu(floating(x, "silu"))


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """``x`` times the normal distribution's cumulative function at ``x``.

    With ``approximate="tanh"`` its approximation.

    Raises:
        ArgumentError: another ``approximate``.
    """
    if approximate not in {"none", "tanh"}:
        raise ArgumentError(f"gelu: approximate={approximate!r} must be 'none' or 'tanh'.")
    return composites.gelu(floating(x, "gelu"), approximate=approximate)


def softplus(x: TensorLike) -> Tensor:
    """``log(1 + exp(x))``, without overflow."""
    return composites.softplus(floating(x, "softplus"))


def softmax(x: TensorLike, dim: int) -> Tensor:
    """``exp(x) / sum(exp(x))`` along a dimension, without overflow."""
    given = floating(x, "softmax")
    return composites.softmax(given, dim=dim_of(dim, given.ndim, "softmax", shape=given.shape))


def log_softmax(x: TensorLike, dim: int) -> Tensor:
    """``x - log(sum(exp(x)))`` along a dimension, without overflow."""
    given = floating(x, "log_softmax")
    return composites.log_softmax(
        given, dim=dim_of(dim, given.ndim, "log_softmax", shape=given.shape)
    )


# --- losses


def _reduced(function: str, losses: Tensor, reduction: str, total: Tensor | None = None) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return reductions.sum(losses)
    if reduction != "mean":
        raise ArgumentError(f"{function}: reduction={reduction!r} must be 'mean', 'sum' or 'none'.")
    if total is None:
        return reductions.mean(losses)
    return ops.div(reductions.sum(losses), total)


def mse_loss(x: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Squared differences; the shapes must be equal.

    Raises:
        ShapeError: different shapes.
    """
    a, b = as_tensor(x, "mse_loss", "x"), as_tensor(target, "mse_loss", "target")
    if a.shape != b.shape:
        raise ShapeError(
            f"mse_loss: x is {a.type} and target is {b.type}; their shapes must be equal."
        )
    return _reduced("mse_loss", ops.integer_pow(arithmetic.sub(a, b), exponent=2), reduction)


def _class_dim(function: str, x: Tensor) -> int:
    if x.ndim == 0:
        raise ShapeError(
            f"{function}: x must be [classes] or [batch, classes, ...], and is {x.type}."
        )
    return 0 if x.ndim == 1 else 1


def _check_classes(function: str, x: Tensor, target: Tensor, dim: int) -> None:
    rows = (*x.shape[:dim], *x.shape[dim + 1 :])
    if target.shape != rows:
        raise ShapeError(
            f"{function}: for x {x.type} the classes must have shape {rows}, and are {target.type}."
        )


def cross_entropy(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The negative log-likelihood of the target under ``softmax(x)``.

    Its derivative is ``softmax(x) - target``, scaled.

    Args:
        x: scores (logits), ``[classes]`` or ``[batch, classes, ...]``.
        target: integers: classes from 0 on, of ``x``'s shape without the classes; or floats:
            probabilities, of ``x``'s shape.
        weight: ``[classes]``, how much each counts; a mean is divided by the sum of the targets'
            weights (by the number of
            rows for probabilities).
        ignore_index: a class that counts nothing. (None is ignored by default, so the common
            gradient stays short.)
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: the share of the target that is spread evenly over all classes.

    Raises:
        ShapeError, DTypeError, ArgumentError: operands that do not fit.
    """
    scores, goal = floating(x, "cross_entropy"), as_tensor(target, "cross_entropy", "target")
    dim = _class_dim("cross_entropy", scores)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"cross_entropy: label_smoothing={label_smoothing} must lie between 0 and 1."
        )
    if goal.dtype.kind == "f":
        if ignore_index is not None:
            raise ArgumentError(
                f"cross_entropy: ignore_index={ignore_index} needs classes, and target is "
                f"{goal.type}."
            )
        return _of_probabilities(scores, goal, dim, weight, reduction, label_smoothing)
    if not goal.dtype.is_integer:
        raise DTypeError(
            "cross_entropy: target must be integers (classes) or floats (probabilities), and is "
            f"{goal.type}."
        )
    _check_classes("cross_entropy", scores, goal, dim)
    if weight is not None and label_smoothing:
        raise ArgumentError(
            "cross_entropy: weight with label_smoothing takes probabilities as target; use "
            "slope.one_hot(...)."
        )
    losses = composites.cross_entropy_of_classes(
        scores, goal, dim=dim, smoothing=float(label_smoothing)
    )
    return _weighted("cross_entropy", losses, goal, scores, dim, weight, ignore_index, reduction)


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
    """Losses of rows, weighted by their class and reduced."""
    if weight is None and ignore_index is None:
        return _reduced(function, losses, reduction)
    share = splat_like(1.0, losses)
    if weight is not None:
        given = to_dtype(as_tensor(weight, function, "weight"), losses.dtype)
        if given.shape != (scores.shape[dim],):
            raise ShapeError(
                f"{function}: weight must have shape ({scores.shape[dim]},), one for each class, "
                f"and is {given.type}."
            )
        share = ops.gather(given, ops.reshape(goal, shape=(*goal.shape, 1)), axis=0, batch_dims=0)
    if ignore_index is not None:
        counts = ops.ne(goal, splat_like(ignore_index, goal))
        zero = splat_like(0.0, losses)
        share, losses = ops.where(counts, share, zero), ops.where(counts, losses, zero)
    total = reductions.sum(share) if reduction == "mean" else None
    return _reduced(
        function, ops.mul(losses, share) if weight is not None else losses, reduction, total
    )


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
        given = to_dtype(as_tensor(weight, "cross_entropy", "weight"), dtype)
        if given.shape != (scores.shape[dim],):
            raise ShapeError(
                f"cross_entropy: weight must have shape ({scores.shape[dim]},), one for each "
                f"class, and is {given.type}."
            )
        goal = ops.mul(goal, ops.broadcast(given, shape=goal.shape, dims=(dim,)))
    losses = ops.neg(ops.sum_(ops.mul(goal, composites.log_softmax(scores, dim=dim)), dim=(dim,)))
    return _reduced("cross_entropy", losses, reduction)


def nll_loss(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative of the log-probabilities ``x`` at the true classes.

    Arguments as :func:`cross_entropy` for classes.
    """
    given, goal = floating(x, "nll_loss"), as_tensor(target, "nll_loss", "target")
    dim = _class_dim("nll_loss", given)
    if not goal.dtype.is_integer:
        raise DTypeError(f"nll_loss: target must be integers (classes), and is {goal.type}.")
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
