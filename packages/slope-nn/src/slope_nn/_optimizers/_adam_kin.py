"""Relatives of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

from typing import Any, ClassVar

import slope
from slope_nn._checks import flag
from slope_nn._optimizers._adam import Moments
from slope_nn._optimizers._base import Groups, Number


class Adamax(Moments):
    r"""Adam with the largest gradient in place of the root of squares, as ``torch.optim.Adamax``.

    For each parameter p with gradient g (weight decay added), at step t = 1, 2, ...::

        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, |g| + eps)
        p = p - lr / (1 - beta1**t) * m / u

    Source: D. Kingma, J. Ba, "Adam", ICLR 2015, section 7.1.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        betas: decay rates of the running mean and of the largest gradient.
        eps: keeps the division finite.
        weight_decay: the factor of the L2 penalty's gradient.
        groups: filters with settings of their own (all but betas); see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    def __init__(
        self,
        model: Any,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(model, lr, betas, eps, weight_decay, groups, maximize=maximize)

    def prepare(self) -> None:
        self.rate = self.lr / self._next()[0]

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        mean, largest = state
        mean = mean + self._rest1 * (gradient - mean)
        largest = slope.maximum(largest - self._rest2 * largest, slope.abs(gradient) + self.eps)
        return parameter - self.rate * (mean / largest), (mean, largest)


class NAdam(Moments):
    r"""Adam with Nesterov's momentum, by the formulas of ``torch.optim.NAdam``.

    With ``mu(t) = beta1 * (1 - 0.96**(t * momentum_decay) / 2)`` and M(t) the product of all up to
    mu(t), at step t = 1, 2, ...::

        p = p - lr * (mu(t + 1) / (1 - M(t + 1)) * m + (1 - mu(t)) / (1 - M(t)) * g)
                 / (sqrt(v / (1 - beta2**t)) + eps)

    m and v as of :class:`Adam`. Source: T. Dozat, "Incorporating Nesterov momentum into Adam",
    ICLR workshop 2016.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: keeps the division finite.
        weight_decay: the factor of the L2 penalty's gradient.
        momentum_decay: how fast the momentum grows to beta1.
        decoupled_weight_decay: take the decay off the parameter as :class:`AdamW` does, and not
            through the gradient.
        groups: filters with settings of their own (all but betas); see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    _counts: bool = True
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "eps", "momentum_decay"})

    momentum_decay: Any
    ahead: Any
    now: Any
    root: Any

    def __init__(
        self,
        model: Any,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        momentum_decay: Number = 4e-3,
        decoupled_weight_decay: bool = False,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        self._product = 1.0
        if flag("NAdam", "decoupled_weight_decay", decoupled_weight_decay):
            self.decoupled_weight_decay = True
        super().__init__(
            model,
            lr,
            betas,
            eps,
            weight_decay,
            groups,
            momentum_decay=momentum_decay,
            maximize=maximize,
        )
        self._product = self.wide(self._product)

    def _momentum(self, step: Any) -> Any:
        return (1.0 - self._rest1) * (1.0 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def advance(self) -> None:
        self._product = self._product * self._momentum(self.wide(self.steps) + 1.0)
        super().advance()

    def prepare(self) -> None:
        now, ahead = self._momentum(self.steps + 1.0), self._momentum(self.steps + 2.0)
        product = self._product * now
        self.now = self.lr * (1.0 - now) / (1.0 - product)
        self.ahead = self.lr * ahead / (1.0 - product * ahead)
        self.root = slope.sqrt(self._next()[1])
        self.guard = self.eps * self.root

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        mean, square = self.moments(gradient, state)
        step = self.ahead * mean + self.now * gradient
        step = step * self.root / (slope.sqrt(square) + self.guard)
        return self.decayed(parameter) - step, (mean, square)


class RAdam(Moments):
    r"""Adam that waits for its squares to settle, by the formulas of ``torch.optim.RAdam``.

    With ``rho(t) = rho - 2 t beta2**t / (1 - beta2**t)``, ``rho = 2 / (1 - beta2) - 1``, at step
    t = 1, 2, ... the step of :class:`Adam` is scaled by the root of::

        (rho(t) - 4) (rho(t) - 2) rho / ((rho - 4) (rho - 2) rho(t))

    where rho(t) is above 5; before, the step is ``lr * m / (1 - beta1**t)``. Source: L. Liu et al.,
    "On the variance of the adaptive learning rate and beyond", ICLR 2020.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: keeps the division finite.
        weight_decay: the factor of the L2 penalty's gradient.
        decoupled_weight_decay: take the decay off the parameter as :class:`AdamW` does, and not
            through the gradient.
        groups: filters with settings of their own (all but betas); see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    _counts: bool = True

    plain: Any

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        decoupled_weight_decay: bool = False,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        if flag("RAdam", "decoupled_weight_decay", decoupled_weight_decay):
            self.decoupled_weight_decay = True
        super().__init__(model, lr, betas, eps, weight_decay, groups, maximize=maximize)

    def prepare(self) -> None:
        settled1, settled2 = self._next()
        most = 2.0 / self._rest2 - 1.0
        now = most - 2.0 * (self.steps + 1.0) * (1.0 - settled2) / settled2
        ready = now > 5.0
        safe = slope.where(ready, now, 5.0)
        variance = (safe - 4.0) * (safe - 2.0) * most / ((most - 4.0) * (most - 2.0) * safe)
        rate = self.lr / settled1
        self.rate = slope.where(ready, rate * slope.sqrt(variance * settled2), 0.0)
        self.plain = slope.where(ready, 0.0, rate)

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        mean, square = self.moments(gradient, state)
        scale = self.rate / (slope.sqrt(square) + self.eps) + self.plain
        return self.decayed(parameter) - scale * mean, (mean, square)
