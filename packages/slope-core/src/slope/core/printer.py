"""Programs as Python text that runs.

The text of a program is a module with one function. It takes the program's inputs in order, and
constants (its own, those of programs that it holds, and the host functions that it calls) as
keywords ``c0``, ``c1``, ...; it returns a tuple, always::

    namespace = {}
    exec(program_text(program), namespace)
    constants = {f"c{k}": tensor for k, tensor in enumerate(constants_of(program))}
    outputs = namespace["NAME"](*inputs, **constants)

Every operator is called as ``slope.NAME(*operands, **params)``. A literal is a bare number where
the function of that name takes one and another operand fixes its type; elsewhere it is
``slope.full``. Programs among the parameters are functions defined before their use;
:func:`program_of` (``slope.program_of`` in the text) makes programs of them again. Symbolic
dimensions are bound at the top from the shapes of the inputs. Equal programs give equal text: names
are numbered in order of appearance.
"""

from __future__ import annotations

import builtins
import keyword
import linecache
import math
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from slope.core.operator import Operator
from slope.core.program import Atom, Instr, Literal, Program, Var, trace_program
from slope.core.tensor import splat_scalar
from slope.core.types import Shape, TensorType
from slope.dims import DimExpr, dim_str
from slope.dims import names as dim_names
from slope.dtypes import DType, int64
from slope.errors import ProgramError, Source

# Functions that take Python numbers beside tensors and give the operator of their name whatever the
# number is (not `pow`, which chooses other operators for some exponents).
TAKE_NUMBERS: Final = frozenset((
    "add", "sub", "mul", "div", "floor_divide", "fmod", "remainder", "maximum", "minimum", "eq",
    "ne", "lt", "le", "gt", "ge", "where", "bitwise_and", "bitwise_or", "bitwise_xor",
))  # fmt: skip
WIDENING: Final = frozenset({"sum", "prod"})  # functions that make int64 of integers unless told
BARE: Final = frozenset({"optimization_barrier"})  # functions that give a lone result as it is
_INDENT: Final = "    "
_RESERVED: Final = frozenset({"slope", "float"})  # names that the text itself uses
_NUMBERED: Final = re.compile(r"[vc]\d+")  # names of results and constants


def program_text(program: Program, *, sources: bool = False) -> str:
    """The program as Python that runs; see the module for how to run it.

    Args:
        program: any program.
        sources: end each comment with the line of the user's code that the instruction comes from.

    Raises:
        ProgramError: a symbolic dimension that the text must name is no input's whole dimension.
    """
    return _Printer(sources).module(program)


def program_of(*types: tuple[Shape, DType]) -> Callable[[Callable[..., Any]], Program]:
    """A decorator that makes a program of a function from tensors to a sequence of tensors.

    Args:
        types: shape and dtype of each argument.
    """

    def decorate(function: Callable[..., Any]) -> Program:
        inputs = [TensorType(tuple(shape), dtype) for shape, dtype in types]
        return trace_program(function, inputs, name=function.__name__)

    return decorate


def constants_of(program: Program) -> list[Any]:
    """What the text takes as ``c0``, ``c1``, ...: tensors, also of programs it holds, functions."""
    printer = _Printer(sources=False)
    printer.module(program)
    return printer.constants


def identifier(name: str) -> str:
    """A valid Python name made of any text."""
    name = re.sub(r"\W+", "_", name).strip("_") or "program"
    if not name.isidentifier():
        return f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in _RESERVED else name


def programs_in(value: Any) -> Iterable[Program]:
    """The programs that a parameter is or holds, in order."""
    if isinstance(value, Program):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from programs_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from programs_in(item)


def _functions_in(value: Any) -> Iterable[Callable[..., Any]]:
    """The Python functions that a parameter is or holds, in order: no text stands for them."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _functions_in(item)
    elif callable(value) and not isinstance(value, (Operator, type)):
        yield value


class _Printer:
    """Collects the lines of one text; names are unique in the whole of it."""

    def __init__(self, sources: bool) -> None:
        self.sources = sources
        self.lines: list[str] = []
        self.names: dict[Var, str] = {}
        self.taken: set[str] = set(_RESERVED)
        self.suffixes: dict[str, int] = {}
        self.bound_dims: set[str] = set()
        self.numbers = {"v": 0, "c": 0, "x": 0}
        self.constants: list[Any] = []
        self.owners: list[tuple[Program, Var, str]] = []
        self.functions: dict[Any, str] = {}  # names of host functions

    # --- the text

    def module(self, program: Program) -> str:
        name = identifier(program.name)
        self._reserve_dims(program)
        self._name_constants(program)
        inputs = self._name_inputs(program)
        counts = {
            "input": program.inputs,
            "constant": program.constants,
            "instruction": program.instrs,
        }
        described = [
            f"{len(items)} {what}{'' if len(items) == 1 else 's'}" for what, items in counts.items()
        ]
        head = f"# slope program {program.name}: {', '.join(described)}"
        self.lines += [
            head,
            "import slope",
            "",
            "",
            *self._signature(name, program, inputs),
        ]
        self._bind_dims(program, inputs)
        self._body(program, _INDENT, {})
        return "\n".join(self.lines) + "\n"

    def _signature(self, name: str, program: Program, inputs: list[str]) -> list[str]:
        rows = [
            f"{_INDENT}{each},  # {var.type}"
            for each, var in zip(inputs, program.inputs, strict=True)
        ]
        if self.owners or self.functions:
            rows.append(f"{_INDENT}*,")
        for owner, var, each in self.owners:
            whose = "" if owner is program else f" of {owner.name}"
            rows.append(f"{_INDENT}{each},  # {var.type}, a constant{whose}")
        rows += [f"{_INDENT}{each},  # {function!r}" for function, each in self.functions.items()]
        return [f"def {name}(", *rows, "):"] if rows else [f"def {name}():"]

    def _body(self, program: Program, indent: str, visible: dict[Program, str]) -> None:
        visible = dict(visible)
        for instr in program.instrs:
            for value in instr.params.values():
                for nested in programs_in(value):
                    if nested not in visible:
                        visible[nested] = self._function(instr, nested, indent, visible)
            self.lines.append(indent + self._instruction(instr, visible))
        outputs = [self._full_atom(atom) for atom in program.outputs]
        self.lines.append(
            f"{indent}return ({', '.join(outputs)}{',' if len(outputs) == 1 else ''})"
        )

    def _function(
        self, instr: Instr, nested: Program, indent: str, visible: dict[Program, str]
    ) -> str:
        name = self._unique(identifier(nested.name))
        inputs = self._name_inputs(nested)
        if not instr.op.transparent:
            types = [
                f"({self._value(var.type.shape, {})}, {_dtype(var.type.dtype)})"
                for var in nested.inputs
            ]
            self.lines.append(f"{indent}@slope.program_of({', '.join(types)})")
        self.lines.append(f"{indent}def {name}({', '.join(inputs)}):")
        self._body(nested, indent + _INDENT, visible)
        return name

    def _instruction(self, instr: Instr, visible: dict[Program, str]) -> str:
        inputs = [self._operand(instr, atom) for atom in instr.inputs]
        if instr.op.transparent:
            call = f"{visible[instr.params['program']]}({', '.join(inputs)})"
        else:
            params = [f"{key}={self._value(value, visible)}" for key, value in instr.params.items()]
            dtype = instr.outputs[0].type.dtype if instr.op.name in WIDENING else int64
            if dtype.is_integer and dtype is not int64:
                params.append(f"dtype={_dtype(dtype)}")
            call = f"slope.{instr.op.name}({', '.join(inputs + params)})"
        outputs = [self._name_result(var) for var in instr.outputs]
        types = ", ".join(str(var.type) for var in instr.outputs)
        comment = f"  # {types}" if types else ""
        if self.sources and instr.source is not None:
            comment = f"{comment or '  #'}  {_source(instr.source)}"
        if not outputs:
            return call + comment
        lone = len(outputs) == 1 and instr.op.multiple and instr.op.name not in BARE
        target = f"({outputs[0]},)" if lone else ", ".join(outputs)
        return f"{target} = {call}{comment}"

    # --- operands and parameters

    def _operand(self, instr: Instr, atom: Atom) -> str:
        if isinstance(atom, Var):
            return self.names[atom]
        if instr.op.name in TAKE_NUMBERS and any(
            isinstance(other, Var) and other.type == atom.type for other in instr.inputs
        ):
            return _number(_literal_value(atom))
        return self._full_atom(atom)

    def _full_atom(self, atom: Atom) -> str:
        if isinstance(atom, Var):
            return self.names[atom]
        shape = self._value(atom.type.shape, {})
        return (
            f"slope.full({shape}, {_number(_literal_value(atom))}, dtype={_dtype(atom.type.dtype)})"
        )

    def _value(self, value: Any, visible: dict[Program, str]) -> str:
        if isinstance(value, tuple | list):
            items = [self._value(item, visible) for item in value]
            if isinstance(value, list):
                return f"[{', '.join(items)}]"
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        if isinstance(value, Program):
            return visible[value]
        if isinstance(value, DType):
            return _dtype(value)
        if isinstance(value, DimExpr):
            return self._dim(value)
        if callable(value) and value in self.functions:
            return self.functions[value]
        if isinstance(value, Operator):
            return f"slope.{value.name}"
        return _number(value)

    def _dim(self, dim: DimExpr) -> str:
        for name in dim_names([dim]):
            if name not in self.bound_dims:
                raise ProgramError(
                    f"a program with the dimension {dim} cannot be printed as Python: no input has "
                    f"a dimension that is {name} alone, from which the text could take it. Give "
                    "one input such a dimension."
                )
        return dim_str(dim)

    # --- names

    def _reserve_dims(self, program: Program) -> None:
        for var in program.inputs:
            for name in dim_names(var.type.shape):
                if name in _RESERVED:
                    raise ProgramError(
                        f"a program with a dimension named {name!r} cannot be printed as Python; "
                        f"rename the dimension."
                    )
                self.taken.add(name)

    def _bind_dims(self, program: Program, inputs: list[str]) -> None:
        for var, name in zip(program.inputs, inputs, strict=True):
            for axis, dim in enumerate(var.type.shape):
                if (
                    isinstance(dim, DimExpr)
                    and dim_str(dim).isidentifier()
                    and dim_str(dim) not in self.bound_dims
                ):
                    self.bound_dims.add(dim_str(dim))
                    self.lines.append(f"{_INDENT}{dim_str(dim)} = {name}.shape[{axis}]")

    def _name_constants(self, program: Program) -> None:
        pending, seen = [program], {program}
        for each in pending:  # grows while it is walked: programs within programs
            for var, tensor in each.constants:
                self.names[var] = self._next("c")
                self.owners.append((each, var, self.names[var]))
                self.constants.append(tensor)
            for instr in each.instrs:
                if not instr.op.transparent:
                    self._name_functions(instr)
                for value in instr.params.values():
                    for nested in programs_in(value):
                        if nested not in seen:
                            seen.add(nested)
                            pending.append(nested)

    def _name_functions(self, instr: Instr) -> None:
        for function in _functions_in(list(instr.params.values())):
            if function not in self.functions:
                self.functions[function] = self._next("c")
                self.constants.append(function)

    def _name_inputs(self, program: Program) -> list[str]:
        given = program.input_names
        for index, var in enumerate(program.inputs):
            if index < len(given):
                self.names[var] = self._unique(identifier(given[index]))
            else:
                self.names[var] = self._next("x")
        return [self.names[var] for var in program.inputs]

    def _name_result(self, var: Var) -> str:
        name = self.names[var] = self._next("v")
        return name

    def _next(self, letter: str) -> str:
        while True:
            name = f"{letter}{self.numbers[letter]}"
            self.numbers[letter] += 1
            if name not in self.taken:
                self.taken.add(name)
                return name

    def _unique(self, name: str) -> str:
        if _NUMBERED.fullmatch(name) or hasattr(builtins, name):
            name += "_"
        candidate, number = name, self.suffixes.get(name, 2)
        while candidate in self.taken:
            candidate, number = f"{name}_{number}", number + 1
        self.suffixes[name] = number  # many inputs of one name must not search from the start
        self.taken.add(candidate)
        return candidate


def _dtype(dtype: DType) -> str:
    return "slope.bool_" if dtype.name == "bool" else f"slope.{dtype.name}"


def _literal_value(literal: Literal) -> bool | int | float:
    """The literal's number as it counts: integers wrapped around, floats for floating dtypes."""
    value, dtype = literal.value, literal.type.dtype
    if dtype.kind == "f":
        return value if type(value) is float else float(splat_scalar(value, dtype))
    return splat_scalar(value, dtype).item()


def _number(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _source(source: Source) -> str:
    place = f"{os.path.basename(source.filename)}:{source.line}"  # noqa: PTH119  # pathlib takes 3 ms to import
    line = linecache.getline(source.filename, source.line).strip()
    return f"{place}: {line}" if line else f"{place} in {source.function}"
