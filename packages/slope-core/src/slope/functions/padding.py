"""Elements added at the edges."""

from __future__ import annotations

from collections.abc import Sequence

from slope import ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import Scalar, number_of, shown, sizes_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, splat_like
from slope.functions.joining import cut
from slope.functions.shapes import expand

__all__ = ["pad"]


@at_once
def pad(
    x: TensorLike, pad: Sequence[int], mode: str = "constant", value: Scalar | None = 0
) -> Tensor:
    """Elements added at the edges.

    ``pad`` is ``(before, after)`` of the last dimension, then of the one before, and so on.

    Negative widths cut off.

    Args:
        x: a tensor.
        pad: an even number of ints.
        mode: ``"constant"`` for ``value``; ``"reflect"`` for the elements next to the edge in
            reverse order, without the edge itself; ``"replicate"`` for the element at the edge;
            ``"circular"`` for those at the other end.
        value: what ``"constant"`` adds; None is 0.

    Raises:
        ArgumentError: an odd number of widths, an unknown mode, or a value that is no number.
        ShapeError: a dimension is too short for the mode.
    """
    given = as_tensor(x, "pad", "x")
    if not isinstance(mode, str) or mode not in ("constant", "reflect", "replicate", "circular"):
        raise ArgumentError(
            f"pad: mode={mode!r} is none of 'constant', 'reflect', 'replicate', 'circular'."
        )
    value = 0 if value is None else value
    number_of(value, "pad", "value")
    widths = sizes_of((pad,), "pad", "pad")
    if len(widths) % 2 or len(widths) > 2 * given.ndim:
        raise ArgumentError(
            f"pad: pad={widths} must hold two widths for each of at most {given.ndim} dimensions "
            f"of {given.type}."
        )
    low, high = [0] * given.ndim, [0] * given.ndim
    for number in range(len(widths) // 2):
        low[-1 - number], high[-1 - number] = widths[2 * number], widths[2 * number + 1]
    added = [(max(before, 0), max(after, 0)) for before, after in zip(low, high, strict=True)]
    gone = [(max(-before, 0), max(-after, 0)) for before, after in zip(low, high, strict=True)]
    # Reflected and repeated elements may be among those that are cut off.
    if mode in ("reflect", "replicate"):
        return _cut_off(_pad_dims(given, added, mode), gone, widths)
    given = _cut_off(given, gone, widths)
    if mode == "circular" or added == [(0, 0)] * given.ndim:
        return _pad_dims(given, added, mode)
    low, high = zip(*added, strict=True)
    number = splat_like(value, given).value
    return ops.pad(given, low=low, high=high, interior=(0,) * given.ndim, value=number)


def _cut_off(x: Tensor, widths: list[tuple[int, int]], asked: Sequence[int]) -> Tensor:
    for at, (before, after) in enumerate(widths):
        if before == after == 0:
            continue
        if before + after > x.shape[at]:
            raise ShapeError(f"pad: pad={asked} cuts off more than dimension {at} of {x.type} has.")
        x = cut(x, at, before, x.shape[at] - after)
    return x


def _pad_dims(x: Tensor, widths: list[tuple[int, int]], mode: str) -> Tensor:
    for at, (before, after) in enumerate(widths):
        x = _pad_dim(x, at, before, after, mode)
    return x


def _pad_dim(x: Tensor, at: int, before: int, after: int, mode: str) -> Tensor:
    """One dimension padded with its own elements; see :func:`slope.pad` for the modes.

    Raises:
        ShapeError: the dimension is too short.
    """
    if before == after == 0:
        return x
    length = x.shape[at]
    limit = {"reflect": length - 1, "circular": length}.get(mode)
    if limit is not None and max(before, after) > max(limit, 0):
        raise ShapeError(
            f"pad: mode={mode!r} adds at most {max(limit, 0)} elements to dimension {at} of a "
            f"tensor of shape {shown(x.shape)}, and was asked for {max(before, after)}."
        )
    if length == 0 and max(before, after) > 0:
        raise ShapeError(
            f"pad: mode={mode!r} has nothing to repeat in dimension {at} of a tensor of shape "
            f"{shown(x.shape)}."
        )
    parts = [x]
    if before:
        parts.insert(0, _edge(x, at, before, mode, front=True))
    if after:
        parts.append(_edge(x, at, after, mode, front=False))
    return x if len(parts) == 1 else ops.cat(*parts, dim=at)


def _edge(x: Tensor, at: int, width: int, mode: str, *, front: bool) -> Tensor:
    length = x.shape[at]
    if mode == "circular":
        return cut(x, at, length - width, length) if front else cut(x, at, 0, width)
    if mode == "reflect":
        first = 1 if front else length - 1 - width
        return ops.flip(cut(x, at, first, first + width), dims=(at,))
    place = 0 if front else length - 1
    shape = (*x.shape[:at], width, *x.shape[at + 1 :])
    return expand(cut(x, at, place, place + 1), shape)
