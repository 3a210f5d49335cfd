"""Schedules: numbers that change from step to step, worked out inside the compiled step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import flag, ints, number, whole
from slope_nn._node import Node

Value = float | slope.Tensor


class Schedule(Node):
    """The base of schedules: ``schedule(step)`` is the value at a step, counted from 0.

    The step may be an int or a traced counter, so a schedule works inside jit; give one to an
    optimizer in place of a number (``nn.AdamW(model, lr=nn.CosineSchedule(1e-3, 1000))``) and each
    step takes its value at the number of steps done before. Its numbers are leaves: new ones
    compile nothing. With ``schedule(t)`` called before the t-th update, the values are those of
    PyTorch's schedulers stepped once after each update.
    """

    _number_leaves: ClassVar[bool] = True

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        raise NotImplementedError  # every schedule defines it

    def _keep(self, **numbers: Any) -> None:
        """Numbers, checked, as fields."""
        for name, value in numbers.items():
            setattr(self, name, number(type(self).__name__, name, value))

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({', '.join(fields)})"


class ConstantSchedule(Schedule):
    """The same value at each step.

    Args:
        value: the value.
    """

    value: Any

    def __init__(self, value: Value) -> None:
        self._keep(value=value)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value."""
        return self.value


class StepSchedule(Schedule):
    """``value * factor ** (step // every)``, as PyTorch's ``StepLR``.

    Args:
        value: the value at the start.
        every: the number of steps between changes.
        factor: what the value is multiplied with.
    """

    value: Any
    factor: Any

    def __init__(self, value: Value, every: int, factor: Value = 0.1) -> None:
        self._keep(value=value, factor=factor)
        self.every = whole("StepSchedule", "every", every)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        return self.value * self.factor ** real_step(checked_step(step) // self.every)


class MultiStepSchedule(Schedule):
    """Multiplied by ``factor`` at each of the given steps, as PyTorch's ``MultiStepLR``.

    Args:
        value: the value at the start.
        milestones: the first steps with a smaller value, rising.
        factor: what the value is multiplied with.
    """

    value: Any
    factor: Any

    def __init__(self, value: Value, milestones: Sequence[int], factor: Value = 0.1) -> None:
        given = ints("MultiStepSchedule", "milestones", milestones)
        if not given or list(given) != sorted(given):
            raise ArgumentError(
                f"MultiStepSchedule: milestones must be rising steps, not {milestones!r}."
            )
        self._keep(value=value, factor=factor)
        self.milestones = given

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        value, step = self.value, checked_step(step)
        for milestone in self.milestones:
            value = slope.where(step >= milestone, value * self.factor, value)
        return value


class ExponentialSchedule(Schedule):
    """``value * factor ** step``, as PyTorch's ``ExponentialLR``.

    Args:
        value: the value at the start.
        factor: what each step multiplies it with.
    """

    value: Any
    factor: Any

    def __init__(self, value: Value, factor: Value) -> None:
        self._keep(value=value, factor=factor)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        return self.value * self.factor ** real_step(step)


class LinearSchedule(Schedule):
    """From ``start`` to ``end`` in equal steps, then ``end``.

    Args:
        start: the value at step 0.
        end: the value from step ``steps`` on.
        steps: how many steps it takes.
    """

    start: Any
    end: Any

    def __init__(self, start: Value, end: Value, steps: int) -> None:
        self._keep(start=start, end=end)
        self.steps = whole("LinearSchedule", "steps", steps)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        return self.start + (self.end - self.start) * _part(step, self.steps)


class PolynomialSchedule(Schedule):
    """``end + (start - end) * (1 - step / steps) ** power``, then ``end``.

    As PyTorch's ``PolynomialLR``, which has ``end`` 0.

    Args:
        start: the value at step 0.
        steps: how many steps it takes.
        power: of the part that is left.
        end: the value from step ``steps`` on.
    """

    start: Any
    end: Any
    power: Any

    def __init__(self, start: Value, steps: int, power: Value = 1.0, end: Value = 0.0) -> None:
        self._keep(start=start, end=end, power=power)
        self.steps = whole("PolynomialSchedule", "steps", steps)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        left = 1.0 - _part(step, self.steps)
        return self.end + (self.start - self.end) * left**self.power


class CosineSchedule(Schedule):
    r"""Half a cosine from ``value`` down to ``end``, after a linear warm-up, with restarts.

    ``end + (value - end) * (1 + cos(pi * part)) / 2``. Without warm-up it is PyTorch's
    ``CosineAnnealingLR`` (up to its end, where it stays), with ``restart_factor`` its
    ``CosineAnnealingWarmRestarts``: each period is ``restart_factor`` times as long as the one
    before. Source: I. Loshchilov, F. Hutter, "SGDR", ICLR 2017.

    Args:
        value: the value at the top.
        steps: the length of the (first) cosine, the warm-up not counted.
        end: the value at the bottom.
        warmup: how many steps rise from ``value / warmup`` to ``value``; the next has ``value``.
        restart_factor: 0 for no restarts.
    """

    _static: ClassVar[frozenset[str]] = frozenset({"restart_factor"})  # it decides the code
    value: Any
    end: Any

    def __init__(
        self,
        value: Value,
        steps: int,
        end: Value = 0.0,
        warmup: int = 0,
        restart_factor: int = 0,
    ) -> None:
        self._keep(value=value, end=end)
        self.steps = whole("CosineSchedule", "steps", steps)
        self.warmup = whole("CosineSchedule", "warmup", warmup, least=0) or None
        self.restart_factor = whole("CosineSchedule", "restart_factor", restart_factor, least=0)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        factor = self.restart_factor
        late = real_step(step)
        if self.warmup is not None:
            late = slope.maximum(late - self.warmup, 0.0)
        if factor == 0:
            part = _part(late, self.steps)
        elif factor == 1:
            part = slope.remainder(late, real_step(self.steps)) / self.steps
        else:  # period n starts at steps * (factor**n - 1) / (factor - 1)
            reached = late * (factor - 1) + self.steps
            period = slope.round(slope.log(reached / self.steps) / math.log(factor))
            start = slope.round(factor**period)  # whole numbers, so the comparison is exact
            start = slope.where(reached < start * self.steps, slope.round(start / factor), start)
            start = start * self.steps
            part = (reached - start) / (start * (factor - 1))
        value = self.end + (self.value - self.end) * (1.0 + slope.cos(math.pi * part)) * 0.5
        if self.warmup is not None:
            rising = self.value * (real_step(step) + 1.0) / self.warmup
            value = slope.where(step < self.warmup, rising, value)
        return value


class WarmupSchedule(Schedule):
    """A linear rise in front of another schedule, which starts after it.

    Args:
        warmup: how many steps rise from ``after(0) / warmup`` to ``after(0)``.
        after: what follows; its step 0 is step ``warmup``.
    """

    def __init__(self, warmup: int, after: Schedule) -> None:
        if not isinstance(after, Schedule):
            raise ArgumentError(f"WarmupSchedule: after must be a schedule, not {after!r:.60}.")
        self.warmup = whole("WarmupSchedule", "warmup", warmup)
        self.after = after

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        rising = self.after(0) * ((real_step(step) + 1.0) / self.warmup)
        later = self.after(slope.maximum(step - self.warmup, 0))
        return slope.where(step < self.warmup, rising, later)


class OneCycleSchedule(Schedule):
    """Up and down once, by halves of cosines or lines, as PyTorch's ``OneCycleLR``.

    From ``peak / start_divisor`` up to ``peak`` during the first part, and down to
    ``peak / start_divisor / end_divisor`` at step ``steps - 1``. In three phases it comes down to
    the start as fast as it rose, and then to the end. Source: L. Smith, N. Topin,
    "Super-convergence", arXiv:1708.07120.

    Args:
        peak: the highest value.
        steps: the number of steps in all.
        rise: the part of them that rises.
        start_divisor: the peak over the value at the start.
        end_divisor: the value at the start over the one at the end.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        three_phase: whether there are three phases.
    """

    _static: ClassVar[frozenset[str]] = frozenset({"anneal_strategy", "three_phase"})

    peak: Any
    rise: Any
    start_divisor: Any
    end_divisor: Any

    def __init__(
        self,
        peak: Value,
        steps: int,
        rise: Value = 0.3,
        start_divisor: Value = 25.0,
        end_divisor: Value = 1e4,
        anneal_strategy: str = "cos",
        three_phase: bool = False,
    ) -> None:
        self._keep(peak=peak, rise=rise, start_divisor=start_divisor, end_divisor=end_divisor)
        for name, divisor in (("start_divisor", start_divisor), ("end_divisor", end_divisor)):
            if not isinstance(divisor, slope.Tensor) and divisor <= 0:
                raise ArgumentError(f"OneCycleSchedule: {name} must be above 0, not {divisor!r}.")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"OneCycleSchedule: anneal_strategy must be 'cos' or 'linear', not "
                f"{anneal_strategy!r:.60}."
            )
        self.anneal_strategy = anneal_strategy
        self.three_phase = flag("OneCycleSchedule", "three_phase", three_phase)
        self.steps = whole("OneCycleSchedule", "steps", steps, least=2)

    def __call__(self, step: int | slope.Tensor) -> Any:
        """The value at a step."""
        low = self.peak / self.start_divisor
        end = low / self.end_divisor
        top, last = self.rise * self.steps - 1.0, self.steps - 1.0
        late = real_step(step)
        rising = self._between(low, self.peak, late / top)
        if not self.three_phase:
            falling = self._between(self.peak, end, (late - top) / (last - top))
            return slope.where(late <= top, rising, falling)
        bottom = 2.0 * top
        falling = self._between(self.peak, low, (late - top) / top)
        ending = self._between(low, end, (late - bottom) / (last - bottom))
        return slope.where(late <= top, rising, slope.where(late <= bottom, falling, ending))

    def _between(self, start: Any, end: Any, part: Any) -> Any:
        """A part of the way from one value to another."""
        part = slope.clamp(part, 0.0, 1.0)
        if self.anneal_strategy == "cos":
            part = 0.5 * (1.0 - slope.cos(math.pi * part))
        return start + (end - start) * part


def real_step(step: Any) -> Any:
    """A step as a float: dtype float32 where it is traced, weak like the counter."""
    return checked_step(step) * 1.0


def checked_step(step: Any) -> Any:
    """A step, which is a number."""
    return number("a schedule", "step", step)


def _part(step: Any, steps: Any) -> Any:
    """How much of ``steps`` is done: from 0 to 1, then 1."""
    return slope.minimum(real_step(step) / steps, 1.0)
