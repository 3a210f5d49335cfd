"""Losses of margins, and of normal distributions: arguments and meanings as PyTorch's."""

from __future__ import annotations

import math

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import same
from slope.dtypes import float32
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import composites, precise
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    expand_to,
    flag_of,
    floating,
    number_of,
    operands_of,
    result_dtype,
    shown,
    splat_like,
    to_dtype,
    whole_of,
)
from slope.functions._classes import nan_where, refusing_unknown_classes, unknown_classes
from slope.functions.elementwise import stop_gradient
from slope.functions.losses import reduced

__all__ = [
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
]


def _promoted(function: str, **values: TensorLike) -> list[Tensor]:
    given = {name: as_tensor(value, function, name) for name, value in values.items()}
    dtype = result_dtype(function, list(given.values()))
    return operands_of(function, dtype if dtype.kind == "f" else float32, **given)


@at_once
def gaussian_nll_loss(
    x: TensorLike,
    target: TensorLike,
    var: TensorLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """``(log(var) + (x - target)**2 / var) / 2``: targets under normal distributions.

    Args:
        x: the means.
        target: broadcasts with ``x``.
        var: the variances, not negative: of ``x``'s shape, of one that broadcasts with it, or
            without its last dimension.
        full: add the constant ``log(2 pi) / 2``.
        eps: the least variance; smaller ones count as it, and keep their derivative.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Source: D. Nix, A. Weigend, "Estimating the mean and variance of the target probability
        distribution" (1994).

    Raises:
        ShapeError: shapes that do not fit.
        ArgumentError: ``eps`` is not above 0.
    """
    name = "gaussian_nll_loss"
    mean, spread = as_tensor(x, name, "x"), as_tensor(var, name, "var")
    if mean.ndim and same(spread.shape, mean.shape[:-1]) and not same(spread.shape, mean.shape):
        spread = ops.reshape(spread, shape=(*spread.shape, 1))
    if not same(broadcast_shapes(name, spread.shape, mean.shape), mean.shape):
        raise ShapeError(
            f"{name}: var is {spread.type} and does not broadcast to the shape of x, {mean.type}."
        )
    least = number_of(eps, name, "eps")
    if not least > 0:
        raise ArgumentError(f"{name}: eps={least} must be above 0.")
    mean, goal, spread = _promoted(name, x=mean, target=target, var=spread)
    limited = precise.clamp_min(spread, splat_like(least, spread))
    spread = ops.add(spread, stop_gradient(ops.sub(limited, spread)))
    away = ops.sub(mean, goal)
    losses = ops.add(ops.log(spread), ops.div(ops.mul(away, away), spread))
    losses = ops.mul(losses, splat_like(0.5, losses))
    if flag_of(full, name, "full"):
        losses = ops.add(losses, splat_like(0.5 * math.log(2.0 * math.pi), losses))
    return reduced(name, losses, reduction)


@at_once
def margin_ranking_loss(
    x1: TensorLike,
    x2: TensorLike,
    target: TensorLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin - target * (x1 - x2))``: a target of 1 wants ``x1`` larger, -1 ``x2``.

    Raises:
        ShapeError: different numbers of dimensions, or shapes that do not broadcast.
    """
    name = "margin_ranking_loss"
    given = [as_tensor(each, name, "x1, x2 or target") for each in (x1, x2, target)]
    if len({each.ndim for each in given}) != 1:
        raise ShapeError(
            f"{name}: x1 {given[0].type}, x2 {given[1].type} and target {given[2].type} must have "
            "equally many dimensions."
        )
    first, second, goal = _promoted(name, x1=given[0], x2=given[1], target=given[2])
    losses = ops.neg(ops.mul(goal, ops.sub(first, second)))
    losses = ops.add(losses, splat_like(number_of(margin, name, "margin"), losses))
    return reduced(name, precise.clamp_min(losses, splat_like(0.0, losses)), reduction)


@at_once
def hinge_embedding_loss(
    x: TensorLike, target: TensorLike, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """``x``, a distance, where the target is 1; ``max(0, margin - x)`` where it is -1.

    Raises:
        ShapeError: shapes that do not broadcast.
    """
    name = "hinge_embedding_loss"
    far, goal = _promoted(name, x=floating(x, name), target=target)
    zero, one = splat_like(0.0, far), splat_like(1.0, far)
    edge = ops.sub(splat_like(number_of(margin, name, "margin"), far), far)
    apart = ops.where(ops.ne(goal, one), precise.clamp_min(edge, zero), zero)
    alike = ops.where(ops.ne(goal, ops.neg(one)), far, zero)
    return reduced(name, ops.add(apart, alike), reduction)


@refusing_unknown_classes(ignore_index=None)
@at_once
def multi_margin_loss(
    x: TensorLike,
    target: TensorLike,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over all classes but the right one of ``max(0, margin - x[right] + x[class])**p``.

    The mean counts the right class, too: it is divided by the number of classes.

    Args:
        x: scores, ``[classes]`` or ``[batch, classes]``.
        target: integers: the right class of each row; others raise or give NaN as in
            :func:`slope.cross_entropy`.
        p: 1 or 2.
        margin: how much larger the right score should be.
        weight: ``[classes]``, how much the rows of each count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError, DTypeError, ArgumentError: arguments that do not fit.
        IndexingError: a target that is no class.
    """
    name = "multi_margin_loss"
    scores, goal = floating(x, name), as_tensor(target, name, "target")
    if scores.ndim not in (1, 2) or not same(goal.shape, scores.shape[:-1]):
        raise ShapeError(
            f"{name}: takes x (batch, classes) with target (batch,), or x (classes,) with one "
            f"class, and got {scores.type} and {goal.type}."
        )
    if not goal.dtype.is_integer:
        raise DTypeError(f"{name}: target must be of an integer dtype, and is {goal.type}.")
    if whole_of(p, name, "p") not in (1, 2):
        raise ArgumentError(f"{name}: p={p} must be 1 or 2.")
    last = scores.ndim - 1
    right, zero = composites.at_class(goal, scores, last), splat_like(0.0, scores)
    of_right = ops.sum_(ops.where(right, scores, zero), dim=(last,))
    own = expand_to(ops.reshape(of_right, shape=(*of_right.shape, 1)), scores.shape)
    edge = ops.add(ops.sub(scores, own), splat_like(number_of(margin, name, "margin"), scores))
    short = ops.where(right, zero, composites.relu(edge))
    short = ops.mul(short, short) if p == 2 else short
    if weight is not None:
        shares = to_dtype(as_tensor(weight, name, "weight"), scores.dtype)
        if not same(shares.shape, scores.shape[-1:]):
            raise ShapeError(
                f"{name}: weight must have shape {shown(scores.shape[-1:])}, one for each class, "
                f"and is {shares.type}."
            )
        spread = ops.where(right, expand_to(shares, scores.shape), zero)
        row = ops.sum_(spread, dim=(last,))
        share = ops.reshape(row, shape=(*row.shape, 1))
        short = ops.mul(short, expand_to(share, scores.shape))
    losses = ops.sum_(short, dim=(last,))
    losses = nan_where(unknown_classes(goal, scores.shape[last], None), losses)
    count = ops.sum_(splat_like(1.0, scores), dim=(last,))
    return reduced(name, ops.div(losses, count), reduction)
