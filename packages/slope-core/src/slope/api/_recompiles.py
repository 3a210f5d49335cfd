"""Why a compiled function needs another program, in words."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any

from slope.compile import listened_to, log, log_jit
from slope.core.types import TensorType, type_of_number
from slope.tree import leaf_paths


def explain(key: Any, tree: Any, known: dict[Any, Any], function: str, told: bool) -> bool:
    """Say why a function that has programs already needs another.

    To the log; to a terminal once, if it is for other types in the same structure, such as a
    smaller batch.

    Args:
        key: of the new program.
        tree: the arguments.
        known: the programs that there are, by their keys.
        function: its name.
        told: whether the terminal has heard of it.

    Returns:
        Whether the terminal was told now.
    """
    tell = not told and sys.stderr is not None and sys.stderr.isatty()
    if not known or not (tell or listened_to() or log_jit()):
        return False
    recent = tuple(islice(reversed(known), 16))  # all of thousands would take long
    nearest = min(recent, key=lambda old: len(_differences(old, key, tree)))
    reasons = "; ".join(_differences(nearest, key, tree))
    message = f"jit of {function} compiles again (program {len(known) + 1}): {reasons}"
    log("%s", message)
    if log_jit():
        print(f"# {message}", file=sys.stderr)  # noqa: T201  # what LOG_JIT=1 asks for
    elif tell and _by_types_alone(nearest, key):
        # The sequence clears a line that may hold a progress bar.
        print(f"\r\033[Kslope: {message} (said once)", file=sys.stderr)  # noqa: T201  # its user waits
        return True
    return False


def explain_size(function: str, backend: str, sizes: Mapping[str, int], told: bool) -> bool:
    """Say that a function with dynamic dimensions is compiled for one size of them.

    To the log; to a terminal once.

    Args:
        function: its name.
        backend: that of the backend.
        sizes: by name.
        told: whether the terminal has heard of it.

    Returns:
        Whether the terminal was told now.
    """
    given = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    message = f"jit of {function} is compiled by {backend} for {given} alone"
    log("%s", message)
    if told or sys.stderr is None or not sys.stderr.isatty():
        return False
    # The sequence clears a line that may hold a progress bar.
    print(f"\r\033[Kslope: {message} (said once)", file=sys.stderr)  # noqa: T201  # its user waits
    return True


def _differences(old: Any, new: Any, tree: Any) -> list[str]:
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


def _by_types_alone(old: Any, new: Any) -> bool:
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
