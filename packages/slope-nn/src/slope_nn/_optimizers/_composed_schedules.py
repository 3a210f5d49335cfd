"""Schedules made of functions and of other schedules, and cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import ints, iterable, whole
from slope_nn._optimizers._schedules import Schedule, Value, checked_step, real_step


class LambdaSchedule(Schedule):
    """``value * function(step)``, as PyTorch's ``LambdaLR``.

    Inside of :func:`slope.jit` the function gets a tensor, so it must choose by ``slope.where`` and
    not by ``if``.

    Args:
        value: what the function's results are multiplied with.
        function: of the step.

    Example:
        >>> rate = nn.LambdaSchedule(0.1, lambda step: 0.95**step)
    """

    value: Any

    def __init__(self, value: Value, function: Callable[[Any], Any]) -> None:
        self._keep(value=value)
        self.function = _function("LambdaSchedule", "function", function)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        return self.value * self.function(checked_step(step))


class MultiplicativeSchedule(Schedule):
    """``value * function(1) * ... * function(step)``, as PyTorch's ``MultiplicativeLR``.

    Each call multiplies anew, in a loop: where the product is known in closed form,
    :class:`LambdaSchedule` costs less.

    Args:
        value: the value at the start.
        function: the factor of a step; inside of :func:`slope.jit` it gets a tensor.
    """

    value: Any

    def __init__(self, value: Value, function: Callable[[Any], Any]) -> None:
        self._keep(value=value)
        self.function = _function("MultiplicativeSchedule", "function", function)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        start = slope.as_tensor(self.value) * 1.0
        end = slope.as_tensor(checked_step(step)) + 1

        def grown(place: Any, value: slope.Tensor) -> slope.Tensor:
            return (value * self.function(place)).astype(start.dtype)

        return slope.fori_loop(1, end, grown, start)


class CyclicSchedule(Schedule):
    """Up and down again and again in straight lines, as PyTorch's ``CyclicLR``.

    Source: L. Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Args:
        low: the value at the start and between cycles.
        high: the value at the top of the first cycle.
        up: how many steps rise.
        down: how many steps fall; as many by default.
        mode: ``"triangular"``; ``"triangular2"``, where each cycle is half as high as the one
            before; or ``"exp_range"``, where the height is multiplied with ``factor ** step``.
        factor: see ``mode``.
    """

    _static: ClassVar[frozenset[str]] = frozenset({"mode"})
    low: Any
    high: Any
    factor: Any

    def __init__(
        self,
        low: Value,
        high: Value,
        up: int = 2000,
        down: int | None = None,
        mode: str = "triangular",
        factor: Value = 1.0,
    ) -> None:
        self._keep(low=low, high=high, factor=factor)
        self.up = whole("CyclicSchedule", "up", up)
        self.down = whole("CyclicSchedule", "down", up if down is None else down)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ArgumentError(
                f"CyclicSchedule: mode must be 'triangular', 'triangular2' or 'exp_range', not "
                f"{mode!r:.60}."
            )
        self.mode = mode

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        length = self.up + self.down
        late = real_step(step)
        place = slope.remainder(late, length * 1.0)
        height = slope.minimum(place / self.up, (length - place) / self.down)
        if self.mode == "triangular2":
            height = height * 0.5 ** slope.floor((late + 0.5) / length)
        elif self.mode == "exp_range":
            height = height * self.factor**late
        return self.low + (self.high - self.low) * height


class SequentialSchedule(Schedule):
    """One schedule after the other, each from its own step 0 on, as PyTorch's ``SequentialLR``.

    Args:
        schedules: the schedules.
        milestones: the first steps of all but the first, rising.

    Example:
        >>> warm = nn.LinearSchedule(1e-5, 1e-3, 100)
        >>> rate = nn.SequentialSchedule([warm, nn.CosineSchedule(1e-3, 900)], [100])
    """

    def __init__(self, schedules: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.schedules = _schedules("SequentialSchedule", schedules)
        self.milestones = ints("SequentialSchedule", "milestones", milestones)
        rising = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        if len(self.milestones) != len(self.schedules) - 1 or not rising:
            raise ArgumentError(
                f"SequentialSchedule: {len(self.schedules)} schedules need "
                f"{len(self.schedules) - 1} rising milestones, not {milestones!r:.60}."
            )

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        step = checked_step(step)
        value = self.schedules[0](step)
        for schedule, first in zip(self.schedules[1:], self.milestones, strict=True):
            later = schedule(slope.maximum(step - first, 0))
            value = slope.where(step >= first, later, value)
        return value


class ChainedSchedule(Schedule):
    """The product of schedules, as PyTorch's ``ChainedScheduler`` makes of its factors.

    Args:
        schedules: the first with the rate, the others with factors, which start at 1 or below:
            ``[nn.ExponentialSchedule(0.1, 0.9), nn.LinearSchedule(0.5, 1.0, 10)]``.
    """

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self.schedules = _schedules("ChainedSchedule", schedules)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        value = self.schedules[0](step)
        for schedule in self.schedules[1:]:
            value = value * schedule(step)
        return value


def _function(who: str, name: str, function: Any) -> Any:
    if not callable(function):
        raise ArgumentError(f"{who}: {name} must be a function of the step, not {function!r:.60}.")
    return function


def _schedules(who: str, schedules: Any) -> tuple[Schedule, ...]:
    given = tuple(iterable(who, "schedules", schedules))
    for each in given:
        if not isinstance(each, Schedule):
            raise ArgumentError(f"{who}: schedules must hold schedules, not {each!r:.60}.")
    if not given:
        raise ArgumentError(f"{who}: there must be at least one schedule.")
    return given
