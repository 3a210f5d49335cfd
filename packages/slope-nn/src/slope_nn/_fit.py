"""A small training loop: convenience, never required."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slope
from slope.extend import NaNError, SlopeError
from slope_nn._saving._trees import load, save


class NaNLossError(SlopeError, ArithmeticError):
    """The loss (or, while ``slope.debug_nans`` watches, anything) became NaN or infinite.

    The model before that step is kept.

    Attributes:
        step: the number of the step.
        state: the state before it.
    """

    def __init__(self, message: str, step: int, state: Fitted) -> None:
        super().__init__(message)
        self.step, self.state = step, state


@dataclass
class Fitted:
    """Where a training stands.

    Attributes:
        model: the model.
        optimizer: its optimizer.
        step: how many steps were done.
        losses: the loss of each.
        evaluations: pairs of a step and what ``evaluate`` gave.
    """

    model: Any
    optimizer: Any
    step: int = 0
    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, Any]] = field(default_factory=list)


def fit(
    model: Any,
    optimizer: Any,
    loss: Callable[..., Any],
    batches: Iterable[Sequence[Any]],
    *,
    steps: int | None = None,
    evaluate: Callable[[Any], Any] | None = None,
    every: int = 100,
    checkpoint: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    callbacks: Iterable[Callable[[Fitted], object]] = (),
    progress: bool = True,
) -> Fitted:
    """Train a model: one jitted step for each batch.

    Args:
        model: the model.
        optimizer: made for it.
        loss: takes the model and a batch's parts to a loss; or to the pair of it and the model, for
            models that keep state (batch normalization).
        batches: sequences of arrays or tensors, such as (images, labels).
        steps: stop after so many; by default, when the batches end.
        evaluate: takes the model in evaluation mode to numbers, every ``every`` steps and at the
            end.
        every: how many steps lie between evaluations, checkpoints and plots.
        checkpoint: a file: loaded if it is there (then ``batches`` are passed over up to where it
            stands), and written every ``every`` steps and at the end.
        plot: a PNG file of the loss curve, written at the same times; needs matplotlib.
        callbacks: called after each step with where the training stands.
        progress: show a bar, if tqdm is installed.

    Returns:
        Where the training stands at the end.

    Raises:
        NaNLossError: the loss is not finite; says at which step, and holds the model before it.
            Inside ``with slope.debug_nans():`` it names the operator and the line, too, and a
            gradient that is NaN is enough.
    """
    state = Fitted(model, optimizer)
    if checkpoint is not None and Path(checkpoint).exists():
        state = _restored(checkpoint, state)
    step = slope.jit(_step_of(loss))
    bar = _bar(_counted(batches, state.step, steps), state.step, steps, progress)
    for batch in bar:
        try:
            new_model, new_optimizer, value = step(state.model, state.optimizer, *batch)
        except NaNError as error:  # slope.debug_nans is on
            raise NaNLossError(f"at step {state.step}: {error}", state.step, state) from None
        number = float(value)
        if not math.isfinite(number):
            raise _not_finite(number, state)
        state.model, state.optimizer = new_model, new_optimizer
        state.losses.append(number)
        state.step += 1
        if hasattr(bar, "set_postfix"):
            bar.set_postfix(loss=f"{number:.4g}", refresh=False)
        if state.step % every == 0:
            _pause(state, evaluate, checkpoint, plot)
        for callback in callbacks:
            callback(state)
    if state.step % every or not state.losses:
        _pause(state, evaluate, checkpoint, plot)
    return state


def _not_finite(number: float, state: Fitted) -> NaNLossError:
    watch = "slope.debug_nans()" if math.isnan(number) else "slope.debug_nans(inf=True)"
    return NaNLossError(
        f"the loss is {number} at step {state.step}. The model before it is in this error's "
        f".state; look at its batch, lower the learning rate, or clip gradients. Called inside "
        f"`with {watch}:`, fit names the operator and the line that it comes from.",
        state.step,
        state,
    )


def _step_of(loss: Callable[..., Any]) -> Callable[..., Any]:
    def step(model: Any, optimizer: Any, *batch: Any) -> tuple[Any, Any, Any]:
        def both(model: Any, *batch: Any) -> tuple[Any, Any]:
            result = loss(model, *batch)
            return result if isinstance(result, tuple) else (result, model)

        (value, model), gradients = slope.value_and_grad(both, has_aux=True)(model, *batch)
        return *optimizer(model, gradients), value

    return step


def _counted(batches: Iterable[Any], done: int, steps: int | None) -> Iterator[Any]:
    for place, batch in enumerate(batches):
        if steps is not None and place >= steps:
            return
        if place >= done:
            yield batch


def _bar(batches: Iterator[Any], done: int, steps: int | None, progress: bool) -> Any:
    if progress:
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            return batches
        return tqdm(batches, initial=done, total=steps, unit="step")
    return batches


def _pause(state: Fitted, evaluate: Any, checkpoint: Any, plot: Any) -> None:
    if evaluate is not None:
        copied = slope.tree_map(lambda leaf: leaf, state.model)  # so that the mode stays
        state.evaluations.append((state.step, evaluate(copied.eval())))
    if checkpoint is not None:
        save(checkpoint, _saved(state))
    if plot is not None and state.losses:
        _draw(Path(plot), state)


def _saved(state: Fitted) -> dict[str, Any]:
    return {
        "model": state.model,
        "optimizer": state.optimizer,
        "step": state.step,
        "losses": slope.tensor(state.losses, dtype=slope.float64),
        "key": slope.default_generator.key,
    }


def _restored(checkpoint: str | os.PathLike[str], fresh: Fitted) -> Fitted:
    found = load(checkpoint)
    parts = {"model": fresh.model, "optimizer": fresh.optimizer}
    like = {**found, **parts}
    found = load(checkpoint, like=like)
    slope.default_generator.key = found["key"]
    losses = [float(each) for each in found["losses"].numpy()]
    return Fitted(found["model"], found["optimizer"], found["step"], losses)


def _draw(path: Path, state: Fitted) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(range(1, len(state.losses) + 1), state.losses, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
