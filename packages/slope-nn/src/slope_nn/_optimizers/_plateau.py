"""A rate that falls when a measure stops getting better."""

from __future__ import annotations

import math

import slope
from slope.extend import ArgumentError
from slope_nn._checks import real, whole


class ReduceOnPlateau:
    """Lower a number when a measure stops getting better, as PyTorch's ``ReduceLROnPlateau``.

    It looks at measured values, so it lives outside of jit::

        optimizer.lr = plateau(validation_loss)

    Args:
        value: the value at the start.
        factor: what it is multiplied with.
        patience: how many measures in a row may fail to be better before that.
        threshold: better means less than ``best * (1 - threshold)`` (or above
            ``best * (1 + threshold)``).
        cooldown: how many measures after a change do not count.
        least: the smallest value.
        mode: ``"min"``, or ``"max"`` for a measure that should rise.
        threshold_mode: ``"rel"``, or ``"abs"`` for ``best - threshold`` (``best + threshold``).
    """

    def __init__(
        self,
        value: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        least: float = 0.0,
        mode: str = "min",
        threshold_mode: str = "rel",
    ) -> None:
        given = {"value": value, "factor": factor, "threshold": threshold, "least": least}
        for name, each in given.items():
            real("ReduceOnPlateau", name, each)
        if not 0 < factor < 1:
            raise ArgumentError(f"ReduceOnPlateau: factor must be between 0 and 1, not {factor!r}.")
        if mode not in ("min", "max"):
            raise ArgumentError(f"ReduceOnPlateau: mode must be 'min' or 'max', not {mode!r}.")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"ReduceOnPlateau: threshold_mode must be 'rel' or 'abs', not {threshold_mode!r}."
            )
        self.threshold_mode = threshold_mode
        self.value, self.factor, self.threshold, self.least = value, factor, threshold, least
        self.patience = whole("ReduceOnPlateau", "patience", patience, 0)
        self.cooldown = whole("ReduceOnPlateau", "cooldown", cooldown, 0)
        self.mode = mode
        self.best = math.inf if mode == "min" else -math.inf
        self.bad, self.resting = 0, 0

    def __call__(self, measure: float | slope.Tensor) -> float:
        """Take in a measure; gives the value from now on."""
        if isinstance(measure, slope.Tensor):
            measure = measure.item()
        measure = real("ReduceOnPlateau", "measure", measure)
        by = -self.threshold if self.mode == "min" else self.threshold
        bound = self.best * (1 + by) if self.threshold_mode == "rel" else self.best + by
        better = measure < bound if self.mode == "min" else measure > bound
        if better:
            self.best, self.bad = measure, 0
        else:
            self.bad += 1
        if self.resting:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > self.patience:
            self.value = max(self.value * self.factor, self.least)
            self.resting, self.bad = self.cooldown, 0
        return self.value

    def state(self) -> dict[str, float]:
        """What to save."""
        return {
            "value": self.value,
            "best": self.best,
            "bad": self.bad,
            "resting": self.resting,
        }

    def load(self, state: dict[str, float]) -> None:
        """Continue from what :meth:`state` gave."""
        self.value, self.best = float(state["value"]), float(state["best"])
        self.bad, self.resting = int(state["bad"]), int(state["resting"])
