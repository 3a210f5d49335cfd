"""The picture that a training script leaves behind, drawn without a display or pyplot's state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from common.plots import BLUE, FAINT, INK, QUIET, RED, save

RAW, LINE, WRONG = "#a9c7ec", BLUE, RED
ROWS, COLUMNS = 5, 8
TOP = 0.815  # of both panels, as a fraction of the height


def training_figure(
    path: str | os.PathLike[str],
    losses: npt.ArrayLike,
    images: npt.ArrayLike,
    predictions: npt.ArrayLike,
    labels: npt.ArrayLike,
    title: str,
    names: Sequence[str] | None = None,
) -> Path:
    """Save a PNG with the loss curve at left and a grid of images with their predictions at right.

    A wrong prediction is red and followed by the true label. The loss axis is logarithmic if all
    losses are positive.

    Args:
        path: The file to write; its folder is made if missing.
        losses: (steps,), the loss of each training step, at least one.
        images: (n, height, width), bright on dark and shown dark on bright, or (n, height, width,
            3) in colour, bytes or floats to 1; the first 40 are shown.
        predictions: (n,), the class predicted for each image.
        labels: (n,), the true class of each image.
        title: One line above the picture.
        names: What the classes are called; their numbers by default.

    Returns:
        `path`, absolute.

    Raises:
        ValueError: The shapes do not go together.
    """
    losses, images = np.asarray(losses, dtype=np.float64), np.asarray(images)
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if losses.ndim != 1 or losses.size == 0:
        raise ValueError(
            f"training_figure: losses must have shape (steps,), steps > 0, got {losses.shape}."
        )
    grey = images.ndim == 3
    colour = images.ndim == 4 and images.shape[3] == 3
    if not (grey or colour) or not (images.shape[:1] == predictions.shape == labels.shape):
        raise ValueError(
            "training_figure: images (n, height, width) or (n, height, width, 3), predictions (n,) "
            "and labels (n,) do not "
            f"go together: got {images.shape}, {predictions.shape} and {labels.shape}."
        )
    figure = Figure(figsize=(12, 5.2), dpi=150, facecolor="white")
    figure.suptitle(title, x=0.05, y=0.955, ha="left", fontsize=15, weight="bold", color=INK)
    halves = figure.add_gridspec(1, 2, width_ratios=(1.0, 1.12), wspace=0, hspace=0)
    _draw_losses(figure.add_subfigure(halves[0]), losses)
    _draw_images(figure.add_subfigure(halves[1]), images, predictions, labels, names)
    return save(figure, path)


def running_mean(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """The mean of up to `window` values centred on each one; of fewer at the two ends."""
    kernel = np.ones(window)
    near = np.convolve(values, kernel, mode="full")
    how_many = np.convolve(np.ones_like(values), kernel, mode="full")
    start = (window - 1) // 2
    return (near / how_many)[start : start + values.size]


def _draw_losses(figure: SubFigure, losses: npt.NDArray[np.float64]) -> None:
    axes = figure.add_axes((0.105, 0.125, 0.86, TOP - 0.125))
    steps = np.arange(1, losses.size + 1)
    window = max(1, losses.size // 30)
    smooth = running_mean(losses, window)
    if window > 1:
        axes.plot(steps, losses, color=RAW, linewidth=0.8, label="each step")
        axes.plot(steps, smooth, color=LINE, linewidth=2.2, label=f"mean of {window} steps")
        axes.legend(frameon=False, labelcolor=INK, fontsize=10, loc="upper right")
    else:
        axes.plot(steps, losses, color=LINE, linewidth=2.2)
    if np.all(losses > 0):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="y", which="minor", length=0)
    along_steps(axes, losses.size)
    figure.text(0.105, TOP + 0.033, "Training loss", fontsize=11.5, color=INK)


def along_steps(axes: Axes, count: int) -> None:
    """Show so many steps of training from left to right, without a frame."""
    axes.set_xlim(0, count + 1)
    axes.set_xlabel("step", color=QUIET)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.grid(axis="y", which="major", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=9.5, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def _draw_images(
    figure: SubFigure,
    images: npt.NDArray[np.generic],
    predictions: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None,
) -> None:
    shown = min(len(images), ROWS * COLUMNS)
    right = int(np.sum(predictions[:shown] == labels[:shown]))
    left_edge = 0.04
    figure.text(
        left_edge + 0.005,  # square pictures stand a little inside their cells
        TOP + 0.033,
        f"Test images and what the model says: {right} of {shown} right",
        fontsize=11.5,
        color=INK,
    )
    # Names take two lines if wrong.
    space, size, between = (0.42, 10, ", ") if names is None else (0.56, 6.8, ",\n")
    grid = figure.add_gridspec(
        ROWS, COLUMNS, left=left_edge, right=0.965, top=TOP, bottom=0.075, wspace=0.16, hspace=space
    )
    for place in range(shown):
        axes = figure.add_subplot(grid[divmod(place, COLUMNS)])
        said, true = (
            str(number) if names is None else names[number]
            for number in (int(predictions[place]), int(labels[place]))
        )
        told = said if said == true else f"{said}{between}is {true}"
        _draw_image(axes, images[place], told, size, wrong=said != true)


def _draw_image(axes: Axes, image: np.ndarray, told: str, size: float, *, wrong: bool) -> None:
    axes.imshow(image, cmap="gray_r", interpolation="bilinear")
    axes.set_xticks(())
    axes.set_yticks(())
    for spine in axes.spines.values():
        spine.set(color=WRONG if wrong else FAINT, linewidth=1.6 if wrong else 0.8)
    axes.set_xlabel(
        told,
        fontsize=size,
        labelpad=3,
        color=WRONG if wrong else INK,
        weight="bold" if wrong else "normal",
    )
