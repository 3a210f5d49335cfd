"""From a program to one that a backend takes: expanded, improved by the passes, closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slope.core.operator import Operator
from slope.core.printer import programs_in
from slope.core.program import Instr, Program, ProgramTrace, expand, param_key, run_instrs
from slope.core.rules import check_types
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL
from slope.core.types import TensorType
from slope.devices import CPU, Device
from slope.dims import is_static
from slope.errors import UnsupportedOperatorError
from slope.passes import map_programs, optimize, to_layout
from slope.plugins.backend import Backend, Executable
from slope.plugins.selection import backend as backend_named
from slope.plugins.selection import current_backend, installed


def close(program: Program) -> tuple[Program, list[Tensor]]:
    """The program with its constants as inputs behind the others, and their values."""
    if not program.constants:
        return program, []
    inputs = [*program.inputs, *(var for var, _ in program.constants)]
    return Program(inputs, (), program.instrs, program.outputs, program.name), [
        value for _, value in program.constants
    ]


def lower_program(program: Program, backend: Backend, device: Device | None = None) -> Program:
    """The program in operators that the backend lowers, improved by the passes.

    Passes write operators of their own accord (``neg`` for ``x * -1``). Where the backend lacks
    one of those, only passes run that write none, so that a program needs no more operators than
    it says.

    Args:
        program: what to lower.
        backend: for which backend.
        device: where it is to run: then it may hold instructions that the backend leaves to NumPy
            (:meth:`~slope.plugins.backend.Backend.left_to_numpy`). None: the whole is to be the
            backend's, as it must in a file.
    """
    if not all(is_static(each.shape) for each in program.input_types):
        device = None
    try:
        lowered = _improved(program, backend, device, frozenset())
    except UnsupportedOperatorError:
        lowered = None  # the program itself may need what is missing, or a pass
    if lowered is None or not _is_known(lowered, backend, device):
        lowered = _improved(program, backend, device, _WRITING_PASSES)
    # After expansion: composites would hide what could be permuted.
    turned = to_layout(lowered, backend.layout)
    return lowered if turned is lowered else optimize(turned, evaluate=fold_scalars)


_WRITING_PASSES = frozenset({"algebra", "sums", "turns"})


def _improved(
    program: Program, backend: Backend, device: Device | None, without: frozenset[str]
) -> Program:
    """The program expanded for the backend, improved before and after without some passes."""
    lowered = optimize(program, without, fold_scalars)
    if _is_known(lowered, backend, device):
        return lowered
    return optimize(expand_unknown(lowered, backend, device), without, fold_scalars)


def _is_known(program: Program, backend: Backend, device: Device | None = None) -> bool:
    """Whether the backend lowers every operator, also those of programs that the program holds.

    Given a device, or leaves it to NumPy there.
    """
    return all(
        not instr.op.inline
        and (
            backend.lowers(instr.op)
            or instr.op.runs_on_host()
            or _is_left(instr.op, [atom.type for atom in instr.inputs], backend, device)
        )
        and all(_is_known(nested, backend) for nested in programs_in(list(instr.params.values())))
        for instr in program.instrs
    )


def _is_left(
    op: Operator, types: Sequence[TensorType], backend: Backend, device: Device | None
) -> bool:
    """Whether the numpy backend is to compute an operator that the backend could expand."""
    if device is None or op.inline or not op.has("expand"):
        return False
    return backend.left_to_numpy(op, types, device)


class LoweringTrace(ProgramTrace):
    """Records operators that a backend lowers or leaves to NumPy, and expands the others."""

    def __init__(self, backend: Backend, function: str, device: Device | None = None) -> None:
        super().__init__(EVAL, function)
        self.backend = backend
        self.device = device

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        if (self.backend.lowers(op) or op.runs_on_host()) and not op.inline:
            if any(programs_in(list(params.values()))):
                args, params = self._with_lowered(op, args, params)
            return super().process(op, args, params)
        if op.has("expand"):
            if _is_left(op, [arg.type for arg in args], self.backend, self.device):
                return super().process(op, args, params)
            return expand(op, args, params)
        place = f" (used at {self.instr_source})" if self.instr_source else ""
        raise UnsupportedOperatorError(
            f"backend {self.backend.name!r} has no lowering for operator {op.name!r}, which has "
            f"neither expand nor host{place}. Ways out: {_authors_way(op)}give the backend a rule "
            f"through the hook slope_lowerings; choose another backend with slope.use_backend(...)."
            f"{self._elsewhere(op)}"
        )

    def _elsewhere(self, op: Operator) -> str:
        """A sentence on the selected backend, where calls outside jit run on another."""
        current = current_backend()
        if self.backend.name != "numpy" or current is self.backend or not current.lowers(op):
            return ""
        return (
            f" The selected backend {current.name!r} has a lowering: calls inside jit use it, and "
            f"others do if {type(op).__qualname__} says whole = True."
        )

    def _with_lowered(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Sequence[Tensor], dict[str, Any]]:
        """The call with lowered programs as parameters; tensors made by expansions are operands."""
        params = map_programs(params, lambda nested: _expanded(nested, self.backend))
        if any(nested.constants for nested in programs_in(list(params.values()))):
            return op.with_closed(args, params)
        return args, params


def _authors_way(op: Operator) -> str:
    """What the author of a plugin's operator can do besides; slope's own are what they are."""
    own = type(op).__module__.partition(".")[0] == __name__.partition(".")[0]
    return "" if own else f"define {type(op).__qualname__}.expand; "


def _expanded(program: Program, backend: Backend) -> Program:
    key = ("expanded", backend)
    if key not in program.derived:  # one program in two places stays one
        program.derived[key] = (
            None if _is_known(program, backend) else expand_unknown(program, backend)
        )
    return program.derived[key] or program


def expand_unknown(program: Program, backend: Backend, device: Device | None = None) -> Program:
    with LoweringTrace(backend, program.name, device) as trace:
        args = [trace.new_input(each) for each in program.input_types]

        def step(instr: Instr, operands: list[Tensor]) -> Sequence[Tensor]:
            made = trace.process(instr.op, operands, instr.params)
            check_types(instr.op, "expand", made, [var.type for var in instr.outputs])
            return made

        return trace.finish(run_instrs(program, args, step), program.name)


def fold_scalars(
    op: Operator, scalars: Sequence[Any], types: Sequence[TensorType], params: Mapping[str, Any]
) -> Any:
    """The value of an elementwise operator of literals, for constant folding.

    Computed by the numpy backend, which defines what operators mean; ``None`` without it.
    """
    if "numpy" not in installed() or op.multiple:
        return None
    backend = backend_named("numpy")
    args = [Splat(value, each.with_shape(())) for value, each in zip(scalars, types, strict=True)]
    if not backend.lowers(op):
        return None
    executable = _compile_scalar(
        op, tuple(each.dtype for each in types), tuple(params.items()), args, backend
    )
    (out,) = executable([backend.scalar(arg.value, arg.dtype, CPU) for arg in args])
    return backend.to_host(out).item()


_scalar_programs: dict[Any, Executable] = {}


def _compile_scalar(
    op: Operator, dtypes: Any, params: Any, args: Sequence[Splat], backend: Backend
) -> Executable:
    key = (op, dtypes, tuple([(name, param_key(value)) for name, value in params]))
    if key not in _scalar_programs:
        with ProgramTrace(EVAL, op.name) as trace:
            operands = [trace.new_input(arg.type) for arg in args]
            program = trace.finish(trace.process(op, operands, dict(params)), op.name)
        _scalar_programs[key] = backend.compile(program, CPU, {})
    return _scalar_programs[key]
