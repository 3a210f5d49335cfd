"""The dtype and the device of all tensors of a model: given when a layer is made, or later."""

from __future__ import annotations

from typing import TypeVar

import slope
from slope.extend import ArgumentError
from slope_nn._node import Node, plan_of

T = TypeVar("T")


def moved(tree: T, dtype: slope.DType | None, device: slope.Device | str | None) -> T:
    """A copy of a pytree with its floating-point tensors in a dtype and all tensors on a device.

    Args:
        tree: of tensors.
        dtype: a floating-point one; each tensor keeps its own without.
        device: likewise.

    Raises:
        ArgumentError: the dtype is no floating-point one, so that no parameter could have it.
    """
    wanted = None if dtype is None else slope.zeros(0, dtype=dtype).dtype  # of a name, too
    if wanted is not None and not wanted.is_floating_point:
        raise ArgumentError(
            f"a module cannot have the dtype {wanted.name}: parameters are floating-point, and "
            f"tensors of integers keep theirs. Take float32, float64, bfloat16 or float16."
        )

    def move(leaf: slope.Tensor) -> slope.Tensor:
        if leaf.dtype.is_floating_point:
            return leaf.to(dtype=wanted, device=device)
        return leaf.to(device=device)

    return slope.tree_map(move, tree)


def place(node: Node, dtype: slope.DType | None, device: slope.Device | str | None) -> None:
    """Give the tensors of a layer that is being made their dtype and device, in place.

    Values are drawn in float32 and then converted, so one key gives one model in every dtype.
    """
    if dtype is None and device is None:
        return
    for name in plan_of(node).kinds:
        setattr(node, name, moved(getattr(node, name), dtype, device))
