"""Adam, AdamW, and LAMB."""

from __future__ import annotations

from typing import Any, ClassVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import flag
from slope_nn._optimizers._base import Groups, Number, Optimizer, hyperparameter


def rest_of_betas(who: str, betas: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """``1 - beta`` of each decay rate, checked.

    The rest is what is kept: 0.001 is exact to 8 digits in float32, and 1 - 0.999 only to 4.
    """
    try:
        given = tuple(betas)
    except TypeError:
        given = ()
    if len(given) != len(names):
        raise ArgumentError(f"{who}: betas must be {len(names)} numbers, not {betas!r}.")
    rests = {}
    for name, beta in zip(names, given, strict=True):
        if not isinstance(beta, slope.Tensor):
            beta = hyperparameter(who, "each of betas", beta, optional=False)
            if not beta < 1:
                raise ArgumentError(
                    f"{who}: each of betas must be at least 0 and below 1, not {beta!r}."
                )
        rests[name] = 1.0 - beta
    return rests


class Moments(Optimizer):
    """Running means of the gradient and its square, and how far they are from settled."""

    decoupled_weight_decay: bool = False
    _required: ClassVar[frozenset[str]] = frozenset({"lr", "eps"})
    _rest1: Any
    _rest2: Any

    eps: Any
    rate: Any
    guard: Any

    _parts: ClassVar[tuple[str, ...]] = ("m", "v", "largest")

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        groups: Groups = (),
        **more: Any,
    ) -> None:
        # 1 - beta ** steps, brought on from step to step: a power would lose digits in float32.
        self._settled1 = 0.0
        self._settled2 = 0.0
        super().__init__(
            model, groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **more
        )
        self._settled1 = self.wide(self._settled1)
        self._settled2 = self.wide(self._settled2)
        if any("_rest1" in group.__dict__ for group in self.groups):
            raise ArgumentError(
                f"{type(self).__name__}: a group cannot set betas; make an optimizer for each part."
            )

    @property
    def betas(self) -> tuple[Any, Any]:
        """The decay rates of the running means of the gradient and of its square."""
        return 1.0 - self._rest1, 1.0 - self._rest2

    @betas.setter
    def betas(self, betas: tuple[Number, Number]) -> None:
        for name, rest in self.setting("betas", betas).items():
            setattr(self, name, rest)

    def setting(self, name: str, value: Any) -> dict[str, Any]:
        if name == "betas":
            return rest_of_betas(type(self).__name__, value, ("_rest1", "_rest2"))
        return super().setting(name, value)

    def initial(self, parameter: slope.Tensor) -> Any:
        return slope.zeros_like(parameter), slope.zeros_like(parameter)

    def _next(self) -> tuple[Any, Any]:
        return (
            self._settled1 + self._rest1 * (1.0 - self._settled1),
            self._settled2 + self._rest2 * (1.0 - self._settled2),
        )

    def advance(self) -> None:
        self._settled1, self._settled2 = self._next()
        super().advance()

    def moments(self, gradient: slope.Tensor, state: Any) -> tuple[slope.Tensor, slope.Tensor]:
        """The new running means of the gradient and of its square."""
        mean, square = state[:2]
        mean = mean + self._rest1 * (gradient - mean)
        square = square + self._rest2 * (gradient * gradient - square)
        return mean, square

    def prepare(self) -> None:
        settled1, settled2 = self._next()
        root = slope.sqrt(settled2)
        # lr * (m / c1) / (sqrt(v / c2) + eps), with the numbers drawn together.
        self.rate = self.lr * root / settled1
        self.guard = self.eps * root

    def step(self, mean: slope.Tensor, square: slope.Tensor) -> Any:
        """The mean gradient over the root of the mean square, at the learning rate."""
        return self.rate * (mean / (slope.sqrt(square) + self.guard))

    def __repr__(self) -> str:
        first, rest = super().__repr__().split("(", 1)
        return f"{first}(betas={self.betas!r}, {rest}"


class Adam(Moments):
    r"""Adaptive moment estimation, by the formulas of ``torch.optim.Adam``.

    For each parameter p with gradient g, at step t = 1, 2, ...::

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    Source: D. Kingma, J. Ba, "Adam", ICLR 2015.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: keeps the division finite.
        weight_decay: the factor of the L2 penalty's gradient.
        amsgrad: divide by the root of the largest v so far. Source: S. Reddi, S. Kale, S. Kumar,
            "On the convergence of Adam and beyond", ICLR 2018.
        groups: filters with settings of their own (all but betas); see :class:`Optimizer`.
        maximize: go up the gradients and not down.
        decoupled_weight_decay: as :class:`AdamW`.

    Example:
        >>> optimizer = nn.Adam(model, lr=nn.CosineSchedule(1e-3, 1000, warmup=50))
        >>> model, optimizer = optimizer(model, gradients)
    """

    amsgrad: bool = False  # an instance holds the field only while it differs

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        amsgrad: bool = False,
        groups: Groups = (),
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if flag(type(self).__name__, "amsgrad", amsgrad):
            self.amsgrad = True
        if flag(type(self).__name__, "decoupled_weight_decay", decoupled_weight_decay):
            self.decoupled_weight_decay = True
        super().__init__(model, lr, betas, eps, weight_decay, groups, maximize=maximize)

    def initial(self, parameter: slope.Tensor) -> Any:
        largest = (slope.zeros_like(parameter),) if self.amsgrad else ()
        return *super().initial(parameter), *largest

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        mean, square = self.moments(gradient, state)
        if not self.amsgrad:
            return self.decayed(parameter) - self.step(mean, square), (mean, square)
        largest = slope.maximum(state[2], square)
        return self.decayed(parameter) - self.step(mean, largest), (mean, square, largest)


class AdamW(Adam):
    r"""Adam with weight decay apart from the gradient, by the formulas of ``torch.optim.AdamW``.

    As :class:`Adam` without its first line, and then ``p = p - lr * weight_decay * p``, with the
    p before the step. Source: I. Loshchilov, F. Hutter, "Decoupled weight decay regularization",
    ICLR 2019.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: keeps the division finite.
        weight_decay: how much of itself each parameter loses in a step, times lr.
        amsgrad: see :class:`Adam`.
        groups: filters with settings of their own (all but betas), such as ``[(lambda name,
            tensor: tensor.ndim < 2, {"weight_decay": 0.0})]``; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    decoupled_weight_decay: bool = True

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.01,
        amsgrad: bool = False,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(model, lr, betas, eps, weight_decay, amsgrad, groups, maximize=maximize)


class LAMB(Moments):
    r"""Layer-wise adaptive moments for large batches.

    Adam's step r (weight decay added to it) is scaled to the parameter's own length::

        r = (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps) + weight_decay * p
        p = p - lr * |p| / |r| * r          (the ratio is 1 where |p| or |r| is 0)

    Source: Y. You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2 with
    phi the identity.

    Args:
        model: a module or any pytree of tensors.
        lr: the learning rate, a number or a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: keeps the division finite.
        weight_decay: the factor of the parameter in the step.
        groups: filters with settings of their own (all but betas); see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    decoupled_weight_decay: bool = True

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-6,
        weight_decay: Number = 0.0,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(model, lr, betas, eps, weight_decay, groups, maximize=maximize)

    def prepare(self) -> None:
        settled1, settled2 = self._next()
        root = slope.sqrt(settled2)
        self.rate = root / settled1
        self.guard = self.eps * root

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        mean, square = self.moments(gradient, state)
        step = self.step(mean, square)
        if self.weight_decay is not None:
            step = step + self.weight_decay * parameter
        own = slope.sqrt((parameter * parameter).sum())
        length = slope.sqrt((step * step).sum())
        known = slope.logical_and(own > 0, length > 0)
        ratio = slope.where(known, own / slope.where(known, length, 1.0), 1.0)
        return parameter - (self.lr * ratio) * step, (mean, square)
