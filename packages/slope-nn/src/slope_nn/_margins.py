"""Losses of margins and distances as modules: each calls the function of its name in ``slope``."""

from __future__ import annotations

import slope
from slope_nn._losses import Loss
from slope_nn._module import Module


class GaussianNLLLoss(Loss):
    """Mean of ``(log(var) + (x - target)**2 / var) / 2``; see ``slope.gaussian_nll_loss``."""

    _function = staticmethod(slope.gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(full=full, eps=eps, reduction=reduction)


class MarginRankingLoss(Loss):
    """Mean of ``max(0, margin - target * (x1 - x2))``, each target 1 or -1."""

    _function = staticmethod(slope.margin_ranking_loss)

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class HingeEmbeddingLoss(Loss):
    """Mean of ``x`` where the target is 1, of ``max(0, margin - x)`` where it is -1."""

    _function = staticmethod(slope.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class MultiMarginLoss(Loss):
    """Mean of ``max(0, margin - x[right] + x[class])**p`` over the wrong classes.

    See ``slope.multi_margin_loss``.
    """

    _function = staticmethod(slope.multi_margin_loss)

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: slope.Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(p=p, margin=margin, weight=weight, reduction=reduction)


class PairwiseDistance(Module):
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.p = p
        self.eps = eps
        self.keepdim = keepdim

    def __call__(self, x1: slope.Tensor, x2: slope.Tensor) -> slope.Tensor:
        """The distances of shape (...), of vectors of shape (..., length)."""
        return slope.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along ``dim``; norms count as at least ``eps``."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def __call__(self, x1: slope.Tensor, x2: slope.Tensor) -> slope.Tensor:
        """The cosines, without the dimension ``dim``."""
        return slope.cosine_similarity(x1, x2, self.dim, self.eps)
