"""Gradients cut to size: pure functions on trees of gradients."""

from __future__ import annotations

from typing import Any, TypeVar

import slope
from slope.extend import ArgumentError
from slope_nn._checks import gradients as tensors_of
from slope_nn._checks import real

Tree = TypeVar("Tree")


def global_norm(tree: Any, norm_type: float = 2.0) -> slope.Tensor:
    """The norm of all tensors of a tree together, as one long vector.

    Args:
        tree: a pytree of floating-point tensors; ``None`` counts nothing.
        norm_type: 2 by default; any power of at least 1, or ``slope.inf`` for the largest size.

    Returns:
        A tensor of shape (); 0 for a tree without tensors.
    """
    return _norm("global_norm", tree, norm_type)


def _norm(who: str, tree: Any, norm_type: float) -> slope.Tensor:
    if not real(who, "norm_type", norm_type) >= 1:
        raise ArgumentError(f"{who}: norm_type must be at least 1, not {norm_type!r}.")
    leaves = [leaf for leaf in tensors_of(who, tree) if 0 not in leaf.shape]
    if not leaves:
        return slope.tensor(0.0)
    if norm_type == slope.inf:
        total = slope.abs(leaves[0]).amax()
        for leaf in leaves[1:]:
            total = slope.maximum(total, slope.abs(leaf).amax())
        return total
    total = sum(_power(leaf, norm_type).sum() for leaf in leaves)
    return slope.sqrt(total) if norm_type == 2 else slope.pow(total, 1.0 / norm_type)


def _power(x: slope.Tensor, power: float) -> slope.Tensor:
    return x * x if power == 2 else slope.pow(slope.abs(x), power)


def clip_grad_norm(
    gradients: Tree, max_norm: float | slope.Tensor, norm_type: float = 2.0
) -> tuple[Tree, slope.Tensor]:
    """Scale all gradients by one factor, so that their norm is at most ``max_norm``.

    The factor is PyTorch's, ``min(1, max_norm / (norm + 1e-6))``. Gradients that hold NaN or an
    infinite norm give NaN: look at the norm that is returned.

    Args:
        gradients: a pytree; ``None`` stays ``None``.
        max_norm: the largest norm.
        norm_type: which norm; see :func:`global_norm`.

    Returns:
        The gradients and their norm before.

    Example:
        >>> gradients, norm = nn.clip_grad_norm(gradients, 1.0)
    """
    norm = _norm("clip_grad_norm", gradients, norm_type)
    if not isinstance(max_norm, slope.Tensor):
        max_norm = real("clip_grad_norm", "max_norm", max_norm)
    factor = slope.minimum(max_norm / (norm + 1e-6), 1.0)
    return slope.tree_map(lambda g: g * factor.astype(g.dtype), gradients), norm


def clip_grad_value(gradients: Tree, clip_value: float | slope.Tensor) -> Tree:
    """Cut each element of the gradients to ``[-clip_value, clip_value]``.

    Args:
        gradients: a pytree; ``None`` stays ``None``.
        clip_value: the largest size.
    """
    tensors_of("clip_grad_value", gradients)
    if not isinstance(clip_value, slope.Tensor):
        real("clip_grad_value", "clip_value", clip_value)
    return slope.tree_map(
        lambda g: slope.maximum(slope.minimum(g, clip_value), -clip_value), gradients
    )
