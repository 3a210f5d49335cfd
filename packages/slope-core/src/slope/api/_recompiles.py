"""Why a compiled function needs another program, in words."""

from __future__ import annotations

from typing import Any

from slope.core.types import TensorType, type_of_number
from slope.tree import leaf_paths


def differences(old: Any, new: Any, tree: Any) -> list[str]:
    """In words, what of two keys of the cache differs."""
    reasons: list[str] = []
    if old[0] != new[0]:
        reasons.append(f"the structure of the arguments is new: {new[0]} instead of {old[0]}")
    elif old[1] != new[1]:
        for path, before, now in zip(leaf_paths(tree), old[1], new[1], strict=True):
            if before != now:
                reasons.append(
                    f"argument{path} is {_described(now)} instead of {_described(before)}"
                )
    if old[2] != new[2]:
        reasons.append("the backend is another one")
    if old[3] != new[3]:
        reasons.append(f"static arguments are {new[3]} instead of {old[3]}")
    return reasons


def by_types_alone(old: Any, new: Any) -> bool:
    """Whether two keys differ in nothing but the types of tensors and arrays."""
    same = (old[0], *old[2:]) == (new[0], *new[2:])
    return same and all(
        isinstance(now, int) for before, now in zip(old[1], new[1], strict=True) if before != now
    )


def _described(signature: Any) -> str:
    if isinstance(signature, int):
        if signature < 0:
            return f"a NumPy array {type_of_number(~signature)}"
        return str(type_of_number(signature))
    if isinstance(signature, tuple) and isinstance(signature[0], TensorType):
        return f"{signature[0]} on {signature[1]}"
    if isinstance(signature, tuple):
        return repr(signature[1])
    return f"a Python {signature}"
