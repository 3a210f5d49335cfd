"""Where the sign of a zero matters: fast rules may give -0.0 for 0.0 elsewhere."""

from __future__ import annotations

from typing import Final

from slope.extend import Program, Var

# These sum, compare, or are smooth with another value than 0 at 0: the sign of a zero is lost.
_LOST: Final = frozenset(
    """
    dot_general conv conv_input_grad conv_weight_grad sum cos exp abs sigmoid softmax log_softmax
    logsumexp eq ne lt le gt ge isnan isfinite argmax argmin
    """.split()  # noqa: SIM905  # ruff would write one name a line
)
# The sign of a zero in the result comes from an operand's, and nothing else does.
_KEPT: Final = frozenset(
    """
    add sub mul neg where reshape permute broadcast slice interior_pad concatenate relu tanh sqrt
    sin erf stop_gradient
    """.split()  # noqa: SIM905  # as above
)


def signed_zeros(program: Program) -> set[Var]:
    """The variables of which something may tell 0.0 from -0.0: by division, bits, or from outside.

    A sum over nothing but zeros would keep a sign too, and is taken not to: no program reads the
    sign of a zero behind a sum.
    """
    found = {atom for atom in program.outputs if isinstance(atom, Var)}
    for instr in reversed(program.instrs):
        if instr.op.name in _LOST:
            continue
        if instr.op.name not in _KEPT or not found.isdisjoint(instr.outputs):
            found.update(atom for atom in instr.inputs if isinstance(atom, Var))
    return found
