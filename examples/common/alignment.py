"""When each word was said, from where the decoder looked while writing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SECONDS = 0.02  # of one position of the encoder's output
SMOOTH = 7  # positions in the median


class Word(NamedTuple):
    """A word and when it was said, in seconds from the start."""

    text: str
    start: float
    end: float


def starts(looks: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The position at which each token begins, shape (tokens,); they never decrease.

    The cheapest monotone path through the weights ("dynamic time warping"), as in Whisper's own
    word timestamps: weights standardized over the tokens and smoothed by a median in time.

    Args:
        looks: shape (tokens, positions), the weights of attention to the sound.
    """
    looks = np.asarray(looks, np.float64)
    spread = looks.std(axis=0)
    likeness = (looks - looks.mean(axis=0)) / np.where(spread > 0, spread, 1)
    padded = np.pad(likeness, ((0, 0), (SMOOTH // 2, SMOOTH // 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTH, axis=1)
    return _cheapest_path(-np.median(windows, axis=-1))


def _cheapest_path(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    came = np.zeros((rows, columns), np.int8)
    for row in range(rows):
        for column in range(columns):
            # Steps: to the next token and position, to the next token, to the next position.
            before = (total[row, column], total[row, column + 1], total[row + 1, column])
            came[row, column] = best = min(range(3), key=before.__getitem__)
            total[row + 1, column + 1] = costs[row, column] + before[best]
    first = np.zeros(rows, np.int64)
    row, column = rows - 1, columns - 1
    while row >= 0 and column >= 0:
        first[row] = column
        step = came[row, column]
        row, column = row - (step != 2), column - (step != 1)
    return first


def words(parts: Sequence[str], looks: npt.ArrayLike) -> list[Word]:
    """The words that tokens make, with their times.

    Args:
        parts: each token's text; one that begins with a space begins a word.
        looks: shape (tokens + 1, positions); the last row is of the end.
    """
    if not parts:
        return []
    at = starts(looks) * SECONDS
    first = [place for place, part in enumerate(parts) if place == 0 or part.startswith(" ")]
    ends = [*first[1:], len(parts)]
    return [
        Word("".join(parts[start:end]).strip(), float(at[start]), float(at[end]))
        for start, end in zip(first, ends, strict=True)
    ]
