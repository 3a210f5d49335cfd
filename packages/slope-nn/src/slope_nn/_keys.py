"""Checks and keys that layers share."""

from __future__ import annotations

from typing import Any

import slope
from slope.extend import ArgumentError


def split_key(key: slope.Tensor | None, count: int) -> list[slope.Tensor | None]:
    """As many keys as parts; all ``None`` (the default generator) if there is no key."""
    if key is None:
        return [None] * count
    keys = slope.random.split(key, count)
    return [keys[place] for place in range(count)]


def positive(who: str, **sizes: Any) -> None:
    """Refuse sizes that are no positive ints.

    Raises:
        ArgumentError: naming the argument.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ArgumentError(f"{who}: {name} must be a positive int, not {size!r}.")


def probability(who: str, p: Any) -> float:
    """A probability below 1, checked.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
        raise ArgumentError(f"{who}: p must be at least 0 and below 1, not {p!r}")
    return float(p)
