"""Passes: programs to better programs of the same meaning.

Passes run when a program is compiled, after every differentiation. Each is one file, and each can be switched off:
``SLOPE_DISABLE_PASSES=cse,algebra`` does so by the names in :data:`PASSES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from slope.core.program import Program
from slope.errors import ArgumentError
from slope.passes.common_subexpressions import merge_common_subexpressions
from slope.passes.dead_code import remove_dead_code

__all__ = [
    "PASSES",
    "disabled_passes",
    "merge_common_subexpressions",
    "optimize",
    "remove_dead_code",
]

Pass = Callable[[Program], Program]

PASSES: Final[dict[str, Pass]] = {
    "dce": remove_dead_code,
    "cse": merge_common_subexpressions,
}
"""The passes by name, in the order in which a round runs them."""

ROUNDS: Final = 4  # a pass makes work for others; few programs need a third round


def optimize(program: Program, disabled: frozenset[str] = frozenset()) -> Program:
    """Run the passes over a program, in rounds until nothing changes.

    Args:
        program: any program; it is not changed.
        disabled: names of passes to leave out, besides those that ``SLOPE_DISABLE_PASSES`` names.

    Raises:
        ArgumentError: there is no pass of a name that should be left out.
    """
    off = disabled_passes() | _known(disabled, "disabled")
    for _ in range(ROUNDS):
        before = program
        for name, run in PASSES.items():
            if name not in off:
                program = run(program)
        if program is before:
            break
    return program


def disabled_passes() -> frozenset[str]:
    """The passes that the environment variable ``SLOPE_DISABLE_PASSES`` (names with commas between) leaves out.

    Raises:
        ArgumentError: there is no pass of a name in it.
    """
    text = os.environ.get("SLOPE_DISABLE_PASSES", "")
    return _known(
        frozenset(name.strip() for name in text.split(",") if name.strip()), "SLOPE_DISABLE_PASSES"
    )


def _known(names: frozenset[str], origin: str) -> frozenset[str]:
    for name in sorted(names - PASSES.keys()):
        raise ArgumentError(
            f"{origin} names the pass {name!r}, and there is none; there are {', '.join(PASSES)}."
        )
    return names
