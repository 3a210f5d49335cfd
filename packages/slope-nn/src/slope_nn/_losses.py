"""Losses as modules: each is a function of ``slope``, where its formula stands, with its options.

``reduction`` is "mean", "sum" or "none" in all of them, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import slope
from slope_nn._module import Module
from slope_nn._node import Buffer


class Loss(Module):
    """The base of losses: a function of ``slope`` with its options as fields.

    Args:
        options: the function's, by name; tensors among them are buffers.
    """

    _function: ClassVar[Callable[..., slope.Tensor]]
    reduction: str

    def __init__(self, **options: Any) -> None:
        self._options = tuple(options)
        for name, value in options.items():
            setattr(self, name, Buffer(value) if isinstance(value, slope.Tensor) else value)

    def __call__(self, *inputs: slope.Tensor) -> slope.Tensor:
        """The loss; inputs as the function takes them, predictions first."""
        options = {name: getattr(self, name) for name in self._options}
        return self._function(*inputs, **options)


class PlainLoss(Loss):
    """The base of losses that have no option but their reduction."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class MSELoss(PlainLoss):
    """Mean of ``(x - target)**2``."""

    _function = staticmethod(slope.mse_loss)


class L1Loss(PlainLoss):
    """Mean of ``|x - target|``."""

    _function = staticmethod(slope.l1_loss)


class HuberLoss(Loss):
    """Squared below ``delta``, linear above: ``d**2 / 2`` or ``delta * (|d| - delta / 2)``."""

    _function = staticmethod(slope.huber_loss)

    def __init__(self, *, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(delta=delta, reduction=reduction)


class SmoothL1Loss(Loss):
    """Squared below ``beta``, linear above: ``d**2 / (2 beta)`` or ``|d| - beta / 2``."""

    _function = staticmethod(slope.smooth_l1_loss)

    def __init__(self, *, beta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(beta=beta, reduction=reduction)


class KLDivLoss(Loss):
    """Mean of ``target * (log(target) - x)``, x a logarithm; see ``slope.kl_div``."""

    _function = staticmethod(slope.kl_div)

    def __init__(self, *, log_target: bool = False, reduction: str = "mean") -> None:
        super().__init__(log_target=log_target, reduction=reduction)


class PoissonNLLLoss(Loss):
    """Negative log likelihood of counts by Poisson rates."""

    _function = staticmethod(slope.poisson_nll_loss)

    def __init__(
        self,
        *,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(log_input=log_input, full=full, eps=eps, reduction=reduction)


class CosineEmbeddingLoss(Loss):
    """``1 - cos(x1, x2)`` where target is 1, ``max(0, cos - margin)`` where it is -1."""

    _function = staticmethod(slope.cosine_embedding_loss)

    def __init__(self, *, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class TripletMarginLoss(Loss):
    """``max(0, |anchor - positive| - |anchor - negative| + margin)``."""

    _function = staticmethod(slope.triplet_margin_loss)

    def __init__(
        self,
        *,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


class CrossEntropyLoss(Loss):
    """Cross entropy of logits (n, classes, ...) against classes or probabilities.

    Rows of the class ``ignore_index`` count nothing; see :func:`slope.cross_entropy`.
    """

    _function = staticmethod(slope.cross_entropy)

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        ignore_index: int | None = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )


class NLLLoss(Loss):
    """Minus the log probability, (n, classes, ...), of each class given."""

    _function = staticmethod(slope.nll_loss)

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        ignore_index: int | None = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction)


class BCELoss(Loss):
    """``-(target * log(x) + (1 - target) * log(1 - x))``, x a probability."""

    _function = staticmethod(slope.binary_cross_entropy)

    def __init__(self, weight: slope.Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of logits, stable for large ones."""

    _function = staticmethod(slope.binary_cross_entropy_with_logits)

    def __init__(
        self,
        weight: slope.Tensor | None = None,
        *,
        pos_weight: slope.Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight=weight, pos_weight=pos_weight, reduction=reduction)


class CTCLoss(Loss):
    """Connectionist temporal classification of unaligned sequences; see ``slope.ctc_loss``.

    It takes log-probabilities (time, batch, classes), targets (batch, most), and both lengths.

    Args:
        blank: the class that is no label.
        reduction: as everywhere; the mean is of losses divided by their number of labels.
        zero_infinity: count sequences that do not fit into their time as 0.
    """

    _function = staticmethod(slope.ctc_loss)

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(blank=blank, reduction=reduction, zero_infinity=zero_infinity)
