"""The IREE backend: programs become StableHLO, machine code, and calls."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeVar

import numpy as np
from iree.runtime import HalBufferView

from slope.extend import (
    CPU,
    Backend,
    BackendError,
    Device,
    DeviceError,
    DType,
    Executable,
    ExportedProgram,
    Operator,
    Program,
    TensorType,
    Timed,
    held_once,
    programs_in,
)

from .compiler import IreeCompileError, Options, compiler_version, vector_lanes
from .devices import IreeDeviceError, choose_driver, device_count, missing
from .estimate import Work, program_work
from .executable import IreeExecutable, Placed, filled, import_to
from .export import open_file, write_file
from .lower import RULES, Value
from .lower.program import Lowered, lower_program
from .modules import compile_error, is_refused, keep_refusal, loaded, module_bytes
from .profile import IreeProfileError, timed_dispatches
from .runtime import Module, Runtime

T = TypeVar("T")

# What NumPy computes from how many rows on, if all matrices have together so many elements, each
# times its rows: by measurement. Kernels are faster for the factors that are not here.
_LEFT: Final = {
    "eigh_factors": (16, 1 << 15),
    "inverse_matrix": (16, 1 << 18),
    "sign_log_det": (16, 1 << 18),
    "solve_matrix": (16, 1 << 18),
    "svd_factors": (64, 1 << 18),
}


class IreeBackend(Backend):
    """Runs programs through IREE, on the CPU and on NVIDIA devices.

    Lowering rules are functions ``rule(ctx, *operands, **params)`` that write StableHLO: see
    :mod:`slope_backend_iree.lower.context`.

    Options of ``slope.jit(f, options=...)``:
        kind: ``"gemm"`` or ``"general"``, which set of compiler flags to use; by default chosen by
            the program.
        flags: compiler flags to add, a sequence of strings.

    Loops over small values become single kernels on the CPU: see
    :mod:`slope_backend_iree.lower.loop_kernels`. Some factors of large matrices, which no loop of
    ours computes as fast, are left to NumPy's LAPACK there, but in loops and branches of programs.

    Every operator works on every dtype that it takes. Results differ from the NumPy backend's in
    the last places, and where IREE's arithmetic does: numbers below the smallest normal one count
    as 0, a chain of bfloat16 operations may be rounded once at its end, float32 powers are right
    to 7e-6 near the largest float32, and sines are wrong beyond 1e9. Small groups of a convolution
    are multiplied together, with zeros between them, and windows of long strided ones are filled up
    with zeros: NaN or infinity in one becomes NaN in its neighbours, too.

    Compiled modules are kept on disk, under ``SLOPE_CACHE`` (by default the user's cache
    directory); ``SLOPE_DISK_CACHE=0`` turns that off.
    """

    name: ClassVar[str] = "iree"
    eager: ClassVar[Literal["numpy", "compile"]] = "numpy"
    layout: ClassVar[str | None] = "NHWC"
    donates: ClassVar[bool] = True
    lowered: ClassVar[tuple[type, ...]] = (Value,)

    def __init__(self) -> None:
        super().__init__()
        self.add_lowerings(RULES)
        self._runtimes: dict[Device, Runtime] = {}
        self._scalar = functools.lru_cache(maxsize=1024)(self._make_scalar)

    # --- devices and buffers

    def devices(self) -> list[Device]:
        return [CPU, *(Device("cuda", i) for i in range(device_count("cuda")))]

    def absent(self, device: Device) -> str:
        known = device.kind in ("cpu", "cuda")
        why = f"{missing(device.kind, device.index)} " if known else ""
        return f"{why}{super().absent(device)}"

    def runtime(self, device: Device) -> Runtime:
        """What loads modules and arrays onto a device.

        Raises:
            DeviceError: IREE has no such device here.
        """
        found = self._runtimes.get(device)
        if found is None:
            try:
                found = self._runtimes[device] = Runtime(device.kind, device.index)
            except IreeDeviceError as error:
                known = ", ".join(map(str, self.devices()))
                raise DeviceError(
                    f"the iree backend has no device {device}: {error} It has {known}."
                ) from None
        return found

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> Any:
        return import_to(self.runtime(device), array)

    def to_host(self, handle: Any) -> np.ndarray[Any, Any]:
        if isinstance(handle, Placed):
            return handle.runtime.export_array(handle.view)
        return self.runtime(CPU).export_array(handle)

    def scalar(self, value: bool | float, dtype: DType, device: Device) -> Any:
        # 0.0 and -0.0 are equal keys; everything else that is equal is also the same number of the
        # dtype.
        return self._scalar(value, repr(value) if value == 0 else "", dtype, device)

    def _make_scalar(self, value: bool | float, spelling: str, dtype: DType, device: Device) -> Any:
        return self.from_host(filled((), value, dtype), device)

    def exclusive(self, handle: Any) -> bool:
        """Whether a handle is a module's result that nobody else holds.

        Whoever exports it holds it.
        """
        return type(handle) in (HalBufferView, Placed) and held_once(handle)

    # --- programs

    def left_to_numpy(self, op: Operator, types: Sequence[TensorType], device: Device) -> bool:
        """Factors of matrices that LAPACK's blocks compute faster than a kernel does in one go."""
        least = _LEFT.get(op.name) if device == CPU else None
        if least is None:
            return False
        rows, work = least
        count = min(types[0].shape[-2:])
        return count >= rows and types[0].size * count >= work

    def compile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> Executable:
        """Compile a program.

        Donated inputs are written to in place by scatters and updates of windows; of others the
        memory is free after the call.
        """
        runtime = self.runtime(device)

        def load(text: str, made_for: Options) -> Module:
            return loaded(runtime, text, made_for, program_work(program), program.name)

        lowered, module = self._made(program, device, options, donated, load)
        branches = any(any(programs_in(instr.params)) for instr in program.instrs)
        return IreeExecutable(runtime, lowered, module, donated, branches=branches)

    def profile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        handles: Sequence[Any],
        rounds: int,
        donated: frozenset[int] = frozenset(),
    ) -> list[Timed]:
        """The time of each dispatch, by IREE's own profiler in a process of its own.

        A dispatch is a kernel that IREE made of one or many instructions; its name tells what of.
        Kernels of our own are named by their operator and largest shape.
        """
        lowered, data = self.module(program, device, options, donated)
        if data is None:
            return []
        work = program_work(program)
        driver = choose_driver(work.flops, work.moved) if device == CPU else device.kind
        inputs = [self.to_host(handle) for handle in handles]
        try:
            return timed_dispatches(data, driver, inputs, rounds, lowered.kernels)
        except IreeProfileError as error:
            raise BackendError(f"program {program.name!r} on {device}: {error}") from None

    def module(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> tuple[Lowered, bytes | None]:
        """A program's text and compiled module, for a device that need not be here.

        Args:
            program: as of :meth:`compile`, like the rest.
            device: where the module is to run.
            options: see the class.
            donated: the inputs that it may write to.

        Returns:
            The module is ``None`` where the program computes nothing.
        """

        def compiled(text: str, made_for: Options) -> bytes:
            return module_bytes(text, made_for, program.name)

        return self._made(program, device, options, donated, compiled)

    def _made(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int],
        make: Callable[[str, Options], T],
    ) -> tuple[Lowered, T | None]:
        """A program's text, and what is made of it; ``None`` where it computes nothing.

        Kernels of our own are written in dialects that IREE may change: what it refuses with them
        is compiled without.
        """

        def plain() -> Lowered:
            return lower_program(program, self.lowerings, donated, cpu=False)

        if device.kind == "cpu":
            lanes = vector_lanes()
            found = lower_program(program, self.lowerings, donated, lanes=lanes)
        else:
            found = plain()
        if not found.results:
            return found, None
        made_for = _options(device, program_work(program), options)
        try:
            if is_refused(found.text, made_for):
                found = plain()
            return found, make(found.text, made_for)
        except IreeCompileError as error:
            other = plain()
            if other.text != found.text:
                # Where that is refused as well, the first error is the one to tell.
                with contextlib.suppress(IreeCompileError):
                    made = make(other.text, made_for)
                    keep_refusal(found.text, made_for, error)
                    return other, made
            raise compile_error(error, found.text, program.name) from None

    # --- files

    def export(self, program: ExportedProgram, path: Path) -> Device | None:
        """Write StableHLO or a compiled module: see :mod:`slope_backend_iree.export`."""
        return write_file(program, self.lowerings, path)

    def open_export(
        self,
        path: Path,
        inputs: Sequence[TensorType],
        outputs: Sequence[TensorType],
        device: Device,
    ) -> Executable:
        return open_file(self.runtime(device), path, inputs, outputs)

    # --- information

    def version(self) -> str:
        return f"IREE {compiler_version()}"


def _options(device: Device, work: Work, options: Mapping[str, Any]) -> Options:
    unknown = set(options) - {"kind", "flags"}
    if unknown:
        raise BackendError(
            f"the iree backend has no options {', '.join(map(repr, sorted(unknown)))}; it takes "
            f"'kind' ('gemm' or 'general') and 'flags' (compiler flags, a sequence of strings)."
        )
    kind = options.get("kind") or (
        "gemm" if work.products > 1e6 and work.products > 0.5 * work.flops else "general"
    )
    try:
        return Options(
            "cuda" if device.kind == "cuda" else "cpu", kind, extra=tuple(options.get("flags", ()))
        )
    except ValueError as error:
        raise BackendError(f"the iree backend's options: {error}.") from None
