"""Losses of labels as modules, and what aligns sequences that nobody has aligned."""

from __future__ import annotations

from collections.abc import Callable

import slope
from slope_nn._ctc import ctc_loss
from slope_nn._module import Module
from slope_nn._node import Buffer


class SoftMarginLoss(Module):
    """Mean of ``log(1 + exp(-target * x))``, each target 1 or -1."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.soft_margin_loss(x, target, self.reduction)


class MultiLabelMarginLoss(Module):
    """Margins between all right and all wrong classes; see ``slope.multilabel_margin_loss``."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.multilabel_margin_loss(x, target, self.reduction)


class MultiLabelSoftMarginLoss(Module):
    """Cross-entropies of each class's yes or no; see ``slope.multilabel_soft_margin_loss``."""

    def __init__(self, weight: slope.Tensor | None = None, *, reduction: str = "mean") -> None:
        self.weight = None if weight is None else Buffer(weight)
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.multilabel_soft_margin_loss(x, target, self.weight, self.reduction)


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


class CTCLoss(Module):
    """How unlikely label sequences are whose places nobody knows; see :func:`ctc_loss`.

    Args:
        blank: the class of "no label".
        reduction: ``"mean"`` (of each loss through its target's length), ``"sum"`` or ``"none"``.
        zero_infinity: count targets that do not fit into their inputs as 0 instead of infinity.
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def __call__(
        self,
        log_probs: slope.Tensor,
        targets: slope.Tensor,
        input_lengths: slope.Tensor,
        target_lengths: slope.Tensor,
    ) -> slope.Tensor:
        """The loss."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
