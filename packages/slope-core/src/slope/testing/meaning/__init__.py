"""The meaning rules: small cases whose results the operators' docstrings decide.

Where hardware differs (NaN in an extremum, ties, integer division by zero, casts out of range,
shifts past the width), slope says what holds. The results here are written by hand, so the numpy
backend is held to them like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from slope.core.program import trace_program
from slope.core.tensor import Tensor
from slope.core.types import type_of_array
from slope.testing.cases import Array, Broken, Case, closed
from slope.testing.meaning._rules import Function, Rules
from slope.testing.meaning.edges import derivatives, edges
from slope.testing.meaning.elements import bits, casts, division, extremes
from slope.testing.meaning.places import accumulation, empty, places

RULES: Final[dict[str, Callable[[], Rules]]] = {
    "NaN and ties": extremes,
    "whole-number division": division,
    "casts": casts,
    "shifts and bits": bits,
    "empty operands": empty,
    "places out of range and repeated": places,
    "accumulation": accumulation,
    "edges": edges,
    "derivatives at edges": derivatives,
}
GROUPS: Final = tuple(RULES)


def meaning_cases() -> Iterator[Case | Broken]:
    """All meaning rules as cases."""
    for group, rules in RULES.items():
        for label, dtype, function, args, expected in rules():
            yield _case(group, label, dtype, function, args, expected)


def _case(
    group: str, label: str, dtype: str, function: Function, args: Sequence[Array], expected: Any
) -> Case | Broken:
    def run(*xs: Tensor) -> tuple[Tensor, ...]:
        result = function(*xs)
        return result if isinstance(result, tuple) else (result,)

    wanted = expected if isinstance(expected, tuple) else (expected,)
    name = f"{label} ({dtype})"
    try:
        program = trace_program(run, [type_of_array(arg) for arg in args], name="meaning")
        return Case(group, "meaning", dtype, name, closed(program), tuple(args), wanted)
    except Exception as error:  # noqa: BLE001  # whatever a rule raises is reported
        return Broken(group, "meaning", dtype, name, error)
