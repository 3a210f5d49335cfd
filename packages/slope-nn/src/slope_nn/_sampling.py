"""Choosing the next token: greedily, or by chance among the likely ones."""

from __future__ import annotations

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn._checks import number, tensors


def sample_logits(
    logits: slope.Tensor,
    *,
    temperature: float | slope.Tensor | None = 1.0,
    top_k: int | None = None,
    top_p: float | slope.Tensor | None = None,
    key: slope.Tensor | None = None,
) -> slope.Tensor:
    """A class for each row of logits.

    Args:
        logits: shape (..., classes).
        temperature: divides the logits: near 0 the most likely class wins, high values make all
            alike. ``None`` or the number 0 picks the most likely class without any chance.
        top_k: only the ``top_k`` most likely classes can be drawn; all by default. It decides the
            program's shapes, so it is an int.
        top_p: of those, only the fewest whose probabilities add up to at least ``top_p``; the most
            likely one always can. Source: A. Holtzman et al., "The curious case of neural text
            degeneration", arXiv:1904.09751.
        key: draws; the default generator by default.

    Returns:
        int64, shape (...).

    Example:
        >>> nn.sample_logits(slope.tensor([[0.0, 9.0, 1.0]]), temperature=None)
        tensor([1])
    """
    tensors("sample_logits", logits=logits)
    if logits.ndim == 0:
        raise ShapeError("sample_logits: logits must have shape (..., classes), and have none.")
    _check(temperature, top_k, top_p, logits.shape[-1])
    if temperature is None or (isinstance(temperature, int | float) and temperature == 0):
        return logits.argmax(-1)
    if top_k is None and top_p is None:
        return _draw(logits / temperature, key)
    # In falling order, so that what is left out stands at the end.
    best, classes = slope.topk(logits, logits.shape[-1] if top_k is None else top_k)
    best = best / temperature
    if top_p is not None:
        chance = slope.softmax(best, -1)
        before = slope.cumsum(chance, -1) - chance  # what the more likely ones add up to
        place = slope.arange(best.shape[-1])
        best = slope.where((before < top_p) | (place == 0), best, -slope.inf)
    chosen = _draw(best, key).unsqueeze(-1)
    return slope.take_along_dim(classes, chosen, -1).squeeze(-1)


def _draw(logits: slope.Tensor, key: slope.Tensor | None) -> slope.Tensor:
    if key is not None:
        return slope.random.categorical(key, logits)
    rows = slope.reshape(logits, (-1, logits.shape[-1]))
    drawn = slope.multinomial(slope.softmax(rows, -1), 1, replacement=True)
    return slope.reshape(drawn, logits.shape[:-1])


def _check(temperature: object, top_k: object, top_p: object, classes: int) -> None:
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if value is not None:
            number("sample_logits", name, value)
    if isinstance(temperature, int | float) and not temperature >= 0:
        raise ArgumentError(
            f"sample_logits: temperature must be at least 0 (0 is greedy), not {temperature!r}."
        )
    if top_k is not None and (
        isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= classes
    ):
        raise ArgumentError(
            f"sample_logits: top_k must be an int from 1 to {classes}, the number of classes, not "
            f"{top_k!r}."
        )
    if isinstance(top_p, int | float) and not 0 < top_p <= 1:
        raise ArgumentError(f"sample_logits: top_p must be above 0 and at most 1, not {top_p!r}.")
