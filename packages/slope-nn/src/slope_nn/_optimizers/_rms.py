"""RMSprop and Adagrad: steps divided by the root of summed squares."""

from __future__ import annotations

from typing import Any, ClassVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import flag
from slope_nn._optimizers._base import Groups, Number, Optimizer


class RMSprop(Optimizer):
    r"""Gradients divided by their running root mean square, as ``torch.optim.RMSprop``.

    For each parameter p with gradient g::

        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g       (centered: v - a**2 in place of v below)
        b = momentum * b + g / (sqrt(v) + eps)
        p = p - lr * b

    Source: T. Tieleman, G. Hinton, "Neural networks for machine learning", lecture 6.5, 2012; with
    momentum and centering as A. Graves, arXiv:1308.0850.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        alpha: decay rate of the running means.
        eps: keeps the division finite.
        weight_decay: the factor of the L2 penalty's gradient.
        momentum: 0 keeps no velocity.
        centered: divide by the standard deviation.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    decoupled_weight_decay: bool = False
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "alpha", "eps"})

    alpha: Any
    eps: Any
    momentum: Any

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        momentum: Number = 0.0,
        centered: bool = False,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        self.centered = flag("RMSprop", "centered", centered)
        super().__init__(
            model,
            groups,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            maximize=maximize,
        )

    def initial(self, parameter: slope.Tensor) -> Any:
        zero = slope.zeros_like(parameter)
        return {
            "square": zero,
            **({"mean": zero} if self.centered else {}),
            **({} if self.momentum is None else {"velocity": zero}),
        }

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        rest = 1.0 - self.alpha
        new = {"square": state["square"] + rest * (gradient * gradient - state["square"])}
        spread = new["square"]
        if self.centered:
            new["mean"] = state["mean"] + rest * (gradient - state["mean"])
            spread = spread - new["mean"] * new["mean"]
        step = gradient / (slope.sqrt(spread) + self.eps)
        if self.momentum is not None:
            if "velocity" not in state:
                raise ArgumentError(
                    "RMSprop: momentum was switched on after the optimizer was made without; "
                    "make a new one."
                )
            step = self.momentum * state["velocity"] + step
            new["velocity"] = step
        return parameter - self.lr * step, new


class Adagrad(Optimizer):
    r"""Gradients divided by the root of the sum of all squares so far, as ``torch.optim.Adagrad``.

    For each parameter p with gradient g, at step t = 0, 1, ...::

        g = g + weight_decay * p
        s = s + g**2
        p = p - lr / (1 + t * lr_decay) * g / (sqrt(s) + eps)

    Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        lr_decay: how fast it falls.
        weight_decay: the factor of the L2 penalty's gradient.
        initial_accumulator_value: the sum of squares at the start.
        eps: keeps the division finite.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    decoupled_weight_decay: bool = False
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "eps"})

    lr_decay: Any
    initial_accumulator_value: Any
    eps: Any
    rate: Any

    _parts: ClassVar[tuple[str, ...]] = ("sum",)

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-2,
        lr_decay: Number = 0.0,
        weight_decay: Number = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: Number = 1e-10,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        self._counts = True
        super().__init__(
            model,
            groups,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def initial(self, parameter: slope.Tensor) -> Any:
        return slope.full_like(parameter, self.initial_accumulator_value or 0.0)

    def prepare(self) -> None:
        self.rate = self.lr
        if self.lr_decay is not None:
            self.rate = self.lr / (1.0 + self.steps * self.lr_decay)

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        total = state + gradient * gradient
        return parameter - self.rate * (gradient / (slope.sqrt(total) + self.eps)), total


class Adadelta(Optimizer):
    r"""Steps as large as the last ones were, by the formulas of ``torch.optim.Adadelta``.

    For each parameter p with gradient g (weight decay added)::

        v = rho * v + (1 - rho) * g**2
        d = sqrt((u + eps) / (v + eps)) * g
        u = rho * u + (1 - rho) * d**2
        p = p - lr * d

    Source: M. Zeiler, "Adadelta", arXiv:1212.5701.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        rho: the decay rate of the running means.
        eps: starts the steps, and keeps the division finite.
        weight_decay: the factor of the L2 penalty's gradient.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    decoupled_weight_decay: bool = False
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "rho", "eps"})

    rho: Any
    eps: Any

    _parts: ClassVar[tuple[str, ...]] = ("square", "steps")

    def __init__(
        self,
        model: Any,
        lr: Number = 1.0,
        rho: Number = 0.9,
        eps: Number = 1e-6,
        weight_decay: Number = 0.0,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            model, groups, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize
        )

    def initial(self, parameter: slope.Tensor) -> Any:
        return slope.zeros_like(parameter), slope.zeros_like(parameter)

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        square, steps = state
        square = gradient * gradient + self.rho * (square - gradient * gradient)
        step = gradient * slope.sqrt((steps + self.eps) / (square + self.eps))
        steps = step * step + self.rho * (steps - step * step)
        return parameter - self.lr * step, (square, steps)
