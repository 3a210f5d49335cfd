"""Muon: orthogonalized momentum for matrices."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, Final, Self, TypeVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import flag, real, whole
from slope_nn._filters import Filter, selected
from slope_nn._optimizers._base import Groups, Number, Optimizer

Model = TypeVar("Model")

_RATES: Final = ("original", "match_rms_adamw")


class Muon(Optimizer):
    r"""Momentum whose singular values are brought near 1, as ``torch.optim.Muon``.

    For each matrix p with gradient g::

        m = m + (1 - momentum) * (g - m)
        u = g + momentum * (m - g)                    (nesterov; else u = m)
        p = p * (1 - lr * weight_decay) - lr * r * orthogonal(u)

    with ``orthogonal(u)`` by ``ns_steps`` steps of ``x = a x + (b x x^T + c (x x^T)^2) x`` from
    ``u / max(|u|, eps)``, and r as ``adjust_lr_fn`` says. The steps are worked out in the
    parameter's dtype (PyTorch's in bfloat16).

    Only matrices that are weights of linear maps should be trained by it: the rest, and embeddings
    and heads, are for another optimizer, which ``rest=`` takes. Source: K. Jordan et al., "Muon: an
    optimizer for hidden layers in neural networks", 2024; J. Liu et al., arXiv:2502.16982.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        weight_decay: how much of itself each parameter loses in a step, times lr.
        momentum: the decay rate of the running mean.
        nesterov: look ahead along the momentum.
        ns_coefficients: a, b and c.
        eps: the least norm to divide by.
        ns_steps: how many steps.
        adjust_lr_fn: for a matrix of shape (n, m): ``"original"`` (the default) takes
            ``r = sqrt(max(1, n / m))``, ``"match_rms_adamw"`` ``r = 0.2 sqrt(max(n, m))``, so that
            rates that suit AdamW do.
        groups: filters with settings of their own; see :class:`Optimizer`.
        rest: an optimizer for the same model, which trains all other parameters.
        where: a filter of the parameters to train by Muon, all of them matrices; by default all
            matrices (without ``rest``, there must be nothing else to train).
        maximize: go up the gradients and not down.

    Example:
        >>> hidden = lambda name, tensor: tensor.ndim == 2 and "embed" not in name
        >>> optimizer = nn.Muon(model, lr=0.02, rest=nn.AdamW(model, lr=3e-4), where=hidden)
    """

    _static: ClassVar[frozenset[str]] = frozenset(
        {"_group_of", "_mine", "ns_coefficients", "ns_steps", "nesterov", "adjust_lr_fn"}
    )
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "momentum", "eps"})

    momentum: Any
    eps: Any

    _parts: ClassVar[tuple[str, ...]] = ("velocity",)

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        weight_decay: Number = 0.1,
        momentum: Number = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: Number = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        groups: Groups = (),
        *,
        rest: Optimizer | None = None,
        where: Filter | None = None,
        maximize: bool = False,
    ) -> None:
        self.nesterov = flag("Muon", "nesterov", nesterov)
        if not isinstance(ns_coefficients, tuple | list) or len(ns_coefficients) != 3:
            raise ArgumentError(
                f"Muon: ns_coefficients must be three numbers, not {ns_coefficients!r:.60}."
            )
        self.ns_coefficients = tuple(real("Muon", "each", each) for each in ns_coefficients)
        self.ns_steps = whole("Muon", "ns_steps", ns_steps)
        if adjust_lr_fn is not None and adjust_lr_fn not in _RATES:
            raise ArgumentError(
                f"Muon: adjust_lr_fn must be 'original' or 'match_rms_adamw', not "
                f"{adjust_lr_fn!r:.60}."
            )
        self.adjust_lr_fn = adjust_lr_fn or "original"
        if rest is not None and not isinstance(rest, Optimizer):
            raise ArgumentError(f"Muon: rest must be an optimizer, not {rest!r:.60}.")
        self.rest = rest
        leaves = slope.tree_leaves(model)
        self._mine = (
            tuple(getattr(leaf, "ndim", 0) == 2 for leaf in leaves)
            if where is None
            else tuple(selected("Muon: where", model, where))
        )
        super().__init__(
            model,
            groups,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            eps=eps,
            maximize=maximize,
        )
        places = zip(self._names, leaves, self._mine, self._state, strict=True)
        for name, leaf, mine, state in places:
            if state is not None and (leaf.ndim != 2 if mine else rest is None):
                raise ArgumentError(
                    f"Muon: {name!r} is {leaf.type}, and only matrices are trained by Muon. Give "
                    f"another optimizer for the rest, Muon(model, rest=nn.AdamW(model)), or freeze "
                    f"it."
                )
        self._state = tuple(
            state if mine else None for mine, state in zip(self._mine, self._state, strict=True)
        )

    def initial(self, parameter: slope.Tensor) -> Any:
        return slope.zeros_like(parameter)

    def __call__(self, model: Model, gradients: Any) -> tuple[Model, Self]:
        """One step; see :class:`Optimizer`."""
        if self.rest is None:
            return super().__call__(model, gradients)
        structure = slope.tree_structure(model)
        pairs = list(zip(structure.flatten_up_to(gradients), self._mine, strict=True))
        own = slope.tree_unflatten(structure, [g if mine else None for g, mine in pairs])
        others = slope.tree_unflatten(structure, [None if mine else g for g, mine in pairs])
        model, new = super().__call__(model, own)
        new = copy.copy(new)
        model, new.rest = self.rest(model, others)
        return model, new

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        mean = gradient + self.momentum * (state - gradient)
        step = gradient + self.momentum * (mean - gradient) if self.nesterov else mean
        rows, columns = parameter.shape
        if self.adjust_lr_fn == "original":
            ratio = math.sqrt(max(1.0, rows / columns))
        else:
            ratio = 0.2 * math.sqrt(max(rows, columns))
        return self.decayed(parameter) - (self.lr * ratio) * self._orthogonal(step), mean

    def _orthogonal(self, x: slope.Tensor) -> slope.Tensor:
        a, b, c = self.ns_coefficients
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / slope.maximum(slope.sqrt((x * x).sum()), self.eps)
        for _ in range(self.ns_steps):
            gram = x @ x.T
            x = a * x + (b * gram + c * (gram @ gram)) @ x
        return x.T if tall else x
