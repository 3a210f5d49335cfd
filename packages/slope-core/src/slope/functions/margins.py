"""Losses of margins, of distances and of similarity: arguments and meanings as PyTorch's."""

from __future__ import annotations

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import same
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import activation_operators, composites, precise, reductions
from slope.functions._arguments import flag_of, number_of, shown, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    along,
    as_tensor,
    expand_to,
    floating,
    floating_operands,
    splat_like,
    to_dtype,
)
from slope.functions._classes import nan_where, refusing_unknown_classes, unknown_classes
from slope.functions.losses import reduced

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "triplet_margin_loss",
]


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
    first, second, goal = floating_operands(name, x1=given[0], x2=given[1], target=given[2])
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
    far, goal = floating_operands(name, x=floating(x, name), target=target)
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
        raise DTypeError(f"{name}: target must be of an integer dtype, not {goal.type}.")
    if whole_of(p, name, "p") not in (1, 2):
        raise ArgumentError(f"{name}: p={p} must be 1 or 2.")
    last = scores.ndim - 1
    right, zero = composites.at_class(goal, scores, last), splat_like(0.0, scores)
    of_right = ops.sum_(ops.where(right, scores, zero), dim=(last,))
    own = expand_to(ops.reshape(of_right, shape=(*of_right.shape, 1)), scores.shape)
    edge = ops.add(ops.sub(scores, own), splat_like(number_of(margin, name, "margin"), scores))
    short = ops.where(right, zero, activation_operators.relu(edge))
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


@at_once
def cosine_similarity(x: TensorLike, y: TensorLike, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along a dimension.

    Norms count as at least ``eps``. ``x`` and ``y`` broadcast.
    """
    a, b = floating_operands("cosine_similarity", x=x, y=y)
    (a, place, _), (b, _, _) = (along(each, dim, "cosine_similarity") for each in (a, b))
    at = (place,)
    least = number_of(eps, "cosine_similarity", "eps")
    norms = (composites.l2_norm(each, dim=at) for each in (a, b))
    sizes = (precise.clamp_min(norm, splat_like(least, norm)) for norm in norms)
    products = ops.sum_(ops.mul(a, b), dim=at)
    first, second = sizes
    return ops.div(ops.div(products, first), second)


@at_once
def cosine_embedding_loss(
    x1: TensorLike,
    x2: TensorLike,
    target: TensorLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where the target is 1, and ``max(0, cos - margin)`` where it is -1."""
    a = as_tensor(x1, "cosine_embedding_loss", "x1")
    cosine = cosine_similarity(a, x2, dim=-1)
    goal = as_tensor(target, "cosine_embedding_loss", "target")
    if goal.shape != cosine.shape:
        raise ShapeError(
            f"cosine_embedding_loss: target must have shape {shown(cosine.shape)}, as x1 without "
            f"its last dimension, but is {goal.type}."
        )
    edge = splat_like(number_of(margin, "cosine_embedding_loss", "margin"), cosine)
    alike = ops.sub(splat_like(1.0, cosine), cosine)
    apart = activation_operators.relu(ops.sub(cosine, edge))
    return reduced(
        "cosine_embedding_loss",
        ops.where(ops.eq(goal, splat_like(1, goal)), alike, apart),
        reduction,
    )


@at_once
def triplet_margin_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    Args:
        anchor: tensors with at least one dimension.
        positive: likewise; should be near the anchor.
        negative: likewise; should be far from it.
        margin: how much farther, above 0.
        p: of the norms, along the last dimension.
        eps: added to each difference.
        swap: take the distance from the positive to the negative where it is the smaller one.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Source of the swap: V. Balntas et al., "Learning shallow convolutional feature descriptors with
        triplet losses" (2016).

    Raises:
        ArgumentError: ``margin`` is not above 0.
    """
    name = "triplet_margin_loss"
    a, near, far = floating_operands(name, anchor=anchor, positive=positive, negative=negative)
    if a.ndim == 0:
        raise ShapeError(f"{name}: anchor must have at least one dimension, but is {a.type}.")
    small, least = splat_like(number_of(eps, name, "eps"), a), number_of(margin, name, "margin")
    if not least > 0:
        raise ArgumentError(f"{name}: margin={least} must be above 0.")

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return reductions.norm(ops.add(ops.sub(one, other), small), p=p, dim=-1)

    good, bad = distance(a, near), distance(a, far)
    if flag_of(swap, name, "swap"):
        bad = ops.minimum(bad, distance(near, far))
    edge = splat_like(least, good)
    return reduced(name, activation_operators.relu(ops.add(ops.sub(good, bad), edge)), reduction)
