"""The function that is being written: its statements, names, constants and nested functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from slope.extend import Program, TensorType, splat_scalar
from slope_backend_numpy.context import Value, scalar_type
from slope_backend_numpy.sizes import refuse_symbolic


class Function(NamedTuple):
    """A nested program as a Python function.

    Attributes:
        name: what to call it by.
        owners: for each result the number of the memory that it stands in: its own, or a donated
            argument's; -1 if that may be another argument's.
    """

    name: str
    owners: tuple[int, ...]

    def shared(self) -> list[bool]:
        """For each result whether it may share memory with an argument or with another result."""
        return [owner < 0 or self.owners.count(owner) > 1 for owner in self.owners]


class Writer:
    """The function that is being written: its statements, and the names that they refer to."""

    def __init__(
        self,
        generate: Callable[[Program, frozenset[int], frozenset[int]], Any],
        *,
        nested: bool,
    ) -> None:
        self.nested = nested  # whether another function calls it
        self.generate = generate
        self.sources: list[str] = []  # of nested programs
        self._functions: dict[tuple[Program, frozenset[int], frozenset[int]], Function] = {}
        self._drafts: dict[tuple[Program, frozenset[int], frozenset[int]], Any] = {}
        self.lines: list[str] = []
        self.header: dict[str, str] = {}  # scalars, as source
        self.constants: dict[str, Any] = {}
        self._known: dict[Any, str] = {}  # names of constants
        self._count = 0

    def name(self) -> str:
        """A new local name."""
        self._count += 1
        return f"t{self._count}"

    def function(self, program: Program, donated: frozenset[int], rows: frozenset[int]) -> Function:
        """A name for a nested program's function."""
        key = program, donated, rows
        found = self._functions.get(key)
        if found is None:
            made = self.draft(*key)
            name = self.constant(made.function(program.name), "body")
            self.sources.append(f"# {name}\n{made.source}")
            found = self._functions[key] = Function(name, made.owners)
        return found

    def draft(self, program: Program, donated: frozenset[int], rows: frozenset[int]) -> Any:
        """The code of a nested program's function, which may stay unused."""
        key = program, donated, rows
        if key not in self._drafts:
            self._drafts[key] = self.generate(*key)
        return self._drafts[key]

    def line(self, text: str, tensor_type: TensorType) -> None:
        """Add a statement, with the type of its result as a comment."""
        self.lines.append(f"    {text}  # {tensor_type}")

    def literal(self, number: bool | float, tensor_type: TensorType) -> Value:
        value = splat_scalar(number, tensor_type.dtype)
        plain = value.item()
        # The shortest text that reads back as the value; bfloat16's own text loses the sign of
        # -0.0.
        shown = str(plain if tensor_type.dtype.name == "bfloat16" else value)
        if isinstance(plain, float) and not math.isfinite(plain):
            shown = f"float('{plain}')"
        text = str(plain) if shown.startswith("float") else shown
        name = f"{tensor_type.dtype.name}_{_spelled(text)}"
        self.header[name] = f"{scalar_type(tensor_type.dtype)}({shown})"
        return Value(name, tensor_type, (), number=plain)

    def number_array(self, value: Value) -> str:
        """A name for an array of shape () that holds a number written inline."""
        name = f"{value.code}_0d"
        self.header[name] = f"np.asarray({self.header[value.code]})"
        return name

    def constant(self, value: Any, hint: str) -> str:
        """A name for an object; equal arrays share one."""
        refuse_symbolic(value)
        key: Any = id(value)
        if isinstance(value, np.ndarray):
            key = (value.dtype, value.shape, value.tobytes())
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = f"{hint}{len(self.constants)}"
            self.constants[name] = value
        return name


def _spelled(number: str) -> str:
    return number.replace("-", "m").replace("+", "").replace(".", "p")
