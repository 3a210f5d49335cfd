"""Lion: steps by the sign of a momentum."""

from __future__ import annotations

from typing import Any, ClassVar

import slope
from slope_nn._optimizers._adam import rest_of_betas
from slope_nn._optimizers._base import Groups, Number, Optimizer


class Lion(Optimizer):
    r"""Steps of one size, by the sign of an interpolated momentum.

    For each parameter p with gradient g::

        p = p * (1 - lr * weight_decay) - lr * sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g

    Source: X. Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675,
    algorithm 2.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule; about a tenth of Adam's.
        betas: how much of the momentum the step takes, and its decay rate.
        weight_decay: how much of itself each parameter loses in a step, times lr.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    _rest1: Any
    _rest2: Any

    _parts: ClassVar[tuple[str, ...]] = ("m",)

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-4,
        betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: Number = 0.0,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            model, groups, lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize
        )

    @property
    def betas(self) -> tuple[Any, Any]:
        """How much of the momentum the step takes, and its decay rate."""
        return 1.0 - self._rest1, 1.0 - self._rest2

    @betas.setter
    def betas(self, betas: tuple[Number, Number]) -> None:
        for name, rest in self.setting("betas", betas).items():
            setattr(self, name, rest)

    def setting(self, name: str, value: Any) -> dict[str, Any]:
        if name == "betas":
            return rest_of_betas("Lion", value, ("_rest1", "_rest2"))
        return super().setting(name, value)

    def initial(self, parameter: slope.Tensor) -> Any:
        return slope.zeros_like(parameter)

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        apart = gradient - state
        step = slope.sign(state + self._rest1 * apart)
        kept = self.decayed(parameter)
        return kept - self.lr * step, state + self._rest2 * apart
