"""Arguments, checked: each error names the layer or function, the argument and what it got."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import slope
from slope.extend import ArgumentError, Tensor


def shown(value: object) -> str:
    """A value for a message: a tensor by its type."""
    return str(value.type) if isinstance(value, Tensor) else f"{value!r:.60}"


def tensor(who: str, name: str, value: Any) -> Tensor:
    """A tensor, or an array made one."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        raise ArgumentError(f"{who}: {name} must be a tensor, not {shown(value)}.")
    return slope.as_tensor(value)


def positive(who: str, **sizes: Any) -> None:
    """Refuse sizes that are no positive ints."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ArgumentError(f"{who}: {name} must be a positive int, not {shown(size)}.")


def real(who: str, name: str, value: Any) -> float:
    """A number known when it is given, as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ArgumentError(f"{who}: {name} must be a number, not {shown(value)}.")
    return float(value)


def number(who: str, name: str, value: Any) -> Any:
    """A number as given: known, or a tensor, perhaps traced."""
    if not isinstance(value, Tensor):
        real(who, name, value)
    return value


def probability(who: str, p: Any) -> float:
    """A probability below 1."""
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
        raise ArgumentError(f"{who}: p must be at least 0 and below 1, not {shown(p)}.")
    return float(p)


def flag(who: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{who}: {name} must be True or False, not {shown(value)}.")
    return value


def whole(who: str, name: str, value: Any, least: int = 1) -> int:
    """An int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"{who}: {name} must be an int of at least {least}, not {value!r:.60}.")
    return value


def ints(who: str, name: str, value: Any, count: int | None = None) -> tuple[int, ...]:
    """Ints, given as one (``count`` times; once without) or as a sequence (of ``count``)."""
    one = isinstance(value, int) and not isinstance(value, bool)
    given = (value,) * (count or 1) if one else value
    if not isinstance(given, tuple | list) or not all(
        isinstance(each, int) and not isinstance(each, bool) for each in given
    ):
        raise ArgumentError(
            f"{who}: {name} must be an int or a sequence of ints, not {shown(value)}."
        )
    if count is not None and len(given) != count:
        raise ArgumentError(f"{who}: {name} takes {count} lengths, not {value!r:.60}.")
    return tuple(given)


def shape(who: str, value: Any) -> tuple[Any, ...]:
    """A shape, given as a sequence of lengths, which may be symbolic."""
    wrong = (str, float, tuple, list)
    if not isinstance(value, tuple | list) or any(isinstance(each, wrong) for each in value):
        raise ArgumentError(f"{who}: shape must be a sequence of ints, not {shown(value)}.")
    return tuple(value)


def path(who: str, value: Any, name: str = "the path") -> Path:
    """A path, given as text or as a path."""
    if not isinstance(value, str | os.PathLike):
        raise ArgumentError(f"{who}: {name} must be text or a path, not {shown(value)}.")
    return Path(value)


def mapping(who: str, name: str, value: Any) -> Mapping[Any, Any]:
    """A dict or the like."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{who}: {name} must be a dict, not {shown(value)}.")
    return value


def iterable(who: str, name: str, value: Any) -> list[Any]:
    """A list of what may be a list, a tuple or a generator."""
    if isinstance(value, str | Tensor) or not isinstance(value, Iterable):
        raise ArgumentError(f"{who}: {name} must be a sequence, not {shown(value)}.")
    return list(value)


def gradients(who: str, tree: Any) -> list[Tensor]:
    """The tensors of a pytree of nothing else (and ``None``)."""
    leaves = slope.tree_leaves(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ArgumentError(
                f"{who}: the gradients must be a pytree of tensors, and hold {shown(leaf)}."
            )
    return leaves
