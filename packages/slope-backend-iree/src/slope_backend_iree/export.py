"""Programs as files: StableHLO for any compiler, and modules that IREE compiled for a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from slope.extend import (
    CPU,
    Device,
    Executable,
    ExportedProgram,
    ExportError,
    TensorType,
)

from .compiler import IreeCompileError, Options, compile_module, vector_lanes
from .devices import device_count
from .estimate import Work
from .executable import IreeExecutable
from .lower import Rule
from .lower.program import Lowered, lower_program
from .modules import loaded
from .notice import notice
from .runtime import IreeRuntimeError, Runtime

Rules = Mapping[str, Rule]

TARGETS: Final = {"host": "cpu", "generic": "generic", "cuda": "cuda"}
"""What a compiled module may be for, with the compiler's options: this processor, any processor of
its architecture, NVIDIA GPUs (from ``sm_80`` on; ``cuda:sm_86`` names another)."""


def write_file(program: ExportedProgram, rules: Rules, path: Path) -> Device | None:
    """Write a program in the format of the path's suffix.

    A ``.vmfb`` file has the options ``target`` (one of :data:`TARGETS`) and ``flags`` (more flags
    for IREE's compiler).

    Returns:
        A device here that can run it, if there is one.

    Raises:
        ExportError: an option is unknown, a rule writes what the format cannot hold, or IREE
            refuses the program.
    """
    if path.suffix.lower() == ".mlir":
        program.refuse_options((), ".mlir")
        path.write_text(_text(program, rules, cpu=False, portable=True))
        return CPU
    program.refuse_options(("target", "flags"), ".vmfb")
    target, _, architecture = str(program.options.get("target", "host")).partition(":")
    if target not in TARGETS or (architecture and target != "cuda"):
        raise ExportError(
            f"export of {program.name}: the target must be one of "
            f"{', '.join(map(repr, TARGETS))} or 'cuda:sm_86' (an architecture), and is "
            f"{program.options['target']!r}."
        )
    # Not "gemm", whose kernels need larger stacks than threads have elsewhere.
    flags = tuple(program.options.get("flags", ()))
    options = Options(TARGETS[target], "general", architecture or "sm_80", flags)
    path.write_bytes(_compiled(program, rules, options))
    if target == "cuda":
        return Device("cuda", 0) if device_count("cuda") else None
    return CPU


def _text(program: ExportedProgram, rules: Rules, *, cpu: bool, portable: bool = False) -> str:
    lanes = vector_lanes() if cpu else 0
    return lower_program(
        program.program, rules, cpu=cpu, lanes=lanes, portable=portable, exported=program
    ).text


def _compiled(program: ExportedProgram, rules: Rules, options: Options) -> bytes:
    """A module; kernels of our own are left out where IREE refuses them."""
    with notice(f"compiling {program.name!r} with IREE"):
        if options.target == "cpu":
            try:
                return compile_module(_text(program, rules, cpu=True), options)
            except IreeCompileError:
                pass  # in dialects that IREE may change; what it says of the plain text counts
        try:
            return compile_module(_text(program, rules, cpu=False), options)
        except IreeCompileError as error:
            raise ExportError(f"export of {program.name}: {error}") from None


def open_file(
    runtime: Runtime, path: Path, inputs: Sequence[TensorType], outputs: Sequence[TensorType]
) -> Executable:
    """Load a file that :func:`write_file` wrote.

    Raises:
        ExportError: IREE refuses it.
    """
    # The work is not known: many bytes are the only sign of much of it.
    moved = sum(each.size * each.dtype.itemsize for each in (*inputs, *outputs))
    work = Work(flops=100.0 * moved, products=0.0, moved=float(moved))
    try:
        if path.suffix.lower() == ".mlir":
            text = path.read_text()
            options = Options("cuda" if runtime.kind == "cuda" else "cpu")
            module = loaded(runtime, text, options, work, path.name)
        else:
            text = str(path)
            module = runtime.load(path.read_bytes(), flops=work.flops, moved=work.moved)
    except (IreeCompileError, IreeRuntimeError) as error:
        raise ExportError(f"{path.name!r} cannot be run on {runtime.kind}: {error}") from None
    count = len(outputs)
    in_order = tuple(("result", place) for place in range(count))
    return IreeExecutable(runtime, Lowered(text, count, in_order), module, branches=True)
