"""Connectionist temporal classification: sequences of labels whose places nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn._guard import guarded

_NEVER = -1e30  # the logarithm of no chance: finite, so that differences of two stay numbers


@guarded
def ctc_loss(
    log_probs: slope.Tensor,
    targets: slope.Tensor,
    input_lengths: slope.Tensor | Sequence[int],
    target_lengths: slope.Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> slope.Tensor:
    """Minus the logarithm of the chance that inputs spell their targets.

    An input spells a target if, where repeated labels are joined and blanks left out, the target
    is left. One loop over the length sums over all such inputs; its gradient is another.

    Source: A. Graves et al., "Connectionist temporal classification", ICML 2006.

    Args:
        log_probs: logarithms of the classes' chances, shape (length, n, classes) or (length,
            classes), as of ``log_softmax``.
        targets: classes, without blanks, shape (n, s), or all one behind the other, (sum of
            target_lengths,); without n, (s,).
        input_lengths: how many places of each input count, shape (n,) or ().
        target_lengths: how many of each target's labels count, likewise.
        blank: the class of "no label".
        reduction: ``"mean"`` (of each loss through its target's length), ``"sum"`` or ``"none"``.
        zero_infinity: count targets that do not fit into their inputs as 0 instead of infinity.

    Raises:
        ShapeError: shapes that do not fit.
        ArgumentError: an unknown reduction.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(
            f"ctc_loss: reduction must be 'mean', 'sum' or 'none', not {reduction!r}."
        )
    sizes, counts = slope.as_tensor(input_lengths), slope.as_tensor(target_lengths)
    single = log_probs.ndim == 2
    if single:
        log_probs, targets = log_probs.unsqueeze(1), targets.unsqueeze(0)
        sizes, counts = slope.reshape(sizes, (1,)), slope.reshape(counts, (1,))
    elif targets.ndim == 1:
        targets = _apart(targets, counts, target_lengths)
    if log_probs.ndim != 3 or targets.ndim != 2 or targets.shape[0] != log_probs.shape[1]:
        raise ShapeError(
            f"ctc_loss takes log_probs (length, n, classes) and targets (n, s), and got "
            f"{log_probs.type} and {targets.type}."
        )
    losses = -_log_chances(log_probs, targets, sizes, counts, blank)
    impossible = losses > -_NEVER / 2
    losses = slope.where(impossible, 0.0 if zero_infinity else slope.inf, losses)
    if reduction == "none":
        return losses[0] if single else losses
    if reduction == "sum":
        return losses.sum()
    return (losses / slope.clamp_min(counts, 1).astype(losses.dtype)).mean()


def _apart(targets: slope.Tensor, counts: slope.Tensor, given: Any) -> slope.Tensor:
    """Targets that stand one behind the other, as rows of one length; what fills them is unused."""
    total = targets.shape[0]
    width = max([1, *map(int, given)]) if isinstance(given, list | tuple) else total
    starts = slope.cumsum(counts, 0) - counts
    places = starts.unsqueeze(-1) + slope.arange(width)
    return slope.take(targets, slope.clamp(places, 0, total - 1))


def _log_chances(
    log_probs: slope.Tensor, targets: slope.Tensor, sizes: Any, counts: Any, blank: int
) -> slope.Tensor:
    """For each example, the logarithm of the chance of all inputs that spell its target.

    A state is a place in the target with blanks before, between and behind its labels: from each
    one goes on to itself, to the next, and over a blank between two different labels.
    """
    n, length = targets.shape
    blanks = slope.full_like(targets, blank)
    states = slope.flatten(slope.stack([blanks, targets], -1), 1)
    states = slope.cat([states, slope.full((n, 1), blank, dtype=targets.dtype)], 1)
    width = 2 * length + 1
    leaps = slope.logical_and(states[:, 2:] != blank, states[:, 2:] != states[:, :-2])
    dtype = log_probs.dtype
    leap = slope.where(slope.pad(leaps, (2, 0), value=False), 0.0, _NEVER).astype(dtype)[:, :width]
    emitted = slope.take_along_dim(log_probs, states.unsqueeze(0), 2)  # (length, n, width)
    start = slope.where(slope.arange(width) < 2, emitted[0], _NEVER)

    def step(chances: slope.Tensor, now: Any) -> tuple[slope.Tensor, None]:
        given, place = now
        onward = slope.pad(chances, (1, 0), value=_NEVER)[:, :width]
        over = slope.pad(chances, (2, 0), value=_NEVER)[:, :width] + leap
        new = slope.logsumexp(slope.stack([chances, onward, over]), 0) + given
        new = slope.clamp_min(new, _NEVER)
        return slope.where((place < sizes).unsqueeze(-1), new, chances), None

    places = slope.arange(1, log_probs.shape[0])
    last, _ = slope.scan(step, start, (emitted[1:], places))
    final = 2 * counts.unsqueeze(-1) - slope.arange(2)  # the last blank, and the last label
    ends = slope.take_along_dim(last, slope.clamp_min(final, 0), 1)
    ends = slope.where(final >= 0, ends, _NEVER)
    return slope.logsumexp(ends, 1)
