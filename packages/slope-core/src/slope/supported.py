"""What a backend supports, by its own word: which operators on which dtypes."""

from __future__ import annotations

from slope.core.operator import Operator
from slope.core.printer import programs_in
from slope.core.program import Instr, Program
from slope.dtypes import DType
from slope.errors import SlopeError, UnsupportedOperatorError, backend_failed
from slope.plugins.backend import Backend


def unsupported(program: Program, backend: Backend) -> dict[tuple[Operator, DType], Instr]:
    """What the backend cannot compile, by its own word (:meth:`Backend.supports`).

    Asked for the dtype of each operand and, for operators without operands or with a parameter
    ``dtype``, of the result; also in programs that instructions hold.

    Args:
        program: expanded, as far as that goes.
        backend: whom to ask.

    Returns:
        The pairs that it refuses, each with the first instruction that needs it.
    """
    found: dict[tuple[Operator, DType], Instr] = {}
    asked: set[tuple[Operator, DType]] = set()
    for instr in program.instrs:
        op, params = instr.op, instr.params
        atoms = [*instr.inputs, *(instr.outputs if not instr.inputs or "dtype" in params else ())]
        for dtype in {atom.type.dtype for atom in atoms}:
            if (op, dtype) not in asked:
                asked.add((op, dtype))
                can = backend.lowers(op) or op.has("expand") or op.has("host")
                if not (can and _supports(backend, op, dtype)):
                    found[op, dtype] = instr
        for nested in programs_in(list(params.values())):
            found = unsupported(nested, backend) | found
    return found


def _supports(backend: Backend, op: Operator, dtype: DType) -> bool:
    try:
        return backend.supports(op, dtype)
    except (SlopeError, MemoryError):
        raise
    except Exception as error:
        raise backend_failed(backend, f"supports, of {op.name!r} on {dtype}", error) from error


def require_supported(program: Program, backend: Backend) -> None:
    """Refuse what the backend says that it cannot compile: it might compute something else.

    Raises:
        UnsupportedOperatorError: naming operator, dtype and line.
    """
    if type(backend).supports is Backend.supports:
        return  # it takes all dtypes of what it lowers
    for (op, dtype), instr in unsupported(program, backend).items():
        place = f" (used at {instr.source})" if instr.source else ""
        raise UnsupportedOperatorError(
            f"backend {backend.name!r} does not support operator {op.name!r} on {dtype}{place}. "
            f"Use another dtype, or choose another backend with slope.use_backend(...)."
        )
