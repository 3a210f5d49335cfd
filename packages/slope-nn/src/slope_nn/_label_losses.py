"""Losses of labels as modules."""

from __future__ import annotations

from collections.abc import Callable

import slope
from slope_nn._losses import Loss, PlainLoss
from slope_nn._module import Module


class SoftMarginLoss(PlainLoss):
    """Mean of ``log(1 + exp(-target * x))``, each target 1 or -1."""

    _function = staticmethod(slope.soft_margin_loss)


class MultiLabelMarginLoss(PlainLoss):
    """Margins between all right and all wrong classes; see ``slope.multilabel_margin_loss``."""

    _function = staticmethod(slope.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(Loss):
    """Cross-entropies of each class's yes or no; see ``slope.multilabel_soft_margin_loss``."""

    _function = staticmethod(slope.multilabel_soft_margin_loss)

    def __init__(self, weight: slope.Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction)


class TripletMarginWithDistanceLoss(Module):
    """Mean of ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    Args:
        distance_function: of two tensors; :func:`slope.pairwise_distance` by default.
        margin: how much farther the negative should be.
        swap: take the negative's distance to the positive where that is smaller.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[slope.Tensor, slope.Tensor], slope.Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        self.distance_function = distance_function or slope.pairwise_distance
        self.margin, self.swap, self.reduction = margin, swap, reduction

    def __call__(
        self, anchor: slope.Tensor, positive: slope.Tensor, negative: slope.Tensor
    ) -> slope.Tensor:
        """The loss."""
        near = self.distance_function(anchor, positive)
        far = self.distance_function(anchor, negative)
        if self.swap:
            far = slope.minimum(far, self.distance_function(positive, negative))
        return slope.hinge_embedding_loss(
            far - near, -slope.ones_like(near), margin=self.margin, reduction=self.reduction
        )
