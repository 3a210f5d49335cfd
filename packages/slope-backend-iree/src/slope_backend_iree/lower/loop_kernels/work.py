"""What kernels can hold, and how much work it is."""

from __future__ import annotations

from typing import Any

from slope.extend import Instr, Program, TensorType, dtypes, programs_in

from .programs import CONTROL
from .rules import RULES

# A kernel runs on one thread, and sums products there at 50 to 150 GFLOP/s; without it every turn
# costs some 5 us for each of its dispatches, whose small products reach 60 GFLOP/s on two threads.
# An LSTM of width 128 over 32 rows (8 million operations a turn) takes 55 us a turn instead of 136,
# of width 256 over 16 rows (17 million) 221 instead of 181.
_MOST_WORK = 1 << 24  # operations in a turn

# Compile time grows faster than programs do: 400 instructions take 2.4 s instead of 1.7, and 1,000
# take 10 instead of 4.
_MOST_INSTRUCTIONS = 600

# A kernel is passed at most so many arrays, its results among them. IREE's runtime takes 32, and
# the kernel may need one of each dtype for itself.
MOST_ARRAYS = 24

_LONG = frozenset(
    ("exp", "expm1", "log", "log1p", "pow", "sin", "cos", "tan", "atan2", "tanh", "sigmoid", "erf")
)
VIEWS = frozenset(("reshape", "permute", "broadcast", "slice", "flip", "dynamic_slice"))


def fits(params: dict[str, Any]) -> bool:
    """Whether a loop with these parameters is one that a kernel runs faster, and can run."""
    programs = list(programs_in(params))
    turns = params.get("length", 1)
    if not isinstance(turns, int) or turns < 1:
        return False
    try:
        works = [_work(each) for each in programs]
    except UnfitError:
        return False
    sizes = [_instructions(each) for each in programs]
    return sum(works) <= _MOST_WORK and sum(sizes) <= _MOST_INSTRUCTIONS


class UnfitError(Exception):
    """A program holds what kernels do not."""


def _instructions(program: Program) -> int:
    return len(program.instrs) + sum(
        _instructions(each) for instr in program.instrs for each in programs_in(instr.params)
    )


def _work(program: Program) -> float:
    """About how many operations one run of a program takes."""
    for var in program.inputs:
        _check(var.type)
    carried = frozenset(program.inputs)  # may be written to in place
    return sum(cost(instr, carried) for instr in program.instrs)


def _check(tensor_type: TensorType) -> None:
    half = tensor_type.dtype.is_floating_point and tensor_type.dtype.bits == 16
    if half or not all(isinstance(each, int) and each > 0 for each in tensor_type.shape):
        raise UnfitError


def cost(instr: Instr, carried: frozenset[Any] = frozenset()) -> float:
    """About how many operations an instruction takes.

    Args:
        instr: which one.
        carried: variables whose memory may be written to in place.

    Raises:
        UnfitError: kernels have no rule for it.
    """
    name = instr.op.name
    for atom in (*instr.inputs, *instr.outputs):
        _check(atom.type)
    if name in CONTROL:
        inner = sum(_work(each) for each in programs_in(instr.params))
        return inner * instr.params.get("length", 1)
    if name not in RULES or (name == "erf" and instr.inputs[0].type.dtype is dtypes.float64):
        raise UnfitError
    (made,) = instr.outputs
    flops = instr.op.flops(*[atom.type for atom in instr.inputs], **instr.params)
    if flops is not None:
        return float(flops)
    if name in VIEWS:
        return 0.0
    if name == "gather_slices":
        return float(made.type.size)
    if name in ("dynamic_update_slice", "scatter_slices") and instr.inputs[0] in carried:
        return float(instr.inputs[1 if name == "dynamic_update_slice" else 2].type.size)
    most = max([made.type.size, *(atom.type.size for atom in instr.inputs)])
    return float(most * (10 if name in _LONG else 1))
