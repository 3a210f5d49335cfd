"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import flag
from slope_nn._optimizers._base import Groups, Number, Optimizer, switched_on


class SGD(Optimizer):
    r"""Gradient descent with momentum, by the formulas of ``torch.optim.SGD``.

    For each parameter p with gradient g and velocity v (zero at the start)::

        g = g + weight_decay * p
        v = momentum * v + (1 - dampening) * g      (v = g at the first step)
        p = p - lr * v                              (nesterov: p - lr * (g + momentum * v))

    (I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
    2013; the learning rate outside of the velocity, as in PyTorch.)

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate; may be changed at any time (``optimizer.lr = 0.01``) and compiles
            nothing.
        momentum: 0 keeps no velocity.
        dampening: how much of the gradient the velocity leaves out.
        weight_decay: the factor of the L2 penalty's gradient.
        nesterov: look ahead along the velocity; needs momentum and no dampening.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.

    Example:
        >>> optimizer = nn.SGD(model, lr=0.1, momentum=0.9)
        >>> loss, gradients = slope.value_and_grad(loss_of)(model, images, labels)
        >>> model, optimizer = optimizer(model, gradients)
    """

    decoupled_weight_decay: bool = False
    momentum: Any
    dampening: Any

    _parts: ClassVar[tuple[str, ...]] = ("velocity",)

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        momentum: Number = 0.0,
        dampening: Number = 0.0,
        weight_decay: Number = 0.0,
        nesterov: bool = False,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        self.nesterov = flag("SGD", "nesterov", nesterov)
        # Only dampening treats the first step in another way than starting from zero does.
        self._counts = switched_on(momentum) and switched_on(dampening)
        super().__init__(
            model,
            groups,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            dampening=dampening,
            maximize=maximize,
        )
        if nesterov and (self.momentum is None or self.dampening is not None):
            raise ArgumentError(
                f"SGD: nesterov needs momentum > 0 and dampening = 0, not {momentum!r} and "
                f"{dampening!r}."
            )

    def initial(self, parameter: slope.Tensor) -> Any:
        return () if self.momentum is None else slope.zeros_like(parameter)

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        if self.momentum is None:
            return parameter - self.lr * gradient, state
        if isinstance(state, tuple):
            raise ArgumentError(
                "SGD: momentum was switched on after the optimizer was made without; "
                "make a new one."
            )
        damped = gradient
        if self.steps is not None and self.dampening is not None:
            damped = gradient * slope.where(self.steps == 0, 1.0, 1.0 - self.dampening)
        velocity = self.momentum * state + damped
        step = gradient + self.momentum * velocity if self.nesterov else velocity
        return parameter - self.lr * step, velocity
