"""A whole program as an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from slope.extend import (
    Atom,
    CompileError,
    ExportedProgram,
    Instr,
    Literal,
    Program,
    Source,
    TensorType,
    UnsupportedOperatorError,
    Var,
    cpu_count,
    dims,
    programs_in,
)
from slope_backend_onnx.graph import Graph, GraphError
from slope_backend_onnx.lower import composite
from slope_backend_onnx.lower.chains import Chain, chains, reads_of
from slope_backend_onnx.lower.context import Lowering, Rule, Value
from slope_backend_onnx.lower.index import in_rows
from slope_backend_onnx.lower.zeros import signed_zeros
from slope_backend_onnx.sessions import SMALL_WORK


class ProgramLowering:
    """Lowers the instructions of a program, then its results as they are asked for.

    Args:
        rules: by operator name.
        program: what to lower.
        native, in_order: see :class:`Lowering`.
        exported: names for all inputs, which the graph then has, used or not, and constants.

    Attributes:
        graph: the graph; its inputs are the program inputs that something is computed from.
        used: the numbers of these inputs.
        computed: how many results the graph has.
        result_types: their types.
        sources: the lines of the user's code that nodes come from, by the nodes' names.

    Raises:
        UnsupportedOperatorError: there is no rule for an operator.
        ShapeError: the graph would depend on the size of a symbolic dimension.
        CompileError: a rule failed.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule],
        program: Program,
        *,
        native: bool = False,
        in_order: bool = False,
        exported: ExportedProgram | None = None,
    ) -> None:
        self.graph = Graph(_identifier(program.name))
        self._rules = rules
        self._cx = Lowering(self.graph, self._nested, native=native, in_order=in_order)
        self._values: dict[Var, Value] = {}
        self._results: dict[str, int] = {}
        self.result_types: list[TensorType] = []
        read = {atom for instr in program.instrs for atom in instr.inputs if isinstance(atom, Var)}
        self.used = [
            number
            for number, var in enumerate(program.inputs)
            if var in read or not dims.is_static(var.type.shape)
        ]
        self._inputs: dict[str, int] = {}
        self._numbers = {var: number for number, var in enumerate(program.inputs)}
        if exported is not None:
            self.graph.reserve(exported.outputs)
            self.used = list(range(len(exported.inputs)))
        for number in self.used:
            var = program.inputs[number]
            called = f"x{number}" if exported is None else exported.inputs[number]
            name = self.graph.input(called, var.type.dtype.numpy, var.type.shape)
            self._inputs[name] = number
            self._values[var] = Value(name, var.type, var.type.shape)
            self._cx.lengths.declare(name, var.type)
        if exported is not None:
            behind = program.inputs[len(exported.inputs) :]
            for var, (called, array) in zip(behind, exported.constants, strict=True):
                if var in read or var in program.outputs:
                    name = self.graph.constant(array, called)
                    self._values[var] = Value(name, var.type, var.type.shape)
        self.sources: dict[str, Source] = {}
        self._lower_all(self._cx, program, self._values)

    def _nested(self, cx: Lowering, program: Program, operands: Sequence[Value]) -> list[Value]:
        values = dict(zip(program.inputs, operands, strict=True))
        self._lower_all(cx, program, values)
        return [_value(atom, values) for atom in program.outputs]

    def _lower_all(self, cx: Lowering, program: Program, values: dict[Var, Value]) -> None:
        signed, reads = signed_zeros(program), reads_of(program)
        found = chains(program, reads)
        held = {id(instr) for chain in found for instr in (chain.normalize, *chain.rest)}
        ends = {id(chain.last): chain for chain in found}
        for instr in program.instrs:
            before = cx.graph.node_count
            chain = ends.get(id(instr))
            if chain is None or not self._lower_chain(cx, chain, values):
                for each in (chain.normalize, *chain.rest) if chain else (instr,):
                    if chain or id(each) not in held:
                        cx.signless = bool(each.outputs) and each.outputs[0] not in signed
                        cx.shared = tuple(
                            isinstance(atom, Var) and reads[atom] > 1 for atom in each.inputs
                        )
                        self._lower(cx, each, values)
            if instr.source:
                self.sources.update(dict.fromkeys(cx.graph.node_names(before), instr.source))

    def _lower_chain(self, cx: Lowering, chain: Chain, values: dict[Var, Value]) -> bool:
        """Write a chain as one node; False where that cannot be."""
        normalize = chain.normalize
        (var,) = chain.last.outputs
        cx.operator, cx.outs = normalize.op, (var.type,)
        x, *factors = (_value(atom, values) for atom in (*normalize.inputs, *chain.factors))
        made = composite.scaled(cx, normalize.op.name, x, factors, **normalize.params)
        if made is None:
            return False
        values[var] = made
        return True

    @property
    def computed(self) -> int:
        """How many results the graph has so far."""
        return len(self._results)

    def result(self, var: Var) -> tuple[str, int]:
        """Where a result comes from: ``("input", number)`` or ``("session", number)``."""
        if var in self._numbers:
            return "input", self._numbers[var]
        value = self._values[var]
        name = self._cx.full(value)
        if name in self._inputs:
            return "input", self._inputs[name]
        if name not in self._results:
            self._results[name] = len(self._results)
            self.result_types.append(value.type)
            self.graph.output(name, value.dtype.numpy, value.type.shape)
        return "session", self._results[name]

    def output(self, atom: Atom) -> str:
        """Make an atom an output of its own, whatever it is; the name of the ONNX value."""
        value = _value(atom, self._values)
        return self.graph.output(self._cx.full(value), value.dtype.numpy, value.type.shape)

    def _lower(self, cx: Lowering, instr: Instr, values: dict[Var, Value]) -> None:
        op = instr.op
        rule = self._rules.get(op.name)
        if rule is None:
            raise UnsupportedOperatorError(
                f"the backend 'onnxruntime' has no lowering rule for the operator {op.name!r}, "
                f"and it has no expansion. Give {type(op).__qualname__} an expand method, "
                "add a rule through the hook slope_lowerings, or use another backend."
            )
        cx.operator, cx.outs = op, tuple(var.type for var in instr.outputs)
        try:
            made: Any = rule(cx, *[_value(atom, values) for atom in instr.inputs], **instr.params)
        except GraphError as error:
            place = f" (from {instr.source})" if instr.source else ""
            raise CompileError(
                f"the lowering rule of {op.name!r}{place} built a wrong ONNX graph: {error}"
            ) from error
        for var, result in zip(instr.outputs, made if op.multiple else (made,), strict=True):
            named = Value(result, var.type, var.type.shape) if isinstance(result, str) else result
            # A rule may hand on an operand as it is: only its type is that of the result.
            values[var] = named._replace(type=var.type)


def _value(atom: Var | Literal, values: Mapping[Var, Value]) -> Value:
    if isinstance(atom, Literal):
        return Value("", atom.type, (), atom.value)
    return values[atom]


def thread_count(program: Program) -> int:
    """How many threads run a program fastest."""
    # ONNX Runtime's own default counts physical cores.
    return 1 if work(program) < SMALL_WORK or _mostly_scatters(program) else cpu_count()


def _mostly_scatters(program: Program) -> bool:
    """Whether slices written at computed places by one thread save more than a second one would.

    ScatterND, which must not race with itself, takes 2.1 ns less for an element than what else
    there is; a second thread saves 5 ps of an operation of a product, and 0.15 ns of one on an
    element.
    """
    sizes = [
        length for instr in program.instrs for var in instr.outputs for length in var.type.shape
    ]
    if not dims.is_static(sizes):
        return False
    saved = shared = 0.0
    for instr in program.instrs:
        types = [atom.type for atom in instr.inputs]
        if instr.op.name == "scatter_slices" and in_rows(
            *types[:2], **{name: instr.params[name] for name in ("axis", "batch_dims")}
        ):
            saved += 2100 * types[2].size
        else:
            product = instr.op.flops(*types, **instr.params) is not None
            shared += (5 if product else 150) * _work(instr)
    return saved > shared


def work(program: Program) -> float:
    """Roughly the floating-point operations of the heaviest instruction, infinite if not known.

    Threads share the work of one instruction, and wait for each other behind it. What is no product
    or convolution counts an operation for each element that it reads or writes.
    """
    works: list[Any] = [_work(instr) for instr in program.instrs]
    return max(works, default=0.0) if dims.is_static(works) else math.inf


def _work(instr: Instr) -> float:
    inner = list(programs_in(list(instr.params.values())))
    if inner:  # its calls run one after the other
        return max(map(work, inner))
    size = sum(math.prod(var.type.shape) for var in instr.outputs)
    flops = instr.op.flops(*[atom.type for atom in instr.inputs], **instr.params)
    if flops is not None:
        return flops
    return size + sum(math.prod(atom.type.shape) for atom in instr.inputs if isinstance(atom, Var))


def _identifier(name: str) -> str:
    """A graph name that ONNX's textual syntax can hold."""
    return "".join(char if char.isalnum() or char == "_" else "_" for char in name) or "program"
