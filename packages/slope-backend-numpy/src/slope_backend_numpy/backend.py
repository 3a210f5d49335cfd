"""The NumPy backend: handles are NumPy arrays, compiled programs are Python functions."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from slope.extend import (
    CPU,
    Backend,
    CompileError,
    Device,
    DeviceError,
    Executable,
    Instr,
    Operator,
    Program,
    Timed,
    only_reference,
)
from slope_backend_numpy.codegen import generate
from slope_backend_numpy.context import Value
from slope_backend_numpy.lower import LOWERINGS, kernels
from slope_backend_numpy.memory import tune_allocator

_NEVER_WARN: Final = frozenset((
    "reshape", "permute", "broadcast", "interior_pad", "slice", "flip", "concatenate", "where",
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "shift_left",
    "shift_right_logical", "shift_right_arithmetic", "bitcast", "stop_gradient", "argmax",
    "argmin", "any", "all", "iota", "threefry2x32", "gather_slices", "isnan", "isfinite",
    "optimization_barrier",
))  # fmt: skip
_NEVER_WARN_OF_INTEGERS: Final = frozenset((
    "neg", "add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "abs",
    "sign", "sum", "amax", "amin",
))  # fmt: skip


def _quiet(instr: Instr) -> bool:
    """Whether NumPy cannot warn of anything in an instruction, so that none need be silenced."""
    name = instr.op.name
    return name in _NEVER_WARN or (
        name in _NEVER_WARN_OF_INTEGERS and not instr.inputs[0].type.dtype.is_floating_point
    )


class NumpyExecutable(Executable):
    """A compiled program.

    Attributes:
        code: the Python source that runs.
        function: the function that it defines; takes and returns NumPy arrays.
    """

    __slots__ = ("code", "function")

    def __init__(self, code: str, function: Callable[..., tuple[Any, ...]]) -> None:
        self.code = code
        self.function = function

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Run it.

        Results are fresh arrays, inputs themselves, or (of reshapes, slices and the like) views of
        either. Nothing is ever written to a constant, to an input that is not donated, or to an
        array that an earlier call returned and that is not donated since.
        """
        return self.function(*handles)


class NumpyBackend(Backend):
    """Programs as generated Python source; the living definition of every operator.

    A lowering rule is called as ``rule(context, *operands, **params)``: see
    :class:`slope_backend_numpy.context.Context`. All dtypes are supported by all operators that
    take them.
    """

    name: ClassVar[str] = "numpy"
    layout: ClassVar[str | None] = "NHWC"  # a row of a window is one run of memory
    donates: ClassVar[bool] = True
    dynamic: ClassVar[bool] = True
    lowered: ClassVar[tuple[type, ...]] = (Value,)

    def __init__(self) -> None:
        super().__init__()
        tune_allocator()
        self.add_lowerings(LOWERINGS)

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> np.ndarray[Any, Any]:
        """The array itself."""
        self._require_cpu(device)
        return array

    def to_host(self, handle: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The array itself."""
        return handle

    def exclusive(self, handle: np.ndarray[Any, Any]) -> bool:
        """Whether nothing else refers to the array's memory."""
        return only_reference(handle)

    def lowers(self, op: Operator) -> bool:
        """Whether there is a rule, or Python computes it anyway."""
        return super().lowers(op) or op.runs_on_host()

    def compile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> NumpyExecutable:
        """Generate the Python function of a program; there are no options.

        Raises:
            ShapeError: the program cannot be one for all sizes of its symbolic dimensions.
            UnsupportedOperatorError: an operator has no rule here.
            CompileError: an option was given.
        """
        self._require_cpu(device)
        if options:
            raise CompileError(
                f"the numpy backend has no options, and got {', '.join(sorted(options))}; "
                f"leave options out."
            )
        generated = generate(program, self.lowerings, _quiet, {"kernels": kernels}, donated)
        return NumpyExecutable(generated.source, generated.function(program.name))

    def profile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        handles: Sequence[Any],
        rounds: int,
        donated: frozenset[int] = frozenset(),
    ) -> list[Timed]:
        """The median time of each instruction, by a clock read between the instructions' lines.

        What an instruction's line writes is what :meth:`compile` writes: operands that are
        broadcast, reshaped or numbers cost nothing there, and show up where they are used.
        """
        self._require_cpu(device)
        times: list[float] = []
        names = {"kernels": kernels, "clock": time.perf_counter, "times": times}
        generated = generate(
            program, self.lowerings, _quiet, names, donated, after_each="times.append(clock())"
        )
        function = generated.function(program.name)
        taken: list[np.ndarray[Any, Any]] = []
        for _ in range(rounds + 1):
            given = self.spared(handles, donated, device)
            times[:] = [time.perf_counter()]
            function(*given)
            taken.append(np.diff(times))
        seconds = np.median(taken[1:], axis=0)
        return [
            Timed(instr.op.name, float(each), instr=instr)
            for instr, each in zip(program.instrs, seconds, strict=True)
        ]

    def version(self) -> str:
        """The versions of NumPy and Python."""
        return f"numpy {np.__version__}, Python {platform.python_version()}"

    def _require_cpu(self, device: Device) -> None:
        if device != CPU:
            raise DeviceError(
                f"the numpy backend runs on {CPU} alone, and was asked for {device}; "
                f"choose another backend, or {CPU}."
            )
