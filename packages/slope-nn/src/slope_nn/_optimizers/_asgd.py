"""Averaged gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import slope
from slope_nn._optimizers._base import Groups, Number, Optimizer

Model = TypeVar("Model")


class ASGD(Optimizer):
    r"""Gradient descent that also keeps the mean of its points, as ``torch.optim.ASGD``.

    For each parameter p with gradient g (weight decay added), at step t = 0, 1, ...::

        eta = lr / (1 + lambd * lr * t) ** alpha
        p = p * (1 - lambd * eta) - eta * g
        a = a + (p - a) / max(1, t - t0)

    :meth:`averaged` gives the model with the means a. Source: B. Polyak, A. Juditsky,
    "Acceleration of stochastic approximation by averaging", SIAM J. Control and Optimization 30,
    1992.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        lambd: how much of itself each parameter loses in a step, times eta.
        alpha: how fast eta falls.
        t0: the step after which the mean starts; before, it is the parameter.
        weight_decay: the factor of the L2 penalty's gradient.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    decoupled_weight_decay: bool = False
    _counts: bool = True
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "lambd", "alpha", "t0"})

    lambd: Any
    alpha: Any
    t0: Any
    eta: Any
    share: Any

    _parts: ClassVar[tuple[str, ...]] = ("mean",)

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-2,
        lambd: Number = 1e-4,
        alpha: Number = 0.75,
        t0: Number = 1e6,
        weight_decay: Number = 0.0,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            model,
            groups,
            lr=lr,
            lambd=lambd,
            alpha=alpha,
            t0=t0,
            weight_decay=weight_decay,
            maximize=maximize,
        )

    def initial(self, parameter: slope.Tensor) -> Any:
        return parameter

    def prepare(self) -> None:
        done = self.steps * 1.0
        self.eta = self.lr / (1.0 + self.lambd * self.lr * done) ** self.alpha
        self.share = 1.0 / slope.maximum(done - self.t0, 1.0)

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        new = parameter * (1.0 - self.lambd * self.eta) - self.eta * gradient
        return new, state + self.share * (new - state)

    def averaged(self, model: Model) -> Model:
        """The model with the mean of each trained parameter in its place.

        Args:
            model: what the optimizer was made for, at any later stage.
        """
        leaves, structure = slope.tree_flatten(model)
        pairs = zip(leaves, self._state, strict=True)
        means = [leaf if mean is None else mean.astype(leaf.dtype) for leaf, mean in pairs]
        return slope.tree_unflatten(structure, means)
