"""Keys for the parts of a layer."""

from __future__ import annotations

import slope


def split_key(key: slope.Tensor | None, count: int) -> list[slope.Tensor | None]:
    """As many keys as parts; all ``None`` (the default generator) if there is no key."""
    if key is None:
        return [None] * count
    keys = slope.random.split(key, count)
    return [keys[place] for place in range(count)]
