"""A small training loop: convenience, never required."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

import slope
from slope.extend import ArgumentError, NaNError, SlopeError
from slope_nn._checks import iterable, path, shown, whole
from slope_nn._saving._files import write_atomically
from slope_nn._saving._trees import load, save


class NaNLossError(SlopeError, ArithmeticError):
    """The loss (or, while ``slope.debug_nans`` watches, anything) became NaN or infinite.

    The model before that step is kept. Where the operator that gave the first NaN is known, the
    error that names it is the cause.

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
        stop: whether to end after this step; for callbacks to set.
    """

    model: Any
    optimizer: Any
    step: int = 0
    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, Any]] = field(default_factory=list)
    stop: bool = False


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
            :class:`slope.nn.data.Batches`, and what its ``until`` gives, have a position, which
            checkpoints hold.
        steps: stop after so many; by default, when the batches end.
        evaluate: takes the model in evaluation mode to numbers, every ``every`` steps and at the
            end.
        every: how many steps lie between evaluations, checkpoints and plots.
        checkpoint: a file: loaded if it is there, and written every ``every`` steps and at the
            end. After loading, ``batches`` go to its position, or are passed over up to there if
            they have none.
        plot: a PNG file of the loss curve, written at the same times; needs matplotlib.
        callbacks: called after each step with where the training stands, which they may change;
            ``state.stop = True`` ends it.
        progress: show a bar, if tqdm is installed.

    Returns:
        Where the training stands at the end.

    Raises:
        NaNLossError: the loss is not finite; says at which step, by which operator in which line,
            and holds the model before it. Inside ``with slope.debug_nans():`` a gradient that is
            NaN is enough.
    """
    whole("fit", "every", every)
    if steps is not None:
        whole("fit", "steps", steps, 0)
    for file in (checkpoint, plot):
        if file is not None and not path("fit", file).parent.is_dir():  # before any work is done
            raise FileNotFoundError(f"fit: there is no folder {Path(file).parent} to write into")
    callbacks = iterable("fit", "callbacks", callbacks)
    _refuse_strange(loss, evaluate, callbacks, batches)
    state, passed = Fitted(model, optimizer), 0
    if checkpoint is not None and Path(checkpoint).exists():
        state, passed = _restored(checkpoint, state, batches)
    step = slope.jit(_step_of(loss))
    last = None if steps is None else max(passed, steps - state.step + passed)
    bar = _bar(islice(batches, passed, last), state.step, steps, progress)
    try:
        for batch in bar:
            number = _stepped(step, loss, state, batch)
            if hasattr(bar, "set_postfix"):
                bar.set_postfix(loss=f"{number:.4g}", refresh=False)
            if state.step % every == 0:
                _pause(state, batches, evaluate, checkpoint, plot)
            for callback in callbacks:
                callback(state)
            if state.stop:
                break
    except KeyboardInterrupt:
        _pause(state, batches, None, checkpoint, plot)  # nothing of what was done is lost
        raise
    if state.step % every or not state.losses:
        _pause(state, batches, evaluate, checkpoint, plot)
    return state


def _refuse_strange(
    loss: object, evaluate: object, callbacks: Sequence[object], batches: object
) -> None:
    given = [("loss", loss), *(("a callback", each) for each in callbacks)]
    if evaluate is not None:
        given.append(("evaluate", evaluate))
    for name, value in given:
        if not callable(value):
            raise ArgumentError(f"fit: {name} must be a function, not {shown(value)}.")
    if not isinstance(batches, Iterable):
        raise ArgumentError(f"fit: batches must be a sequence of batches, not {shown(batches)}.")


def _stepped(step: Any, loss: Callable[..., Any], state: Fitted, batch: Sequence[Any]) -> float:
    """Take one step and keep its results, if the loss is finite; gives the loss."""
    if not isinstance(batch, Iterable):
        raise ArgumentError(
            f"fit: a batch must be a tuple or list of arrays, such as (images, labels), not "
            f"{shown(batch)}."
        )
    key = slope.default_generator.key
    try:
        model, optimizer, value = step(state.model, state.optimizer, *batch)
        number = float(value)
    except NaNError as error:  # slope.debug_nans is on, and sees gradients, too
        raise _not_finite("", state, error) from error
    if not math.isfinite(number):
        slope.default_generator.key = key  # the same draws again
        try:  # outside of compiled functions values are known, and wrong ones refused
            loss(_copied(state.model), *slope.tree_map(_known, tuple(batch)))
        except SlopeError as error:
            raise _not_finite(f"the loss is {number} ", state, error) from error
        slope.default_generator.key = key
        try:  # the loss alone: what is wrong with its gradient follows from it
            with slope.debug_nans(inf=math.isinf(number)):
                slope.jit(_with_model(loss))(state.model, *batch)
        except NaNError as error:
            raise _not_finite(f"the loss is {number} ", state, error) from error
        raise _not_finite(f"the loss is {number} ", state, None)
    state.model, state.optimizer = model, optimizer
    state.losses.append(number)
    state.step += 1
    return number


def _with_model(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The function that gives the loss and the model, whose state it may have changed."""

    def both(model: Any, *batch: Any) -> tuple[Any, Any]:
        result = loss(model, *batch)
        return result if isinstance(result, tuple) else (result, model)

    return both


def _not_finite(what: str, state: Fitted, found: SlopeError | None) -> NaNLossError:
    told = ". " if found is None else f": {found}\n"
    return NaNLossError(
        f"{what}at step {state.step}{told}The model before it is in this error's "
        f".state; look at its batch, lower the learning rate, or clip gradients.",
        state.step,
        state,
    )


def _step_of(loss: Callable[..., Any]) -> Callable[..., Any]:
    def step(model: Any, optimizer: Any, *batch: Any) -> tuple[Any, Any, Any]:
        derive = slope.value_and_grad(_with_model(loss), has_aux=True)
        (value, model), gradients = derive(model, *batch)
        return *optimizer(model, gradients), value

    return step


def _bar(batches: Iterator[Any], done: int, steps: int | None, progress: bool) -> Any:
    if progress:
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            return batches
        return tqdm(batches, initial=done, total=steps, unit="step")
    return batches


def _pause(state: Fitted, batches: Any, evaluate: Any, checkpoint: Any, plot: Any) -> None:
    if evaluate is not None:
        state.evaluations.append((state.step, evaluate(_copied(state.model).eval())))
    if checkpoint is not None:
        save(checkpoint, _saved(state, batches))
    if plot is not None and state.losses:
        _draw(Path(plot), state)


def _copied(model: Any) -> Any:
    """A copy, whose mode and fields may be changed."""
    return slope.tree_map(lambda leaf: leaf, model)


def _known(leaf: Any) -> Any:
    return slope.as_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf


@runtime_checkable
class _Positioned(Protocol):
    """Batches that know their position."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Any) -> Any: ...


def _saved(state: Fitted, batches: Any) -> dict[str, Any]:
    return {
        "model": state.model,
        "optimizer": state.optimizer,
        "step": state.step,
        "losses": slope.tensor(state.losses, dtype=slope.float64),
        "evaluations": state.evaluations,
        "key": slope.default_generator.key,
        "data": batches.state_dict() if isinstance(batches, _Positioned) else None,
    }


def _restored(
    checkpoint: str | os.PathLike[str], fresh: Fitted, batches: Any
) -> tuple[Fitted, int]:
    # Where the training stands, and how many batches are still to be passed over.
    found = load(checkpoint)
    parts = {"model": fresh.model, "optimizer": fresh.optimizer}
    like = {**found, **parts}
    found = load(checkpoint, like=like)
    slope.default_generator.key = found["key"]
    losses = [float(each) for each in found["losses"].numpy()]
    evaluations = found.get("evaluations", [])
    state = Fitted(found["model"], found["optimizer"], found["step"], losses, evaluations)
    if found.get("data") is None or not isinstance(batches, _Positioned):
        return state, state.step
    batches.load_state_dict(found["data"])
    return state, 0


def _draw(path: Path, state: Fitted) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(range(1, len(state.losses) + 1), state.losses, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    numbers = {step: float(value) for step, value in state.evaluations if _is_number(value)}
    if numbers:
        right = axes.twinx()
        right.plot(list(numbers), list(numbers.values()), color="tab:orange", marker=".")
        right.set_ylabel("evaluation", color="tab:orange")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    write_atomically(path, [drawn.getvalue()])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, slope.Tensor) and value.shape == ())
