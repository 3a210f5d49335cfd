"""Connectionist temporal classification, by a scan over time in log space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope.api._scan import scan
from slope.core.tensor import Tensor, Tracer
from slope.devices import ANYWHERE
from slope.dims import is_static
from slope.dtypes import float32, float64, int64
from slope.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from slope.functions._arguments import flag_of, whole_of
from slope.functions._base import TensorLike, as_tensor, of_host
from slope.functions.creation import arange, full_like
from slope.functions.extremes import clamp_min
from slope.functions.indexing import take_along_dim
from slope.functions.joining import cat, stack
from slope.functions.logic import where
from slope.functions.losses import reduced
from slope.functions.padding import pad
from slope.functions.reductions import logsumexp
from slope.functions.shapes import broadcast_to, reshape
from slope.functions.special_values import isinf

Lengths = TensorLike | Sequence[int]


def ctc_loss(
    log_probs: TensorLike,
    targets: TensorLike,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The CTC loss: the negative log-probability of label sequences over all their alignments.

    The sum is over all ways to write a sequence with blanks between its labels and labels repeated.

    Args:
        log_probs: ``[time, batch, classes]`` or ``[time, classes]``: logarithms of probabilities,
            as :func:`slope.log_softmax` gives them.
        targets: integers, the labels: ``[batch, most]``, each row filled up with anything; or all
            rows one behind the other, ``[sum of target_lengths]``, which needs lengths that are
            known when the function is called; or, without a batch, one row.
        input_lengths: how many steps of time each row has; ``[batch]`` or a sequence of ints.
        target_lengths: how many labels; likewise.
        blank: the class that is no label.
        reduction: ``"mean"`` divides each loss by its number of labels (at least 1) and takes the
            mean over the batch, as PyTorch does; ``"sum"`` and ``"none"``.
        zero_infinity: count sequences that do not fit into their time as 0, without a derivative,
            and not as infinite.

    The derivative is that of these logarithms, each taken by itself. PyTorch's also has the
    softmax's share in it, which is the same for what ``log_softmax`` gives.

    Source: A. Graves et al., "Connectionist temporal classification" (2006), equations 6 to 8.

    Raises:
        ShapeError, DTypeError, ArgumentError: arguments that do not fit.
        IndexingError: labels that are no class, or the blank, where they are known.
    """
    scores = as_tensor(log_probs, "ctc_loss", "log_probs")
    labels = as_tensor(targets, "ctc_loss", "targets")
    single = scores.ndim == 2
    if scores.dtype.kind != "f" or not labels.dtype.is_integer:
        raise DTypeError(
            "ctc_loss: log_probs must be of a floating dtype and targets of an integer one, and "
            f"are {scores.type} and {labels.type}."
        )
    if scores.ndim not in (2, 3) or not is_static(scores.shape) or 0 in scores.shape:
        raise ShapeError(
            "ctc_loss: log_probs must be [time, batch, classes] or [time, classes], known and not "
            f"empty, and are {scores.type}."
        )
    if single:
        scores = reshape(scores, (scores.shape[0], 1, scores.shape[1]))
        labels = labels if labels.ndim != 1 else reshape(labels, (1, -1))
    steps, batch, classes = scores.shape
    if not 0 <= whole_of(blank, "ctc_loss", "blank") < classes:
        raise ArgumentError(f"ctc_loss: blank={blank} must be one of the {classes} classes.")
    times = _lengths("input_lengths", input_lengths, batch, steps)
    counts = _lengths("target_lengths", target_lengths, batch, None)
    labels = _rows(labels, counts, batch)
    _check(labels, counts, classes, blank)
    wide = scores if scores.dtype is float64 else scores.to(float32)
    losses = _losses(wide, labels.to(int64), times, counts, blank)
    if flag_of(zero_infinity, "ctc_loss", "zero_infinity"):
        losses = where(isinf(losses), 0.0, losses)
    if reduction == "mean":
        losses = losses / clamp_min(counts, 1).to(losses.dtype)
    losses = reduced("ctc_loss", losses, reduction)
    losses = reshape(losses, ()) if single and reduction == "none" else losses
    return losses.to(scores.dtype)


def _lengths(argument: str, given: Any, batch: int, most: int | None) -> Tensor:
    """Lengths as int64 of shape (batch,)."""
    if isinstance(given, (tuple, list)):
        given = of_host(np.array([whole_of(each, "ctc_loss", argument, 0) for each in given]))
    made = as_tensor(given, "ctc_loss", argument)
    if not made.dtype.is_integer or made.shape not in ((batch,), ()) or made.type.size != batch:
        raise ShapeError(
            f"ctc_loss: {argument} must be {batch} integers, one for each row of the batch, and "
            f"are {made.type}."
        )
    known = _known(made)
    if known is not None and known.size:
        low, high = int(known.min()), int(known.max())
        if low < 0 or (most is not None and high > most):
            limit = "" if most is None else f" and at most {most}, the steps of log_probs"
            raise ArgumentError(
                f"ctc_loss: {argument} must be at least 0{limit}, and go from {low} to {high}."
            )
    return reshape(made.to(int64), (batch,))


def _known(x: Tensor) -> np.ndarray[Any, Any] | None:
    return None if isinstance(x, Tracer) or x.device.kind != "cpu" else x.host()


def _rows(labels: Tensor, counts: Tensor, batch: int) -> Tensor:
    """Labels as (batch, most)."""
    if labels.ndim == 2 and labels.shape[0] == batch:
        known = _known(counts)
        if known is not None and known.size and int(known.max()) > labels.shape[1]:
            raise ShapeError(
                f"ctc_loss: targets {labels.type} have fewer labels than target_lengths says, "
                f"{int(known.max())}."
            )
        return labels
    if labels.ndim != 1:
        raise ShapeError(
            f"ctc_loss: targets must be [batch, most] for a batch of {batch}, or one vector of all "
            f"labels, and are {labels.type}."
        )
    known = _known(counts)
    if known is None:
        raise ArgumentError(
            "ctc_loss: targets one behind the other need target_lengths whose values are known; "
            "inside of compiled functions give targets of shape [batch, most]."
        )
    ends = np.cumsum(known)
    if labels.shape[0] != int(known.sum()):
        raise ShapeError(
            f"ctc_loss: targets are {labels.type}, and target_lengths add up to {known.sum()}."
        )
    most = int(known.max()) if known.size else 0
    places = np.minimum((ends - known)[:, None] + np.arange(most), max(int(known.sum()) - 1, 0))
    return labels[of_host(places)] if labels.shape[0] else broadcast_to(labels, (batch, 0))


def _check(labels: Tensor, counts: Tensor, classes: int, blank: int) -> None:
    """Refuse labels that are no class or the blank, if they are known."""
    values, lengths = _known(labels), _known(counts)
    if values is None or lengths is None:
        return
    used = np.arange(values.shape[1]) < lengths[:, None]
    wrong = used & ((values < 0) | (values >= classes) | (values == blank))
    if wrong.any():
        row, place = map(int, np.argwhere(wrong)[0])
        raise IndexingError(
            f"ctc_loss: label {place} of row {row} is {values[row, place]}; labels must be from 0 "
            f"to {classes - 1}, and not the blank, {blank}."
        )


def _losses(scores: Tensor, labels: Tensor, times: Tensor, counts: Tensor, blank: int) -> Tensor:
    """The losses of a batch: the forward variables, step by step."""
    steps, batch, _ = scores.shape
    # Labels with blanks around them: blank, l0, blank, l1, ..., blank.
    pairs = stack([full_like(labels, blank), labels], -1)
    states = pad(reshape(pairs, (batch, -1)), (0, 1), value=blank)
    width = states.shape[1]
    spoken = take_along_dim(scores, broadcast_to(states, (steps, batch, width)), 2)
    # A blank may be left out between different labels.
    before = pad(states, (2, 0), value=blank)[:, :width]
    skips = (states != blank) & (states != before)
    minus = -math.inf
    never = full_like(spoken[0], minus)
    place = arange(width, device=ANYWHERE)
    alpha = where(place < 2, spoken[0], never)

    def step(alpha: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        emitted, time = now
        one = pad(alpha, (1, 0), value=minus)[:, :width]
        two = where(skips, pad(alpha, (2, 0), value=minus)[:, :width], minus)
        following = logsumexp(stack([alpha, one, two]), 0) + emitted
        return where(reshape(time < times, (batch, 1)), following, alpha), None

    alpha, _ = scan(step, alpha, (spoken[1:], arange(1, steps, device=ANYWHERE)))
    last = reshape(2 * counts, (batch, 1))
    ends = cat([last, clamp_min(last - 1, 0)], 1)
    final = take_along_dim(alpha, ends, 1)
    possible = cat([last >= 0, last > 0], 1)
    empty = reshape(times == 0, (batch, 1))  # no time: only the empty sequence is certain
    start = where(place == 0, 0.0, minus)
    final = where(empty, take_along_dim(broadcast_to(start, alpha.shape), ends, 1), final)
    return -logsumexp(where(possible, final, minus), 1)
