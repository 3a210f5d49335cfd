"""Which arguments of a function are meant by positions and names: static ones, donated ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

from slope.api._arguments import function_name, positional_names
from slope.errors import ArgumentError


def shifted(places: Sequence[Any]) -> list[Any]:
    """Positions behind the bound argument; those counted from the end, and names, stay."""
    return [place + 1 if isinstance(place, int) and place >= 0 else place for place in places]


def statics(
    function: Callable[..., Any], numbers: Sequence[int], names: Sequence[str]
) -> tuple[frozenset[int], frozenset[str]]:
    """Static arguments by number and by name, each completed by the other."""
    known = positional_names(function)
    for name in names:
        if known and name not in known and not _takes_keyword(function, name):
            raise ArgumentError(
                f"jit of {function_name(function)}: static_argnames names {name!r}, and its "
                f"arguments are {', '.join(known)}."
            )
    count = len(known)
    positions = [number + count if number < 0 else number for number in numbers]
    by_name = {known.index(name) for name in names if name in known}
    by_number = {known[number] for number in positions if number < count}
    return frozenset(positions) | by_name, frozenset(names) | by_number


def donations(
    function: Callable[..., Any],
    donate: Sequence[int | str],
    static: Collection[int],
    user: str = "donate",
) -> frozenset[int | str]:
    """Donated arguments by number and by name, each completed by the other.

    Args:
        function: whose arguments they are.
        donate: their positions and names.
        static: positions of arguments that cannot be meant.
        user: the parameter of ``jit`` that names them, for messages.

    Raises:
        ArgumentError: one is not there, or is static.
    """
    known, where = positional_names(function), f"jit of {function_name(function)}: {user}"
    found: set[int | str] = set()
    for each in donate:
        if isinstance(each, bool) or not isinstance(each, (int, str)):
            raise ArgumentError(
                f"{where} takes positions and names of arguments, and got {each!r:.80}."
            )
        if isinstance(each, str):
            if known and each not in known and not _takes_keyword(function, each):
                raise ArgumentError(
                    f"{where} names {each!r}, and its arguments are {', '.join(known)}."
                )
            number = known.index(each) if each in known else None
        else:
            number = each + len(known) if each < 0 else each
            if number < 0 or (number >= len(known) and not _takes_more(function)):
                raise ArgumentError(
                    f"{where}={each} is out of range: the arguments are {', '.join(known)}."
                )
        if number is not None and number in static:
            raise ArgumentError(
                f"{where} and static_argnums= both name the argument {each!r}; only tensors can be "
                f"donated."
            )
        found |= {each} if number is None else {number}
        if number is not None and number < len(known):
            found.add(known[number])
    return frozenset(found)


def _takes_more(function: Callable[..., Any]) -> bool:
    """Whether a function has ``*args``, or cannot be inspected."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)


def _takes_keyword(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(
        each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()
    )
