"""Filters: which tensors of a model something applies to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slope
from slope.extend import ArgumentError, TreeError
from slope_nn._node import walk

Filter = Callable[[str, slope.Tensor], bool] | Any
"""A predicate on the dotted name of a tensor and the tensor, or a pytree of bools."""


def selected(who: str, model: Any, which: Filter) -> list[bool]:
    """Whether a filter selects each of the leaves of a model, in flattening order.

    Args:
        who: names the filter in errors.
        model: a module or any pytree of tensors.
        which: a predicate on the dotted name and the tensor, or a pytree of bools that is of the
            model's structure or a prefix of it (one bool for a whole part).

    Raises:
        TreeError: the pytree of bools does not fit the model.
        ArgumentError: it holds something else than bools.
    """
    if callable(which) and not isinstance(which, slope.Tensor) and not _is_tree(which):
        return [bool(which(".".join(path), leaf)) for path, _, leaf in walk(model)]
    flags, structure = slope.tree_flatten(which)
    for flag in flags:
        if not isinstance(flag, bool):
            raise ArgumentError(
                f"{who} must be a function of name and tensor, or a pytree of bools; "
                f"it holds {flag!r:.60}."
            )
    try:
        parts = structure.flatten_up_to(model)
    except (ValueError, TypeError) as error:
        raise TreeError(
            f"{who} does not fit the model: {str(error).splitlines()[0]:.300}"
        ) from None
    return [
        flag
        for flag, part in zip(flags, parts, strict=True)
        for _ in range(len(slope.tree_leaves(part)))
    ]


def _is_tree(value: Any) -> bool:
    """Whether a value is a container rather than a leaf; modules are callable, too."""
    return not slope.tree_structure(value).is_leaf()
