"""Sizes that may be symbolic: what rules decide without knowing them.

In code a symbolic dimension is its name, which the generated function takes from its arguments; so
whatever a rule writes into its text, such as a shape, holds for every size. What it decides must
hold for every size, too. Equality is that of the expressions: where two shapes are not known to be
equal, the general code is written. A decision about speed goes by whether the size is known, or
takes unknown sizes for large ones. All else that is compared raises ``ShapeError``, and the program
is compiled for known sizes instead.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from slope.extend import Program, ShapeError, dims

Shape = tuple[Any, ...]

_VALUES: Final = re.compile(r"[txy]\d+")  # names of values


def known(sizes: Iterable[Any]) -> bool:
    """Whether all sizes are ints."""
    return dims.is_static(sizes)


def same(first: Iterable[Any], second: Iterable[Any]) -> bool:
    """Whether two shapes are equal for every size."""
    return dims.same(first, second)


def differ(first: Any, second: Any) -> bool:
    """Whether two sizes are not known to be equal."""
    return not dims.same((first,), (second,))


def large(size: Any, least: int) -> bool:
    """Whether a size is at least as large as that, or unknown."""
    return not isinstance(size, int) or size >= least


def never_zero(size: Any) -> bool:
    """Whether a size is known to be positive."""
    return dims.bounds(size)[0] > 0


def at_least_zero(size: Any) -> Any:
    """A size, 0 where it is negative."""
    return dims.dim_max(size, 0)


def broadcast_shapes(shapes: Iterable[Shape]) -> Shape:
    """The shape that shapes broadcast to; a symbolic dimension stands beside itself or a 1."""
    found = [*dict.fromkeys(shapes)]
    if len(found) == 1:
        return found[0]
    return np.broadcast_shapes(*found) if all(map(known, found)) else dims.broadcast(*found)


def dimension_lines(
    program: Program, parameters: Sequence[str], read: Collection[str], taken: Collection[str]
) -> list[str]:
    """Lines that take the symbolic dimensions of a program from its arguments.

    Args:
        program: for which a function is written.
        parameters: the function's, the first of them those of the inputs.
        read: the words of the function's code.
        taken: the names in it that mean something else.

    Raises:
        ShapeError: a dimension is of no input's shape by itself, or its name is taken.
    """
    places = {
        str(length): f"{name}.shape[{axis}]"
        for name, var in zip(parameters, program.inputs, strict=False)
        for axis, length in reversed([*enumerate(var.type.shape)])
    }
    lines: list[str] = []
    for name in dims.names(_lengths(program)):
        if name not in read:
            continue
        if name not in places:
            raise ShapeError(f"the dimension {name} is that of no input of {program.name!r}.")
        if _VALUES.fullmatch(name) or hasattr(builtins, name) or name in taken:
            raise ShapeError(f"the dimension's name {name} means something else in NumPy's code.")
        lines.append(f"    {name} = {places[name]}")
    return lines


def _lengths(program: Program) -> Iterator[Any]:
    """All that may be written of symbolic dimensions."""
    for var in program.inputs:
        yield from var.type.shape
    for instr in program.instrs:
        yield from _within(list(instr.params.values()))
        for atom in (*instr.inputs, *instr.outputs):
            yield from atom.type.shape
    for atom in program.outputs:
        yield from atom.type.shape


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _within(item)
    else:
        yield value


def refuse_symbolic(value: Any) -> None:
    """Refuse an object made while compiling that holds a symbolic dimension.

    Raises:
        ShapeError: it does; text alone can hold one.
    """
    items = (value.start, value.stop, value.step) if isinstance(value, slice) else value
    if isinstance(items, np.ndarray) and items.dtype == object:
        items = items.tolist()
    if isinstance(items, (tuple, list)):
        for item in items:
            refuse_symbolic(item)
    elif not known((value,)):
        raise ShapeError(f"a constant of the program depends on the dimension {value}.")
