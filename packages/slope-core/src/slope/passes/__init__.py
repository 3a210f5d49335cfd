"""Passes: programs to better programs of the same meaning.

Passes run when a program is compiled, after every differentiation. Each is one file, and each can
be switched off: ``SLOPE_DISABLE_PASSES=cse,algebra`` does so by the names in :data:`PASSES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from slope.core.program import Program
from slope.errors import ArgumentError
from slope.passes._nested import map_programs, with_better_programs
from slope.passes.algebra import simplify_algebra
from slope.passes.common_subexpressions import merge_common_subexpressions
from slope.passes.constant_folding import Evaluate, fold_constants
from slope.passes.dead_code import remove_dead_code
from slope.passes.layout import to_layout
from slope.passes.scan_sums import sum_after_scans
from slope.passes.scan_turns import move_out_of_scans

__all__ = [
    "PASSES",
    "Evaluate",
    "disabled_passes",
    "fold_constants",
    "map_programs",
    "merge_common_subexpressions",
    "move_out_of_scans",
    "optimize",
    "remove_dead_code",
    "simplify_algebra",
    "sum_after_scans",
    "to_layout",
]

PASSES: Final[dict[str, Callable[..., Program]]] = {
    "dce": remove_dead_code,
    "folding": fold_constants,
    "algebra": simplify_algebra,
    "cse": merge_common_subexpressions,
    "sums": sum_after_scans,
    "turns": move_out_of_scans,
}
"""The passes by name, in the order in which a round runs them."""

ROUNDS: Final = 8  # at most, so that the time is linear; few programs need a third


def optimize(
    program: Program,
    disabled: frozenset[str] = frozenset(),
    evaluate: Evaluate | None = None,
) -> Program:
    """Run the passes over a program and the programs it holds, until nothing changes.

    Args:
        program: any program; it is not changed.
        disabled: names of passes to leave out, besides those that ``SLOPE_DISABLE_PASSES`` names.
        evaluate: computes elementwise operators on numbers, for constant folding; without it only
            exact ones are folded.

    Returns:
        A program with the same inputs; the program itself if there is nothing to improve.

    Raises:
        ArgumentError: there is no pass of a name that should be left out.
    """
    off = disabled_passes() | _known(disabled, "disabled")
    return _optimized(program, off, evaluate)


def _optimized(program: Program, off: frozenset[str], evaluate: Evaluate | None) -> Program:
    key = ("optimized", off, evaluate)
    if key in program.derived:  # a program may stand in several instructions, which stay alike
        return program.derived[key] or program
    result = with_better_programs(program, lambda nested: _optimized(nested, off, evaluate))
    options = {"folding": {"evaluate": evaluate}}
    for _ in range(ROUNDS):
        before = result
        for name, run in PASSES.items():
            if name not in off:
                result = run(result, **options.get(name, {}))
        if result is before:
            break
    program.derived[key] = None if result is program else result  # no cycle
    return result


def disabled_passes() -> frozenset[str]:
    """The passes that the environment variable ``SLOPE_DISABLE_PASSES`` names, by commas.

    Raises:
        ArgumentError: there is no pass of a name in it.
    """
    text = os.environ.get("SLOPE_DISABLE_PASSES", "")
    return _known(
        frozenset(name.strip() for name in text.split(",") if name.strip()),
        "SLOPE_DISABLE_PASSES",
    )


def _known(names: frozenset[str], origin: str) -> frozenset[str]:
    for name in sorted(names - PASSES.keys()):
        raise ArgumentError(
            f"{origin} names the pass {name!r}, and there is none; there are {', '.join(PASSES)}."
        )
    return names
