"""Programs: typed lists of instructions over variables that are bound once.

A program is what tracing makes, what transforms and passes turn into other programs, and what
backends compile. Its operands are variables and literals (one number in every element, written
inline); tensors that the traced function captured are its constants, hoisted to the front.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Self

import numpy as np

from slope.core import rules
from slope.core.operator import Operator
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.trace import Trace, bind, current_trace, use_trace
from slope.core.types import TensorType
from slope.dims import DimExpr
from slope.dims import key as dims_key
from slope.errors import NaNError, ProgramError, SlopeError, Source, user_source


class Var:
    """A variable: bound once, compared by identity."""

    __slots__ = ("type",)

    def __init__(self, tensor_type: TensorType) -> None:
        self.type = tensor_type

    def __repr__(self) -> str:
        return f"Var({self.type})"


class Literal:
    """A tensor of one repeated number, written inline."""

    __slots__ = ("type", "value")

    def __init__(self, value: bool | float, tensor_type: TensorType) -> None:
        self.value = value
        self.type = tensor_type

    def key(self) -> Hashable:
        """Equal for literals that mean the same (0.0 and -0.0 differ)."""
        return param_key(self.value), self.type

    def __repr__(self) -> str:
        return f"Literal({self.value!r}, {self.type})"


Atom = Var | Literal


def param_key(value: Any) -> Any:
    """What stands for a parameter in keys: equal only for parameters that mean the same.

    1, 1.0 and True differ, and so do 0.0 and -0.0; NaN is itself. So it is in tuples and lists.
    """
    kind = type(value)
    if kind is int or kind is str:
        return value
    if isinstance(value, (tuple, list)):
        return kind, *[item if type(item) is int else param_key(item) for item in value]
    if kind is bool:
        return kind, value
    if isinstance(value, float):
        return kind, value.hex()
    if isinstance(value, np.generic):
        return kind, value.tobytes()
    return dims_key((value,)) if isinstance(value, DimExpr) else value


class Instr:
    """One operator call: ``outputs = op(*inputs, **params)``.

    Attributes:
        source: the line of the user's code that it comes from, where known.
    """

    __slots__ = ("inputs", "op", "outputs", "params", "source")

    def __init__(
        self,
        op: Operator,
        inputs: tuple[Atom, ...],
        params: dict[str, Any],
        outputs: tuple[Var, ...],
        source: Source | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.params = params
        self.outputs = outputs
        self.source = source

    def __repr__(self) -> str:
        return f"{self.outputs} = {self.op.name}{self.inputs} {self.params}"


class Program:
    """Inputs, constants, instructions, outputs. Not changed once made; transforms make new ones.

    Attributes:
        name: the name of the function that it was traced from.
        inputs: its parameters.
        constants: variables with the tensors that they stand for.
        instrs: its instructions, in order.
        outputs: variables and literals.
        derived: what was made from it (its derivative, its batched form, executables), by key.
        input_names: what the traced function calls its first inputs, where known, for printing.
    """

    __slots__ = (
        "__weakref__",
        "constants",
        "derived",
        "input_names",
        "inputs",
        "instrs",
        "name",
        "outputs",
    )

    def __init__(
        self,
        inputs: Iterable[Var],
        constants: Iterable[tuple[Var, Tensor]],
        instrs: Iterable[Instr],
        outputs: Iterable[Atom],
        name: str = "program",
        input_names: Iterable[str] = (),
    ) -> None:
        self.inputs = tuple(inputs)
        self.constants = tuple(constants)
        self.instrs = list(instrs)
        self.outputs = tuple(outputs)
        self.name = name
        self.input_names = tuple(input_names)
        self.derived: dict[Any, Any] = {}

    def __copy__(self) -> Program:
        return self

    def __deepcopy__(self, memo: Any) -> Program:
        return self

    def __reduce__(self) -> Any:
        """What was derived from it, such as executables, stays where it is."""
        parts = self.inputs, self.constants, self.instrs, self.outputs, self.name, self.input_names
        return Program, parts

    def with_instrs(self, instrs: Sequence[Instr]) -> Program:
        """A program of other instructions between the same inputs, constants and outputs."""
        return Program(
            self.inputs, self.constants, instrs, self.outputs, self.name, self.input_names
        )

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        """The types of the inputs."""
        return tuple(var.type for var in self.inputs)

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        """The types of the outputs."""
        return tuple(atom.type for atom in self.outputs)

    def count(self, *names: str) -> int:
        """How many instructions there are (of these operators)."""
        return sum(1 for instr in self.instrs if not names or instr.op.name in names)

    def check(self) -> Program:
        """Verify that every variable is bound once before its use and every type is as inferred.

        Returns:
            The program itself.

        Raises:
            ProgramError: it is not well formed; the message names the instruction.
        """
        bound: set[Var] = set()
        for var in (*self.inputs, *(var for var, _ in self.constants)):
            self._bind(bound, var, "an input or constant")
        for number, instr in enumerate(self.instrs):
            place = f"instruction {number} ({instr.op.name})"
            for atom in instr.inputs:
                if isinstance(atom, Var) and atom not in bound:
                    raise ProgramError(
                        f"program {self.name!r}: {place} uses a variable {atom.type} before it is "
                        f"bound."
                    )
            types = result_types(instr.op, [atom.type for atom in instr.inputs], instr.params)
            stated = tuple(var.type for var in instr.outputs)
            if types != stated:
                raise ProgramError(
                    f"program {self.name!r}: {place} is stated to give {stated} but gives {types}."
                )
            for var in instr.outputs:
                self._bind(bound, var, place)
        for atom in self.outputs:
            if isinstance(atom, Var) and atom not in bound:
                raise ProgramError(f"program {self.name!r}: an output {atom.type} is never bound.")
        return self

    def _bind(self, bound: set[Var], var: Var, place: str) -> None:
        if var in bound:
            raise ProgramError(
                f"program {self.name!r}: {place} binds a variable {var.type} a second time."
            )
        bound.add(var)

    def cost(self) -> Any:
        """Floating-point operations, bytes and peak live bytes, in all and by operator.

        See :class:`slope.core.cost.Cost`.
        """
        from slope.core.cost import program_cost

        return program_cost(self)

    def __str__(self) -> str:
        from slope.core.printer import program_text

        return program_text(self)

    def __repr__(self) -> str:
        return f"<Program {self.name}: {len(self.inputs)} inputs, {len(self.instrs)} instructions>"


# --- types of results


_expanded_types: dict[Any, tuple[TensorType, ...]] = {}


def result_types(
    op: Operator, types: Sequence[TensorType], params: dict[str, Any]
) -> tuple[TensorType, ...]:
    """The types of an operator's results, always as a tuple.

    They come from ``infer``, else from tracing ``expand``.
    """
    if op.has("infer"):
        try:  # written out: every instruction comes by
            found = op.infer(*types, **params)
        except SlopeError:
            raise
        except Exception as error:
            rules.blame(op, "infer", types, params, error)
            raise
        return (
            (found,)
            if type(found) is TensorType and not op.multiple
            else rules.result_types(op, found)
        )
    key = (op, *types, *((name, param_key(params[name])) for name in sorted(params)))
    try:
        found = _expanded_types.get(key)
    except TypeError:
        rules.check_params(op, params)
        raise
    if found is None:
        rules.check_params(op, params)
        program = trace_program(lambda *args: expand(op, args, params), types, name=op.name)
        found = program.output_types
        if len(_expanded_types) > 16384:
            _expanded_types.clear()
        _expanded_types[key] = found
    return found


def expand(op: Operator, args: Sequence[Tensor], params: dict[str, Any]) -> tuple[Tensor, ...]:
    """Run an operator's ``expand`` under the current trace; the results as a tuple."""
    return rules.results(op, "expand", rules.call(op, "expand", args, params))


# --- tracing


class ProgramTracer(Tracer):
    """A tensor that a program will compute."""

    __slots__ = ("atom",)

    def __init__(self, trace: ProgramTrace, atom: Atom) -> None:
        super().__init__(trace, atom.type)
        self.atom = atom


class ProgramTrace(Trace):
    """Records operator calls as instructions.

    Args:
        record_all: record every call (jit), or only those with an operand that depends on an input
            of this program (the linear part of a linearization), while all others go to the parent
            trace.
    """

    name = "jit"

    def __init__(
        self,
        parent: Trace,
        function: str = "",
        source: Source | None = None,
        *,
        record_all: bool = True,
    ) -> None:
        super().__init__(parent, function, source)
        self.record_all = record_all
        # Set while an instruction is rewritten or differentiated: what replaces it keeps its line.
        self.instr_source: Source | None = None
        self.inputs: list[Var] = []
        self.instrs: list[Instr] = []
        self.constants: dict[int, tuple[Var, Tensor]] = {}

    def new_input(self, tensor_type: TensorType) -> ProgramTracer:
        """Add an input."""
        var = Var(tensor_type)
        self.inputs.append(var)
        return ProgramTracer(self, var)

    def atom(self, arg: Tensor, user: Operator | str) -> Atom:
        """The variable or literal that stands for an operand; foreign tensors become constants."""
        if isinstance(arg, Tracer):
            if arg.owner is self:
                assert isinstance(arg, ProgramTracer)
                return arg.atom
            self.check(arg, user)
        elif isinstance(arg, Splat):
            return Literal(arg.value, arg.type)
        found = self.constants.get(id(arg))
        if found is None:
            found = self.constants[id(arg)] = (Var(arg.type), arg)
        return found[0]

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        if not self.record_all:
            if not any(isinstance(arg, ProgramTracer) and arg.owner is self for arg in args):
                assert self.parent is not None
                with use_trace(self.parent):
                    return self.parent.process(op, args, params)
        elif op.inline:
            return expand(op, args, params)
        inputs = tuple([self.atom(arg, op) for arg in args])
        types = result_types(op, [atom.type for atom in inputs], params)
        outputs = tuple([Var(each) for each in types])
        source = self.instr_source or (user_source(2) if self.record_all else None)
        self.instrs.append(Instr(op, inputs, params, outputs, source))
        return tuple([ProgramTracer(self, var) for var in outputs])

    def finish(self, outputs: Sequence[Tensor], name: str) -> Program:
        """The program that computes these tensors."""
        atoms = [self.atom(output, "the result of " + name) for output in outputs]
        return Program(self.inputs, self.constants.values(), self.instrs, atoms, name)


class LineKeeper:
    """Tells all recording traces that are current which line their next instructions come from.

    A context manager; afterwards they know again what they knew before.

    Attributes:
        traces: those traces.
    """

    __slots__ = ("_before", "traces")

    def __init__(self, trace: Trace | None = None) -> None:
        self.traces: list[ProgramTrace] = []
        each = current_trace() if trace is None else trace
        while each is not None:
            if isinstance(each, ProgramTrace):
                self.traces.append(each)
            each = each.parent
        self._before = [each.instr_source for each in self.traces]

    def at(self, source: Source | None) -> None:
        """From here on, this line; ``None`` is the line known before."""
        for number, trace in enumerate(self.traces):
            trace.instr_source = source or self._before[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.at(None)


def known_source(skip: int = 1) -> Source | None:
    """The line that instructions made now come from: what a trace was told, or the user's line.

    Args:
        skip: how many frames to leave out to begin with.
    """
    each: Trace | None = current_trace()
    while each is not None:
        if isinstance(each, ProgramTrace) and each.instr_source is not None:
            return each.instr_source
        each = each.parent
    return user_source(skip + 1)


def trace_program(
    function: Callable[..., Sequence[Tensor]],
    types: Sequence[TensorType],
    *,
    name: str = "program",
    source: Source | None = None,
) -> Program:
    """The program of a function from tensors to a sequence of tensors.

    It is traced on inputs of these types.
    """
    with ProgramTrace(current_trace(), name, source) as trace:
        outputs = function(*[trace.new_input(each) for each in types])
        return trace.finish(outputs, name)


# --- evaluation


def evaluate(program: Program, args: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Run a program instruction by instruction under the current trace."""
    return run_instrs(program, args, lambda instr, operands: bind(instr.op, operands, instr.params))


def run_instrs(
    program: Program,
    args: Sequence[Tensor],
    step: Callable[[Instr, list[Tensor]], Sequence[Tensor]],
) -> tuple[Tensor, ...]:
    """Run a program with one's own meaning of an instruction.

    This is the base of interpreters and passes.
    """
    env: dict[Var, Tensor] = dict(zip(program.inputs, args, strict=True))
    env.update(program.constants)

    def read(atom: Atom) -> Tensor:
        return env[atom] if isinstance(atom, Var) else Splat(atom.value, atom.type)

    with LineKeeper() as keeper:
        for instr in program.instrs:
            keeper.at(instr.source)
            try:
                outs = step(instr, [read(atom) for atom in instr.inputs])
            except NaNError as error:
                error.came_of(instr.source)
                raise
            env.update(zip(instr.outputs, outs, strict=True))
    return tuple([read(atom) for atom in program.outputs])
