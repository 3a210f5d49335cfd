"""Host functions: what Python computes in the middle of a program, through an operator's ``host``.

Backends call them while a program runs, outside every trace. They get copies of what they read, so
that they may keep it, and what they give is copied, so that they may change it later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from slope.core.operator import Operator, as_tuple
from slope.core.printer import programs_in
from slope.core.program import Instr, Program
from slope.core.trace import EVAL, use_trace
from slope.core.types import TensorType
from slope.errors import OperatorDefinitionError, Source

HostFunction = Callable[..., tuple[np.ndarray[Any, Any], ...]]

_NOTE: Final = "raised on the host, by "


def host_function(
    op: Operator, types: Sequence[TensorType], params: Mapping[str, Any], source: Source | None
) -> HostFunction:
    """The function that a backend calls for an instruction that ``host`` computes.

    Args:
        op: the instruction's operator.
        types: those of its results.
        params: its parameters.
        source: the line that it comes from; an exception of ``host`` is raised with a note on it.

    Returns:
        A function from NumPy arrays (or scalars) to a tuple of fresh NumPy arrays.
    """
    note = f"{_NOTE}{op.name}{f' at {source}' if source else ''}"

    def call(*arrays: Any) -> tuple[np.ndarray[Any, Any], ...]:
        with use_trace(EVAL):
            try:
                results = as_tuple(op, op.host(*[np.array(each) for each in arrays], **params))
            except Exception as error:
                error.add_note(note)
                raise
        return _checked(op, results, types)

    return call


def _checked(
    op: Operator, results: tuple[Any, ...], types: Sequence[TensorType]
) -> tuple[np.ndarray[Any, Any], ...]:
    made = tuple(
        [np.array(each, wanted.dtype.numpy) for each, wanted in zip(results, types, strict=False)]
    )
    if len(results) != len(types) or any(
        each.shape != wanted.shape for each, wanted in zip(made, types, strict=True)
    ):
        due = ", ".join(map(str, types)) or "nothing"
        found = ", ".join(str(np.shape(each)) for each in results) or "nothing"
        kind = f"{type(op).__module__}.{type(op).__qualname__}"
        raise OperatorDefinitionError(
            f"host of operator {op.name!r} ({kind}) returned arrays of shapes {found}; due {due}."
        )
    return made


def raised_on_host(error: BaseException) -> bool:
    """Whether an exception comes from a host function: then it reaches the user as it is."""
    return any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ()))


# --- where they are needed

Lowers = Callable[[Operator], bool]


def calls_host(program: Program, lowers: Lowers) -> bool:
    """Whether a program calls host functions that its backend cannot call, or leaves to NumPy.

    Args:
        program: lowered for a backend.
        lowers: that of the backend.
    """
    return any(on_host(instr, lowers) for instr in program.instrs)


def on_host(instr: Instr, lowers: Lowers) -> bool:
    """Whether an instruction is, or holds, such a call.

    Lowered programs hold no other operators without a rule than those that the host computes.
    """
    return not lowers(instr.op) or any(
        calls_host(nested, lowers) for nested in programs_in(list(instr.params.values()))
    )
