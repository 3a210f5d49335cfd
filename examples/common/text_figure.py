"""The picture of a language model's training: its losses, and what it writes."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from common.figures import LINE, RAW, TOP, WRONG, along_steps, running_mean
from common.plots import INK, save

COLUMNS, LINES = 52, 21  # of the sample


def text_figure(
    path: str | os.PathLike[str],
    losses: Sequence[float],
    checks: Sequence[tuple[int, float]],
    sample: str,
    title: str,
) -> Path:
    """Save a PNG with the loss curves at left and a sample at right.

    Args:
        path: The file to write; its folder is made if missing.
        losses: Training loss of each step, nats per character, at least one.
        checks: Pairs of a number of steps and the validation loss after them.
        sample: What the model wrote; cut where the picture ends.
        title: One line above the picture.

    Returns:
        `path`, absolute.
    """
    figure = Figure(figsize=(12, 5.2), dpi=150, facecolor="white")
    figure.suptitle(title, x=0.05, y=0.955, ha="left", fontsize=15, weight="bold", color=INK)
    figure.text(0.05, TOP + 0.033, "Nats per character", fontsize=11.5, color=INK)
    axes = figure.add_axes((0.05, 0.125, 0.42, TOP - 0.125))
    steps = np.arange(1, len(losses) + 1)
    raw = np.asarray(losses, np.float64)
    window = max(1, len(losses) // 30)
    axes.plot(steps, raw, color=RAW, linewidth=0.8)
    smooth = running_mean(raw, window)
    axes.plot(steps, smooth, color=LINE, linewidth=2.0, label=f"training, mean of {window} steps")
    if checks:
        places, values = zip(*checks, strict=True)
        axes.plot(places, values, color=WRONG, linewidth=1.6, marker="o", markersize=4,
                  label="validation")  # fmt: skip
    axes.legend(frameon=False, labelcolor=INK, fontsize=10, loc="upper right")
    along_steps(axes, len(losses))

    figure.text(0.53, TOP + 0.033, "A sample", fontsize=11.5, color=INK)
    shown = [row for line in sample.splitlines() for row in textwrap.wrap(line, COLUMNS) or [""]]
    # Signs that the font may lack would show as boxes.
    plain = "".join(
        letter if letter == "\n" or (letter.isprintable() and ord(letter) < 256) else "?"
        for letter in "\n".join(shown[:LINES])
    )
    figure.text(
        0.53, TOP - 0.02, plain.replace("$", r"\$"), fontsize=10.5, color=INK, va="top",
        family="monospace", linespacing=1.35,
    )  # fmt: skip
    return save(figure, path)
