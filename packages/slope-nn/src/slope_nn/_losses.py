"""Losses as modules: each calls the function of its name in ``slope``, where its formula stands.

``reduction`` is "mean", "sum" or "none" in all of them, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence

import slope
from slope_nn._module import Module
from slope_nn._node import Buffer


class MSELoss(Module):
    """Mean of ``(x - target)**2``."""

    def __init__(
        self,
        *,
        reduction: str = "mean",
    ) -> None:
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.mse_loss(x, target, reduction=self.reduction)


class L1Loss(Module):
    """Mean of ``|x - target|``."""

    def __init__(
        self,
        *,
        reduction: str = "mean",
    ) -> None:
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.l1_loss(x, target, reduction=self.reduction)


class HuberLoss(Module):
    """Squared below ``delta``, linear above: ``d**2 / 2`` or ``delta * (|d| - delta / 2)``."""

    def __init__(
        self,
        *,
        delta: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        self.delta = delta
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.huber_loss(x, target, delta=self.delta, reduction=self.reduction)


class SmoothL1Loss(Module):
    """Squared below ``beta``, linear above: ``d**2 / (2 beta)`` or ``|d| - beta / 2``."""

    def __init__(
        self,
        *,
        beta: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        self.beta = beta
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.smooth_l1_loss(x, target, beta=self.beta, reduction=self.reduction)


class KLDivLoss(Module):
    """Mean of ``target * (log(target) - x)``, x a logarithm; see ``slope.kl_div``."""

    def __init__(
        self,
        *,
        log_target: bool = False,
        reduction: str = "mean",
    ) -> None:
        self.log_target = log_target
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.kl_div(
            x,
            target,
            log_target=self.log_target,
            reduction=self.reduction,
        )


class PoissonNLLLoss(Module):
    """Negative log likelihood of counts by Poisson rates."""

    def __init__(
        self,
        *,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        self.log_input = log_input
        self.full = full
        self.eps = eps
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.poisson_nll_loss(
            x,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class CosineEmbeddingLoss(Module):
    """``1 - cos(x1, x2)`` where target is 1, ``max(0, cos - margin)`` where it is -1."""

    def __init__(
        self,
        *,
        margin: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        self.margin = margin
        self.reduction = reduction

    def __call__(self, x1: slope.Tensor, x2: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.cosine_embedding_loss(
            x1, x2, target, margin=self.margin, reduction=self.reduction
        )


class TripletMarginLoss(Module):
    """``max(0, |anchor - positive| - |anchor - negative| + margin)``."""

    def __init__(
        self,
        *,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction = reduction

    def __call__(
        self, anchor: slope.Tensor, positive: slope.Tensor, negative: slope.Tensor
    ) -> slope.Tensor:
        """The loss."""
        return slope.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class CrossEntropyLoss(Module):
    """Cross entropy of logits (n, classes, ...) against classes or probabilities.

    Rows of the class ``ignore_index`` count nothing; see :func:`slope.cross_entropy`.
    """

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        ignore_index: int | None = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.cross_entropy(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class NLLLoss(Module):
    """Minus the log probability, (n, classes, ...), of each class given."""

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        ignore_index: int | None = -100,
        reduction: str = "mean",
    ) -> None:
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = ignore_index
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.nll_loss(
            x, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCELoss(Module):
    """``-(target * log(x) + (1 - target) * log(1 - x))``, x a probability."""

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        self.weight = None if weight is None else Buffer(weight)
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.binary_cross_entropy(x, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """Binary cross entropy of logits, stable for large ones."""

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        pos_weight: slope.Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        self.weight = None if weight is None else Buffer(weight)
        self.pos_weight = None if pos_weight is None else Buffer(pos_weight)
        self.reduction = reduction

    def __call__(self, x: slope.Tensor, target: slope.Tensor) -> slope.Tensor:
        """The loss."""
        return slope.binary_cross_entropy_with_logits(
            x, target, weight=self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class CTCLoss(Module):
    """Connectionist temporal classification of unaligned sequences; see ``slope.ctc_loss``.

    Args:
        blank: the class that is no label.
        reduction: as everywhere; the mean is of losses divided by their number of labels.
        zero_infinity: count sequences that do not fit into their time as 0.
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def __call__(
        self,
        log_probs: slope.Tensor,
        targets: slope.Tensor,
        input_lengths: slope.Tensor | Sequence[int],
        target_lengths: slope.Tensor | Sequence[int],
    ) -> slope.Tensor:
        """The loss; ``log_probs`` of shape (time, batch, classes), ``targets`` (batch, most)."""
        return slope.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
