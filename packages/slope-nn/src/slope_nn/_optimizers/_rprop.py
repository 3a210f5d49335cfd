"""Resilient backpropagation: steps by the signs of gradients."""

from __future__ import annotations

from typing import Any, ClassVar

import slope
from slope.extend import ArgumentError
from slope_nn._optimizers._base import Groups, Number, Optimizer, hyperparameter


class Rprop(Optimizer):
    r"""Steps by signs, longer while these stay, shorter where they turn, as ``torch.optim.Rprop``.

    Each element has a step size s, ``lr`` at the start. With gradient g, and the one before, g'::

        s = s * (etas[1] if g * g' > 0 else etas[0] if g * g' < 0 else 1), within step_sizes
        g = 0 if g * g' < 0
        p = p - s * sign(g)

    It is for gradients of all data at once. Source: M. Riedmiller, H. Braun, "A direct adaptive
    method for faster backpropagation learning", ICNN 1993.

    Args:
        model: a module or any pytree of tensors.
        lr: the step size at the start.
        etas: what a step size is multiplied with where the sign turned, and where it stayed.
        step_sizes: the smallest and the largest step size.
        groups: filters with settings of their own (all but lr); see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    _required: ClassVar[frozenset[str]] = frozenset({"lr", "shrink", "grow", "least", "most"})

    weight_decay = None
    shrink: Any
    grow: Any
    least: Any
    most: Any

    _parts: ClassVar[tuple[str, ...]] = ("previous", "rate")

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-2,
        etas: tuple[Number, Number] = (0.5, 1.2),
        step_sizes: tuple[Number, Number] = (1e-6, 50.0),
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(model, groups, lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def setting(self, name: str, value: Any) -> dict[str, Any]:
        if name == "lr":
            return super().setting(name, value)
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise ArgumentError(f"Rprop: {name} must be two numbers, not {value!r:.60}.")
        low, high = (hyperparameter("Rprop", f"each of {name}", v, optional=False) for v in value)
        if name == "step_sizes":
            return {"least": low, "most": high}
        if isinstance(low, float) and isinstance(high, float) and not 0 < low < 1 < high:
            raise ArgumentError(
                f"Rprop: etas must be a number below 1 and one above, not {value!r:.60}."
            )
        return {"shrink": low, "grow": high}

    def initial(self, parameter: slope.Tensor) -> Any:
        start = slope.zeros_like(parameter)
        return start, start + self.lr

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        before, size = state
        turn = gradient * before
        other = slope.where(turn < 0, size * self.shrink, size)
        size = slope.where(turn > 0, size * self.grow, other)
        size = slope.minimum(slope.maximum(size, self.least), self.most)
        size = size.astype(parameter.dtype)
        kept = slope.where(turn < 0, 0.0, gradient)
        return parameter - size * slope.sign(kept), (kept, size)
