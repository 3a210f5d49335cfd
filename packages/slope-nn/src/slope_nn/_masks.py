"""Masks of attention: PyTorch's and slope's, merged into one."""

from __future__ import annotations

import slope
from slope.extend import ShapeError

Mask = slope.Tensor | None


def shown(mask: slope.Tensor) -> slope.Tensor:
    """A mask as PyTorch's layers take them, where True hides a key, as one where it shows it."""
    return slope.logical_not(mask) if mask.dtype == slope.bool_ else mask


def merged(*masks: Mask) -> Mask:
    """One mask for several: bools that show keys and floats that are added; ``None`` for none."""
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    adding = any(mask.dtype != slope.bool_ for mask in given)
    first, *rest = (_added(mask) if adding else mask for mask in given)
    for mask in rest:
        first = first + mask if adding else slope.logical_and(first, mask)
    return first


def _added(mask: slope.Tensor) -> slope.Tensor:
    return slope.where(mask, 0.0, -slope.inf) if mask.dtype == slope.bool_ else mask


def causal(length: int, others: int) -> slope.Tensor:
    """Bools of shape (length, others): a query sees the keys up to its own position."""
    return slope.arange(others) <= slope.arange(length).unsqueeze(-1)


def of_attention(mask: Mask, heads: int) -> Mask:
    """``attn_mask`` of PyTorch's attention, (l, s) or (n * heads, l, s), to broadcast to scores."""
    if mask is None:
        return None
    if mask.ndim == 3:
        if isinstance(mask.shape[0], int) and mask.shape[0] % heads:
            raise ShapeError(
                f"MultiheadAttention: attn_mask is (l, s) or (n * {heads} heads, l, s), and got "
                f"{mask.type}."
            )
        mask = slope.unflatten(mask, 0, (-1, heads))
    return shown(mask)


def of_padding(mask: Mask) -> Mask:
    """``key_padding_mask`` of PyTorch's attention, (n, s) or (s,), to broadcast to scores."""
    if mask is None:
        return None
    if mask.ndim not in (1, 2):
        raise ShapeError(f"key_padding_mask must be (n, s), True at padding, and is {mask.type}.")
    lead = mask.shape[:-1]
    return slope.reshape(shown(mask), (*lead, 1, 1, mask.shape[-1]))


def widened(mask: Mask, count: int) -> Mask:
    """A mask for ``count`` more keys behind the others, which every query sees."""
    if mask is None or count == 0:
        return mask
    more = (*mask.shape[:-1], count)
    seen = (
        slope.ones(*more, dtype=slope.bool_)
        if mask.dtype == slope.bool_
        else slope.zeros(*more, dtype=mask.dtype)
    )
    return slope.cat([mask, seen], -1)
