"""Losses that are negative log-likelihoods: arguments and meanings as PyTorch's."""

from __future__ import annotations

import math

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import same
from slope.errors import ArgumentError, ShapeError
from slope.functions import activation_operators, precise, reductions
from slope.functions._arguments import flag_of, number_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    broadcast_shapes,
    expand_to,
    floating_operands,
    splat_like,
    to_dtype,
)
from slope.functions.elementwise import stop_gradient
from slope.functions.losses import predictions, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "kl_div",
    "poisson_nll_loss",
]


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
    mean, goal, spread = floating_operands(name, x=mean, target=target, var=spread)
    limited = precise.clamp_min(spread, splat_like(least, spread))
    spread = ops.add(spread, stop_gradient(ops.sub(limited, spread)))
    away = ops.sub(mean, goal)
    losses = ops.add(ops.log(spread), ops.div(ops.mul(away, away), spread))
    losses = ops.mul(losses, splat_like(0.5, losses))
    if flag_of(full, name, "full"):
        losses = ops.add(losses, splat_like(0.5 * math.log(2.0 * math.pi), losses))
    return reduced(name, losses, reduction)


@at_once
def binary_cross_entropy(
    x: TensorLike, target: TensorLike, weight: TensorLike | None = None, reduction: str = "mean"
) -> Tensor:
    """``-(target * log(x) + (1 - target) * log(1 - x))`` of probabilities ``x``.

    Logarithms are at least -100, as PyTorch's.

    :func:`binary_cross_entropy_with_logits` loses fewer digits.
    """
    p, goal = predictions("binary_cross_entropy", x, target)
    one, low = splat_like(1.0, p), splat_like(-100.0, p)
    yes = precise.clamp_min(ops.log(p), low)
    no = precise.clamp_min(ops.log1p(ops.neg(p)), low)
    losses = ops.sub(ops.mul(ops.sub(goal, one), no), ops.mul(goal, yes))
    return reduced(
        "binary_cross_entropy", _rescaled("binary_cross_entropy", losses, weight), reduction
    )


def _rescaled(function: str, losses: Tensor, weight: TensorLike | None) -> Tensor:
    if weight is None:
        return losses
    given = to_dtype(as_tensor(weight, function, "weight"), losses.dtype)
    shape = broadcast_shapes(function, losses.shape, given.shape)
    return ops.mul(expand_to(losses, shape), expand_to(given, shape))


@at_once
def binary_cross_entropy_with_logits(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    reduction: str = "mean",
    pos_weight: TensorLike | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of ``sigmoid(x)``, without overflow or lost digits.

    Args:
        x: logits.
        target: of ``x``'s shape, from 0 to 1.
        weight: multiplies losses; broadcasts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: multiplies the part of positive targets; broadcasts.
    """
    name = "binary_cross_entropy_with_logits"
    logits, goal = predictions(name, x, target)
    if pos_weight is None:
        losses = activation_operators.binary_cross_entropy_of_logits(logits, goal)
    else:
        factor = to_dtype(as_tensor(pos_weight, name, "pos_weight"), logits.dtype)
        shape = broadcast_shapes(name, logits.shape, factor.shape)
        logits, goal, factor = (expand_to(each, shape) for each in (logits, goal, factor))
        one = splat_like(1.0, logits)
        # (1 - t) x + (1 + (w - 1) t) softplus(-x)
        slope = ops.add(one, ops.mul(ops.sub(factor, one), goal))
        losses = ops.sub(
            ops.mul(ops.sub(one, goal), logits),
            ops.mul(slope, activation_operators.logsigmoid(logits)),
        )
    return reduced(name, _rescaled(name, losses, weight), reduction)


@at_once
def kl_div(
    x: TensorLike, target: TensorLike, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """``target * (log(target) - x)`` of log-probabilities ``x``; 0 where the target is 0.

    Args:
        x: log-probabilities.
        target: probabilities, or log-probabilities if ``log_target``; broadcasts with ``x``.
        reduction: also ``"batchmean"``: the sum divided by the first dimension's length, which is
            the divergence's mean.
        log_target: whether the target is given as logarithms.
    """
    given, goal = floating_operands("kl_div", x=x, target=target)
    if flag_of(log_target, "kl_div", "log_target"):
        losses = ops.mul(ops.exp(goal), ops.sub(goal, given))
    else:
        losses = ops.sub(precise.xlogy(goal, goal), ops.mul(goal, given))
    if not isinstance(reduction, str) or reduction != "batchmean":
        return reduced("kl_div", losses, reduction)
    if losses.ndim == 0:
        raise ShapeError("kl_div: reduction='batchmean' needs a batch, and x is a scalar.")
    total = reductions.sum(losses)
    rows = ops.sum_(splat_like(1.0, losses), dim=(0,))
    count = (
        splat_like(float(losses.shape[0]), total)
        if isinstance(losses.shape[0], int)
        else reductions.amax(rows)
    )
    return ops.div(total, count)


@at_once
def poisson_nll_loss(
    x: TensorLike,
    target: TensorLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """``exp(x) - target * x`` (``x`` is the rate's logarithm), or ``x - target * log(x + eps)``.

    ``full`` adds Stirling's approximation of ``log(target!)`` for targets above 1.
    """
    rate, goal = floating_operands("poisson_nll_loss", x=x, target=target)
    if flag_of(log_input, "poisson_nll_loss", "log_input"):
        losses = ops.sub(ops.exp(rate), ops.mul(goal, rate))
    else:
        small = splat_like(number_of(eps, "poisson_nll_loss", "eps"), rate)
        losses = ops.sub(rate, ops.mul(goal, ops.log(ops.add(rate, small))))
    if flag_of(full, "poisson_nll_loss", "full"):
        one = splat_like(1.0, goal)
        many = ops.gt(goal, one)
        safe = ops.where(many, goal, one)
        log = ops.log(safe)
        turns = ops.add(log, splat_like(math.log(2.0 * math.pi), goal))
        stirling = ops.add(ops.sub(ops.mul(safe, log), safe), ops.mul(splat_like(0.5, goal), turns))
        losses = ops.add(losses, ops.where(many, stirling, splat_like(0.0, goal)))
    return reduced("poisson_nll_loss", losses, reduction)
