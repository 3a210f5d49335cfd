"""The picture of transcribed speech: spectrograms over words, and where the decoder looked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.alignment import SECONDS, Word, starts
from common.figures import FAINT, INK, LINE, QUIET

FRAME = SECONDS / 2  # seconds of one column of the spectrogram
STRIP, ALIGNMENT, EDGE = 1.45, 3.4, 0.75  # inches of height: a spectrogram, the panel below, title


class Strip(NamedTuple):
    """What is drawn of one sound.

    Attributes:
        title: above it.
        mel: the log-mel spectrogram, shape (mels, frames).
        words: with their times.
        parts: the text of each token.
        looks: shape (tokens + 1, positions), where the decoder looked; the last row is of the end.
    """

    title: str
    mel: npt.NDArray[np.float32]
    words: Sequence[Word]
    parts: Sequence[str]
    looks: npt.NDArray[np.float32]


def speech_figure(path: str | os.PathLike[str], strips: Sequence[Strip], title: str) -> Path:
    """Save a PNG: a row for each sound, and the attention of the first one below.

    Args:
        path: The file to write; its folder is made if missing.
        strips: at least one.
        title: One line above the picture.

    Returns:
        `path`, absolute.
    """
    height = EDGE + STRIP * len(strips) + ALIGNMENT
    figure = Figure(figsize=(13, height), dpi=130, facecolor="white")
    figure.suptitle(
        title, x=0.06, y=1 - 0.25 / height, ha="left", va="top", fontsize=14, weight="bold",
        color=INK,
    )  # fmt: skip
    grid = figure.add_gridspec(
        len(strips) + 1, 1, height_ratios=[STRIP] * len(strips) + [ALIGNMENT],
        left=0.06, right=0.98, top=1 - 0.85 * EDGE / height, bottom=0.5 / height, hspace=0.55,
    )  # fmt: skip
    longest = max(strip.mel.shape[1] for strip in strips) * FRAME
    for row, strip in enumerate(strips):
        _draw_strip(figure.add_subplot(grid[row]), strip, longest)
    _draw_looks(figure.add_subplot(grid[-1]), strips[0])
    target = Path(path).expanduser().absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, format="png")
    return target


def _draw_strip(axes: Axes, strip: Strip, longest: float) -> None:
    seconds = strip.mel.shape[1] * FRAME
    axes.imshow(
        strip.mel, aspect="auto", origin="lower", cmap="magma", extent=(0, seconds, 0, 1),
        interpolation="bilinear",
    )  # fmt: skip
    axes.set(xlim=(0, longest), ylim=(0, 1), yticks=())
    axes.set_title(strip.title, loc="left", fontsize=9.5, color=QUIET, pad=3)
    per_letter = longest / 165  # seconds that a letter takes up
    free = [-1.0, -1.0, -1.0]  # where the words in each line end
    for word in strip.words:
        axes.axvline(word.start, color="white", linewidth=0.6, alpha=0.6)
        middle = (word.start + word.end) / 2
        reach = len(word.text) * per_letter / 2
        line = min(range(len(free)), key=lambda each: (free[each] > middle - reach, each))
        free[line] = middle + reach
        axes.text(
            middle, -0.08 - 0.17 * line, word.text, ha="center", va="top", fontsize=9, color=INK,
            parse_math=False, clip_on=False,
        )  # fmt: skip
    axes.tick_params(bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_looks(axes: Axes, strip: Strip) -> None:
    seconds = strip.looks.shape[1] * SECONDS
    rows = len(strip.looks)
    axes.imshow(
        np.sqrt(strip.looks), aspect="auto", cmap="Blues", extent=(0, seconds, rows, 0),
        interpolation="nearest",
    )  # fmt: skip
    edges = np.append(starts(strip.looks) * SECONDS, seconds)
    axes.stairs(np.arange(rows) + 0.5, edges, baseline=None, color="#d64545", linewidth=1.2)
    axes.set_yticks(np.arange(rows) + 0.5, [*strip.parts, "(end)"], fontsize=min(8, 190 / rows))
    axes.set_title(
        f"Where the decoder looks while it writes each token, and the path through it: "
        f"{strip.title}",
        loc="left", fontsize=9.5, color=QUIET, pad=4,
    )  # fmt: skip
    axes.set_xlabel("seconds", color=QUIET, fontsize=9.5)
    axes.tick_params(colors=QUIET, length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_color(LINE if spine.spine_type == "none" else FAINT)
