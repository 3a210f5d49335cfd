"""Adafactor: second moments kept as one row and one column for each matrix."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

import slope
from slope.extend import ArgumentError
from slope_nn._optimizers._base import Groups, Number, Optimizer


class Adafactor(Optimizer):
    r"""Steps of relative size with factored second moments, as ``torch.optim.Adafactor``.

    For each matrix p (the last two dimensions) with gradient g, at step t = 1, 2, ...::

        b = t ** beta2_decay
        r = r + b * (mean over columns of g**2 - r),   c likewise over rows
        u = g / sqrt(max(r c / max(mean r, eps1), eps1**2))
        p = p * (1 - lr * weight_decay)
           - max(eps2, rms(p)) * min(lr, 1 / sqrt(t)) / max(1, rms(u) / d) * u

    with the rms of p before the step; vectors keep the whole square. The state of an (n, m) matrix
    is n + m numbers. Source: N. Shazeer, M. Stern, "Adafactor", ICML 2018.

    Args:
        model: a module or any pytree of tensors.
        lr: the largest step relative to the parameter, a number or a schedule.
        beta2_decay: power of t that gives the weight of the newest square; negative.
        eps: eps1, by default the dtype's machine epsilon, and eps2.
        d: larger steps than d in the root mean square are cut.
        weight_decay: how much of itself each parameter loses in a step, times lr.
        groups: filters with settings of their own; see :class:`Optimizer`.
        maximize: go up the gradients and not down.
    """

    _required: ClassVar[frozenset[str]] = frozenset({"lr", "beta2_decay", "d"})
    _counts: bool = True

    beta2_decay: Any
    eps1: Any
    eps2: Any
    d: Any
    newest: Any
    size: Any

    _parts: ClassVar[tuple[str, ...]] = ("rows", "columns")

    def __init__(
        self,
        model: Any,
        lr: Number = 1e-2,
        beta2_decay: Number = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: Number = 1.0,
        weight_decay: Number = 0.0,
        groups: Groups = (),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            model,
            groups,
            lr=lr,
            beta2_decay=beta2_decay,
            eps=eps,
            d=d,
            weight_decay=weight_decay,
            maximize=maximize,
        )

    def setting(self, name: str, value: Any) -> dict[str, Any]:
        if name == "eps":
            try:
                first, second = value
            except (TypeError, ValueError):
                raise ArgumentError(
                    f"Adafactor: eps must be two numbers, the first may be None, not {value!r}."
                ) from None
            return {
                "eps1": None if first is None else super().setting("eps", first)["eps"],
                "eps2": super().setting("eps", second)["eps"] or 0.0,
            }
        if name == "beta2_decay" and isinstance(value, int | float):
            return {name: -super().setting(name, -value)[name]}
        return super().setting(name, value)

    def initial(self, parameter: slope.Tensor) -> Any:
        if parameter.ndim < 2:
            return slope.zeros_like(parameter)
        *before, rows, columns = parameter.shape
        return (
            slope.zeros(*before, rows, 1, dtype=parameter.dtype),
            slope.zeros(*before, 1, columns, dtype=parameter.dtype),
        )

    def prepare(self) -> None:
        now = self.steps * 1.0 + 1.0
        self.newest = now**self.beta2_decay
        self.size = slope.minimum(self.lr, slope.rsqrt(now))

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        eps1 = _epsilon(parameter.dtype) if self.eps1 is None else self.eps1
        squares = gradient * gradient
        if parameter.ndim < 2:
            state = state + self.newest * (squares - state)
            spread = state
        else:
            row, column = state
            row = row + self.newest * (squares.mean(-1, keepdim=True) - row)
            column = column + self.newest * (squares.mean(-2, keepdim=True) - column)
            state = (row, column)
            scale = slope.maximum(row.mean(-2, keepdim=True), eps1)
            spread = (row / scale) * column
        step = gradient * slope.rsqrt(slope.maximum(spread, eps1 * eps1))
        cut = slope.maximum(_rms(step) / self.d, 1.0)
        rate = slope.maximum(_rms(parameter), self.eps2) * self.size / cut
        kept = self.decayed(parameter)
        return kept - rate * step, state


def _rms(x: slope.Tensor) -> slope.Tensor:
    return slope.sqrt((x * x).sum()) / math.sqrt(math.prod(x.shape))


def _epsilon(dtype: slope.DType) -> float:
    """The distance from 1 to the next number of a dtype."""
    import ml_dtypes

    return float(ml_dtypes.finfo(np.dtype(dtype.numpy)).eps)
